//! Powers of the 2 × 2 blocks of a batch normalisation against eigenvalues of dense matrices.

use relfisher_core::metric::normalisation::{power, solve};
use relfisher_core::{Error, MatMut, MatRef, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, cast, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle::{Dense, Sibling};

/// Channels.
const C: usize = 40;

/// Sums of outer products, the last ones of two vectors that are nearly one, packed; and vectors.
fn problem<T: Real>(scale: f64) -> (Vec<T>, Vec<T>) {
    let mut random = Random::new(3);
    let blocks: Vec<f64> = (0..C)
        .flat_map(|c| {
            let u: Vec<f64> = random.normals(2);
            let far = if c < C / 2 { 1.0 } else { 1e-3 };
            let w: Vec<f64> = u.iter().map(|u| u + far * random.normal()).collect();
            let sum = |i: usize, j: usize| scale * (u[i] * u[j] + w[i] * w[j]);
            [sum(0, 0), sum(0, 1), sum(1, 1)]
        })
        .chain([0.0, 0.0, 0.0]) // nothing but the damping
        .chain([2.0 * scale, 0.0, 2.0 * scale]) // one eigenvalue, twice
        .collect();
    (cast(&blocks), random.normals(2 * (C + 2)))
}

fn called<T: Real>(blocks: &[T], v: &[T], p: f64, damping: f64) -> Result<Vec<T>, Error> {
    let (mut v, n) = (v.to_vec(), v.len() / 2);
    let blocks = MatRef::new(blocks, n, 3)?;
    power(MatMut::new(&mut v, n, 2)?, blocks, T::from_f64(p), T::from_f64(damping))?;
    Ok(v)
}

/// (B + λI)⁻ᵖ v through the eigendecomposition of the matrix written out.
fn powers_are_those_of_the_eigenvalues<T: Real>() {
    for scale in [1.0, 1e-30, 1e30] {
        let (blocks, v) = problem::<T>(scale);
        let lambda = T::from_f64(0.1 * scale).to_f64();
        for p in [0.0, 0.25, 0.5, 0.9, 1.0] {
            let p = T::from_f64(p).to_f64();
            let got = called(&blocks, &v, p, lambda).unwrap();
            for ((b, v), got) in blocks.chunks(3).zip(v.chunks(2)).zip(got.chunks(2)) {
                let b = to_f64(b);
                // In units of the scale, which the oracle's rotations need not stand.
                let matrix = Matrix::new(2, 2, vec![b[0], b[1], b[1], b[2]]).scaled(1.0 / scale);
                let f = |x: f64| (x.max(0.0) + lambda / scale).powf(-p) * scale.powf(-p);
                let want = matrix.function(f).apply(&to_f64(v));
                assert_close(&format!("{scale} {p} {b:?}"), got, &want, "block power", Dense, 1);
            }
        }
    }
}

fn the_first_power_is_the_solve<T: Real>() {
    let (blocks, v) = problem::<T>(1.0);
    let want = {
        let mut v = v.clone();
        let view = MatMut::new(&mut v, C + 2, 2).unwrap();
        solve(view, MatRef::new(&blocks, C + 2, 3).unwrap(), T::from_f64(0.1)).unwrap();
        to_f64(&v)
    };
    let got = called(&blocks, &v, 1.0, 0.1).unwrap();
    assert_close("solve", &got, &want, "block power", Sibling, 1);
    assert!(called(&blocks, &v, 0.0, 0.0).unwrap() == v, "the power 0 is the identity");
}

fn what_has_no_power_is_refused<T: Real>() {
    let one = |block: [f64; 3], p: f64, damping: f64| {
        called(&cast::<T>(&block), &[T::ONE, T::ONE], p, damping)
    };
    let good = [2.0, 1.0, 2.0];
    for (p, damping) in [(-0.1, 0.1), (1.1, 0.1), (f64::NAN, 0.1), (0.5, -0.1), (0.5, f64::NAN)] {
        assert!(matches!(one(good, p, damping), Err(Error::Parameter { .. })), "{p} {damping}");
    }
    let indefinite = |pivot| Err(Error::NotPositiveDefinite { block: 0, pivot });
    for (block, pivot) in [([-1.0, 0.0, 1.0], 0), ([1.0, 0.0, -1.0], 1), ([1.0, 1.0, 1.0], 1)] {
        assert_eq!(one(block, 0.5, 0.0), indefinite(pivot), "{block:?}");
    }
    assert_eq!(one([0.0; 3], 0.5, 0.0), indefinite(1));
    assert!(one([1.0, 1.0, 1.0], 0.5, 0.1).is_ok());
    let huge = T::MAX.to_f64();
    assert_eq!(one([huge, huge, huge], 0.5, 0.1), indefinite(1));
    for (block, at) in [([f64::NAN, 0.0, 1.0], 0), ([1.0, 0.0, f64::INFINITY], 2)] {
        assert_eq!(one(block, 0.5, 0.1), Err(Error::NonFinite { what: "blocks", index: at }));
    }
    let v = called(&cast::<T>(&good), &[T::ONE, T::NAN], 0.5, 0.1);
    assert_eq!(v, Err(Error::NonFinite { what: "v", index: 1 }));
    let (mut v, b) = ([T::ONE; 4], [T::ONE; 6]);
    let two = MatRef::new(&b, 2, 3).unwrap();
    for (rows, cols, blocks) in [(1, 4, two), (4, 1, two), (2, 2, two.sub(0, 0, 1, 3).unwrap())] {
        let v = MatMut::new(&mut v, rows, cols).unwrap();
        assert!(matches!(power(v, blocks, T::HALF, T::ONE), Err(Error::Shape { .. })));
    }
}

both_dtypes!(
    powers_are_those_of_the_eigenvalues,
    the_first_power_is_the_solve,
    what_has_no_power_is_refused
);
