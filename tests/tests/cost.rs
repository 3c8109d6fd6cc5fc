//! The cost model: choices at known shapes, counts, and behaviour at the edges.

use relfisher_core::metric::cost::{
    Construction, LayerKind, Problem, Route, choose, choose_construction, construction_efficiency,
    cost,
};

#[test]
fn the_cost_model_chooses_sensibly() {
    let problem = |kind, m, d, n, refresh| Problem { refresh, ..Problem::new(kind, m, d, n) };
    let nonlinear = |m, d, n, t| choose(&problem(LayerKind::Nonlinear, m, d, n, t));
    // The mini-batch metric of the S4 net: sample space, by far.
    assert_eq!(nonlinear(80, 785, 50, 1), Route::Sample);
    assert_eq!(nonlinear(80, 81, 50, 1), Route::Sample);
    assert_eq!(nonlinear(10, 81, 50, 1), Route::Sample);
    // A 1,000-sample metric kept for 100 steps: blocks; for one step never blocks.
    assert_eq!(nonlinear(80, 785, 1000, 100), Route::Block);
    assert_ne!(nonlinear(80, 785, 1000, 1), Route::Block);
    assert_eq!(nonlinear(512, 513, 1024, 100), Route::Block);
    assert_eq!(nonlinear(512, 513, 1024, 1), Route::ConjugateGradient);
    // Many samples, few inputs: blocks at once.
    assert_eq!(nonlinear(80, 10, 1000, 1), Route::Block);
    // Soft-max: never the 810² block for one step.
    let softmax = |n, t| choose(&problem(LayerKind::Softmax, 10, 81, n, t));
    assert_ne!(softmax(50, 1), Route::Block);
    assert_eq!(softmax(1, 1), Route::Sample);
    assert_eq!(softmax(1000, 100), Route::Block);

    let p = problem(LayerKind::Nonlinear, 80, 785, 50, 1);
    let (block, sample) = (cost(&p, Route::Block), cost(&p, Route::Sample));
    assert!(block.time() > 50.0 * sample.time(), "{block:?} {sample:?}");
    let want = 80.0 * 785.0 * 786.0 * 50.0 + 80.0 * 785.0f64.powi(3) / 3.0;
    assert!(block.flops >= want && block.flops < 1.05 * want);
    for kind in [LayerKind::Nonlinear, LayerKind::Softmax] {
        for route in Route::ALL {
            for shape in [(0, 1, 1), (1, 1, 1), (1000, 5000, 100_000)] {
                let c = cost(&problem(kind, shape.0, shape.1, shape.2, 0), route);
                let all = [c.flops, c.bytes, c.memory, c.effective_flops, c.time()];
                assert!(all.iter().all(|x| x.is_finite() && *x >= 0.0), "{kind:?} {route:?} {c:?}");
                assert!(c.effective_flops >= c.flops);
            }
        }
    }
}

#[test]
fn the_cost_model_chooses_the_construction() {
    assert_eq!(choose_construction(512, 513, 1024), Construction::PairProducts);
    assert_eq!(choose_construction(80, 81, 512), Construction::PairProducts);
    assert_eq!(choose_construction(80, 81, 50), Construction::PairProducts);
    // Few neurons and wide rows: weighted rows waste less than forming pairs for few.
    assert_eq!(choose_construction(8, 785, 512), Construction::WeightedRows);
    assert_eq!(choose_construction(16, 400, 1000), Construction::WeightedRows);
    assert_ne!(choose_construction(80, 785, 512), Construction::PerNeuron);
    assert_eq!(choose_construction(3, 785, 512), Construction::PerNeuron);
    assert_eq!(choose_construction(1, 81, 512), Construction::PerNeuron);
    for how in Construction::ALL {
        for (m, d, n) in [(0, 0, 0), (1, 1, 1), (1 << 20, 1 << 20, 1 << 20)] {
            let e = construction_efficiency(how, m, d, n);
            assert!(e > 0.0 && e <= 1.0);
        }
    }
}
