//! Embeddings of samples against gradients by dual numbers, a sort, and the definition of the metric.

use relfisher::Scalar;
use relfisher::curvature::Memory;
use relfisher::embedding::{
    Embedding, Request, SparseRows, Target, embed, fit_metric, needs, normalise_rows,
};
use relfisher::network::{Loss, Network};
use relfisher_core::sparse::QuasiMean;
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::assert_close;
use relfisher_tests::oracle::curvature::gradients;
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::oracle::network::Labels;
use relfisher_tests::problem::{LOSSES, Problem, network};
use relfisher_tests::tolerance::Oracle::{Dual, Sibling};

/// Networks whose gradients have no two entries of one magnitude but zero.
const NETS: [(&[usize], &str); 5] = [
    (&[4], "L5 tanh L3"),
    (&[4], "L6 relu L5 relu L3"),
    (&[3], "L4 B sigmoid L3"),
    (&[1, 5, 5], "C2:k3 tanh M:k2,s1 flat L3"),
    (&[4, 3], "L3 tanh L2 flat L3"),
];

const MEANS: [QuasiMean; 5] = [
    QuasiMean::Arithmetic,
    QuasiMean::Geometric,
    QuasiMean::Harmonic,
    QuasiMean::Power(0.5),
    QuasiMean::Power(-1.5),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Given,
    Uniform,
    EachClass,
}

fn request<T: Scalar>(
    p: &relfisher::curvature::Problem<'_, T>,
    which: Which,
    (fraction, mean, damping): (f64, QuasiMean, f64),
) -> Embedding<T> {
    let target = match which {
        Which::Given => Target::Given(p.targets.unwrap()),
        Which::Uniform => Target::Uniform,
        Which::EachClass => Target::EachClass,
    };
    let memory = Memory { limit: 1 << 30 };
    let request = Request { target, fraction, mean, damping, kernel: true, joint: false, memory };
    embed(p, &request).unwrap()
}

/// The gradient of every row by dual numbers.
fn dense_rows(p: &Problem, which: Which) -> Vec<Vec<f64>> {
    let (n, c) = (p.samples, p.architecture.outputs());
    let with = |labels: Labels| gradients(&Problem { labels, ..p.clone() });
    let halves = |a: Vec<Vec<f64>>, b: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
        let mean = |(x, y): (&f64, &f64)| 0.5 * (x + y);
        a.iter().zip(&b).map(|(a, b)| a.iter().zip(b).map(mean).collect()).collect()
    };
    let each: Vec<Vec<Vec<f64>>> = match (which, p.architecture.loss) {
        (Which::Given, _) => return gradients(p),
        (Which::Uniform, Loss::BinaryCrossEntropy) => {
            let [off, on] = [0.0, 1.0].map(|y| with(Labels::Values(vec![y; n * c])));
            return halves(off, on);
        }
        _ => (0..c).map(|class| with(Labels::Classes(vec![class; n]))).collect(),
    };
    if which == Which::EachClass {
        return (0..n * c).map(|row| each[row % c][row / c].clone()).collect();
    }
    // The loss is linear in the target: the mean over the classes.
    (0..n)
        .map(|s| {
            let sum = |k: usize| each.iter().map(|rows| rows[s][k]).sum::<f64>() / c as f64;
            (0..each[0][s].len()).map(sum).collect()
        })
        .collect()
}

/// What remains of a row: the ⌈q·D⌉ largest of each layer.
fn cut(row: &[f64], network: &Network<f64>, fraction: f64) -> Vec<f64> {
    let mut kept = vec![0.0; row.len()];
    for block in network.blocks() {
        let mut order: Vec<usize> = block.range().collect();
        order.sort_by(|a, b| row[*b].abs().total_cmp(&row[*a].abs()).then(a.cmp(b)));
        order.truncate((fraction * block.len() as f64).ceil() as usize);
        for k in order {
            kept[k] = row[k];
        }
    }
    kept
}

