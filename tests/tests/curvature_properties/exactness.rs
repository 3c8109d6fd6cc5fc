//! Regimes in which the Kronecker approximation is no approximation, and layers that are others in
//! disguise.

use relfisher::curvature::{Columns, Matrix, blocks, kfra, kronecker_factors};
use relfisher::network::{BlockKind, Loss};
use relfisher_core::curvature::Sharing;
use relfisher_tests::compare::{assert_bits_equal, assert_close};
use relfisher_tests::problem::{LOSSES, Problem, ZOO, network};
use relfisher_tests::tolerance::Oracle;

use super::{MEMORY, kron, type2, zoo};

/// G ⊗ A of every layer equals its exact block.
fn check_exact(p: &Problem, sharing: Sharing) {
    let loaded = p.load::<f64>(1);
    for (matrix, columns) in [
        (Matrix::Ggn, Columns::Type2),
        (Matrix::EmpiricalFisher, Columns::Labels(loaded.targets())),
    ] {
        if matrix == Matrix::EmpiricalFisher && p.samples > 1 {
            continue;
        }
        let problem = loaded.problem(2);
        let factors = kronecker_factors(&problem, columns, sharing).expect("factors");
        for (b, block) in loaded.network.blocks().iter().enumerate() {
            let Some(factors) = &factors[b] else { continue };
            let exact = blocks(&problem, matrix, &[b], MEMORY).expect("block");
            let got = kron(factors, (block.rows, block.cols)).data;
            let label = format!("{} block {b} {}", p.label, matrix.name());
            assert_close(&label, &got, &exact[0], "factor", Oracle::Sibling, 1);
        }
    }
}

#[test]
fn one_sample_is_a_kronecker_product() {
    for (i, (_, words, _)) in ZOO.iter().enumerate() {
        for loss in LOSSES {
            let p = Problem::of_zoo(i, loss).sample(0);
            let loaded = p.load::<f64>(1);
            let shared = loaded.network.blocks().iter().any(|b| b.positions > 1);
            if !shared && !words.contains(",g") {
                check_exact(&p, Sharing::Expand);
                check_exact(&p, Sharing::Reduce);
            }
        }
    }
}

#[test]
fn deep_linear_networks_with_squares_are_kronecker_products() {
    for (words, samples) in [("L4 L3 L2", 9), ("l4 L3", 3), ("L3 B L2 B", 6)] {
        for scale in [0.5, 1.0] {
            let net = network(&[3], words, Loss::Mse { scale });
            let p = Problem::new(words, net, samples, 17);
            check_exact(&p, Sharing::Expand);
            // And every sample sends the same matrix back: KFRA's average is KFLR's.
            let loaded = p.load::<f64>(1);
            let averaged = kfra(&loaded.problem(2), MEMORY).expect("kfra");
            for (a, b) in type2(&loaded, Sharing::Expand, 2).iter().zip(&averaged) {
                let (Some(a), Some(b)) = (a, b) else { continue };
                assert_close(words, &a.g, &b.g, "factor", Oracle::Sibling, 1);
            }
        }
    }
}

/// A linear network that averages over the positions of its first layer: reducing is exact.
#[test]
fn positions_that_are_averaged_are_a_kronecker_product_by_reduction() {
    for words in ["C3:k2 A:k3 flat L2", "C2:k1 B A:k4 flat L3", "C2:k2,s2 a:k2 flat"] {
        let net = network(&[2, 4, 4], words, Loss::Mse { scale: 0.5 });
        check_exact(&Problem::new(words, net, 5, 23), Sharing::Reduce);
    }
}

#[test]
fn one_sample_makes_kfra_and_kflr_the_same() {
    for p in zoo() {
        let p = p.sample(0);
        let loaded = p.load::<f64>(1);
        let averaged = kfra(&loaded.problem(1), MEMORY).expect("kfra");
        for (a, b) in type2(&loaded, Sharing::Expand, 1).iter().zip(&averaged) {
            let (Some(a), Some(b)) = (a, b) else { continue };
            assert_close(&p.label, &b.g, &a.g, "factor", Oracle::Sibling, 1);
            assert_bits_equal(&p.label, &b.a, &a.a);
        }
    }
}

