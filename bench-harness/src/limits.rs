//! What the machine can do, measured beside everything that is compared with it.

use std::time::Instant;

use faer::dyn_stack::MemBuffer;
use relfisher::Scalar;

use crate::case::dtype;
use crate::record::{Ceiling, Limit};
use crate::{Random, dense, machine, sizes};

/// The part of the best rate of a run that a ceiling is never below: clocks fall by less while all cores
/// compute, what falls by more was disturbed.
pub const FLOOR: f64 = 0.9;

/// How many times the last level of cache a streamed slice is long.
const BEYOND_CACHE: u64 = 2;

/// The part of the machine's free memory that both streamed slices may take when a cache asks for more
/// than `sizes.toml`.
const STREAM_SHARE: f64 = 0.25;

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
    /// The loop that streamed fastest.
    by: Stream,
}

/// Every limit, in the order of its number.
pub const LIMITS: [Limit; 3] = [Limit::Product, Limit::Copy, Limit::Cholesky];

/// A loop over slices that no cache holds. A machine that reads a line before it writes it moves three
/// streams for a copy, of which two are counted: in place it moves what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// `y ← x`.
    Copy,
    /// `y ← a y`.
    Scale,
    /// `y ← y + a x`.
    Add,
}

impl Stream {
    const ALL: [Self; 3] = [Self::Copy, Self::Scale, Self::Add];

    const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Scale => "scale",
            Self::Add => "add",
        }
    }

    /// The slices that are read or written.
    const fn streams(self) -> f64 {
        match self {
            Self::Copy | Self::Scale => 2.0,
            Self::Add => 3.0,
        }
    }

    /// One thread's part.
    fn run<T: Scalar>(self, to: &mut [T], from: &[T]) {
        // signs alone change, and numbers grow by less than a thousandth in each of some thousand calls
        let factor =
            std::hint::black_box(T::from_f64(if self == Self::Scale { -1.0 } else { 1e-3 }));
        match self {
            Self::Copy => to.copy_from_slice(from),
            Self::Scale => relfisher::vectorised!(to.iter_mut().for_each(|y| *y *= factor)),
            Self::Add => {
                relfisher::vectorised!(to.iter_mut().zip(from).for_each(|(y, x)| *y += factor * *x))
            }
        }
    }
}

impl<T: Scalar> Ceilings<T> {
    /// Random matrices of the sizes of `sizes.toml`; the streamed slices are longer where a cache would
    /// hold them.
    #[must_use]
    pub fn new(size: &sizes::Ceiling, threads: usize) -> Self {
        let (order, mut random) = (size.order, Random::new(6));
        let mut square = || random.numbers(order * order, -1.0, 1.0);
        let [a, b, mut definite] = [square(), square(), square()];
        // dominated by its diagonal: positive definite, and symmetric in the triangle that is read
        dense::damp(&mut definite, order, T::from_usize(order));
        let len = stream_len::<T>(size.copy, machine::last_cache(), machine::available());
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
            by: Stream::Copy,
        }
    }

    /// Measures one ceiling once; the seconds of [`Ceilings::work`].
    pub fn sample(&mut self, limit: Limit) -> f64 {
        let (order, par) = (self.order, dense::par(self.threads));
        if limit == Limit::Cholesky {
            self.c.copy_from_slice(&self.definite);
        }
        let start = Instant::now();
        match limit {
            Limit::Product => dense::product(&mut self.c, &self.a, &self.b, order, par),
            Limit::Cholesky => dense::cholesky(&mut self.c, order, &mut self.scratch, par),
            Limit::Copy => return self.stream(),
        }
        let seconds = start.elapsed().as_secs_f64();
        let least = &mut self.least[limit as usize];
        *least = least.min(seconds);
        seconds
    }

    /// The seconds of two streams at the rate of the fastest loop.
    fn stream(&mut self) -> f64 {
        let mut fastest = f64::INFINITY;
        for by in Stream::ALL {
            let start = Instant::now();
            stream(by, &mut self.to, &self.from, self.threads);
            let seconds = start.elapsed().as_secs_f64() * 2.0 / by.streams();
            fastest = fastest.min(seconds);
            let least = &mut self.least[Limit::Copy as usize];
            if seconds < *least {
                (*least, self.by) = (seconds, by);
            }
        }
        fastest
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

    /// The least seconds of one sample so far.
    #[must_use]
    pub fn seconds(&self, limit: Limit) -> f64 {
        self.least[limit as usize]
    }

    /// The least seconds so far, as rates.
    pub fn record(&self) -> Vec<Ceiling> {
        let row = |limit: Limit| {
            let seconds = self.least[limit as usize];
            let streamed = limit == Limit::Copy;
            Ceiling {
                limit,
                dtype: dtype::<T>(),
                threads: self.threads,
                order: if streamed { self.from.len() } else { self.order },
                seconds,
                rate: self.work(limit) / seconds,
                by: if streamed { self.by.name().to_owned() } else { String::new() },
            }
        };
        LIMITS.into_iter().filter(|l| self.least[*l as usize].is_finite()).map(row).collect()
    }

    /// The best rate so far.
    #[must_use]
    pub fn rate(&self, limit: Limit) -> f64 {
        self.work(limit) / self.least[limit as usize]
    }

    /// The rate that a share refers to, of a study in whose rounds the ceiling ran at `local`: that, but
    /// no less than [`FLOOR`] of the best rate of the run.
    #[must_use]
    pub fn fair_rate(&self, limit: Limit, local: f64) -> f64 {
        local.max(FLOOR * self.rate(limit))
    }
}

