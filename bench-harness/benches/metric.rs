//! Packed metrics by all constructions, ν, and the two exact routes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use relfisher::executor::Executor;
use relfisher_bench::metric::{Case, Steps};
use relfisher_bench::{Random, assert_near, cpu, faer_product, sizes};
use relfisher_core::metric::cost::Construction;
use relfisher_core::metric::neuron::Response;
use relfisher_core::{MatMut, MatRef};

fn packed(c: &mut Criterion) {
    let (sizes, cpu) = (sizes::load(), cpu());
    let mut group = c.benchmark_group("packed metric");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    let order = sizes.ceiling.order;
    let mut random = Random::new(6);
    let [a, b] = [(); 2].map(|()| random.uniforms(order * order, -1.0, 1.0));
    let mut product = vec![0.0; order * order];
    group.throughput(Throughput::Elements(2 * (order as u64).pow(3)));
    group.bench_function(format!("faer {order}³"), |bench| {
        bench.iter(|| faer_product(black_box(&mut product), &a, &b, order));
    });
    for &size in &sizes.metric {
        let mut case = Case::new(size);
        group.throughput(Throughput::Elements(size.flops()));
        let all = Construction::ALL.map(|how| (format!("{how:?}"), Some(how)));
        for (name, how) in all.into_iter().chain([("chosen".to_owned(), None)]) {
            case.build(&cpu, how);
            case.check(&name);
            group.bench_function(format!("{}/{name}", size.label()), |bench| {
                bench.iter(|| case.build(&cpu, black_box(how)));
            });
        }
    }
    group.finish();
}

fn response(c: &mut Criterion) {
    let (sizes, cpu) = (sizes::load(), cpu());
    let len = sizes.response.length;
    let t = Random::new(8).uniforms(len, -8.0, 8.0);
    let view = MatRef::new(&t, 1024, len / 1024).expect("shape");
    let mut out = vec![f32::NAN; len];
    let mut group = c.benchmark_group("nu");
    group.sample_size(20).throughput(Throughput::Elements(len as u64));
    group.bench_function("a loop over libm::tanhf", |bench| {
        bench.iter(|| {
            for (o, t) in out.iter_mut().zip(&t) {
                *o = libm::tanhf(*t);
            }
        });
    });
    for (name, response) in [
        ("tanh", Response::Tanh),
        ("sigm", Response::Sigm),
        ("elu", Response::Elu { alpha: 1.0, sigma: 1.0 }),
        ("smoothed relu", Response::Relu { leak: 0.0, smoothing: 1.0, sigma: 1.0 }),
    ] {
        let mut run = || {
            let nu = MatMut::new(&mut out, 1024, len / 1024).expect("shape");
            cpu.response_nu(nu, view, black_box(response)).expect("shapes");
        };
        run();
        group.bench_function(name, |bench| bench.iter(&mut run));
        let want: Vec<f32> = t.iter().map(|t| response.nu(*t)).collect();
        assert_near(name, &out, &want, 1e-6);
    }
    group.finish();
}

fn routes(c: &mut Criterion) {
    let (sizes, cpu) = (sizes::load(), cpu());
    let [mut block, mut sample] = [(); 2].map(|()| Steps::new(&sizes.routes));
    assert_near("sample space", sample.sample(&cpu), block.block(&cpu), 2e-3);
    let mut group = c.benchmark_group("routes to one step");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("block Cholesky", |bench| {
        bench.iter(|| black_box(block.block(&cpu)).len());
    });
    group.bench_function("sample space", |bench| {
        bench.iter(|| black_box(sample.sample(&cpu)).len());
    });
    group.finish();
}

criterion_group!(benches, packed, response, routes);
criterion_main!(benches);
