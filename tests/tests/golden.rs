//! The golden cases of `tests/golden`: numbers computed by independent packages in f64.

mod rfim {
    use relfisher_core::Real;
    use relfisher_core::metric::layer::{
        LayerMetric, LinearMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric,
    };
    use relfisher_core::metric::neuron::{Activation, Response};
    use relfisher_core::metric::two_layer::{LowerMetric, TwoLayerMetric};
    use relfisher_tests::both_dtypes;
    use relfisher_tests::compare::{assert_close, cast, to_f64};
    use relfisher_tests::golden::{Case, Tensor};
    use relfisher_tests::layer::{check, dense, nu, pre_activations};
    use relfisher_tests::oracle::dense::Matrix;
    use relfisher_tests::oracle::dual::Number;
    use relfisher_tests::real::{mat, nans};
    use relfisher_tests::tolerance::Oracle;

    const FILE: &str = "rfim/rfim.safetensors";

    /// The batch, each row with its trailing 1, and (n, d̃).
    fn batch<T: Real>(x: &Tensor) -> (Vec<T>, usize, usize) {
        let rows = x.outer().flat_map(|row| row.iter().copied().chain([1.0]));
        (cast(&rows.collect::<Vec<f64>>()), x.shape[0], x.shape[1] + 1)
    }

    /// Rows of h, each with a trailing 1.
    fn augment<T: Real>(h: &[T], m: usize) -> Vec<T> {
        h.chunks_exact(m).flat_map(|row| row.iter().copied().chain([T::ONE])).collect()
    }

    fn softmax<T: Real>(logits: &[T], c: usize) -> Vec<T> {
        let rows = logits.chunks_exact(c).flat_map(|row| {
            let row = to_f64(row);
            let top = f64::log_sum_exp(&row);
            row.into_iter().map(move |u| T::from_f64((u - top).exp()))
        });
        rows.collect()
    }

    /// The m blocks of a layer of neurons.
    fn neurons<T: Real>() {
        let case = Case::read(FILE);
        let (x, n, d) = batch::<T>(case.get("x"));
        let w: Vec<T> = cast(&case.get("W").data);
        let m = case.get("W").shape[0];
        let t = pre_activations(&x, &w, n, m, d);
        let (c, one) = (T::from_f64, T::ONE);
        let relu =
            |leak: f64, smoothing: T| Response::Relu { leak: c(leak), smoothing, sigma: one };
        for (name, response) in [
            ("neuron.tanh", Response::Tanh),
            ("neuron.sigmoid", Response::Sigm),
            ("neuron.relu_smooth", relu(0.1, one)),
            ("neuron.relu_smooth_iota0", relu(0.0, one)),
            ("neuron.leaky_relu", relu(0.1, T::ZERO)),
            ("neuron.elu", Response::Elu { alpha: one, sigma: one }),
            ("neuron.linear", Response::Linear { sigma: one }),
        ] {
            let want = case.get(name);
            assert_eq!(want.shape, [m, d, d]);
            let weights = nu(response, &t);
            let metric = NonlinearMetric::new(mat(&x, n, d), mat(&weights, n, m)).expect("metric");
            let blocks: Vec<Matrix> = want.outer().map(|b| Matrix::new(d, d, b.to_vec())).collect();
            check(name, &metric, &Matrix::block_diagonal(&blocks), "rfim", Oracle::Golden);
        }
        let blocks: Vec<Matrix> =
            (case.get("neuron.linear").outer()).map(|b| Matrix::new(d, d, b.to_vec())).collect();
        let metric = LinearMetric::new(mat(&x, n, d), m, one).expect("metric");
        check("linear layer", &metric, &Matrix::block_diagonal(&blocks), "rfim", Oracle::Golden);
    }

    fn softmax_layer<T: Real>() {
        let case = Case::read(FILE);
        let (x, n, d) = batch::<T>(case.get("x"));
        let classes = case.get("W_softmax").shape[0];
        let w: Vec<T> = cast(&case.get("W_softmax").data);
        let eta = softmax(&pre_activations(&x, &w, n, classes, d), classes);
        let metric = SoftmaxMetric::new(mat(&x, n, d), mat(&eta, n, classes)).expect("metric");
        let want = case.get("softmax_layer").matrix();
        check("softmax_layer", &metric, &want, "rfim", Oracle::Golden);
    }

