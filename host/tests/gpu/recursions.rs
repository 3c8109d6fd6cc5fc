//! Curvature that goes back through a layer, as sequences of launches: KFLR's rows and KFRA's averaged factor.

use relfisher::Scalar;
use relfisher::executor::cuda::{Buffer, Matrix, MatrixMut, Side};
use relfisher_core::metric::neuron::Activation;

use crate::Case;
use crate::elementwise::probabilities;
use crate::lab::{Dense, Lab, Rows, assert_within, dot, unwritten, upload};
use crate::random::Random;
use crate::tolerance::Oracle;

pub(crate) const CASES: &[Case] = &[
    ("kflr_f32", kflr::<f32>),
    ("kflr_f64", kflr::<f64>),
    ("kfra_f32", kfra::<f32>),
    ("kfra_f64", kfra::<f64>),
];

/// Samples, neurons, classes.
const SMALL: &[[usize; 3]] = &[[1, 1, 2], [20, 13, 10], [30, 70, 3]];
const LARGE: &[[usize; 3]] = &[[500, 300, 10]];

/// A layer of m neurons before a soft-max of c classes: pre-activations, tanh′ of them, W̃, and η.
struct Setting<T> {
    slope: Buffer<T>,
    slopes: Dense,
    w: Rows<T>,
    eta: Vec<T>,
}

impl<T: Scalar> Setting<T> {
    fn new(lab: &Lab, [n, m, c]: [usize; 3]) -> Self {
        let mut random = Random::new((n + m + c) as u64);
        let t: Vec<T> = random.normals(n * m);
        let (from, mut slope) = (upload(&lab.gpu, &t), unwritten::<T>(&lab.gpu, n * m));
        let mut value = unwritten::<T>(&lab.gpu, n * m);
        lab.gpu
            .activate(value.view_mut(), slope.view_mut(), from.view(), Activation::Tanh)
            .expect("activate");
        let derivative = |t: &T| 1.0 - t.to_f64().tanh().powi(2);
        let values = t.iter().map(derivative).collect();
        let w = Rows::normal(&lab.gpu, &mut random, (c, m + 1), 2);
        let logits: Vec<f64> = random.uniforms(n * c, -2.0, 2.0);
        let eta = logits.chunks(c).flat_map(probabilities).map(T::from_f64).collect();
        Self { slope, slopes: Dense { rows: n, cols: m, values }, w, eta }
    }

    /// Column j of W.
    fn column(&self, j: usize) -> Vec<f64> {
        (0..self.w.dense.rows).map(|k| self.w.dense.at(k, j)).collect()
    }

    /// xᵀ(diag η_s − η_sη_sᵀ)y.
    fn form(&self, s: usize, x: &[f64], y: &[f64]) -> f64 {
        let c = x.len();
        let eta: Vec<f64> = self.eta[s * c..(s + 1) * c].iter().map(|p| p.to_f64()).collect();
        let sum: f64 = (0..c).map(|k| eta[k] * x[k] * y[k]).sum();
        sum - dot(&eta, x) * dot(&eta, y)
    }
}

