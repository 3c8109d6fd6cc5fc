//! Inverse roots by products against eigenvalues.

use relfisher_core::factor::{
    Convergence, InverseRoot, NewtonSchulz, newton_schulz, newton_schulz_workspace_len,
    spd_inverse, spd_inverse_workspace_len,
};
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, assert_symmetric, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Sibling};
use relfisher_tests::tolerance::tolerance;

const ROOTS: [InverseRoot; 3] = [InverseRoot::First, InverseRoot::Second, InverseRoot::Fourth];

fn run<T: Real>(
    out: &mut [T],
    a: &[T],
    d: usize,
    damping: T,
    root: InverseRoot,
) -> Result<Convergence<T>, Error> {
    let (o, mut work) = (mat_mut(out, d, d), nans(newton_schulz_workspace_len(d)));
    let options = NewtonSchulz::default();
    newton_schulz(&Portable, o, mat(a, d, d), damping, root, options, &mut work)
}

fn roots_are_those_of_the_eigenvalues<T: Real>() {
    let mut random = Random::new(841);
    for (d, condition) in [(0, 1), (1, 1), (2, 10), (3, 100), (5, 1), (8, 30), (17, 100), (40, 10)]
    {
        for (root, scale) in ROOTS.into_iter().flat_map(|r| [1e-5, 1.0, 1e6].map(|s| (r, s))) {
            let a: Vec<T> = random
                .spd::<f64>(d, f64::from(condition))
                .iter()
                .map(|x| T::from_f64(x * scale))
                .collect();
            let p = root.degree();
            let mut x = nans::<T>(d * d);
            let done = run(&mut x, &a, d, T::ZERO, root).unwrap();
            let dense = Matrix::new(d, d, to_f64(&a));
            let want = dense.function(|v| v.powf(-1.0 / p as f64));
            let label = format!("{root:?} of {d}, condition {condition}, scale {scale}");
            assert_close(&label, &x, &want.data, "newton schulz", Dense, d * condition as usize);
            assert_symmetric(&label, &x, d);
            // the residual is what it says: max |Xᵖ A − I| of the result
            let mut power = dense;
            for _ in 0..p {
                power = Matrix::new(d, d, to_f64(&x)).times(&power);
            }
            let residual = power.plus(-1.0, &Matrix::identity(d)).max_abs();
            let slack = tolerance::<T>("newton schulz", Dense, d * condition as usize);
            assert!((done.residual.to_f64() - residual).abs() <= slack, "{label}: {residual}");
            // log₂ κ steps to come near, with the looser bound of the norm; then quadratic
            let bound = (f64::from(condition) * (d.max(1) as f64).sqrt()).log2() + 10.0;
            assert!((done.iterations as f64) <= bound, "{label}: {} steps", done.iterations);
        }
    }
}

fn damping_is_added_and_the_inverse_agrees<T: Real>() {
    let mut random = Random::new(842);
    let d = 6;
    // singular without damping
    let half = random.normals::<T>(d * 2);
    let low = Matrix::new(d, 2, to_f64(&half));
    let a: Vec<T> = low.times(&low.t()).data.iter().map(|x| T::from_f64(*x)).collect();
    for root in ROOTS {
        let refused = run(&mut nans(d * d), &a, d, T::ZERO, root);
        assert!(matches!(refused, Err(Error::NoConvergence { .. })), "{refused:?}");
    }
    let mut x = nans::<T>(d * d);
    run(&mut x, &a, d, T::ONE, InverseRoot::First).unwrap();
    let (mut inverse, mut work) = (a.clone(), nans(spd_inverse_workspace_len(d)));
    spd_inverse(mat_mut(&mut inverse, d, d), T::ONE, &mut work).unwrap();
    assert_close("inverse", &x, &to_f64(&inverse), "newton schulz", Sibling, d * 20);
}

