//! What the machine can do, measured beside everything that is compared with it.

use std::time::Instant;

use faer::dyn_stack::MemBuffer;
use relfisher::Scalar;

use crate::case::dtype;
use crate::record::{Ceiling, Limit};
use crate::sizes;
use crate::{Random, dense};

/// The ceilings of one dtype and number of threads, with their data.
pub struct Ceilings<T> {
    order: usize,
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
    definite: Vec<T>,
    from: Vec<T>,
    to: Vec<T>,
    scratch: MemBuffer,
    threads: usize,
    least: [f64; 3],
}

/// Every limit, in the order of its number.
pub const LIMITS: [Limit; 3] = [Limit::Product, Limit::Copy, Limit::Cholesky];

impl<T: Scalar> Ceilings<T> {
    /// Random matrices of the sizes of `sizes.toml`.
    #[must_use]
    pub fn new(size: &sizes::Ceiling, threads: usize) -> Self {
        let (order, mut random) = (size.order, Random::new(6));
        let mut square = || random.numbers(order * order, -1.0, 1.0);
        let [a, b, mut definite] = [square(), square(), square()];
        // dominated by its diagonal: positive definite, and symmetric in the triangle that is read
        dense::damp(&mut definite, order, T::from_usize(order));
        let len = size.copy;
        Self {
            c: a.clone(),
            a,
            b,
            definite,
            from: random.numbers(len, -1.0, 1.0),
            to: vec![T::ONE; len],
            scratch: dense::scratch::<T>(order, 1, dense::par(threads)),
            order,
            threads,
            least: [f64::INFINITY; 3],
        }
    }

    /// Measures one ceiling once; the seconds.
    pub fn sample(&mut self, limit: Limit) -> f64 {
        let (order, par) = (self.order, dense::par(self.threads));
        if limit == Limit::Cholesky {
            self.c.copy_from_slice(&self.definite);
        }
        let start = Instant::now();
        match limit {
            Limit::Product => dense::product(&mut self.c, &self.a, &self.b, order, par),
            Limit::Cholesky => dense::cholesky(&mut self.c, order, &mut self.scratch, par),
            Limit::Copy => copy(&mut self.to, &self.from, self.threads),
        }
        let seconds = start.elapsed().as_secs_f64();
        let least = &mut self.least[limit as usize];
        *least = least.min(seconds);
        seconds
    }

    /// FLOPs, or bytes, of one sample.
    #[must_use]
    pub fn work(&self, limit: Limit) -> f64 {
        let n = self.order as f64;
        match limit {
            Limit::Product => 2.0 * n.powi(3),
            Limit::Cholesky => n.powi(3) / 3.0,
            Limit::Copy => 2.0 * (self.from.len() * size_of::<T>()) as f64,
        }
    }

    /// The least seconds so far, as rates.
    pub fn record(&self) -> Vec<Ceiling> {
        let row = |limit: Limit| {
            let seconds = self.least[limit as usize];
            Ceiling {
                limit,
                dtype: dtype::<T>(),
                threads: self.threads,
                order: if limit == Limit::Copy { self.from.len() } else { self.order },
                seconds,
                rate: self.work(limit) / seconds,
            }
        };
        LIMITS.into_iter().filter(|l| self.least[*l as usize].is_finite()).map(row).collect()
    }

    /// The best rate so far.
    #[must_use]
    pub fn rate(&self, limit: Limit) -> f64 {
        self.work(limit) / self.least[limit as usize]
    }
}

/// Copies with all threads, each a part of its own.
fn copy<T: Scalar>(to: &mut [T], from: &[T], threads: usize) {
    let part = from.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let mut parts = to.chunks_mut(part).zip(from.chunks(part));
        let own = parts.next();
        for (to, from) in parts {
            scope.spawn(move || to.copy_from_slice(from));
        }
        if let Some((to, from)) = own {
            to.copy_from_slice(from);
        }
    });
}
