//! Derivatives by central differences with one Richardson step: error O(h⁴) plus rounding ε/h.

/// The step for a coordinate of size x.
fn step(x: f64) -> f64 {
    1e-3 * x.abs().max(1.0)
}

/// (∂f/∂x_i) at x.
pub fn gradient(f: impl Fn(&[f64]) -> f64, x: &[f64]) -> Vec<f64> {
    jacobian(|x| vec![f(x)], x)
}

/// (∂f_o/∂x_i) at x, row-major, outputs × inputs.
pub fn jacobian(f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64]) -> Vec<f64> {
    let mut at = x.to_vec();
    let columns: Vec<Vec<f64>> = (0..x.len())
        .map(|i| {
            let h = step(x[i]);
            let mut difference = |h: f64| -> Vec<f64> {
                at[i] = x[i] + h;
                let up = f(&at);
                at[i] = x[i] - h;
                let down = f(&at);
                at[i] = x[i];
                up.iter().zip(&down).map(|(u, d)| (u - d) / (2.0 * h)).collect()
            };
            let (wide, narrow) = (difference(h), difference(0.5 * h));
            wide.iter().zip(&narrow).map(|(w, n)| (4.0 * n - w) / 3.0).collect()
        })
        .collect();
    let outputs = columns.first().map_or(0, Vec::len);
    (0..outputs).flat_map(|o| columns.iter().map(move |c| c[o])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::assert_close;
    use crate::tolerance::Oracle;

    #[test]
    fn polynomial() {
        let g = gradient(|x| x[0].powi(3) * x[1], &[2.0, 5.0]);
        assert_close("x³y", &g, &[60.0, 8.0], "oracle", Oracle::FiniteDifference, 2);
    }
}
