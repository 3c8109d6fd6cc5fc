//! What a candidate allocates, counted.

use std::cell::RefCell;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor};

use crate::case::Candidate;
use crate::dense;

/// The order of the product that makes a thread's packing buffers: too large for the kernels of small
/// matrices, which need none.
const ORDER: usize = 256;

/// How long the threads of an executor may take to end. What they hold is given back then, and must not
/// be given back while the next candidate is counted.
const END: Duration = Duration::from_secs(10);

thread_local! {
    /// Dropped when the thread ends, after whatever the thread made later.
    static ENDS: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
}

/// The most bytes that outputs, scratch and one call allocate, on an executor that holds nothing but its
/// threads' packing buffers; 0 where the process does not count.
///
/// # Errors
/// A wrong answer; an executor that cannot be made.
pub fn memory(candidate: &Candidate, threads: usize, label: &str) -> Result<u64, String> {
    let cpu = Cpu::new(Some(threads)).map_err(|e| format!("{label}: {e}"))?;
    let (sender, ended) = channel();
    if cpu.thread_count() > 1 {
        let sender = std::sync::Mutex::new(sender);
        let keep = || {
            let sender = sender.lock().ok().map(|sender| sender.clone());
            ENDS.with(|ends| *ends.borrow_mut() = sender);
        };
        on_every_thread(&cpu, &keep);
    } else {
        drop(sender);
    }
    // loops and dense baselines run on the threads that call, of `rayon`'s pool where they are several
    warm();
    if threads > 1 {
        rayon::broadcast(|_| warm());
    }
    on_every_thread(&cpu, &warm);
    let before = PeakAlloc.current_usage();
    PeakAlloc.reset_peak_usage();
    let mut runner = (candidate.build)(&cpu);
    runner.run(&cpu);
    let peak = PeakAlloc.peak_usage();
    let answer = runner.check(&cpu).map_err(|e| format!("{label}: wrong answer: {e}"));
    drop((runner, cpu));
    // an error says that all senders are gone, which is what is waited for
    let _ = ended.recv_timeout(END);
    answer.map(|()| peak.saturating_sub(before) as u64)
}

/// Calls `job` once on every thread of an executor.
fn on_every_thread(cpu: &Cpu, job: &(dyn Fn() + Sync)) {
    if cpu.thread_count() > 1 {
        Executor::<f32>::install(cpu, &mut || _ = rayon::broadcast(|_| job()));
    } else {
        job();
    }
}

/// Lets the kernels of products allocate their packing buffers on this thread, by one product of each
/// type: they are the thread's, whatever the shapes, and no candidate's.
fn warm() {
    product::<f32>();
    product::<f64>();
}

fn product<T: Scalar>() {
    let (a, mut c) = (vec![T::ONE; ORDER * ORDER], vec![T::ZERO; ORDER * ORDER]);
    dense::product(&mut c, &a, &a, ORDER, dense::par(1));
    std::hint::black_box(&c);
}
