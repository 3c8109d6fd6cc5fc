//! What a file of sizes may say: sizes that give a study each, numbers that are some, and inputs that
//! this machine's memory holds.

use std::fmt::Display;

use super::{Convolution, Kron, Metric, SAMPLES, Sizes, Solve};

/// The largest width or order: its dense matrix of order width² still has a number of bytes.
const WIDEST: usize = 1 << 14;

/// The most FLOPs or elements that a case may declare: more have no exact number.
const MOST: usize = 1 << 53;

/// The slices as long as the largest one that a case of update rules or of a ceiling holds.
const SLICES: usize = 6;

/// The first thing that is wrong, with its field and what to give; `available` bytes of memory.
///
/// # Errors
/// That.
pub(super) fn check(sizes: &Sizes, available: u64) -> Result<(), String> {
    let check = Check { available };
    check.count("ceiling.order", sizes.ceiling.order)?;
    check.count("ceiling.copy", sizes.ceiling.copy)?;
    check.fits("ceiling.order", &[SLICES, sizes.ceiling.order, sizes.ceiling.order])?;
    check.fits("ceiling.copy", &[2, sizes.ceiling.copy])?;
    check.networks(sizes)?;
    check.metrics(sizes)?;
    check.widths(sizes)?;
    check.kron(&sizes.kron)?;
    check.solve(&sizes.solve)?;
    check.convolution(&sizes.convolution)?;
    for (k, len) in sizes.vectors.lengths.iter().enumerate() {
        check.count(&format!("vectors.lengths[{k}]"), *len)?;
        check.fits(&format!("vectors.lengths[{k}]"), &[SLICES, *len])?;
    }
    distinct("vectors.lengths", &sizes.vectors.lengths)?;
    let orders = [
        ("factor.orders", &sizes.factor.orders),
        ("launch.orders", &sizes.launch.orders),
        ("batched.orders", &sizes.batched.orders),
    ];
    for (field, orders) in orders {
        check.orders(field, orders)?;
        orders.iter().try_for_each(|n| check.fits(field, &[SLICES, *n, *n]))?;
    }
    let batched = &sizes.batched;
    check.above("batched.cholesky", batched.cholesky)?;
    check.above("batched.eigen", batched.eigen)?;
    let widest = batched.orders.iter().max().copied().unwrap_or(1);
    for (field, count) in
        [("matrices", batched.matrices), ("decompositions", batched.decompositions)]
    {
        let field = format!("batched.{field}");
        check.count(&field, count)?;
        check.fits(&field, &[2, count, widest, widest])?;
    }
    Ok(())
}

struct Check {
    available: u64,
}

impl Check {
    /// A number of things.
    fn count(&self, field: &str, value: usize) -> Result<(), String> {
        if value == 0 { wrong(field, value, "give 1 or more") } else { Ok(()) }
    }

    /// A share or a bound that is kept by everything.
    fn share(&self, field: &str, value: f64) -> Result<(), String> {
        let good = value.is_finite() && value >= 0.0;
        if good { Ok(()) } else { wrong(field, value, "give a number of 0 or more") }
    }

    /// A bound that something is divided by.
    fn above(&self, field: &str, value: f64) -> Result<(), String> {
        let good = value.is_finite() && value > 0.0;
        if good { Ok(()) } else { wrong(field, value, "give a number above 0") }
    }

    /// A width or an order.
    fn width(&self, field: &str, value: usize) -> Result<(), String> {
        self.count(field, value)?;
        if value > WIDEST { wrong(field, value, format!("give {WIDEST} or less")) } else { Ok(()) }
    }

    fn orders(&self, field: &str, values: &[usize]) -> Result<(), String> {
        for (k, value) in values.iter().enumerate() {
            self.width(&format!("{field}[{k}]"), *value)?;
        }
        distinct(field, values)
    }

