//! An executor that lends its large operations to a device: any algorithm of the library runs with
//! it as it is.
//!
//! The values of the library's algorithms are the host's, so an operation is lent with its operands:
//! copied to the device, computed, copied back. That pays for products and factorisations whose
//! arithmetic outweighs their bytes; everything else stays with the processor. What passes is counted
//! ([`Gpu::traffic`]). Training with everything on the device is another thing
//! ([`crate::train`]).

use std::sync::{Arc, Mutex, PoisonError};

use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Backend, Error as CoreError, MatMut, MatRef, factor};
use relfisher_kernels::contract::RightSides;

use super::factor::{LARGEST_EIGH, LARGEST_SOLVE, SMALLEST_BY_PRODUCTS, SquareForm, Squares};
use super::lent::{Lent, check_damping, check_flags, check_lower, cube, pays, solve_cost};
use super::{Buffer, Error, Gpu, Side};
use crate::Scalar;
use crate::driver;
use crate::executor::{ChunkBody, Cpu, Executor, PartBody};

/// A processor and a device.
pub struct Staged {
    cpu: Cpu,
    gpu: Arc<Gpu>,
    /// Whether everything is lent that can be.
    always: bool,
    /// The first failure of the driver.
    failure: Mutex<Option<driver::Error>>,
}

impl Staged {
    /// An executor that lends what pays; to an emulated device everything, since nothing would.
    pub fn new(cpu: Cpu, gpu: Arc<Gpu>) -> Self {
        let always = gpu.driver().device().driver == "emulated";
        Self { cpu, gpu, always, failure: Mutex::default() }
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The error that a failed operation stands for: the driver's, where it was the driver.
    pub fn explain(&self, e: crate::Error) -> crate::Error {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone().map_or(e, Into::into)
    }

    /// Whether an operation on so many values is lent.
    fn lends<T>(&self, flops: f64, values: f64) -> bool {
        self.always || pays(flops, values * size_of::<T>() as f64)
    }

    /// Keeps what the driver said.
    fn note<R>(&self, what: &'static str, result: Result<R, Error>) -> Result<R, CoreError> {
        result.map_err(|e| match e {
            Error::Core(e) => e,
            Error::Driver(e) => {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(e);
                CoreError::Backend { what }
            }
        })
    }

    /// A copy of a matrix on the device.
    fn lend<T: Scalar>(&self, a: MatRef<'_, T>) -> Result<Lent<T>, Error> {
        let (rows, cols) = (a.rows(), a.cols());
        if a.col_stride() == 1 && (a.row_stride() == cols || rows <= 1) {
            let values = a.data().get(..rows * cols).unwrap_or(&[]);
            return Ok(Lent { values: Buffer::from_slice(&self.gpu, values)?, rows, cols });
        }
        let mut values = Vec::with_capacity(rows * cols);
        for i in 0..rows {
            if a.rows_contiguous() {
                values.extend_from_slice(a.row(i));
            } else {
                values.extend((0..cols).map(|j| a.at(i, j)));
            }
        }
        Ok(Lent { values: Buffer::from_slice(&self.gpu, &values)?, rows, cols })
    }

    /// A copy of a factor, as it is stored: a transposed view is not turned.
    fn lend_factor<T: Scalar>(&self, a: MatRef<'_, T>) -> Result<(Lent<T>, Side), Error> {
        if a.col_stride() != 1 && a.row_stride() == 1 {
            return Ok((self.lend(a.t())?, Side::Transposed));
        }
        Ok((self.lend(a)?, Side::Stored))
    }

    /// `C ← α A B + β C` with contiguous rows of C.
    fn product<T: Scalar>(
        &self,
        mut c: MatMut<'_, T>,
        (beta, alpha): (T, T),
        a: MatRef<'_, T>,
        b: MatRef<'_, T>,
    ) -> Result<(), Error> {
        let (a, a_side) = self.lend_factor(a)?;
        let (b, b_side) = match self.lend_factor(b)? {
            // The kernels do not know both factors transposed.
            (b_turned, Side::Transposed) if a_side == Side::Transposed => {
                drop(b_turned);
                (self.lend(b)?, Side::Stored)
            }
            other => other,
        };
        let mut result = if beta == T::ZERO {
            Lent::new(&self.gpu, c.rows(), c.cols())?
        } else {
            self.lend(c.rb())?
        };
        let factors = ((a.matrix()?, a_side), (b.matrix()?, b_side));
        self.gpu.gemm(result.matrix_mut()?, (beta, alpha), factors.0, factors.1)?;
        result.read_back(&mut c)
    }

    /// Factors one matrix, or each packed row of several.
    fn factor<T: Scalar>(
        &self,
        matrices: &mut Lent<T>,
        squares: Squares,
        damping: T,
    ) -> Result<(), Error> {
        let mut flags = Buffer::<u32>::new(&self.gpu, squares.count)?;
        self.gpu.cholesky(matrices.values.view_mut(), flags.view_mut(), squares, damping)?;
        check_flags(&flags)
    }
}

/// Whether k right sides are solved for by products: the inverse of a triangle is worth its ⅔d³ FLOPs
/// beside 2d²k when they are many, and the only way above the solver's largest order.
fn solves_by_products(d: usize, k: usize) -> bool {
    d > LARGEST_SOLVE || (d > SMALLEST_BY_PRODUCTS && k >= d / 4)
}

impl<T: Scalar> Backend<T> for Staged {
    fn gemm(
        &self,
        c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        a: MatRef<'_, T>,
        b: MatRef<'_, T>,
    ) -> Result<(), CoreError> {
        let (m, k, n) = (a.rows(), a.cols(), b.cols());
        let values = (m * k + k * n + 2 * m * n) as f64;
        let fits = (b.rows(), c.rows(), c.cols()) == (k, m, n) && m * k * n > 0;
        if !fits || !self.lends::<T>(2.0 * (m as f64) * (n as f64) * (k as f64), values) {
            return self.cpu.gemm(c, beta, alpha, a, b);
        }
        let result = if c.rows_contiguous() {
            self.product(c, (beta, alpha), a, b)
        } else {
            self.product(c.t(), (beta, alpha), b.t(), a.t())
        };
        self.note("gemm", result)
    }

