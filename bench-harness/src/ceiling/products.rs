//! Packed metrics, Gram matrices, Kronecker solves.

use faer::Accum;
use faer::linalg::matmul::triangular;
use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_core::kron::{self, FactorDamping, KronCholesky};
use relfisher_core::{Backend, MatMut, MatRef};

use super::{Case, assert_close, rounding};
use crate::Random;

/// Elements of a result that are compared with sums in f64.
const SAMPLES: usize = 400;

/// The packed metric of m neurons with d inputs on n samples: m·n·d(d+1) FLOPs.
pub struct Packed<T> {
    shape: [usize; 3],
    x: Vec<T>,
    nu: Vec<T>,
    blocks: Vec<T>,
}

impl<T: Scalar> Packed<T> {
    /// Random inputs; the last column of x̃ is 1.
    #[must_use]
    pub fn new([m, d, n]: [usize; 3]) -> Self {
        let mut random = Random::new(1);
        let mut x = random.numbers(n * d, -1.0, 1.0);
        x.iter_mut().skip(d - 1).step_by(d).for_each(|x| *x = T::ONE);
        let nu = random.numbers(n * m, 0.0, 1.0);
        Self { shape: [m, d, n], x, nu, blocks: vec![T::NAN; m * d * (d + 1) / 2] }
    }
}

impl<T: Scalar> Case<T> for Packed<T> {
    fn label(&self) -> String {
        let [m, d, n] = self.shape;
        format!("packed metric m{m} d{d} n{n}")
    }

    fn flops(&self) -> f64 {
        let [m, d, n] = self.shape;
        (m * n * d * (d + 1)) as f64
    }

    fn run(&mut self, cpu: &Cpu) {
        let [m, d, n] = self.shape;
        let x = MatRef::new(&self.x, n, d).expect("shape");
        let nu = MatRef::new(&self.nu, n, m).expect("shape");
        let out = MatMut::new(&mut self.blocks, m, d * (d + 1) / 2).expect("shape");
        let mean = T::ONE / T::from_usize(n);
        cpu.packed_grams(out, T::ZERO, mean, x, nu, &mut []).expect("shapes");
    }

    fn check(&mut self, _: &Cpu) {
        let [m, d, n] = self.shape;
        let x = MatRef::new(&self.x, n, d).expect("shape");
        let nu = MatRef::new(&self.nu, n, m).expect("shape");
        let samples = crate::metric::sampled(&self.blocks, x, nu).into_iter();
        let pairs: Vec<_> = samples.map(|(got, want)| (got.to_f64(), want)).collect();
        assert_close(&self.label(), &pairs, rounding::<T>(100.0));
    }
}

/// The Gram matrix of n rows of d numbers, both triangles written: n·d(d+1) FLOPs.
pub struct Gram<T> {
    shape: [usize; 2],
    x: Vec<T>,
    out: Vec<T>,
    rival: Vec<T>,
}

impl<T: Scalar> Gram<T> {
    /// Random rows.
    #[must_use]
    pub fn new([n, d]: [usize; 2]) -> Self {
        let x = Random::new(3).numbers(n * d, -1.0, 1.0);
        Self { shape: [n, d], x, out: vec![T::NAN; d * d], rival: vec![T::ZERO; d * d] }
    }
}

impl<T: Scalar> Case<T> for Gram<T> {
    fn label(&self) -> String {
        let [n, d] = self.shape;
        format!("gram n{n} d{d}")
    }

    fn flops(&self) -> f64 {
        let [n, d] = self.shape;
        (n * d * (d + 1)) as f64
    }

    fn run(&mut self, cpu: &Cpu) {
        let [n, d] = self.shape;
        let x = MatRef::new(&self.x, n, d).expect("shape");
        let out = MatMut::new(&mut self.out, d, d).expect("shape");
        let mean = T::ONE / T::from_usize(n);
        cpu.gram(out, T::ZERO, mean, x, None, &mut []).expect("shapes");
    }

    fn rival(&mut self, threads: usize) -> bool {
        use triangular::BlockStructure::{Rectangular, TriangularLower};
        let [n, d] = self.shape;
        let x = faer::MatRef::from_row_major_slice(&self.x, n, d);
        triangular::matmul(
            faer::MatMut::from_row_major_slice_mut(&mut self.rival, d, d),
            TriangularLower,
            Accum::Replace,
            x.transpose(),
            Rectangular,
            x,
            Rectangular,
            T::ONE / T::from_usize(n),
            crate::dense::par(threads),
        );
        true
    }

