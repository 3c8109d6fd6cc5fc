//! Exact Gauss–Newton steps against the dense matrix made of Jacobians by dual numbers.

use relfisher::Scalar;
use relfisher::curvature::Memory;
use relfisher::network::{Loss, Network, Normalisation};
use relfisher::optimizer::{
    GgnBlock, GgnBlockConfig, GgnRecycled, GgnRecycledConfig, OptimizerConfig, Preconditioner,
};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, to_f64};
use relfisher_tests::oracle::curvature::gauss_newton;
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::problem::{LOSSES, Problem, ZOO};
use relfisher_tests::tolerance::Oracle::Definition;

use crate::lab::RELU;
use crate::trial::{Trial, block_of, damped_solve};

const LAMBDA: f64 = 0.1;

fn steps_equal_dense_solves<T: Scalar>() {
    for i in 0..ZOO.len() {
        for loss in LOSSES {
            let p = Problem::of_zoo(i, loss);
            let mut trial = Trial::<T>::new(&p);
            let (whole, gradient) = (gauss_newton(&p), to_f64(&trial.gradient));
            let got = trial.preconditioned(&format!("kind = 'ggn-sample'\ndamping = {LAMBDA}"));
            let want = damped_solve(&whole, LAMBDA, &gradient);
            assert_close(&p.label, &got, &want, "ggn-sample step", Definition, 1);
            let got = trial.preconditioned(&format!("kind = 'ggn-block'\ndamping = {LAMBDA}"));
            let blocks = trial.loaded.network.blocks().iter();
            let want: Vec<f64> = blocks
                .flat_map(|b| {
                    damped_solve(&block_of(&whole, b.range()), LAMBDA, &gradient[b.range()])
                })
                .collect();
            assert_close(&p.label, &got, &want, "ggn-block step", Definition, 1);
        }
    }
}

/// Mini-batches of another size, and a damping set from outside, enter at the next update.
fn sample_space_follows_batch_and_damping<T: Scalar>() {
    let p = Problem::of_zoo(0, Loss::SoftmaxCrossEntropy);
    let mut curvature =
        Trial::<T>::new(&p).measured(&format!("kind = 'ggn-sample'\ndamping = {LAMBDA}"));
    for (part, lambda) in [(p.sample(1), LAMBDA), (p.clone(), 0.7), (p.sample(2), 2.0)] {
        let mut trial = Trial::<T>::new(&part);
        let stale = to_f64(&[curvature.damping()])[0];
        curvature.update(trial.batch()).unwrap();
        curvature.set_damping(T::from_f64(lambda));
        let whole = gauss_newton(&part);
        let gradient = to_f64(&trial.gradient);
        // λ is part of the factor: the new one waits for the next update.
        let got = trial.apply(&mut *curvature);
        let want = damped_solve(&whole, stale, &gradient);
        assert_close("before", &got, &want, "ggn-sample step", Definition, 1);
        curvature.update(trial.batch()).unwrap();
        let got = trial.apply(&mut *curvature);
        let want = damped_solve(&whole, lambda, &gradient);
        assert_close("after", &got, &want, "ggn-sample step", Definition, 1);
    }
}

/// A recycled space is the top of the dense matrix of its mini-batch, with all of it the exact step.
fn recycled_spaces_are_the_top_of_the_dense_matrix<T: Scalar>() {
    for i in [0, 3, 6] {
        let p = Problem::of_zoo(i, Loss::SoftmaxCrossEntropy);
        let mut trial = Trial::<T>::new(&p);
        let (whole, gradient) = (gauss_newton(&p), to_f64(&trial.gradient));
        let text = |rank| format!("kind = 'ggn-recycled'\ndamping = {LAMBDA}\nrank = {rank}");
        let got = trial.preconditioned(&text(10_000));
        let want = damped_solve(&whole, LAMBDA, &gradient);
        assert_close(&p.label, &got, &want, "ggn-sample step", Definition, 1);
        let (values, vectors) = whole.eigh();
        let (d, rank) = (values.len(), 3);
        let top = (d - rank..d).fold(Matrix::zeros(d, d), |sum, i| {
            let v: Vec<f64> = (0..d).map(|j| vectors.at(j, i)).collect();
            sum.plus(values[i], &Matrix::outer(&v, &v))
        });
        let got = trial.preconditioned(&text(rank));
        let want = damped_solve(&top, LAMBDA, &gradient);
        assert_close(&p.label, &got, &want, "ggn-sample step", Definition, 1);
    }
}

