//! Kronecker algebra of one K-FAC layer: product, and the damped inverse through Cholesky factors.

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use relfisher::executor::Cpu;
use relfisher_bench::{Random, assert_near, cpu, sizes};
use relfisher_core::kron::{self, FactorDamping, KronCholesky};
use relfisher_core::{Backend, MatMut, MatRef};

/// (1/2d) XᵀX of 2d random samples.
fn covariance(cpu: &Cpu, d: usize, seed: u64) -> Vec<f32> {
    let x = Random::new(seed).uniforms(2 * d * d, -1.0, 1.0);
    let mut a = vec![f32::NAN; d * d];
    let x = MatRef::new(&x, 2 * d, d).expect("shape");
    let out = MatMut::new(&mut a, d, d).expect("shape");
    cpu.gram(out, 0.0, 0.5 / d as f32, x, None, &mut []).expect("shapes");
    a
}

fn layer(c: &mut Criterion) {
    let cpu = cpu();
    let size = sizes::load().refresh;
    let (m, d) = (size.neurons, size.inputs);
    let (g, a) = (covariance(&cpu, m, 1), covariance(&cpu, d, 2));
    let v = Random::new(3).uniforms(m * d, -1.0, 1.0);
    let damping = FactorDamping { g: 0.1, a: 0.1 };
    let mut out = vec![f32::NAN; m * d];
    let mut work = vec![f32::NAN; m * d];
    let solve = |v: &mut [f32], g: &mut [f32], a: &mut [f32], work: &mut [f32]| {
        let (g, a) = (MatMut::new(g, m, m).expect("shape"), MatMut::new(a, d, d).expect("shape"));
        let factors = KronCholesky::factor(&cpu, g, a, damping).expect("definite");
        let v = MatMut::new(v, m, d).expect("shape");
        factors.solve(&cpu, v, work).expect("finite");
    };
    // the solve undoes the product with the damped factors
    let damped = |a: &[f32], d: usize| {
        let mut a = a.to_vec();
        a.iter_mut().step_by(d + 1).for_each(|x| *x += 0.1);
        a
    };
    let (damped_g, damped_a) = (damped(&g, m), damped(&a, d));
    let mut back = v.clone();
    solve(&mut back, &mut g.clone(), &mut a.clone(), &mut work);
    let mut apply = |out: &mut [f32], g: &[f32], a: &[f32], v: &[f32]| {
        let out = MatMut::new(out, m, d).expect("shape");
        let (g, a) = (MatRef::new(g, m, m).expect("shape"), MatRef::new(a, d, d).expect("shape"));
        let v = MatRef::new(v, m, d).expect("shape");
        kron::apply(&cpu, out, g, a, v, &mut work).expect("shapes");
    };
    apply(&mut out, &damped_g, &damped_a, &back);
    assert_near("(G ⊗ A)(G ⊗ A)⁻¹ v", &out, &v, 1e-3);

    let mut group = c.benchmark_group(format!("kron m{m} d{d}"));
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements((2 * m * d * (m + d)) as u64));
    group.bench_function("product", |bench| bench.iter(|| apply(&mut out, &g, &a, &v)));
    let mut work = vec![f32::NAN; m * d];
    let flops = (m.pow(3) + d.pow(3)) / 3 + 2 * m * d * (m + d);
    group.throughput(Throughput::Elements(flops as u64));
    group.bench_function("factor and solve", |bench| {
        let setup = || (v.clone(), g.clone(), a.clone());
        let run = |(mut v, mut g, mut a): (Vec<f32>, Vec<f32>, Vec<f32>)| {
            solve(&mut v, &mut g, &mut a, &mut work);
            v
        };
        bench.iter_batched(setup, run, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, layer);
criterion_main!(benches);
