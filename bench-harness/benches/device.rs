//! A device's launches, by criterion over the device's own events: an empty-handed product, a small
//! and a large one, a copy. Without a CUDA device it says so and measures nothing;
//! `RELFISHER_GPU=emulated` runs it on the emulator, where times mean nothing.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use relfisher::driver::{self, Driver, Emulated};
use relfisher::executor::cuda::{Buffer, Gpu, Matrix, MatrixMut, Side};
use relfisher_bench::case::near;
use relfisher_bench::gpu::Events;
use relfisher_bench::{Random, sizes};

fn device() -> Result<(Arc<dyn Driver>, bool), String> {
    if std::env::var("RELFISHER_GPU").is_ok_and(|v| v == "emulated") {
        return Ok((Arc::new(Emulated::new()), true));
    }
    driver::detect(0).map(|driver| (driver, false)).map_err(|e| e.to_string())
}

fn main() {
    let criterion = Criterion::default().configure_from_args();
    let (driver, emulated) = match device() {
        Ok(found) => found,
        Err(problem) => {
            println!("no device is measured: {problem}");
            return;
        }
    };
    let gpu = Gpu::new(driver).expect("kernels for the device");
    let name = &gpu.driver().device().name;
    println!("{name}{}", if emulated { ": emulated, its times mean nothing" } else { "" });
    let mut criterion = criterion.with_measurement(Events::new(gpu.clone()));
    products(&mut criterion, &gpu, emulated);
    copies(&mut criterion, &gpu, emulated);
    criterion.final_summary();
}

/// C ← A B of growing orders: the smallest is little more than its launch.
fn products(criterion: &mut Criterion<Events>, gpu: &Arc<Gpu>, emulated: bool) {
    let mut group = criterion.benchmark_group("launch: one product on the device");
    group.sample_size(10).warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_secs(1));
    let orders = sizes::load().launch.orders;
    for n in orders.into_iter().chain((!emulated).then_some(4096)).filter(|n| !emulated || *n < 64)
    {
        let mut random = Random::new(14);
        let [a, b]: [Vec<f32>; 2] = [(); 2].map(|()| random.numbers(n * n, -1.0, 1.0));
        let upload = |values: &[f32]| Buffer::from_slice(gpu, values).expect("memory");
        let (left, right) = (upload(&a), upload(&b));
        let mut out = Buffer::<f32>::zeros(gpu, n * n).expect("memory");
        let run = |out: &mut Buffer<f32>| {
            let c = MatrixMut::new(out.view_mut(), n, n).expect("shape");
            let factors = [&left, &right]
                .map(|buffer| (Matrix::new(buffer.view(), n, n).expect("shape"), Side::Stored));
            gpu.gemm(c, (0.0, 1.0), factors[0], factors[1]).expect("a product");
        };
        run(&mut out);
        check(&out.to_vec().expect("an answer"), &a, &b, n);
        group.throughput(Throughput::Elements(2 * (n as u64).pow(3)));
        let id = BenchmarkId::from_parameter(n);
        group.bench_function(id, |bencher| bencher.iter(|| run(&mut out)));
    }
    group.finish();
}

/// Some elements of A B against sums in f64.
fn check(c: &[f32], a: &[f32], b: &[f32], n: usize) {
    let mut random = Random::new(15);
    let mut pick = || (random.unit() * n as f64) as usize;
    let (mut got, mut want) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let (i, j) = (pick(), pick());
        let sum: f64 = (0..n).map(|k| f64::from(a[i * n + k]) * f64::from(b[k * n + j])).sum();
        got.push(c[i * n + j]);
        want.push(sum as f32);
    }
    // the norm of a row in −1..1 is √(n/3), an element of the answer some √n/3
    near("A B", &got, &want, 32.0 * (n as f64).sqrt()).expect("a right answer");
}

/// A copy within the device's memory: the ceiling of everything that streams.
fn copies(criterion: &mut Criterion<Events>, gpu: &Arc<Gpu>, emulated: bool) {
    let mut group = criterion.benchmark_group("launch: a copy on the device");
    group.sample_size(10).warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_secs(1));
    for len in [1_usize, if emulated { 4096 } else { 1 << 27 }] {
        let from = Buffer::from_slice(gpu, &vec![0.5_f32; len]).expect("memory");
        let mut to = Buffer::<f32>::zeros(gpu, len).expect("memory");
        to.view_mut().copy_from(from.view()).expect("a copy");
        assert!(to.to_vec().expect("an answer").iter().all(|x| *x == 0.5), "a wrong copy");
        group.throughput(Throughput::Bytes(8 * len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| to.view_mut().copy_from(from.view()).expect("a copy"));
        });
    }
    group.finish();
}
