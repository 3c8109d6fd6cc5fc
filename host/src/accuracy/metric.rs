//! The rows of the ladder about metrics of layers and curvature of samples.

use relfisher_accuracy::ladder::{Answering, DAMPING, NEURONS};
use relfisher_core::curvature::{
    KronBasis, OutputLoss, ekfac_scale, ekfac_scale_workspace_len, exact_block,
    exact_block_workspace_len, packed_second_moments,
};
use relfisher_core::kron::{packed_len, unpack};
use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{
    LayerMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric, SolveOptions, dense_workspace_len,
};
use relfisher_core::metric::neuron::Activation;
use relfisher_core::metric::two_layer::TwoLayerMetric;
use relfisher_core::{MatMut, MatRef, blas};

use super::ladder::{Climb, SHAPE};
use crate::{Error, Scalar};

impl<T: Scalar> Climb<'_, T> {
    /// `softmax`, `rfim.…`, `rfim_solve.…`, `output.hessian`.
    pub(super) fn metrics(&mut self) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        let (x, w) = (self.input("in.x")?, self.input("in.w")?);
        let t = self.pre_activations(&x, &w, SHAPE)?;
        for neuron in NEURONS {
            let row = format!("rfim.{}", neuron.name);
            if self.wants(&row) {
                let nu = self.nu(&t, (n, m), neuron.answering)?;
                let metric = NonlinearMetric::new(MatRef::new(&x, n, d)?, MatRef::new(&nu, n, m)?)?;
                let width = packed_len(d);
                let mut packed = vec![T::NAN; m * width];
                let mut work = vec![T::NAN; blas::packed_grams_workspace_len(n, m, d)];
                let out = MatMut::new(&mut packed, m, width)?;
                metric.packed(self.executor, out, T::ZERO, &mut work)?;
                let blocks = unpacked(&packed, d)?;
                self.put(row, &[m, d, d], blocks);
            }
        }
        for (row, route) in
            [("rfim_solve.block", Route::Block), ("rfim_solve.sample", Route::Sample)]
        {
            if self.wants(row) {
                let step = self.step(&x, &t, route)?;
                self.put(row, &[m, d], step);
            }
        }
        let p = self.probabilities(&t)?;
        if self.wants("softmax") {
            self.put("softmax", &[n, m], p.clone());
        }
        if self.wants("rfim.softmax") {
            let metric = SoftmaxMetric::new(MatRef::new(&x, n, d)?, MatRef::new(&p, n, m)?)?;
            let full = self.dense(&metric)?;
            self.put("rfim.softmax", &[m * d, m * d], full);
        }
        if self.wants("output.hessian") {
            let width = packed_len(m);
            let mut packed = vec![T::NAN; n * width];
            let out = MatMut::new(&mut packed, n, width)?;
            OutputLoss::SoftmaxCrossEntropy.hessian_packed(out, MatRef::new(&p, n, m)?)?;
            let full = unpacked(&packed, m)?;
            self.put("output.hessian", &[n, m, m], full);
        }
        if self.wants("rfim.two_layer") {
            let full = self.two_layers(&x, &t)?;
            self.put("rfim.two_layer", &[m * d, m * d], full);
        }
        Ok(())
    }

    /// `kfac.…`, `ef_block`, `ekfac.lambda`.
    pub(super) fn curvature(&mut self) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        let (x, delta) = (self.input("in.x")?, self.input("in.delta")?);
        let mean = T::ONE / T::from_usize(n);
        for (row, samples, width) in [("kfac.A", &x, d), ("kfac.G", &delta, m)] {
            if self.wants(row) {
                let mut out = vec![T::NAN; width * width];
                let mut work = vec![T::NAN; blas::gram_workspace_len(n, width)];
                let (c, rows) =
                    (MatMut::new(&mut out, width, width)?, MatRef::new(samples, n, width)?);
                self.executor.gram(c, T::ZERO, mean, rows, None, &mut work)?;
                self.put(row, &[width, width], out);
            }
        }
        let (x, delta) = (MatRef::new(&x, n, d)?, MatRef::new(&delta, n, m)?);
        if self.wants("ef_block") {
            let (width, p) = (packed_len(m), m * d);
            let (mut moments, mut out) = (vec![T::NAN; n * width], vec![T::NAN; p * p]);
            packed_second_moments(MatMut::new(&mut moments, n, width)?, T::ZERO, delta)?;
            let mut work = vec![T::NAN; exact_block_workspace_len(n, m, d)];
            let (o, h) = (MatMut::new(&mut out, p, p)?, MatRef::new(&moments, n, width)?);
            exact_block(self.executor, o, h, x, mean, &mut work)?;
            self.put("ef_block", &[p, p], out);
        }
        if self.wants("ekfac.lambda") {
            let (q_g, q_a) = (self.input("in.q_g")?, self.input("in.q_a")?);
            let basis = KronBasis { g: MatRef::new(&q_g, m, m)?, a: MatRef::new(&q_a, d, d)? };
            let mut out = vec![T::NAN; m * d];
            let mut work = vec![T::NAN; ekfac_scale_workspace_len(n, m, d)];
            let o = MatMut::new(&mut out, m, d)?;
            ekfac_scale(self.executor, o, T::ZERO, mean, basis, (delta, x), &mut work)?;
            self.put("ekfac.lambda", &[m, d], out);
        }
        Ok(())
    }

    /// (Ḡ + λI)⁻¹v with the metric of tanh neurons.
    fn step(&self, x: &[T], t: &[T], route: Route) -> Result<Vec<T>, Error> {
        let (n, m, d) = SHAPE;
        let nu = self.nu(t, (n, m), Answering::Sign)?;
        let metric = NonlinearMetric::new(MatRef::new(x, n, d)?, MatRef::new(&nu, n, m)?)?;
        let (v, mut out) = (self.input("in.v")?, vec![T::NAN; m * d]);
        let mut work = vec![T::NAN; NonlinearMetric::<T>::solve_workspace_len(n, m, d, route)];
        let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
        let (o, v) = (MatMut::new(&mut out, m, d)?, MatRef::new(&v, m, d)?);
        metric.solve(self.executor, o, v, T::from_f64(DAMPING), options, &mut work)?;
        Ok(out)
    }

    /// softmax(t) of every sample.
    fn probabilities(&self, t: &[T]) -> Result<Vec<T>, Error> {
        let (n, m, _) = SHAPE;
        let mut p = vec![T::NAN; n * m];
        self.executor.softmax(MatMut::new(&mut p, n, m)?, MatRef::new(t, n, m)?)?;
        Ok(p)
    }

    /// The metric of W̃ below a soft-max layer.
    fn two_layers(&self, x: &[T], t: &[T]) -> Result<Vec<T>, Error> {
        let (n, m, d) = SHAPE;
        let k = m + 1;
        let [hidden, slope] = self.activation(t, Activation::Tanh)?;
        let augmented = hidden.chunks_exact(m).flat_map(|h| h.iter().copied().chain([T::ONE]));
        let (h, c): (Vec<T>, _) = (augmented.collect(), self.input("in.c")?);
        let p = self.probabilities(&self.pre_activations(&h, &c, (n, m, k))?)?;
        let metric = TwoLayerMetric::new(
            MatRef::new(x, n, d)?,
            MatRef::new(&slope, n, m)?,
            MatRef::new(&h, n, k)?,
            MatRef::new(&c, m, k)?,
            ResponseMetric::Softmax(MatRef::new(&p, n, m)?),
        )?;
        self.dense(&metric.lower())
    }

    fn dense(&self, metric: &impl LayerMetric<T>) -> Result<Vec<T>, Error> {
        let p = metric.parameters();
        let mut out = vec![T::NAN; p * p];
        let mut work = vec![T::NAN; dense_workspace_len(metric.samples(), metric.inputs())];
        metric.dense(self.executor, MatMut::new(&mut out, p, p)?, &mut work)?;
        Ok(out)
    }
}

/// Packed symmetric matrices of order d, one after the other, as full ones.
fn unpacked<T: Scalar>(packed: &[T], d: usize) -> Result<Vec<T>, Error> {
    let mut full = vec![T::NAN; packed.len() / packed_len(d) * d * d];
    for (block, packed) in full.chunks_exact_mut(d * d).zip(packed.chunks_exact(packed_len(d))) {
        unpack(MatMut::new(block, d, d)?, packed)?;
    }
    Ok(full)
}
