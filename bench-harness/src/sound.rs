//! What makes a record fit to be judged, beyond its layout.

use std::collections::BTreeSet;

use crate::record::{Approach, Ceiling, Limit, Measured, Record, Row, Target};
use crate::report::key::{self, Key};
use crate::report::units;

/// The share of a product or a Cholesky factorisation that no kernel reaches: above it the ceiling was
/// disturbed. Calls that fit a cache pass a ceiling that does not by up to 1.4.
pub const MOST: f64 = 1.5;

/// How much more than its formula says a structured case may allocate: a quarter, and 64 KiB for what
/// thread pools and libraries keep.
pub const BEYOND: (f64, f64) = (1.25, 65536.0);

/// That every number is one.
///
/// # Errors
/// The first that is none, by its place.
pub fn finite(record: &Record) -> Result<(), String> {
    let ceilings = record.ceilings.iter().map(|c| {
        let place = || format!("ceiling {:?}, {} threads", c.limit, c.threads);
        (place(), vec![c.seconds, c.rate])
    });
    let cases = record.cases.iter().map(|row| {
        let Measured { seconds, median, share, .. } = match key::measured(row) {
            Some(measured) => measured.clone(),
            None => return (Key::of(row).to_string(), vec![row.flops, row.bytes, limit(row)]),
        };
        (Key::of(row).to_string(), vec![row.flops, row.bytes, seconds, median, share])
    });
    let growth = record.growth.iter().map(|g| (g.quantity.clone(), vec![g.exponent, g.theory]));
    let ratios = record.ratios.iter().map(|ratio| {
        let bound = match ratio.target {
            Some(Target::AtLeast(bound) | Target::AtMost(bound)) => bound,
            None => 0.0,
        };
        (ratio.name.clone(), vec![ratio.value, bound])
    });
    let all = ceilings.chain(cases).chain(growth).chain(ratios);
    for (place, numbers) in all {
        if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
            return Err(format!("{place}: {number} is no number that a record can hold"));
        }
    }
    Ok(())
}

/// The seconds of a call that was not tried.
fn limit(row: &Row) -> f64 {
    match row.outcome {
        crate::record::Outcome::TooSlow { seconds, .. } => seconds,
        _ => 0.0,
    }
}

/// That no case and no ratio stands twice.
///
/// # Errors
/// The first that does.
pub fn distinct(record: &Record) -> Result<(), String> {
    let mut cases = BTreeSet::new();
    if let Some(row) = record.cases.iter().find(|row| !cases.insert(Key::of(row))) {
        return Err(format!("the case {} stands twice", Key::of(row)));
    }
    let mut ratios = BTreeSet::new();
    let measured = record.ratios.iter().map(|r| units::named(&r.name, r.dtype, r.threads));
    let not = record.not_measured.iter().map(|r| units::named(&r.name, r.dtype, r.threads));
    match measured.chain(not).find(|name| !ratios.insert(name.clone())) {
        Some(name) => Err(format!("the ratio {name} stands twice")),
        None => Ok(()),
    }
}

/// The share that no case of this limit reaches: [`MOST`]; where a Cholesky factorisation is so much slower
/// than a product, what a case of products alone would have.
fn most(record: &Record, row: &Row, limit: Limit) -> f64 {
    let rate = |limit: Limit| {
        let own = |c: &&Ceiling| (c.limit, c.dtype, c.threads) == (limit, row.dtype, row.threads);
        record.ceilings.iter().find(own).map(|c| c.rate)
    };
    match (limit, rate(Limit::Product), rate(Limit::Cholesky)) {
        (Limit::Copy, ..) => f64::INFINITY,
        (Limit::Cholesky, Some(product), Some(cholesky)) => MOST.max(product / cholesky),
        _ => MOST,
    }
}

/// The cases whose share says that their ceiling was disturbed, worst first.
#[must_use]
pub fn disturbed(record: &Record) -> Vec<String> {
    let above = |row: &Row| {
        let measured = key::measured(row)?;
        let far = measured.share > most(record, row, measured.limit);
        far.then(|| (measured.share, Key::of(row).to_string()))
    };
    let mut found: Vec<(f64, String)> = record.cases.iter().filter_map(above).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(share, name)| format!("{} of {name}", units::digits(share))).collect()
}

/// The structured cases that allocated more than their formula and [`BEYOND`] say: counted, predicted,
/// and which.
#[must_use]
pub fn beyond_formula(record: &Record) -> Vec<(u64, u64, String)> {
    let beyond = |row: &Row| {
        let measured = key::measured(row)?;
        let most = BEYOND.0 * measured.predicted_bytes as f64 + BEYOND.1;
        let more = row.approach == Approach::Structured && measured.peak_bytes as f64 > most;
        more.then(|| (measured.peak_bytes, measured.predicted_bytes, Key::of(row).to_string()))
    };
    record.cases.iter().filter_map(beyond).collect()
}
