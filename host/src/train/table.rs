//! The final table.

use super::record::{EpochRecord, Record};

/// A text table of the runs of `record`: learning rate, epochs (or updates) and seconds to the train
/// loss `target`, and the state after the last epoch, with accuracies or, without classes, mean
/// squared errors of a sample; columns are aligned.
pub fn table(record: &Record, target: f64) -> String {
    let to = format!("to {target}");
    let every = || record.runs.iter().flat_map(|run| &run.epochs);
    let counts_updates = every().any(|e| e.updates.is_some());
    let has_classes = every().all(|e| e.test_squared_error.is_none());
    let unit = if counts_updates { "updates" } else { "epochs" };
    let score = if has_classes { "acc" } else { "sq. error" };
    let head = [
        "optimizer",
        "batch norm",
        "lr",
        &format!("{unit} {to}"),
        &format!("seconds {to}"),
        unit,
        "train loss",
        &format!("train {score}"),
        "test loss",
        &format!("test {score}"),
        "s/epoch",
    ];
    let progress = |e: &EpochRecord| e.updates.unwrap_or(e.epoch).to_string();
    let judged = |accuracy: Option<f64>, error: Option<f64>| {
        accuracy.or(error).map_or_else(|| "-".to_string(), |x| format!("{x:.4}"))
    };
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(ToString::to_string).collect()];
    for run in &record.runs {
        let Some(last) = run.epochs.last() else { continue };
        let rate = run.settings.pointer("/optimizer/learning_rate").and_then(|v| v.as_f64());
        let reached = run.reached(target);
        rows.push(vec![
            run.optimizer.clone(),
            if run.batch_norm { "yes" } else { "no" }.to_string(),
            rate.map_or_else(|| "-".to_string(), |r| format!("{r}")),
            reached.map_or_else(|| "-".to_string(), progress),
            reached.map_or_else(|| "-".to_string(), |e| format!("{:.1}", e.seconds)),
            if run.diverged.is_some() { "diverged".to_string() } else { progress(last) },
            format!("{:.5}", last.train_loss),
            judged(last.train_accuracy, last.train_squared_error),
            format!("{:.4}", last.test_loss),
            judged(last.test_accuracy, last.test_squared_error),
            if last.epoch == 0 {
                "-".to_string()
            } else {
                format!("{:.2}", last.seconds / last.epoch as f64)
            },
        ]);
    }
    align(&rows)
}

/// Columns padded to their widest cell: the first two to the left, numbers to the right.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(c, (s, &w))| if c < 2 { format!("{s:<w$}") } else { format!("{s:>w$}") })
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
