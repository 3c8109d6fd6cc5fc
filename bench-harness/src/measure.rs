//! Measures studies: checks every answer, counts memory, times candidates in turn with the ceilings.

use std::fmt;

use peak_alloc::PeakAlloc;
use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor};
use relfisher_core::{Backend, MatMut, MatRef};

use crate::case::{Candidate, Group, Runner, Study, dtype};
use crate::limits::Ceilings;
use crate::record::{Approach, Dtype, Limit, Measured, Outcome, Ratio, Record, Row};
use crate::report::units;
use crate::sizes::Sizes;
use crate::{growth, machine, studies};

/// The least seconds of one timing: shorter calls are repeated within it.
const TIMING: f64 = 2e-4;
/// Timings of a candidate.
const ROUNDS: std::ops::RangeInclusive<usize> = 3..=60;
/// The most samples of a ceiling among the rounds of a study.
const CEILING_ROUNDS: usize = 8;
/// The part of the machine's free memory that a case may take.
const MEMORY_SHARE: f64 = 0.9;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Groups; all of them when empty.
    pub groups: Vec<Group>,
    /// Elements.
    pub dtypes: Vec<Dtype>,
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// Seconds for the rounds of one candidate.
    pub seconds: f64,
    /// The longest call that is tried, in seconds.
    pub longest: f64,
    /// One round of everything: answers are checked, times mean nothing.
    pub quick: bool,
    /// Only quantities whose label contains this.
    pub filter: Option<String>,
}

impl fmt::Display for Options {
    /// As the command line has them, without groups and files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads: Vec<String> = self.threads.iter().map(usize::to_string).collect();
        write!(f, "--threads {}", threads.join(","))?;
        if let [dtype] = self.dtypes.as_slice() {
            write!(f, " --dtype {}", units::dtype(*dtype))?;
        }
        write!(f, " --seconds {} --longest {}", self.seconds, self.longest)?;
        match &self.filter {
            Some(filter) => write!(f, " --filter {filter:?}"),
            None => Ok(()),
        }
    }
}

/// Measures, printing a line for every case.
///
/// # Errors
/// A wrong answer, by its case; an executor that cannot be made.
pub fn measure(options: &Options, sizes: &Sizes) -> Result<Record, String> {
    let mut record = Record::empty(machine::describe(options.quick, options.to_string()));
    for &threads in &options.threads {
        for dtype in &options.dtypes {
            match dtype {
                Dtype::F32 => of_dtype::<f32>(options, sizes, threads, &mut record)?,
                Dtype::F64 => of_dtype::<f64>(options, sizes, threads, &mut record)?,
            }
        }
    }
    record.growth = growth::fit(&record.cases);
    Ok(record)
}

fn of_dtype<T: Scalar>(
    options: &Options,
    sizes: &Sizes,
    threads: usize,
    record: &mut Record,
) -> Result<(), String> {
    let groups = if options.groups.is_empty() { &Group::ALL[..] } else { &options.groups };
    let wanted = |study: &Study| options.filter.as_ref().is_none_or(|f| study.label().contains(f));
    let mut all = studies::of::<T>(groups, sizes, threads);
    all.retain(wanted);
    let cpu = Cpu::new(Some(threads)).map_err(|e| e.to_string())?;
    let mut ceilings = Ceilings::<T>::new(&sizes.ceiling, threads);
    println!("\n{} {} {threads} threads, {} studies", Cpu::model(), T::NAME, all.len());
    let mut outcome = Ok(());
    // inside the executor's threads, as a training loop runs
    Executor::<T>::install(&cpu, &mut || {
        for limit in crate::limits::LIMITS {
            (0..3).for_each(|_| _ = ceilings.sample(limit));
        }
        outcome = all.iter().enumerate().try_for_each(|(k, study)| {
            println!("[{}/{}] {}", k + 1, all.len(), study.label());
            one(options, study, (&cpu, threads), &mut ceilings, record)
        });
    });
    outcome?;
    record.ceilings.extend(ceilings.record());
    Ok(())
}

