//! Tapes, parameters, derivatives and directions of another network or batch size: errors, no panic.

use relfisher::curvature::{
    Columns, Eigenbasis, FactorScratch, KroneckerFactors, Matrix, Memory, ScaleScratch, Site,
    blocks, ekfac, kronecker_factors, kronecker_step, layer_summary, natural_gradients,
};
use relfisher::network::{
    Cotangents, Curvature, Mode, OutputCurvature, Parameters, Tangents, Targets,
};
use relfisher_core::curvature::Sharing;
use relfisher_core::kron::Damping;
use relfisher_core::{MatMut, MatRef};
use relfisher_tests::problem::{LOSSES, Loaded, Problem, ZOO};

const MEMORY: Memory = Memory { limit: 1 << 30 };

fn zoo() -> Vec<Loaded<f64>> {
    (0..ZOO.len()).map(|i| Problem::of_zoo(i, LOSSES[i % 4]).load(1)).collect()
}

/// Everything that takes a tape of `of`, asked of the network of `by`: how many calls were refused.
fn refusals(by: &Loaded<f64>, of: &Loaded<f64>) -> usize {
    let (network, exec) = (&by.network, &by.exec);
    let mut tape = of.forward(Mode::Inference);
    let n = tape.batch();
    let count = network.parameter_count();
    let direction = vec![0.5; count];
    let mut product = vec![0.0; count];
    let mut tangents = Tangents::new(network, n);
    let mut one = Cotangents::new(network, n, 1);
    let mut two = Cotangents::new(network, n, 2);
    let root = vec![0.0; n * network.outputs() * network.outputs()];
    let root = MatRef::new(&root, n, network.outputs() * network.outputs()).unwrap();
    let mut state = OutputCurvature::default();
    let mut visit = |_: usize, _: &[f64]| Ok(());
    let parameters = &by.parameters;
    let mut refused = vec![
        network.push_forward(exec, parameters, &tape, &direction, &mut tangents).is_err(),
        network.pull_back(exec, parameters, &tape, &mut one, Some(&mut product)).is_err(),
        network
            .hessian_product(
                exec,
                parameters,
                (&tape, &tangents),
                &direction,
                &mut two,
                &mut product,
            )
            .is_err(),
        network
            .output_curvature(
                exec,
                (parameters, &tape),
                (Curvature::Hessian, root),
                &mut state,
                &mut visit,
            )
            .is_err(),
        network
            .averaged_curvature(
                exec,
                (parameters, &tape),
                &vec![0.0; network.outputs() * network.outputs()],
                &mut state,
                &mut visit,
            )
            .is_err(),
        Columns::Type2.fill(exec, network, (&mut tape, 0), &mut one).is_err(),
        network.backward(exec, parameters, &mut tape, Some(&mut product)).is_err(),
        network.loss(exec, &mut tape, &by.targets()).is_err(),
        network.forward(exec, parameters, Mode::Inference, &mut tape).is_err(),
    ];
    for (block, shape) in network.blocks().iter().enumerate() {
        let site = Site { network, tape: &tape, block };
        let mut a = vec![0.0; shape.cols * shape.cols];
        let out = (&mut a[..], (0.0, 1.0));
        let scratch = &mut FactorScratch::default();
        refused.push(site.input_factor(exec, out, Sharing::Expand, scratch).is_err());
    }
    refused.iter().filter(|r| **r).count()
}

#[test]
fn tapes_of_another_network_are_refused() {
    let all = zoo();
    for (i, by) in all.iter().enumerate() {
        for (j, of) in all.iter().enumerate().filter(|(j, _)| *j != i) {
            let same = ZOO[i].0 == ZOO[j].0 && by.network.blocks() == of.network.blocks();
            // A network that differs in its activations only may read the same tape.
            assert!(same || refusals(by, of) >= 1, "{:?} and {:?}", ZOO[i], ZOO[j]);
            let parameters = &of.parameters;
            let lengths = |p: &Parameters<f64>| (p.values.len(), p.buffers.len());
            if lengths(parameters) != lengths(&by.parameters) {
                let mut tape = by.forward(Mode::Inference);
                let network = &by.network;
                assert!(network.forward(&by.exec, parameters, Mode::Inference, &mut tape).is_err());
            }
        }
    }
}

