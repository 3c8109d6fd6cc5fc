//! The Lanczos recurrence: invariants, breakdowns, deflation, thick restart.

use relfisher_core::factor::eigh_workspace_len;
use relfisher_core::stats::{
    Lanczos, LanczosState, NextVector, Step, lanczos_restart_workspace_len, lanczos_workspace_len,
};
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, cast, to_f64};
use relfisher_tests::oracle::dense::{Matrix, dot};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Identity};

use crate::exact_dot;

/// A recurrence on a dense matrix, with everything it owns.
pub(crate) struct Run<T> {
    a: Matrix,
    capacity: usize,
    basis: Vec<T>,
    alpha: Vec<T>,
    beta: Vec<T>,
    work: Vec<T>,
    locked: Vec<T>,
}

impl<T: Real> Run<T> {
    pub(crate) fn new(a: &Matrix, capacity: usize, locked: &[T]) -> Self {
        let n = a.rows;
        Self {
            a: a.clone(),
            capacity,
            basis: nans((capacity + 1) * n),
            alpha: nans(capacity),
            beta: nans(capacity),
            work: nans(lanczos_workspace_len(capacity, locked.len().checked_div(n).unwrap_or(0))),
            locked: locked.to_vec(),
        }
    }

    pub(crate) fn lanczos(&mut self) -> Lanczos<'_, T> {
        let n = self.a.rows;
        let rows = self.locked.len().checked_div(n).unwrap_or(0);
        let basis = mat_mut(&mut self.basis, self.capacity + 1, n);
        let locked = mat(&self.locked, rows, n);
        let (alpha, beta) = (&mut self.alpha, &mut self.beta);
        Lanczos::new(basis, alpha, beta, locked, T::ZERO, &mut self.work).unwrap()
    }

    /// The recurrence of a state over the same memory.
    fn resume(&mut self, state: LanczosState<T>) -> Result<Lanczos<'_, T>, Error> {
        let n = self.a.rows;
        let rows = self.locked.len().checked_div(n).unwrap_or(0);
        let basis = mat_mut(&mut self.basis, self.capacity + 1, n);
        let locked = mat(&self.locked, rows, n);
        self.work.fill(T::NAN);
        Lanczos::resume(basis, &mut self.alpha, &mut self.beta, locked, state, &mut self.work)
    }
}

fn multiply<T: Real>(a: &Matrix, v: &[T]) -> Vec<T> {
    cast(&a.apply(&to_f64(v)))
}

/// Steps until the basis is full or invariant.
pub(crate) fn advance<T: Real>(a: &Matrix, lanczos: &mut Lanczos<'_, T>, mut step: Step) -> Step {
    while step == Step::Continue {
        let product = multiply(a, lanczos.next_vector());
        step = lanczos.advance(&Portable, &product).unwrap();
    }
    assert!(lanczos.next_vector().is_empty());
    step
}

/// A symmetric matrix with these eigenvalues in a random basis.
pub(crate) fn with_spectrum<T: Real>(random: &mut Random, values: &[f64]) -> Matrix {
    let q = Matrix::new(values.len(), values.len(), random.orthogonal(values.len()));
    let a = q.t().times(&Matrix::diagonal(values)).times(&q);
    Matrix::from_fn(a.rows, a.cols, |i, j| T::from_f64(0.5 * (a.at(i, j) + a.at(j, i))).to_f64())
}

/// V Vᵀ = I, V A Vᵀ = T, and what the rest of A V is.
fn check_relation<T: Real>(label: &str, a: &Matrix, lanczos: &Lanczos<'_, T>) {
    let (k, n) = (lanczos.len(), a.rows);
    let v = Matrix::new(k, n, to_f64(lanczos.basis().unwrap().data())[..k * n].to_vec());
    let unit: Vec<T> = cast(&v.times(&v.t()).data);
    assert_close(label, &unit, &Matrix::identity(k).data, "lanczos", Identity, n);
    let (alpha, beta) = (to_f64(lanczos.alpha()), to_f64(lanczos.beta()));
    let p = lanczos.kept();
    let t = Matrix::from_fn(k, k, |i, j| {
        let (i, j) = (i.min(j), i.max(j));
        let coupled = if i < p { j == p } else { j == i + 1 };
        if i == j { alpha[i] } else { f64::from(u8::from(coupled)) * beta[i] }
    });
    let scale = a.norm().max(f64::MIN_POSITIVE);
    let difference = v.times(a).times(&v.t()).plus(-1.0, &t).scaled(1.0 / scale);
    assert_close(label, &cast::<T>(&difference.data), &vec![0.0; k * k], "lanczos", Identity, n);
    // A vᵢ − Σ T_ij v_j has the norm of the last coupling in the last row, 0 in the others
    let rest = v.times(a).plus(-1.0, &t.times(&v));
    for (i, b) in beta.iter().enumerate() {
        let size = dot(rest.row(i), rest.row(i)).sqrt();
        let coupled = i + 1 == k || (i < p && k == p);
        let want = if coupled { b.abs() } else { 0.0 };
        let error = [T::from_f64((size - want) / scale)];
        assert_close(&format!("{label}, row {i}"), &error, &[0.0], "lanczos", Identity, n);
    }
}