    /// So many elements of eight bytes in the memory of this machine.
    fn fits(&self, field: &str, factors: &[usize]) -> Result<(), String> {
        let elements = product(field, factors)?;
        let bytes = elements as u64 * 8;
        if bytes > self.available {
            let (needs, has) = (mebibytes(bytes), mebibytes(self.available));
            let remedy =
                format!("its inputs need {needs} MiB of {has} MiB that are free: give less");
            return wrong(field, format_args!("{factors:?}"), remedy);
        }
        Ok(())
    }

    fn networks(&self, sizes: &Sizes) -> Result<(), String> {
        let (step, curvature) = (&sizes.step, &sizes.curvature);
        for (name, widths, batch) in
            [("step", &step.widths, step.batch), ("curvature", &curvature.widths, curvature.batch)]
        {
            let field = format!("{name}.widths");
            if widths.len() < 2 {
                let remedy = "give at least two, of the inputs and of the outputs";
                return wrong(&field, format_args!("{widths:?}"), remedy);
            }
            for (k, width) in widths.iter().enumerate() {
                self.width(&format!("{field}[{k}]"), *width)?;
            }
            let field = format!("{name}.batch");
            self.count(&field, batch)?;
            if batch > SAMPLES {
                let remedy = format!("give {SAMPLES}, the samples of the data set, or less");
                return wrong(&field, batch, remedy);
            }
            self.fits(&format!("{name}.widths"), &[SAMPLES, widths[0]])?;
            for pair in widths.windows(2) {
                self.fits(&format!("{name}.widths"), &[SLICES, pair[0] + 1, pair[1]])?;
                self.fits(&format!("{name}.batch"), &[SLICES, batch, pair[0] + pair[1]])?;
            }
        }
        for (field, value) in [
            ("step.sgd_over_products", step.sgd_over_products),
            ("step.overhead", step.overhead),
            ("step.sample_over_sgd", step.sample_over_sgd),
            ("curvature.rate", curvature.rate),
            ("curvature.factors", curvature.factors),
            ("curvature.kfac", curvature.kfac),
            ("curvature.type2", curvature.type2),
            ("curvature.kfra", curvature.kfra),
            ("curvature.ekfac", curvature.ekfac),
        ] {
            self.above(field, value)?;
        }
        Ok(())
    }

    fn metrics(&self, sizes: &Sizes) -> Result<(), String> {
        for (k, metric) in sizes.metric.iter().enumerate() {
            self.metric(&format!("metric[{k}]"), metric)?;
        }
        distinct("metric", &sizes.metric.iter().map(size).collect::<Vec<_>>())?;
        self.metric("refresh", &sizes.refresh)?;
        let routes = &sizes.routes;
        let block = Metric {
            neurons: routes.neurons,
            inputs: routes.inputs,
            samples: routes.samples,
            share: 0.0,
            kernel: super::Kernel::Executor,
        };
        self.metric("routes", &block)?;
        self.above("routes.damping", f64::from(routes.damping))?;
        self.share("routes.speedup", routes.speedup)?;
        self.count("response.length", sizes.response.length)?;
        self.fits("response.length", &[SLICES, sizes.response.length])?;
        self.share("response.speedup", sizes.response.speedup)?;
        for (k, gram) in sizes.gram.iter().enumerate() {
            let field = format!("gram[{k}]");
            self.width(&format!("{field}.inputs"), gram.inputs)?;
            self.count(&format!("{field}.samples"), gram.samples)?;
            self.share(&format!("{field}.share"), gram.share)?;
            self.fits(&field, &[gram.samples, gram.inputs])?;
            product(&field, &[gram.samples, gram.inputs, gram.inputs + 1])?;
        }
        distinct("gram", &sizes.gram.iter().map(size).collect::<Vec<_>>())
    }

    /// m neurons, d inputs, n samples, and the packed blocks.
    fn metric(&self, field: &str, metric: &Metric) -> Result<(), String> {
        let Metric { neurons: m, inputs: d, samples: n, share, .. } = *metric;
        self.width(&format!("{field}.neurons"), m)?;
        self.width(&format!("{field}.inputs"), d)?;
        self.count(&format!("{field}.samples"), n)?;
        self.share(&format!("{field}.share"), share)?;
        for factors in [[n, d, 1], [n, m, 1], [m, d, d + 1]] {
            self.fits(field, &factors)?;
        }
        product(field, &[m, n, d, d + 1]).map(drop)
    }

