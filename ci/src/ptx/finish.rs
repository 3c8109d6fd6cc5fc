//! What is done to the compiler's PTX: comments dropped, launch bounds set, collectives listed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use relfisher_kernels::contract::{CONTRACTS, Contract, Variant};

const ENTRY: &str = ".visible .entry ";

/// Instructions that the threads of a warp or block execute together.
const COLLECTIVES: [&str; 7] = ["bar.", "barrier.", "shfl.", "vote.", "match.", "mma.", "redux."];

/// The contract of an entry of a variant.
fn contract(name: &str, variant: Variant) -> Result<&'static Contract, String> {
    let found = CONTRACTS.iter().find(|c| c.name == name && applies(c, variant));
    found.ok_or_else(|| format!("entry {name} of {} has no contract", variant.name()))
}

/// Whether a variant has a contract's entry.
fn applies(contract: &Contract, variant: Variant) -> bool {
    contract.since == Variant::Sm75 || variant == Variant::Sm80
}

/// Finishes the compiler's output for a variant.
pub(super) fn finish(text: &str, variant: Variant) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut open = None;
    for line in text.lines() {
        let line = line.split_once("//").map_or(line, |(code, _)| code).trim_end();
        if line.is_empty() {
            continue;
        }
        if let Some(rest) = line.strip_prefix(ENTRY) {
            let name = rest.trim_end_matches('(');
            open = Some(contract(name, variant)?);
        }
        if line == "{"
            && let Some(Contract { threads, resident, .. }) = open.take()
        {
            let _ = writeln!(out, ".maxntid {threads}, 1, 1\n.minnctapersm {resident}");
        }
        out.push_str(line);
        out.push('\n');
    }
    let names = entries(&out);
    let missing: Vec<&str> = CONTRACTS
        .iter()
        .filter(|c| applies(c, variant) && !names.iter().any(|name| name == c.name))
        .map(|c| c.name)
        .collect();
    if !missing.is_empty() {
        return Err(format!("contracts without an entry in {}: {missing:?}", variant.name()));
    }
    Ok(out)
}

/// The names of the entry points, sorted.
pub fn entries(text: &str) -> Vec<String> {
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix(ENTRY))
        .map(|rest| rest.trim_end_matches('(').to_owned())
        .collect();
    names.sort();
    names
}

/// For every entry its collectives in order, each with the basic block that it stands in, counted
/// from the start of the function. A collective under a predicate is marked with `@`: no kernel may
/// have one.
pub fn collectives(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut entry, mut block, mut places) = (None, 0, Vec::new());
    for line in text.lines() {
        let code = line.trim();
        if let Some(rest) = line.strip_prefix(ENTRY) {
            entry = Some(rest.trim_end_matches('(').to_owned());
            (block, places) = (0, Vec::new());
        } else if line == "}" {
            if let Some(name) = entry.take() {
                found.insert(name, summary(&places));
            }
        } else if code.starts_with("$L__") && code.ends_with(':') {
            block += 1;
        } else {
            let (mark, code) = match code.strip_prefix('@') {
                Some(rest) => ("@", rest.split_once(char::is_whitespace).map_or("", |(_, c)| c)),
                None => ("", code),
            };
            let code = code.trim_start();
            if COLLECTIVES.iter().any(|prefix| code.starts_with(prefix)) {
                let name = code.split(char::is_whitespace).next().unwrap_or(code);
                places.push((format!("{mark}{}", name.trim_end_matches(';')), block));
            }
        }
    }
    found
}

/// Runs of equal collectives in one basic block, in order.
fn summary(places: &[(String, u32)]) -> String {
    let runs = places.chunk_by(|a, b| a == b).map(|run| {
        let (name, block) = &run[0];
        format!("{name}×{} in {block}", run.len())
    });
    let text: Vec<String> = runs.collect();
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}