/// G = E[D Wᵀ Λ W D] by the rows of a root of Λ, sent back sample by sample.
fn kflr<T: Scalar>(lab: &Lab) {
    let gpu = &lab.gpu;
    for [n, m, c] in lab.shapes(SMALL, LARGE) {
        let setting = Setting::<T>::new(lab, [n, m, c]);
        let eta = upload(gpu, &setting.eta);
        let mut root = unwritten::<T>(gpu, n * c * c);
        gpu.softmax_root(root.view_mut(), eta.view(), (n, c)).expect("softmax_root");
        let mut rows = unwritten::<T>(gpu, n * c * m);
        let slope = Matrix::new(setting.slope.view(), n, m).expect("slopes");
        let from = Matrix::new(root.view(), n * c, c).expect("rows of the root");
        let to = MatrixMut::new(rows.view_mut(), n * c, m).expect("rows");
        let weights = (setting.w.matrix().columns(m), Side::Stored);
        gpu.masked(to, (T::ZERO, T::ONE), (slope, c), from, weights).expect("masked");
        let mut g = unwritten::<T>(gpu, m * m);
        let mean = T::ONE / T::from_usize(n);
        let to = MatrixMut::new(g.view_mut(), m, m).expect("a square");
        let rows = Matrix::new(rows.view(), n * c, m).expect("rows");
        gpu.gram(to, (T::ZERO, mean), rows, None).expect("gram");
        let columns: Vec<Vec<f64>> = (0..m).map(|j| setting.column(j)).collect();
        let want = |at: usize| {
            let (i, j) = (at / m, at % m);
            let of = |s: usize| {
                let slopes = setting.slopes.at(s, i) * setting.slopes.at(s, j);
                slopes * setting.form(s, &columns[i], &columns[j])
            };
            (0..n).map(of).sum::<f64>() / n as f64
        };
        let got = g.to_vec().expect("a copy").into_iter().enumerate();
        let pairs: Vec<(T, f64)> = got.map(|(at, x)| (x, want(at))).collect();
        let scale = columns.iter().map(|x| dot(x, x)).fold(0.0, f64::max);
        assert_within("KFLR's G", pairs, scale, ("gpu product", Oracle::Dense, c + n * c + 8));
    }
}

/// G = (WᵀΛ̄W) ∘ E[bbᵀ] with the mean Λ̄ and slopes b.
fn kfra<T: Scalar>(lab: &Lab) {
    let gpu = &lab.gpu;
    for [n, m, c] in lab.shapes(SMALL, LARGE) {
        let setting = Setting::<T>::new(lab, [n, m, c]);
        let (once, mean) = ((T::ZERO, T::ONE), T::ONE / T::from_usize(n));
        let eta = upload(gpu, &setting.eta);
        let mut root = unwritten::<T>(gpu, n * c * c);
        gpu.softmax_root(root.view_mut(), eta.view(), (n, c)).expect("softmax_root");
        let [mut outer, mut back, mut pairs, mut g] =
            [c * c, m * c, m * m, m * m].map(|len| unwritten::<T>(gpu, len));
        let rows = Matrix::new(root.view(), n * c, c).expect("rows");
        let to = MatrixMut::new(outer.view_mut(), c, c).expect("a square");
        gpu.gram(to, (T::ZERO, mean), rows, None).expect("Λ̄");
        let slope = Matrix::new(setting.slope.view(), n, m).expect("slopes");
        let to = MatrixMut::new(pairs.view_mut(), m, m).expect("a square");
        gpu.gram(to, (T::ZERO, mean), slope, None).expect("E[bbᵀ]");
        let w = setting.w.matrix().columns(m);
        let outer = Matrix::new(outer.view(), c, c).expect("a square");
        let to = MatrixMut::new(back.view_mut(), m, c).expect("WᵀΛ̄");
        gpu.gemm(to, once, (w, Side::Transposed), (outer, Side::Stored)).expect("WᵀΛ̄");
        let back = Matrix::new(back.view(), m, c).expect("WᵀΛ̄");
        let pairs = Matrix::new(pairs.view(), m, m).expect("a square");
        let to = MatrixMut::new(g.view_mut(), m, m).expect("a square");
        gpu.masked(to, once, (pairs, 1), back, (w, Side::Stored)).expect("masked");
        let columns: Vec<Vec<f64>> = (0..m).map(|j| setting.column(j)).collect();
        let average = |of: &dyn Fn(usize) -> f64| (0..n).map(of).sum::<f64>() / n as f64;
        let want = |at: usize| {
            let (i, j) = (at / m, at % m);
            let curvature = average(&|s| setting.form(s, &columns[i], &columns[j]));
            curvature * average(&|s| setting.slopes.at(s, i) * setting.slopes.at(s, j))
        };
        let got = g.to_vec().expect("a copy").into_iter().enumerate();
        let pairs: Vec<(T, f64)> = got.map(|(at, x)| (x, want(at))).collect();
        let scale = columns.iter().map(|x| dot(x, x)).fold(0.0, f64::max);
        assert_within("KFRA's G", pairs, scale, ("gpu product", Oracle::Dense, 2 * c + n * c + 8));
    }
}