    fn widths(&self, sizes: &Sizes) -> Result<(), String> {
        let all = [
            ("nonlinear", &sizes.nonlinear),
            ("softmax", &sizes.softmax),
            ("empirical", &sizes.empirical),
        ];
        for (name, widths) in all {
            self.orders(&format!("{name}.widths"), &widths.widths)?;
            self.count(&format!("{name}.samples"), widths.samples)?;
            // outputs grow with the width where there is no number of them
            for width in &widths.widths {
                let outputs = if name == "softmax" { widths.outputs } else { *width };
                let field = format!("{name}.widths");
                self.fits(&field, &[widths.samples, width + 1])?;
                self.fits(&field, &[widths.samples, outputs])?;
                self.fits(&field, &[2, outputs, width + 1])?;
                product(&field, &[widths.samples, outputs, width + 1, width + 1])?;
            }
        }
        self.width("softmax.outputs", sizes.softmax.outputs)?;
        // the dense matrix is of order outputs · width
        for width in &sizes.softmax.widths {
            let order = sizes.softmax.outputs * (width + 1);
            product("softmax.outputs", &[order, order])?;
        }
        Ok(())
    }

    fn kron(&self, kron: &Kron) -> Result<(), String> {
        self.orders("kron.widths", &kron.widths)?;
        self.orders("kron.spectra", &kron.spectra)?;
        for width in kron.widths.iter().chain(&kron.spectra) {
            self.fits("kron.widths", &[SLICES, width + 1, width + 1])?;
        }
        for (k, product) in kron.products.iter().enumerate() {
            let field = format!("kron.products[{k}]");
            self.width(&format!("{field}.neurons"), product.neurons)?;
            self.width(&format!("{field}.inputs"), product.inputs)?;
            self.share(&format!("{field}.share"), product.share)?;
            let widest = product.neurons.max(product.inputs);
            self.fits(&field, &[SLICES, widest, widest])?;
        }
        distinct("kron.products", &kron.products.iter().map(size).collect::<Vec<_>>())
    }

    fn solve(&self, solve: &Solve) -> Result<(), String> {
        self.share("solve.share", solve.share)?;
        for (k, [m, d, count]) in solve.sizes.iter().enumerate() {
            let field = format!("solve.sizes[{k}]");
            [*m, *d].iter().try_for_each(|width| self.width(&field, *width))?;
            self.count(&field, *count)?;
            self.fits(&field, &[2, *m, *d, *count])?;
            self.fits(&field, &[SLICES, *m.max(d), *m.max(d)])?;
        }
        distinct("solve.sizes", &solve.sizes)
    }

    fn convolution(&self, convolution: &Convolution) -> Result<(), String> {
        self.share("convolution.share", convolution.share)?;
        for (k, [channels, side, kernel, padding, images]) in convolution.sizes.iter().enumerate() {
            let field = format!("convolution.sizes[{k}]");
            [*channels, *side, *kernel].iter().try_for_each(|n| self.width(&field, *n))?;
            self.count(&field, *images)?;
            if *padding >= *kernel {
                let remedy = format!("give a padding below the kernel, {kernel}");
                return wrong(&field, format_args!("padding {padding}"), remedy);
            }
            let padded = side + 2 * padding;
            if *kernel > padded {
                let remedy = format!("give {padded}, the side of a padded image, or less");
                return wrong(&field, format_args!("kernel {kernel}"), remedy);
            }
            let (out, patch) = (padded - kernel + 1, channels * kernel * kernel);
            self.width(&field, patch)?;
            self.fits(&field, &[*images, *channels, *side, *side])?;
            product(&field, &[*images, out, out, patch, patch])?;
        }
        distinct("convolution.sizes", &convolution.sizes)
    }
}

