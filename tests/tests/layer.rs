//! Layer and two-layer metrics against naive dense sums in f64.

use relfisher_core::metric::layer::{
    LayerMetric, LinearMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric, dense_workspace_len,
    fold_scale,
};
use relfisher_core::metric::route::conjugate_gradient::Options;
use relfisher_core::metric::two_layer::TwoLayerMetric;
use relfisher_core::{Error, MatMut, MatRef, Portable, Real, blas};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, assert_symmetric, relative_error, to_f64};
use relfisher_tests::oracle::dense::{Matrix, dot};
use relfisher_tests::oracle::dual::{Number, jacobian};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::{Oracle, tolerance};

/// (n, m, d̃): one and none, n < d̃, n > d̃, odd, beyond the lane width.
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 4, 3),
    (3, 0, 4),
    (5, 2, 1),
    (7, 3, 5),
    (2, 5, 9),
    (23, 4, 6),
    (19, 3, 17),
    (33, 2, 21),
];

struct Batch<T> {
    n: usize,
    m: usize,
    d: usize,
    x: Vec<T>,
    nu: Vec<T>,
    eta: Vec<T>,
    v: Vec<T>,
}

fn batch<T: Real>(n: usize, m: usize, d: usize) -> Batch<T> {
    let mut random = Random::new((n * 10_000 + m * 100 + d) as u64);
    let mut nu: Vec<T> = random.uniforms(n * m, 0.0, 1.0);
    for (k, w) in nu.iter_mut().enumerate() {
        if k % 5 == 3 {
            *w = T::ZERO;
        }
    }
    let mut eta = Vec::new();
    for _ in 0..n {
        let e: Vec<f64> = (0..m).map(|_| (1.5 * random.normal()).exp()).collect();
        let sum: f64 = e.iter().sum();
        eta.extend(e.iter().map(|e| T::from_f64(e / sum)));
    }
    let x = random.augmented(n, d - 1);
    Batch { n, m, d, x, nu, eta, v: random.normals(m * d) }
}

/// `(1/n) Σ_s R_s ⊗ x̃_s x̃_sᵀ` from the definition.
fn naive<T: Real>(b: &Batch<T>, response: impl Fn(usize) -> Matrix) -> Matrix {
    let x = to_f64(&b.x);
    let mut sum = Matrix::zeros(b.m * b.d, b.m * b.d);
    for s in 0..b.n {
        let row = &x[s * b.d..(s + 1) * b.d];
        sum = sum.plus(1.0 / b.n as f64, &response(s).kron(&Matrix::outer(row, row)));
    }
    sum
}

fn diagonal_response<T: Real>(b: &Batch<T>, s: usize) -> Matrix {
    Matrix::diagonal(&to_f64(&b.nu[s * b.m..(s + 1) * b.m]))
}

fn softmax_response<T: Real>(b: &Batch<T>, s: usize) -> Matrix {
    let eta = to_f64(&b.eta[s * b.m..(s + 1) * b.m]);
    let outer = Matrix::outer(&eta, &eta);
    Matrix::diagonal(&eta).plus(-1.0, &outer)
}

