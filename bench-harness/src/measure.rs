//! Measures studies: checks every answer, counts memory, times candidates in turn with the ceilings.

use std::fmt;

use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor};

use crate::case::{Candidate, Group, Runner, Study, dtype};
use crate::limits::{Ceilings, LIMITS};
use crate::memory::memory;
use crate::pass::{Pass, Share};
use crate::record::{Dtype, Limit, Measured, Outcome, Record, Row};
use crate::report::units;
use crate::sizes::Sizes;
use crate::{growth, machine, repeated, sound, studies};

/// The least seconds of one timing: shorter calls are repeated within it.
const TIMING: f64 = 2e-4;
/// Timings of a candidate.
const ROUNDS: std::ops::RangeInclusive<usize> = 3..=60;
/// The samples of a ceiling among the rounds of a study: as many as there are rounds, up to the second
/// number; beyond the first only while they take no longer than the candidates.
const CEILING_ROUNDS: (usize, usize) = (8, 16);
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

/// Whether there is anything to measure, and this machine can.
///
/// # Errors
/// Numbers that no run can have, more threads than the machine has, something asked for twice, nothing
/// left to measure: the option and what to give.
pub fn check(options: &Options, sizes: &Sizes) -> Result<(), String> {
    let Options { groups, dtypes, threads, seconds, longest, .. } = options;
    for (option, value) in [("--seconds", *seconds), ("--longest", *longest)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(format!("{option} {value}: give seconds above 0, such as 1"));
        }
    }
    let most = machine::threads();
    if let Some(many) = threads.iter().find(|threads| !(1..=most).contains(*threads)) {
        let remedy = format!("give from 1 to {most}, what this machine runs at once");
        return Err(format!("--threads {many}: {remedy}"));
    }
    once("--threads", threads)?;
    once("--dtype", dtypes)?;
    once("a group", groups)?;
    let first = threads.first().copied().unwrap_or(1);
    if dtypes.is_empty() || threads.is_empty() || wanted::<f32>(options, sizes, first).is_empty() {
        let filter = options.filter.as_deref().unwrap_or_default();
        let remedy = "give a part of a label that a run without --filter prints";
        return Err(format!("--filter {filter:?}: no study of these groups has it: {remedy}"));
    }
    Ok(())
}

/// Cases would stand twice.
fn once<V: PartialEq + fmt::Debug>(option: &str, values: &[V]) -> Result<(), String> {
    match repeated(values) {
        Some((_, value)) => Err(format!("{option}: {value:?} stands twice: give it once")),
        None => Ok(()),
    }
}

/// The studies that the options name.
fn wanted<T: Scalar>(options: &Options, sizes: &Sizes, threads: usize) -> Vec<Study> {
    let groups = if options.groups.is_empty() { &Group::ALL[..] } else { &options.groups };
    let mut all = studies::of::<T>(groups, sizes, threads);
    all.retain(|study| options.filter.as_ref().is_none_or(|f| study.label().contains(f)));
    all
}

/// Measures, printing a line for every case; then what is to be said of the whole.
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

/// What a reader should know of a record: cases whose memory left its formula, and ceilings that were
/// disturbed. One line each.
#[must_use]
pub fn warnings(record: &Record) -> Vec<String> {
    let memory = sound::beyond_formula(record).into_iter().map(|(counted, predicted, name)| {
        let [counted, predicted] = [counted, predicted].map(|b| units::bytes(b as f64));
        format!("memory beyond its formula: {name}: {counted}, predicted {predicted}")
    });
    let shares = sound::disturbed(record).into_iter().filter(|_| !record.run.quick);
    let shares = shares.map(|share| {
        let remedy = "measure again on a quiet machine";
        format!("a share of {share}: its ceiling was disturbed: {remedy}")
    });
    memory.chain(shares).collect()
}

