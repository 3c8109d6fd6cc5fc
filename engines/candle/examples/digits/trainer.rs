//! A multi-layer perceptron of candle's on the bundled digits, trained by one of four rules.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{ModuleT, Optimizer, SGD, VarBuilder, VarMap, loss, ops};
use relfisher_candle::{
    Config, Method, NaturalGradient, Probed, Response, Settings, Site, sampled_labels,
};
use relfisher_engine_testing::{Digits, PIXELS, Rng};

const BATCH: usize = 50;
const CLASSES: usize = 10;

/// How to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// candle's SGD at this rate.
    Sgd(f64),
    /// K-FAC, labels drawn from the model.
    Kfac,
    /// Relative natural gradient, the metric of each mini-batch.
    RngdSamples,
    /// Relative natural gradient, blocks kept over so many mini-batches, measured on 500 samples.
    RngdBlocks(u64),
}

enum Stepper {
    Plain(SGD),
    Natural(Box<NaturalGradient<f32>>),
}

/// A network, its data and the state of its optimiser.
pub(crate) struct Trainer {
    layers: Vec<Probed>,
    variables: VarMap,
    train: Digits,
    test: Digits,
    rng: Rng,
    stepper: Option<Stepper>,
}

fn tensor(digits: &Digits) -> Result<(Tensor, Tensor)> {
    let x = Tensor::from_slice(&digits.images, (digits.len(), PIXELS), &Device::Cpu)?;
    Ok((x, Tensor::from_slice(&digits.labels, digits.len(), &Device::Cpu)?))
}

impl Trainer {
    /// A relu network of these hidden widths, on the first digits.
    pub(crate) fn new(hidden: &[usize], train: usize, test: usize, seed: u64) -> Result<Self> {
        let (variables, mut rng) = (VarMap::new(), Rng(seed));
        let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let relu = Site::Neurons(Response::Relu { leak: 0.0, smoothing: 1.0, sigma: 1.0 });
        let (mut layers, mut inputs) = (Vec::new(), PIXELS);
        for (k, outputs) in hidden.iter().copied().chain([CLASSES]).enumerate() {
            let (name, last) = (format!("layer {k}"), k == hidden.len());
            let linear = candle_nn::linear(inputs, outputs, vb.pp(&name))?;
            // Initial weights that the seed fixes: candle's own generator on the CPU has none.
            let start = rng.he(outputs, inputs);
            let mut all = variables.data().lock().expect("the variables");
            let set = |v: Option<&mut candle_core::Var>, t: Tensor| match v {
                Some(v) => v.set(&t),
                None => Err(candle_core::Error::Msg(format!("{name}: no such variable"))),
            };
            let start = Tensor::from_vec(start, (outputs, inputs), &Device::Cpu)?;
            set(all.get_mut(&format!("{name}.weight")), start)?;
            let zeros = Tensor::zeros(outputs, DType::F32, &Device::Cpu)?;
            set(all.get_mut(&format!("{name}.bias")), zeros)?;
            layers.push(Probed::new(&name, linear, if last { Site::Softmax } else { relu })?);
            inputs = outputs;
        }
        let (train, test) = (Digits::read("train", train), Digits::read("t10k", test));
        Ok(Self { layers, variables, train, test, rng, stepper: None })
    }

    fn logits(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut a = x.clone();
        for (k, layer) in self.layers.iter().enumerate() {
            a = layer.forward_t(&if k > 0 { a.relu()? } else { a }, train)?;
        }
        Ok(a)
    }

    fn build(&self, rule: &Rule) -> Result<Stepper> {
        let config = match rule {
            Rule::Sgd(rate) => {
                return Ok(Stepper::Plain(SGD::new(self.variables.all_vars(), *rate)?));
            }
            Rule::Kfac => Config::kfac(),
            Rule::RngdSamples => Config::rngd_samples(),
            Rule::RngdBlocks(refresh) => {
                Config { method: Method::RngdBlocks { refresh: *refresh }, ..Config::rngd_blocks() }
            }
        };
        let settings = Settings { layers: self.layers.clone(), config };
        let optimiser = NaturalGradient::new(self.variables.all_vars(), settings)?;
        Ok(Stepper::Natural(Box::new(optimiser)))
    }

    /// One pass over the shuffled digits; the mean loss of all of them after it.
    pub(crate) fn epoch(&mut self, rule: &Rule) -> Result<f64> {
        let mut stepper = match self.stepper.take() {
            Some(stepper) => stepper,
            None => self.build(rule)?,
        };
        let order = self.rng.permutation(self.train.len());
        for rows in order.chunks(BATCH) {
            if let (Rule::RngdBlocks(_), Stepper::Natural(optimiser)) = (rule, &mut stepper)
                && optimiser.is_due()
            {
                // A metric that is kept deserves more samples than a mini-batch has.
                let some = self.rng.permutation(self.train.len());
                let (x, y) = tensor(&self.train.batch(&some[..500.min(some.len())]))?;
                let loss = loss::cross_entropy(&self.logits(&x, true)?, &y)?;
                optimiser.observe(&loss.backward()?)?;
            }
            let (x, y) = tensor(&self.train.batch(rows))?;
            let logits = self.logits(&x, true)?;
            let loss = loss::cross_entropy(&logits, &y)?;
            match &mut stepper {
                Stepper::Plain(optimiser) => optimiser.backward_step(&loss)?,
                Stepper::Natural(optimiser) => {
                    if *rule == Rule::Kfac && optimiser.is_due() {
                        let drawn = sampled_labels(&logits, &mut || self.rng.uniform())?;
                        let drawn = loss::cross_entropy(&logits, &drawn)?;
                        optimiser.observe(&drawn.backward()?)?;
                    }
                    optimiser.backward_step(&loss)?;
                }
            }
        }
        self.stepper = Some(stepper);
        let (x, y) = tensor(&self.train)?;
        loss::cross_entropy(&self.logits(&x, false)?, &y)?.to_dtype(DType::F64)?.to_scalar()
    }

    /// The share of test digits that are told.
    pub(crate) fn accuracy(&self) -> Result<f64> {
        let (x, y) = tensor(&self.test)?;
        let told = ops::softmax(&self.logits(&x, false)?, 1)?.argmax(1)?.eq(&y)?;
        told.to_dtype(DType::F64)?.mean_all()?.to_scalar()
    }
}
