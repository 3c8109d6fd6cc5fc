//! Every construction of the packed blocks against the definition
//! `out[i, k(a, b)] = α Σ_s ν_si x_sa x_sb + β out[i, k(a, b)]`.

use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::metric::cost::Construction;
use relfisher_core::{MatMut, MatRef};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, to_f64};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, nans};
use relfisher_tests::tolerance::Oracle;

/// (m, d, n): rows of the triangle shorter and longer than a vector and than a panel of three, of
/// 2 to 16 elements each; groups of neurons that are full or not; slabs of 128 samples likewise.
const SHAPES: [(usize, usize, usize); 15] = [
    (1, 1, 1),
    (3, 1, 130),
    (9, 2, 129),
    (4, 3, 128),
    (2, 9, 127),
    (7, 15, 40),
    (8, 16, 128),
    (13, 17, 257),
    (5, 47, 33),
    (11, 48, 127),
    (8, 49, 130),
    (16, 65, 3),
    (80, 81, 50),
    (21, 81, 300),
    (1, 130, 20),
];

/// The blocks on one thread; two and three give the same bits, scratch of other calls or not.
fn build<T: Scalar>(
    how: Construction,
    start: &[T],
    x: MatRef<'_, T>,
    nu: MatRef<'_, T>,
    (beta, alpha): (T, T),
) -> Vec<T> {
    let (m, pairs) = (nu.cols(), x.cols() * (x.cols() + 1) / 2);
    let [one, two, three] = [1, 2, 3].map(|threads| {
        let cpu = Cpu::new(Some(threads)).expect("threads");
        let [fresh, again] = [(); 2].map(|()| {
            let mut out = start.to_vec();
            let stride = out.len() / m;
            let view = MatMut::with_strides(&mut out, m, pairs, stride, 1).expect("shape");
            cpu.packed_grams_by(view, (beta, alpha), x, nu, Some(how)).expect("shapes");
            out
        });
        assert_bits_equal(&format!("{how:?}, repeated"), &fresh, &again);
        fresh
    });
    assert_bits_equal(&format!("{how:?}, 1 and 2 threads"), &one, &two);
    assert_bits_equal(&format!("{how:?}, 1 and 3 threads"), &one, &three);
    one
}

/// Entries (neuron, a, b) in the order of the packed blocks.
fn entries(m: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..m).flat_map(move |i| (0..d).flat_map(move |a| (0..=a).map(move |b| (i, a, b))))
}

fn the_definition<T: Scalar>() {
    let mut random = Random::new(1);
    for (m, d, n) in SHAPES {
        let (x, nu) = (random.normals::<T>(n * d), random.uniforms::<T>(n * m, -0.5, 1.0));
        let kept = random.normals::<T>(m * d * (d + 1) / 2);
        let sum = |(i, a, b): (usize, usize, usize)| -> f64 {
            let term =
                |s: usize| nu[s * m + i].to_f64() * x[s * d + a].to_f64() * x[s * d + b].to_f64();
            (0..n).map(term).sum()
        };
        let sums: Vec<f64> = entries(m, d).map(sum).collect();
        for (beta, alpha) in [(0.0, 1.0), (0.0, 0.5), (0.5, -0.5), (1.0, 2.0)] {
            let start = if beta == 0.0 { nans(kept.len()) } else { kept.clone() };
            let old = kept.iter().map(|k| beta * k.to_f64());
            let want: Vec<f64> = sums.iter().zip(old).map(|(s, old)| alpha * s + old).collect();
            let scale = (T::from_f64(beta), T::from_f64(alpha));
            for how in Construction::ALL {
                let got = build(how, &start, mat(&x, n, d), mat(&nu, n, m), scale);
                let label = format!("{how:?} {m} {d} {n} beta {beta}");
                assert_close(&label, &got, &want, "packed_grams", Oracle::Dense, n + 8);
            }
        }
    }
}

