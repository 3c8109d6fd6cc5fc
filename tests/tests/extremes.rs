//! Numbers at the ends of the formats through every routine of the catalogue: zeros of both signs,
//! denormals, the smallest and the largest, infinities and NaN, everywhere or here and there, and inputs
//! of extreme sizes. Never a panic, never an answer that depends on what buffers held, always an end;
//! what promises to refuse numbers that are not finite refuses them, and gives none back but where the
//! result of finite ones lies outside the format.
//! Where a formula is homogeneous, inputs times a power of two give results times its power, bit by bit.

use std::time::{Duration, Instant};

use relfisher_core::kron::{
    self, Damping, KronCholesky, KronEigen, kron_cholesky_solve_workspace_len,
    kron_eigen_apply_workspace_len, kron_eigen_factor_workspace_len,
};
use relfisher_core::{Error, Portable, Real, factor};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::assert_bits_equal;
use relfisher_tests::random::Random;
use relfisher_tests::real::{dtype, mat, mat_mut, nans};
use relfisher_tests::routines::{self, NonFinite, Plan, Routine};

/// Odd, of one element, wider than high, over a tile.
const SHAPES: [[usize; 4]; 4] = [[1, 1, 1, 1], [3, 2, 4, 5], [9, 3, 2, 1], [5, 4, 9, 3]];

/// What a call of these sizes may take: minutes would be an endless loop.
const LIMIT: Duration = Duration::from_secs(20);

/// The numbers at the ends of the format.
fn ends<T: Real>() -> Vec<T> {
    let single = T::EPSILON.to_f64() > 1e-10;
    let (least, denormal) = if single { (1.4e-45, 1e-40) } else { (5e-324, 1e-310) };
    let (small, large) = if single { (1e-38, 1e38) } else { (1e-300, 1e300) };
    let plain = [0.0, least, denormal, small, large].map(T::from_f64);
    let mut all = [plain.as_slice(), &[T::MIN_POSITIVE, T::MAX, T::INFINITY]].concat();
    all.extend(all.clone().into_iter().map(|x| -x));
    all.push(T::NAN);
    assert!(all[1] > T::ZERO && all[1] < T::MIN_POSITIVE, "denormals are kept");
    all
}

/// Two calls with differently filled buffers; their common answer.
fn answer<T: Real>(routine: &Routine<T>, plan: &Plan<T>, label: &str) -> Result<Vec<T>, Error> {
    let begin = Instant::now();
    let first = (routine.call)(&mut plan.clone());
    let second = (routine.call)(&mut Plan { fill: T::from_f64(3.0), ..plan.clone() });
    assert!(begin.elapsed() < LIMIT, "{label}: took {:?}", begin.elapsed());
    match (&first, &second) {
        (Ok(a), Ok(b)) => assert_bits_equal(label, a, b),
        (Err(a), Err(b)) => assert_eq!(a, b, "{label}: two answers"),
        _ => panic!("{label}: depends on what its buffers held: {first:?}, {second:?}"),
    }
    first
}

fn numbers_at_the_ends<T: Real>() {
    for routine in routines::all::<T>() {
        for shape in SHAPES {
            let mut plain = Plan::<T>::new(shape, 1.0, 7);
            let usual = (routine.call)(&mut plain);
            assert!(usual.is_ok(), "{} of {shape:?}: {usual:?}", routine.name);
            for value in ends::<T>() {
                for apart in [1, 3, 7] {
                    let label = format!(
                        "{} of {shape:?} with {value} at every {apart} ({})",
                        routine.name,
                        dtype::<T>()
                    );
                    let plan = Plan { extreme: Some((value, apart)), ..Plan::new(shape, 1.0, 7) };
                    let answer = answer(&routine, &plan, &label);
                    let refuses = routine.non_finite == NonFinite::Refused && plain.elements > 0;
                    match answer {
                        Ok(out) => {
                            assert!(
                                !(refuses && apart == 1 && !value.is_finite()),
                                "{label}: accepted"
                            );
                            // A number that was not read, or that nothing extreme can come of.
                            let tame = !value.is_finite() || value == T::ZERO;
                            assert!(!(refuses && tame) || finite(&out), "{label}: gives {out:?}");
                        }
                        Err(e) => {
                            let shapes = matches!(
                                e,
                                Error::Shape { .. }
                                    | Error::Layout { .. }
                                    | Error::Workspace { .. }
                            );
                            assert!(!shapes, "{label}: {e}");
                        }
                    }
                }
            }
        }
    }
}

