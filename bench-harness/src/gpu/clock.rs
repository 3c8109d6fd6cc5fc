//! Times between two events of the device's stream.

use std::time::{Duration, Instant};

use relfisher::driver::Event;
use relfisher::executor::cuda::{Error, Gpu};

/// The most runs of a case.
const MOST_RUNS: usize = 200;

/// What is timed.
pub(super) struct Case<'a> {
    /// What the report calls it.
    pub(super) name: String,
    /// Floating-point operations of one run.
    pub(super) flops: f64,
    /// Bytes that one run must move at least.
    pub(super) bytes: f64,
    /// Puts the inputs in their place; not timed.
    pub(super) prepare: Option<Work<'a>>,
    /// What is timed.
    pub(super) run: Work<'a>,
}

/// Work that is put into the stream.
pub(super) type Work<'a> = Box<dyn FnMut() -> Result<(), Error> + 'a>;

impl<'a> Case<'a> {
    /// Work without preparation.
    pub(super) fn new(
        name: impl Into<String>,
        (flops, bytes): (f64, f64),
        run: impl FnMut() -> Result<(), Error> + 'a,
    ) -> Self {
        Self { name: name.into(), flops, bytes, prepare: None, run: Box::new(run) }
    }

    /// Prepares every run.
    pub(super) fn after(self, prepare: impl FnMut() -> Result<(), Error> + 'a) -> Self {
        Self { prepare: Some(Box::new(prepare)), ..self }
    }
}

/// Milliseconds of the runs of a case.
#[derive(Clone, Debug)]
pub(super) struct Times {
    pub(super) milliseconds: Vec<f64>,
}

impl Times {
    /// The middle run.
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The fastest run.
    pub(super) fn least(&self) -> f64 {
        self.milliseconds.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// A pair of events that live as long as it.
struct Pair<'a> {
    gpu: &'a Gpu,
    start: Event,
    end: Event,
}

impl<'a> Pair<'a> {
    fn new(gpu: &'a Gpu) -> Result<Self, Error> {
        let (start, end) = (gpu.driver().create_event()?, gpu.driver().create_event()?);
        Ok(Self { gpu, start, end })
    }

    /// The milliseconds that `case` takes on the device.
    fn time(&self, case: &mut Case<'_>) -> Result<f64, Error> {
        let (driver, stream) = (self.gpu.driver(), self.gpu.stream());
        if let Some(prepare) = &mut case.prepare {
            prepare()?;
        }
        driver.record(self.start, stream)?;
        (case.run)()?;
        driver.record(self.end, stream)?;
        self.gpu.synchronize()?;
        Ok(f64::from(driver.elapsed(self.start, self.end)?))
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        for event in [self.start, self.end] {
            // SAFETY: made by `new`, used by nobody else; nobody is left to tell of a failure.
            let _ = unsafe { self.gpu.driver().destroy_event(event) };
        }
    }
}

/// Runs every case once to warm up, then all of them in turn, each for about `seconds`.
pub(super) fn time_in_turn(
    gpu: &Gpu,
    seconds: f64,
    cases: &mut [Case<'_>],
) -> Result<Vec<Times>, Error> {
    let events = Pair::new(gpu)?;
    for case in &mut *cases {
        events.time(case)?;
    }
    let mut times = vec![Times { milliseconds: Vec::new() }; cases.len()];
    let budget = Duration::from_secs_f64(seconds * cases.len() as f64);
    let begin = Instant::now();
    for round in 0..MOST_RUNS {
        // A second round of slow cases is worth its time, a third is not.
        if round >= 2 && begin.elapsed() > budget || begin.elapsed() > 3 * budget && round > 0 {
            break;
        }
        for (case, times) in cases.iter_mut().zip(&mut times) {
            times.milliseconds.push(events.time(case)?);
        }
    }
    Ok(times)
}