/// Every provided method of a metric against the dense oracle.
fn check_against<T: Real, M: LayerMetric<T>>(label: &str, metric: &M, want: &Matrix, v: &[T]) {
    let (n, m, d) = (metric.samples(), metric.outputs(), metric.inputs());
    let size = n + d + m;
    let v64 = to_f64(v);
    let len = metric.multiply_workspace_len();

    let mut out = nans::<T>(m * d);
    metric.multiply(&Portable, mat_mut(&mut out, m, d), mat(v, m, d), &mut nans(len)).unwrap();
    assert_close(label, &out, &want.apply(&v64), "metric product", Oracle::Dense, size);

    let q = metric.quadratic_form(&Portable, mat(v, m, d), &mut nans(len)).unwrap();
    assert!(q >= T::ZERO);
    assert_close(label, &[q], &[want.quadratic_form(&v64)], "metric product", Oracle::Dense, size);

    let mut dense = nans::<T>(m * d * m * d);
    let scratch = dense_workspace_len(n, d);
    metric.dense(&Portable, mat_mut(&mut dense, m * d, m * d), &mut nans(scratch)).unwrap();
    assert_close(label, &dense, &want.data, "metric dense", Oracle::Dense, n + m);
    assert_symmetric(label, &dense, m * d);

    let mut diagonal = nans::<T>(m * d);
    metric.diagonal(mat_mut(&mut diagonal, m, d)).unwrap();
    let wanted: Vec<f64> = (0..m * d).map(|k| want.at(k, k)).collect();
    assert_close(label, &diagonal, &wanted, "metric dense", Oracle::Dense, n + m);

    if len > 0 {
        let mut short = nans::<T>(len - 1);
        let refused = metric.multiply(&Portable, mat_mut(&mut out, m, d), mat(v, m, d), &mut short);
        assert_eq!(refused, Err(Error::Workspace { needed: len, found: len - 1 }), "{label}");
        let refused = metric.quadratic_form(&Portable, mat(v, m, d), &mut short).map(|_| ());
        assert_eq!(refused, Err(Error::Workspace { needed: len, found: len - 1 }), "{label}");
    }
    let mut short = nans::<T>(scratch - 1);
    let refused = metric.dense(&Portable, mat_mut(&mut dense, m * d, m * d), &mut short);
    assert_eq!(refused, Err(Error::Workspace { needed: scratch, found: scratch - 1 }));
    let mut wrong = nans::<T>((m + 1) * d);
    let refused =
        metric.multiply(&Portable, mat_mut(&mut wrong, m + 1, d), mat(v, m, d), &mut nans(len));
    assert!(matches!(refused, Err(Error::Shape { .. })), "{label}: {refused:?}");
    assert!(wrong.iter().all(|x| !x.is_finite()), "{label}: written before the check");
}

fn nonlinear<T: Real>() {
    for (n, m, d) in SHAPES {
        let b = batch::<T>(n, m, d);
        let metric = NonlinearMetric::new(mat(&b.x, n, d), mat(&b.nu, n, m)).unwrap();
        let want = naive(&b, |s| diagonal_response(&b, s));
        check_against("nonlinear", &metric, &want, &b.v);

        let p = d * (d + 1) / 2;
        let mut packed = nans::<T>(m * p);
        let len = blas::packed_grams_workspace_len(n, m, d);
        metric.packed(&Portable, mat_mut(&mut packed, m, p), T::ZERO, &mut nans(len)).unwrap();
        for i in 0..m {
            let block = want.block(i * d, i * d, d, d);
            let got = &packed[i * p..(i + 1) * p];
            assert_close("packed", got, &block.packed(), "metric dense", Oracle::Dense, n);
            let mut full = nans::<T>(d * d);
            let mut work = nans(NonlinearMetric::<T>::block_workspace_len(n, d));
            metric.block(&Portable, mat_mut(&mut full, d, d), i, &mut work).unwrap();
            assert_close("block", &full, &block.data, "metric dense", Oracle::Dense, n);
        }
        // A moving average: half of the past, half of the present, is the present again.
        metric.packed(&Portable, mat_mut(&mut packed, m, p), T::HALF, &mut nans(len)).unwrap();
        for i in 0..m {
            let block = want.block(i * d, i * d, d, d).packed();
            let got = &packed[i * p..(i + 1) * p];
            assert_close("packed average", got, &block, "metric dense", Oracle::Dense, n);
        }
        let mut work = nans(NonlinearMetric::<T>::block_workspace_len(n, d));
        let mut full = nans::<T>(d * d);
        let refused = metric.block(&Portable, mat_mut(&mut full, d, d), m, &mut work);
        assert!(matches!(refused, Err(Error::Parameter { .. })));
    }
}

fn softmax<T: Real>() {
    for (n, m, d) in SHAPES {
        let b = batch::<T>(n, m, d);
        let metric = SoftmaxMetric::new(mat(&b.x, n, d), mat(&b.eta, n, m)).unwrap();
        if m != 1 {
            check_against("softmax", &metric, &naive(&b, |s| softmax_response(&b, s)), &b.v);
        }
        // Adding one vector to every w_i changes no probability.
        let shift: Vec<T> = (0..m * d).map(|k| b.v[k % d]).collect();
        let mut work = nans(metric.multiply_workspace_len());
        let q = metric.quadratic_form(&Portable, mat(&shift, m, d), &mut work).unwrap();
        let scale = dot(&to_f64(&shift), &to_f64(&shift)) * d as f64;
        let bound = tolerance::<T>("metric shift", Oracle::Identity, n + m + d);
        assert!(q.to_f64() <= bound * bound * scale, "{q} {bound} {scale}");
    }
    // The diagonal keeps its digits when a probability is one to working precision.
    let tiny = T::EPSILON * T::EPSILON;
    let eta = [T::ONE, tiny];
    let x = [T::ONE];
    let metric = SoftmaxMetric::new(mat(&x, 1, 1), mat(&eta, 1, 2)).unwrap();
    assert_eq!((metric.weight(0, 0, 0), metric.weight(0, 1, 1)), (tiny, tiny));
}

