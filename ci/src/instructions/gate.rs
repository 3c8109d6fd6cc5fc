//! Two sets of counts, compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FILE, Versions};

/// By how much of itself a count may grow.
///
/// The same program gives the same count. The allowance is for what moves without a change of a
/// kernel: a compiler that lays out a caller otherwise, another version of the C library's `memcpy`.
pub const GROWTH: f64 = 0.02;

/// What the file says that it is.
const KIND: &str = "relfisher instruction counts";
/// The version of the format.
const SCHEMA: u32 = 1;

/// Instructions by case.
pub type Counts = BTreeMap<String, u64>;

/// The content of the committed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    kind: String,
    schema: u32,
    /// `rustc --version` of the compiler that the cases were built by.
    pub rustc: String,
    /// `valgrind --version`.
    pub valgrind: String,
    /// One entry for each case.
    pub counts: Counts,
}

impl Baseline {
    /// What is to be committed.
    pub fn new(versions: &Versions, counts: Counts) -> Self {
        let Versions { rustc, valgrind } = versions.clone();
        Self { kind: KIND.into(), schema: SCHEMA, rustc, valgrind, counts }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let baseline: Self =
            serde_json::from_str(text).map_err(|e| format!("no instruction counts: {e}"))?;
        let Self { kind, schema, counts, .. } = &baseline;
        if kind != KIND || *schema != SCHEMA {
            return Err(format!("{kind:?} of schema {schema}, not {KIND:?} of schema {SCHEMA}"));
        }
        match counts.iter().find(|(_, count)| **count == 0) {
            Some((name, _)) => Err(format!("counts[{name:?}] is 0, which no run can give")),
            None => Ok(baseline),
        }
    }

    /// The text of a file.
    ///
    /// # Panics
    /// Never: strings and numbers are JSON.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers") + "\n"
    }

    /// One line for each tool that is not the one of the file. The counts are compared nevertheless:
    /// most survive a new compiler, and the lines tell what to think of the others.
    pub fn other_versions(&self, now: &Versions) -> Vec<String> {
        let pairs = [(&self.rustc, &now.rustc), (&self.valgrind, &now.valgrind)];
        let other = pairs.into_iter().filter(|(known, now)| known != now);
        other
            .map(|(known, now)| {
                format!(
                    "note: {FILE} is of {known}, this is {now}: counts may move with the tool; \
                     where no kernel changed, `cargo ci instructions --update` on the old state"
                )
            })
            .collect()
    }
}

/// What is to be said of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As many instructions, to [`GROWTH`].
    Same,
    /// Fewer. Passes, but hides a later growth until the file says so.
    Fallen,
    /// More: fails.
    Grown,
    /// Not in the file: fails.
    New,
    /// In the file only: fails.
    Vanished,
}

impl Verdict {
    /// Whether the gate stays open.
    pub fn passes(self) -> bool {
        matches!(self, Self::Same | Self::Fallen)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Fallen => "fewer",
            Self::Grown => "MORE",
            Self::New => "NEW",
            Self::Vanished => "VANISHED",
        }
    }
}

/// A case in one or both sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The case.
    pub name: String,
    /// The committed count.
    pub known: Option<u64>,
    /// The count of this run.
    pub now: Option<u64>,
}

impl Row {
    /// (now − known)/known of a case that is in both sets.
    pub fn growth(&self) -> Option<f64> {
        let (known, now) = (self.known?, self.now?);
        Some((now as f64 - known as f64) / known as f64)
    }

    /// What is to be said of it.
    pub fn verdict(&self) -> Verdict {
        match (self.known, self.now, self.growth()) {
            (_, _, Some(growth)) if growth > GROWTH => Verdict::Grown,
            (_, _, Some(growth)) if growth < -GROWTH => Verdict::Fallen,
            (_, _, Some(_)) => Verdict::Same,
            (None, _, _) => Verdict::New,
            (Some(_), _, _) => Verdict::Vanished,
        }
    }

    /// Why the gate fails here, and what to do; nothing where it does not.
    fn failure(&self) -> Option<String> {
        let Self { name, .. } = self;
        let update = "`cargo ci instructions --update`";
        match self.verdict() {
            Verdict::Same | Verdict::Fallen => None,
            Verdict::Grown => {
                let percent = 100.0 * self.growth().unwrap_or_default();
                let allowed = 100.0 * GROWTH;
                let counts = (self.known.unwrap_or_default(), self.now.unwrap_or_default());
                Some(format!(
                    "{name}: {} instructions instead of {}, {percent:.1} % more, allowed are \
                     {allowed} %: mend the kernel, or where the growth is meant, {update}",
                    counts.1, counts.0
                ))
            }
            Verdict::New => Some(format!("{name}: not in {FILE}: {update} adds it")),
            Verdict::Vanished => Some(format!(
                "{name}: in {FILE}, but no longer counted: bring the case back, or {update}"
            )),
        }
    }
}

/// Two sets of counts, case by case in order of name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// One row for each case of either set.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Compares a run with what is known.
    pub fn new(known: &Counts, now: &Counts) -> Self {
        let names: BTreeSet<&String> = known.keys().chain(now.keys()).collect();
        let row = |name: &String| Row {
            name: name.clone(),
            known: known.get(name).copied(),
            now: now.get(name).copied(),
        };
        Self { rows: names.into_iter().map(row).collect() }
    }

    /// One line for each case that fails the gate.
    pub fn failures(&self) -> Vec<String> {
        self.rows.iter().filter_map(Row::failure).collect()
    }
}

/// The table, and one line about gains that the file does not know.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
        writeln!(f, "{:width$} {:>13} {:>13} {:>8}", "case", "known", "now", "change")?;
        for row in &self.rows {
            let change =
                row.growth().map_or(String::new(), |growth| format!("{:+.2} %", 100.0 * growth));
            let (known, now) = (number(row.known), number(row.now));
            let line = format!("{:width$} {known:>13} {now:>13} {change:>8}", row.name);
            writeln!(f, "{}", format!("{line} {}", row.verdict().word()).trim_end())?;
        }
        let fallen = self.rows.iter().filter(|row| row.verdict() == Verdict::Fallen).count();
        if fallen > 0 {
            writeln!(
                f,
                "{fallen} counts have fallen: `cargo ci instructions --update` holds the gain"
            )?;
        }
        Ok(())
    }
}

/// Whether a run with a slow kernel in place of that of `handicapped` fails the gate for that case,
/// because it has grown, and for no other.
///
/// # Errors
/// What the gate did instead.
pub fn handicap_is_seen(comparison: &Comparison, handicapped: &str) -> Result<(), String> {
    let mut seen = false;
    for row in &comparison.rows {
        match (row.name == handicapped, row.verdict()) {
            (true, Verdict::Grown) => seen = true,
            (true, verdict) => {
                return Err(format!(
                    "{handicapped} ran by a slow kernel, and the gate says {verdict:?}, not Grown"
                ));
            }
            (false, verdict) if !verdict.passes() => {
                return Err(format!(
                    "only {handicapped} ran by a slow kernel, but the gate says {verdict:?} of {}",
                    row.name
                ));
            }
            (false, _) => {}
        }
    }
    if seen {
        Ok(())
    } else {
        Err(format!("{handicapped} was to run by a slow kernel, and did not run"))
    }
}
