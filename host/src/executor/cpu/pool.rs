//! A thread pool whose work is cut by shape: the leaves that a body sees are the same for every
//! number of threads, only their order and place of execution differ.

use relfisher_core::{Error, MatMut, Real};

/// Something that can be cut in two at a position.
pub(super) trait Divide: Send + Sized {
    /// The length that positions count.
    fn extent(&self) -> usize;
    /// The parts before and from `at` ≤ extent.
    fn divide(self, at: usize) -> (Self, Self);
}

impl<T: Send> Divide for &mut [T] {
    fn extent(&self) -> usize {
        self.len()
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let at = at.min(self.len());
        self.split_at_mut(at)
    }
}

impl Divide for std::ops::Range<usize> {
    fn extent(&self) -> usize {
        self.len()
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let middle = self.start + at;
        (self.start..middle, middle..self.end)
    }
}

/// Two things that are cut at the same position; the extent is that of the first.
impl<A: Divide, B: Divide> Divide for (A, B) {
    fn extent(&self) -> usize {
        self.0.extent()
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let ((a, c), (b, d)) = (self.0.divide(at), self.1.divide(at));
        ((a, b), (c, d))
    }
}

/// Rows of an output matrix with contiguous rows, cut between rows.
pub(super) struct RowsMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a, T: Real> RowsMut<'a, T> {
    /// The rows of `matrix`, or `Layout` naming `what`.
    pub(super) fn new(matrix: &'a mut MatMut<'_, T>, what: &'static str) -> Result<Self, Error> {
        if !matrix.rows_contiguous() {
            return Err(Error::Layout { what });
        }
        let (rows, cols) = (matrix.rows(), matrix.cols());
        let stride = matrix.row_stride().max(cols).max(1);
        Ok(Self { data: matrix.data_mut(), rows, cols, stride })
    }

    /// The rows in order.
    pub(super) fn iter(&mut self) -> impl Iterator<Item = &mut [T]> {
        let cols = self.cols;
        self.data.chunks_mut(self.stride).take(self.rows).map(move |r| &mut r[..cols])
    }

    /// All elements as one slice when there are no gaps between the rows.
    pub(super) fn solid(&mut self) -> Option<&mut [T]> {
        if self.stride == self.cols { self.data.get_mut(..self.rows * self.cols) } else { None }
    }

    /// The rows as a strided view.
    pub(super) fn view(&mut self) -> Result<MatMut<'_, T>, Error> {
        MatMut::with_strides(self.data, self.rows, self.cols, self.stride, 1)
    }
}

impl<T: Send> Divide for RowsMut<'_, T> {
    fn extent(&self) -> usize {
        self.rows
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let cut = (at * self.stride).min(self.data.len());
        let (head, tail) = self.data.split_at_mut(cut);
        let (cols, stride) = (self.cols, self.stride);
        (
            Self { data: head, rows: at, cols, stride },
            Self { data: tail, rows: self.rows - at, cols, stride },
        )
    }
}

/// A slice that is cut between parts of equal length.
pub(super) struct Parts<'a, T> {
    pub(super) data: &'a mut [T],
    /// The length of a part, at least 1.
    pub(super) len: usize,
}

impl<T: Send> Divide for Parts<'_, T> {
    fn extent(&self) -> usize {
        self.data.len().div_ceil(self.len)
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let (head, tail) = self.data.split_at_mut((at * self.len).min(self.data.len()));
        (Self { data: head, len: self.len }, Self { data: tail, len: self.len })
    }
}

/// The executor's threads.
pub(super) struct Pool {
    threads: usize,
    pool: Option<rayon::ThreadPool>,
}

impl Pool {
    /// A pool of `threads` ≥ 1 threads; one thread needs no pool.
    pub(super) fn new(threads: usize) -> Result<Self, Error> {
        let failed = Error::Parameter { what: "threads: the system refused to start that many" };
        let pool = match threads {
            0 => return Err(Error::Parameter { what: "threads must be at least 1" }),
            1 => None,
            _ => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|i| format!("relfisher-{i}"))
                    .build()
                    .map_err(|_| failed)?,
            ),
        };
        Ok(Self { threads, pool })
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `job` on the pool.
    pub(super) fn install<R: Send>(&self, job: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(job),
            None => job(),
        }
    }

    /// Runs both jobs, on two threads where there are two.
    pub(super) fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        match &self.pool {
            Some(pool) => _ = pool.install(|| rayon::join(first, second)),
            None => {
                first();
                second();
            }
        }
    }

    /// Calls `body(offset, leaf)` for the leaves of `whole`: consecutive parts of extent `grain`
    /// (the last may be shorter). Returns the error of the first leaf that failed.
    pub(super) fn for_each<P: Divide>(
        &self,
        whole: P,
        grain: usize,
        body: &(impl Fn(usize, P) -> Result<(), Error> + Sync),
    ) -> Result<(), Error> {
        let grain = grain.max(1);
        match &self.pool {
            Some(pool) if whole.extent() > grain => pool.install(|| split(0, whole, grain, body)),
            _ => sequence(whole, grain, body),
        }
    }
}

fn split<P: Divide>(
    offset: usize,
    whole: P,
    grain: usize,
    body: &(impl Fn(usize, P) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    let leaves = whole.extent().div_ceil(grain);
    if leaves <= 1 {
        return body(offset, whole);
    }
    let at = leaves / 2 * grain;
    let (head, tail) = whole.divide(at);
    let (a, b) =
        rayon::join(|| split(offset, head, grain, body), || split(offset + at, tail, grain, body));
    a.and(b)
}

fn sequence<P: Divide>(
    whole: P,
    grain: usize,
    body: &impl Fn(usize, P) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut rest, mut offset) = (whole, 0);
    let mut outcome = Ok(());
    while rest.extent() > grain {
        let (head, tail) = rest.divide(grain);
        outcome = outcome.and(body(offset, head));
        (rest, offset) = (tail, offset + grain);
    }
    outcome.and(body(offset, rest))
}
