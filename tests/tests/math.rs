//! The elementary functions: ulp bounds over strided bit patterns (f32, against libm in f64) and
//! dense samples (f64, against double-double), monotonicity, special values, slices.

use relfisher_core::{Real, math};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{ulp, ulp_error};
use relfisher_tests::oracle::double_double::Double;
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::{Oracle, tolerance};

/// Which way a function goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Up,
    /// Up to 0, then down; between neighbours only to the error bound.
    Peak,
}

/// A function of the core in both formats and its references.
struct Case {
    name: &'static str,
    single: fn(f32) -> f32,
    double: fn(f64) -> f64,
    /// In f64, good to a few ε.
    libm: fn(f64) -> f64,
    /// In about 100 bits.
    exact: fn(Double) -> Double,
    /// Where the f64 result is normal and not constant.
    range: (f64, f64),
    direction: Direction,
}

fn one() -> Double {
    Double::from(1.0)
}

/// sech² by its definition from both exponentials, not by the formula of the core.
fn sech2_exact(t: Double) -> Double {
    let c = t.exp() + (-t).exp();
    Double::from(4.0) / (c * c)
}

fn sigm_exact(t: Double) -> Double {
    one() / (one() + (-t).exp())
}

fn sigm64(t: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-t))
}

/// All but the two bells are monotone to the last bit.
const CASES: &[Case] = &[
    Case {
        name: "exp",
        single: math::exp,
        double: math::exp,
        libm: libm::exp,
        exact: Double::exp,
        range: (-680.0, 700.0),
        direction: Direction::Up,
    },
    Case {
        name: "exp_m1",
        single: math::exp_m1,
        double: math::exp_m1,
        libm: libm::expm1,
        exact: Double::exp_m1,
        range: (-60.0, 700.0),
        direction: Direction::Up,
    },
    Case {
        name: "ln",
        single: math::ln,
        double: math::ln,
        libm: libm::log,
        exact: Double::ln,
        range: (1e-290, 1e290),
        direction: Direction::Up,
    },
    Case {
        name: "ln_1p",
        single: math::ln_1p,
        double: math::ln_1p,
        libm: libm::log1p,
        exact: Double::ln_1p,
        range: (-0.999_999, 1e290),
        direction: Direction::Up,
    },
    Case {
        name: "tanh",
        single: math::tanh,
        double: math::tanh,
        libm: libm::tanh,
        exact: |t| {
            let e = t.scale(2.0).exp_m1();
            e / (e + Double::from(2.0))
        },
        range: (-30.0, 30.0),
        direction: Direction::Up,
    },
    Case {
        name: "sigm",
        single: math::sigm,
        double: math::sigm,
        libm: sigm64,
        exact: sigm_exact,
        range: (-680.0, 60.0),
        direction: Direction::Up,
    },
    Case {
        name: "softplus",
        single: math::softplus,
        double: math::softplus,
        libm: |t| if t > 700.0 { t } else { libm::log1p(libm::exp(t)) },
        exact: |t| t.exp().ln_1p(),
        range: (-680.0, 60.0),
        direction: Direction::Up,
    },
    Case {
        name: "sech2",
        single: math::sech2,
        double: math::sech2,
        libm: |t| {
            let c = libm::cosh(t);
            1.0 / c / c
        },
        exact: sech2_exact,
        range: (-340.0, 340.0),
        direction: Direction::Peak,
    },
    Case {
        name: "sigm_variance",
        single: math::sigm_variance,
        double: math::sigm_variance,
        libm: |t| sigm64(t) * sigm64(-t),
        exact: |t| sigm_exact(t) * sigm_exact(-t),
        range: (-680.0, 680.0),
        direction: Direction::Peak,
    },
];

/// The f32 with index i in numerical order, 0 being +0.
fn ordered32(i: i64) -> f32 {
    let magnitude = f32::from_bits(i.unsigned_abs() as u32);
    if i < 0 { -magnitude } else { magnitude }
}

/// The f64 with index i in numerical order, 0 being +0.
fn ordered64(i: i64) -> f64 {
    let magnitude = f64::from_bits(i.unsigned_abs());
    if i < 0 { -magnitude } else { magnitude }
}

/// The index of an f64 in numerical order.
fn index64(x: f64) -> i64 {
    let magnitude = x.abs().to_bits() as i64;
    if x < 0.0 { -magnitude } else { magnitude }
}

/// Samples of a range: half uniform in value, half uniform in bit pattern.
fn samples64(range: (f64, f64), count: usize) -> impl Iterator<Item = f64> {
    let mut random = Random::new(11);
    let (low, high) = (index64(range.0), index64(range.1));
    (0..count).map(move |k| {
        if k % 2 == 0 {
            let top = range.1.min(1e3);
            random.uniform(range.0, top)
        } else {
            let width = high.wrapping_sub(low) as u64;
            ordered64(low.wrapping_add((random.bits() % width) as i64))
        }
    })
}

