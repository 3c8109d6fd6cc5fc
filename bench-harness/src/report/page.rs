//! The page: one file, without scripts and without the network.

use super::html::{Table, details, figure, paragraph, text};
use super::key::{self, named};
use super::plot::{self, Quantity};
use super::summary::{self, Pair, Summary};
use super::{command, sections, units};
use crate::record::Row;

/// The HTML of a summary.
///
/// # Errors
/// The plotting library fails.
pub fn page(summary: &Summary) -> Result<String, String> {
    let parts = [
        head(summary),
        sections::ceilings(summary),
        sections::ratios(summary),
        structured_against_dense(summary)?,
        sections::gpu(summary)?,
        sections::shares(summary)?,
        sections::memory(summary)?,
        sections::growth(summary),
        sections::history(summary)?,
        sections::left_out(summary),
    ];
    let style = include_str!("style.css");
    let title = format!("relfisher: benchmarks of {}", units::day(summary.run.unix_seconds));
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
        text(&title),
        parts.concat()
    ))
}

fn head(summary: &Summary) -> String {
    let run = &summary.run;
    let mut html = String::from("<h1>relfisher: benchmarks</h1>\n");
    if run.quick {
        html.push_str(
            "<p class=\"warning\">A quick run: small sizes, few rounds. Its answers were checked; \
             its times mean nothing.</p>\n",
        );
    }
    let targets = summary.targets_in_words();
    html.push_str(&paragraph(&format!(
        "{targets}. Times are the least of their rounds; a share is the rate of \
         a case over the machine's own ceiling in the same rounds."
    )));
    let simd = run.simd.join(", ");
    let memory = units::bytes(run.memory as f64);
    let facts = [
        ("measured", units::minute(run.unix_seconds)),
        ("machine", format!("{}, {} threads, {memory}", run.cpu, run.cores)),
        ("vector extensions", simd),
        ("system", run.system.clone()),
        ("version", format!("relfisher {}, {}", run.version, run.rustc)),
        ("commit", run.commit.clone()),
        ("hash of the sources", run.source_hash.clone()),
        ("record", summary.file.clone()),
        ("again by", command("", &run.options)),
    ];
    html.push_str("<dl>\n");
    for (name, value) in facts {
        let value = text(&value);
        let value = if name == "again by" { format!("<code>{value}</code>") } else { value };
        html.push_str(&format!("<dt>{name}</dt><dd>{value}</dd>\n"));
    }
    html.push_str("</dl>\n");
    html
}

fn structured_against_dense(summary: &Summary) -> Result<String, String> {
    let mut html = String::from("<h2>Structured against dense</h2>\n");
    if summary.pairs.is_empty() {
        html.push_str(&paragraph("No quantity of this run was computed both ways."));
        return Ok(html);
    }
    html.push_str(&paragraph(
        "The same quantity by relfisher and by the dense matrix that defines it, built and solved by \
         faer, both axes logarithmic. Where the dense matrix needs more memory than the machine \
         leaves, or more time than a run has, there is a cross with what it would need, and no point: \
         nothing is extrapolated. On a picture of memory the cross stands at the bytes of the \
         formula. Memory is what one call allocates beside its inputs; a call that \
         allocates nothing has no point.",
    ));
    for pair in &summary.pairs {
        let again = command(&pair.group, &summary.run.options);
        let title = format!("{}: {}", pair.group, pair.quantity);
        let threads = units::threads(pair.threads);
        html.push_str(&format!("<h3>{}</h3>\n<div class=\"pair\">\n", text(&title)));
        for (quantity, name) in [(Quantity::Time, "time"), (Quantity::Memory, "memory")] {
            let svg = plot::widths(pair, quantity, summary.run.memory)?;
            let words = format!("{title}: {name} against {}, {threads}", pair.axis);
            html.push_str(&figure(&svg, &words));
        }
        html.push_str("</div>\n");
        html.push_str(&details(&format!("the numbers, {threads}"), &numbers(pair, &again)));
    }
    Ok(html)
}

/// Every row of a pair, and the command that measures them again.
fn numbers(pair: &Pair, again: &str) -> String {
    let heads = ["size", "approach", "dtype", "least", "median", "share", "memory", "predicted"];
    let mut table = Table::new(&heads, |column| column > 2);
    for row in &pair.rows {
        let mut cells = vec![
            text(&named(&row.size)),
            units::approach(row.approach).to_owned(),
            units::dtype(row.dtype).to_owned(),
        ];
        cells.extend(outcome(row));
        table.row(&cells);
    }
    format!("<p><code>{}</code></p>\n{}", text(again), table.html())
}

fn outcome(row: &Row) -> [String; 5] {
    let none = String::new;
    match (key::measured(row), &row.outcome) {
        (Some(m), _) => [
            units::seconds(m.seconds),
            units::seconds(m.median),
            summary::share(row).map_or_else(
                || "none".to_owned(),
                |share| format!("{} of {}", units::percent(share), units::limit(m.limit)),
            ),
            units::bytes(m.peak_bytes as f64),
            units::bytes(m.predicted_bytes as f64),
        ],
        (None, outcome) => {
            [units::refusal(outcome).unwrap_or_else(none), none(), none(), none(), none()]
        }
    }
}