/// What the type can still do, and what it cannot, is said by the residual.
fn ill_conditioned<T: Real>() {
    let mut random = Random::new(843);
    let (d, hard) = (9, 0.1 / T::EPSILON.to_f64().sqrt());
    let a = random.spd::<T>(d, hard);
    for root in ROOTS {
        let mut x = nans::<T>(d * d);
        let done = run(&mut x, &a, d, T::ZERO, root).unwrap();
        assert!(done.residual <= T::EPSILON.sqrt());
    }
    let hopeless = random.spd::<T>(d, 100.0 / T::EPSILON.to_f64());
    for root in ROOTS {
        let refused = run(&mut nans(d * d), &hopeless, d, T::ZERO, root);
        assert!(matches!(refused, Err(Error::NoConvergence { .. })), "{refused:?}");
    }
}

fn refusals<T: Real>() {
    let c = |x: [f64; 4]| x.map(T::from_f64);
    for root in ROOTS {
        let ask = |a: [f64; 4], damping: f64| {
            run(&mut nans(4), &c(a), 2, T::from_f64(damping), root).map(|_| ())
        };
        let negative = ask([1.0, 0.0, 0.0, -1.0], 0.0);
        assert_eq!(negative, Err(Error::NotPositiveDefinite { block: 0, pivot: 1 }));
        assert_eq!(ask([0.0; 4], 0.0), Err(Error::NotPositiveDefinite { block: 0, pivot: 0 }));
        let indefinite = ask([1.0, 2.0, 2.0, 1.0], 0.0);
        assert!(matches!(indefinite, Err(Error::NoConvergence { .. })), "{indefinite:?}");
        assert_eq!(ask([1.0, 2.0, 2.0, 1.0], 2.0), Ok(()));
        let nan = ask([1.0, f64::NAN, 0.0, 1.0], 0.0);
        assert!(matches!(nan, Err(Error::NonFinite { index: 1, .. })));
        for damping in [-1.0, f64::NAN, f64::INFINITY] {
            let refused = ask([1.0, 0.0, 0.0, 1.0], damping);
            assert!(matches!(refused, Err(Error::Parameter { .. })));
        }
        let tiny = T::MIN_POSITIVE.to_f64() / 1e3;
        assert!(matches!(ask([tiny, 0.0, 0.0, tiny], 0.0), Err(Error::Parameter { .. })));
    }
    let (a, good) = (c([2.0, 1.0, 1.0, 3.0]), NewtonSchulz::<T>::default());
    let ask = |options: NewtonSchulz<T>, need: usize| {
        let (mut out, mut work, root) = (nans::<T>(4), nans(need), InverseRoot::Second);
        let o = mat_mut(&mut out, 2, 2);
        newton_schulz(&Portable, o, mat(&a, 2, 2), T::ZERO, root, options, &mut work)
    };
    let need = newton_schulz_workspace_len(2);
    assert_eq!(ask(good, need - 1), Err(Error::Workspace { needed: need, found: need - 1 }));
    let one = NewtonSchulz { max_iterations: 1, ..good };
    assert_eq!(ask(one, need), Err(Error::NoConvergence { iterations: 1 }));
    let exact = NewtonSchulz { tolerance: T::EPSILON / T::from_f64(1e6), ..good };
    assert!(matches!(ask(exact, need), Err(Error::NoConvergence { .. })));
    for bad in [
        NewtonSchulz { max_iterations: 0, ..good },
        NewtonSchulz { tolerance: T::ZERO, ..good },
        NewtonSchulz { tolerance: T::NAN, ..good },
    ] {
        assert!(matches!(ask(bad, need), Err(Error::Parameter { .. })));
    }
    let (mut out, mut work) = (nans::<T>(6), nans(need));
    let o = mat_mut(&mut out, 3, 2);
    let wrong =
        newton_schulz(&Portable, o, mat(&a, 2, 2), T::ZERO, InverseRoot::First, good, &mut work);
    assert!(matches!(wrong, Err(Error::Shape { .. })));
}

both_dtypes!(
    roots_are_those_of_the_eigenvalues,
    damping_is_added_and_the_inverse_agrees,
    ill_conditioned,
    refusals,
);