fn linear<T: Real>() {
    for (n, m, d) in SHAPES {
        let b = batch::<T>(n, m, d);
        let metric = LinearMetric::new(mat(&b.x, n, d), m, T::HALF).unwrap();
        let want = naive(&b, |_| Matrix::identity(b.m).scaled(4.0));
        check_against("linear", &metric, &want, &b.v);

        let mut block = nans::<T>(d * d);
        let mut work = nans(blas::gram_workspace_len(n, d));
        metric.block(&Portable, mat_mut(&mut block, d, d), &mut work).unwrap();
        if m > 0 {
            let wanted = want.block(0, 0, d, d);
            assert_close("block", &block, &wanted.data, "metric dense", Oracle::Dense, n);
        }
        let lambda = T::from_f64(0.25);
        let len = LinearMetric::<T>::solve_workspace_len(n, m, d);
        let mut out = nans::<T>(m * d);
        let g = mat(&b.v, m, d);
        metric.solve(&Portable, mat_mut(&mut out, m, d), g, lambda, &mut nans(len)).unwrap();
        let wanted = want.damped(0.25).solve_vector(&to_f64(&b.v));
        assert_close("solve", &out, &wanted, "damped solve", Oracle::Dense, n + d);
        let mut short = nans(len - 1);
        let refused = metric.solve(&Portable, mat_mut(&mut out, m, d), g, lambda, &mut short);
        assert_eq!(refused, Err(Error::Workspace { needed: len, found: len - 1 }));
        let out = mat_mut(&mut out, m, d);
        let singular = metric.solve(&Portable, out, g, T::ZERO, &mut nans(len));
        if n < d {
            assert!(matches!(singular, Err(Error::NotPositiveDefinite { .. })), "{singular:?}");
        }
    }
}

/// Two layers at one sample: u(W, C) = C [tanh(W x̃); 1].
fn output<N: Number>(theta: &[N], x: &[f64], m: usize, c: usize) -> Vec<N> {
    let d = x.len();
    let (w, upper) = theta.split_at(m * d);
    let zero = || N::constant(0.0);
    let mut h: Vec<N> =
        (0..m).map(|i| (0..d).fold(zero(), |t, a| t + w[i * d + a].scale(x[a])).tanh()).collect();
    h.push(N::constant(1.0));
    let row = |k: usize| &upper[k * (m + 1)..(k + 1) * (m + 1)];
    (0..c).map(|k| row(k).iter().zip(&h).fold(zero(), |u, (c, h)| u + *c * *h)).collect()
}

fn two_layers<T: Real>() {
    for (n, m, d, c) in [(1, 1, 1, 1), (3, 2, 4, 3), (7, 5, 3, 2), (5, 3, 2, 4)] {
        let mut random = Random::new((n * m * d * c) as u64);
        let x: Vec<T> = random.augmented(n, d - 1);
        let w: Vec<T> = random.normals(m * d);
        let upper: Vec<T> = random.normals(c * (m + 1));
        let (x64, w64, upper64) = (to_f64(&x), to_f64(&w), to_f64(&upper));
        let (mut slope, mut h) = (Vec::<T>::new(), Vec::<T>::new());
        for s in 0..n {
            for i in 0..m {
                let t = dot(&w64[i * d..(i + 1) * d], &x64[s * d..(s + 1) * d]);
                h.push(T::from_f64(t.tanh()));
                slope.push(T::from_f64(t.cosh().powi(-2)));
            }
            h.push(T::ONE);
        }
        let b = batch::<T>(n, c, d);
        let k = m + 1;
        let full = m * d + c * k;
        let theta = [w64, upper64].concat();
        for kind in 0..3 {
            let response = match kind {
                0 => ResponseMetric::Independent(mat(&b.nu, n, c)),
                1 => ResponseMetric::Softmax(mat(&b.eta, n, c)),
                _ => ResponseMetric::Constant { weight: T::TWO, outputs: c },
            };
            let mut want = Matrix::zeros(full, full);
            for s in 0..n {
                let x = &x64[s * d..(s + 1) * d];
                let j = Matrix::new(c, full, jacobian(|t| output(t, x, m, c), &theta));
                let r = match kind {
                    0 => diagonal_response(&b, s),
                    1 => softmax_response(&b, s),
                    _ => Matrix::identity(c).scaled(2.0),
                };
                want = want.plus(1.0 / n as f64, &j.t().times(&r).times(&j));
            }
            if c == 1 && kind == 1 {
                continue;
            }
            let (x, slope) = (mat(&x, n, d), mat(&slope, n, m));
            let (h, upper) = (mat(&h, n, k), mat(&upper, c, k));
            let metric = TwoLayerMetric::new(x, slope, h, upper, response).unwrap();
            metric.check_inputs().unwrap();
            check_two_layers(&metric, &want, &random.normals(full), (n, m, d, c));
        }
    }
}

