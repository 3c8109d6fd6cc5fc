//! The parts of the page that are about one run as a whole.

use super::gpu::GpuRun;
use super::html::{Table, details, figure, paragraph, text};
use super::key::named;
use super::plot::{self, Unit};
use super::summary::{Memory, Summary};
use super::units;
use crate::record::{Approach, NotMeasured};

/// The cases of the table of memory.
const WORST: usize = 12;

/// The most runs that the table of shares has columns for.
const COLUMNS: usize = 8;

/// What the machine can do.
pub(super) fn ceilings(summary: &Summary) -> String {
    let heads = ["ceiling", "dtype", "threads", "order", "rate", "by"];
    let mut table = Table::new(&heads, |c| (2..=4).contains(&c));
    for ceiling in &summary.ceilings {
        table.row(&[
            units::limit(ceiling.limit).to_owned(),
            units::dtype(ceiling.dtype).to_owned(),
            ceiling.threads.to_string(),
            ceiling.order.to_string(),
            units::rate(ceiling.limit, ceiling.rate),
            text(&ceiling.by),
        ]);
    }
    format!(
        "<h2>Ceilings of the machine</h2>\n{}{}",
        paragraph(
            "A square product and a Cholesky factorisation by faer (order of the matrices), and for \
             \u{201c}copy\u{201d} the fastest stream over slices that no cache holds (elements): copying, \
             scaling in place, or adding in place; where that is known, the last column says which. All \
             are measured in turn with the cases."
        ),
        table.html()
    )
}

/// Ratios with their targets.
pub(super) fn ratios(summary: &Summary) -> String {
    if summary.ratios.is_empty() && summary.not_measured.is_empty() {
        return format!("<h2>Targets</h2>\n{}", paragraph("This run measured no ratio."));
    }
    let heads = ["ratio", "dtype", "threads", "value", "target", "", "consists of"];
    let mut table = Table::new(&heads, |column| (2..=3).contains(&column));
    for judged in &summary.ratios {
        let ratio = &judged.ratio;
        table.row(&[
            text(&ratio.name),
            units::dtype(ratio.dtype).to_owned(),
            ratio.threads.to_string(),
            units::digits(ratio.value),
            ratio.target.map_or_else(|| "none".to_owned(), units::target),
            match judged.met {
                Some(true) => "<span class=\"met\">met</span>".to_owned(),
                Some(false) => "<span class=\"missed\">missed</span>".to_owned(),
                None => String::new(),
            },
            text(&ratio.detail),
        ]);
    }
    let not = |not: &NotMeasured| {
        let NotMeasured { name, dtype, threads, why } = not;
        let name = units::named(name, *dtype, *threads);
        paragraph(&format!("Not measured: {name}: {why}."))
    };
    let not: String = summary.not_measured.iter().map(not).collect();
    format!("<h2>Targets</h2>\n{}{not}", table.html())
}

/// Runs of GPUs.
pub(super) fn gpu(summary: &Summary) -> Result<String, String> {
    let mut html = String::from("<h2>CPU against GPU</h2>\n");
    if summary.gpu.is_empty() {
        html.push_str(&paragraph("None was measured: the folder of results has no file of a GPU."));
        return Ok(html);
    }
    for run in &summary.gpu {
        let (day, device) = (units::day(run.unix_seconds), text(&run.device));
        html.push_str(&format!("<h3>{device}, {day}</h3>\n"));
        let (binding, kernels) = (&run.binding, &run.kernels);
        let hash: String = run.source_hash.chars().take(12).collect();
        html.push_str(&paragraph(&format!(
            "By {binding}, kernels {kernels}, hash of their sources {hash}."
        )));
        if run.times_mean_something {
            for (unit, words) in [
                (Unit::Flops, "rates of the GPU's kernels, and of the CPU at the same quantities"),
                (
                    Unit::Bytes,
                    "traffic of the GPU's kernels, and of the CPU at the same quantities",
                ),
            ] {
                if let Some(svg) = plot::rates(run, &summary.counterparts, unit)? {
                    let picture = figure(&svg, words);
                    html.push_str(&format!("<div class=\"wide\">{picture}</div>\n"));
                }
            }
        } else {
            let words =
                "An emulated device or a quick run: its times mean nothing and are not shown.";
            html.push_str(&paragraph(words));
            continue;
        }
        let mut table = Table::new(&["case", "median", "TFLOP/s", "GB/s"], |column| column > 0);
        for row in &run.rows {
            let rate = |value| if value > 0.0 { units::digits(value) } else { String::new() };
            table.row(&[
                text(&row.name),
                units::seconds(row.milliseconds / 1e3),
                rate(row.tflops),
                rate(row.gigabytes_a_second),
            ]);
        }
        html.push_str(&details("the numbers", &table.html()));
        if !run.memory.is_empty() {
            html.push_str(&details("memory of the device", &held(run)));
        }
        for failure in &run.failures {
            html.push_str(&format!("<p class=\"missed\">failed: {}</p>\n", text(failure)));
        }
    }
    Ok(html)
}