/// g_j by the definition.
fn metric(rows: &[Vec<f64>], j: usize, mean: QuasiMean) -> f64 {
    let squares: Vec<f64> = rows.iter().map(|row| row[j] * row[j]).collect();
    let kept: Vec<f64> = squares.iter().copied().filter(|h| *h > 0.0).collect();
    let average = |x: Vec<f64>| x.iter().sum::<f64>() / x.len() as f64;
    let power = |x: Vec<f64>, p: f64| average(x.iter().map(|h| h.powf(p)).collect()).powf(1.0 / p);
    match mean {
        _ if kept.is_empty() => 0.0,
        QuasiMean::Arithmetic => average(squares),
        QuasiMean::Geometric => average(kept.iter().map(|h| h.ln()).collect()).exp(),
        QuasiMean::Harmonic => power(kept, -1.0),
        QuasiMean::Power(p) => power(if p > 0.0 { squares } else { kept }, p),
    }
}

fn embeddings_are_their_definition<T: Scalar>() {
    let single = size_of::<T>() == 4;
    for (k, (shape, words)) in NETS.into_iter().enumerate() {
        for loss in LOSSES {
            let p = Problem::new(words, network(shape, words, loss), 5, 40 + k as u64);
            let net = Network::<f64>::from_architecture(&p.architecture).unwrap();
            let loaded = p.load::<T>(1);
            let softmax = loss == Loss::SoftmaxCrossEntropy;
            for which in [Which::Given, Which::Uniform, Which::EachClass] {
                match which {
                    Which::Uniform if matches!(loss, Loss::Mse { .. }) => continue,
                    Which::EachClass if !softmax => continue,
                    _ => {}
                }
                let rows = dense_rows(&p, which);
                // In single precision rounding may decide which of two near entries is larger.
                let fractions: &[f64] = if single { &[1.0] } else { &[0.1, 0.45, 1.0] };
                for (i, fraction) in fractions.iter().enumerate() {
                    let mean = MEANS[(k + i) % MEANS.len()];
                    let damping = [1e-3, 0.0, 0.2][(k + 2 * i) % 3];
                    let label = format!("{words} {loss:?} {which:?} {fraction} {mean:?} {damping}");
                    let got = request(&loaded.problem(2), which, (*fraction, mean, damping));
                    let u: Vec<Vec<f64>> = rows.iter().map(|r| cut(r, &net, *fraction)).collect();
                    let g: Vec<f64> = (0..u[0].len()).map(|j| metric(&u, j, mean)).collect();
                    assert_eq!(got.rows.rows(), u.len(), "{label}");
                    let mut psi = Matrix::zeros(u.len(), g.len());
                    for (s, row) in u.iter().enumerate() {
                        let support: Vec<u32> =
                            (0..row.len()).filter(|j| row[*j] != 0.0).map(|j| j as u32).collect();
                        let (indices, values) = got.rows.row(s);
                        assert_eq!(indices, support, "{label} row {s}");
                        let want: Vec<f64> = support
                            .iter()
                            .map(|j| row[*j as usize] / (g[*j as usize] + damping).sqrt())
                            .collect();
                        for (j, x) in support.iter().zip(&want) {
                            psi.data[s * g.len() + *j as usize] = *x;
                        }
                        assert_close(&label, values, &want, "embedding", Dual, 1);
                    }
                    let kernel = psi.times(&psi.t());
                    let got = got.kernel.unwrap();
                    assert_close(&label, &got, &kernel.data, "embedding kernel", Dual, 1);
                    let n = u.len();
                    for s in 0..n {
                        for t in 0..s {
                            assert_eq!(got[s * n + t], got[t * n + s], "{label}: symmetric");
                        }
                    }
                    let typed = Matrix::new(n, n, got.iter().map(|x| x.to_f64()).collect());
                    let (values, _) = typed.eigh();
                    let floor = -1e3 * T::EPSILON.to_f64() * typed.trace();
                    assert!(values.iter().all(|v| *v >= floor), "{label}: {values:?}");
                }
            }
        }
    }
}

both_dtypes!(embeddings_are_their_definition, the_joint_metric_is_its_definition);

