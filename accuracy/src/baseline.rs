//! The errors of an earlier run, and by how much each may grow.
//!
//! A row fails when its error is above `max(factor · worst, floor)`. The factor is for what moves
//! between machines: sums of another order on vectors of another width round differently. The floor
//! is for errors so small that their ratio means nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::comparison::{Unit, belongs};
use crate::dtype::Dtype;
use crate::table::{Failure, Key, Row, Table, number};

/// What the file says that it is.
const KIND: &str = "relfisher accuracy baseline";
/// The version of the format.
const SCHEMA: u32 = 1;

/// By how much an error may grow when nobody has said otherwise: a factor and a floor.
///
/// Between the kernels for AVX-512 and sequential sums no error of a sum grows by more than 2.6, of a
/// damped solve, whose worst tensor has condition numbers up to 10⁴, by more than 4.2.
fn allowance(quantity: &str, unit: Unit, dtype: Dtype) -> (f64, f64) {
    match unit {
        // The same operations on every machine: an ulp for the rounding of the reference and the rest.
        Unit::Ulp => (1.5, 1.0),
        Unit::Relative if quantity.contains("_damp") => (10.0, 8.0 * dtype.epsilon()),
        Unit::Relative => (4.0, 8.0 * dtype.epsilon()),
    }
}

/// The error of one row, and its allowance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Where the references come from.
    pub source: String,
    /// The quantity.
    pub quantity: String,
    /// The dtype.
    pub dtype: Dtype,
    /// The machine that computed.
    pub device: String,
    /// What errors are counted in.
    pub unit: Unit,
    /// The largest error then.
    pub worst: f64,
    /// How many times as large it may become, ≥ 1.
    pub factor: f64,
    /// What is never too large.
    pub floor: f64,
}

impl Known {
    fn of(row: &Row, old: Option<&Known>) -> Self {
        let Key { source, quantity, dtype, device } = row.key.clone();
        let (factor, floor) = allowance(&quantity, row.unit, dtype);
        // Allowances may have been changed by hand: they stay, as long as they mean the same.
        let old = old.filter(|old| old.unit == row.unit);
        let (factor, floor) = old.map_or((factor, floor), |old| (old.factor, old.floor));
        Self { source, quantity, dtype, device, unit: row.unit, worst: row.worst, factor, floor }
    }

    fn key(&self) -> Key {
        Key {
            source: self.source.clone(),
            quantity: self.quantity.clone(),
            dtype: self.dtype,
            device: self.device.clone(),
        }
    }

    /// What the error may be at most.
    pub fn limit(&self) -> f64 {
        (self.factor * self.worst).max(self.floor)
    }
}

/// The content of a baseline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    kind: String,
    schema: u32,
    /// The version of the program that wrote the file.
    pub version: String,
    /// The machine that the numbers are from.
    pub machine: Value,
    /// The golden cases behind the numbers, in order of name.
    pub cases: Vec<String>,
    /// One entry for each row.
    pub errors: Vec<Known>,
}

/// What a run has measured: what must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The sources.
    pub sources: Vec<String>,
    /// The names that quantities were asked for by; empty for all of them.
    pub quantities: Vec<String>,
    /// The dtypes.
    pub dtypes: Vec<Dtype>,
    /// The machine that computed.
    pub device: String,
    /// The golden cases.
    pub cases: Vec<String>,
}

impl Scope {
    /// Whether a row of this name is asked for.
    pub fn wants(&self, quantity: &str) -> bool {
        self.quantities.is_empty() || self.quantities.iter().any(|name| belongs(quantity, name))
    }

    fn covers(&self, key: &Key) -> bool {
        self.sources.contains(&key.source)
            && self.dtypes.contains(&key.dtype)
            && self.device == key.device
            && self.wants(&key.quantity)
    }
}

