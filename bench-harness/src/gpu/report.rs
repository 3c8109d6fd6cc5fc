//! Rows, ratios, a table, JSON.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use relfisher::executor::cuda::Gpu;
use serde_json::{Value, json};

use super::clock::{Case, Times};
use super::memory::Held;

/// What was measured.
pub struct Report {
    head: Value,
    emulated: bool,
    rows: Vec<Row>,
    ratios: Vec<Ratio>,
    memory: Vec<Held>,
    baselines: Vec<(String, f64)>,
    failures: Vec<(String, String)>,
}

/// A case and its times.
struct Row {
    name: String,
    median: f64,
    least: f64,
    runs: usize,
    flops: f64,
    bytes: f64,
}

/// Two rows compared.
struct Ratio {
    name: String,
    value: f64,
    meaning: String,
}

/// The hash of the sources that the PTX of this build was made from.
fn source_hash(ptx: &str) -> &str {
    ptx.lines().find_map(|line| line.strip_prefix("// sources: ")).unwrap_or("unknown")
}

impl Report {
    /// A report without rows.
    #[must_use]
    pub fn new(gpu: &Gpu, quick: bool, notes: &[String]) -> Self {
        let device = gpu.driver().device();
        let emulated = device.driver == "emulated";
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let notes: serde_json::Map<String, Value> = notes
            .iter()
            .map(|note| note.split_once('=').unwrap_or((note, "")))
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
        let pair = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        let head = json!({
            "device": device.name,
            "binding": device.driver,
            "compute_capability": pair(device.capability),
            "cuda": pair(device.version),
            "memory_bytes": device.memory,
            "multiprocessors": device.multiprocessors,
            "kernels": gpu.variant().name(),
            "source_hash": source_hash(gpu.variant().ptx()),
            "version": env!("CARGO_PKG_VERSION"),
            "unix_seconds": seconds,
            "quick": quick,
            "times_mean_something": !emulated && !quick,
            "notes": notes,
        });
        println!("{} by {}: kernels {}", device.name, device.driver, gpu.variant().name());
        if emulated || quick {
            println!("times of this run mean nothing: every answer is checked, that is all");
        }
        Self {
            head,
            emulated,
            rows: Vec::new(),
            ratios: Vec::new(),
            memory: Vec::new(),
            baselines: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Reads what `gpu_baselines.py` wrote: rows of a name and a median.
    ///
    /// # Errors
    /// A file that cannot be read, or is not such a file.
    pub fn read_baselines(&mut self, path: &Path) -> Result<(), String> {
        let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| problem(&e))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| problem(&e))?;
        let rows = value["rows"].as_array().ok_or_else(|| problem(&"no rows"))?;
        self.baselines = rows
            .iter()
            .filter_map(|row| Some((row["name"].as_str()?.to_owned(), row["ms"].as_f64()?)))
            .collect();
        self.head["baselines"] = value["info"].clone();
        Ok(())
    }

    /// Adds the times of cases.
    pub(super) fn add(&mut self, cases: &[Case<'_>], times: &[Times]) {
        for (case, times) in cases.iter().zip(times) {
            let (median, least) = (times.median(), times.least());
            let row = Row {
                name: case.name.clone(),
                median,
                least,
                runs: times.milliseconds.len(),
                flops: case.flops,
                bytes: case.bytes,
            };
            println!("{}", row.line());
            self.rows.push(row);
        }
    }

    /// The work of a case over its fastest run.
    fn rate(&self, name: &str, work: fn(&Row) -> f64) -> Option<f64> {
        self.rows.iter().find(|row| row.name == name).map(|row| work(row) / row.least)
    }

    /// The FLOPs a second of a case as a share of another's.
    pub(super) fn share_of_arithmetic(&mut self, name: &str, of: &str) {
        let rates = (self.rate(name, |row| row.flops), self.rate(of, |row| row.flops));
        self.share(name, of, rates, "FLOPs a second");
    }

    /// The bytes a second of a case as a share of another's.
    pub(super) fn share_of_bandwidth(&mut self, name: &str, of: &str) {
        let rates = (self.rate(name, |row| row.bytes), self.rate(of, |row| row.bytes));
        self.share(name, of, rates, "bytes a second");
    }

    fn share(&mut self, name: &str, of: &str, rates: (Option<f64>, Option<f64>), what: &str) {
        if let (Some(rate), Some(ceiling)) = rates {
            self.ratio(format!("{name} / {of}"), rate / ceiling, format!("share of its {what}"));
        }
    }

    /// Writes down a ratio.
    pub(super) fn ratio(&mut self, name: String, value: f64, meaning: String) {
        self.ratios.push(Ratio { name, value, meaning });
    }

    /// How many times faster a case is than every baseline whose name begins so.
    pub(super) fn against_baselines(&mut self, name: &str, prefix: &str) {
        let Some(own) = self.rows.iter().find(|row| row.name == name).map(|row| row.median) else {
            return;
        };
        let others = self.baselines.iter().filter(|(other, _)| other.starts_with(prefix));
        let ratios: Vec<Ratio> = others
            .map(|(other, theirs)| Ratio {
                name: format!("{name} against {other}"),
                value: theirs / own,
                meaning: "times as fast as the framework, by medians".to_owned(),
            })
            .collect();
        self.ratios.extend(ratios);
    }

    /// Writes down what a computation held.
    pub(super) fn held(&mut self, held: Held) {
        self.memory.push(held);
    }

    /// Writes down that a group failed.
    pub(super) fn failure(&mut self, group: &str, problem: &str) {
        self.failures.push((group.to_owned(), problem.to_owned()));
    }

    /// Prints the ratios.
    pub fn print_ratios(&self) {
        println!(
            "\n== ratios{}",
            if self.emulated { " (of an emulated device: nothing)" } else { "" }
        );
        for Ratio { name, value, meaning } in &self.ratios {
            println!("{value:10.3}  {name}: {meaning}");
        }
    }

    /// Writes everything as JSON.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let ratios: Vec<Value> = self
            .ratios
            .iter()
            .map(|r| json!({"name": r.name, "value": r.value, "meaning": r.meaning}))
            .collect();
        let failures: Vec<Value> =
            self.failures.iter().map(|(g, p)| json!({"group": g, "problem": p})).collect();
        let memory: Vec<Value> = self.memory.iter().map(Held::json).collect();
        let all = json!({
            "run": self.head, "rows": rows, "ratios": ratios, "memory": memory,
            "failures": failures,
        });
        let text = serde_json::to_string_pretty(&all).map_err(|e| e.to_string())?;
        std::fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))
    }
}

impl Row {
    fn tflops(&self) -> f64 {
        self.flops / self.median / 1e9
    }

    fn gigabytes(&self) -> f64 {
        self.bytes / self.median / 1e6
    }

    fn line(&self) -> String {
        let mut line = format!(
            "{:52} {:12.4} ms (least {:.4}, {} runs)",
            self.name, self.median, self.least, self.runs
        );
        if self.flops > 0.0 {
            line.push_str(&format!(" {:9.3} TFLOP/s", self.tflops()));
        }
        if self.bytes > 0.0 {
            line.push_str(&format!(" {:9.1} GB/s", self.gigabytes()));
        }
        line
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "median_ms": self.median, "least_ms": self.least,
            "runs": self.runs, "flops": self.flops, "bytes": self.bytes,
            "tflops": self.tflops(), "gigabytes_a_second": self.gigabytes(),
        })
    }
}