    /// The first of two layers, seen from three kinds of answers.
    fn two_layers<T: Real>() {
        let case = Case::read(FILE);
        let (x, n, d) = batch::<T>(case.get("x"));
        let w: Vec<T> = cast(&case.get("W").data);
        let upper: Vec<T> = cast(&case.get("W2").data);
        let (m, c) = (case.get("W").shape[0], case.get("W2").shape[0]);
        let k = m + 1;
        let t = pre_activations(&x, &w, n, m, d);
        for (activation, f) in [
            ("tanh", Activation::Tanh),
            ("sigmoid", Activation::Sigm),
            ("elu", Activation::Elu { alpha: T::ONE }),
        ] {
            let (mut slope, mut hidden) = (nans::<T>(n * m), nans::<T>(n * m));
            f.derivative_slice(&mut slope, &t).expect("slope");
            f.value_slice(&mut hidden, &t).expect("value");
            let h = augment(&hidden, m);
            let u = pre_activations(&h, &upper, n, c, k);
            let gauss = Response::Gaussian { activation: Activation::Tanh, sigma: T::ONE };
            for (answer, weights) in [
                ("softmax2", softmax(&u, c)),
                ("bernoulli2", nu(Response::Sigm, &u)),
                ("gauss2", nu(gauss, &u)),
            ] {
                let response = match answer {
                    "softmax2" => ResponseMetric::Softmax(mat(&weights, n, c)),
                    _ => ResponseMetric::Independent(mat(&weights, n, c)),
                };
                let metric = TwoLayerMetric::new(
                    mat(&x, n, d),
                    mat(&slope, n, m),
                    mat(&h, n, k),
                    mat(&upper, c, k),
                    response,
                )
                .expect("metric");
                let name = format!("{answer}.{activation}.W1");
                let want = case.get(&name).matrix();
                check(&name, &metric.lower(), &want, "rfim", Oracle::Golden);
                // The same block without the upper bias column.
                let columns: Vec<T> =
                    upper.chunks_exact(k).flat_map(|row| row[..m].to_vec()).collect();
                let alone = LowerMetric::new(
                    mat(&x, n, d),
                    mat(&slope, n, m),
                    mat(&columns, c, m),
                    response,
                )
                .expect("metric");
                assert_eq!(alone.parameters(), m * d);
                let got = dense(&name, &alone);
                assert_close(&name, &got, &want.data, "rfim", Oracle::Golden, n + d);
            }
        }
    }

    both_dtypes!(neurons, softmax_layer, two_layers);
}

/// Networks: outputs, losses, gradients and Kronecker factors of the cases that consist of linear
/// layers and activations.
mod network {
    use relfisher::Scalar;
    use relfisher::executor::{Cpu, Executor};
    use relfisher::network::{Architecture, BlockKind, Mode, Network, Parameters, Tape, Targets};
    use relfisher_core::{Backend, blas};
    use relfisher_tests::both_dtypes;
    use relfisher_tests::compare::{assert_close, cast, to_f64};
    use relfisher_tests::golden::{Case, Tensor, bytes, read_npy};
    use relfisher_tests::oracle::dense::Matrix;
    use relfisher_tests::real::{mat_mut, nans};
    use relfisher_tests::tolerance::Oracle;

    const CASES: [&str; 6] = [
        "sa_tanh_ce",
        "sb_relu_ce",
        "sc_sigmoid_mse",
        "sd_elu_ce",
        "sf_ugly_b1_dead_dup",
        "sg_ugly_halfdead_dup",
    ];

    /// A case loaded into an engine: network, parameters, a tape that holds the batch.
    struct Loaded<T: Scalar> {
        network: Network<T>,
        parameters: Parameters<T>,
        tape: Tape<T>,
        x: Vec<T>,
        want: Case,
        n: usize,
    }

    fn load<T: Scalar>(name: &str) -> Loaded<T> {
        let text = String::from_utf8(bytes(&format!("{name}/arch.json"))).expect("UTF-8");
        let architecture = Architecture::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let network = Network::<T>::from_architecture(&architecture).expect("network");
        let model = Case::read(&format!("{name}/model.safetensors"));
        let mut values = vec![T::NAN; network.parameter_count()];
        for block in network.blocks() {
            assert_eq!(block.kind, BlockKind::Linear);
            let weight = model.get(&format!("{}.weight", block.name)).matrix();
            let bias = &model.get(&format!("{}.bias", block.name)).data;
            let rows = (0..block.rows).flat_map(|i| weight.row(i).iter().copied().chain([bias[i]]));
            for (slot, v) in values[block.range()].iter_mut().zip(rows) {
                *slot = T::from_f64(v);
            }
        }
        let x = read_npy(&format!("{name}/x.npy"));
        let n = x.shape[0];
        let parameters = Parameters { values, buffers: Vec::new() };
        let tape = Tape::new(&network, n);
        let want = Case::read(&format!("{name}/expected.safetensors"));
        Loaded { network, parameters, tape, x: cast(&x.data), want, n }
    }

    impl<T: Scalar> Loaded<T> {
        fn forward<E: Executor<T> + ?Sized>(&mut self, exec: &E) {
            self.tape.set_batch(self.n).expect("batch");
            let mut input = self.tape.input_mut();
            let d = input.cols();
            for (s, row) in self.x.chunks_exact(d).enumerate() {
                row.iter().enumerate().for_each(|(j, v)| input.set(s, j, *v));
            }
            let (network, tape) = (&self.network, &mut self.tape);
            network.forward(exec, &self.parameters, Mode::Train, tape).expect("forward");
        }

