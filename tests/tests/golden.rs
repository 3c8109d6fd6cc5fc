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
