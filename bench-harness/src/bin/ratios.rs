//! Every acceptance ratio, measured within one run: interleaved candidates, fastest of each.
//!
//! `cargo run --release -p relfisher-bench --bin ratios` prints a table and exits with 1 when a
//! ratio misses its target. Name parts (`metric`, `refresh`, `routes`, `response`, `step`, `curvature`) to run only
//! those.

use std::hint::black_box;

use clap::{Parser, ValueEnum};
use peak_alloc::PeakAlloc;
use relfisher::executor::{Cpu, Executor};
use relfisher_bench::curvature::{Case, Member};
use relfisher_bench::metric::{Case as MetricCase, Steps};
use relfisher_bench::network::{Products, Training};
use relfisher_bench::sizes::{self, Sizes};
use relfisher_bench::{Random, THREADS, assert_near, cpu, faer_product, interleave};
use relfisher_core::metric::cost::{Construction, choose_construction};
use relfisher_core::metric::neuron::Response;
use relfisher_core::{Backend, MatMut, MatRef};

/// Counts what the host allocates.
#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Collects the verdicts.
#[derive(Default)]
struct Table {
    missed: usize,
}

impl Table {
    /// A measured ratio that should reach `target`.
    fn at_least(&mut self, what: &str, value: f64, target: f64, detail: &str) {
        self.row(what, value, &format!(">= {target}"), value >= target, detail);
    }

    /// A measured ratio that should stay below `target`.
    fn at_most(&mut self, what: &str, value: f64, target: f64, detail: &str) {
        self.row(what, value, &format!("<= {target}"), value <= target, detail);
    }

    fn row(&mut self, what: &str, value: f64, target: &str, good: bool, detail: &str) {
        self.missed += usize::from(!good);
        let verdict = if good { "met" } else { "MISSED" };
        println!("{what:<44} {value:>8.2} {target:>9} {verdict:<7} {detail}");
    }

    /// A measured number without a target.
    fn note(&self, what: &str, value: f64, detail: &str) {
        println!("{what:<44} {value:>8.2} {:>9} {:<7} {detail}", "", "");
    }
}

/// A group of ratios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Metric,
    Refresh,
    Routes,
    Response,
    Step,
    Curvature,
}

/// Every acceptance ratio, measured within one run. Exit status 1 when one misses its target.
#[derive(Parser)]
#[command(name = "ratios", version)]
struct Arguments {
    /// The parts to measure: all when absent.
    parts: Vec<Part>,
}

fn main() {
    let Arguments { parts } = Arguments::parse();
    let most = relfisher_bench::machine::threads();
    if most < THREADS {
        eprintln!("ratios: they are of {THREADS} threads, this machine runs {most}: use another");
        std::process::exit(2);
    }
    let wanted = |part: Part| parts.is_empty() || parts.contains(&part);
    let (sizes, cpu) = (sizes::load(), cpu());
    println!("{}, f32, {THREADS} threads", Executor::<f32>::description(&cpu));
    println!("{:<44} {:>8} {:>9} {:<7}", "ratio", "value", "target", "verdict");
    let mut table = Table::default();
    if wanted(Part::Metric) {
        metric(&mut table, &sizes, &cpu);
    }
    if wanted(Part::Refresh) {
        refresh(&mut table, &sizes, &cpu);
    }
    if wanted(Part::Routes) {
        routes(&mut table, &sizes, &cpu);
    }
    if wanted(Part::Response) {
        response(&mut table, &sizes, &cpu);
    }
    if wanted(Part::Step) {
        step(&mut table, &sizes, &cpu);
    }
    if wanted(Part::Curvature) {
        curvature(&mut table, &sizes, &cpu);
        curvature_memory(&mut table, &sizes);
    }
    if table.missed > 0 {
        println!("{} missed", table.missed);
        std::process::exit(1);
    }
}