/// What computations of a GPU held at most, against their formulas.
fn held(run: &GpuRun) -> String {
    let mut table = Table::new(&["case", "held", "formula", "ratio"], |column| column > 0);
    for case in &run.memory {
        table.row(&[
            text(&case.name),
            units::bytes(case.measured),
            units::bytes(case.predicted),
            units::digits(case.measured / case.predicted),
        ]);
    }
    table.html()
}

/// The share of the ceiling by kernel.
pub(super) fn shares(summary: &Summary) -> Result<String, String> {
    let mut html = String::from("<h2>Share of the ceiling by kernel</h2>\n");
    if summary.shares.is_empty() {
        html.push_str(&paragraph("This run measured no kernel."));
        return Ok(html);
    }
    html.push_str(&paragraph(
        "Each kernel at its largest size: its declared FLOPs, or bytes, a second over those of the \
         ceiling that limits it, with the same dtype and threads. The ceiling of what streams is the \
         fastest of a copy and two updates in place, so a rule in place is not measured by a copy that \
         moves more. A share above 100 % is a kernel whose FLOPs cost less than those of the one \
         product or factorisation that its ceiling is, or whose data a cache holds at that size. Calls \
         that declare no work have no share.",
    ));
    let words = "bars: share of the ceiling by kernel, dtype and threads";
    let picture = figure(&plot::shares(&summary.shares)?, words);
    html.push_str(&format!("<div class=\"wide\">{picture}</div>\n"));
    Ok(html)
}

/// Memory measured and predicted.
pub(super) fn memory(summary: &Summary) -> Result<String, String> {
    let mut html = String::from("<h2>Memory, measured and predicted</h2>\n");
    let silent = |case: &&Memory| case.measured == 0 && case.predicted == 0;
    let (without, all) = (summary.memory.iter().filter(silent).count(), summary.memory.len());
    html.push_str(&paragraph(&format!(
        "Bytes that one call allocates beside its inputs, counted by the allocator, against the \
         formula's. {without} of {all} cases allocate nothing, as predicted. The line is where both \
         are equal; the table has the cases farthest from it."
    )));
    let Some(svg) = plot::memory(&summary.memory)? else { return Ok(html) };
    let mut worst: Vec<&Memory> = summary.memory.iter().filter(|case| !silent(case)).collect();
    worst.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    let heads = ["case", "measured", "predicted", "ratio"];
    let mut table = Table::new(&heads, |column| column > 0);
    for case in worst.iter().take(WORST) {
        let ratio = case.measured as f64 / case.predicted as f64;
        table.row(&[
            text(&case.case.to_string()),
            units::bytes(case.measured as f64),
            units::bytes(case.predicted as f64),
            if case.predicted == 0 { "none predicted".into() } else { units::digits(ratio) },
        ]);
    }
    let picture = figure(&svg, "measured against predicted memory");
    html.push_str(&format!(
        "<div class=\"pair\"><div class=\"one\">{picture}</div>{}</div>\n",
        table.html()
    ));
    Ok(html)
}

/// How far measured and predicted are apart, as a factor; a page of 4 KiB counts little.
fn distance(case: &Memory) -> f64 {
    let smoothed = |bytes: u64| bytes as f64 + 4096.0;
    (smoothed(case.measured) / smoothed(case.predicted)).ln().abs()
}