/// The elements of a streamed slice: those of `sizes.toml`, or twice the last cache where that is more
/// and the memory has room.
fn stream_len<T>(least: usize, cache: u64, available: u64) -> usize {
    let wanted = (BEYOND_CACHE * cache) as usize / size_of::<T>();
    let room = 2.0 * (wanted * size_of::<T>()) as f64 <= STREAM_SHARE * available as f64;
    if room { least.max(wanted) } else { least }
}

/// Streams with all threads, each a part of its own.
fn stream<T: Scalar>(by: Stream, to: &mut [T], from: &[T], threads: usize) {
    let part = from.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let mut parts = to.chunks_mut(part).zip(from.chunks(part));
        let own = parts.next();
        for (to, from) in parts {
            scope.spawn(move || by.run(to, from));
        }
        if let Some((to, from)) = own {
            by.run(to, from);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{Ceilings, FLOOR, Stream, stream, stream_len};
    use crate::record::Limit;
    use crate::sizes;

    #[test]
    fn loops_do_what_they_count() {
        for threads in [1, 3] {
            let from: Vec<f64> = (0..1000).map(f64::from).collect();
            let mut to = vec![0.0; 1000];
            stream(Stream::Copy, &mut to, &from, threads);
            assert_eq!(to, from);
            stream(Stream::Scale, &mut to, &from, threads);
            assert!(to.iter().zip(&from).all(|(y, x)| *y == -x));
            stream(Stream::Add, &mut to, &from, threads);
            assert!(to.iter().zip(&from).all(|(y, x)| *y == -x + 1e-3 * x));
        }
    }

    #[test]
    fn slices_are_longer_than_the_cache_where_there_is_room() {
        assert_eq!(stream_len::<f32>(100, 4000, 1 << 40), 2000);
        assert_eq!(stream_len::<f32>(5000, 4000, 1 << 40), 5000);
        assert_eq!(stream_len::<f64>(100, 4000, 20_000), 100);
        assert_eq!(stream_len::<f64>(100, 0, 1 << 40), 100);
    }

    #[test]
    fn a_disturbed_ceiling_is_lifted() {
        let size = sizes::Ceiling { order: 64, copy: 4096 };
        let mut ceilings = Ceilings::<f32>::new(&size, 1);
        (0..3).for_each(|_| _ = ceilings.sample(Limit::Product));
        let best = ceilings.rate(Limit::Product);
        assert_eq!(ceilings.fair_rate(Limit::Product, 0.95 * best), 0.95 * best);
        assert_eq!(ceilings.fair_rate(Limit::Product, 0.2 * best), FLOOR * best);
    }
}