        /// The mean loss for the labels, leaving their deltas at the output.
        fn loss<E: Executor<T> + ?Sized>(&mut self, exec: &E, y: &Tensor) -> f64 {
            let (network, tape) = (&self.network, &mut self.tape);
            let report = if y.shape.len() == 1 {
                let classes: Vec<usize> = y.data.iter().map(|c| *c as usize).collect();
                network.loss(exec, tape, &Targets::Classes(&classes))
            } else {
                let values: Vec<T> = cast(&y.data);
                let view = relfisher_tests::real::mat(&values, y.shape[0], y.shape[1]);
                network.loss(exec, tape, &Targets::Values(view))
            };
            report.expect("loss").mean
        }
    }

    /// The rows of a view.
    fn rows<T: Scalar>(view: relfisher_core::MatRef<'_, T>) -> Matrix {
        Matrix::from_fn(view.rows(), view.cols(), |i, j| view.at(i, j).to_f64())
    }

    /// Output, loss, gradient and per-sample gradients.
    fn gradients<T: Scalar>() {
        for (k, name) in CASES.into_iter().enumerate() {
            let exec = Cpu::new(Some(1 + k % 2)).expect("cpu");
            let mut case = load::<T>(name);
            case.forward(&exec);
            let logits: Vec<T> = cast(&rows(case.tape.logits()).data);
            let n = logits.len().max(64);
            assert_close(name, &logits, &case.want.get("output").data, "grad", Oracle::Golden, n);
            let loss = case.loss(&exec, &read_npy(&format!("{name}/y.npy")));
            let want = &case.want.get("loss").data;
            assert_close(name, &[T::from_f64(loss)], want, "grad", Oracle::Golden, n);
            let mut gradient = nans::<T>(case.network.parameter_count());
            let (network, tape) = (&case.network, &mut case.tape);
            network.backward(&exec, &case.parameters, tape, Some(&mut gradient)).expect("backward");
            for (b, block) in case.network.blocks().iter().enumerate() {
                let label = format!("{name} {}", block.name);
                let want = case.want.get(&format!("grad.{}", block.name));
                assert_eq!(want.shape, [block.rows, block.cols]);
                let got = &gradient[block.range()];
                assert_close(&label, got, &want.data, "grad", Oracle::Golden, n);
                // δ_s x̃_sᵀ is the gradient of sample s.
                let (delta, x) = (rows(case.tape.delta(b)), rows(case.tape.layer_input(b)));
                let each = case.want.get(&format!("per_sample_grad.{}", block.name));
                for (s, want) in each.outer().enumerate() {
                    let got: Vec<T> = cast(&Matrix::outer(delta.row(s), x.row(s)).data);
                    assert_close(&format!("{label} {s}"), &got, want, "grad", Oracle::Golden, n);
                }
            }
        }
    }

    /// A = mean x̃x̃ᵀ; G = mean δδᵀ for the true labels and for labels drawn from the model.
    fn kronecker_factors<T: Scalar>() {
        for name in CASES {
            let exec = Cpu::new(Some(2)).expect("cpu");
            let mut case = load::<T>(name);
            for (labels, factor) in [("y", "kfac_emp.G"), ("y_mc", "kfac_mc.G")] {
                case.forward(&exec);
                case.loss(&exec, &read_npy(&format!("{name}/{labels}.npy")));
                let (network, tape) = (&case.network, &mut case.tape);
                network.backward(&exec, &case.parameters, tape, None).expect("backward");
                for (b, block) in case.network.blocks().iter().enumerate() {
                    let pairs =
                        [(factor, case.tape.delta(b)), ("kfac.A", case.tape.layer_input(b))];
                    for (what, view) in pairs {
                        let what = format!("{what}.{}", block.name);
                        let (n, d) = (view.rows(), view.cols());
                        let mut out = nans::<T>(d * d);
                        let mut work = nans::<T>(blas::gram_workspace_len(n, d));
                        let mean = T::from_f64(1.0 / n as f64);
                        let c = mat_mut(&mut out, d, d);
                        exec.gram(c, T::ZERO, mean, view, None, &mut work).expect("gram");
                        let want = &case.want.get(&what).data;
                        let label = format!("{name} {what}");
                        assert_close(&label, &out, want, "grad", Oracle::Golden, 64);
                    }
                }
            }
        }
    }

    /// The same batch gives the same bits with one thread and with two.
    fn threads<T: Scalar>() {
        let answers: Vec<Vec<f64>> = [1, 2]
            .into_iter()
            .map(|threads| {
                let exec = Cpu::new(Some(threads)).expect("cpu");
                let mut case = load::<T>("sd_elu_ce");
                case.forward(&exec);
                case.loss(&exec, &read_npy("sd_elu_ce/y.npy"));
                let mut gradient = nans::<T>(case.network.parameter_count());
                let (network, tape) = (&case.network, &mut case.tape);
                network
                    .backward(&exec, &case.parameters, tape, Some(&mut gradient))
                    .expect("backward");
                to_f64(&gradient)
            })
            .collect();
        assert_eq!(answers[0], answers[1]);
    }

    both_dtypes!(gradients, kronecker_factors, threads);
}