/// Fitted exponents against theory.
pub(super) fn growth(summary: &Summary) -> String {
    let title = "<h2>Growth</h2>\n";
    if summary.growth.is_empty() {
        return format!("{title}{}", paragraph("This run fitted no exponent."));
    }
    let heads = [
        "quantity",
        "approach",
        "dtype",
        "threads",
        "of",
        "sizes",
        "exponent",
        "theory",
        "difference",
    ];
    let mut table = Table::new(&heads, |column| column == 3 || column > 4);
    for fit in &summary.growth {
        table.row(&[
            text(&fit.quantity),
            units::approach(fit.approach).to_owned(),
            units::dtype(fit.dtype).to_owned(),
            fit.threads.to_string(),
            text(&fit.measure),
            format!("{} to {}", fit.from, fit.to),
            format!("{:.2}", fit.exponent),
            format!("{:.2}", fit.theory),
            format!("{:+.2}", fit.exponent - fit.theory),
        ]);
    }
    let words = "Time and memory as powers of the size, by least squares of logarithms. Theory is the \
                 same fit of the declared FLOPs or of the predicted bytes at the same sizes. An \
                 exponent below it is a rate that still rises with the size. Only quantities are fitted of \
                 which one size grows while all others stand still.";
    format!("{title}{}{}", paragraph(words), table.html())
}

/// Shares over the committed runs.
pub(super) fn history(summary: &Summary) -> Result<String, String> {
    let history = &summary.history;
    let mut html = String::from("<h2>History</h2>\n");
    if history.runs.len() < 2 {
        let words = match history.runs.len() {
            0 => "No full run is in the folder yet, so there is no history.",
            _ => "There is only one full run in the folder, so there is no history yet.",
        };
        html.push_str(&paragraph(words));
        return Ok(html);
    }
    html.push_str(&paragraph(
        "The share of the ceiling of each structured case over the runs of the folder, in the order of \
         time; quick runs are left out. One picture a quantity, at its largest size; the table has them \
         all. A line ends where the processor changes (grey), and has no point where the declared work was \
         another.",
    ));
    let mut runs = Table::new(&["file", "day", "commit", "machine"], |_| false);
    for run in &history.runs {
        let (day, commit) = (units::day(run.unix_seconds), units::commit(&run.commit));
        runs.row(&[text(&run.file), day, text(&commit), text(&run.cpu)]);
    }
    html.push_str(&runs.html());
    let machines: std::collections::BTreeSet<&str> =
        history.runs.iter().map(|run| run.cpu.as_str()).collect();
    if machines.len() > 1 {
        html.push_str(&paragraph("The machine changed between runs: a step may be the machine's."));
    }
    html.push_str("<div class=\"pair\">\n");
    let mut drawn: Vec<(&str, &str)> = Vec::new();
    for (case, _) in &history.cases {
        let name = (case.group.as_str(), case.quantity.as_str());
        if drawn.contains(&name) {
            continue;
        }
        drawn.push(name);
        let share = summary.shares.iter().find(|s| (s.group.as_str(), s.quantity.as_str()) == name);
        let Some(share) = share else { continue };
        let own = |(case, _): &&(super::Key, Vec<Option<f64>>)| {
            (case.group.as_str(), case.quantity.as_str()) == name && named(&case.size) == share.size
        };
        let own: Vec<_> = history.cases.iter().filter(own).collect();
        let title = [format!("{}: {}", name.0, name.1), share.size.clone()];
        let title = title.into_iter().filter(|words| !words.is_empty());
        let title = title.collect::<Vec<_>>().join(", ");
        let svg = plot::history(&title, &history.runs, &own)?;
        html.push_str(&figure(&svg, &format!("history of {title}")));
    }
    html.push_str("</div>\n");
    html.push_str(&details("the shares of the last runs", &shares_of_runs(summary)));
    Ok(html)
}

fn shares_of_runs(summary: &Summary) -> String {
    let history = &summary.history;
    let first = history.runs.len().saturating_sub(COLUMNS);
    let heads = ["quantity", "size", "dtype", "threads", "shares, oldest first"];
    let mut table = Table::new(&heads, |column| column > 2);
    for (case, shares) in history.cases.iter().filter(|(c, _)| c.approach == Approach::Structured) {
        let share = |share: &Option<f64>| share.map_or_else(|| "none".to_owned(), units::percent);
        let shares: Vec<String> = shares.iter().skip(first).map(share).collect();
        table.row(&[
            text(&format!("{}: {}", case.group, case.quantity)),
            text(&named(&case.size)),
            units::dtype(case.dtype).to_owned(),
            case.threads.to_string(),
            shares.join(", "),
        ]);
    }
    table.html()
}

/// Files that were left out.
pub(super) fn left_out(summary: &Summary) -> String {
    if summary.left_out.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = summary.left_out.iter().map(|why| paragraph(why)).collect();
    format!("<h2>Left out</h2>\n{}", lines.concat())
}