fn recurrence<T: Real>() {
    let mut random = Random::new(2);
    for n in [1, 2, 3, 10, 33] {
        let values: Vec<f64> = random.uniforms(n, -2.0, 3.0);
        let a = with_spectrum::<T>(&mut random, &values);
        let v = random.normals::<T>(n);
        for capacity in [1, 2, n / 2 + 1, n] {
            let label = format!("{n}, {capacity} steps");
            let mut run = Run::<T>::new(&a, capacity, &[]);
            let mut lanczos = run.lanczos();
            assert!(lanczos.is_empty() && lanczos.next_vector().is_empty());
            let step = lanczos.start(&Portable, &v).unwrap();
            let end = advance(&a, &mut lanczos, step);
            assert_eq!(lanczos.len(), capacity.min(n), "{label}");
            check_relation(&label, &a, &lanczos);
            assert!(lanczos.scale().to_f64() <= a.norm() * 1.001);
            if capacity < n {
                assert_eq!(end, Step::Full);
            } else {
                // the whole space: all eigenvalues, with nothing left
                let (found, bounds, _) = ritz(&lanczos);
                assert_close(&label, &found, &a.eigh().0, "lanczos", Dense, n);
                let allowed = T::from_f64(1e3) * T::EPSILON;
                assert!(bounds.iter().all(|b| *b <= allowed), "{label}: {bounds:?}");
            }
            let first = to_f64(lanczos.alpha());
            let mut again = Run::<T>::new(&a, capacity, &[]);
            let mut lanczos = again.lanczos();
            let step = lanczos.start(&Portable, &v).unwrap();
            advance(&a, &mut lanczos, step);
            assert_bits_equal(&label, &cast::<T>(&first), lanczos.alpha());
        }
    }
}

fn ritz<T: Real>(lanczos: &Lanczos<'_, T>) -> (Vec<T>, Vec<T>, Vec<T>) {
    let k = lanczos.len();
    let (mut values, mut bounds, mut s) = (nans(k), nans(k), nans(k * k));
    let work = &mut nans(eigh_workspace_len(k));
    let columns = mat_mut(&mut s, k, k);
    lanczos.ritz(&Portable, &mut values, &mut bounds, columns, work).unwrap();
    (values, bounds, s)
}