    fn check(&mut self, _: &Cpu) {
        let [n, d] = self.shape;
        let mut random = Random::new(4);
        let mut pick = || (random.unit() * d as f64) as usize;
        let pairs: Vec<_> = (0..SAMPLES)
            .map(|_| {
                let (a, b) = (pick(), pick());
                let term = |s: usize| self.x[s * d + a].to_f64() * self.x[s * d + b].to_f64();
                (self.out[a * d + b].to_f64(), (0..n).map(term).sum::<f64>() / n as f64)
            })
            .collect();
        assert_close(&self.label(), &pairs, rounding::<T>(100.0));
    }
}

/// G⁻¹ V A⁻¹ with the Cholesky factors of G and A for `count` matrices V (m × d): 2·m·d(m + d) FLOPs
/// each. A solve is in place, so every call copies V first.
pub struct KroneckerSolve<T> {
    shape: [usize; 3],
    /// The damped G and A.
    squares: [Vec<T>; 2],
    factors: [Vec<T>; 2],
    v: Vec<T>,
    out: Vec<T>,
}

impl<T: Scalar> KroneckerSolve<T> {
    /// Random V; G and A are means of four outer products for each of their rows, damped by 0.1.
    ///
    /// # Panics
    /// When they are not positive definite.
    #[must_use]
    pub fn new(shape: [usize; 3], cpu: &Cpu) -> Self {
        let [m, d, count] = shape;
        let mut random = Random::new(5);
        let squares = [m, d].map(|order| {
            let x = random.numbers::<T>(4 * order * order, -1.0, 1.0);
            let x = MatRef::new(&x, 4 * order, order).expect("shape");
            let mut square = vec![T::ZERO; order * order];
            let out = MatMut::new(&mut square, order, order).expect("shape");
            let mean = T::ONE / T::from_usize(4 * order);
            cpu.gram(out, T::ZERO, mean, x, None, &mut []).expect("shapes");
            (0..order).for_each(|i| square[i * order + i] += T::from_f64(0.1));
            square
        });
        let mut factors = squares.clone();
        let [g, a] = &mut factors;
        let g = MatMut::new(g, m, m).expect("shape");
        let a = MatMut::new(a, d, d).expect("shape");
        let none = FactorDamping { g: T::ZERO, a: T::ZERO };
        KronCholesky::factor(cpu, g, a, none).expect("definite");
        let v: Vec<T> = random.numbers(count * m * d, -1.0, 1.0);
        Self { shape, squares, factors, out: v.clone(), v }
    }
}

impl<T: Scalar> Case<T> for KroneckerSolve<T> {
    fn label(&self) -> String {
        let [m, d, count] = self.shape;
        format!("kronecker solve m{m} d{d} x{count}")
    }

    fn flops(&self) -> f64 {
        let [m, d, count] = self.shape;
        (2 * count * m * d * (m + d)) as f64
    }

    fn restore(&mut self) {
        self.out.copy_from_slice(&self.v);
    }

    fn run(&mut self, cpu: &Cpu) {
        let [m, d, count] = self.shape;
        let [g, a] = &self.factors;
        let g = MatRef::new(g, m, m).expect("shape");
        let a = MatRef::new(a, d, d).expect("shape");
        let solver = KronCholesky { g, a };
        let v = MatMut::new(&mut self.out, count * m, d).expect("shape");
        solver.solve_stacked(cpu, v, &mut []).expect("finite");
    }

    fn check(&mut self, cpu: &Cpu) {
        let [m, d, _] = self.shape;
        let [g, a] = &self.squares;
        let g = MatRef::new(g, m, m).expect("shape");
        let a = MatRef::new(a, d, d).expect("shape");
        let mut back = vec![T::NAN; m * d];
        let mut work = vec![T::NAN; kron::apply_workspace_len(m, d)];
        for (v, out) in self.v.chunks_exact(m * d).zip(self.out.chunks_exact(m * d)) {
            let out = MatRef::new(out, m, d).expect("shape");
            let product = MatMut::new(&mut back, m, d).expect("shape");
            kron::apply(cpu, product, g, a, out, &mut work).expect("shapes");
            let pairs: Vec<_> = back.iter().zip(v).map(|(b, v)| (b.to_f64(), v.to_f64())).collect();
            assert_close(&self.label(), &pairs, rounding::<T>(1000.0));
        }
    }
}