/// The whole metric and its diagonal blocks against the dense oracle.
fn check_two_layers<T: Real>(
    metric: &TwoLayerMetric<'_, T>,
    want: &Matrix,
    v: &[T],
    (n, m, d, c): (usize, usize, usize, usize),
) {
    let k = m + 1;
    let full = m * d + c * k;
    let near = |label: &str, got: &[T], want: &[f64]| {
        assert_close(label, got, want, "metric two layers", Oracle::Dense, n + d + m + c);
    };
    assert_eq!(metric.parameters(), full);
    let mut dense = nans::<T>(full * full);
    let mut work = nans(dense_workspace_len(n, d.max(k)));
    metric.dense(&Portable, mat_mut(&mut dense, full, full), &mut work).unwrap();
    near("dense", &dense, &want.data);
    assert_symmetric("two layers", &dense, full);

    let (v_w, v_c) = v.split_at(m * d);
    let (low64, high64) = (to_f64(v_w), to_f64(v_c));
    let (v_w, v_c) = (mat(v_w, m, d), mat(v_c, c, k));
    let len = TwoLayerMetric::<T>::multiply_workspace_len(n, m, c);
    let mut out = nans::<T>(full);
    let (out_w, out_c) = out.split_at_mut(m * d);
    let (out_w, out_c) = (mat_mut(out_w, m, d), mat_mut(out_c, c, k));
    metric.multiply(&Portable, out_w, out_c, v_w, v_c, &mut nans(len)).unwrap();
    near("product", &out, &want.apply(&to_f64(v)));
    let q = metric.quadratic_form(&Portable, v_w, v_c, &mut nans(len)).unwrap();
    near("form", &[q], &[want.quadratic_form(&to_f64(v))]);
    let refused = metric.quadratic_form(&Portable, v_w, v_c, &mut nans(len - 1)).map(|_| ());
    assert_eq!(refused, Err(Error::Workspace { needed: len, found: len - 1 }));

    let parameters = metric.parameters();
    let len = TwoLayerMetric::<T>::solve_workspace_len(n, m, c, parameters);
    let (options, lambda) = (Options::default(), T::from_f64(0.25));
    let mut out = nans::<T>(full);
    metric.solve(&Portable, &mut out, v, lambda, options, &mut nans(len)).unwrap();
    let wanted = want.damped(0.25).solve_vector(&to_f64(v));
    assert_close("solve", &out, &wanted, "damped solve", Oracle::Dense, 4 * full);
    let refused = metric.solve(&Portable, &mut out, v, lambda, options, &mut nans(len - 1));
    assert_eq!(refused, Err(Error::Workspace { needed: len, found: len - 1 }));
    let refused = metric.solve(&Portable, &mut out, v, T::ZERO, options, &mut nans(len));
    assert!(matches!(refused, Err(Error::Parameter { .. })));
    let mut bad = v.to_vec();
    bad[full - 1] = T::NAN;
    let refused = metric.solve(&Portable, &mut out, &bad, lambda, options, &mut nans(len));
    assert_eq!(refused, Err(Error::NonFinite { what: "g", index: full - 1 }));

    let lower = metric.lower();
    let block = want.block(0, 0, m * d, m * d);
    let mut out = nans::<T>(m * d);
    let mut work = nans(lower.multiply_workspace_len());
    lower.multiply(&Portable, mat_mut(&mut out, m, d), v_w, &mut work).unwrap();
    near("lower product", &out, &block.apply(&low64));
    let q = lower.quadratic_form(&Portable, v_w, &mut work).unwrap();
    near("lower form", &[q], &[block.quadratic_form(&low64)]);
    let upper = metric.upper();
    let block = want.block(m * d, m * d, c * k, c * k);
    let mut out = nans::<T>(c * k);
    let mut work = nans(upper.multiply_workspace_len());
    upper.multiply(&Portable, mat_mut(&mut out, c, k), v_c, &mut work).unwrap();
    near("upper product", &out, &block.apply(&high64));
    let mut cross = nans::<T>(m * d * c * k);
    let mut work = nans(dense_workspace_len(n, d));
    metric.cross(&Portable, mat_mut(&mut cross, m * d, c * k), &mut work).unwrap();
    near("cross", &cross, &want.block(0, m * d, m * d, c * k).data);
}

