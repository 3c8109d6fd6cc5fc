//! The stages of a Kronecker-factored step of the 784-512-512-10 network.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use relfisher_bench::curvature::Case;
use relfisher_bench::{cpu, sizes};

fn curvature(c: &mut Criterion) {
    let (sizes, cpu) = (sizes::load(), cpu());
    let mut case = Case::new(&sizes.curvature, &cpu);
    case.precondition(&cpu);
    case.check(&cpu);
    let mut group = c.benchmark_group("curvature");
    group.sample_size(20).throughput(Throughput::Elements(case.flops()));
    group.bench_function("K-FAC factors, Cholesky, step", |bench| {
        bench.iter(|| {
            case.factors_only(&cpu);
            case.precondition(&cpu);
        });
    });
    group.bench_function("K-FAC step with its passes", |bench| {
        bench.iter(|| {
            case.passes(&cpu);
            case.labelled(&cpu);
            case.precondition(&cpu);
        });
    });
    group.bench_function("type-2 step with its passes", |bench| {
        bench.iter(|| {
            case.passes(&cpu);
            case.type2(&cpu);
            case.precondition(&cpu);
        });
    });
    group.bench_function("KFRA step with its passes", |bench| {
        bench.iter(|| {
            case.passes(&cpu);
            case.kfra(&cpu);
            case.precondition(&cpu);
        });
    });
    group.bench_function("EKFAC factors and correction", |bench| {
        bench.iter(|| {
            case.labelled(&cpu);
            case.correction(&cpu);
        });
    });
    group.finish();
}

criterion_group!(benches, curvature);
criterion_main!(benches);