#[test]
fn single_precision_against_libm() {
    let infinity = i64::from(f32::INFINITY.to_bits());
    std::thread::scope(|scope| {
        for case in CASES {
            scope.spawn(move || {
                let bound = tolerance::<f32>(case.name, Oracle::Libm, 1);
                let (mut worst, mut place) = (0.0, 0.0);
                for i in (-infinity..=infinity).step_by(3989) {
                    let x = ordered32(i);
                    let error = ulp_error((case.single)(x), (case.libm)(f64::from(x)));
                    if error > worst {
                        (worst, place) = (error, x);
                    }
                }
                println!("{}: {worst:.3} ulp in f32 at {place:e}", case.name);
                assert!(worst <= bound, "{}: {worst} ulp at {place:e}", case.name);
            });
        }
    });
}

#[test]
fn double_precision_against_double_double() {
    std::thread::scope(|scope| {
        for case in CASES {
            scope.spawn(move || {
                let bound = tolerance::<f64>(case.name, Oracle::HigherPrecision, 1);
                let (mut worst, mut place) = (0.0, 0.0);
                for x in samples64(case.range, 40_000) {
                    let want = (case.exact)(Double::from(x));
                    let got = Double::from((case.double)(x));
                    let error = (got - want).abs().hi / ulp::<f64>(want.hi);
                    if error > worst || error.is_nan() {
                        (worst, place) = (error, x);
                    }
                }
                println!("{}: {worst:.3} ulp in f64 at {place:e}", case.name);
                assert!(worst <= bound, "{}: {worst} ulp at {place:e}", case.name);
            });
        }
    });
}

/// Whether a step from x, f(x) to a larger x is in the wrong direction.
fn wrong<T: Real>(direction: Direction, x: T, before: T, after: T) -> bool {
    let (x, before, after) = (x.to_f64(), before.to_f64(), after.to_f64());
    let epsilon = T::EPSILON.to_f64();
    match direction {
        Direction::Up => after < before,
        Direction::Peak => {
            let slack = 1.0 + 4.0 * epsilon;
            if x < 0.0 { after * slack < before } else { after > before * slack }
        }
    }
}

#[test]
fn monotone_between_neighbours_in_single_precision() {
    let infinity = i64::from(f32::INFINITY.to_bits());
    std::thread::scope(|scope| {
        for case in CASES {
            scope.spawn(move || {
                // Runs of 64 neighbours, and every run starts where the next stride does.
                for start in (-infinity..infinity).step_by(40_009) {
                    let mut before = (case.single)(ordered32(start));
                    for i in start..(start + 64).min(infinity) {
                        let x = ordered32(i);
                        let after = (case.single)(ordered32(i + 1));
                        assert!(
                            !wrong(case.direction, x, before, after),
                            "{} after {x:e}",
                            case.name
                        );
                        before = after;
                    }
                }
            });
        }
    });
}

#[test]
fn monotone_between_neighbours_in_double_precision() {
    let edge = core::f64::consts::LN_2 / 2.0;
    for case in CASES {
        // Also where the reduction changes its integer: odd multiples of ½ ln 2 and √½, √2.
        let edges = (-60..60).map(|k| f64::from(2 * k + 1) * edge);
        let roots = (-9..9).flat_map(|k| {
            let x = core::f64::consts::SQRT_2 * 2.0_f64.powi(k);
            [x, x - 1.0]
        });
        // And where a function changes its formula.
        let joints = [0.5, 0.625, 1.0, 40.0].into_iter().flat_map(|x| [x, -x]);
        for x in samples64(case.range, 10_000).chain(edges).chain(roots).chain(joints) {
            let start = index64(x) - 16;
            let mut before = (case.double)(ordered64(start));
            for i in start..start + 32 {
                let after = (case.double)(ordered64(i + 1));
                let here = ordered64(i);
                assert!(
                    !wrong(case.direction, here, before, after),
                    "{} after {here:e}: {before:e} {after:e}",
                    case.name
                );
                before = after;
            }
        }
    }
}

