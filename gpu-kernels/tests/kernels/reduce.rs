//! Sums in a fixed order against sums in f64.

use relfisher_kernels::Scalar;
use relfisher_kernels::body::reduce;
use relfisher_kernels::contract::{Join, Update};
use relfisher_kernels::emulator::Buffer;

use crate::compare::{assert_close, to_f64};
use crate::random::Random;
use crate::run::run;
use crate::tolerance::Oracle;

fn dots<T: Scalar>(dot: &str, sum: &str) {
    for count in [1, 31, 256, 4096, 4097, 3 * 4096 + 77] {
        let mut random = Random::new(count as u64);
        let (x, y): (Vec<T>, Vec<T>) =
            (random.uniforms(count, 0.5, 1.5), random.uniforms(count, 0.5, 1.5));
        let blocks = (count as u32).div_ceil(reduce::CHUNK);
        let (a, b) = (Buffer::from_slice(&x), Buffer::from_slice(&y));
        let mut partial = Buffer::<T>::unwritten(blocks as usize);
        let (to, from, with) = (partial.output(), a.input(), b.input());
        run(dot, [blocks, 1, 1], |d| reduce::dot(d, to, from, with, count as u64));
        let mut total = Buffer::<T>::unwritten(1);
        let (to, from) = (total.output(), partial.input());
        run(sum, [1, 1, 1], |d| reduce::sum(d, to, from, u64::from(blocks)));
        let want: f64 = to_f64(&x).iter().zip(to_f64(&y)).map(|(a, b)| a * b).sum();
        assert_close(dot, &total.to_vec(), &[want], "kernel sum", Oracle::Dense, count);
    }
}

#[test]
fn dot_products_in_two_launches() {
    dots::<f32>("dot_f32", "sum_f32");
    dots::<f64>("dot_f64", "sum_f64");
}

fn joins<T: Scalar>(name: &str) {
    let (count, pieces) = (1500, 3);
    let mut random = Random::new(9);
    let parts: Vec<T> = random.normals(count * pieces);
    let before: Vec<T> = random.normals(count);
    let input = Buffer::from_slice(&parts);
    for beta in [0.0, 0.75] {
        let mut c =
            if beta == 0.0 { Buffer::unwritten(count) } else { Buffer::from_slice(&before) };
        let update = Update { alpha: T::HALF, beta: T::from_f64(beta) };
        let join = Join { count: count as u64, pieces: pieces as u32, update };
        let (to, from) = (c.output(), input.input());
        run(name, [(count as u32).div_ceil(1024), 1, 1], |d| reduce::join(d, to, from, join));
        let piece = |z: usize, i: usize| parts[z * count + i].to_f64();
        let want: Vec<f64> = (0..count)
            .map(|i| {
                let sum: f64 = (0..pieces).map(|z| piece(z, i)).sum();
                0.5 * sum + if beta == 0.0 { 0.0 } else { beta * before[i].to_f64() }
            })
            .collect();
        assert_close(name, &c.to_vec(), &want, "kernel sum", Oracle::Dense, pieces);
    }
}

#[test]
fn pieces_are_joined_in_order() {
    joins::<f32>("join_f32");
    joins::<f64>("join_f64");
}
