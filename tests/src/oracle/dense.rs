//! Naive dense linear algebra in f64: nothing clever, so that it is evidently right.

/// A row-major matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// The number of rows.
    pub rows: usize,
    /// The number of columns.
    pub cols: usize,
    /// rows·cols elements, row by row.
    pub data: Vec<f64>,
}

impl Matrix {
    /// A matrix from its elements.
    ///
    /// # Panics
    /// When there are not rows·cols of them.
    pub fn new(rows: usize, cols: usize, data: Vec<f64>) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix of {rows} × {cols}");
        Self { rows, cols, data }
    }
    /// Element (i, j) by a formula.
    pub fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> f64) -> Self {
        let mut data = Vec::with_capacity(rows * cols);
        for i in 0..rows {
            for j in 0..cols {
                data.push(f(i, j));
            }
        }
        Self { rows, cols, data }
    }
    /// All zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, data: vec![0.0; rows * cols] }
    }
    /// I.
    pub fn identity(d: usize) -> Self {
        Self::diagonal(&vec![1.0; d])
    }
    /// diag(v).
    pub fn diagonal(v: &[f64]) -> Self {
        Self::from_fn(v.len(), v.len(), |i, j| if i == j { v[i] } else { 0.0 })
    }
    /// a bᵀ.
    pub fn outer(a: &[f64], b: &[f64]) -> Self {
        Self::from_fn(a.len(), b.len(), |i, j| a[i] * b[j])
    }
    /// Element (i, j).
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.data[i * self.cols + j]
    }
    /// Row i.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }
    /// The transpose.
    pub fn t(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |i, j| self.at(j, i))
    }
    /// self + c·other.
    pub fn plus(&self, c: f64, other: &Self) -> Self {
        assert_eq!((self.rows, self.cols), (other.rows, other.cols), "shapes of a sum");
        Self::from_fn(self.rows, self.cols, |i, j| self.at(i, j) + c * other.at(i, j))
    }
    /// c·self.
    pub fn scaled(&self, c: f64) -> Self {
        Self::from_fn(self.rows, self.cols, |i, j| c * self.at(i, j))
    }
    /// self + λI.
    pub fn damped(&self, lambda: f64) -> Self {
        self.plus(lambda, &Self::identity(self.rows))
    }
    /// self · other.
    pub fn times(&self, other: &Self) -> Self {
        assert_eq!(self.cols, other.rows, "shapes of a product");
        Self::from_fn(self.rows, other.cols, |i, j| {
            (0..self.cols).map(|k| self.at(i, k) * other.at(k, j)).sum()
        })
    }
    /// self · v.
    pub fn apply(&self, v: &[f64]) -> Vec<f64> {
        assert_eq!(self.cols, v.len(), "shapes of a matrix–vector product");
        (0..self.rows).map(|i| dot(self.row(i), v)).collect()
    }
    /// vᵀ · self · v.
    pub fn quadratic_form(&self, v: &[f64]) -> f64 {
        dot(v, &self.apply(v))
    }
    /// The trace.
    pub fn trace(&self) -> f64 {
        (0..self.rows.min(self.cols)).map(|i| self.at(i, i)).sum()
    }
    /// The Frobenius norm.
    pub fn norm(&self) -> f64 {
        dot(&self.data, &self.data).sqrt()
    }
    /// The largest |element|.
    pub fn max_abs(&self) -> f64 {
        self.data.iter().fold(0.0, |m, x| m.max(x.abs()))
    }
    /// self ⊗ other (self for the slow index).
    pub fn kron(&self, other: &Self) -> Self {
        let (p, q) = (other.rows, other.cols);
        Self::from_fn(self.rows * p, self.cols * q, |i, j| {
            self.at(i / p, j / q) * other.at(i % p, j % q)
        })
    }
    /// Square blocks along the diagonal.
    pub fn block_diagonal(blocks: &[Self]) -> Self {
        let (rows, cols) =
            (blocks.iter().map(|b| b.rows).sum(), blocks.iter().map(|b| b.cols).sum());
        let mut out = Self::zeros(rows, cols);
        let (mut r, mut c) = (0, 0);
        for b in blocks {
            for i in 0..b.rows {
                for j in 0..b.cols {
                    out.data[(r + i) * cols + c + j] = b.at(i, j);
                }
            }
            r += b.rows;
            c += b.cols;
        }
        out
    }
    /// The block of `rows × cols` elements that starts at (i, j).
    pub fn block(&self, i: usize, j: usize, rows: usize, cols: usize) -> Self {
        Self::from_fn(rows, cols, |a, b| self.at(i + a, j + b))
    }
    /// The lower triangle of a symmetric matrix, row by row.
    pub fn packed(&self) -> Vec<f64> {
        (0..self.rows).flat_map(|i| self.row(i)[..=i].to_vec()).collect()
    }
    /// The symmetric matrix whose lower triangle is `packed`.
    pub fn unpacked(packed: &[f64], d: usize) -> Self {
        assert_eq!(packed.len(), d * (d + 1) / 2, "packed triangle of {d}");
        Self::from_fn(d, d, |i, j| {
            let (a, b) = (i.max(j), i.min(j));
            packed[a * (a + 1) / 2 + b]
        })
    }
    /// X with self · X = b, by Gaussian elimination with partial pivoting.
    ///
    /// # Panics
    /// When the matrix is singular to working precision.
    pub fn solve(&self, b: &Self) -> Self {
        assert_eq!((self.rows, self.rows), (self.cols, b.rows), "shapes of a solve");
        let (d, mut a, mut x) = (self.rows, self.clone(), b.clone());
        for k in 0..d {
            let p = (k..d)
                .max_by(|i, j| a.at(*i, k).abs().total_cmp(&a.at(*j, k).abs()))
                .expect("a pivot");
            assert!(a.at(p, k) != 0.0, "singular matrix at pivot {k}");
            for j in 0..d {
                a.data.swap(k * d + j, p * d + j);
            }
            for j in 0..x.cols {
                x.data.swap(k * x.cols + j, p * x.cols + j);
            }
            for i in 0..d {
                if i == k {
                    continue;
                }
                let f = a.at(i, k) / a.at(k, k);
                if f != 0.0 {
                    for j in k..d {
                        a.data[i * d + j] -= f * a.data[k * d + j];
                    }
                    for j in 0..x.cols {
                        x.data[i * x.cols + j] -= f * x.data[k * x.cols + j];
                    }
                }
            }
        }
        Self::from_fn(d, x.cols, |i, j| x.at(i, j) / a.at(i, i))
    }
    /// The vector x with self · x = b.
    ///
    /// # Panics
    /// When the matrix is singular to working precision.
    pub fn solve_vector(&self, b: &[f64]) -> Vec<f64> {
        self.solve(&Self::new(b.len(), 1, b.to_vec())).data
    }
    /// The inverse.
    ///
    /// # Panics
    /// When the matrix is singular to working precision.
    pub fn inverse(&self) -> Self {
        self.solve(&Self::identity(self.rows))
    }
    /// The eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix, by cyclic
    /// Jacobi rotations.
    pub fn eigh(&self) -> (Vec<f64>, Self) {
        let d = self.rows;
        let (mut a, mut u) = (self.clone(), Self::identity(d));
        for _ in 0..100 {
            let mut off = 0.0f64;
            for p in 0..d {
                for q in 0..p {
                    off = off.max(a.at(p, q).abs());
                    rotate(&mut a, &mut u, p, q);
                }
            }
            if off <= 1e-300 || off <= 1e-17 * a.max_abs() {
                break;
            }
        }
        let mut order: Vec<usize> = (0..d).collect();
        order.sort_by(|i, j| a.at(*i, *i).total_cmp(&a.at(*j, *j)));
        let values = order.iter().map(|i| a.at(*i, *i)).collect();
        (values, Self::from_fn(d, d, |i, j| u.at(i, order[j])))
    }
    /// ln det of a symmetric positive definite matrix, by its eigenvalues.
    pub fn log_determinant(&self) -> f64 {
        self.eigh().0.iter().map(|v| v.ln()).sum()
    }
    /// f(self) = U diag(f(values)) Uᵀ of a symmetric matrix.
    pub fn function(&self, f: impl Fn(f64) -> f64) -> Self {
        let (values, u) = self.eigh();
        let values: Vec<f64> = values.into_iter().map(f).collect();
        u.times(&Self::diagonal(&values)).times(&u.t())
    }
}

