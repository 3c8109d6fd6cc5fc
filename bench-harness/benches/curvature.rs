//! The stages of a Kronecker-factored step of the 784-512-512-10 network.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use relfisher_bench::curvature::{Case, Member};
use relfisher_bench::{cpu, sizes};

fn curvature(c: &mut Criterion) {
    let (sizes, cpu) = (sizes::load(), cpu());
    let mut case = Case::new(&sizes.curvature, &cpu);
    for member in Member::ALL {
        case.step(&cpu, member);
        case.check(&cpu, member);
    }
    let mut group = c.benchmark_group("curvature");
    group.sample_size(20).throughput(Throughput::Elements(case.flops()));
    group.bench_function("K-FAC factors, Cholesky, step", |bench| {
        bench.iter(|| case.step(&cpu, Member::Given));
    });
    for (name, member) in [
        ("K-FAC step with its passes", Member::Sampled),
        ("type-2 step with its passes", Member::Exact),
        ("KFRA step with its passes", Member::Averaged),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| {
                case.passes(&cpu);
                case.step(&cpu, member);
            });
        });
    }
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
