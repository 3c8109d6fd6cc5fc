//! Training steps of the 784-80-80-80-10 network by optimiser, and its bare products.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use relfisher_bench::network::{Products, Training};
use relfisher_bench::{cpu, sizes};

fn step(c: &mut Criterion) {
    let (sizes, cpu) = (sizes::load(), cpu());
    let mut group = c.benchmark_group("training step");
    let mut products = Products::new(&sizes.step);
    group.sample_size(30).throughput(Throughput::Elements(products.flops()));
    group.bench_function("bare faer products", |bench| bench.iter(|| products.run()));
    for name in ["sgd", "adam", "rngd-sample"] {
        let mut training = Training::new(&sizes.step, name);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let loss = training.step(&cpu).expect("a step");
                assert!(loss.is_finite(), "{name}: loss {loss}");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