fn rotate(a: &mut Matrix, u: &mut Matrix, p: usize, q: usize) {
    let (app, aqq, apq) = (a.at(p, p), a.at(q, q), a.at(p, q));
    if apq == 0.0 {
        return;
    }
    let theta = (aqq - app) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    let d = a.rows;
    for k in 0..d {
        let (x, y) = (a.at(k, p), a.at(k, q));
        a.data[k * d + p] = c * x - s * y;
        a.data[k * d + q] = s * x + c * y;
    }
    for k in 0..d {
        let (x, y) = (a.at(p, k), a.at(q, k));
        a.data[p * d + k] = c * x - s * y;
        a.data[q * d + k] = s * x + c * y;
    }
    for k in 0..d {
        let (x, y) = (u.at(k, p), u.at(k, q));
        u.data[k * d + p] = c * x - s * y;
        u.data[k * d + q] = s * x + c * y;
    }
}

/// Σ a_i b_i.
///
/// # Panics
/// When the lengths differ.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths of a dot product");
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::assert_close;
    use crate::random::Random;
    use crate::tolerance::Oracle;

    #[test]
    fn algebra() {
        let mut random = Random::new(1);
        let a = Matrix::new(6, 6, random.spd(6, 100.0));
        let close = |l: &str, x: &Matrix, y: &Matrix| {
            assert_close(l, &x.data, &y.data, "oracle", Oracle::Identity, 6);
        };
        close("A A⁻¹", &a.times(&a.inverse()), &Matrix::identity(6));
        let (values, u) = a.eigh();
        close("U Uᵀ", &u.times(&u.t()), &Matrix::identity(6));
        close("U Λ Uᵀ", &u.times(&Matrix::diagonal(&values)).times(&u.t()), &a);
        let want: Vec<f64> = (0..6).map(|k| 100f64.powf(-((5 - k) as f64) / 5.0)).collect();
        assert_close("eigenvalues", &values, &want, "oracle", Oracle::Identity, 6);
        close("packed", &Matrix::unpacked(&a.packed(), 6), &a);
        let b = Matrix::new(2, 3, random.normals(6));
        let c = Matrix::new(3, 2, random.normals(6));
        let v = Matrix::new(2, 3, random.normals(6));
        // (G ⊗ A) vec(V) = vec(G V Aᵀ), row-major.
        let left = c.kron(&b).apply(&v.data);
        assert_close("vec", &left, &c.times(&v).times(&b.t()).data, "oracle", Oracle::Identity, 6);
        close("√A √A", &a.function(f64::sqrt).times(&a.function(f64::sqrt)), &a);
    }
}