fn refusals<T: Real>() {
    let x = [T::ONE; 6];
    let none: [T; 0] = [];
    let empty = NonlinearMetric::new(mat(&none, 0, 3), mat(&none, 0, 2)).map(|_| ());
    assert!(matches!(empty, Err(Error::Parameter { .. })));
    let rows = NonlinearMetric::new(mat(&x, 2, 3), mat(&x, 3, 2)).map(|_| ());
    assert!(matches!(rows, Err(Error::Shape { expected: 2, found: 3, .. })));
    let strided = MatRef::with_strides(&x, 2, 3, 1, 2).unwrap();
    assert!(matches!(NonlinearMetric::new(strided, mat(&x, 2, 1)), Err(Error::Layout { .. })));
    assert!(matches!(SoftmaxMetric::new(mat(&x, 2, 3), strided), Err(Error::Layout { .. })));
    for sigma in [T::ZERO, -T::ONE, T::NAN, T::MIN_POSITIVE] {
        let refused = LinearMetric::new(mat(&x, 2, 3), 1, sigma).map(|_| ());
        assert!(matches!(refused, Err(Error::Parameter { .. })), "{sigma}");
    }
    let bad = [T::ONE, T::NAN];
    let metric = NonlinearMetric::new(mat(&x, 2, 3), mat(&bad, 2, 1)).unwrap();
    assert_eq!(metric.check_inputs(), Err(Error::NonFinite { what: "nu", index: 1 }));
    let negative = [T::ONE, -T::ONE];
    let metric = NonlinearMetric::new(mat(&x, 2, 3), mat(&negative, 2, 1)).unwrap();
    assert_eq!(metric.check_inputs(), Err(Error::Parameter { what: "nu must be >= 0" }));
}

fn scale_and_strides<T: Real>() {
    // ν with s² folded in is the metric of the scaled inputs.
    let b = batch::<T>(7, 3, 5);
    let mut nu = b.nu.clone();
    let scale: Vec<T> = [0.5, -2.0, 0.0].iter().map(|s| T::from_f64(*s)).collect();
    fold_scale(mat_mut(&mut nu, 7, 3), &scale).unwrap();
    for (k, (folded, plain)) in nu.iter().zip(&b.nu).enumerate() {
        assert!(*folded == scale[k % 3] * scale[k % 3] * *plain);
    }
    assert!(fold_scale(mat_mut(&mut nu, 7, 3), &scale[..2]).is_err());
    // Padded rows give the bits of tight ones.
    let mut padded = nans::<T>(7 * 8);
    for s in 0..7 {
        padded[s * 8..s * 8 + 5].copy_from_slice(&b.x[s * 5..(s + 1) * 5]);
    }
    let mut outputs = [nans::<T>(15), nans::<T>(15)];
    let views = [mat(&b.x, 7, 5), MatRef::with_strides(&padded, 7, 5, 8, 1).unwrap()];
    for (out, x) in outputs.iter_mut().zip(views) {
        let metric = NonlinearMetric::new(x, mat(&b.nu, 7, 3)).unwrap();
        let out = MatMut::new(out, 3, 5).unwrap();
        metric.multiply(&Portable, out, mat(&b.v, 3, 5), &mut nans(21)).unwrap();
    }
    assert!(relative_error(&outputs[0], &to_f64(&outputs[1])) == 0.0);
}

both_dtypes!(nonlinear, softmax, linear, two_layers, refusals, scale_and_strides);