/// A candidate that runs.
struct Entry {
    candidate: Candidate,
    runner: Box<dyn Runner>,
    peak: u64,
    /// Calls within a timing.
    repeats: usize,
    times: Vec<f64>,
}

fn one<T: Scalar>(
    options: &Options,
    study: &Study,
    (cpu, threads): (&Cpu, usize),
    ceilings: &mut Ceilings<T>,
    record: &mut Record,
) -> Result<(), String> {
    let mut entries = Vec::new();
    let mut rows: Vec<(Approach, f64, f64, Outcome)> = Vec::new();
    for candidate in (study.prepare)(cpu) {
        let Candidate { approach, flops, bytes, .. } = candidate;
        let refused = refuse(options, &candidate, ceilings);
        if let Some(outcome) = refused {
            rows.push((approach, flops, bytes, outcome));
            continue;
        }
        let label = format!("{} ({approach:?})", study.label());
        let peak = memory(&candidate, threads, &label)?;
        let mut runner = (candidate.build)(cpu);
        runner.run(cpu);
        runner.check(cpu).map_err(|e| format!("{label}: wrong answer: {e}"))?;
        entries.push(Entry { candidate, runner, peak, repeats: 1, times: Vec::new() });
    }
    let (rates, least) = time(options, cpu, &mut entries, ceilings);
    for (entry, seconds) in entries.iter_mut().zip(least) {
        let Candidate { approach, flops, bytes, limit, predicted, share: wanted, .. } =
            entry.candidate;
        entry.times.sort_by(f64::total_cmp);
        let work = if limit == Limit::Copy { bytes } else { flops };
        let share = work / seconds / rates[limit as usize];
        let measured = Measured {
            seconds,
            median: entry.times[entry.times.len() / 2],
            rounds: entry.times.len(),
            limit,
            share,
            peak_bytes: entry.peak,
            predicted_bytes: predicted,
        };
        if let Some(target) = wanted {
            record.ratios.push(Ratio {
                name: format!("{}: share of the {limit:?} ceiling", study.label()).to_lowercase(),
                dtype: study.dtype,
                threads,
                value: share,
                target: Some(crate::record::Target::AtLeast(target)),
                detail: format!("{:.3} ms", seconds * 1e3),
            });
        }
        rows.push((approach, flops, bytes, Outcome::Measured(measured)));
    }
    against_loop(study, threads, &rows, record);
    for (approach, flops, bytes, outcome) in rows {
        let row = Row {
            group: study.group.name().to_owned(),
            quantity: study.quantity.to_owned(),
            approach,
            size: study.size.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
            x: study.x,
            dtype: dtype::<T>(),
            threads,
            flops,
            bytes,
            outcome,
        };
        println!("    {}", row.line());
        record.cases.push(row);
    }
    Ok(())
}

/// Writes down how the structured candidate compares with the loop, where the study asks.
fn against_loop(
    study: &Study,
    threads: usize,
    rows: &[(Approach, f64, f64, Outcome)],
    record: &mut Record,
) {
    let seconds = |wanted: Approach| {
        rows.iter().find_map(|(approach, _, _, outcome)| match outcome {
            Outcome::Measured(m) if *approach == wanted => Some(m.seconds),
            _ => None,
        })
    };
    let times = (seconds(Approach::Structured), seconds(Approach::Loop));
    if let (Some(target), (Some(ours), Some(theirs))) = (study.speedup, times) {
        record.ratios.push(Ratio {
            name: format!("{}: times as fast", study.label()),
            dtype: study.dtype,
            threads,
            value: theirs / ours,
            target: Some(target),
            detail: format!("{:.3} ms, {:.3} ms", ours * 1e3, theirs * 1e3),
        });
    }
}

