//! The final table.

use super::record::Record;

/// A text table of the runs of `record`: learning rate, epochs and seconds to the train loss
/// `target`, and the state after the last epoch; columns are aligned.
pub fn table(record: &Record, target: f64) -> String {
    let to = format!("to {target}");
    let head = [
        "optimizer",
        "batch norm",
        "lr",
        &format!("epochs {to}"),
        &format!("seconds {to}"),
        "epochs",
        "train loss",
        "train acc",
        "test loss",
        "test acc",
        "s/epoch",
    ];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(ToString::to_string).collect()];
    for run in &record.runs {
        let Some(last) = run.epochs.last() else { continue };
        let rate = run.settings.pointer("/optimizer/learning_rate").and_then(|v| v.as_f64());
        let reached = run.reached(target);
        rows.push(vec![
            run.optimizer.clone(),
            if run.batch_norm { "yes" } else { "no" }.to_string(),
            rate.map_or_else(|| "-".to_string(), |r| format!("{r}")),
            reached.map_or_else(|| "-".to_string(), |e| e.epoch.to_string()),
            reached.map_or_else(|| "-".to_string(), |e| format!("{:.1}", e.seconds)),
            if run.diverged.is_some() { "diverged".to_string() } else { last.epoch.to_string() },
            format!("{:.5}", last.train_loss),
            format!("{:.4}", last.train_accuracy),
            format!("{:.4}", last.test_loss),
            format!("{:.4}", last.test_accuracy),
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