fn special_values<T: Real>() {
    let (zero, one, infinity) = (T::ZERO, T::ONE, T::INFINITY);
    let huge = T::from_f64(1e30);
    let small = T::MIN_POSITIVE * T::EPSILON; // the smallest subnormal number
    let signed = |x: T| (x, x.copysign(one) == x.copysign(-one), one.copysign(x));
    for f in [T::exp_m1, T::ln_1p, T::tanh] as [fn(T) -> T; 3] {
        for x in [zero, -zero, small, -small, T::MIN_POSITIVE, -T::MIN_POSITIVE] {
            assert_eq!(signed(f(x)), signed(x), "f(x) = x near 0");
        }
    }
    assert_eq!((zero.exp(), (-zero).exp(), small.exp(), (-small).exp()), (one, one, one, one));
    for (x, y) in [(infinity, infinity), (huge, infinity), (-huge, zero), (-infinity, zero)] {
        assert_eq!(x.exp(), y);
        assert_eq!(x.exp_m1(), if y == zero { -one } else { y });
    }
    assert_eq!((zero.ln(), (-zero).ln(), one.ln()), (-infinity, -infinity, zero));
    assert_eq!((infinity.ln(), infinity.ln_1p(), (-one).ln_1p()), (infinity, infinity, -infinity));
    for x in [-small, -one, -huge, -infinity] {
        assert!(x.ln().to_f64().is_nan());
        assert!((x - one).ln_1p().to_f64().is_nan() || x == -small);
    }
    for x in [huge, T::MAX, infinity] {
        assert_eq!((x.tanh(), (-x).tanh(), x.sigm(), (-x).sigm()), (one, -one, one, zero));
        assert_eq!((math::sigm_complement(x), math::sigm_complement(-x)), (zero, one));
        assert_eq!((math::softplus(x), math::softplus(-x)), (x, zero));
        assert_eq!((math::sech2(x), math::sech2(-x)), (zero, zero));
        assert_eq!((math::sigm_variance(x), math::sigm_variance(-x)), (zero, zero));
    }
    assert_eq!((zero.sigm(), (-zero).sigm()), (T::HALF, T::HALF));
    assert_eq!((math::sech2(zero), math::sigm_variance(zero)), (one, T::from_f64(0.25)));
    for f in [
        T::exp,
        T::exp_m1,
        T::ln,
        T::ln_1p,
        T::tanh,
        T::sigm,
        T::sqrt,
        math::sech2,
        math::softplus,
        math::sigm_variance,
        math::sigm_complement,
    ] as [fn(T) -> T; 11]
    {
        assert!(f(T::NAN).to_f64().is_nan());
    }
    assert!((-one).sqrt().to_f64().is_nan());
    assert_eq!((T::from_f64(6.25).sqrt(), (-zero).sqrt()), (T::from_f64(2.5), zero));
    assert_eq!(T::TWO.powf(T::from_f64(10.0)), T::from_f64(1024.0));
    assert_eq!((zero.powf(zero), zero.powf(one), one.powf(infinity)), (one, zero, one));
}

fn logarithms_of_subnormal_numbers<T: Real>() {
    let bound = tolerance::<T>("ln", Oracle::Libm, 1);
    let mut x = T::MIN_POSITIVE;
    while x > T::ZERO {
        // Also where exp rounds to a subnormal number: half a unit there, and half for the sum.
        assert!(ulp_error(x.ln(), libm::log(x.to_f64())) <= bound);
        let y = libm::log(x.to_f64());
        let back = T::from_f64(y).exp();
        let want = libm::exp(T::from_f64(y).to_f64());
        assert!(ulp_error(back, want) <= tolerance::<T>("exp", Oracle::Libm, 1));
        x *= T::from_f64(0.43);
    }
}

fn exponentials_end_where_the_format_does<T: Real>() {
    // The largest argument with a finite exponential, and the next number.
    let top = if T::EPSILON.to_f64() > 1e-10 {
        f32::from_bits(0x42b1_7217).into()
    } else {
        709.782_712_893_384
    };
    assert!(T::from_f64(top).exp().is_finite() && T::from_f64(top).exp_m1().is_finite());
    let above = T::from_f64(top) * (T::ONE + T::TWO * T::EPSILON);
    assert_eq!((above.exp(), above.exp_m1()), (T::INFINITY, T::INFINITY));
}

fn slices_have_the_bits_of_scalars<T: Real>() {
    fn check<T: Real>(name: &str, t: &[T], f: impl Fn(T) -> T) {
        let mut out = vec![T::NAN; t.len()];
        for (o, x) in out.iter_mut().zip(t) {
            *o = f(*x);
        }
        for (o, x) in out.iter().zip(t) {
            // Hidden from the optimiser, so one element at a time.
            let one = f(std::hint::black_box(*x));
            assert!(*o == one || (o.to_f64().is_nan() && one.to_f64().is_nan()), "{name} at {x}");
        }
    }
    let t: Vec<T> = Random::new(5).uniforms(1027, -90.0, 90.0);
    check("exp", &t, T::exp);
    check("exp_m1", &t, T::exp_m1);
    check("ln", &t, T::ln);
    check("ln_1p", &t, T::ln_1p);
    check("tanh", &t, T::tanh);
    check("sigm", &t, T::sigm);
    check("softplus", &t, math::softplus);
    check("sech2", &t, math::sech2);
    check("sigm_variance", &t, math::sigm_variance);
}

both_dtypes!(
    special_values,
    logarithms_of_subnormal_numbers,
    exponentials_end_where_the_format_does,
    slices_have_the_bits_of_scalars,
);