/// Sizes of all inputs whose squares and products leave the format.
fn extreme_sizes<T: Real>() {
    let single = T::EPSILON.to_f64() > 1e-10;
    let powers: &[i32] =
        if single { &[-44, -40, -30, -20, 20, 30, 37] } else { &[-322, -310, -200, 160, 200, 300] };
    for routine in routines::all::<T>() {
        for shape in SHAPES {
            for &power in powers {
                let name = routine.name;
                let label = format!("{name} of {shape:?} × 1e{power} ({})", dtype::<T>());
                let plan = Plan::new(shape, 10.0_f64.powi(power), 11);
                match answer(&routine, &plan, &label) {
                    Ok(_) | Err(Error::NonFinite { .. } | Error::NotPositiveDefinite { .. }) => {}
                    // A damping or a step length that overflowed; an iteration that gives up.
                    Err(Error::Parameter { .. } | Error::NoConvergence { .. }) => {}
                    Err(e) => panic!("{label}: {e}"),
                }
            }
        }
    }
}

fn finite<T: Real>(a: &[T]) -> bool {
    a.iter().all(|x| x.is_finite())
}

/// x · 2ᵏ, which is exact.
fn scaled<T: Real>(x: &[T], power: i32) -> Vec<T> {
    let factor = 2.0_f64.powi(power);
    let out: Vec<T> = x.iter().map(|x| T::from_f64(x.to_f64() * factor)).collect();
    assert!(out.iter().zip(x).all(|(y, x)| y.to_f64() == x.to_f64() * factor), "exact");
    out
}

const ORDER: usize = 13;
const BATCH: usize = 5;
const POWERS: [i32; 4] = [-100, -99, 60, 100];

fn definite<T: Real>() -> Vec<T> {
    Random::new(3).spd(ORDER, 100.0)
}

fn cholesky_scales<T: Real>() {
    let (a, n) = (definite::<T>(), ORDER);
    let factor_of = |a: &[T]| {
        let mut l = a.to_vec();
        factor::cholesky(mat_mut(&mut l, n, n), T::ZERO).expect("definite");
        l
    };
    let plain = factor_of(&a);
    for power in POWERS.into_iter().filter(|p| p % 2 == 0) {
        let label = format!("L of A · 2^{power}");
        assert_bits_equal(&label, &factor_of(&scaled(&a, power)), &scaled(&plain, power / 2));
    }
}

fn inverse_scales<T: Real>() {
    let (a, n) = (definite::<T>(), ORDER);
    let inverse = |a: &[T]| {
        let (mut x, mut work) = (a.to_vec(), nans(factor::spd_inverse_workspace_len(n)));
        factor::spd_inverse(mat_mut(&mut x, n, n), T::ZERO, &mut work).expect("definite");
        x
    };
    let plain = inverse(&a);
    for power in POWERS.into_iter().filter(|p| p % 2 == 0) {
        let label = format!("(A · 2^{power})⁻¹");
        assert_bits_equal(&label, &inverse(&scaled(&a, power)), &scaled(&plain, -power));
    }
}

