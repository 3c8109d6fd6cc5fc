//! A run of `relfisher-bench gpu`, read back from its `bench.json`.

use serde::Serialize;
use serde_json::Value;

/// One run on one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GpuRun {
    /// The device as its driver names it.
    pub device: String,
    /// The binding of the driver.
    pub binding: String,
    /// Which kernels ran.
    pub kernels: String,
    /// The hash of the kernels' sources.
    pub source_hash: String,
    /// Seconds since 1970.
    pub unix_seconds: u64,
    /// No emulated device, and not a quick run.
    pub times_mean_something: bool,
    /// Cases.
    pub rows: Vec<GpuRow>,
    /// Memory of the device; none in older runs.
    pub memory: Vec<GpuMemory>,
    /// Groups that failed, and why.
    pub failures: Vec<String>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GpuRow {
    /// What.
    pub name: String,
    /// The median.
    pub milliseconds: f64,
    /// 10¹² FLOP/s by the median; 0 where none are declared.
    pub tflops: f64,
    /// 10⁹ bytes a second by the median; 0 where none are declared.
    pub gigabytes_a_second: f64,
}

/// The most memory of the device that a computation held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GpuMemory {
    /// What.
    pub name: String,
    /// Bytes by its formula, operands and results included.
    pub predicted: f64,
    /// Bytes that were counted.
    pub measured: f64,
}

impl GpuRun {
    /// Reads the layout of `gpu/report.rs`.
    ///
    /// # Errors
    /// The field that is missing.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let run = &value["run"];
        let missing =
            |name: &str| format!("no {name}; it must be a bench.json of `relfisher-bench gpu`");
        let text = |of: &Value, name: &str| {
            of[name].as_str().map(str::to_owned).ok_or_else(|| missing(name))
        };
        let number = |of: &Value, name: &str| of[name].as_f64().ok_or_else(|| missing(name));
        let list = |name: &str| value[name].as_array().ok_or_else(|| missing(name));
        let row = |row: &Value| -> Result<GpuRow, String> {
            Ok(GpuRow {
                name: text(row, "name")?,
                milliseconds: number(row, "median_ms")?,
                tflops: number(row, "tflops")?,
                gigabytes_a_second: number(row, "gigabytes_a_second")?,
            })
        };
        let held = |held: &Value| -> Result<GpuMemory, String> {
            Ok(GpuMemory {
                name: text(held, "name")?,
                predicted: number(held, "predicted_bytes")?,
                measured: number(held, "measured_bytes")?,
            })
        };
        let memory = value["memory"].as_array().map_or(&[][..], Vec::as_slice);
        let failure = |of: &Value| Ok(format!("{}: {}", text(of, "group")?, text(of, "problem")?));
        Ok(Self {
            device: text(run, "device")?,
            binding: text(run, "binding")?,
            kernels: text(run, "kernels")?,
            source_hash: text(run, "source_hash")?,
            unix_seconds: run["unix_seconds"].as_u64().ok_or_else(|| missing("unix_seconds"))?,
            times_mean_something: run["times_mean_something"]
                .as_bool()
                .ok_or_else(|| missing("times_mean_something"))?,
            rows: list("rows")?.iter().map(row).collect::<Result<_, _>>()?,
            memory: memory.iter().map(held).collect::<Result<_, _>>()?,
            failures: list("failures")?.iter().map(failure).collect::<Result<_, String>>()?,
        })
    }
}