#[test]
fn derivatives_of_another_network_or_batch_are_refused() {
    let all = zoo();
    for (i, by) in all.iter().enumerate() {
        let (network, exec, parameters) = (&by.network, &by.exec, &by.parameters);
        let mut tape = by.forward(Mode::Inference);
        let (n, count) = (tape.batch(), network.parameter_count());
        let (direction, mut product) = (vec![0.5; count], vec![0.0; count]);
        let fitting = Tangents::new(network, n);
        for (j, of) in all.iter().enumerate() {
            // Too little room for the batch, in the same network.
            let capacity = if i == j { n - 1 } else { n };
            let mut one = Cotangents::new(&of.network, capacity, 1);
            let mut two = Cotangents::new(&of.network, capacity, 2);
            let mut tangents = Tangents::new(&of.network, capacity);
            let pulled = network.pull_back(exec, parameters, &tape, &mut one, None);
            let filled = Columns::Type2.fill(exec, network, (&mut tape, 0), &mut one);
            let pushed = network.push_forward(exec, parameters, &tape, &direction, &mut tangents);
            let values = (&tape, &fitting);
            let hessian = network.hessian_product(
                exec,
                parameters,
                values,
                &direction,
                &mut two,
                &mut product,
            );
            if i == j {
                let errors = [pulled, filled, pushed, hessian];
                assert!(errors.iter().all(Result::is_err), "{:?}: {errors:?}", ZOO[i]);
            }
        }
        for length in [0, count - 1, count + 1] {
            let wrong = vec![0.5; length];
            let mut tangents = Tangents::new(network, n);
            let pushed = network.push_forward(exec, parameters, &tape, &wrong, &mut tangents);
            assert!(pushed.is_err());
            let mut wrong = vec![0.0; length];
            let mut one = Cotangents::new(network, n, 1);
            let pulled = network.pull_back(exec, parameters, &tape, &mut one, Some(&mut wrong));
            assert!(pulled.is_err());
        }
    }
}

#[test]
fn curvature_of_wrong_lengths_is_refused() {
    for by in zoo() {
        let problem = by.problem(2);
        let (network, exec) = (problem.network, problem.executor);
        let count = network.parameter_count();
        let short = vec![0.0; count - 1];
        for matrix in [Matrix::Ggn, Matrix::EmpiricalFisher] {
            assert!(natural_gradients(&problem, matrix, &short, &[1.0], MEMORY).is_err());
        }
        let outside = [network.blocks().len()];
        assert!(blocks(&problem, Matrix::Ggn, &outside, MEMORY).is_err());
        let factors = kronecker_factors(&problem, Columns::Type2, Sharing::Expand).unwrap();
        assert!(ekfac(&problem, Columns::Type2, &factors[1..]).is_err());
        let tape = by.forward(Mode::Inference);
        for (b, block) in network.blocks().iter().enumerate() {
            let Some(own) = &factors[b] else { continue };
            let cut = |x: &[f64]| x[1..].to_vec();
            let wrong = KroneckerFactors { a: cut(&own.a), g: own.g.clone() };
            let v = vec![1.0; block.len()];
            assert!(kronecker_step(exec, block, &wrong, &v, (Damping::Exact, 1.0)).is_err());
            assert!(kronecker_step(exec, block, own, &v[1..], (Damping::Pi, 1.0)).is_err());
            assert!(Eigenbasis::new(exec, block, &wrong).is_err());
            assert!(layer_summary(exec, block, &wrong).is_err());
            let scratch = &mut FactorScratch::default();
            let site = Site { network, tape: &tape, block: b };
            let mut room = vec![0.0; block.cols * block.cols - 1];
            let out = (&mut room[..], (0.0, 1.0));
            assert!(site.input_factor(exec, out, Sharing::Reduce, scratch).is_err());
            let site = Site { block: network.blocks().len(), ..site };
            let mut room = vec![0.0; block.cols * block.cols];
            let out = (&mut room[..], (0.0, 1.0));
            assert!(site.input_factor(exec, out, Sharing::Expand, scratch).is_err());
            let mut basis = Eigenbasis::zeros(block.rows, block.cols);
            let delta = MatRef::new(&[], 0, block.rows).unwrap();
            let scratch = &mut ScaleScratch::default();
            assert!(basis.measure(exec, site, delta, (0.0, 1.0), scratch).is_err());
        }
        // Targets of another number of samples.
        let classes = vec![0; problem.samples() - 1];
        let values = vec![0.0; classes.len() * network.outputs()];
        let values = MatRef::new(&values, classes.len(), network.outputs()).unwrap();
        for targets in [Targets::Classes(&classes), Targets::Values(values)] {
            let wrong = relfisher::curvature::Problem { targets: Some(targets), ..problem };
            assert!(wrong.evaluate().is_err());
        }
        let mut deltas = vec![0.0; tape.batch()];
        let deltas = MatMut::new(&mut deltas, tape.batch(), 1);
        if network.outputs() > 1 {
            let mut rng = relfisher::random::stream(1, 2, "labels");
            assert!(network.draw_output_deltas(&tape, deltas.unwrap(), &mut rng).is_err());
        }
    }
}
