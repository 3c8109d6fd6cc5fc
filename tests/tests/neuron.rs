//! Neurons: ν and the mean of a response in the tails against 100-bit closed forms in another
//! arrangement, finiteness over the whole range, kinks and limits, slopes, errors.

use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Error, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, ulp};
use relfisher_tests::oracle::double_double::Double;
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::{Oracle, tolerance};

fn real<T: Real>(x: f64) -> T {
    T::from_f64(x)
}

fn exact<T: Real>(x: T) -> Double {
    Double::from(x.to_f64())
}

/// The error of `got` in ulp of T.
fn error<T: Real>(got: T, want: Double) -> f64 {
    (exact(got) - want).abs().hi / ulp::<T>(want.hi)
}

/// Parameters at the edges of their domains and in the middle.
fn responses<T: Real>() -> Vec<Response<T>> {
    let subnormal = T::MIN_POSITIVE * T::EPSILON;
    let mut all = vec![Response::Tanh, Response::Sigm];
    for sigma in [1.0, 0.3, 1e3] {
        let sigma = real(sigma);
        all.push(Response::Linear { sigma });
        for alpha in [0.0, 1.0, 1e10] {
            all.push(Response::Elu { alpha: real(alpha), sigma });
        }
        for leak in [0.0, 0.1, 0.999] {
            for smoothing in [T::ZERO, subnormal, real(1e-30), real(0.7), T::ONE, real(1e30)] {
                all.push(Response::Relu { leak: real(leak), smoothing, sigma });
            }
        }
        for activation in activations() {
            all.push(Response::Gaussian { activation, sigma });
        }
    }
    all
}

fn activations<T: Real>() -> [Activation<T>; 6] {
    [
        Activation::Linear,
        Activation::Tanh,
        Activation::Sigm,
        Activation::Relu { leak: T::ZERO },
        Activation::Relu { leak: real(0.1) },
        Activation::Elu { alpha: real(1.3) },
    ]
}

fn nu_in_the_tails<T: Real>() {
    let single = T::EPSILON.to_f64() > 1e-10;
    let reach = if single { 40.0 } else { 300.0 };
    let bound = tolerance::<T>("nu tail", Oracle::HigherPrecision, 1);
    let mut random = Random::new(3);
    let one = Double::from(1.0);
    for _ in 0..4000 {
        let t: T = real(random.uniform(-reach, reach));
        let x = exact(t);
        let c = x.exp() + (-x).exp();
        let e = error(Response::Tanh.nu(t), Double::from(4.0) / (c * c));
        assert!(e <= bound, "tanh at {t}: {e} ulp");
        let e = error(Response::Sigm.nu(t), one / ((one + x.exp()) * (one + (-x).exp())));
        assert!(e <= bound, "sigm at {t}: {e} ulp");

        let (alpha, sigma): (T, T) = (real(1.7), real(0.3));
        let slope = if t < T::ZERO { exact(alpha) * x.exp() } else { one } / exact(sigma);
        let e = error(Response::Elu { alpha, sigma }.nu(t), slope * slope);
        assert!(e <= bound, "elu at {t}: {e} ulp");

        for (leak, smoothing) in [(0.0, 1.0), (0.0, 0.7), (0.1, 1.0), (0.3, 0.17), (0.0, 1e-20)] {
            let (leak, smoothing): (T, T) = (real(leak), real(smoothing));
            // The slope by its definition, from both exponentials.
            let t: T = t * smoothing;
            let b = exact(t) / exact(smoothing);
            let a = exact(leak) * b;
            let slope = (exact(leak) * a.exp() + b.exp()) / (a.exp() + b.exp()) / exact(sigma);
            let e = error(Response::Relu { leak, smoothing, sigma }.nu(t), slope * slope);
            assert!(e <= bound, "relu {leak} {smoothing} at {t}: {e} ulp");
        }
    }
}