fn gaps_between_rows_stay<T: Scalar>() {
    let mut random = Random::new(2);
    let (m, d, n) = (11, 20, 131);
    let pairs = d * (d + 1) / 2;
    let (x, nu) = (random.normals::<T>(n * (d + 3)), random.normals::<T>(n * (m + 1)));
    let gapped = (
        MatRef::with_strides(&x, n, d, d + 3, 1).expect("shape"),
        MatRef::with_strides(&nu, n, m, m + 1, 1).expect("shape"),
    );
    let solid = |rows: &[T], cols: usize, stride: usize| -> Vec<T> {
        rows.chunks(stride).flat_map(|row| row[..cols].to_vec()).collect()
    };
    let (x, nu) = (solid(&x, d, d + 3), solid(&nu, m, m + 1));
    let scale = (T::ZERO, T::ONE);
    for how in Construction::ALL {
        let want = build(how, &nans(m * pairs), mat(&x, n, d), mat(&nu, n, m), scale);
        let out = build(how, &nans(m * (pairs + 5)), gapped.0, gapped.1, scale);
        assert_bits_equal(&format!("{how:?}"), &solid(&out, pairs, pairs + 5), &want);
        let gaps = out.chunks(pairs + 5).flat_map(|row| &row[pairs..]);
        assert!(
            gaps.into_iter().all(|gap| gap.to_f64().is_nan()),
            "{how:?} wrote between the rows"
        );
    }
}

/// What is not a number stays in the entries that it belongs to: no lane leaks into another.
fn bad_inputs_stay_in_their_entries<T: Scalar>() {
    let mut random = Random::new(3);
    let (m, d, n) = (10, 37, 140);
    let (x, nu) = (random.normals::<T>(n * d), random.normals::<T>(n * m));
    let start = nans(m * d * (d + 1) / 2);
    for how in Construction::ALL {
        let run =
            |x: &[T], nu: &[T]| build(how, &start, mat(x, n, d), mat(nu, n, m), (T::ZERO, T::ONE));
        let clean = run(&x, &nu);
        assert!(clean.iter().all(|v| v.is_finite()));
        for column in [0, 1, 15, 16, 20, d - 1] {
            let mut bad = x.clone();
            bad[(n - 1) * d + column] = T::NAN;
            let want = entries(m, d)
                .zip(&clean)
                .map(|((_, a, b), v)| if a == column || b == column { T::NAN } else { *v });
            let want: Vec<T> = want.collect();
            assert_bits_equal(&format!("{how:?}, column {column}"), &run(&bad, &nu), &want);
        }
        for neuron in [0, 7, m - 1] {
            let mut bad = nu.clone();
            bad[neuron] = T::INFINITY;
            let got = run(&x, &bad);
            for (((i, ..), got), clean) in entries(m, d).zip(&got).zip(&clean) {
                assert!(if i == neuron { !got.is_finite() } else { got == clean }, "{how:?}");
            }
        }
    }
}

fn no_shape_is_too_small<T: Scalar>() {
    let kept = Random::new(4).normals::<T>(12);
    for how in Construction::ALL {
        // no samples: β out is left; no neurons, no inputs: nothing is
        let got = build(how, &kept, mat(&[], 0, 3), mat(&[], 0, 2), (T::HALF, T::ONE));
        let want: Vec<f64> = to_f64(&kept).iter().map(|k| 0.5 * k).collect();
        assert_close(&format!("{how:?}"), &got, &want, "packed_grams", Oracle::Dense, 1);
        let cpu = Cpu::new(Some(2)).expect("threads");
        let (x, nu) = (mat(&kept, 4, 3), mat(&kept, 4, 0));
        let none = MatMut::new(&mut [], 0, 6).expect("shape");
        cpu.packed_grams_by(none, (T::ZERO, T::ONE), x, nu, Some(how)).expect("no neurons");
        let none = MatMut::new(&mut [], 3, 0).expect("shape");
        let (x, nu) = (mat(&kept, 4, 0), mat(&kept, 4, 3));
        cpu.packed_grams_by(none, (T::ZERO, T::ONE), x, nu, Some(how)).expect("no inputs");
    }
}

both_dtypes!(
    the_definition,
    gaps_between_rows_stay,
    bad_inputs_stay_in_their_entries,
    no_shape_is_too_small,
);
