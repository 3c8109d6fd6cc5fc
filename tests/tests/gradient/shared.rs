//! Gradients of convolutions, pools, normalised images, sequences, and of odd orders of layers:
//! every network of the zoo.

use relfisher::network::{Loss, Mode, Tape};
use relfisher_tests::compare::{assert_bits_equal, assert_close};
use relfisher_tests::oracle::dual;
use relfisher_tests::problem::{LOSSES, Problem, ZOO, network};
use relfisher_tests::tolerance::Oracle;

use super::run;

const MODES: [Mode; 2] = [Mode::Train, Mode::Inference];

/// Every network of the zoo with every loss.
fn zoo() -> impl Iterator<Item = Problem> {
    (0..ZOO.len()).flat_map(|i| LOSSES.map(|loss| Problem::of_zoo(i, loss)))
}

#[test]
fn gradients_and_outputs_are_those_of_the_naive_network() {
    for p in zoo() {
        for mode in MODES {
            let (run, label) = (run::<f64>(&p, mode, 1), format!("{} {mode:?}", p.label));
            let outputs = p.naive_outputs(&p.parameters.values, mode);
            let got: Vec<f64> =
                (0..p.samples).flat_map(|s| run.tape.logits().row(s).to_vec()).collect();
            assert_close(&label, &got, &outputs.concat(), "gradient", Oracle::Dual, 1);
            let value = p.naive(&p.parameters.values, mode);
            assert_close(&label, &[run.loss], &[value], "gradient", Oracle::Dual, 1);
            let want = dual::gradient(|w| p.naive(w, mode), &p.parameters.values);
            assert_close(&label, &run.gradient, &want, "gradient", Oracle::Dual, 1);
        }
    }
}

#[test]
fn a_batch_of_one() {
    for p in zoo() {
        let p = p.sample(0);
        for mode in MODES {
            let got = run::<f64>(&p, mode, 1).gradient;
            let want = dual::gradient(|w| p.naive(w, mode), &p.parameters.values);
            let label = format!("{} {mode:?}, alone", p.label);
            assert_close(&label, &got, &want, "gradient", Oracle::Dual, 1);
        }
    }
}

#[test]
fn f32_follows_f64() {
    for p in zoo() {
        for mode in MODES {
            let (got, want) = (run::<f32>(&p, mode, 1), run::<f64>(&p, mode, 1));
            let oracle = Oracle::HigherPrecision;
            assert_close(&p.label, &got.gradient, &want.gradient, "gradient", oracle, 1);
            assert_close(&p.label, &[got.loss as f32], &[want.loss], "gradient", oracle, 1);
        }
    }
}

#[test]
fn same_bits_with_one_to_three_threads() {
    let large = [
        (&[3, 17, 16][..], "C8:k3,p1 B leaky M:k3,s2,p1 C12:k3,g4 tanh A:k2 flat L10", 37),
        (&[20, 33], "L40 relu L17 flat L5", 41),
    ];
    let large = large.map(|(shape, words, samples)| {
        Problem::new(words, network(shape, words, Loss::SoftmaxCrossEntropy), samples, 3)
    });
    for p in zoo().chain(large) {
        for mode in MODES {
            let one = run::<f32>(&p, mode, 1);
            for threads in [2, 3] {
                let more = run::<f32>(&p, mode, threads);
                assert_bits_equal(&p.label, &one.gradient, &more.gradient);
                assert_eq!(one.loss.to_bits(), more.loss.to_bits(), "{}", p.label);
            }
        }
    }
}

/// What a tape held before a smaller batch does not count.
#[test]
fn a_used_tape_gives_the_bits_of_a_new_one() {
    for p in zoo().filter(|p| p.samples > 1) {
        for mode in MODES {
            let (all, one) = (p.load::<f64>(1), p.sample(p.samples - 1).load::<f64>(1));
            let gradient = |tape: &mut Tape<f64>, used: bool| {
                if used {
                    tape.gather(all.features(), &(0..p.samples).collect::<Vec<_>>())
                        .and_then(|()| all.network.forward(&all.exec, &all.parameters, mode, tape))
                        .and_then(|()| all.network.loss(&all.exec, tape, &all.targets()))
                        .and_then(|_| all.network.backward(&all.exec, &all.parameters, tape, None))
                        .expect("the whole batch");
                }
                let mut gradient = vec![f64::NAN; one.network.parameter_count()];
                tape.gather(one.features(), &[0])
                    .and_then(|()| one.network.forward(&one.exec, &one.parameters, mode, tape))
                    .and_then(|()| one.network.loss(&one.exec, tape, &one.targets()))
                    .and_then(|_| {
                        let out = Some(&mut gradient[..]);
                        one.network.backward(&one.exec, &one.parameters, tape, out)
                    })
                    .expect("one sample");
                gradient
            };
            let used = gradient(&mut Tape::new(&all.network, p.samples), true);
            let new = gradient(&mut Tape::new(&one.network, 1), false);
            assert_bits_equal(&p.label, &used, &new);
        }
    }
}