impl Baseline {
    /// Reads the text of a baseline file.
    ///
    /// # Errors
    /// The place in the file and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let baseline: Self = serde_json::from_str(text)
            .map_err(|e| (String::new(), format!("not a baseline file: {e}")))?;
        if baseline.kind != KIND || baseline.schema != SCHEMA {
            let Self { kind, schema, .. } = baseline;
            let problem = format!("{kind:?} of schema {schema}, not {KIND:?} of schema {SCHEMA}");
            return Err(("kind, schema".into(), problem));
        }
        let errors = &baseline.errors;
        for (i, known) in errors.iter().enumerate() {
            let place = format!("errors[{i}] ({} {})", known.quantity, known.dtype.name());
            let size = |x: f64| x.is_finite() && x >= 0.0;
            if !size(known.worst) || !size(known.floor) || !size(known.factor) {
                return Err((place, "an error or allowance that is negative or not finite".into()));
            }
            if known.factor < 1.0 {
                return Err((place, format!("factor {} is below 1", known.factor)));
            }
            if errors[..i].iter().any(|other| other.key() == known.key()) {
                return Err((place, "stands twice in the file".into()));
            }
        }
        Ok(baseline)
    }

    /// The text of the file: one line for each row.
    ///
    /// # Errors
    /// An error that is not finite.
    pub fn to_text(&self) -> Result<String, String> {
        let json = |value: &Value| value.to_string();
        let mut lines = Vec::with_capacity(self.errors.len());
        for known in &self.errors {
            if !known.worst.is_finite() {
                return Err(format!("{} has an error that is not finite", known.quantity));
            }
            lines.push(format!("    {}", serde_json::to_string(known).map_err(|e| e.to_string())?));
        }
        let Self { kind, schema, version, machine, cases, .. } = self;
        let (kind, version) = (json(&kind.as_str().into()), json(&version.as_str().into()));
        let cases = json(&cases.clone().into());
        Ok(format!(
            "{{\n  \"kind\": {kind},\n  \"schema\": {schema},\n  \"version\": {version},\n  \
             \"machine\": {},\n  \"cases\": {cases},\n  \"errors\": [\n{}\n  ]\n}}\n",
            json(machine),
            lines.join(",\n")
        ))
    }

    /// A baseline of the rows of a table. Rows of `old` that the run did not measure stay, and so do
    /// allowances and, if no row is about golden cases, the list of them.
    pub fn updated(
        old: Option<&Baseline>,
        table: &Table,
        scope: &Scope,
        (version, machine): (&str, Value),
    ) -> Self {
        let before: &[Known] = old.map_or(&[], |old| &old.errors);
        let known = |row: &Row| before.iter().find(|known| known.key() == row.key);
        let mut errors: Vec<Known> = table.rows().map(|row| Known::of(row, known(row))).collect();
        errors.extend(before.iter().filter(|known| !scope.covers(&known.key())).cloned());
        errors.sort_by_key(Known::key);
        let golden = table.rows().any(|row| row.key.source == "golden");
        let cases = match old {
            Some(old) if !golden => old.cases.clone(),
            _ => scope.cases.clone(),
        };
        let (version, kind) = (version.to_owned(), KIND.to_owned());
        Self { kind, schema: SCHEMA, version, machine, cases, errors }
    }

    /// One line for each way in which the program or the machine of a run is another than the one that
    /// the baseline is from. How many threads computed is none: the numbers do not depend on it.
    pub fn differences(&self, version: &str, machine: &Value) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut lines = Vec::new();
        if self.version != version {
            lines.push(format!("version: {version}, the baseline's: {}", self.version));
        }
        let names = [("cpu", "processor"), ("simd", "vector extensions"), ("arch", "architecture")];
        for (key, what) in names.into_iter().chain([("os", "system")]) {
            let (now, then) = (&machine[key], &self.machine[key]);
            if now != then {
                lines.push(format!("{what}: {}, the baseline's: {}", text(now), text(then)));
            }
        }
        lines
    }

    /// One line for each error of a table that is above the one of this file: what an update would
    /// raise.
    pub fn grown(&self, table: &Table) -> Vec<String> {
        let grown = |row: &Row| {
            let known = self.errors.iter().find(|known| known.key() == row.key)?;
            let Key { source, quantity, dtype, .. } = &row.key;
            let (old, new) = (number(known.worst, row.unit), number(row.worst, row.unit));
            let place = format!("{source} {quantity} {}", dtype.name());
            let more = known.unit == row.unit && row.worst > known.worst;
            more.then(|| format!("grew: {place}: from {old} to {new} at {}", row.place))
        };
        table.rows().filter_map(grown).collect()
    }

    /// Whether the golden rows of this file are about the cases of a run.
    ///
    /// # Errors
    /// The cases that only one of them has.
    pub fn check_cases(&self, scope: &Scope) -> Result<(), String> {
        if !scope.sources.iter().any(|source| source == "golden") || self.cases == scope.cases {
            return Ok(());
        }
        let only = |a: &[String], b: &[String]| {
            a.iter().filter(|name| !b.contains(name)).cloned().collect::<Vec<_>>().join(", ")
        };
        let (here, there) = (only(&scope.cases, &self.cases), only(&self.cases, &scope.cases));
        Err(format!("is about other cases: only in the run [{here}], only in the file [{there}]"))
    }

    /// Compares a table with this baseline: writes baseline and limit into its rows, and adds a
    /// failure for each error that grew too much, each row without a baseline, and each row of the
    /// baseline that the run should have measured and has not.
    pub fn gate(&self, table: &mut Table, scope: &Scope) {
        let mut failures = Vec::new();
        for row in table.rows_mut() {
            let key = row.key.clone();
            let mut fail = |message: String| failures.push(Failure { key: key.clone(), message });
            match self.errors.iter().find(|known| known.key() == row.key) {
                None => fail("has no baseline: measure it with --update".into()),
                Some(known) if known.unit != row.unit => {
                    fail("is counted in another unit than the baseline: measure it again with --update".into());
                }
                Some(known) => {
                    (row.baseline, row.limit) = (Some(known.worst), Some(known.limit()));
                    if row.worst.is_nan() || row.worst > known.limit() {
                        let show = |x: f64| number(x, row.unit);
                        let (worst, old) = (show(row.worst), show(known.worst));
                        let (limit, place) = (show(known.limit()), &row.place);
                        fail(format!(
                            "{place}: the error grew from {old} to {worst}, at most {limit} allowed"
                        ));
                    }
                }
            }
        }
        for known in &self.errors {
            let key = known.key();
            if scope.covers(&key) && table.row(&key).is_none() {
                let message = "was measured for the baseline, but not now".into();
                failures.push(Failure { key, message });
            }
        }
        table.fail(failures);
    }
}
