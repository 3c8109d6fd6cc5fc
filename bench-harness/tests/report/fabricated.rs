//! Test data: records that no machine measured, from formulas.

use std::collections::BTreeMap;

use relfisher_bench::record::{
    Approach, Ceiling, Dtype, Growth, LAYOUT, Limit, Measured, Outcome, Ratio, Record, Row, Run,
    Target,
};
use serde_json::{Value, json};

/// The processor of every fabricated record.
pub(crate) const CPU: &str = "Fabricated <processor> & test data";

/// The memory of the machine that does not exist.
const MEMORY: u64 = 16 << 30;

/// A full record of the given second.
pub(crate) fn record(unix_seconds: u64) -> Record {
    let mut cases = Vec::new();
    for dtype in [Dtype::F32, Dtype::F64] {
        for threads in [1, 2] {
            for width in [16, 32, 64, 128, 256, 512, 1024, 2048] {
                cases.extend(solve(width, dtype, threads));
                cases.extend(metric(width, dtype, threads));
            }
            for order in [16, 32, 64, 128] {
                cases.extend(cholesky(order, dtype, threads));
            }
            cases.push(adam(dtype, threads));
        }
    }
    Record {
        layout: LAYOUT,
        run: Run {
            version: "0.0.0".into(),
            commit: "0123456789abcdef0123456789abcdef01234567+".into(),
            source_hash: "5eed".repeat(16),
            unix_seconds,
            rustc: "rustc 0.0.0 (fabricated)".into(),
            cpu: CPU.into(),
            simd: ["sse2", "avx2", "avx512f"].map(str::to_owned).to_vec(),
            cores: 2,
            memory: MEMORY,
            system: "fabricated x86_64".into(),
            quick: false,
            options: "--threads 1,2 --seconds 0.5 --longest 2".into(),
        },
        ceilings: ceilings(),
        cases,
        growth: growth(),
        ratios: ratios(),
        not_measured: Vec::new(),
    }
}

/// The `bench.json` of a GPU that does not exist.
pub(crate) fn gpu() -> Value {
    let row = |name: &str, ms: f64, tflops: f64, gigabytes: f64| {
        json!({
            "name": name, "median_ms": ms, "least_ms": 0.9 * ms, "runs": 10, "flops": 1.0,
            "bytes": 1.0, "tflops": tflops, "gigabytes_a_second": gigabytes,
        })
    };
    json!({
        "run": {
            "device": "Fabricated device", "binding": "cudarc", "compute_capability": "9.0",
            "cuda": "12.0", "memory_bytes": 1, "multiprocessors": 1, "kernels": "sm_80",
            "source_hash": "abcdef", "version": "0.0.0", "unix_seconds": 1_700_000_000,
            "quick": false, "times_mean_something": true, "notes": {},
        },
        "rows": [
            row("gemm f64 4096", 4.0, 30.0, 100.0),
            row("gemm tf32x3 8192", 9.0, 120.0, 90.0),
            row("rfim tf32x3 m=512 d=513 n=4096", 7.0, 90.0, 200.0),
            row("nu tanh", 0.1, 0.0, 2_500.0),
        ],
        "ratios": [],
        "memory": [{"name": "gemm f32 64", "predicted_bytes": 49152.0, "measured_bytes": 49152}],
        "failures": [{"group": "vectors", "problem": "fabricated failure"}],
    })
}

const fn width_of(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 4.0,
        Dtype::F64 => 8.0,
    }
}

fn rate(limit: Limit, dtype: Dtype, threads: usize) -> f64 {
    let words = width_of(dtype) / 4.0;
    match limit {
        Limit::Product => 1e11 * threads as f64 / words,
        Limit::Copy => 1e10 * threads as f64,
        Limit::Cholesky => 6e10 * threads as f64 / words,
    }
}

fn ceilings() -> Vec<Ceiling> {
    let mut all = Vec::new();
    for (limit, order) in [(Limit::Product, 2048), (Limit::Copy, 1 << 26), (Limit::Cholesky, 2048)]
    {
        for dtype in [Dtype::F32, Dtype::F64] {
            for threads in [1, 2] {
                let rate = rate(limit, dtype, threads);
                let (seconds, by) = (1e10 / rate, String::new());
                all.push(Ceiling { limit, dtype, threads, order, seconds, rate, by });
            }
        }
    }
    all
}

/// What a case computes and with what.
struct Case<'a> {
    names: (&'a str, &'a str, Approach),
    size: &'a [(&'a str, usize)],
    dtype: Dtype,
    threads: usize,
}

impl Case<'_> {
    fn row(&self, (flops, bytes): (f64, f64), outcome: Outcome) -> Row {
        let size = self.size.iter().map(|(name, value)| ((*name).to_owned(), *value));
        Row {
            group: self.names.0.into(),
            quantity: self.names.1.into(),
            approach: self.names.2,
            size: size.collect::<BTreeMap<_, _>>(),
            x: self.size[0].1,
            dtype: self.dtype,
            threads: self.threads,
            flops,
            bytes,
            outcome,
        }
    }

    /// Measured at a share of a ceiling, with bytes of its own.
    fn measured(&self, work: (f64, f64), (limit, share): (Limit, f64), memory: f64) -> Row {
        let amount = if limit == Limit::Copy { work.1 } else { work.0 };
        let seconds = amount / share / rate(limit, self.dtype, self.threads) + 2e-7;
        let outcome = Outcome::Measured(Measured {
            seconds,
            median: 1.05 * seconds,
            rounds: 9,
            limit,
            share,
            peak_bytes: (1.02 * memory) as u64,
            predicted_bytes: memory as u64,
        });
        self.row(work, outcome)
    }
}