fn mean_of_the_smoothed_relu<T: Real>() {
    let single = T::EPSILON.to_f64() > 1e-10;
    let reach = if single { 80.0 } else { 600.0 };
    let bound = tolerance::<T>("mean tail", Oracle::HigherPrecision, 1);
    let mut random = Random::new(4);
    for _ in 0..4000 {
        for (leak, smoothing) in [(0.0, 1.0), (0.0, 0.7), (0.1, 0.7), (0.0, 1e-20)] {
            let (leak, smoothing): (T, T) = (real(leak), real(smoothing));
            let t: T = real::<T>(random.uniform(-reach, reach)) * smoothing;
            let b = exact(t) / exact(smoothing);
            let a = exact(leak) * b;
            // e^{b−a} + 1 = e^{…}: ln of the sum, relative to the first term.
            let want = exact(smoothing) * (a + (b - a).exp().ln_1p());
            let got = Response::Relu { leak, smoothing, sigma: T::ONE }.mean(t);
            // A leak makes the mean change sign: there the error is one of its terms.
            let scale = want.hi.abs().max((exact(leak) * exact(t)).hi.abs());
            let e = (exact(got) - want).abs().hi / ulp::<T>(scale);
            assert!(e <= bound, "relu {leak} {smoothing} at {t}: {e} ulp");
        }
    }
}

fn finite_and_nonnegative_everywhere<T: Real>() {
    let mut random = Random::new(8);
    let mut t: Vec<T> = (0..20_000)
        .map(|_| {
            let exponent = if T::EPSILON.to_f64() > 1e-10 { 38.0 } else { 300.0 };
            let magnitude = 10.0_f64.powf(random.uniform(-exponent, exponent));
            real(if random.unit() < 0.5 { -magnitude } else { magnitude })
        })
        .collect();
    let subnormal = T::MIN_POSITIVE * T::EPSILON;
    for x in [T::ZERO, subnormal, T::MIN_POSITIVE, T::MAX, real(1e30), real(88.0), real(104.0)] {
        t.extend([x, -x]);
    }
    let mut nu = vec![T::NAN; t.len()];
    for r in responses() {
        r.check().unwrap();
        nu.fill(T::NAN);
        r.nu_slice(&mut nu, &t).unwrap();
        for (x, v) in t.iter().zip(&nu) {
            assert!(v.is_finite() && *v >= T::ZERO, "{r:?} at {x:?}: {v:?}");
            assert!(r.mean(*x).is_finite() || r.mean(*x) == *x, "{r:?} mean at {x:?}");
            assert!(r.mean_derivative(*x).is_finite());
        }
        assert!(
            r.nu(T::NAN).to_f64().is_nan()
                || matches!(
                    r,
                    Response::Linear { .. }
                        | Response::Gaussian { activation: Activation::Linear, .. }
                )
        );
    }
}

#[test]
fn finite_over_all_bit_patterns_in_single_precision() {
    let top = f32::INFINITY.to_bits();
    let t: Vec<f32> = (0..top)
        .step_by(8009)
        .flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
        .collect();
    let mut nu = vec![f32::NAN; t.len()];
    let relu = |leak, smoothing| Response::Relu { leak, smoothing, sigma: 1.0 };
    for r in [
        Response::Tanh,
        Response::Sigm,
        Response::Elu { alpha: 1.0, sigma: 1.0 },
        relu(0.1, 1.0),
        relu(0.0, 1e-44),
        relu(0.0, 0.0),
    ] {
        nu.fill(f32::NAN);
        r.nu_slice(&mut nu, &t).unwrap();
        for (x, v) in t.iter().zip(&nu) {
            assert!(v.is_finite() && *v >= 0.0 && *v <= 1.0 + f32::EPSILON, "{r:?} at {x:e}: {v}");
        }
    }
}