fn of_dtype<T: Scalar>(
    options: &Options,
    sizes: &Sizes,
    threads: usize,
    record: &mut Record,
) -> Result<(), String> {
    let all = wanted::<T>(options, sizes, threads);
    let cpu = Cpu::new(Some(threads)).map_err(|e| e.to_string())?;
    let mut ceilings = Ceilings::<T>::new(&sizes.ceiling, threads);
    println!("\n{} {} {threads} threads, {} studies", Cpu::model(), T::NAME, all.len());
    let mut pass = Pass::new(record);
    let mut outcome = Ok(());
    // inside the executor's threads, as a training loop runs
    Executor::<T>::install(&cpu, &mut || {
        for limit in LIMITS {
            (0..3).for_each(|_| _ = ceilings.sample(limit));
        }
        outcome = all.iter().enumerate().try_for_each(|(k, study)| {
            println!("[{}/{}] {}", k + 1, all.len(), study.label());
            one(options, study, (&cpu, threads), &mut ceilings, &mut pass)
        });
    });
    outcome?;
    pass.finish(&ceilings);
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
    pass: &mut Pass<'_>,
) -> Result<(), String> {
    let row = |candidate: &Candidate, outcome| Row {
        group: study.group.name().to_owned(),
        quantity: study.quantity.to_owned(),
        approach: candidate.approach,
        size: study.size.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
        x: study.x,
        dtype: dtype::<T>(),
        threads,
        flops: candidate.flops,
        bytes: candidate.bytes,
        outcome,
    };
    let (mut entries, mut rows) = (Vec::new(), Vec::new());
    for candidate in (study.prepare)(cpu) {
        if let Some(outcome) = refuse(options, &candidate, ceilings) {
            if candidate.share.is_some() {
                pass.no_share(study, (candidate.limit, threads), &outcome);
            }
            rows.push((row(&candidate, outcome), None));
            continue;
        }
        let label = format!("{} ({:?})", study.label(), candidate.approach);
        let peak = memory(&candidate, threads, &label)?;
        let mut runner = (candidate.build)(cpu);
        runner.run(cpu);
        runner.check(cpu).map_err(|e| format!("{label}: wrong answer: {e}"))?;
        entries.push(Entry { candidate, runner, peak, repeats: 1, times: Vec::new() });
    }
    let (rates, least) = time(options, cpu, &mut entries, ceilings);
    for (entry, seconds) in entries.iter_mut().zip(least) {
        let Candidate { limit, predicted, share: wanted, .. } = entry.candidate;
        entry.times.sort_by(f64::total_cmp);
        let share = Share::new(&entry.candidate, seconds, rates[limit as usize], wanted);
        let measured = Measured {
            seconds,
            median: entry.times[entry.times.len() / 2],
            rounds: entry.times.len(),
            limit,
            share: share.value(ceilings),
            peak_bytes: entry.peak,
            predicted_bytes: predicted,
        };
        rows.push((row(&entry.candidate, Outcome::Measured(measured)), Some(share)));
    }
    pass.against_loop(study, threads, rows.iter().map(|(row, _)| row));
    for (row, share) in rows {
        println!("    {}", row.line());
        pass.keep(study, row, share);
    }
    Ok(())
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
    let seconds = candidate.limit.work(candidate.flops, candidate.bytes) / rate;
    let longest = if options.quick { options.longest.min(0.3) } else { options.longest };
    (seconds > longest).then_some(Outcome::TooSlow { seconds, bytes: Some(bytes) })
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
    let needed = LIMITS.map(|limit| entries.iter().any(|entry| entry.candidate.limit == limit));
    let once: f64 =
        LIMITS.iter().filter(|l| needed[**l as usize]).map(|l| ceilings.seconds(*l)).sum();
    let affordable = (budget / once.max(1e-9)) as usize;
    let samples = affordable.clamp(CEILING_ROUNDS.0, CEILING_ROUNDS.1).min(rounds);
    let mut least = [f64::INFINITY; 3];
    for round in 0..rounds {
        // spread evenly: the samples so far are their share of the rounds so far
        let sampled = (round + 1) * samples / rounds > round * samples / rounds;
        for limit in LIMITS {
            if needed[limit as usize] && sampled {
                least[limit as usize] = least[limit as usize].min(ceilings.sample(limit));
            }
        }
        for entry in entries.iter_mut() {
            entry.times.push(entry.runner.seconds(cpu, entry.repeats));
        }
    }
    let rates = LIMITS.map(|limit| ceilings.work(limit) / least[limit as usize]);
    let fastest = |entry: &Entry| entry.times.iter().copied().fold(f64::INFINITY, f64::min);
    (rates, entries.iter().map(fastest).collect())
}