/// Packed metrics by all constructions, as shares of `faer`'s rate on a large product.
fn metric(table: &mut Table, sizes: &Sizes, cpu: &Cpu) {
    let order = sizes.ceiling.order;
    let mut random = Random::new(6);
    let (a, b) =
        (random.uniforms(order * order, -1.0, 1.0), random.uniforms(order * order, -1.0, 1.0));
    let mut c = vec![0.0_f32; order * order];
    for &size in &sizes.metric {
        let mut cases = Construction::ALL.map(|how| (how, MetricCase::new(size)));
        // results and ceiling are resident by now: what grows is scratch
        faer_product(&mut c, &a, &b, order);
        let before = resident();
        let [first, second, third] = &mut cases;
        let times = interleave(
            rounds(size.flops()),
            &mut [
                &mut || faer_product(&mut c, &a, &b, order),
                &mut || first.1.build(cpu, Some(first.0)),
                &mut || second.1.build(cpu, Some(second.0)),
                &mut || third.1.build(cpu, Some(third.0)),
            ],
        );
        let extra = (resident() - before).max(0.0) / 1_048_576.0;
        let ceiling = 2.0 * (order as f64).powi(3) / times[0] / 1e9;
        let (label, mut share) = (size.label(), 0.0);
        let chosen = choose_construction(size.neurons, size.inputs, size.samples);
        for ((how, case), seconds) in cases.iter().zip(&times[1..]) {
            let name = format!("{label}: {how:?}");
            case.check(&name);
            let rate = size.flops() as f64 / seconds / 1e9;
            table.note(&name, rate / ceiling, &gflops(rate));
            if *how == chosen {
                share = rate / ceiling;
            }
        }
        let detail = format!("{chosen:?}; ceiling {}; extra {extra:.1} MiB", gflops(ceiling));
        table.at_least(&format!("{label}: chosen"), share, size.share, &detail);
    }
}

/// Rounds of a measurement: a call of a few milliseconds meets a quiet moment only now and then.
fn rounds(flops: u64) -> usize {
    (10_000_000_000 / flops.max(1)).clamp(5, 40) as usize
}

fn gflops(rate: f64) -> String {
    format!("{rate:.0} GFLOP/s")
}