/// Repeated eigenvalues end in a breakdown; another start vector finds the other copies.
fn breakdown<T: Real>() {
    let mut random = Random::new(3);
    let values = [4.0, 4.0, 4.0, 1.0, 1.0, 0.0, 0.0, 0.0, -2.0];
    let (n, distinct) = (values.len(), 4);
    let a = with_spectrum::<T>(&mut random, &values);
    let mut run = Run::<T>::new(&a, n, &[]);
    let mut lanczos = run.lanczos();
    let mut step = lanczos.start(&Portable, &random.normals::<T>(n)).unwrap();
    step = advance(&a, &mut lanczos, step);
    assert_eq!((step, lanczos.len()), (Step::Breakdown, distinct));
    assert_eq!(lanczos.beta().last(), Some(&T::ZERO));
    let (found, bounds, _) = ritz(&lanczos);
    assert_close("distinct", &found, &[-2.0, 0.0, 1.0, 4.0], "lanczos", Dense, n);
    assert!(bounds.iter().all(|b| *b == T::ZERO));
    // a vector in the span has nothing left
    let inside = lanczos.basis().unwrap().row(2).to_vec();
    assert_eq!(lanczos.start(&Portable, &inside), Ok(Step::Breakdown));
    while step != Step::Full {
        step = lanczos.start(&Portable, &random.normals::<T>(n)).unwrap();
        step = advance(&a, &mut lanczos, step);
    }
    check_relation("all copies", &a, &lanczos);
    let mut want = values.to_vec();
    want.sort_by(f64::total_cmp);
    assert_close("all copies", &ritz(&lanczos).0, &want, "lanczos", Dense, n);
    assert_eq!(lanczos.start(&Portable, &vec![T::ONE; n]), Ok(Step::Full));

    // nothing but zeros: every step is a breakdown
    let zero = Matrix::zeros(3, 3);
    let mut run = Run::<T>::new(&zero, 5, &[]);
    let mut lanczos = run.lanczos();
    for k in 1..=3 {
        let step = lanczos.start(&Portable, &random.normals::<T>(3)).unwrap();
        assert_eq!((step, advance(&zero, &mut lanczos, step)), (Step::Continue, Step::Breakdown));
        assert_eq!(lanczos.len(), k);
    }
    assert_eq!(lanczos.start(&Portable, &random.normals::<T>(3)), Ok(Step::Breakdown));
    assert_bits_equal("zeros", &ritz(&lanczos).0, &[T::ZERO; 3]);
}

/// Locked eigenvectors are invisible.
fn deflation<T: Real>() {
    let mut random = Random::new(4);
    let values = [5.0, 3.0, 2.5, 1.0, -4.0, 0.5, 0.25];
    let n = values.len();
    let a = with_spectrum::<T>(&mut random, &values);
    let (sorted, u) = a.eigh();
    // lock the largest and the smallest
    let column = |j: usize| (0..n).map(|i| u.at(i, j)).collect::<Vec<f64>>();
    let locked: Vec<T> = cast(&[column(n - 1), column(0)].concat());
    let mut run = Run::<T>::new(&a, n, &locked);
    let mut lanczos = run.lanczos();
    let start = random.normals::<T>(n);
    let step = lanczos.start(&Portable, &start).unwrap();
    assert_eq!(advance(&a, &mut lanczos, step), Step::Breakdown);
    assert_close("rest", &ritz(&lanczos).0, &sorted[1..n - 1], "lanczos", Dense, n);
    let leak: Vec<f64> = (0..n - 2)
        .flat_map(|i| {
            let row = to_f64(lanczos.basis().unwrap().row(i));
            [dot(&row, &column(0)), dot(&row, &column(n - 1))]
        })
        .collect();
    let zeros = vec![0.0; leak.len()];
    assert_close("orthogonal", &cast::<T>(&leak), &zeros, "lanczos", Identity, n);
}

/// A basis of 8 vectors, restarted until the three largest of 60 eigenvalues have converged.
fn thick_restart<T: Real>() {
    let mut random = Random::new(5);
    let (n, capacity, keep) = (60, 8, 4);
    let mut values: Vec<f64> = random.uniforms(n - 3, -1.0, 1.0);
    values.extend([1.5, 2.0, 3.0]);
    let a = with_spectrum::<T>(&mut random, &values);
    let mut run = Run::<T>::new(&a, capacity, &[]);
    let mut lanczos = run.lanczos();
    let mut step = lanczos.start(&Portable, &random.normals::<T>(n)).unwrap();
    let goal = T::from_f64(64.0) * T::EPSILON;
    for _ in 0..200 {
        assert_eq!(advance(&a, &mut lanczos, step), Step::Full);
        check_relation("restarted", &a, &lanczos);
        let (found, bounds, s) = ritz(&lanczos);
        if bounds[capacity - 3..].iter().all(|b| *b <= goal) {
            assert!(lanczos.kept() == keep, "one cycle cannot be enough");
            assert_close("three", &found[capacity - 3..], &[1.5, 2.0, 3.0], "lanczos", Dense, n);
            let mut x = nans::<T>(3 * n);
            let columns = mat(&s, capacity, capacity).sub(0, capacity - 3, capacity, 3).unwrap();
            lanczos.combine(&Portable, mat_mut(&mut x, 3, n), columns).unwrap();
            for (x, value) in x.chunks(n).zip([1.5, 2.0, 3.0]) {
                let want: Vec<f64> = to_f64(x).iter().map(|x| x * value).collect();
                assert_close("pair", &multiply(&a, x), &want, "lanczos", Identity, n);
            }
            return;
        }
        let columns = mat(&s, capacity, capacity).sub(0, capacity - keep, capacity, keep).unwrap();
        let mut work = nans(lanczos_restart_workspace_len(keep, n));
        let kept = &found[capacity - keep..];
        step = lanczos.restart(&Portable, kept, columns, &mut work).unwrap();
        assert_eq!((lanczos.len(), lanczos.kept()), (keep, keep));
        check_relation("just restarted", &a, &lanczos);
    }
    panic!("no convergence");
}

