//! What the CPU reaches at the quantities that a GPU was measured at.

use std::collections::BTreeSet;

use serde::Serialize;

use super::folder::Results;
use super::{key, units};
use crate::record::{Approach, Dtype, Limit, Record, Row};

/// The rate of the CPU beside a row of a GPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counterpart {
    /// The name of the GPU's row.
    pub name: String,
    /// The CPU's quantity, size, dtype and threads, in words.
    pub cpu: String,
    /// FLOP/s; 0 where none are declared.
    pub flops: f64,
    /// Bytes a second; 0 where none are declared.
    pub bytes: f64,
}

/// A quantity of the CPU, and the sizes that it must have.
struct Wanted {
    quantity: &'static str,
    sizes: Vec<(&'static str, usize)>,
}

/// The counterparts of all rows of all runs of GPUs, in their order: the largest case of the quantity
/// with the sizes of the row, at the number of threads that is fastest.
#[must_use]
pub fn of(results: &Results, record: &Record) -> Vec<Counterpart> {
    let rows = results.gpu.iter().flat_map(|run| &run.content.rows);
    let mut seen = BTreeSet::new();
    rows.filter(|row| seen.insert(row.name.as_str()))
        .filter_map(|row| one(&row.name, record))
        .collect()
}

fn one(name: &str, record: &Record) -> Option<Counterpart> {
    let dtype = if name.split(' ').any(|word| word == "f64") { Dtype::F64 } else { Dtype::F32 };
    if let Some(ceiling) = ceiling(name, dtype, record) {
        return Some(ceiling);
    }
    let wanted = wanted(name)?;
    let own = |row: &&Row| {
        let names = (row.quantity.as_str(), row.approach, row.dtype);
        let mut sizes = wanted.sizes.iter();
        names == (wanted.quantity, Approach::Structured, dtype)
            && sizes.all(|(name, value)| row.size.get(*name) == Some(value))
    };
    let timed = record.cases.iter().filter(own).filter_map(|row| Some((row, key::measured(row)?)));
    let largest = timed.clone().map(|(row, _)| row.x).max()?;
    let largest = timed.filter(|(row, _)| row.x == largest);
    let (row, m) = largest.min_by(|(_, a), (_, b)| a.seconds.total_cmp(&b.seconds))?;
    let (size, threads) = (key::named(&row.size), units::threads(row.threads));
    Some(Counterpart {
        name: name.to_owned(),
        cpu: format!("{}, {size}, {}, {threads}", row.quantity, units::dtype(dtype)),
        flops: row.flops / m.seconds,
        bytes: row.bytes / m.seconds,
    })
}

/// Products and copies: the CPU's own ceilings.
fn ceiling(name: &str, dtype: Dtype, record: &Record) -> Option<Counterpart> {
    let (limit, what) = match name.split(' ').next()? {
        "gemm" => (Limit::Product, "product, order"),
        "copy" => (Limit::Copy, "stream, length"),
        _ => return None,
    };
    let own = record.ceilings.iter().filter(|c| c.limit == limit && c.dtype == dtype);
    let fastest = own.max_by(|a, b| a.rate.total_cmp(&b.rate))?;
    let (dtype, threads) = (units::dtype(dtype), units::threads(fastest.threads));
    let product = limit == Limit::Product;
    Some(Counterpart {
        name: name.to_owned(),
        cpu: format!("{what} {}, {dtype}, {threads}", fastest.order),
        flops: if product { fastest.rate } else { 0.0 },
        bytes: if product { 0.0 } else { fastest.rate },
    })
}

/// The CPU's name of a GPU's row.
fn wanted(name: &str) -> Option<Wanted> {
    let words: Vec<&str> = name.split(' ').collect();
    let number = |prefix: &str| {
        let digits = words.iter().find_map(|word| word.strip_prefix(prefix))?;
        digits.parse::<usize>().ok()
    };
    let (quantity, sizes) = match words.as_slice() {
        ["rfim", ..] => {
            ("packed metric", vec![("neurons", number("m=")?), ("inputs", number("d=")?)])
        }
        ["cholesky", count, "x", order] => (
            "batch of Cholesky factors",
            vec![("matrices", count.parse().ok()?), ("order", order.parse().ok()?)],
        ),
        ["kfac", .., "all"] => ("K-FAC step, passes included", Vec::new()),
        ["nu", "tanh"] => ("ν of tanh, against a loop over libm", Vec::new()),
        ["activate", "tanh"] => ("tanh of a layer", Vec::new()),
        ["sgd"] => ("SGD with momentum", Vec::new()),
        ["adam"] => ("Adam", Vec::new()),
        _ => return None,
    };
    Some(Wanted { quantity, sizes })
}