    fn gram(
        &self,
        mut c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        weights: Option<&[T]>,
        work: &mut [T],
    ) -> Result<(), CoreError> {
        let (n, d) = (x.rows(), x.cols());
        let fits = (c.rows(), c.cols()) == (d, d)
            && weights.is_none_or(|w| w.len() == n)
            && c.rows_contiguous()
            && n * d > 0;
        let flops = (n as f64) * (d as f64) * (d as f64);
        if !fits || !self.lends::<T>(flops, (n * d + 2 * d * d) as f64) {
            return self.cpu.gram(c, beta, alpha, x, weights, work);
        }
        let mut run = || {
            let x = self.lend(x)?;
            let weights = weights.map(|w| Buffer::from_slice(&self.gpu, w)).transpose()?;
            let mut result =
                if beta == T::ZERO { Lent::new(&self.gpu, d, d)? } else { self.lend(c.rb())? };
            let weights = weights.as_ref().map(Buffer::view);
            self.gpu.gram(result.matrix_mut()?, (beta, alpha), x.matrix()?, weights)?;
            result.read_back(&mut c)
        };
        self.note("gram", run())
    }

    fn gram_lower(
        &self,
        c: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<(), CoreError> {
        // A piece of a sum is too small to be lent.
        self.cpu.gram_lower(c, beta, alpha, x, work)
    }

    fn packed_grams(
        &self,
        mut out: MatMut<'_, T>,
        beta: T,
        alpha: T,
        x: MatRef<'_, T>,
        nu: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<(), CoreError> {
        let (n, m, d) = (x.rows(), nu.cols(), x.cols());
        let packed = d * (d + 1) / 2;
        let fits = (out.rows(), out.cols(), nu.rows()) == (m, packed, n)
            && out.rows_contiguous()
            && n * m * d > 0;
        let flops = (n as f64) * (m as f64) * (2.0 * packed as f64);
        if !fits || !self.lends::<T>(flops, (n * (m + d) + 2 * m * packed) as f64) {
            return self.cpu.packed_grams(out, beta, alpha, x, nu, work);
        }
        let mut run = || {
            let (x, nu) = (self.lend(x)?, self.lend(nu)?);
            let mut result = if beta == T::ZERO {
                Lent::new(&self.gpu, m, packed)?
            } else {
                self.lend(out.rb())?
            };
            let factors = (x.matrix()?, nu.matrix()?);
            self.gpu.packed_grams(result.matrix_mut()?, (beta, alpha), factors.0, factors.1)?;
            result.read_back(&mut out)
        };
        self.note("packed_grams", run())
    }

    fn cholesky(&self, mut a: MatMut<'_, T>, damping: T) -> Result<(), CoreError> {
        let d = a.rows();
        let fits = d == a.cols() && d > 0 && a.rows_contiguous();
        if !fits || !self.lends::<T>(cube(d) / 3.0, 2.0 * (d * d) as f64) {
            return self.cpu.cholesky(a, damping);
        }
        check_damping(damping)?;
        check_lower("cholesky: a", a.rb())?;
        let mut run = || {
            let mut lent = self.lend(a.rb())?;
            self.factor(&mut lent, Squares::one(d), damping)?;
            lent.read_back(&mut a)
        };
        self.note("cholesky", run())
    }

    fn cholesky_solve(&self, mut b: MatMut<'_, T>, l: MatRef<'_, T>) -> Result<(), CoreError> {
        let (d, k) = (b.rows(), b.cols());
        let by_products = solves_by_products(d, k);
        let fits = (l.rows(), l.cols()) == (d, d) && d * k > 0 && (by_products || k < 1 << 16);
        let (flops, values) = solve_cost(d, k);
        if !fits || !self.lends::<T>(flops, values) {
            return self.cpu.cholesky_solve(b, l);
        }
        let mut run = || {
            let l = self.lend(l)?;
            if by_products {
                let mut x = self.lend(b.rb())?;
                self.gpu.cholesky_solve_by_products(x.matrix_mut()?, l.matrix()?)?;
                return x.read_back(&mut b);
            }
            // A right side is a column of B: neighbouring elements are a row apart.
            let mut x = self.lend(b.rb())?;
            let sides = RightSides { distance: 0, side: 1, element: k as u32 };
            let squares = Squares::one(d);
            self.gpu.cholesky_solve(x.values.view_mut(), (sides, k), l.values.view(), squares)?;
            x.read_back(&mut b)
        };
        self.note("cholesky_solve", run())
    }

    fn cholesky_solve_stacked(&self, b: MatMut<'_, T>, l: MatRef<'_, T>) -> Result<(), CoreError> {
        let (flops, values) = solve_cost(l.rows(), b.cols());
        if !self.lends::<T>(flops, values) {
            return self.cpu.cholesky_solve_stacked(b, l);
        }
        factor::for_each_stacked(b, l.rows(), |part| self.cholesky_solve(part, l))
    }

    fn spd_inverse(
        &self,
        mut a: MatMut<'_, T>,
        damping: T,
        work: &mut [T],
    ) -> Result<(), CoreError> {
        let d = a.rows();
        let fits = d == a.cols() && d > 0 && a.rows_contiguous();
        if !fits || !self.lends::<T>(cube(d), 2.0 * (d * d) as f64) {
            return self.cpu.spd_inverse(a, damping, work);
        }
        check_damping(damping)?;
        check_lower("spd_inverse: a", a.rb())?;
        let mut run = || {
            let mut lent = self.lend(a.rb())?;
            let mut flag = Buffer::<u32>::new(&self.gpu, 1)?;
            self.gpu.spd_inverse(lent.matrix_mut()?, flag.view_mut(), damping)?;
            check_flags(&flag)?;
            lent.read_back(&mut a)
        };
        self.note("spd_inverse", run())
    }

    fn eigh(
        &self,
        mut a: MatMut<'_, T>,
        values: &mut [T],
        work: &mut [T],
    ) -> Result<(), CoreError> {
        let d = a.rows();
        let fits = (a.cols(), values.len()) == (d, d)
            && (2..=LARGEST_EIGH).contains(&d)
            && a.rows_contiguous();
        if !fits || !self.lends::<T>(9.0 * cube(d), 2.0 * (d * d) as f64) {
            return self.cpu.eigh(a, values, work);
        }
        check_lower("eigh: a", a.rb())?;
        let mut run = || {
            let mut lent = self.lend(a.rb())?;
            let mut spectrum = Buffer::<T>::new(&self.gpu, d)?;
            let mut flags = Buffer::<u32>::new(&self.gpu, 1)?;
            let (matrix, flag) = (lent.values.view_mut(), flags.view_mut());
            self.gpu.eigh(matrix, spectrum.view_mut(), flag, Squares::one(d))?;
            if flags.to_vec()? != [0] {
                let iterations = relfisher_kernels::body::jacobi::SWEEPS as usize;
                return Err(CoreError::NoConvergence { iterations }.into());
            }
            spectrum.view().download(values)?;
            lent.read_back(&mut a)
        };
        self.note("eigh", run())
    }

    fn packed_cholesky(
        &self,
        mut blocks: MatMut<'_, T>,
        d: usize,
        damping: T,
    ) -> Result<(), CoreError> {
        let (m, packed) = (blocks.rows(), d * (d + 1) / 2);
        let fits = blocks.cols() == packed && m * d > 0 && blocks.rows_contiguous();
        let flops = m as f64 * cube(d) / 3.0;
        if !fits || !self.lends::<T>(flops, 2.0 * (m * packed) as f64) {
            return self.cpu.packed_cholesky(blocks, d, damping);
        }
        check_damping(damping)?;
        blocks.rb().check_finite("packed_cholesky: blocks")?;
        let mut run = || {
            let mut lent = self.lend(blocks.rb())?;
            let squares = Squares { count: m, order: d, form: SquareForm::Packed };
            self.factor(&mut lent, squares, damping)?;
            lent.read_back(&mut blocks)
        };
        self.note("packed_cholesky", run())
    }

    fn packed_cholesky_solve(
        &self,
        v: MatMut<'_, T>,
        factors: MatRef<'_, T>,
    ) -> Result<(), CoreError> {
        self.cpu.packed_cholesky_solve(v, factors)
    }

    fn packed_inverse(
        &self,
        blocks: MatMut<'_, T>,
        d: usize,
        damping: T,
        work: &mut [T],
    ) -> Result<(), CoreError> {
        self.cpu.packed_inverse(blocks, d, damping, work)
    }

    fn cholesky_batch(
        &self,
        matrices: MatMut<'_, T>,
        n: usize,
        damping: T,
        work: &mut [T],
    ) -> Result<(), CoreError> {
        self.cpu.cholesky_batch(matrices, n, damping, work)
    }

    fn eigh_batch(
        &self,
        matrices: MatMut<'_, T>,
        values: MatMut<'_, T>,
        n: usize,
        work: &mut [T],
    ) -> Result<(), CoreError> {
        self.cpu.eigh_batch(matrices, values, n, work)
    }

    fn packed_symv(
        &self,
        out: MatMut<'_, T>,
        blocks: MatRef<'_, T>,
        v: MatRef<'_, T>,
    ) -> Result<(), CoreError> {
        self.cpu.packed_symv(out, blocks, v)
    }

    fn scaled_gram_solve(
        &self,
        z: MatMut<'_, T>,
        k: MatRef<'_, T>,
        s: MatRef<'_, T>,
        damping: T,
        work: &mut [T],
    ) -> Result<(), CoreError> {
        self.cpu.scaled_gram_solve(z, k, s, damping, work)
    }
}

impl<T: Scalar> Executor<T> for Staged {
    fn threads(&self) -> usize {
        self.cpu.thread_count()
    }

    fn description(&self) -> String {
        let device = self.gpu.driver().device();
        format!(
            "{} through {}, {}",
            device.name,
            device.driver,
            Executor::<T>::description(&self.cpu)
        )
    }

    fn install(&self, job: &mut (dyn FnMut() + Send)) {
        Executor::<T>::install(&self.cpu, job);
    }

    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        Executor::<T>::join(&self.cpu, first, second);
    }

    fn activate(
        &self,
        out: MatMut<'_, T>,
        t: MatRef<'_, T>,
        f: Activation<T>,
    ) -> Result<(), CoreError> {
        self.cpu.activate(out, t, f)
    }

    fn activation_backward(
        &self,
        delta: MatMut<'_, T>,
        t: MatRef<'_, T>,
        f: Activation<T>,
    ) -> Result<(), CoreError> {
        self.cpu.activation_backward(delta, t, f)
    }

    fn response_nu(
        &self,
        nu: MatMut<'_, T>,
        t: MatRef<'_, T>,
        response: Response<T>,
    ) -> Result<(), CoreError> {
        self.cpu.response_nu(nu, t, response)
    }

    fn softmax(
        &self,
        probabilities: MatMut<'_, T>,
        logits: MatRef<'_, T>,
    ) -> Result<(), CoreError> {
        self.cpu.softmax(probabilities, logits)
    }

    fn for_each_chunk(
        &self,
        outputs: &mut [&mut [T]],
        inputs: &[&[T]],
        body: &ChunkBody<'_, T>,
    ) -> Result<(), CoreError> {
        self.cpu.for_each_chunk(outputs, inputs, body)
    }

    fn for_each_part(
        &self,
        parts: &mut [T],
        part_len: usize,
        scratch_len: usize,
        body: &PartBody<'_, T>,
    ) -> Result<(), CoreError> {
        self.cpu.for_each_part(parts, part_len, scratch_len, body)
    }
}
