//! Exact blocks, the recursion of Hessians, and KFRA.

use crate::net::{LOSSES, Net, loss};
use crate::output::typed;
use relfisher_core::curvature::{
    exact_block, exact_block_workspace_len, exact_diagonal, exact_diagonal_workspace_len,
    hessian_step, hessian_step_workspace_len, kfra_step, kfra_step_workspace_len,
    packed_second_moments,
};
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, assert_symmetric, cast, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::oracle::dual::{Number, constants, hessian, jacobian};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Dual, Identity};

/// (n, m, d): none and one, odd, more pairs than one chunk, more samples than one chunk.
const SHAPES: [(usize, usize, usize); 9] = [
    (0, 2, 3),
    (1, 1, 1),
    (3, 0, 2),
    (3, 2, 0),
    (1, 4, 3),
    (5, 3, 7),
    (7, 6, 4),
    (67, 9, 2),
    (130, 2, 5),
];

fn blocks_are_sums_of_kronecker_products<T: Real>() {
    let mut random = Random::new(611);
    for (n, m, d) in SHAPES {
        let (pairs, p) = (m * (m + 1) / 2, m * d);
        let (h, x) = (random.normals::<T>(n * pairs), random.normals::<T>(n * d));
        let alpha = T::from_f64(0.3);
        let mut want = Matrix::zeros(p, p);
        for s in 0..n {
            let h = Matrix::unpacked(&to_f64(&h[s * pairs..(s + 1) * pairs]), m);
            let x = to_f64(&x[s * d..(s + 1) * d]);
            want = want.plus(alpha.to_f64(), &h.kron(&Matrix::outer(&x, &x)));
        }
        let (mut out, need) = (nans::<T>(p * p), exact_block_workspace_len(n, m, d));
        let mut work = nans(need);
        let (hv, xv) = (mat(&h, n, pairs), mat(&x, n, d));
        exact_block(&Portable, mat_mut(&mut out, p, p), hv, xv, alpha, &mut work).unwrap();
        assert_close("exact block", &out, &want.data, "exact block", Dense, n);
        assert_symmetric("exact block", &out, p);
        if need > 0 {
            let mut work = nans(need - 1);
            let short = exact_block(&Portable, mat_mut(&mut out, p, p), hv, xv, alpha, &mut work);
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
        let diagonals: Vec<T> = (0..n)
            .flat_map(|s| (0..m).map(move |i| s * pairs + i * (i + 3) / 2))
            .map(|k| h[k])
            .collect();
        let (mut out, need) = (nans::<T>(p), exact_diagonal_workspace_len(n, d));
        let (hv, mut work) = (mat(&diagonals, n, m), nans(need));
        exact_diagonal(&Portable, mat_mut(&mut out, m, d), hv, xv, alpha, &mut work).unwrap();
        let want: Vec<f64> = (0..p).map(|k| want.at(k, k)).collect();
        assert_close("exact diagonal", &out, &want, "exact block", Dense, n);
        if need > 0 {
            let mut work = nans(need - 1);
            let o = mat_mut(&mut out, m, d);
            let short = exact_diagonal(&Portable, o, hv, xv, alpha, &mut work);
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
    }
}

/// A batch at every layer: inputs x̃, pre-activations.
struct Batch {
    net: Net,
    /// Pre-activations: by layer, by sample.
    h: Vec<Vec<Vec<f64>>>,
    x: Vec<Vec<f64>>,
}

fn batch(sizes: &[usize], n: usize, seed: u64) -> Batch {
    let mut random = Random::new(seed);
    let net = Net::new(sizes, &mut random);
    let x: Vec<Vec<f64>> = (0..n).map(|_| random.normals(sizes[0])).collect();
    let all: Vec<Vec<Vec<f64>>> = x.iter().map(|x| net.forward(x)).collect();
    let h = (0..net.weights.len()).map(|l| all.iter().map(|h| h[l].clone()).collect()).collect();
    Batch { net, h, x }
}

/// f′ and f″ of tanh by their definition through dual numbers.
fn slope_and_bend(h: f64) -> (f64, f64) {
    let f = |x: &[relfisher_tests::oracle::dual::Second]| x[0].tanh();
    let slope = jacobian(|x| vec![x[0].tanh()], &[h])[0];
    (slope, hessian(f, &[h])[0])
}

fn flat(rows: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    rows.flatten().collect()
}

fn recursion_is_the_second_derivative<T: Real>() {
    for (kind, seed) in LOSSES.into_iter().zip(620..) {
        let n = 4;
        let b = batch(&[3, 5, 4, 3], n, seed);
        let last = b.h.len() - 1;
        let exact = |l: usize, s: usize| {
            let f = |h: &[relfisher_tests::oracle::dual::Second]| loss(kind, &b.net.above(l, h));
            Matrix::new(b.h[l][s].len(), b.h[l][s].len(), hessian(f, &b.h[l][s])).packed()
        };
        let gauss_newton = |l: usize, s: usize| {
            let m = b.h[l][s].len();
            let f = |h: &[relfisher_tests::oracle::dual::Second]| loss(kind, h);
            let out = b.net.above(l, &constants::<f64>(&b.h[l][s]));
            let lambda = Matrix::new(out.len(), out.len(), hessian(f, &out));
            let j = Matrix::new(out.len(), m, jacobian(|h| b.net.above(l, h), &b.h[l][s]));
            j.t().times(&lambda).times(&j).packed()
        };
        let top = flat((0..n).map(|s| exact(last, s)));
        let (mut full, mut gn): (Vec<T>, Vec<T>) = (cast(&top), cast(&top));
        for l in (0..last).rev() {
            let w = &b.net.weights[l + 1];
            let (m, d) = (w.rows, w.cols - 1);
            let both: Vec<(f64, f64)> =
                b.h[l].iter().flatten().map(|h| slope_and_bend(*h)).collect();
            let slope: Vec<T> = cast(&both.iter().map(|b| b.0).collect::<Vec<_>>());
            let gradients = flat(b.h[l].iter().map(|h| b.net.activation_gradient(kind, l, h)));
            let bend: Vec<T> =
                cast(&both.iter().zip(&gradients).map(|(b, g)| b.1 * g).collect::<Vec<_>>());
            let weights: Vec<T> = cast(&w.data);
            let w = mat(&weights, m, d + 1).sub(0, 0, m, d).unwrap();
            let need = hessian_step_workspace_len(m, d);
            let step = |h: &[T], bend: Option<&[T]>| {
                let (mut out, len) = (nans::<T>(n * d * (d + 1) / 2), d * (d + 1) / 2);
                let (h, slope) = (mat(h, n, m * (m + 1) / 2), mat(&slope, n, d));
                let (o, bend) = (mat_mut(&mut out, n, len), bend.map(|b| mat(b, n, d)));
                hessian_step(&Portable, o, h, w, slope, bend, &mut nans(need)).unwrap();
                let o = mat_mut(&mut out[..], n, len);
                let short = hessian_step(&Portable, o, h, w, slope, bend, &mut nans(need - 1));
                assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
                out
            };
            (full, gn) = (step(&full, Some(&bend)), step(&gn, None));
            let want = flat((0..n).map(|s| exact(l, s)));
            assert_close(&format!("{kind:?} H {l}"), &full, &want, "recursion", Dual, m + d);
            let want = flat((0..n).map(|s| gauss_newton(l, s)));
            assert_close(&format!("{kind:?} GGN {l}"), &gn, &want, "recursion", Dual, m + d);
        }
    }
}

fn block_of_a_layer_is_the_hessian_in_its_weights<T: Real>() {
    let (kind, n) = (LOSSES[0], 3);
    let b = batch(&[2, 3, 4], n, 630);
    // layer 0: the Hessian of the mean loss in W̃ by dual numbers through the whole network
    let (m, d) = (3, 3);
    let mean = |w: &[relfisher_tests::oracle::dual::Second]| {
        let losses = b.x.iter().map(|x| {
            let x: Vec<f64> = x.iter().copied().chain([1.0]).collect();
            let h: Vec<_> = w.chunks(d).map(|w| Number::dot(w, &constants(&x))).collect();
            loss(kind, &b.net.above(0, &h))
        });
        Number::sum(&losses.collect::<Vec<relfisher_tests::oracle::dual::Second>>())
            .scale(1.0 / n as f64)
    };
    let want = hessian(mean, &b.net.weights[0].data);
    let h: Vec<T> = cast(&flat(b.h[0].iter().map(|h| {
        let f = |h: &[relfisher_tests::oracle::dual::Second]| loss(kind, &b.net.above(0, h));
        Matrix::new(m, m, hessian(f, h)).packed()
    })));
    let x: Vec<T> = cast(&flat(b.x.iter().map(|x| x.iter().copied().chain([1.0]).collect())));
    let (mut out, p) = (nans::<T>(m * d * m * d), m * d);
    let (o, alpha) = (mat_mut(&mut out, p, p), T::ONE / T::from_usize(n));
    let mut work = nans(exact_block_workspace_len(n, m, d));
    exact_block(&Portable, o, mat(&h, n, 6), mat(&x, n, d), alpha, &mut work).unwrap();
    assert_close("layer 0", &out, &want, "exact block", Dual, n);
}

fn kflr_columns_sum_to_the_gauss_newton_recursion<T: Real>() {
    // δ = B Wᵀ c for the columns c of the output's root: Σ_c δδᵀ is the GGN 𝓗 below
    for (kind, seed) in LOSSES.into_iter().zip(640..) {
        let mut random = Random::new(seed);
        let (n, m, d) = (5, 3, 4);
        let mut p = random.uniforms::<f64>(n * m, 0.1, 1.0);
        p.chunks_mut(m).for_each(|r| {
            let sum: f64 = r.iter().sum();
            r.iter_mut().for_each(|p| *p /= sum);
        });
        let p: Vec<T> = cast(&p);
        let (w, slope) = (random.normals::<T>(m * d), random.uniforms::<T>(n * d, 0.0, 1.0));
        let (above, below) = (m * (m + 1) / 2, d * (d + 1) / 2);
        let loss = typed::<T>(kind);
        let (mut h, mut want) = (nans::<T>(n * above), nans::<T>(n * below));
        loss.hessian_packed(mat_mut(&mut h, n, above), mat(&p, n, m)).unwrap();
        let mut work = nans(hessian_step_workspace_len(m, d));
        let (hv, wv, sv) = (mat(&h, n, above), mat(&w, m, d), mat(&slope, n, d));
        let o = mat_mut(&mut want, n, below);
        hessian_step(&Portable, o, hv, wv, sv, None, &mut work).unwrap();
        let mut sum = nans::<T>(n * below);
        for c in 0..loss.root_columns(m) {
            let mut root = nans::<T>(n * m);
            loss.hessian_root(mat_mut(&mut root, n, m), mat(&p, n, m), c).unwrap();
            let back = Matrix::new(n, m, to_f64(&root)).times(&Matrix::new(m, d, to_f64(&w)));
            let delta: Vec<T> =
                back.data.iter().zip(&slope).map(|(d, b)| T::from_f64(d * b.to_f64())).collect();
            let beta = if c == 0 { T::ZERO } else { T::ONE };
            packed_second_moments(mat_mut(&mut sum, n, below), beta, mat(&delta, n, d)).unwrap();
        }
        assert_close("kflr", &sum, &to_f64(&want), "recursion", Identity, m + d);
    }
}

fn second_moments_keep_what_beta_says<T: Real>() {
    let mut random = Random::new(650);
    for (n, m) in [(0, 2), (1, 1), (3, 0), (4, 5)] {
        let (pairs, half) = (m * (m + 1) / 2, T::HALF);
        let (start, delta) = (random.normals::<T>(n * pairs), random.normals::<T>(n * m));
        let mut out = start.clone();
        packed_second_moments(mat_mut(&mut out, n, pairs), half, mat(&delta, n, m)).unwrap();
        let outer = |s: usize| {
            let d = to_f64(&delta[s * m..(s + 1) * m]);
            Matrix::outer(&d, &d).packed()
        };
        let want: Vec<f64> =
            start.iter().zip(flat((0..n).map(outer))).map(|(a, b)| 0.5 * a.to_f64() + b).collect();
        assert_close("second moments", &out, &want, "exact block", Dense, 1);
    }
}

fn kfra_is_the_averaged_recursion<T: Real>() {
    let mut random = Random::new(660);
    for (n, m, d) in [(1, 1, 1), (3, 2, 5), (4, 5, 2), (1, 0, 3), (2, 3, 0), (70, 4, 19)] {
        let (g, w) = (random.spd::<T>(m, 5.0), random.normals::<T>(m * d));
        let slope = random.uniforms::<T>(n * d, -0.5, 1.0);
        let (gm, wm) = (Matrix::new(m, m, to_f64(&g)), Matrix::new(m, d, to_f64(&w)));
        let inner = wm.t().times(&gm).times(&wm);
        let want = Matrix::from_fn(d, d, |i, j| {
            let b = |s: usize, i: usize| slope[s * d + i].to_f64();
            inner.at(i, j) * (0..n).map(|s| b(s, i) * b(s, j)).sum::<f64>() / n as f64
        });
        let (mut out, need) = (nans::<T>(d * d), kfra_step_workspace_len(n, m, d));
        let (gv, wv, bv) = (mat(&g, m, m), mat(&w, m, d), mat(&slope, n, d));
        let o = mat_mut(&mut out, d, d);
        kfra_step(&Portable, o, gv, wv, bv, &mut nans(need)).unwrap();
        assert_close("kfra", &out, &want.data, "kfra", Dense, m * m + n);
        assert_symmetric("kfra", &out, d);
        if need > 0 {
            let o = mat_mut(&mut out, d, d);
            let short = kfra_step(&Portable, o, gv, wv, bv, &mut nans(need - 1));
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
    }
    let none = mat::<T>(&[], 0, 1);
    let (one, mut work) = ([T::ONE], nans(kfra_step_workspace_len(0, 1, 1)));
    let (g, mut out) = (mat(&one, 1, 1), nans(1));
    let refused = kfra_step(&Portable, mat_mut(&mut out, 1, 1), g, g, none, &mut work);
    assert!(matches!(refused, Err(Error::Parameter { .. })));
}

both_dtypes!(
    blocks_are_sums_of_kronecker_products,
    recursion_is_the_second_derivative,
    block_of_a_layer_is_the_hessian_in_its_weights,
    kflr_columns_sum_to_the_gauss_newton_recursion,
    second_moments_keep_what_beta_says,
    kfra_is_the_averaged_recursion,
);
