//! What every case of the gate's sizes may allocate: a committed file, the same on every machine.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// The committed file.
pub(super) const FILE: &str = "bench-harness/gate-memory.csv";

/// Its first line.
const HEADER: &str = "case,bytes";

/// How much the counted bytes of a case may grow: a tenth, and 64 KiB for what thread pools and libraries
/// keep.
const GROWTH: (f64, u64) = (1.1, 64 << 10);

/// How much more than its formula says a case may allocate: a quarter, and 64 KiB.
const FORMULA: (f64, u64) = (1.25, 64 << 10);

/// What writes the file anew.
const UPDATE: &str = "`cargo ci bench-gate --update`";

/// Bytes by case.
pub(super) type Counts = BTreeMap<String, u64>;

/// What a structured case allocated, and what its formula says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    counted: u64,
    predicted: u64,
}

/// The structured cases of a record.
///
/// # Errors
/// A file that is no record; a case that was not measured.
pub(super) fn of_record(path: &Path) -> Result<BTreeMap<String, Memory>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let record: Value =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let cases = record["cases"].as_array().map_or(&[][..], Vec::as_slice);
    let mut all = BTreeMap::new();
    for case in cases.iter().filter(|case| case["approach"] == "structured") {
        let (name, outcome) = (name(case), &case["outcome"]["measured"]);
        let bytes = |field: &str| outcome[field].as_u64();
        let (Some(counted), Some(predicted)) = (bytes("peak_bytes"), bytes("predicted_bytes"))
        else {
            let remedy = "make it smaller in bench-harness/gate.toml";
            return Err(format!("{name}: not measured, {}: {remedy}", case["outcome"]));
        };
        all.insert(name, Memory { counted, predicted });
    }
    if all.is_empty() {
        return Err(format!("{}: no structured case was measured", path.display()));
    }
    Ok(all)
}

/// `metric: packed metric, inputs 81, neurons 80, samples 512`.
fn name(case: &Value) -> String {
    let text = |field: &str| case[field].as_str().unwrap_or_default().to_owned();
    let size = case["size"].as_object().into_iter().flatten();
    let size = size.map(|(name, value)| format!(", {name} {value}")).collect::<String>();
    format!("{}: {}{size}", text("group"), text("quantity"))
}

/// The text of the file.
pub(super) fn text(cases: &BTreeMap<String, Memory>) -> String {
    let rows = cases.iter().map(|(name, memory)| format!("\"{name}\",{}\n", memory.counted));
    format!("{HEADER}\n{}", rows.collect::<String>())
}

/// Reads the text of the file.
///
/// # Errors
/// The line that is none.
pub(super) fn parse(text: &str) -> Result<Counts, String> {
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, line)| line) != Some(HEADER) {
        return Err(format!(
            "{FILE}: its first line is not `{HEADER}`: write it anew with {UPDATE}"
        ));
    }
    let mut counts = Counts::new();
    for (k, line) in lines {
        let row = line.rsplit_once(',').and_then(|(name, bytes)| {
            let name = name.strip_prefix('"')?.strip_suffix('"')?;
            Some((name.to_owned(), bytes.parse().ok()?))
        });
        let new = row.is_some_and(|(name, bytes)| counts.insert(name, bytes).is_none());
        if !new {
            let remedy = format!("mend it, or write the file anew with {UPDATE}");
            return Err(format!("{FILE}:{}: no new case and its bytes: {remedy}", k + 1));
        }
    }
    Ok(counts)
}

/// One line for each case that allocates more than its formula or than the file allows, or that only one
/// of run and file has.
pub(super) fn failures(known: &Counts, now: &BTreeMap<String, Memory>) -> Vec<String> {
    let mut all = beyond_formula(now);
    for (name, Memory { counted, .. }) in now {
        match known.get(name) {
            None => all.push(format!("{name}: not in {FILE}: {UPDATE} adds it")),
            Some(bytes) if *counted > allowed(*bytes, GROWTH) => all.push(format!(
                "{name}: {counted} bytes instead of {bytes}: mend it, or where the growth is meant, \
                 {UPDATE}"
            )),
            Some(_) => {}
        }
    }
    let gone = known.keys().filter(|name| !now.contains_key(*name));
    all.extend(gone.map(|name| {
        format!("{name}: in {FILE}, but no longer measured: bring it back, or {UPDATE}")
    }));
    all
}

/// One line for each case that allocates more than its formula says.
pub(super) fn beyond_formula(now: &BTreeMap<String, Memory>) -> Vec<String> {
    let beyond = |(name, memory): (&String, &Memory)| {
        let Memory { counted, predicted } = *memory;
        let remedy = "mend the kernel, or the formula of the study in bench-harness/src/studies";
        (counted > allowed(predicted, FORMULA))
            .then(|| format!("{name}: {counted} bytes, {predicted} by its formula: {remedy}"))
    };
    now.iter().filter_map(beyond).collect()
}

fn allowed(bytes: u64, (factor, more): (f64, u64)) -> u64 {
    (factor * bytes as f64) as u64 + more
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Memory, failures, name, parse, text};

    fn cases(rows: &[(&str, u64, u64)]) -> BTreeMap<String, Memory> {
        let row = |(name, counted, predicted): &(&str, u64, u64)| {
            ((*name).to_owned(), Memory { counted: *counted, predicted: *predicted })
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn the_file_survives_itself() {
        let now = cases(&[("step: an SGD step, against products, batch 50", 12, 12), ("b", 0, 0)]);
        let known = parse(&text(&now)).expect("a file");
        assert_eq!(known.len(), 2);
        assert_eq!(known["step: an SGD step, against products, batch 50"], 12);
        assert_eq!(failures(&known, &now), [""; 0]);
        for broken in
            ["", "case,bytes\nb,1\n", "case,bytes\n\"b\",x\n", "case,bytes\n\"b\",1\n\"b\",2\n"]
        {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn growth_formulas_and_strangers_fail() {
        let mib = 1 << 20;
        let known = parse(&text(&cases(&[("a", mib, mib), ("b", mib, mib)]))).expect("a file");
        let now = |bytes: u64, predicted: u64| {
            failures(&known, &cases(&[("a", bytes, predicted), ("b", mib, mib)]))
        };
        assert_eq!(now(mib + mib / 10 + 65_535, 2 * mib), [""; 0]);
        assert!(now(mib + mib / 10 + 65_538, 2 * mib)[0].contains("instead of"));
        assert!(now(mib, mib / 2)[0].contains("by its formula"));
        let other = failures(&known, &cases(&[("a", mib, mib), ("c", mib, mib)]));
        assert_eq!(other.len(), 2, "{other:?}");
        assert!(other[0].contains("c: not in") && other[1].contains("b: in"), "{other:?}");
    }

    #[test]
    fn a_case_has_the_name_of_its_size() {
        let case = serde_json::json!({
            "group": "kron", "quantity": "damped solve", "size": {"width": 16, "columns": 4},
        });
        assert_eq!(name(&case), "kron: damped solve, columns 4, width 16");
    }
}