fn kinks_and_limits<T: Real>() {
    let (zero, one, leak, sigma): (T, T, T, T) = (T::ZERO, T::ONE, real(0.25), real(0.5));
    for (leak, slope) in [(zero, zero), (leak, leak)] {
        let f = Activation::Relu { leak };
        for at in [zero, -zero] {
            assert_eq!(
                (f.value(at), f.derivative(at), f.second_derivative(at)),
                (zero, slope, zero)
            );
        }
        assert_eq!((f.derivative(one), f.derivative(-one)), (one, slope));
        assert_eq!((f.value(-one), f.value(one)), (-slope, one));
    }
    let elu = Activation::Elu { alpha: real(2.0) };
    assert_eq!((elu.derivative(zero), elu.second_derivative(zero)), (one, zero));
    assert_eq!(elu.value(-T::MAX), -T::TWO);
    // The metric counts t = 0 as active.
    let four = T::TWO * T::TWO;
    for smoothing in [zero, -zero] {
        let r = Response::Relu { leak, smoothing, sigma };
        assert_eq!((r.nu(zero), r.nu(-zero), r.nu(one)), (four, four, four));
        assert_eq!(r.nu(-one), T::HALF * T::HALF);
        let g = Response::Gaussian { activation: Activation::Relu { leak }, sigma };
        assert_eq!((g.nu(zero), g.nu(-one)), (r.nu(zero), r.nu(-one)));
    }
    // A tiny ω is the limit away from 0, and the average of the slopes at 0.
    for smoothing in [T::MIN_POSITIVE * T::EPSILON, T::MIN_POSITIVE, real(1e-20)] {
        let r = Response::Relu { leak, smoothing, sigma };
        assert_eq!((r.nu(one), r.nu(-one)), (four, T::HALF * T::HALF));
        let half: T = real(0.625 * 0.625 * 4.0);
        assert_eq!(r.nu(zero), half);
        assert_eq!((r.mean(one), r.mean(-one)), (one, -leak));
    }
    // t = ω where both are subnormal.
    let subnormal = T::MIN_POSITIVE * real(0.125);
    let at = Response::Relu { leak: zero, smoothing: subnormal, sigma: one };
    let plain = Response::Relu { leak: zero, smoothing: one, sigma: one };
    assert_eq!(at.nu(subnormal), plain.nu(one));
}

fn slopes_by_differences<T: Real>() {
    let bound = tolerance::<f64>("slope", Oracle::FiniteDifference, 1);
    let mut random = Random::new(6);
    let h = 1e-5;
    for _ in 0..500 {
        let t = random.uniform(-6.0, 6.0);
        if t.abs() < 2.0 * h {
            continue;
        }
        for f in activations::<f64>() {
            let slope = (f.value(t + h) - f.value(t - h)) / (2.0 * h);
            assert!((slope - f.derivative(t)).abs() < bound, "{f:?} at {t}");
            let bend = (f.derivative(t + h) - f.derivative(t - h)) / (2.0 * h);
            assert!((bend - f.second_derivative(t)).abs() < bound, "{f:?} at {t}");
            // Both formats have one body: the same numbers to the format's precision.
            let single = Activation::<T>::Elu { alpha: real(1.3) };
            let double = Activation::<f64>::Elu { alpha: real::<T>(1.3).to_f64() };
            let x: T = real(t);
            let e = error(
                single.second_derivative(x),
                Double::from(double.second_derivative(x.to_f64())),
            );
            assert!(e <= tolerance::<T>("mean tail", Oracle::HigherPrecision, 1), "{e}");
        }
        for leak in [0.0, 0.2] {
            let r = Response::Relu { leak, smoothing: 0.5, sigma: 1.0 };
            let slope = (r.mean(t + h) - r.mean(t - h)) / (2.0 * h);
            assert!((slope - r.mean_derivative(t)).abs() < bound, "{r:?} at {t}");
        }
    }
}

fn slices_have_the_bits_of_scalars<T: Real>() {
    let t: Vec<T> = Random::new(9).uniforms(517, -20.0, 20.0);
    let scalar =
        |f: &dyn Fn(T) -> T| t.iter().map(|x| f(std::hint::black_box(*x))).collect::<Vec<T>>();
    let mut out = vec![T::NAN; t.len()];
    for r in responses::<T>() {
        r.nu_slice(&mut out, &t).unwrap();
        assert_bits_equal("nu", &out, &scalar(&|x| r.nu(x)));
        r.mean_slice(&mut out, &t).unwrap();
        assert_bits_equal("mean", &out, &scalar(&|x| r.mean(x)));
        r.mean_derivative_slice(&mut out, &t).unwrap();
        assert_bits_equal("mean slope", &out, &scalar(&|x| r.mean_derivative(x)));
    }
    for f in activations::<T>() {
        f.value_slice(&mut out, &t).unwrap();
        assert_bits_equal("value", &out, &scalar(&|x| f.value(x)));
        f.second_derivative_slice(&mut out, &t).unwrap();
        assert_bits_equal("second", &out, &scalar(&|x| f.second_derivative(x)));
        f.derivative_slice(&mut out, &t).unwrap();
        assert_bits_equal("derivative", &out, &scalar(&|x| f.derivative(x)));
        let mut delta = vec![T::TWO; t.len()];
        f.backward_slice(&mut delta, &t).unwrap();
        assert_bits_equal("backward", &delta, &scalar(&|x| T::TWO * f.derivative(x)));
    }
}

