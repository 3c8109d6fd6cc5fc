//! Dense matrices as plain loops over row-major slices in f64.

/// A (rows × l) times B (l × columns); l follows from the lengths.
pub(crate) fn product(a: &[f64], b: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let inner = a.len() / rows.max(1);
    let mut out = vec![0.0; rows * columns];
    for i in 0..rows {
        for l in 0..inner {
            let factor = a[i * inner + l];
            for j in 0..columns {
                out[i * columns + j] += factor * b[l * columns + j];
            }
        }
    }
    out
}

/// The transpose of a (rows × columns) matrix.
pub(crate) fn transpose(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns * rows).map(|k| a[(k % rows) * columns + k / rows]).collect()
}

/// aᵀb.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// a bᵀ, as a vector.
pub(crate) fn outer(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().flat_map(|a| b.iter().map(move |b| a * b)).collect()
}

/// I, n×n.
pub(crate) fn identity(n: usize) -> Vec<f64> {
    damped(&vec![0.0; n * n], n, 1.0)
}

/// The trace of an n×n matrix.
pub(crate) fn trace(a: &[f64], n: usize) -> f64 {
    a.iter().step_by(n + 1).sum()
}

/// Some rows and columns of an n×n matrix.
pub(crate) fn part(a: &[f64], n: usize, (rows, columns): (&[usize], &[usize])) -> Vec<f64> {
    rows.iter().flat_map(|i| columns.iter().map(move |j| a[i * n + j])).collect()
}

/// G ⊗ A: element (i·d + j, k·d + l) is G_ik A_jl. Shapes: g m×m, a d×d.
pub(crate) fn kronecker(g: &[f64], a: &[f64], m: usize, d: usize) -> Vec<f64> {
    let p = m * d;
    let at = |r: usize, c: usize| g[r / d * m + c / d] * a[r % d * d + c % d];
    (0..p * p).map(|k| at(k / p, k % p)).collect()
}

/// A + λI, n×n.
pub(crate) fn damped(a: &[f64], n: usize, damping: f64) -> Vec<f64> {
    let mut out = a.to_vec();
    out.iter_mut().step_by(n + 1).for_each(|x| *x += damping);
    out
}

/// A + B.
pub(crate) fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// A⁻¹B by Gauss–Jordan elimination with partial pivoting, and ln |det A|. Shapes: a n×n, b n×k.
pub(crate) fn solve(a: &[f64], b: &[f64], n: usize) -> (Vec<f64>, f64) {
    let k = b.len() / n.max(1);
    let (mut a, mut b, mut log_determinant) = (a.to_vec(), b.to_vec(), 0.0);
    for c in 0..n {
        let larger = |&i: &usize, &j: &usize| a[i * n + c].abs().total_cmp(&a[j * n + c].abs());
        let pivot = (c..n).max_by(larger).unwrap_or(c);
        (0..n).for_each(|j| a.swap(c * n + j, pivot * n + j));
        (0..k).for_each(|j| b.swap(c * k + j, pivot * k + j));
        log_determinant += a[c * n + c].abs().ln();
        for i in (0..n).filter(|&i| i != c) {
            let factor = a[i * n + c] / a[c * n + c];
            (c..n).for_each(|j| a[i * n + j] -= factor * a[c * n + j]);
            (0..k).for_each(|j| b[i * k + j] -= factor * b[c * k + j]);
        }
    }
    for i in 0..n {
        (0..k).for_each(|j| b[i * k + j] /= a[i * n + i]);
    }
    (b, log_determinant)
}

/// Eigenvalues, ascending, and eigenvectors in the columns of a symmetric n×n matrix: cyclic Jacobi
/// rotations (Rutishauser 1966) until nothing is left beside the diagonal.
pub(crate) fn eigen(a: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut a, mut q) = (a.to_vec(), identity(n));
    // Quadratic convergence: some ten sweeps are enough for any matrix of this size.
    for _ in 0..40 {
        for p in 0..n {
            for r in p + 1..n {
                rotate(&mut a, &mut q, n, (p, r));
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[i * n + i].total_cmp(&a[j * n + j]));
    let values = order.iter().map(|&j| a[j * n + j]).collect();
    let vectors = (0..n * n).map(|k| q[k / n * n + order[k % n]]).collect();
    (values, vectors)
}

/// One rotation that makes a_pr vanish.
fn rotate(a: &mut [f64], q: &mut [f64], n: usize, (p, r): (usize, usize)) {
    let off = a[p * n + r];
    if off == 0.0 {
        return;
    }
    let theta = (a[r * n + r] - a[p * n + p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for i in 0..n {
        let (x, y) = (a[i * n + p], a[i * n + r]);
        (a[i * n + p], a[i * n + r]) = (c * x - s * y, s * x + c * y);
        let (x, y) = (q[i * n + p], q[i * n + r]);
        (q[i * n + p], q[i * n + r]) = (c * x - s * y, s * x + c * y);
    }
    for j in 0..n {
        let (x, y) = (a[p * n + j], a[r * n + j]);
        (a[p * n + j], a[r * n + j]) = (c * x - s * y, s * x + c * y);
    }
}

/// f(A) = Q f(diag s) Qᵀ of a symmetric n×n matrix.
pub(crate) fn function(a: &[f64], n: usize, f: impl Fn(f64) -> f64) -> Vec<f64> {
    let (values, q) = eigen(a, n);
    let scaled: Vec<f64> = (0..n * n).map(|k| q[k] * f(values[k % n])).collect();
    product(&scaled, &transpose(&q, n, n), n, n)
}

/// L with A = LLᵀ, row by row; the strict upper triangle is 0.
pub(crate) fn cholesky(a: &[f64], n: usize) -> Vec<f64> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let below: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = a[i * n + j] - below;
            l[i * n + j] = if i == j { rest.sqrt() } else { rest / l[j * n + j] };
        }
    }
    l
}

#[cfg(test)]
mod tests {
    use super::*;

    /// max |a − b| is at most 10⁻¹⁴.
    fn near(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14)
    }

    #[test]
    fn a_matrix_that_is_known_by_hand() {
        // [[2, 1], [1, 2]]: eigenvalues 1 and 3.
        let a = [2.0, 1.0, 1.0, 2.0];
        let (values, q) = eigen(&a, 2);
        assert!(near(&values, &[1.0, 3.0]));
        assert!(near(&product(&transpose(&q, 2, 2), &q, 2, 2), &[1.0, 0.0, 0.0, 1.0]));
        let (inverse, log_determinant) = solve(&a, &[1.0, 0.0, 0.0, 1.0], 2);
        assert!(near(&inverse, &[2.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0]));
        assert!((log_determinant - 3.0_f64.ln()).abs() < 1e-15);
        let root = function(&a, 2, f64::sqrt);
        assert!(near(&product(&root, &root, 2, 2), &a));
        let l = cholesky(&a, 2);
        assert!(near(&product(&l, &transpose(&l, 2, 2), 2, 2), &a) && l[1] == 0.0);
        let swapped = solve(&[0.0, 1.0, 1.0, 0.0], &[5.0, 7.0], 2).0;
        assert_eq!(swapped, [7.0, 5.0]);
        assert_eq!(kronecker(&[1.0, 2.0, 3.0, 4.0], &[5.0], 2, 1), [5.0, 10.0, 15.0, 20.0]);
        assert_eq!(kronecker(&[5.0], &[1.0, 2.0, 3.0, 4.0], 1, 2), [5.0, 10.0, 15.0, 20.0]);
    }
}