/// A Kronecker solve of two factors of order d, and a dense one of order d².
fn solve(d: usize, dtype: Dtype, threads: usize) -> [Row; 2] {
    let (n, words) = (d as f64, width_of(dtype));
    let size = [("width", d), ("columns", 64)];
    let case =
        |approach| Case { names: ("kron", "damped solve", approach), size: &size, dtype, threads };
    let share = 0.75 * n / (n + 40.0);
    let structured = case(Approach::Structured).measured(
        (4.0 * n * n * n, 3.0 * n * n),
        (Limit::Product, share),
        words * n * n,
    );
    let dense = case(Approach::Dense);
    let (order, flops) = (n * n, n.powi(6) / 3.0);
    let bytes = words * order * order;
    let seconds = flops / rate(Limit::Cholesky, dtype, threads);
    let work = (flops, bytes);
    let other = if bytes > 0.8 * MEMORY as f64 {
        dense.row(work, Outcome::DoesNotFit { bytes: bytes as u64 })
    } else if seconds > 20.0 {
        dense.row(work, Outcome::TooSlow { seconds, bytes: Some(bytes as u64) })
    } else {
        dense.measured(work, (Limit::Cholesky, 0.9 * n / (n + 30.0)), bytes)
    };
    [structured, other]
}

/// The packed metric of a layer; the dense one has d²·m² elements.
fn metric(d: usize, dtype: Dtype, threads: usize) -> [Row; 2] {
    let (n, words) = (d as f64, width_of(dtype));
    let size = [("width", d), ("neurons", 10), ("samples", 512)];
    let case = |approach| Case {
        names: ("metric", "metric of a layer", approach),
        size: &size,
        dtype,
        threads,
    };
    let share = 1.05 * n / (n + 30.0);
    let structured = case(Approach::Structured).measured(
        (5120.0 * n * (n + 1.0), words * 5.0 * n * n),
        (Limit::Product, share),
        words * 512.0 * 64.0,
    );
    let bytes = words * (10.0 * n).powi(2);
    let dense = case(Approach::Dense);
    let work = (2.0 * 512.0 * (10.0 * n).powi(2), bytes);
    [structured, dense.measured(work, (Limit::Product, 0.9), bytes)]
}

/// A thousand small factorisations, and a loop over them.
fn cholesky(n: usize, dtype: Dtype, threads: usize) -> [Row; 2] {
    let flops = 1000.0 * (n as f64).powi(3) / 3.0;
    let bytes = 1000.0 * (n * n) as f64 * width_of(dtype);
    let size = [("order", n), ("count", 1000)];
    let case = |approach| Case {
        names: ("factor", "batched Cholesky", approach),
        size: &size,
        dtype,
        threads,
    };
    [(Approach::Structured, 0.5), (Approach::Loop, 0.1)].map(|(approach, share)| {
        case(approach).measured((flops, bytes), (Limit::Cholesky, share), 0.0)
    })
}

/// A step rule over a slice, which allocates nothing.
fn adam(dtype: Dtype, threads: usize) -> Row {
    let size = [("length", 1 << 20)];
    let case = Case { names: ("optim", "Adam", Approach::Structured), size: &size, dtype, threads };
    case.measured((1e7, 2e7), (Limit::Copy, 0.93), 0.0)
}

fn growth() -> Vec<Growth> {
    let fit = |approach, measure: &str, exponent, theory| Growth {
        quantity: "damped solve".into(),
        approach,
        dtype: Dtype::F64,
        threads: 2,
        measure: measure.into(),
        from: 16,
        to: 2048,
        exponent,
        theory,
    };
    vec![
        fit(Approach::Structured, "seconds", 2.71, 3.0),
        fit(Approach::Structured, "bytes", 2.0, 2.0),
        fit(Approach::Dense, "seconds", 5.62, 6.0),
    ]
}

fn ratios() -> Vec<Ratio> {
    let ratio = |name: &str, value, target| Ratio {
        name: name.into(),
        dtype: Dtype::F32,
        threads: 2,
        value,
        target,
        detail: "fabricated | detail".into(),
    };
    vec![
        ratio("packed metric over the product", 0.97, Some(Target::AtLeast(0.85))),
        ratio("K-FAC step over its bare FLOPs", 1.5, Some(Target::AtMost(1.6))),
        ratio("Kronecker solve", 0.55, Some(Target::AtLeast(0.7))),
        ratio("for the record", 3.0, None),
    ]
}

/// Changes the times and memory of the first measured row of a quantity.
pub(crate) fn alter(record: &mut Record, quantity: &str, change: impl FnOnce(&mut Measured)) {
    let own = record.cases.iter_mut().filter(|row| row.quantity == quantity);
    let mut measured = own.filter_map(|row| match &mut row.outcome {
        Outcome::Measured(measured) => Some(measured),
        Outcome::DoesNotFit { .. } | Outcome::TooSlow { .. } => None,
    });
    change(measured.next().expect("a measured row"));
}