fn size(metric: &Metric) -> [usize; 3] {
    [metric.neurons, metric.inputs, metric.samples]
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

fn wrong<R>(field: &str, value: impl Display, remedy: impl Display) -> Result<R, String> {
    Err(format!("{field}: {value}: {remedy}"))
}

/// The product, where it has an exact number.
fn product(field: &str, factors: &[usize]) -> Result<usize, String> {
    let product = factors.iter().try_fold(1_usize, |all, factor| all.checked_mul(*factor));
    match product.filter(|product| *product <= MOST) {
        Some(product) => Ok(product),
        None => wrong(field, format_args!("{factors:?}"), "more than can be counted: give less"),
    }
}

fn distinct<V: PartialEq + std::fmt::Debug>(field: &str, values: &[V]) -> Result<(), String> {
    match crate::repeated(values) {
        Some((k, value)) => {
            let remedy = "stands twice: remove one";
            wrong(&format!("{field}[{k}]"), format_args!("{value:?}"), remedy)
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::sizes::{Sizes, load};

    #[test]
    fn what_no_study_can_measure_is_refused_by_its_field() {
        type Change = fn(&mut Sizes);
        let cases: [(&str, Change); 28] = [
            ("metric[0].neurons: 0", |s| s.metric[0].neurons = 0),
            ("metric[1].inputs: 0", |s| s.metric[1].inputs = 0),
            ("metric[2].samples: 0", |s| s.metric[2].samples = 0),
            ("metric[0].share: NaN", |s| s.metric[0].share = f64::NAN),
            ("metric[3]: [512, 513, 1024]: stands twice", |s| s.metric.push(s.metric[0])),
            ("softmax.outputs: 0", |s| s.softmax.outputs = 0),
            ("step.widths: [784]", |s| s.step.widths.truncate(1)),
            ("curvature.widths: []", |s| s.curvature.widths.clear()),
            ("curvature.widths[1]: 0", |s| s.curvature.widths[1] = 0),
            ("step.batch: 4001", |s| s.step.batch = 4001),
            ("step.overhead: 0", |s| s.step.overhead = 0.0),
            ("curvature.rate: inf", |s| s.curvature.rate = f64::INFINITY),
            ("kron.widths[0]: 0", |s| s.kron.widths = vec![0]),
            ("kron.widths[0]: 20000", |s| s.kron.widths = vec![20_000]),
            ("kernel 31: give 30", |s| s.convolution.sizes[0] = [64, 28, 31, 1, 32]),
            ("padding 3: give", |s| s.convolution.sizes[0] = [64, 28, 3, 3, 32]),
            ("convolution.share: -1", |s| s.convolution.share = -1.0),
            ("ceiling.order: 0", |s| s.ceiling.order = 0),
            ("ceiling.order: [6, 400000000, 400000000]", |s| s.ceiling.order = 400_000_000),
            ("ceiling.copy: 0", |s| s.ceiling.copy = 0),
            ("factor.orders[0]: 0", |s| s.factor.orders = vec![0]),
            ("launch.orders[1]: 128: stands twice", |s| s.launch.orders = vec![128, 128]),
            ("vectors.lengths[0]: 0", |s| s.vectors.lengths = vec![0]),
            ("vectors.lengths[0]: [6, ", |s| s.vectors.lengths = vec![usize::MAX / 2]),
            ("solve.sizes[0]: 0", |s| s.solve.sizes[0][2] = 0),
            ("gram[0].samples: 0", |s| s.gram[0].samples = 0),
            ("routes.damping: 0", |s| s.routes.damping = 0.0),
            ("batched.decompositions: 0", |s| s.batched.decompositions = 0),
        ];
        let memory = 16 << 30;
        assert_eq!(check(&load(), memory), Ok(()));
        for (words, change) in cases {
            let mut sizes = load();
            change(&mut sizes);
            let problem = check(&sizes, memory).expect_err(words);
            assert!(problem.starts_with(words) || problem.contains(words), "{words}: {problem}");
            assert!(problem.contains("give") || problem.contains("remove"), "{problem}");
        }
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused_before_they_are_made() {
        let problem = check(&load(), 1 << 20).expect_err("no machine is that small");
        assert!(problem.contains("MiB that are free"), "{problem}");
    }
}
