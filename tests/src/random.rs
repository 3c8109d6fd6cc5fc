//! Deterministic random inputs: the same numbers on every machine and in every run.

use relfisher_core::Real;

/// A small generator (SplitMix64) with the distributions that tests need.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator with its own stream for each seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1) }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A standard normal number (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let r = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        r * (core::f64::consts::TAU * self.unit()).cos()
    }

    /// A count in [0, end); 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.bits() % end as u64) as usize }
    }

    /// `len` standard normal numbers.
    pub fn normals<T: Real>(&mut self, len: usize) -> Vec<T> {
        (0..len).map(|_| T::from_f64(self.normal())).collect()
    }

    /// `len` numbers uniform in [low, high).
    pub fn uniforms<T: Real>(&mut self, len: usize, low: f64, high: f64) -> Vec<T> {
        (0..len).map(|_| T::from_f64(self.uniform(low, high))).collect()
    }

    /// A batch of `n` augmented inputs (n × (d + 1), row-major): d normal numbers and a trailing 1.
    pub fn augmented<T: Real>(&mut self, n: usize, d: usize) -> Vec<T> {
        let mut x = Vec::with_capacity(n * (d + 1));
        for _ in 0..n {
            x.extend(self.normals::<T>(d));
            x.push(T::ONE);
        }
        x
    }

    /// A d × d orthogonal matrix (row-major, f64): Gram–Schmidt of normal rows, twice.
    pub fn orthogonal(&mut self, d: usize) -> Vec<f64> {
        let mut rows: Vec<Vec<f64>> = Vec::new();
        while rows.len() < d {
            let mut v: Vec<f64> = self.normals(d);
            for _ in 0..2 {
                for r in &rows {
                    let c: f64 = r.iter().zip(&v).map(|(a, b)| a * b).sum();
                    for (x, y) in v.iter_mut().zip(r) {
                        *x -= c * y;
                    }
                }
            }
            let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            if norm > 1e-3 {
                rows.push(v.iter().map(|x| x / norm).collect());
            }
        }
        rows.concat()
    }

    /// A symmetric positive definite d × d matrix (row-major, both triangles bitwise equal) with
    /// eigenvalues spaced geometrically from 1/`condition` to 1 in a random basis.
    pub fn spd<T: Real>(&mut self, d: usize, condition: f64) -> Vec<T> {
        let q = self.orthogonal(d);
        let value = |k: usize| {
            if d <= 1 { 1.0 } else { condition.powf(-(k as f64) / (d as f64 - 1.0)) }
        };
        let mut a = vec![T::ZERO; d * d];
        for i in 0..d {
            for j in 0..=i {
                let s: f64 = (0..d).map(|k| q[k * d + i] * value(k) * q[k * d + j]).sum();
                a[i * d + j] = T::from_f64(s);
                a[j * d + i] = T::from_f64(s);
            }
        }
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_and_plausible_moments() {
        let (mut a, mut b) = (Random::new(7), Random::new(7));
        assert_eq!(a.normals::<f64>(100), b.normals::<f64>(100));
        let x: Vec<f64> = a.normals(20_000);
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
