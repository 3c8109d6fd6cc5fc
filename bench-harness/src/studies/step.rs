//! Whole training steps of a perceptron, beside the bare products of their passes.

use relfisher::Scalar;
use relfisher::executor::Cpu;

use crate::case::{Candidate, Group, Runner, Simple, Study, bytes_of, dtype};
use crate::network::{Products, Training};
use crate::record::{Approach, Limit, Target};
use crate::sizes::{self, Sizes};

/// An optimiser by its name, the quantity, and how its steps relate to the products.
const OPTIMISERS: [(&str, &str); 4] = [
    ("sgd", "SGD step, against its bare products"),
    ("adam", "Adam step, against its bare products"),
    ("rngd-sample", "RNGD step in sample space, against bare products"),
    ("kfac", "K-FAC step in training, against bare products"),
];

pub(super) fn studies<T: Scalar>(sizes: &Sizes, threads: usize) -> Vec<Study> {
    OPTIMISERS.map(|(name, quantity)| study::<T>(name, quantity, &sizes.step, threads)).into()
}

fn study<T: Scalar>(
    name: &'static str,
    quantity: &'static str,
    size: &sizes::Step,
    threads: usize,
) -> Study {
    let label = vec![("widest", size.widths[0]), ("batch", size.batch)];
    let (bound, width) = (size.overhead, size.widths[0]);
    let size = size.clone();
    let prepare = move |_: &Cpu| {
        let flops = Products::<T>::new(&size, threads).flops() as f64;
        let parameters: usize = size.widths.windows(2).map(|w| (w[0] + 1) * w[1]).sum();
        let bytes = bytes_of::<T>(3 * parameters) as f64;
        let (ours, theirs) = (size.clone(), size.clone());
        let training = move |_: &Cpu| -> Box<dyn Runner> {
            Box::new(Simple {
                state: (Training::<T>::new(&ours, name), f64::NAN),
                run: |(training, loss): &mut (Training<T>, f64), cpu: &Cpu| {
                    *loss = training.step(cpu).expect("a step");
                },
                // that the steps are the right ones is the business of the tests of the optimisers
                check: |(training, loss): &mut (Training<T>, f64), _: &Cpu| {
                    let sound = loss.is_finite() && training.gradient_is_finite();
                    if sound { Ok(()) } else { Err(format!("the loss is {loss}")) }
                },
            })
        };
        let bare = move |_: &Cpu| -> Box<dyn Runner> {
            Box::new(Simple {
                state: Products::<T>::new(&theirs, threads),
                run: |products: &mut Products<T>, _: &Cpu| products.run(),
                check: |products: &mut Products<T>, _: &Cpu| products.check(),
            })
        };
        let candidate = |approach, predicted, build| Candidate {
            approach,
            flops,
            bytes,
            limit: Limit::Product,
            predicted,
            share: None,
            build,
        };
        let values: usize = size.widths.iter().map(|w| (2 * w + 1) * size.batch).sum();
        vec![
            // parameters, gradient, velocity; values and derivatives of a batch; the data set
            candidate(
                Approach::Structured,
                bytes_of::<T>(3 * parameters + values + sizes::SAMPLES * size.widths[0]),
                Box::new(training),
            ),
            candidate(Approach::Loop, bytes_of::<T>(2 * parameters + 2 * values), Box::new(bare)),
        ]
    };
    Study {
        group: Group::Step,
        quantity,
        size: label,
        x: width,
        dtype: dtype::<T>(),
        speedup: (name == "sgd").then(|| Target::AtLeast(1.0 / bound)),
        prepare: Box::new(prepare),
    }
}
