//! Every study in single precision with two threads, by criterion; then a table with the least times
//! as shares of the ceilings of the same run. Group names (`metric`, `kron`, …) and labels filter.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use peak_alloc::PeakAlloc;
use relfisher::executor::{Cpu, Executor};
use relfisher_bench::case::{Candidate, Group, Runner, Study};
use relfisher_bench::limits::{Ceilings, LIMITS};
use relfisher_bench::measure::{self, Options};
use relfisher_bench::memory::memory;
use relfisher_bench::record::{Dtype, Limit, Measured, Outcome, Row};
use relfisher_bench::sizes::Sizes;
use relfisher_bench::{THREADS, sizes, studies};

/// Counts what a call allocates.
#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// The longest call, in seconds at the ceiling, that is repeated often enough for statistics.
const LONGEST: f64 = 0.5;

/// What all benchmarks share.
struct Session {
    cpu: Cpu,
    ceilings: RefCell<Ceilings<f32>>,
    rows: RefCell<Vec<Row>>,
    options: Options,
}

impl Session {
    fn new(sizes: &Sizes) -> Self {
        let options = Options {
            groups: Vec::new(),
            dtypes: vec![Dtype::F32],
            threads: vec![THREADS],
            seconds: 0.0,
            longest: LONGEST,
            quick: false,
            filter: None,
        };
        let mut ceilings = Ceilings::new(&sizes.ceiling, THREADS);
        for limit in LIMITS {
            (0..3).for_each(|_| _ = ceilings.sample(limit));
        }
        let (ceilings, rows) = (RefCell::new(ceilings), RefCell::new(Vec::new()));
        Self { cpu: relfisher_bench::cpu(), ceilings, rows, options }
    }

    /// One candidate: checked, then timed; made when criterion wants it and not before.
    fn bench(&self, criterion: &mut Criterion, study: &Study, candidate: Candidate) {
        let name = format!("{:?}", candidate.approach).to_lowercase();
        if let Some(outcome) = measure::refuse(&self.options, &candidate, &self.ceilings.borrow()) {
            self.keep(study, &candidate, outcome);
            return;
        }
        let label = format!("{} ({name})", study.label());
        let (mut runner, mut least): (Option<Box<dyn Runner>>, f64) = (None, f64::INFINITY);
        let mut peak = 0;
        let mut group = criterion.benchmark_group(study.group.name());
        group.sample_size(10).warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        group.throughput(match candidate.limit {
            Limit::Copy => Throughput::Bytes(candidate.bytes as u64),
            _ => Throughput::Elements(candidate.flops as u64),
        });
        group.bench_function(BenchmarkId::new(study.label(), &name), |bencher| {
            let runner = runner.get_or_insert_with(|| {
                peak = memory(&candidate, THREADS, &label).expect("a right answer");
                let mut runner = (candidate.build)(&self.cpu);
                runner.run(&self.cpu);
                runner.check(&self.cpu).expect("a right answer");
                runner
            });
            self.ceilings.borrow_mut().sample(candidate.limit);
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                (0..iterations).for_each(|_| runner.run(&self.cpu));
                let elapsed = start.elapsed();
                least = least.min(elapsed.as_secs_f64() / iterations.max(1) as f64);
                elapsed
            });
        });
        group.finish();
        if least.is_finite() {
            let work =
                if candidate.limit == Limit::Copy { candidate.bytes } else { candidate.flops };
            let measured = Measured {
                seconds: least,
                median: least,
                rounds: 1,
                limit: candidate.limit,
                share: work / least / self.ceilings.borrow().rate(candidate.limit),
                peak_bytes: peak,
                predicted_bytes: candidate.predicted,
            };
            self.keep(study, &candidate, Outcome::Measured(measured));
        }
    }

    fn keep(&self, study: &Study, candidate: &Candidate, outcome: Outcome) {
        self.rows.borrow_mut().push(Row {
            group: study.group.name().to_owned(),
            quantity: study.label(),
            approach: candidate.approach,
            size: Default::default(),
            x: study.x,
            dtype: study.dtype,
            threads: THREADS,
            flops: candidate.flops,
            bytes: candidate.bytes,
            outcome,
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let sizes = sizes::load();
    let session = Session::new(&sizes);
    for study in studies::of::<f32>(&Group::ALL, &sizes, THREADS) {
        // by the executor's own threads, as a training loop runs
        for candidate in (study.prepare)(&session.cpu) {
            session.bench(&mut criterion, &study, candidate);
        }
    }
    criterion.final_summary();
    let rows = session.rows.borrow();
    if rows.iter().any(|row| matches!(row.outcome, Outcome::Measured(_))) {
        println!("{}, least times:", Executor::<f32>::description(&session.cpu));
        for row in &*rows {
            println!("{:<58} {}", row.quantity, row.line());
        }
    }
}
