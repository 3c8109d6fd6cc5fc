//! Operators whose spectrum is known.

use relfisher::spectrum::LinearOperator;
use relfisher::{Error, Scalar};
use relfisher_tests::compare::{cast, to_f64};
use relfisher_tests::oracle::dense::{Matrix, dot};
use relfisher_tests::random::Random;

/// A = H diag(values) H with the reflections H = Π (I − 2 u uᵀ): any spectrum, any size, computed in
/// f64.
pub(crate) struct Reflected {
    pub(crate) values: Vec<f64>,
    reflectors: Vec<Vec<f64>>,
    pub(crate) products: usize,
    /// The first vector of every sequence of [`Reflected::period`] products.
    pub(crate) starts: Vec<Vec<f64>>,
    pub(crate) period: usize,
}

impl Reflected {
    pub(crate) fn new(random: &mut Random, values: &[f64]) -> Self {
        let reflector = |_| {
            let u: Vec<f64> = random.normals(values.len());
            let size = dot(&u, &u).sqrt();
            u.iter().map(|x| x / size).collect()
        };
        let reflectors = (0..3).map(reflector).collect();
        let (products, starts, period) = (0, Vec::new(), usize::MAX);
        Self { values: values.to_vec(), reflectors, products, starts, period }
    }

    pub(crate) fn diagonal(values: &[f64]) -> Self {
        Self { reflectors: Vec::new(), ..Self::new(&mut Random::new(0), values) }
    }

    pub(crate) fn product(&self, v: &[f64]) -> Vec<f64> {
        let mut w = v.to_vec();
        let reflect = |u: &Vec<f64>, w: &mut [f64]| {
            let along = 2.0 * dot(u, w);
            w.iter_mut().zip(u).for_each(|(w, u)| *w -= along * u);
        };
        self.reflectors.iter().for_each(|u| reflect(u, &mut w));
        w.iter_mut().zip(&self.values).for_each(|(w, d)| *w *= d);
        self.reflectors.iter().rev().for_each(|u| reflect(u, &mut w));
        w
    }

    /// The matrix itself.
    pub(crate) fn matrix(&self) -> Matrix {
        let n = self.values.len();
        let rows = (0..n).flat_map(|i| {
            let unit: Vec<f64> = (0..n).map(|j| f64::from(u8::from(i == j))).collect();
            self.product(&unit)
        });
        Matrix::new(n, n, rows.collect())
    }

    /// The eigenvalues, largest first.
    pub(crate) fn descending(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_by(|a, b| b.total_cmp(a));
        values
    }
}

impl<T: Scalar> LinearOperator<T> for Reflected {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn apply(&mut self, out: &mut [T], v: &[T]) -> Result<(), Error> {
        let v = to_f64(v);
        out.copy_from_slice(&cast::<T>(&self.product(&v)));
        if self.products.is_multiple_of(self.period) {
            self.starts.push(v);
        }
        self.products += 1;
        Ok(())
    }
}

/// Products that are not numbers.
pub(crate) struct Broken;

impl<T: Scalar> LinearOperator<T> for Broken {
    fn len(&self) -> usize {
        100
    }

    fn apply(&mut self, out: &mut [T], _: &[T]) -> Result<(), Error> {
        out.fill(T::ONE);
        out[7] = T::NAN;
        Ok(())
    }
}