/// Taken up anew at every step, through a breakdown and a restart: the same bits as in one piece.
fn resumption<T: Real>() {
    let mut random = Random::new(21);
    let (n, capacity, keep) = (12, 7, 3);
    let a = Matrix::diagonal(&[9.0, 1.0, 2.0, 2.0, 2.0, 5.0, -1.0, 0.5, 3.0, 4.0, 6.0, 7.0]);
    // the first eigenvector is locked; the second alone spans an invariant space
    let unit = |i: usize| -> Vec<T> { cast(Matrix::identity(n).row(i)) };
    let (first, second) = (unit(1), random.normals::<T>(n));
    let (mut whole, mut pieces) =
        (Run::new(&a, capacity, &unit(0)), Run::new(&a, capacity, &unit(0)));
    let mut lanczos = whole.lanczos();
    let mut state = LanczosState::default();
    let (mut breakdowns, mut starts) = (0, [first, second].into_iter());
    let mut step = Step::Breakdown;
    for round in 0..2 {
        while step != Step::Full {
            let mut piece = pieces.resume(state).unwrap();
            assert_eq!(piece.next_vector(), lanczos.next_vector());
            if step == Step::Continue {
                let product = multiply(&a, lanczos.next_vector());
                step = lanczos.advance(&Portable, &product).unwrap();
                assert_eq!(piece.advance(&Portable, &product), Ok(step));
            } else {
                breakdowns += 1;
                let v = starts.next().expect("one breakdown");
                step = lanczos.start(&Portable, &v).unwrap();
                assert_eq!(piece.start(&Portable, &v), Ok(step));
            }
            state = piece.state();
            assert_eq!(state, lanczos.state());
        }
        assert_eq!((state.len, state.next), (capacity, NextVector::Ready), "round {round}");
        let (values, bounds, s) = ritz(&lanczos);
        let piece = pieces.resume(state).unwrap();
        let (again, others, columns) = ritz(&piece);
        assert_bits_equal("values", &again, &values);
        assert_bits_equal("bounds", &others, &bounds);
        assert_bits_equal("vectors", &columns, &s);
        let columns = mat(&s, capacity, capacity).sub(0, capacity - keep, capacity, keep).unwrap();
        let (kept, mut work) =
            (&values[capacity - keep..], nans(lanczos_restart_workspace_len(keep, n)));
        step = lanczos.restart(&Portable, kept, columns, &mut work).unwrap();
        let mut piece = pieces.resume(state).unwrap();
        assert_eq!(piece.restart(&Portable, kept, columns, &mut work), Ok(step));
        state = piece.state();
        assert_eq!((state, state.kept), (lanczos.state(), keep), "round {round}");
    }
    // once to begin with, once after the single step from an eigenvector
    assert_eq!(breakdowns, 2);
    for state in [
        LanczosState { len: capacity + 1, ..state },
        LanczosState { len: 2, kept: 3, ..state },
        LanczosState { scale: -T::ONE, ..state },
    ] {
        assert!(matches!(pieces.resume(state), Err(Error::Parameter { .. })), "{state:?}");
    }
}