/// The process's resident bytes as the system reports them (0 where it does not).
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|p| p.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// The refresh of a layer (metric and inverses) and what each step then reads.
fn refresh(table: &mut Table, sizes: &Sizes, cpu: &Cpu) {
    let mut case = MetricCase::new(sizes.refresh);
    let (m, d) = (case.size.neurons, case.size.inputs);
    let width = d * (d + 1) / 2;
    let metric = interleave(3, &mut [&mut || case.build(cpu, None)])[0];
    let label = case.size.label();
    table.note(
        &format!("{label}: metric, seconds"),
        metric,
        &gflops(case.size.flops() as f64 / metric / 1e9),
    );
    let mut fastest = f64::INFINITY;
    for _ in 0..4 {
        case.build(cpu, None);
        let start = std::time::Instant::now();
        case.invert(cpu, 0.1);
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    let flops = m as f64 * (d as f64).powi(3);
    table.note(&format!("{label}: inverses, seconds"), fastest, &gflops(flops / fastest / 1e9));
    let v = Random::new(7).uniforms(m * d, -1.0, 1.0);
    let mut out = vec![f32::NAN; m * d];
    let blocks = MatRef::new(&case.blocks, m, width).expect("shape");
    let mut lanes = [0.0_f32; THREADS];
    let times = interleave(
        12,
        &mut [
            &mut || {
                let out = MatMut::new(&mut out, m, d).expect("shape");
                let v = MatRef::new(&v, m, d).expect("shape");
                cpu.packed_symv(out, blocks, v).expect("shapes");
            },
            &mut || read(&mut lanes, blocks.data()),
        ],
    );
    black_box(lanes);
    let rate = |seconds: f64| (m * width * size_of::<f32>()) as f64 / seconds / 1e9;
    let detail = format!("{:.1} GB/s of {:.1} when only read", rate(times[0]), rate(times[1]));
    table.note(&format!("{label}: blocks times vectors, share"), times[1] / times[0], &detail);
}

/// Reads a slice with all threads and nothing else: the bandwidth ceiling.
fn read(sums: &mut [f32; THREADS], data: &[f32]) {
    std::thread::scope(|scope| {
        for (sum, part) in sums.iter_mut().zip(data.chunks(data.len().div_ceil(THREADS))) {
            scope.spawn(move || {
                *sum = relfisher::vectorised!({
                    let mut lanes = [0.0_f32; 64];
                    for chunk in part.chunks_exact(64) {
                        for (lane, x) in lanes.iter_mut().zip(chunk) {
                            *lane += *x;
                        }
                    }
                    lanes.iter().sum::<f32>()
                });
            });
        }
    });
}

fn routes(table: &mut Table, sizes: &Sizes, cpu: &Cpu) {
    let [mut by_sample, mut by_block] = [(); 2].map(|()| Steps::new(&sizes.routes));
    assert_near("sample space", by_sample.sample(cpu), by_block.block(cpu), 2e-3);
    let mut sample = f64::INFINITY;
    let mut block = f64::INFINITY;
    for _ in 0..4 {
        let times = interleave(1, &mut [&mut || _ = black_box(by_block.block(cpu))]);
        block = block.min(times[0]);
        let times = interleave(30, &mut [&mut || _ = black_box(by_sample.sample(cpu))]);
        sample = sample.min(times[0]);
    }
    let detail = format!("{:.2} ms against {:.0} ms", sample * 1e3, block * 1e3);
    table.at_least(
        "sample space over block Cholesky",
        block / sample,
        sizes.routes.speedup,
        &detail,
    );
}

fn response(table: &mut Table, sizes: &Sizes, cpu: &Cpu) {
    let len = sizes.response.length;
    let t = Random::new(8).uniforms(len, -8.0, 8.0);
    let view = MatRef::new(&t, 1024, len / 1024).expect("shape");
    let (mut slow, mut fast) = (vec![f32::NAN; len], vec![f32::NAN; len]);
    for (name, response) in [
        ("tanh", Response::Tanh),
        ("sigm", Response::Sigm),
        ("elu", Response::Elu { alpha: 1.0, sigma: 1.0 }),
        ("smoothed relu", Response::Relu { leak: 0.0, smoothing: 1.0, sigma: 1.0 }),
    ] {
        let times = interleave(
            6,
            &mut [
                &mut || {
                    for (o, t) in slow.iter_mut().zip(&t) {
                        *o = libm::tanhf(*t);
                    }
                },
                &mut || {
                    let nu = MatMut::new(&mut fast, 1024, len / 1024).expect("shape");
                    cpu.response_nu(nu, view, response).expect("shapes");
                },
            ],
        );
        black_box(&slow);
        let want: Vec<f32> = t.iter().map(|t| response.nu(f64::from(*t) as f32)).collect();
        assert_near(name, &fast, &want, 1e-6);
        let detail =
            format!("{:.2} ns against {:.2} ns an element", per(times[1], len), per(times[0], len));
        let what = format!("nu of {name} over libm::tanhf");
        table.at_least(&what, times[0] / times[1], sizes.response.speedup, &detail);
    }
}

fn per(seconds: f64, len: usize) -> f64 {
    seconds * 1e9 / len as f64
}

fn ten_steps(training: &mut Training<f32>, cpu: &Cpu) {
    for _ in 0..10 {
        let loss = training.step(cpu).expect("a step");
        assert!(loss.is_finite(), "loss {loss}");
    }
}

fn step(table: &mut Table, sizes: &Sizes, cpu: &Cpu) {
    let size = &sizes.step;
    let mut products = Products::<f32>::new(size, THREADS);
    let mut sgd = Training::<f32>::new(size, "sgd");
    let mut sample = Training::<f32>::new(size, "rngd-sample");
    let mut adam = Training::<f32>::new(size, "adam");
    let mut times = Vec::new();
    // inside the executor's threads, as the training loop runs
    Executor::<f32>::install(cpu, &mut || {
        times = interleave(
            60,
            &mut [
                &mut || (0..10).for_each(|_| products.run()),
                &mut || ten_steps(&mut sgd, cpu),
                &mut || ten_steps(&mut sample, cpu),
                &mut || ten_steps(&mut adam, cpu),
            ],
        );
    });
    let micro = |k: usize| times[k] * 1e5;
    let detail = format!("{:.0} us against {:.0} us of products", micro(1), micro(0));
    table.at_most(
        "SGD step over bare faer products",
        times[1] / times[0],
        size.sgd_over_products,
        &detail,
    );
    let detail = format!("{:.0} us", micro(2));
    table.at_most(
        "rngd-sample step over SGD step",
        times[2] / times[1],
        size.sample_over_sgd,
        &detail,
    );
    table.note("Adam step over SGD step", times[3] / times[1], &format!("{:.0} us", micro(3)));
}

/// What the curvature of a member holds and borrows at its peak, all in all: averages, factors,
/// derivatives sent back, scratch; the network, its batch and its gradient are there before.
fn curvature_memory(table: &mut Table, sizes: &Sizes) {
    for member in Member::ALL {
        let cpu = cpu();
        let mut case = Case::<f32>::new(&sizes.curvature, &cpu);
        let before = PEAK.current_usage();
        PEAK.reset_peak_usage();
        case.step(&cpu, member);
        let extra = (PEAK.peak_usage() - before) as f64 / 1_048_576.0;
        table.note(&format!("{member:?}: memory of a step, MiB"), extra, "");
    }
}

/// Kronecker-factored steps, in units of the time that the target allows at this machine's rate.
fn curvature(table: &mut Table, sizes: &Sizes, cpu: &Cpu) {
    let (size, order) = (&sizes.curvature, sizes.ceiling.order);
    let mut random = Random::new(6);
    let [a, b] = [(); 2].map(|()| random.uniforms(order * order, -1.0, 1.0));
    let mut c = vec![0.0_f32; order * order];
    let mut case = Case::new(size, cpu);
    for member in Member::ALL {
        case.step(cpu, member);
        case.check(member).expect("a right step");
    }
    let flops = case.flops(Member::Given) as f64;
    let case = std::sync::Mutex::new(case);
    let run = |stages: &[fn(&mut Case<f32>, &Cpu)]| {
        let mut case = case.lock().expect("one thread at a time");
        stages.iter().for_each(|stage| stage(&mut case, cpu));
    };
    let mut times = Vec::new();
    Executor::<f32>::install(cpu, &mut || {
        times = interleave(
            12,
            &mut [
                &mut || faer_product(&mut c, &a, &b, order),
                &mut || run(&[|case, cpu| case.step(cpu, Member::Given)]),
                &mut || run(&[Case::passes, |case, cpu| case.step(cpu, Member::Sampled)]),
                &mut || run(&[Case::passes, |case, cpu| case.step(cpu, Member::Exact)]),
                &mut || run(&[Case::passes, |case, cpu| case.step(cpu, Member::Averaged)]),
                &mut || run(&[Case::labelled, Case::correction]),
                &mut || run(&[Case::passes]),
                &mut || run(&[Case::factors_only]),
                &mut || run(&[|case, cpu| case.precondition(cpu, Member::Given)]),
            ],
        );
    });
    let rate = 2.0 * (order as f64).powi(3) / times[0] / 1e9;
    let scaled = |milliseconds: f64| milliseconds * size.rate / rate;
    let targets = [
        ("K-FAC: factors, Cholesky, step", size.factors),
        ("K-FAC: the whole step", size.kfac),
        ("type-2: the whole step", size.type2),
        ("KFRA: the whole step", size.kfra),
        ("EKFAC: factors and correction", size.ekfac),
    ];
    for ((what, target), seconds) in targets.into_iter().zip(&times[1..]) {
        let detail =
            format!("{:.1} ms, {:.1} allowed at {}", seconds * 1e3, scaled(target), gflops(rate));
        table.at_most(what, seconds * 1e3 / scaled(target), 1.0, &detail);
    }
    let own = flops / times[1] / 1e9;
    table.note("K-FAC factors and step, share of ceiling", own / rate, &gflops(own));
    for (what, k) in [("passes", 6), ("factors", 7), ("step alone", 8)] {
        table.note(&format!("of these {what}, ms"), times[k] * 1e3, "");
    }
}
