//! Whole training steps of a perceptron, beside the bare products of their passes.

use std::time::Instant;

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

/// Steps of training. Of an optimiser whose steps differ, a time is the mean over a whole cycle: the
/// cheapest step of K-FAC neither measures its factors nor inverts them.
struct Steps<T: Scalar>(Training<T>);

impl<T: Scalar> Runner for Steps<T> {
    fn run(&mut self, cpu: &Cpu) {
        self.0.step(cpu).expect("a step");
    }

    fn check(&mut self, cpu: &Cpu) -> Result<(), String> {
        self.0.check(cpu)
    }

    fn seconds(&mut self, cpu: &Cpu, repeats: usize) -> f64 {
        let cycle = self.0.cycle();
        let steps = repeats.next_multiple_of(cycle);
        let start = Instant::now();
        (0..steps).for_each(|_| self.run(cpu));
        start.elapsed().as_secs_f64() / steps as f64
    }
}

/// Elements that K-FAC holds: averages and factors of A and G, the derivatives of drawn labels, the
/// direction, two squares of scratch.
fn kronecker(size: &sizes::Step) -> usize {
    let layers = || size.widths.windows(2).map(|w| (w[1], w[0] + 1));
    let kept: usize = layers().map(|(m, d)| 2 * (m * m + d * d) + m * size.batch + m * d).sum();
    let widest = layers().map(|(m, d)| m.max(d)).max().unwrap_or(0);
    kept + 2 * widest * widest
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
    let prepare = move |cpu: &Cpu| {
        let products = Products::<T>::new(&size, threads).flops() as f64;
        let own = Training::<T>::new(&size, name).optimizer_flops(cpu);
        let own = own.unwrap_or_else(|problem| panic!("{quantity}: {problem}"));
        let parameters: usize = size.widths.windows(2).map(|w| (w[0] + 1) * w[1]).sum();
        let bytes = bytes_of::<T>(3 * parameters) as f64;
        let (ours, theirs) = (size.clone(), size.clone());
        let training =
            move |_: &Cpu| -> Box<dyn Runner> { Box::new(Steps(Training::<T>::new(&ours, name))) };
        let bare = move |_: &Cpu| -> Box<dyn Runner> {
            Box::new(Simple {
                state: Products::<T>::new(&theirs, threads),
                run: |products: &mut Products<T>, _: &Cpu| products.run(),
                check: |products: &mut Products<T>, _: &Cpu| products.check(),
            })
        };
        let candidate = |approach, flops, predicted, build| Candidate {
            approach,
            flops,
            bytes,
            limit: Limit::Product,
            predicted,
            share: None,
            build,
        };
        let values: usize = size.widths.iter().map(|w| (2 * w + 1) * size.batch).sum();
        let held = if name == "kfac" { kronecker(&size) } else { 0 };
        vec![
            // parameters, gradient, velocity; values and derivatives of a batch; the data set
            candidate(
                Approach::Structured,
                products + own,
                bytes_of::<T>(3 * parameters + values + sizes::SAMPLES * size.widths[0] + held),
                Box::new(training),
            ),
            candidate(
                Approach::Loop,
                products,
                bytes_of::<T>(2 * parameters + 2 * values),
                Box::new(bare),
            ),
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
