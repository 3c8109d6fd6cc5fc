//! The gate on speed and memory: a record against an earlier one.
//!
//! Only what survives a change of the machine's load is compared: shares of the ceiling that was
//! measured in the same rounds, values of ratios, and counted bytes. Absolute times are not.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use super::key::{self, Key};
use super::units;
use crate::pass::refusal;
use crate::record::{Ratio, Record, Target};
use crate::sound;

/// How much a share may fall, and a ratio may miss its target or what it missed it by before, before it
/// is a regression: a quarter.
pub const BAND: f64 = 0.25;

/// How much the counted bytes of a case may grow: a tenth, and 64 KiB for what thread pools and
/// libraries keep.
pub const MEMORY_FACTOR: f64 = 1.1;
/// See [`MEMORY_FACTOR`].
pub const MEMORY_FLOOR: u64 = 64 << 10;

/// The lines of the table that did not fail.
const SHOWN: usize = 20;

/// What got worse by less has no line.
const TOLD: f64 = 0.005;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// The share of the ceiling.
    Share,
    /// The counted bytes.
    Memory,
    /// The value of a ratio.
    Ratio,
}

/// Two numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Of what.
    pub aspect: Aspect,
    /// The case or the ratio.
    pub name: String,
    /// The baseline's.
    pub before: f64,
    /// The record's.
    pub now: f64,
    /// By what part it got worse: 0.5 is a share that halved, or memory that grew by half; negative
    /// where it got better.
    pub worse: f64,
    /// Why it fails.
    pub failure: Option<String>,
}

/// A record against a baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// How much a share may fall.
    pub band: f64,
    /// What differs between the machines, in words.
    pub machine: Vec<String>,
    /// Failures first, then the worst changes.
    pub changes: Vec<Change>,
    /// Cases and ratios of the baseline that the record has not, or did not measure.
    pub vanished: Vec<String>,
    /// Cases and ratios that the baseline has not.
    pub new: Vec<String>,
}

/// Whether a record can be compared.
///
/// # Errors
/// A quick run, or shares of a ceiling that was disturbed; with the name and what to do.
pub fn comparable(record: &Record, name: &str) -> Result<(), String> {
    if record.run.quick {
        let remedy = "measure without --quick";
        return Err(format!("{name}: a quick run, whose times mean nothing: {remedy}"));
    }
    if let Some(share) = sound::disturbed(record).first() {
        let remedy = "measure again on a quiet machine";
        return Err(format!("{name}: a share of {share}: its ceiling was disturbed: {remedy}"));
    }
    Ok(())
}

/// Reads a record that can be compared.
///
/// # Errors
/// As [`Record::read`] and [`comparable`].
pub fn read(path: &Path) -> Result<Record, String> {
    let record = Record::read(path)?;
    comparable(&record, &path.display().to_string())?;
    Ok(record)
}

/// Compares; both records must be [`comparable`].
#[must_use]
pub fn compare(record: &Record, baseline: &Record, band: f64) -> Comparison {
    let mut comparison = Comparison {
        band,
        machine: machines(record, baseline),
        changes: Vec::new(),
        vanished: Vec::new(),
        new: Vec::new(),
    };
    comparison.cases(record, baseline);
    comparison.ratios(record, baseline);
    let order = |a: &Change, b: &Change| {
        let failed = b.failure.is_some().cmp(&a.failure.is_some());
        failed.then(b.worse.total_cmp(&a.worse))
    };
    comparison.changes.sort_by(order);
    comparison
}

fn machines(record: &Record, baseline: &Record) -> Vec<String> {
    let (now, before) = (&record.run, &baseline.run);
    let pairs = [
        ("processor", now.cpu.clone(), before.cpu.clone()),
        ("vector extensions", now.simd.join(" "), before.simd.join(" ")),
        ("cores", now.cores.to_string(), before.cores.to_string()),
        ("memory", units::gibibytes(now.memory), units::gibibytes(before.memory)),
        ("system", now.system.clone(), before.system.clone()),
    ];
    let differ = pairs.into_iter().filter(|(_, now, before)| now != before);
    differ.map(|(what, now, before)| format!("{what}: {now}, the baseline's: {before}")).collect()
}

