//! What share of the machine's ceiling each operation of the CPU reaches, in f32 and f64, with one and
//! with two threads.
//!
//! `cargo run --release -p relfisher-bench --bin ceiling` prints a table and exits with 1 when a share
//! misses its target. Name parts, `--dtype` or `--threads` (`gram --dtype f64 --threads 2`) to run only those.

use clap::{Parser, ValueEnum};
use relfisher::Scalar;
use relfisher::executor::Cpu;
use relfisher_bench::ceiling::{
    Case, Gram, KroneckerSolve, LongProduct, Packed, PatchFactor, Perceptron, Phase, Products,
    Rival, Sizes, on_threads, seconds, turns, turns_of_timed,
};

/// A group of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Packed,
    Gram,
    Solve,
    Convolution,
    Kfac,
    Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    F32,
    F64,
}

/// Shares of the machine's ceiling.
#[derive(Parser)]
#[command(name = "ceiling", version)]
struct Arguments {
    /// The parts to measure: all when absent.
    parts: Vec<Part>,
    /// The scalar type: both when absent.
    #[arg(long)]
    dtype: Option<Dtype>,
    /// The threads, 1 or 2: 1 and then 2 when absent.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=2))]
    threads: Option<u16>,
    /// Rounds in which the candidates take turns, at least 1.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
}

/// Where the shares are printed and judged.
struct Table {
    rounds: usize,
    missed: usize,
}

impl Table {
    fn row(&mut self, what: &str, value: f64, target: Option<(char, f64)>, detail: &str) {
        let (target, verdict) = match target {
            None => (String::new(), ""),
            Some((sense, bound)) => {
                let good = if sense == '>' { value >= bound } else { value <= bound };
                self.missed += usize::from(!good);
                (format!("{sense}= {bound}"), if good { "met" } else { "MISSED" })
            }
        };
        println!("{what:<50} {value:>8.3} {target:>8} {verdict:<7} {detail}");
    }
}

fn main() {
    let arguments = Arguments::parse();
    let most = relfisher_bench::machine::threads();
    let threads: Vec<usize> = match arguments.threads {
        Some(threads) => vec![usize::from(threads)],
        None => (1..=most.min(2)).collect(),
    };
    if let Some(many) = threads.iter().find(|threads| **threads > most) {
        eprintln!(
            "ceiling: {many} threads, this machine runs {most} at once: give --threads {most}"
        );
        std::process::exit(2);
    }
    let sizes = Sizes::load();
    let mut table = Table { rounds: usize::from(arguments.rounds), missed: 0 };
    println!("{}, {}", Cpu::model(), Cpu::simd());
    println!("{:<50} {:>8} {:>8} {:<7}", "share or ratio", "value", "target", "verdict");
    for threads in threads {
        if arguments.dtype != Some(Dtype::F64) {
            run::<f32>(&mut table, &sizes, threads, &arguments.parts);
        }
        if arguments.dtype != Some(Dtype::F32) {
            run::<f64>(&mut table, &sizes, threads, &arguments.parts);
        }
    }
    if table.missed > 0 {
        println!("{} missed", table.missed);
        std::process::exit(1);
    }
}

fn run<T: Scalar>(table: &mut Table, sizes: &Sizes, threads: usize, parts: &[Part]) {
    let cpu = &Cpu::new(Some(threads)).expect("threads");
    let wanted = |part: Part| parts.is_empty() || parts.contains(&part);
    println!("{}, {threads} thread(s)", T::NAME);
    let mut long = LongProduct::<T>::new(sizes.product.order, threads);
    let long = &mut long;
    if wanted(Part::Packed) {
        for &size in &sizes.packed.sizes {
            share(table, cpu, threads, long, (&mut Packed::new(size), sizes.packed.share));
        }
    }
    if wanted(Part::Gram) {
        for &size in &sizes.gram.sizes {
            share(table, cpu, threads, long, (&mut Gram::new(size), sizes.gram.share));
        }
    }
    if wanted(Part::Solve) {
        for &size in &sizes.solve.sizes {
            let mut case = KroneckerSolve::new(size, cpu);
            share(table, cpu, threads, long, (&mut case, sizes.solve.share));
        }
    }
    if wanted(Part::Convolution) {
        for &size in &sizes.convolution.sizes {
            let mut case = PatchFactor::new(size);
            case.load(cpu);
            share(table, cpu, threads, long, (&mut case, sizes.convolution.share));
        }
    }
    if wanted(Part::Kfac) {
        kfac(table, cpu, long, sizes);
    }
    if wanted(Part::Step) {
        step::<T>(table, cpu, threads, sizes);
    }
}