/// The arithmetic metric off the diagonal, against the sums over pairs of dense gradients.
fn the_joint_metric_is_its_definition<T: Scalar>() {
    let p = Problem::new("joint", network(&[4], "L5 tanh L3", LOSSES[0]), 6, 3);
    let (loaded, net) =
        (p.load::<T>(2), Network::<f64>::from_architecture(&p.architecture).unwrap());
    let problem = loaded.problem(4);
    let fraction = if size_of::<T>() == 4 { 1.0 } else { 0.2 };
    let request = Request {
        target: Target::Given(problem.targets.unwrap()),
        fraction,
        mean: QuasiMean::Arithmetic,
        damping: 0.0,
        kernel: false,
        joint: true,
        memory: Memory { limit: 1 << 30 },
    };
    let embedding = embed(&problem, &request).unwrap();
    let joint = embedding.joint.unwrap();
    let u: Vec<Vec<f64>> =
        dense_rows(&p, Which::Given).iter().map(|row| cut(row, &net, fraction)).collect();
    let d = u[0].len();
    assert_eq!(joint.rows(), d);
    let (mut want, mut diagonal) = (Vec::new(), Vec::new());
    for j in 0..d {
        let together = |k: &usize| u.iter().any(|u| u[j] != 0.0 && u[*k] != 0.0);
        let columns: Vec<usize> = (0..d).filter(together).collect();
        let kept: Vec<u32> = columns.iter().map(|k| *k as u32).collect();
        assert_eq!(joint.row(j).0, kept, "row {j}");
        let mean = |k: &usize| u.iter().map(|u| u[j] * u[*k]).sum::<f64>() / u.len() as f64;
        want.extend(columns.iter().map(mean));
        let at = kept.iter().position(|k| *k == j as u32);
        diagonal.push(at.map_or(0.0, |at| joint.row(j).1[at].to_f64().sqrt()));
    }
    assert!(want.len() < d * d || fraction == 1.0, "some pairs are never together");
    assert_close("joint metric", &joint.values, &want, "embedding", Dual, 1);
    // the metric of the rows is kept in f64; its twin here was rounded to T
    let root: Vec<T> = embedding.root_metric.iter().map(|root| T::from_f64(*root)).collect();
    assert_close("its diagonal", &root, &diagonal, "embedding kernel", Dual, 1);
    let geometric = Request { mean: QuasiMean::Geometric, ..request };
    let error = embed(&problem, &geometric).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("--joint"), "{error}");
    let entries = joint.values.len() as u64 * (4 + 8 + size_of::<T>() as u64);
    let least = needs(&problem, &Request { memory: Memory { limit: 0 }, ..request }).unwrap();
    let fitting = Memory { limit: least.total() - least.batch + entries };
    assert!(embed(&problem, &Request { memory: fitting, ..request }).is_ok());
    let tight = Memory { limit: fitting.limit - 1 };
    let error = embed(&problem, &Request { memory: tight, ..request }).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("joint support"), "{error}");
}

/// Threads change no bit; batches none but the last ones.
#[test]
fn batches_and_threads_do_not_matter() {
    let p = Problem::new("bits", network(&[1, 5, 5], NETS[3].1, LOSSES[0]), 11, 7);
    let options = (0.3, QuasiMean::Geometric, 1e-6);
    let run = |threads: usize, chunk: usize| {
        request(&p.load::<f64>(threads).problem(chunk), Which::EachClass, options)
    };
    let whole = run(1, 64);
    for chunk in [64, 4, 1] {
        let (one, two) = (run(1, chunk), run(2, chunk));
        assert!(one == two, "{chunk} samples a batch: threads change bits");
        assert_eq!(one.rows.starts, whole.rows.starts);
        assert_eq!(one.rows.indices, whole.rows.indices);
        assert_close("batches", &one.rows.values, &whole.rows.values, "embedding", Sibling, 1);
    }
}