fn refusals<T: Real>() {
    let a = Matrix::diagonal(&[1.0, 2.0, 3.0]);
    let (mut basis, mut alpha, mut beta) = (nans::<T>(9), nans::<T>(2), nans::<T>(2));
    let none = nans::<T>(0);
    let mut work = nans::<T>(3);
    let mut new = |rows: usize, betas: usize, columns: usize, scale: T, work: &mut [T]| {
        let locked = mat(&none, 0, columns);
        let basis = mat_mut(&mut basis, rows, 3);
        Lanczos::new(basis, &mut alpha, &mut beta[..betas], locked, scale, work).map(|_| ())
    };
    assert!(matches!(new(2, 2, 3, T::ZERO, &mut work), Err(Error::Shape { .. })));
    assert!(matches!(new(3, 1, 3, T::ZERO, &mut work), Err(Error::Shape { .. })));
    assert!(matches!(new(3, 2, 4, T::ZERO, &mut work), Err(Error::Shape { .. })));
    assert!(matches!(new(3, 2, 3, T::NAN, &mut work), Err(Error::Parameter { .. })));
    let short = new(3, 2, 3, T::ZERO, &mut work[..2]);
    assert_eq!(short, Err(Error::Workspace { needed: 3, found: 2 }));

    let mut run = Run::<T>::new(&a, 2, &[]);
    let mut lanczos = run.lanczos();
    let (ones, bad) = ([T::ONE; 3], [T::ONE, T::INFINITY, T::NAN]);
    assert!(matches!(lanczos.advance(&Portable, &ones), Err(Error::Parameter { .. })));
    assert!(matches!(lanczos.start(&Portable, &ones[1..]), Err(Error::Shape { .. })));
    assert!(matches!(lanczos.start(&Portable, &bad), Err(Error::NonFinite { index: 1, .. })));
    assert_eq!(lanczos.start(&Portable, &[T::ZERO; 3]), Ok(Step::Breakdown));
    assert_eq!(lanczos.start(&Portable, &ones), Ok(Step::Continue));
    assert!(matches!(lanczos.start(&Portable, &ones), Err(Error::Parameter { .. })));
    assert!(matches!(lanczos.advance(&Portable, &ones[1..]), Err(Error::Shape { .. })));
    assert!(matches!(lanczos.advance(&Portable, &bad), Err(Error::NonFinite { index: 1, .. })));
    advance(&a, &mut lanczos, Step::Continue);
    let values = nans::<T>(2);
    let s = [T::ONE, T::ZERO, T::ZERO, T::ONE];
    let mut restart = |values: &[T], p: usize, work: usize| {
        let columns = mat(&s, 2, 2).sub(0, 0, 2, p).unwrap();
        lanczos.restart(&Portable, values, columns, &mut nans(work))
    };
    assert!(matches!(restart(&[T::ONE; 2], 2, 9), Err(Error::Parameter { .. })));
    assert!(matches!(restart(&[T::ONE; 1], 2, 9), Err(Error::Shape { .. })));
    assert!(matches!(restart(&values[..1], 1, 9), Err(Error::NonFinite { .. })));
    let short = restart(&[T::ONE; 1], 1, 2);
    assert_eq!(short, Err(Error::Workspace { needed: 3, found: 2 }));
}

/// A million unknowns in single precision: the basis stays orthonormal.
fn orthogonality_at_size<T: Real>() {
    let (n, k) = (1_000_003, 12);
    let mut random = Random::new(8);
    let diagonal: Vec<T> = random.uniforms(n, 0.0, 1.0);
    let (mut basis, mut alpha, mut beta) = (nans::<T>((k + 1) * n), nans::<T>(k), nans::<T>(k));
    let mut work = nans::<T>(lanczos_workspace_len(k, 0));
    let mut lanczos = Lanczos::new(
        mat_mut(&mut basis, k + 1, n),
        &mut alpha,
        &mut beta,
        mat(&[], 0, n),
        T::ZERO,
        &mut work,
    )
    .unwrap();
    let mut step = lanczos.start(&Portable, &random.normals::<T>(n)).unwrap();
    while step == Step::Continue {
        let product: Vec<T> =
            diagonal.iter().zip(lanczos.next_vector()).map(|(d, v)| *d * *v).collect();
        step = lanczos.advance(&Portable, &product).unwrap();
    }
    let rows = lanczos.basis().unwrap();
    for i in 0..k {
        for j in 0..=i {
            let want = f64::from(u8::from(i == j));
            let error = [T::from_f64(exact_dot(rows.row(i), rows.row(j)) - want)];
            assert_close(&format!("({i}, {j})"), &error, &[0.0], "long basis", Identity, 1);
        }
    }
}

both_dtypes!(
    recurrence,
    breakdown,
    deflation,
    thick_restart,
    resumption,
    refusals,
    orthogonality_at_size,
);
