//! Single factorisations: Cholesky, inverse and eigenvectors.

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use relfisher_bench::{Random, assert_near, cpu, sizes};
use relfisher_core::{Backend, MatMut, MatRef};

/// (1/n) XᵀX of n = 2d random samples.
fn covariance(cpu: &relfisher::executor::Cpu, d: usize) -> Vec<f32> {
    let x = Random::new(9).uniforms(2 * d * d, -1.0, 1.0);
    let mut a = vec![f32::NAN; d * d];
    let x = MatRef::new(&x, 2 * d, d).expect("shape");
    let out = MatMut::new(&mut a, d, d).expect("shape");
    cpu.gram(out, 0.0, 0.5 / d as f32, x, None, &mut []).expect("shapes");
    a
}

fn factor(c: &mut Criterion) {
    let cpu = cpu();
    let mut group = c.benchmark_group("factor");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for d in sizes::load().factor.orders {
        let a = covariance(&cpu, d);
        let mut check = a.clone();
        let inverse = MatMut::new(&mut check, d, d).expect("shape");
        cpu.spd_inverse(inverse, 0.1, &mut []).expect("definite");
        let mut identity = vec![f32::NAN; d * d];
        let mut damped = a.clone();
        damped.iter_mut().step_by(d + 1).for_each(|x| *x += 0.1);
        let (left, right) = (MatRef::new(&damped, d, d), MatRef::new(&check, d, d));
        let out = MatMut::new(&mut identity, d, d).expect("shape");
        cpu.gemm(out, 0.0, 1.0, left.expect("shape"), right.expect("shape")).expect("shapes");
        let want: Vec<f32> = (0..d * d).map(|k| f32::from(u8::from(k % (d + 1) == 0))).collect();
        assert_near("A A⁻¹", &identity, &want, 1e-3);

        let cube = (d as u64).pow(3);
        group.throughput(Throughput::Elements(cube / 3));
        group.bench_function(format!("cholesky/{d}"), |bench| {
            let run = |mut a: Vec<f32>| {
                let view = MatMut::new(&mut a, d, d).expect("shape");
                cpu.cholesky(view, 0.1).expect("definite");
                a
            };
            bench.iter_batched(|| a.clone(), run, BatchSize::LargeInput);
        });
        group.throughput(Throughput::Elements(cube));
        group.bench_function(format!("inverse/{d}"), |bench| {
            let run = |mut a: Vec<f32>| {
                let view = MatMut::new(&mut a, d, d).expect("shape");
                cpu.spd_inverse(view, 0.1, &mut []).expect("definite");
                a
            };
            bench.iter_batched(|| a.clone(), run, BatchSize::LargeInput);
        });
        group.throughput(Throughput::Elements(9 * cube));
        group.bench_function(format!("eigenvectors/{d}"), |bench| {
            let run = |mut a: Vec<f32>| {
                let mut values = vec![f32::NAN; d];
                let view = MatMut::new(&mut a, d, d).expect("shape");
                cpu.eigh(view, &mut values, &mut []).expect("converges");
                a
            };
            bench.iter_batched(|| a.clone(), run, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, factor);
criterion_main!(benches);