fn wrong_lengths_and_parameters<T: Real>() {
    let t = [T::ONE; 5];
    let mut out = [T::NAN; 4];
    for r in responses::<T>() {
        assert!(matches!(
            r.nu_slice(&mut out, &t),
            Err(Error::Shape { expected: 5, found: 4, .. })
        ));
        assert!(r.mean_slice(&mut out, &t).is_err());
        assert!(r.mean_derivative_slice(&mut out, &t).is_err());
        r.nu_slice(&mut [], &[]).unwrap();
    }
    for f in activations::<T>() {
        assert!(f.value_slice(&mut out, &t).is_err());
        assert!(f.derivative_slice(&mut out, &t).is_err());
        assert!(f.second_derivative_slice(&mut out, &t).is_err());
        assert!(f.backward_slice(&mut out, &t).is_err());
    }
    let (zero, one) = (T::ZERO, T::ONE);
    for bad in [one, -one, real(1.5), T::NAN, T::INFINITY] {
        let r = Response::Relu { leak: bad, smoothing: one, sigma: one };
        assert!(matches!(r.check(), Err(Error::Parameter { .. })));
        assert!(Activation::Relu { leak: bad }.check().is_err());
        let g = Response::Gaussian { activation: Activation::Relu { leak: bad }, sigma: one };
        assert!(g.nu_slice(&mut out, &t[..4]).is_err());
    }
    for bad in [-one, T::NAN, T::INFINITY] {
        assert!(Response::Relu { leak: zero, smoothing: bad, sigma: one }.check().is_err());
        assert!(Response::Elu { alpha: bad, sigma: one }.check().is_err());
        assert!(Activation::Elu { alpha: bad }.value_slice(&mut out, &t[..4]).is_err());
    }
    for bad in [zero, -one, T::NAN, T::INFINITY, T::MIN_POSITIVE] {
        assert!(Response::Linear { sigma: bad }.check().is_err());
        assert!(Response::Elu { alpha: one, sigma: bad }.check().is_err());
        assert!(Response::Relu { leak: zero, smoothing: one, sigma: bad }.check().is_err());
        let g = Response::Gaussian { activation: Activation::Tanh, sigma: bad };
        assert!(g.check().is_err());
    }
    assert!(Response::Elu { alpha: T::MAX, sigma: one }.check().is_err());
    assert!(out.iter().all(|x| x.to_f64().is_nan()), "an error must leave the output alone");
}

fn response_of_an_activation<T: Real>() {
    let (omega, sigma): (T, T) = (real(0.5), real(2.0));
    let of = |f| Response::of_activation(f, omega, sigma);
    assert_eq!(of(Activation::Linear), Response::Linear { sigma });
    assert_eq!(of(Activation::Tanh), Response::Tanh);
    assert_eq!(of(Activation::Sigm), Response::Sigm);
    let (leak, alpha) = (T::ZERO, T::ONE);
    assert_eq!(of(Activation::Relu { leak }), Response::Relu { leak, smoothing: omega, sigma });
    assert_eq!(of(Activation::Elu { alpha }), Response::Elu { alpha, sigma });
}

both_dtypes!(
    nu_in_the_tails,
    mean_of_the_smoothed_relu,
    finite_and_nonnegative_everywhere,
    kinks_and_limits,
    slopes_by_differences,
    slices_have_the_bits_of_scalars,
    wrong_lengths_and_parameters,
    response_of_an_activation,
);
