//! The network of a golden case by plain loops in double precision: what no engine computed.

use crate::Golden;

/// What every layer of a golden case's network takes and gives, one sample a row.
#[derive(Clone, Debug)]
pub struct Pass {
    /// n.
    pub samples: usize,
    /// x of each layer, n × d.
    pub inputs: Vec<Vec<f64>>,
    /// t of each layer, n × m.
    pub outputs: Vec<Vec<f64>>,
    /// The soft-max of the last layer's, n × C.
    pub probabilities: Vec<f64>,
}

impl Golden {
    /// (m, d) of a layer.
    pub fn shape(&self, layer: usize) -> (usize, usize) {
        let shape = &self.get(&format!("layers.{layer}.weight")).shape;
        (shape[0], shape[1])
    }

    fn relu(&self) -> bool {
        assert!(self.name.contains("relu") || self.name.contains("tanh"), "{}", self.name);
        self.name.contains("relu")
    }

    /// The network forwards.
    pub fn forward(&self) -> Pass {
        let samples = self.x.shape[0];
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        let mut a = self.x.data.clone();
        for layer in 0..self.layers() {
            let (m, d) = self.shape(layer);
            let weight = &self.get(&format!("layers.{layer}.weight")).data;
            let bias = &self.get(&format!("layers.{layer}.bias")).data;
            let mut t = Vec::with_capacity(samples * m);
            for row in a.chunks_exact(d) {
                for (w, b) in weight.chunks_exact(d).zip(bias) {
                    t.push(b + w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>());
                }
            }
            let next = t.iter().map(|t| if self.relu() { t.max(0.0) } else { t.tanh() }).collect();
            inputs.push(std::mem::replace(&mut a, next));
            outputs.push(t);
        }
        let logits = outputs.last().expect("a layer");
        let classes = self.shape(self.layers() - 1).0;
        let rows = logits.chunks_exact(classes).flat_map(|row| {
            let sum: f64 = row.iter().map(|t| t.exp()).sum();
            row.iter().map(move |t| t.exp() / sum)
        });
        let probabilities = rows.collect();
        Pass { samples, inputs, outputs, probabilities }
    }

    /// Sends `top` (n × C, at the last layer's outputs) back to the outputs of every layer.
    pub fn backward(&self, pass: &Pass, top: Vec<f64>) -> Vec<Vec<f64>> {
        let mut deltas = vec![top];
        for layer in (1..self.layers()).rev() {
            let (m, d) = self.shape(layer);
            let weight = &self.get(&format!("layers.{layer}.weight")).data;
            let above = deltas.last().expect("a layer above");
            let mut below = Vec::with_capacity(pass.samples * d);
            for (s, row) in above.chunks_exact(m).enumerate() {
                for j in 0..d {
                    let t = pass.outputs[layer - 1][s * d + j];
                    let slope = match self.relu() {
                        true => f64::from(t > 0.0),
                        false => 1.0 - t.tanh().powi(2),
                    };
                    let sum: f64 = row.iter().enumerate().map(|(i, g)| g * weight[i * d + j]).sum();
                    below.push(slope * sum);
                }
            }
            deltas.push(below);
        }
        deltas.reverse();
        deltas
    }

    /// ∂ℓ_s/∂t at the last layer for these classes: η − e_y, one sample a row.
    pub fn top(&self, pass: &Pass, classes: &[u32]) -> Vec<f64> {
        let mut top = pass.probabilities.clone();
        let count = self.shape(self.layers() - 1).0;
        for (row, class) in top.chunks_exact_mut(count).zip(classes) {
            row[*class as usize] -= 1.0;
        }
        top
    }
}
