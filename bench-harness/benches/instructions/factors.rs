//! Factorisations and solves, of one matrix and of batches.

use relfisher::Scalar;
use relfisher_bench::Random;
use relfisher_core::{Backend, MatMut, MatRef, factor};

use crate::case::{Aligned, Case, Data, direct, generic, near, ulps};

/// The damping, which keeps condition numbers below a hundred.
const DAMPING: f64 = 0.1;

/// A positive definite matrix of order d.
fn matrix<T: Scalar>(d: usize) -> Aligned<T> {
    Aligned::covariance(&mut Random::new(1), d)
}

/// A + λI = LLᵀ.
pub(crate) fn cholesky<T: Scalar>(d: usize) -> Case {
    let data = Data::<T>::in_place(vec![matrix(d)], 0);
    generic(data, ulps::<T>(256.0), move |backend, _, out, _| {
        backend.cholesky(MatMut::new(out, d, d)?, T::from_f64(DAMPING))
    })
}

/// (A + λI)⁻¹B for k right sides: factor and solve.
pub(crate) fn cholesky_solve<T: Scalar>(d: usize, k: usize) -> Case {
    let b = Aligned::random(&mut Random::new(2), d * k, -1.0, 1.0);
    let data = Data::<T>::in_place(vec![b, matrix(d)], d * d);
    generic(data, ulps::<T>(4096.0), move |backend, given, out, work| {
        work.copy_from_slice(&given[1]);
        backend.cholesky(MatMut::new(work, d, d)?, T::from_f64(DAMPING))?;
        backend.cholesky_solve(MatMut::new(out, d, k)?, MatRef::new(work, d, d)?)
    })
}

/// (A + λI)⁻¹.
pub(crate) fn inverse<T: Scalar>(d: usize) -> Case {
    let data = Data::<T>::in_place(vec![matrix(d)], factor::spd_inverse_workspace_len(d));
    generic(data, ulps::<T>(4096.0), move |backend, _, out, work| {
        backend.spd_inverse(MatMut::new(out, d, d)?, T::from_f64(DAMPING), work)
    })
}

/// A = U diag(s) Uᵀ.
pub(crate) fn eigh<T: Scalar>(d: usize) -> Case {
    let mut given = Aligned::<T>::filled(d * d + d, T::ZERO);
    given[..d * d].copy_from_slice(&matrix::<T>(d));
    let data = Data::<T>::in_place(vec![given], factor::eigh_workspace_len(d));
    direct(
        data,
        move |cpu, _, out, work| {
            let (vectors, values) = out.split_at_mut(d * d);
            cpu.eigh(MatMut::new(vectors, d, d)?, values, work)
        },
        // Signs of eigenvectors are free, so what is checked is what they are for.
        move |given, out| {
            let (vectors, values) = out.split_at(d * d);
            let entry = |i: usize, j: usize, f: &dyn Fn(usize) -> f64| -> f64 {
                let (i, j) = (&vectors[i * d..][..d], &vectors[j * d..][..d]);
                (0..d).map(|k| i[k].to_f64() * f(k) * j[k].to_f64()).sum()
            };
            let all = move || (0..d).flat_map(move |i| (0..d).map(move |j| (i, j)));
            let cast = |x: f64| T::from_f64(x);
            let back: Vec<T> =
                all().map(|(i, j)| cast(entry(i, j, &|k| values[k].to_f64()))).collect();
            let want: Vec<f64> = given[0][..d * d].iter().map(|x| x.to_f64()).collect();
            near(&back, &want, ulps::<T>(256.0));
            let gram: Vec<T> = all().map(|(i, j)| cast(entry(i, j, &|_| 1.0))).collect();
            let one: Vec<f64> = all().map(|(i, j)| f64::from(u8::from(i == j))).collect();
            near(&gram, &one, ulps::<T>(256.0));
            assert!(values.is_sorted(), "the eigenvalues ascend");
        },
    )
}

/// m packed positive definite blocks of order d.
fn blocks<T: Scalar>(m: usize, d: usize) -> Aligned<T> {
    let (mut random, width) = (Random::new(3), d * (d + 1) / 2);
    let mut blocks = Aligned::filled(m * width, T::ZERO);
    for packed in blocks.chunks_exact_mut(width) {
        let full = Aligned::<T>::covariance(&mut random, d);
        let lower = (0..d).flat_map(|a| (0..=a).map(move |b| a * d + b));
        lower.zip(packed).for_each(|(at, out)| *out = full[at]);
    }
    blocks
}

/// L_i of m packed blocks of order d.
pub(crate) fn packed_cholesky<T: Scalar>(m: usize, d: usize) -> Case {
    let data = Data::<T>::in_place(vec![blocks(m, d)], 0);
    generic(data, ulps::<T>(256.0), move |backend, _, out, _| {
        backend.packed_cholesky(MatMut::new(out, m, d * (d + 1) / 2)?, d, T::from_f64(DAMPING))
    })
}

/// (block_i + λI)⁻¹ v_i: factors and solves.
pub(crate) fn packed_solve<T: Scalar>(m: usize, d: usize) -> Case {
    let (v, width) = (Aligned::random(&mut Random::new(4), m * d, -1.0, 1.0), d * (d + 1) / 2);
    let data = Data::<T>::in_place(vec![v, blocks(m, d)], m * width);
    generic(data, ulps::<T>(4096.0), move |backend, given, out, work| {
        work.copy_from_slice(&given[1]);
        backend.packed_cholesky(MatMut::new(work, m, width)?, d, T::from_f64(DAMPING))?;
        backend.packed_cholesky_solve(MatMut::new(out, m, d)?, MatRef::new(work, m, width)?)
    })
}

/// (block_i + λI)⁻¹, packed.
pub(crate) fn packed_inverse<T: Scalar>(m: usize, d: usize) -> Case {
    let data = Data::<T>::in_place(vec![blocks(m, d)], factor::packed_inverse_workspace_len(d));
    generic(data, ulps::<T>(4096.0), move |backend, _, out, work| {
        let out = MatMut::new(out, m, d * (d + 1) / 2)?;
        backend.packed_inverse(out, d, T::from_f64(DAMPING), work)
    })
}

/// block_i v_i.
pub(crate) fn packed_symv<T: Scalar>(m: usize, d: usize) -> Case {
    let v = Aligned::random(&mut Random::new(4), m * d, -1.0, 1.0);
    let data = Data::<T>::new(vec![blocks(m, d), v], m * d, 0);
    generic(data, ulps::<T>(64.0), move |backend, given, out, _| {
        let packed = MatRef::new(&given[0], m, d * (d + 1) / 2)?;
        backend.packed_symv(MatMut::new(out, m, d)?, packed, MatRef::new(&given[1], m, d)?)
    })
}