/// Why a candidate is not tried: its memory, or its time at the ceiling.
pub fn refuse<T: Scalar>(
    options: &Options,
    candidate: &Candidate,
    ceilings: &Ceilings<T>,
) -> Option<Outcome> {
    let bytes = candidate.predicted;
    if bytes as f64 > MEMORY_SHARE * machine::available() as f64 {
        return Some(Outcome::DoesNotFit { bytes });
    }
    let rate =
        ceilings.rate(if candidate.limit == Limit::Copy { Limit::Copy } else { Limit::Product });
    let work = if candidate.limit == Limit::Copy { candidate.bytes } else { candidate.flops };
    let seconds = work / rate;
    let longest = if options.quick { options.longest.min(0.3) } else { options.longest };
    (seconds > longest).then_some(Outcome::TooSlow { seconds })
}

/// The most bytes that outputs, scratch and one call allocate, on an executor that holds nothing but its
/// threads' packing buffers;
/// 0 where the process does not count.
///
/// # Errors
/// A wrong answer; an executor that cannot be made.
pub fn memory(candidate: &Candidate, threads: usize, label: &str) -> Result<u64, String> {
    let cpu = Cpu::new(Some(threads)).map_err(|e| format!("{label}: {e}"))?;
    warm::<f32>(&cpu);
    let before = PeakAlloc.current_usage();
    PeakAlloc.reset_peak_usage();
    let mut runner = (candidate.build)(&cpu);
    runner.run(&cpu);
    let peak = PeakAlloc.peak_usage();
    runner.check(&cpu).map_err(|e| format!("{label}: wrong answer: {e}"))?;
    Ok(peak.saturating_sub(before) as u64)
}

/// Lets the kernels of products allocate their packing buffers, once for each thread and whatever the
/// shapes: they are the executor's, not a candidate's.
fn warm<T: Scalar>(cpu: &Cpu) {
    let (n, parts) = (256, 4 * cpu.thread_count());
    let (a, mut c) = (vec![T::ONE; n * n], vec![T::ZERO; parts * n * n]);
    let product = |_: usize, c: &mut [T], _: &mut [T]| {
        let a = MatRef::new(&a, n, n)?;
        cpu.gemm(MatMut::new(c, n, n)?, T::ZERO, T::ONE, a, a)
    };
    cpu.for_each_part(&mut c, n * n, 0, &product).expect("shapes");
}

/// Times the entries in turn with the ceilings that they are compared with: the ceilings' rates in
/// these rounds, and the least seconds of each entry.
fn time<T: Scalar>(
    options: &Options,
    cpu: &Cpu,
    entries: &mut [Entry],
    ceilings: &mut Ceilings<T>,
) -> ([f64; 3], Vec<f64>) {
    let mut cost = 0.0;
    for entry in entries.iter_mut() {
        let seconds = entry.runner.seconds(cpu, 1).max(1e-9);
        if !options.quick {
            entry.repeats = (TIMING / seconds).ceil().clamp(1.0, 1e5) as usize;
        }
        cost += seconds * entry.repeats as f64;
    }
    let budget = options.seconds * entries.len() as f64;
    let rounds = ((budget / cost.max(1e-9)) as usize).clamp(*ROUNDS.start(), *ROUNDS.end());
    let rounds = if options.quick { 1 } else { rounds };
    let every = rounds.div_ceil(CEILING_ROUNDS);
    let mut least = [f64::INFINITY; 3];
    for round in 0..rounds {
        for limit in crate::limits::LIMITS {
            let needed = entries.iter().any(|e| e.candidate.limit == limit);
            if needed && round % every == 0 {
                least[limit as usize] = least[limit as usize].min(ceilings.sample(limit));
            }
        }
        for entry in entries.iter_mut() {
            entry.times.push(entry.runner.seconds(cpu, entry.repeats));
        }
    }
    let rates = crate::limits::LIMITS.map(|limit| ceilings.work(limit) / least[limit as usize]);
    let fastest = |entry: &Entry| entry.times.iter().copied().fold(f64::INFINITY, f64::min);
    (rates, entries.iter().map(fastest).collect())
}