/// A layer that one position uses: a sequence of one vector, and a convolution of one pixel, are
/// the plain layer, and reducing is expanding.
#[test]
fn layers_with_one_position_are_plain_layers() {
    for loss in LOSSES {
        let plain = Problem::new("plain", network(&[3], "L4 tanh L2", loss), 5, 31);
        let disguises = [
            network(&[1, 3], "L4 tanh L2 flat", loss),
            network(&[3, 1, 1], "C4:k1 tanh C2:k1 flat", loss),
            network(&[1, 1, 1, 3], "L4 tanh flat L2", loss),
            network(&[3, 1, 1], "flat L4 tanh L2", loss),
        ];
        let loaded = plain.load::<f64>(1);
        let want = type2(&loaded, Sharing::Expand, 2);
        for architecture in disguises {
            let p = Problem { architecture, ..plain.clone() };
            let other = p.load::<f64>(1);
            let label = format!("{:?} {loss:?}", p.architecture.layers);
            for sharing in [Sharing::Expand, Sharing::Reduce] {
                for (got, want) in type2(&other, sharing, 2).iter().zip(&want) {
                    let (Some(got), Some(want)) = (got, want) else { panic!("{label}") };
                    assert_close(&label, &got.a, &want.a, "factor", Oracle::Sibling, 1);
                    assert_close(&label, &got.g, &want.g, "factor", Oracle::Sibling, 1);
                }
            }
            for matrix in [Matrix::Ggn, Matrix::EmpiricalFisher, Matrix::Hessian] {
                for b in 0..2 {
                    let [got, want] = [&other, &loaded].map(|loaded| {
                        let problem = loaded.problem(2);
                        blocks(&problem, matrix, &[b], MEMORY).expect("block").remove(0)
                    });
                    assert_close(&label, &got, &want, "block", Oracle::Sibling, 1);
                }
            }
        }
    }
}

/// A convolution with one group and one with the same kernels spread over groups of zeros.
#[test]
fn groups_are_a_convolution_with_zeros() {
    let loss = Loss::Mse { scale: 0.5 };
    let grouped = network(&[4, 4, 4], "C2:k3,g2 tanh flat L2", loss);
    let p = Problem::new("groups", grouped, 3, 41);
    let mut whole = p.clone();
    whole.architecture = network(&[4, 4, 4], "C2:k3 tanh flat L2", loss);
    let values = &p.parameters.values;
    let own = 2 * 9 + 1;
    let mut rows = Vec::new();
    for o in 0..2 {
        let (w, b) = (&values[o * own..o * own + 18], values[o * own + 18]);
        let zeros = [0.0; 18];
        let (first, second) = if o == 0 { (w, &zeros[..]) } else { (&zeros[..], w) };
        rows.extend(first.iter().chain(second).copied().chain([b]));
    }
    rows.extend(&values[2 * own..]);
    whole.parameters.values = rows;
    // Where element (o, j) of the grouped kernels stands in the whole ones.
    let at = |k: usize| {
        let (o, j) = (k / own, k % own);
        o * 37 + if j == 18 { 36 } else { o * 18 + j }
    };
    let (a, b) = (p.load::<f64>(1), whole.load::<f64>(1));
    assert!(matches!(a.network.blocks()[0].kind, BlockKind::Convolution(c) if c.groups == 2));
    for matrix in [Matrix::Ggn, Matrix::EmpiricalFisher, Matrix::Hessian] {
        let got = blocks(&a.problem(2), matrix, &[0], MEMORY).expect("groups").remove(0);
        let all = blocks(&b.problem(2), matrix, &[0], MEMORY).expect("whole").remove(0);
        let want: Vec<f64> = (0..38 * 38).map(|k| all[at(k / 38) * 74 + at(k % 38)]).collect();
        assert_close(matrix.name(), &got, &want, "block", Oracle::Sibling, 1);
    }
}