impl Comparison {
    /// Whether something was compared, and nothing got worse by more than is allowed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.nothing().is_none() && self.failures().next().is_none()
    }

    /// What is to be said when nothing was compared.
    #[must_use]
    pub fn nothing(&self) -> Option<&'static str> {
        self.changes.is_empty().then_some(
            "nothing was compared: the two records have no case in common: measure the baseline with \
             the same groups, sizes, dtypes and threads",
        )
    }

    /// What got worse by more.
    pub fn failures(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.failure.is_some())
    }

    fn cases(&mut self, record: &Record, baseline: &Record) {
        let (now, before) = (key::rows(record), key::rows(baseline));
        let of = |rows: &BTreeMap<Key, &crate::record::Row>, case: &Key| {
            rows.get(case).and_then(|row| key::measured(row)).cloned()
        };
        for (case, row) in &before {
            let Some(old) = key::measured(row) else { continue };
            let Some(new) = of(&now, case) else {
                match now.get(case) {
                    Some(row) => {
                        let why = refusal(&row.outcome);
                        self.lost(Aspect::Share, case.to_string(), old.share, &why);
                    }
                    None => self.vanished.push(case.to_string()),
                }
                continue;
            };
            // What is no number did not become so by getting better.
            let fell = new.share.is_nan() || new.share < (1.0 - self.band) * old.share;
            let most = MEMORY_FACTOR * old.peak_bytes as f64 + MEMORY_FLOOR as f64;
            let grew = new.peak_bytes as f64 > most;
            let name = case.to_string();
            self.changes.push(Change {
                aspect: Aspect::Share,
                name: name.clone(),
                before: old.share,
                now: new.share,
                worse: 1.0 - new.share / old.share,
                failure: fell.then(|| {
                    let least = units::digits((1.0 - self.band) * old.share);
                    format!("the share of the ceiling fell below {least}")
                }),
            });
            self.changes.push(Change {
                aspect: Aspect::Memory,
                name,
                before: old.peak_bytes as f64,
                now: new.peak_bytes as f64,
                worse: growth(new.peak_bytes, old.peak_bytes),
                failure: grew.then(|| format!("memory grew beyond {}", units::bytes(most))),
            });
        }
        let measured_now = now.iter().filter(|(_, row)| key::measured(row).is_some());
        let unknown = measured_now.filter(|(case, _)| of(&before, case).is_none());
        self.new.extend(unknown.map(|(case, _)| case.to_string()));
    }

    /// What was asked for, was measured before, and was not tried now.
    fn lost(&mut self, aspect: Aspect, name: String, before: f64, why: &str) {
        let failure = Some(format!("measured before, not tried now: {why}"));
        self.changes.push(Change { aspect, name, before, now: 0.0, worse: 1.0, failure });
    }

    fn ratios(&mut self, record: &Record, baseline: &Record) {
        let name = |ratio: &Ratio| units::named(&ratio.name, ratio.dtype, ratio.threads);
        let find = |of: &Record, wanted: &Ratio| {
            of.ratios.iter().find(|ratio| name(ratio) == name(wanted)).cloned()
        };
        for old in &baseline.ratios {
            let Some(new) = find(record, old) else {
                let not = record.not_measured.iter();
                let mut not =
                    not.filter(|n| units::named(&n.name, n.dtype, n.threads) == name(old));
                match not.next().filter(|_| old.target.is_some()) {
                    Some(not) => self.lost(Aspect::Ratio, name(old), old.value, &not.why),
                    None => self.vanished.push(format!("ratio: {}", name(old))),
                }
                continue;
            };
            let change = new.value / old.value;
            let (worse, failure) = match old.target {
                Some(target) => {
                    let met = target.met(old.value);
                    // what missed before may not miss by more
                    let bound = if met { target } else { target.at(old.value) };
                    let failed = !bound.met_within(new.value, self.band);
                    let why = if met { "met its target" } else { "missed its target" };
                    let (target, now) = (units::target(target), units::digits(new.value));
                    let failure = format!("{why}, {target}, before, and is {now} now");
                    (bound.excess(new.value, old.value), failed.then_some(failure))
                }
                None => ((change - 1.0).abs(), None),
            };
            self.changes.push(Change {
                aspect: Aspect::Ratio,
                name: name(old),
                before: old.value,
                now: new.value,
                worse,
                failure,
            });
        }
        let unknown = record.ratios.iter().filter(|ratio| find(baseline, ratio).is_none());
        self.new.extend(unknown.map(|ratio| format!("ratio: {}", name(ratio))));
    }
}

/// By what part bytes grew; from nothing, as if from one KiB.
fn growth(now: u64, before: u64) -> f64 {
    (now as f64 - before as f64) / before.max(1 << 10) as f64
}

impl Target {
    /// A bound of the same kind at another value.
    const fn at(self, value: f64) -> Self {
        match self {
            Self::AtLeast(_) => Self::AtLeast(value),
            Self::AtMost(_) => Self::AtMost(value),
        }
    }

    /// By what part a value got worse.
    fn excess(self, now: f64, before: f64) -> f64 {
        match self {
            Self::AtLeast(_) => 1.0 - now / before,
            Self::AtMost(_) => now / before - 1.0,
        }
    }

    /// Whether `value` misses by no more than a part of the target.
    fn met_within(self, value: f64, band: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= (1.0 - band) * bound,
            Self::AtMost(bound) => value <= (1.0 + band) * bound,
        }
    }
}

impl Aspect {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Memory => "memory",
            Self::Ratio => "ratio",
        }
    }

    pub(super) fn number(self, value: f64) -> String {
        match self {
            Self::Share | Self::Ratio => units::digits(value),
            Self::Memory => units::bytes(value),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.machine {
            writeln!(f, "another machine: {line}")?;
        }
        writeln!(f, "{:6} {:>12} {:>12} {:>8}  what", "", "before", "now", "worse by")?;
        let failed = self.failures().count();
        // Failures come first, so what is shown is a prefix.
        let told = |change: &&Change| change.failure.is_some() || change.worse >= TOLD;
        let shown = self.changes.iter().take_while(told).take(failed + SHOWN);
        for Change { aspect, name, before, now, worse, failure } in shown {
            let (before, now) = (aspect.number(*before), aspect.number(*now));
            let mut line = format!(
                "{:6} {before:>12} {now:>12} {:>8}  {name}",
                aspect.name(),
                units::percent(*worse)
            );
            if let Some(failure) = failure {
                write!(line, ": FAIL, {failure}")?;
            }
            writeln!(f, "{line}")?;
        }
        let more = self.changes.iter().skip(failed + SHOWN).take_while(told).count();
        if more > 0 {
            writeln!(f, "and {more} more that got worse by less")?;
        }
        for (what, names) in [("no longer measured", &self.vanished), ("new", &self.new)] {
            names.iter().try_for_each(|name| writeln!(f, "{what}: {name}"))?;
        }
        if let Some(nothing) = self.nothing() {
            return write!(f, "{nothing}");
        }
        let band = units::percent(self.band);
        write!(f, "{} comparisons, {failed} beyond the band of {band}", self.changes.len())
    }
}