/// An operation as a share of the ceiling, or of its rival at `faer` where it has one.
fn share<T: Scalar>(
    table: &mut Table,
    cpu: &Cpu,
    threads: usize,
    long: &mut LongProduct<T>,
    (case, target): (&mut dyn Case<T>, f64),
) {
    case.seconds(cpu);
    case.check(cpu);
    let rounds = table.rounds;
    let (times, has_rival) = on_threads::<T, _>(cpu, || {
        let has_rival = case.rival(threads);
        let case = std::sync::Mutex::new(&mut *case);
        let case = || case.lock().expect("one thread");
        let times = turns_of_timed(
            rounds,
            &mut [&mut || seconds(|| long.run()), &mut || case().seconds(cpu), &mut || {
                seconds(|| _ = case().rival(threads))
            }],
        );
        (times, has_rival)
    });
    let ceiling = long.flops() / times[0];
    let rate = case.flops() / times[1];
    let mut detail =
        format!("{:.3} ms, {:.0} of {:.0} GFLOP/s", times[1] * 1e3, rate / 1e9, ceiling / 1e9);
    let mut value = rate / ceiling;
    if has_rival {
        detail += &format!("; faer's triangular product {:.3} ms", times[2] * 1e3);
        value = times[2] / times[1];
    }
    table.row(&case.label(), value, Some(('>', target)), &detail);
}

/// The time of a K-FAC step in units of its FLOPs at the ceiling.
fn kfac<T: Scalar>(table: &mut Table, cpu: &Cpu, long: &mut LongProduct<T>, sizes: &Sizes) {
    let mut case = Perceptron::<T>::new(&sizes.kfac, "sgd", cpu);
    let rounds = table.rounds;
    let times = on_threads::<T, _>(cpu, || {
        turns(rounds, &mut [&mut || long.run(), &mut || case.kfac(cpu)])
    });
    case.check_kfac();
    let ceiling = long.flops() / times[0];
    let bare = case.kfac_flops() / ceiling;
    let detail = format!("{:.1} ms for {:.2} GFLOP", times[1] * 1e3, case.kfac_flops() / 1e9);
    table.row("K-FAC step over its FLOPs", times[1] / bare, Some(('<', sizes.kfac.most)), &detail);
}

/// Small steps in units of their bare products, and the parts of one.
fn step<T: Scalar>(table: &mut Table, cpu: &Cpu, threads: usize, sizes: &Sizes) {
    let size = &sizes.step;
    let mut faer = Products::<T>::new(size, Rival::Faer, threads);
    let mut own = Products::<T>::new(size, Rival::Executor, threads);
    faer.run(cpu);
    faer.check(cpu);
    own.run(cpu);
    own.check(cpu);
    let [mut sgd, mut adam, mut sample] =
        ["sgd", "adam", "rngd-sample"].map(|name| Perceptron::<T>::new(size, name, cpu));
    let parts = std::sync::Mutex::new(Perceptron::<T>::new(size, "sgd", cpu));
    let part = |phase| parts.lock().expect("one thread").phase(cpu, phase);
    let rounds = table.rounds;
    let times = on_threads::<T, _>(cpu, || {
        turns(
            4 * rounds,
            &mut [
                &mut || faer.run(cpu),
                &mut || own.run(cpu),
                &mut || sgd.step(cpu),
                &mut || adam.step(cpu),
                &mut || sample.step(cpu),
                &mut || part(Phase::Load),
                &mut || part(Phase::Forward),
                &mut || part(Phase::Loss),
                &mut || part(Phase::Backward),
                &mut || part(Phase::Update),
            ],
        )
    });
    let micro = |k: usize| format!("{:.1} us", times[k] * 1e6);
    let most = Some(('<', size.most));
    table.row("SGD step over faer's products", times[2] / times[0], most, &micro(2));
    let detail = format!("{} against {}", micro(1), micro(0));
    table.row("the executor's products over faer's", times[1] / times[0], None, &detail);
    table.row("SGD step over the executor's products", times[2] / times[1], most, "");
    table.row("Adam step over SGD step", times[3] / times[2], None, &micro(3));
    table.row("rngd-sample step over SGD step", times[4] / times[2], None, &micro(4));
    for (phase, k) in Phase::ALL.into_iter().zip(5..) {
        table.row(&format!("SGD step: {phase:?}, us"), times[k] * 1e6, None, "");
    }
}
