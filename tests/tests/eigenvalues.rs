//! The eigenvalues of the executor, whatever the scale of a matrix.

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::{Backend, factor};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat_mut, nans};
use relfisher_tests::tolerance::Oracle::Dense;

/// The eigenvalues of 2ᵏ A are 2ᵏ times those of A, to the rounding errors of both: `faer` divides
/// and conquers from order 129 on, where its result depends on the scale.
fn scales<T: Scalar>() {
    let mut random = Random::new(6);
    for d in [3, 31, 40, 128, 131, 150] {
        let b = Matrix::new(d, d, random.normals::<f64>(d * d));
        let definite = Matrix::new(d, d, random.spd::<f64>(d, 10.0));
        let blocks = Matrix::from_fn(d, d, |i, j| f64::from(u8::from(i / 3 == j / 3)));
        let kinds =
            [("symmetric", b.plus(1.0, &b.t())), ("definite", definite), ("blocks", blocks)];
        for (kind, a) in kinds {
            let want = a.eigh().0;
            for exponent in if T::EPSILON.to_f64() > 1e-10 {
                [0, -120, -60, -20, 20, 60, 110]
            } else {
                [0, -1000, -60, -20, 20, 60, 1000]
            } {
                let scale = 2.0_f64.powi(exponent);
                let mut u: Vec<T> = a.data.iter().map(|x| T::from_f64(x * scale)).collect();
                let (mut values, mut work) = (nans::<T>(d), nans(factor::eigh_workspace_len(d)));
                let cpu = Cpu::new(Some(1)).expect("threads");
                cpu.eigh(mat_mut(&mut u, d, d), &mut values, &mut work).expect("converges");
                let got: Vec<T> = to_f64(&values).iter().map(|x| T::from_f64(x / scale)).collect();
                let label = format!("{kind} of order {d} times 2^{exponent}");
                assert_close(&label, &got, &want, "eigh", Dense, d);
            }
        }
    }
}

both_dtypes!(scales);