/// Vectors and values, of one matrix and of a batch of equal ones.
fn eigh_scales<T: Real>() {
    let (a, n) = (definite::<T>(), ORDER);
    let one = |a: &[T]| {
        let (mut u, mut values) = (a.to_vec(), nans(n));
        let mut work = nans(factor::eigh_workspace_len(n));
        factor::eigh(mat_mut(&mut u, n, n), &mut values, &mut work).expect("converges");
        (u, values)
    };
    let many = |a: &[T]| {
        let (mut u, mut values) = (a.repeat(BATCH), nans(BATCH * n));
        let mut work = nans(factor::eigh_batch_workspace_len(n));
        let (u_view, v) = (mat_mut(&mut u, BATCH, n * n), mat_mut(&mut values, BATCH, n));
        factor::eigh_batch(u_view, v, n, &mut work).expect("converges");
        (u, values)
    };
    for decompose in [&one as &dyn Fn(&[T]) -> (Vec<T>, Vec<T>), &many] {
        let (vectors, values) = decompose(&a);
        for power in POWERS {
            let (u, v) = decompose(&scaled(&a, power));
            assert_bits_equal(&format!("U of A · 2^{power}"), &u, &vectors);
            assert_bits_equal(&format!("Λ of A · 2^{power}"), &v, &scaled(&values, power));
        }
    }
}

/// (2ᵖG ⊗ 2ᑫA + 2ᵖ⁺ᑫλI)⁻¹V = 2⁻ᵖ⁻ᑫ(G ⊗ A + λI)⁻¹V, with factored and with exact damping.
fn kronecker_solve_scales<T: Real>() {
    let (m, d) = (5, ORDER);
    let mut random = Random::new(5);
    let (g, a): (Vec<T>, Vec<T>) = (random.spd(m, 50.0), random.spd(d, 50.0));
    let v: Vec<T> = random.normals(m * d);
    let lambda = T::from_f64(0.375);
    let split = |g: &[T], a: &[T], lambda: T| {
        let (mut g, mut a, mut v) = (g.to_vec(), a.to_vec(), v.clone());
        let damping = kron::split_damping(mat(&g, m, m), mat(&a, d, d), lambda, Damping::Pi);
        let (left, right) = (mat_mut(&mut g, m, m), mat_mut(&mut a, d, d));
        let factors = KronCholesky::factor(&Portable, left, right, damping.expect("damping"));
        let mut work = nans(kron_cholesky_solve_workspace_len(m, d));
        let view = mat_mut(&mut v, m, d);
        factors.expect("definite").solve(&Portable, view, &mut work).expect("solves");
        v
    };
    let exact = |g: &[T], a: &[T], lambda: T| {
        let (mut g, mut a, mut v) = (g.to_vec(), a.to_vec(), v.clone());
        let (mut s, mut t) = (nans(m), nans(d));
        let mut work = nans(kron_eigen_factor_workspace_len(m, d));
        let (left, right) = (mat_mut(&mut g, m, m), mat_mut(&mut a, d, d));
        let basis = KronEigen::factor(&Portable, (left, &mut s), (right, &mut t), &mut work);
        let mut work = nans(kron_eigen_apply_workspace_len(m, d));
        let view = mat_mut(&mut v, m, d);
        basis.expect("converges").solve(&Portable, view, lambda, &mut work).expect("solves");
        v
    };
    for solve in [&split as &dyn Fn(&[T], &[T], T) -> Vec<T>, &exact] {
        let plain = solve(&g, &a, lambda);
        for (p, q) in [(100, -100), (-100, 100), (-60, 20), (40, 60), (100, 0), (0, -100)] {
            let damping = scaled(&[lambda], p + q)[0];
            let step = solve(&scaled(&g, p), &scaled(&a, q), damping);
            let label = format!("(2^{p} G ⊗ 2^{q} A)⁻¹V");
            assert_bits_equal(&label, &step, &scaled(&plain, -p - q));
        }
    }
}

both_dtypes!(
    numbers_at_the_ends,
    extreme_sizes,
    cholesky_scales,
    inverse_scales,
    eigh_scales,
    kronecker_solve_scales
);