/// A sample that is fitted exactly has no gradient: an empty row, zeros in the kernel.
#[test]
fn a_gradient_of_zeros_is_an_empty_row() {
    let mut p = Problem::new("zero", network(&[2], "L2", Loss::Mse { scale: 1.0 }), 3, 8);
    let outputs = p.naive_outputs::<f64>(&p.parameters.values, relfisher::network::Mode::Inference);
    let Labels::Values(values) = &mut p.labels else { unreachable!() };
    p.parameters.values.fill(0.0);
    values[2..4].fill(0.0);
    assert_eq!(outputs.len(), 3);
    for mean in MEANS {
        let got = request(&p.load::<f64>(1).problem(8), Which::Given, (1.0, mean, 0.0));
        assert!(got.rows.row(1).0.is_empty() && !got.rows.row(0).0.is_empty());
        let kernel = got.kernel.unwrap();
        assert_eq!(kernel[3..6], [0.0; 3]);
        assert!(kernel.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn requests_that_cannot_be_met_say_why() {
    // So many that the kernel takes more than all the rest.
    let softmax = Problem::new("bad", network(&[4], "L5 tanh L3", LOSSES[0]), 60, 3);
    let squares = Problem::new("bad", network(&[4], "L5 tanh L3", LOSSES[1]), 6, 3);
    let (one, two) = (softmax.load::<f64>(1), squares.load::<f64>(1));
    let (one, two) = (one.problem(4), two.problem(4));
    let good = Request {
        target: Target::Given(one.targets.unwrap()),
        fraction: 0.5,
        mean: QuasiMean::Arithmetic,
        damping: 0.0,
        kernel: false,
        joint: false,
        memory: Memory { limit: 1 << 30 },
    };
    let refused = |p, request: Request<'_, f64>, parts: &[&str]| {
        let error = embed(p, &request).unwrap_err();
        let line = error.to_string();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {line}");
    };
    for fraction in [0.0, -1.0, 1.5, f64::NAN] {
        refused(&one, Request { fraction, ..good }, &["--fraction"]);
    }
    for damping in [-1e-9, f64::NAN, f64::INFINITY] {
        refused(&one, Request { damping, ..good }, &["--damping"]);
    }
    refused(&one, Request { mean: QuasiMean::Power(f64::INFINITY), ..good }, &["--metric"]);
    refused(&two, Request { target: Target::Uniform, ..good }, &["--target", "uniform"]);
    refused(&two, Request { target: Target::EachClass, ..good }, &["--target", "class"]);
    // With batches of one sample.
    let least = |request: Request<'_, f64>| {
        needs(&one, &Request { memory: Memory { limit: 0 }, ..request }).unwrap()
    };
    let needed = least(good).total();
    let memory = Memory { limit: needed - 1 };
    refused(&one, Request { memory, ..good }, &["embedding", &needed.to_string(), "--fraction"]);
    assert!(embed(&one, &Request { memory: Memory { limit: needed }, ..good }).is_ok());
    // Off the diagonal: what is offered fits, before the gradients are known and after.
    let joint = Request { joint: true, ..good };
    for limit in [1, least(joint).total()] {
        let line =
            embed(&one, &Request { memory: Memory { limit }, ..joint }).unwrap_err().to_string();
        let words = if limit == 1 { "give --memory " } else { "or give " };
        let offered = line.split(words).nth(1).and_then(|rest| rest.split([',', ' ']).next());
        let offered: f64 = offered.and_then(|number| number.parse().ok()).expect("an offer");
        let gibibytes = (offered * f64::from(1 << 30)) as u64;
        let limit = if limit == 1 { gibibytes } else { limit + gibibytes };
        assert!(embed(&one, &Request { memory: Memory { limit }, ..joint }).is_ok(), "{line}");
    }
    let kernel = Request { kernel: true, joint: false, ..good };
    let memory = Memory { limit: least(kernel).kernel - 1 };
    refused(&one, Request { memory, ..kernel }, &["kernel", "--kernel"]);
}

/// The memory limit makes batches smaller, changes no entry, and a refusal names what fits.
#[test]
fn a_memory_limit_is_kept_and_its_remedy_holds() {
    let p = Problem::new("limit", network(&[1, 5, 5], NETS[3].1, LOSSES[0]), 40, 7);
    let (data, few) = (p.load::<f64>(2), |n: usize| {
        Problem::new("limit", network(&[1, 5, 5], NETS[3].1, LOSSES[0]), n, 7).load::<f64>(2)
    });
    let problem = data.problem(64);
    let wide = Request {
        target: Target::EachClass,
        fraction: 0.5,
        mean: QuasiMean::Arithmetic,
        damping: 0.0,
        kernel: false,
        joint: false,
        memory: Memory { limit: 1 << 30 },
    };
    let whole = embed(&problem, &wide).unwrap();
    let least = needs(&problem, &Request { memory: Memory { limit: 0 }, ..wide }).unwrap();
    for extra in [0, least.batch, 5 * least.batch] {
        let narrow = Request { memory: Memory { limit: least.total() + extra }, ..wide };
        let bound = needs(&problem, &narrow).unwrap();
        assert!(bound.total() <= narrow.memory.limit && bound.batch <= least.batch + extra);
        assert!(bound.batch > extra.min(4 * least.batch), "the room is used: {bound:?}");
        let got = embed(&problem, &narrow).unwrap();
        assert_eq!(got.rows.starts, whole.rows.starts);
        assert_eq!(got.rows.indices, whole.rows.indices);
        assert_close("limit", &got.rows.values, &whole.rows.values, "embedding", Sibling, 1);
    }
    // What the refusal says fits, does.
    let tight = Request { memory: Memory { limit: least.total() * 2 / 3 }, ..wide };
    let line = embed(&problem, &tight).unwrap_err().to_string();
    let after = |words: &str| -> String {
        let (_, rest) = line.split_once(words).unwrap_or_else(|| panic!("{words}: {line}"));
        rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
    };
    let fraction: f64 = after("--fraction of ").parse().unwrap();
    assert!(fraction > 0.0 && fraction < wide.fraction, "{line}");
    assert!(embed(&problem, &Request { fraction, ..tight }).is_ok(), "{line}");
    let samples: usize = after("at most ").parse().unwrap();
    assert!((1..40).contains(&samples), "{line}");
    assert!(embed(&few(samples).problem(64), &tight).is_ok(), "{line}");
    assert!(embed(&few(samples + 1).problem(64), &tight).is_err(), "{line}");
    // Without the bound of the worst case, the rows themselves are counted.
    let rows = Memory { limit: 12 * whole.rows.values.len() as u64 };
    let raw = relfisher::embedding::gradients(&problem, &Request { memory: rows, ..wide }).unwrap();
    assert_eq!(raw.indices, whole.rows.indices);
    let short = Memory { limit: rows.limit - 1 };
    let error =
        relfisher::embedding::gradients(&problem, &Request { memory: short, ..wide }).unwrap_err();
    assert!(error.to_string().contains("sample 39"), "{error}");
    assert_eq!(error.exit_code(), 2);
}

/// A metric of some samples, others embedded in it: entries that the first never keep are dropped.
#[test]
fn a_metric_embeds_samples_that_it_was_not_fitted_on() {
    let rows = |starts: &[usize], indices: &[u32], values: &[f64]| SparseRows {
        starts: starts.to_vec(),
        indices: indices.to_vec(),
        values: values.to_vec(),
    };
    let known = rows(&[0, 2, 3], &[0, 2, 0], &[3.0, -2.0, 1.0]);
    let root = fit_metric(4, &known, QuasiMean::Arithmetic).unwrap();
    let want = [5.0_f64.sqrt(), 0.0, 2.0_f64.sqrt(), 0.0];
    assert_close("metric", &root, &want, "embedding", Sibling, 1);
    let mut others = rows(&[0, 3, 3, 5], &[0, 1, 2, 1, 3], &[5.0, 9.0, 4.0, 9.0, 9.0]);
    let error = normalise_rows(&mut others.clone(), &root, 0.0).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    others.retain(|index| root[index as usize] > 0.0);
    normalise_rows(&mut others, &root, 4.0).unwrap();
    assert_eq!((&others.starts[..], &others.indices[..]), (&[0, 2, 2, 2][..], &[0, 2][..]));
    let want = [5.0 / 3.0, 4.0 / 6.0_f64.sqrt()];
    assert_close("others", &others.values, &want, "embedding", Sibling, 1);
    others.scale_to_unit_length();
    let length: f64 = others.values.iter().map(|x| x * x).sum();
    assert_close("length", &[length], &[1.0], "embedding", Sibling, 1);
    let mut extreme = rows(&[0, 2, 3, 3], &[0, 1, 0], &[3e200, 4e200, -2e-320]);
    extreme.scale_to_unit_length();
    assert_close("extreme", &extreme.values, &[0.6, 0.8, -1.0], "embedding", Sibling, 1);
}

/// The gradients of a sample side by side.
#[test]
fn rows_are_joined_side_by_side() {
    let rows = SparseRows {
        starts: vec![0, 2, 2, 3, 5],
        indices: vec![0, 3, 1, 2, 3],
        values: vec![1.0, 2.0, 3.0, 4.0, 5.0],
    };
    let mut joined = rows.clone();
    joined.join(2, 4).unwrap();
    assert_eq!((&joined.starts[..], &joined.values), (&[0, 2, 5][..], &rows.values));
    assert_eq!(joined.indices, [0, 3, 1, 6, 7]);
    let mut alone = rows.clone();
    alone.join(1, 4).unwrap();
    assert_eq!(alone, rows);
    for (columns, parameters) in [(0, 4), (3, 4), (2, 1 << 31)] {
        let error = rows.clone().join(columns, parameters).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}

/// Powers far from 0 and next to it are what they should be; one that leaves the range of numbers, and
/// a mean that vanishes, say so.
#[test]
fn metrics_beyond_the_range_of_numbers_are_refused() {
    let p = Problem::new("range", network(&[4], "L5 tanh L3", LOSSES[0]), 6, 3);
    let loaded = p.load::<f64>(1);
    let problem = loaded.problem(4);
    let run = |power: f64, fraction: f64, damping: f64| {
        let request = Request {
            target: Target::Given(problem.targets.unwrap()),
            fraction,
            mean: QuasiMean::Power(power),
            damping,
            kernel: false,
            joint: false,
            memory: Memory { limit: 1 << 30 },
        };
        embed(&problem, &request)
    };
    let dense = dense_rows(&p, Which::Given);
    let near = [1e-300, 1e-17, 1e-14, 1e-12].into_iter().flat_map(|p: f64| [p, -p]);
    let far = [-f64::MAX, -1e300, -1e15, -1e3, 1e3, 1e15, 1e300, f64::MAX];
    let geometric = run(0.0, 1.0, 0.0).unwrap().root_metric;
    for power in far.into_iter().chain(near) {
        let root = run(power, 1.0, 0.0).unwrap().root_metric;
        for (j, g) in root.iter().enumerate() {
            // Every mean lies between the extremes.
            let all = || dense.iter().map(|row| row[j].abs());
            let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
            assert!(
                *g >= low * (1.0 - 1e-3) && *g <= high * (1.0 + 1e-3),
                "{power}: {low} {g} {high}"
            );
        }
        if power.abs() < 1e-13 {
            // No further from the limit than p/2 times a variance of logarithms.
            assert_close(&format!("{power}"), &root, &geometric, "embedding", Dual, 1);
        }
        if power.abs() >= 1e15 {
            // The limits: the largest and the smallest.
            let extreme = |j: usize| {
                let all = dense.iter().map(|row| row[j].abs());
                if power > 0.0 {
                    all.fold(0.0, f64::max)
                } else {
                    all.fold(f64::INFINITY, f64::min)
                }
            };
            let want: Vec<f64> = (0..root.len()).map(extreme).collect();
            assert_close(&format!("{power}"), &root, &want, "embedding", Dual, 1);
        }
    }
    // Few samples keep an entry, and the mean is over all: (1/6)^10000.
    let error = run(1e-4, 0.05, 0.0).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    let line = error.to_string();
    assert!(line.contains("power of moderate size") && !line.contains("f64"), "{line}");
    assert!(run(1e-4, 0.05, 1e-3).is_ok(), "a damping helps where the mean vanishes");
}