/// Between two refreshes the space is that of the last one, and the damping the present one.
#[test]
fn spaces_are_recycled_between_refreshes() {
    let parts = [0, 1, 2].map(|s| Problem::of_zoo(0, Loss::SoftmaxCrossEntropy).sample(s));
    let network = Network::from_architecture(&parts[0].architecture).unwrap();
    let config =
        GgnRecycledConfig { refresh: 2, rank: 1000, damping: LAMBDA, ..Default::default() };
    let mut curvature = GgnRecycled::<f64>::new(&config, &network);
    for (k, part) in parts.iter().enumerate() {
        let mut trial = Trial::<f64>::new(part);
        curvature.update(trial.batch()).unwrap();
        let lambda = LAMBDA * (1 + k) as f64;
        curvature.set_damping(lambda);
        let want = damped_solve(&gauss_newton(&parts[k / 2 * 2]), lambda, &to_f64(&trial.gradient));
        let got = trial.apply(&mut curvature);
        assert_close("recycled", &got, &want, "ggn-sample step", Definition, 1);
        let (values, _) = curvature.space();
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]), "descending");
    }
}

both_dtypes!(
    steps_equal_dense_solves,
    sample_space_follows_batch_and_damping,
    recycled_spaces_are_the_top_of_the_dense_matrix,
);

/// Blocks are averaged over the refreshes, and kept between them.
#[test]
fn blocks_are_averaged_at_refreshes() {
    let parts = [0, 1, 2, 3, 4].map(|s| Problem::of_zoo(0, Loss::SoftmaxCrossEntropy).sample(s));
    let network = Network::from_architecture(&parts[0].architecture).unwrap();
    let config = GgnBlockConfig { refresh: 2, decay: 0.6, damping: LAMBDA, ..Default::default() };
    let mut curvature = GgnBlock::<f64>::new(&config, &network).unwrap();
    let mut average = gauss_newton(&parts[0]);
    for (k, part) in parts.iter().enumerate() {
        let mut trial = Trial::<f64>::new(part);
        curvature.update(trial.batch()).unwrap();
        let fresh = gauss_newton(part);
        match k {
            2 => average = average.scaled(0.5).plus(0.5, &fresh),
            4 => average = average.scaled(0.6).plus(0.4, &fresh),
            _ => {}
        }
        let step = trial.apply(&mut curvature);
        for (b, block) in network.blocks().iter().enumerate() {
            let own = block_of(&average, block.range());
            let kept = curvature.block(b).unwrap();
            assert_close(&block.name, kept, &own.data, "ggn-block step", Definition, 1);
            let want = damped_solve(&own, LAMBDA, &trial.gradient[block.range()]);
            let got = &step[block.range()];
            assert_close(&block.name, got, &want, "ggn-block step", Definition, 1);
        }
    }
}

#[test]
fn blocks_that_do_not_fit_are_refused_by_layer_and_bytes() {
    let widths = [784, 512, 10];
    let network: Network<f32> =
        Network::mlp(&widths, RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy).unwrap();
    let error = OptimizerConfig::by_name("ggn-block").unwrap().build(&network).map(|_| ());
    let line = error.unwrap_err().to_string();
    // Three squares of 512·785 numbers.
    let bytes = 3 * (512 * 785_u64).pow(2) * 4;
    for part in ["layers.0", &bytes.to_string(), "ekfac"] {
        assert!(line.contains(part), "{line}");
    }
    // The second layer is what no longer fits.
    let widths = [3, 5, 40];
    let network: Network<f64> =
        Network::mlp(&widths, RELU, Normalisation::Plain, Loss::SoftmaxCrossEntropy).unwrap();
    let config = GgnBlockConfig::default();
    let (first, second) = (20_u64 * 20, 240_u64 * 240);
    let needed = 8 * (2 * first + 3 * second);
    assert!(GgnBlock::within(&config, &network, Memory { limit: needed }).is_ok());
    let error = GgnBlock::within(&config, &network, Memory { limit: needed - 1 }).map(|_| ());
    let line = error.unwrap_err().to_string();
    assert!(line.contains("layers.1") && line.contains(&needed.to_string()), "{line}");
}
