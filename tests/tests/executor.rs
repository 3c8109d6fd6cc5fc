//! The CPU executor against the core's sequential backend, and against itself with one thread.

use relfisher::Scalar;
use relfisher::executor::{Cpu, Executor, MAX_CHUNK_SLICES};
use relfisher_core::metric::cost::Construction;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Backend, Error, MatMut, MatRef, Portable, factor};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, to_f64};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle;

type Run<'a, T> = &'a dyn Fn(&dyn Backend<T>, &mut [T]) -> Result<(), Error>;

fn cpus() -> [Cpu; 3] {
    [1, 2, 3].map(|threads| Cpu::new(Some(threads)).expect("threads"))
}

/// The same bits on one, two and three threads; returns the result.
#[track_caller]
fn same<T: Scalar>(label: &str, start: &[T], run: &dyn Fn(&Cpu, &mut [T])) -> Vec<T> {
    let [one, two, three] = cpus().map(|cpu| {
        let mut got = start.to_vec();
        run(&cpu, &mut got);
        // again, with scratch that is not fresh
        let mut again = start.to_vec();
        run(&cpu, &mut again);
        assert_bits_equal(&format!("{label}, repeated"), &got, &again);
        got
    });
    assert_bits_equal(&format!("{label}, 1 and 2 threads"), &one, &two);
    assert_bits_equal(&format!("{label}, 1 and 3 threads"), &one, &three);
    one
}

/// A routine on 1, 2 and 3 threads: same bits, near the sequential backend.
#[track_caller]
fn check<T: Scalar>(label: &str, routine: &str, n: usize, start: &[T], run: Run<'_, T>) {
    let mut want = start.to_vec();
    run(&Portable, &mut want).unwrap_or_else(|e| panic!("{label}: portable: {e}"));
    let got = same(label, start, &|cpu, out| {
        run(cpu, out).unwrap_or_else(|e| panic!("{label}: cpu: {e}"));
    });
    assert_close(label, &got, &to_f64(&want), routine, Oracle::Sibling, n);
}

/// The same kind of error as the sequential backend, and no panic.
#[track_caller]
fn refuse<T: Scalar>(label: &str, start: &[T], run: Run<'_, T>) {
    let mut buffer = start.to_vec();
    let want = run(&Portable, &mut buffer).expect_err("portable accepts");
    for cpu in cpus() {
        let mut buffer = start.to_vec();
        let got = run(&cpu, &mut buffer).expect_err("cpu accepts");
        let alike = match (want, got) {
            (Error::Shape { .. }, Error::Shape { .. })
            | (Error::Layout { .. }, Error::Layout { .. })
            | (Error::NonFinite { .. }, Error::NonFinite { .. })
            | (Error::Parameter { .. }, Error::Parameter { .. }) => true,
            (a, b) => a == b,
        };
        assert!(alike, "{label}: portable says {want}, cpu says {got}");
    }
}

fn gemm<T: Scalar>() {
    let mut random = Random::new(1);
    let shapes = [
        (0, 3, 2),
        (3, 0, 2),
        (3, 2, 0),
        (1, 1, 1),
        (1, 7, 9),
        (7, 1, 9),
        (7, 9, 1),
        (5, 3, 4),
        (33, 17, 65),
        (50, 80, 785),
        (80, 785, 50),
        (97, 130, 600),
        (257, 300, 129),
    ];
    for (p, q, k) in shapes {
        let (a, b) = (random.normals::<T>(p * k), random.normals::<T>(k * q));
        let c = random.normals::<T>(p * q);
        let alpha = T::from_f64(-1.5);
        for (beta, start) in [(T::ZERO, nans(p * q)), (T::ONE, c.clone()), (T::HALF, c)] {
            let label = format!("gemm {p} {q} {k} beta {beta}");
            check(&label, "gemm", k + 1, &start, &|e, c| {
                e.gemm(mat_mut(c, p, q), beta, alpha, mat(&a, p, k), mat(&b, k, q))
            });
            check(&format!("{label}, transposed"), "gemm", k + 1, &start, &|e, c| {
                e.gemm(mat_mut(c, q, p).t(), beta, alpha, mat(&a, k, p).t(), mat(&b, q, k).t())
            });
        }
    }
    let (a, b) = (random.normals::<T>(60), random.normals::<T>(60));
    check("gemm, gaps everywhere", "gemm", 5, &nans::<T>(9), &|e, c| {
        let a = MatRef::with_strides(&a, 3, 4, 13, 3)?;
        let b = MatRef::with_strides(&b, 4, 3, 2, 11)?;
        e.gemm(mat_mut(c, 3, 3), T::ZERO, T::ONE, a, b)
    });
    refuse("gemm: k", &nans::<T>(6), &|e, c| {
        e.gemm(mat_mut(c, 2, 3), T::ZERO, T::ONE, mat(&a, 2, 4), mat(&b, 5, 3))
    });
    refuse("gemm: rows", &nans::<T>(6), &|e, c| {
        e.gemm(mat_mut(c, 2, 3), T::ZERO, T::ONE, mat(&a, 3, 4), mat(&b, 4, 3))
    });
}

fn symmetric<T: Scalar>(random: &mut Random, d: usize) -> Vec<T> {
    let mut a = random.normals::<T>(d * d);
    for i in 0..d {
        for j in 0..i {
            a[j * d + i] = a[i * d + j];
        }
    }
    a
}

fn gram<T: Scalar>() {
    let mut random = Random::new(2);
    for (n, d) in [(0, 3), (3, 0), (1, 1), (4, 7), (50, 81), (130, 257), (60, 785)] {
        let x = random.normals::<T>(n * d);
        let w = random.uniforms::<T>(n, -1.0, 2.0);
        let kept = symmetric(&mut random, d);
        for (beta, start) in [(T::ZERO, nans(d * d)), (T::HALF, kept)] {
            let label = format!("gram_lower {n} {d} beta {beta}");
            check(&label, "gram", n + 1, &start, &|e, c| {
                e.gram_lower(mat_mut(c, d, d), beta, T::HALF, mat(&x, n, d), &mut [])?;
                // the strict upper triangle is unspecified
                (0..d).for_each(|i| (0..i).for_each(|j| c[j * d + i] = c[i * d + j]));
                Ok(())
            });
            for weights in [None, Some(&w[..])] {
                let label = format!("gram {n} {d} beta {beta}");
                check(&label, "gram", n + 1, &start, &|e, c| {
                    e.gram(mat_mut(c, d, d), beta, T::HALF, mat(&x, n, d), weights, &mut [])
                });
            }
        }
    }
    let x = random.normals::<T>(12);
    refuse("gram: weights", &nans::<T>(9), &|e, c| {
        e.gram(mat_mut(c, 3, 3), T::ZERO, T::ONE, mat(&x, 4, 3), Some(&x[..3]), &mut [])
    });
    refuse("gram_lower: columns", &nans::<T>(12), &|e, c| {
        e.gram_lower(mat_mut(c, 3, 4), T::ZERO, T::ONE, mat(&x, 4, 3), &mut [])
    });
}

fn packed_grams<T: Scalar>() {
    let mut random = Random::new(3);
    let shapes = [
        (0, 2, 3),
        (2, 0, 3),
        (2, 3, 0),
        (1, 1, 1),
        (3, 5, 7),
        (9, 17, 30),
        (8, 49, 129),
        (13, 97, 260),
        (80, 81, 50),
    ];
    for (m, d, n) in shapes {
        let p = d * (d + 1) / 2;
        let (x, nu) = (random.normals::<T>(n * d), random.uniforms::<T>(n * m, -0.5, 1.0));
        let (x, nu) = (mat(&x, n, d), mat(&nu, n, m));
        let kept = random.normals::<T>(m * p);
        for (beta, start) in [(T::ZERO, nans(m * p)), (T::HALF, kept)] {
            let label = format!("packed_grams {m} {d} {n} beta {beta}");
            check(&label, "packed_grams", n + 1, &start, &|e, out| {
                e.packed_grams(mat_mut(out, m, p), beta, T::HALF, x, nu, &mut [])
            });
            let mut want = start.clone();
            let out = mat_mut(&mut want, m, p);
            Portable.packed_grams(out, beta, T::HALF, x, nu, &mut []).expect("shapes");
            for how in Construction::ALL {
                let got = same(&label, &start, &|cpu, out| {
                    let out = mat_mut(out, m, p);
                    cpu.packed_grams_by(out, (beta, T::HALF), x, nu, Some(how)).expect("shapes");
                });
                let want = to_f64(&want);
                assert_close(&label, &got, &want, "packed_grams", Oracle::Sibling, n + 1);
            }
        }
    }
    let x = random.normals::<T>(12);
    refuse("packed_grams: out", &nans::<T>(12), &|e, c| {
        e.packed_grams(mat_mut(c, 2, 5), T::ZERO, T::ONE, mat(&x, 4, 3), mat(&x, 4, 2), &mut [])
    });
    refuse("packed_grams: samples", &nans::<T>(12), &|e, c| {
        e.packed_grams(mat_mut(c, 2, 6), T::ZERO, T::ONE, mat(&x, 4, 3), mat(&x, 3, 2), &mut [])
    });
}

/// A well conditioned positive definite matrix, d × d; NaN above the diagonal.
fn definite<T: Scalar>(random: &mut Random, d: usize) -> Vec<T> {
    let x = random.normals::<T>(2 * d * d);
    let mut a = nans::<T>(d * d);
    let x = mat(&x, 2 * d, d);
    let scale = T::ONE / T::from_usize(d.max(1));
    Portable.gram(mat_mut(&mut a, d, d), T::ZERO, scale, x, None, &mut []).expect("shapes");
    for i in 0..d {
        a[i * d + i] += T::HALF;
        a[i * d + i + 1..(i + 1) * d].fill(T::NAN);
    }
    a
}

fn packed<T: Scalar>(a: &[T], d: usize) -> Vec<T> {
    (0..d).flat_map(|i| a[i * d..=i * d + i].to_vec()).collect()
}

const ORDERS: [usize; 10] = [0, 1, 2, 5, 31, 33, 64, 97, 150, 271];

fn factorisations<T: Scalar>() {
    let mut random = Random::new(4);
    let damping = T::from_f64(0.25);
    for d in ORDERS {
        let a = definite::<T>(&mut random, d);
        let mut l = a.clone();
        Portable.cholesky(mat_mut(&mut l, d, d), damping).expect("definite");
        check(&format!("cholesky {d}"), "factor", d, &a, &|e, a| {
            e.cholesky(mat_mut(a, d, d), damping)
        });
        check(&format!("spd_inverse {d}"), "factor", d, &a, &|e, a| {
            let mut work = nans(factor::spd_inverse_workspace_len(d));
            e.spd_inverse(mat_mut(a, d, d), damping, &mut work)
        });
        for k in [0, 1, 3, 15, 16, 40, 260] {
            let b = random.normals::<T>(d * k);
            check(&format!("cholesky_solve {d} {k}"), "factor", d, &b, &|e, b| {
                e.cholesky_solve(mat_mut(b, d, k), mat(&l, d, d))
            });
            let stack = [random.normals::<T>(2 * d * k), b.clone()].concat();
            check(&format!("stacked {d} {k}"), "factor", d, &stack, &|e, b| {
                e.cholesky_solve_stacked(mat_mut(b, 3 * d, k), mat(&l, d, d))
            });
            check(&format!("cholesky_solve, columns {d} {k}"), "factor", d, &b, &|e, b| {
                e.cholesky_solve(mat_mut(b, k, d).t(), mat(&l, d, d))
            });
        }
    }
}

fn refusals<T: Scalar>() {
    let mut random = Random::new(5);
    for d in [3, 60] {
        let mut a = definite::<T>(&mut random, d);
        for damping in [-T::ONE, T::NAN, T::INFINITY] {
            refuse("damping", &a, &|e, a| e.cholesky(mat_mut(a, d, d), damping));
        }
        a[d * (d - 1) + 1] = T::NAN;
        refuse("cholesky: NaN", &a, &|e, a| e.cholesky(mat_mut(a, d, d), T::ONE));
        refuse("spd_inverse: NaN", &a, &|e, a| {
            let mut work = nans(factor::spd_inverse_workspace_len(d));
            e.spd_inverse(mat_mut(a, d, d), T::ONE, &mut work)
        });
        refuse("eigh: NaN", &a, &|e, a| {
            let mut work = nans(factor::eigh_workspace_len(d));
            e.eigh(mat_mut(a, d, d), &mut nans(d), &mut work)
        });
        let mut bad: Vec<T> = vec![T::ZERO; d * d];
        (0..d).for_each(|i| bad[i * d + i] = if i == d / 2 { -T::ONE } else { T::ONE });
        refuse("indefinite", &bad, &|e, a| e.cholesky(mat_mut(a, d, d), T::ZERO));
        let flat = vec![T::ONE; d * d];
        refuse("rank one", &flat, &|e, a| e.cholesky(mat_mut(a, d, d), T::ZERO));
        let good = packed(&definite::<T>(&mut random, d), d);
        let len = good.len();
        let blocks: Vec<T> = [good.clone(), good.clone(), packed(&bad, d), good].concat();
        refuse("packed_cholesky: block 2", &blocks, &|e, a| {
            e.packed_cholesky(mat_mut(a, 4, len), d, T::ZERO)
        });
        refuse("packed_inverse: block 2", &blocks, &|e, a| {
            let mut work = nans(factor::packed_inverse_workspace_len(d));
            e.packed_inverse(mat_mut(a, 4, len), d, T::ZERO, &mut work)
        });
        refuse("packed_cholesky: order", &blocks, &|e, a| {
            e.packed_cholesky(mat_mut(a, 4, len), d + 1, T::ZERO)
        });
    }
}

fn eigenvectors<T: Scalar>() {
    let mut random = Random::new(6);
    for d in ORDERS {
        let mut both = symmetric::<T>(&mut random, d);
        let a = both.clone();
        both.extend(nans::<T>(d));
        let got = same(&format!("eigh {d}"), &both, &|cpu, both| {
            let (u, values) = both.split_at_mut(d * d);
            let mut work = nans(factor::eigh_workspace_len(d));
            cpu.eigh(mat_mut(u, d, d), values, &mut work).expect("converges");
        });
        let (u, values) = got.split_at(d * d);
        assert!(values.is_sorted(), "ascending");
        let scaled: Vec<T> = (0..d * d).map(|k| u[k] * values[k % d.max(1)]).collect();
        let mut back = nans::<T>(d * d);
        let (out, u) = (mat_mut(&mut back, d, d), mat(u, d, d));
        Portable.gemm(out, T::ZERO, T::ONE, mat(&scaled, d, d), u.t()).expect("shapes");
        assert_close(&format!("eigh {d}"), &back, &to_f64(&a), "eigh", Oracle::Identity, d);
    }
}

fn batches<T: Scalar>() {
    let mut random = Random::new(7);
    let damping = T::from_f64(0.1);
    for (m, d) in [(0, 4), (1, 1), (3, 0), (5, 7), (17, 30), (4, 60), (3, 131)] {
        let len = d * (d + 1) / 2;
        let blocks: Vec<T> =
            (0..m).flat_map(|_| packed(&definite::<T>(&mut random, d), d)).collect();
        let mut factors = blocks.clone();
        Portable.packed_cholesky(mat_mut(&mut factors, m, len), d, damping).expect("definite");
        let v = random.normals::<T>(m * d);
        let label = format!("{m} blocks of {d}");
        check(&label, "factor", d, &blocks, &|e, b| {
            e.packed_cholesky(mat_mut(b, m, len), d, damping)
        });
        check(&label, "factor", d, &blocks, &|e, b| {
            let mut work = nans(factor::packed_inverse_workspace_len(d));
            e.packed_inverse(mat_mut(b, m, len), d, damping, &mut work)
        });
        check(&label, "symv", d, &nans(m * d), &|e, out| {
            e.packed_symv(mat_mut(out, m, d), mat(&blocks, m, len), mat(&v, m, d))
        });
        check(&label, "factor", d, &v, &|e, v| {
            e.packed_cholesky_solve(mat_mut(v, m, d), mat(&factors, m, len))
        });
    }
}

fn small_systems<T: Scalar>() {
    let mut random = Random::new(8);
    for (n, m) in [(0, 3), (3, 0), (1, 1), (5, 16), (7, 17), (50, 80), (33, 41)] {
        let x = random.normals::<T>(n * 10);
        let mut k = nans::<T>(n * n);
        let (x, tenth) = (mat(&x, n, 10), T::from_f64(0.1));
        Portable.gemm(mat_mut(&mut k, n, n), T::ZERO, tenth, x, x.t()).expect("shapes");
        let mut s = random.uniforms::<T>(n * m, 0.0, 1.0);
        s.iter_mut().step_by(3).for_each(|s| *s = T::ZERO);
        let z = random.normals::<T>(n * m);
        check(&format!("scaled_gram_solve {n} {m}"), "factor", n, &z, &|e, z| {
            let mut work = nans(factor::scaled_gram_solve_workspace_len(n, m));
            let (k, s) = (mat(&k, n, n), mat(&s, n, m));
            e.scaled_gram_solve(mat_mut(z, n, m), k, s, T::ONE, &mut work)
        });
    }
    let (z, ones) = (random.normals::<T>(60), vec![T::ONE; 60]);
    for (columns, damping) in [(19, T::ONE), (20, T::ZERO)] {
        refuse("scaled_gram_solve", &z, &|e, z| {
            let mut work = nans(factor::scaled_gram_solve_workspace_len(3, 20));
            let (k, s) = (mat(&ones, 3, 3), mat(&ones, 3, columns));
            e.scaled_gram_solve(mat_mut(z, 3, 20), k, s, damping, &mut work)
        });
    }
}

/// Rows with gaps of NaN between them.
fn spread<T: Scalar>(data: &[T], [n, m, stride]: [usize; 3]) -> Vec<T> {
    let mut out = nans::<T>(n * stride);
    for (row, data) in out.chunks_mut(stride).zip(data.chunks(m.max(1))) {
        row[..m].copy_from_slice(&data[..m]);
    }
    out
}

fn elementwise<T: Scalar>() {
    let mut random = Random::new(9);
    let c = T::from_f64;
    let activations = [
        Activation::Linear,
        Activation::Tanh,
        Activation::Sigm,
        Activation::Relu { leak: c(0.125) },
        Activation::Elu { alpha: c(1.5) },
    ];
    let responses = [
        Response::Tanh,
        Response::Sigm,
        Response::Relu { leak: c(0.0), smoothing: c(1.0), sigma: c(1.0) },
        Response::Relu { leak: c(0.25), smoothing: c(0.0), sigma: c(0.5) },
        Response::Elu { alpha: c(1.0), sigma: c(2.0) },
        Response::Linear { sigma: c(0.5) },
        Response::Gaussian { activation: Activation::Tanh, sigma: c(1.0) },
    ];
    let shapes = [[0, 3, 3], [3, 0, 1], [1, 1, 1], [7, 5, 6], [50, 80, 81], [300, 81, 81]];
    for shape @ [n, m, stride] in shapes {
        let t = random.uniforms::<T>(n * m, -9.0, 9.0);
        let view = mat(&t, n, m);
        let start = random.normals::<T>(n * m);
        // every element by the scalar formula, the gaps between the rows untouched
        type Call<'a, T> = &'a dyn Fn(&Cpu, MatMut<'_, T>) -> Result<(), Error>;
        let exact = |label: &str, want: &[T], call: Call<'_, T>| {
            let got = same(label, &spread(&start, shape), &|cpu, out| {
                let out = MatMut::with_strides(out, n, m, stride, 1).expect("shape");
                call(cpu, out).expect("shapes");
            });
            assert_bits_equal(label, &got, &spread(want, shape));
        };
        for f in activations {
            let want: Vec<T> = t.iter().map(|t| f.value(*t)).collect();
            exact("activate", &want, &|cpu, out| cpu.activate(out, view, f));
            let want: Vec<T> = t.iter().zip(&start).map(|(t, d)| *d * f.derivative(*t)).collect();
            exact("backward", &want, &|cpu, out| cpu.activation_backward(out, view, f));
        }
        for r in responses {
            let want: Vec<T> = t.iter().map(|t| r.nu(*t)).collect();
            exact("response_nu", &want, &|cpu, out| cpu.response_nu(out, view, r));
        }
        let got = same("softmax", &nans(n * m), &|cpu, out| {
            cpu.softmax(mat_mut(out, n, m), view).expect("shapes");
        });
        for (got, t) in got.chunks(m.max(1)).zip(t.chunks(m.max(1))) {
            let t = to_f64(t);
            let top = t.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let total: f64 = t.iter().map(|x| (x - top).exp()).sum();
            let want: Vec<f64> = t.iter().map(|x| (x - top).exp() / total).collect();
            assert_close("softmax", got, &want, "softmax", Oracle::HigherPrecision, m);
        }
        let cpu = &cpus()[1];
        let mut wrong = nans::<T>((n + 1) * m.max(1));
        let out = mat_mut(&mut wrong, n + 1, m);
        assert!(cpu.activate(out, view, Activation::Tanh).is_err(), "one row too many");
    }
}

fn chunks<T: Scalar>() {
    let mut random = Random::new(10);
    for len in [0, 1, 8191, 8192, 8193, 100_003] {
        let (a, b) = (random.normals::<T>(len), random.normals::<T>(len));
        let start = [a.clone(), b.clone()].concat();
        let got = same("chunks", &start, &|cpu, both| {
            let (p, q) = both.split_at_mut(len);
            cpu.for_each_chunk(&mut [p, q], &[&a], &|out, input| {
                let [p, q] = out else { panic!("two outputs") };
                relfisher::vectorised!({
                    for ((p, q), a) in p.iter_mut().zip(q.iter_mut()).zip(input[0]) {
                        *q = T::HALF * *q + *a;
                        *p += *q;
                    }
                });
            })
            .expect("equal lengths");
        });
        let q: Vec<T> = a.iter().zip(&b).map(|(a, b)| T::HALF * *b + *a).collect();
        let p: Vec<T> = a.iter().zip(&q).map(|(a, q)| *a + *q).collect();
        assert_bits_equal("chunks", &got, &[p, q].concat());
    }
    let cpu = &cpus()[1];
    let (mut p, q) = (nans::<T>(4), nans::<T>(3));
    assert!(cpu.for_each_chunk(&mut [&mut p], &[&q], &|_, _| ()).is_err(), "unequal lengths");
    let many = [&q[..]; MAX_CHUNK_SLICES + 1];
    assert!(cpu.for_each_chunk(&mut [], &many, &|_, _| ()).is_err(), "too many slices");
}

fn same_bits_inside_and_outside<T: Scalar>() {
    let mut random = Random::new(11);
    let (m, d, n) = (24, 257, 300);
    let p = d * (d + 1) / 2;
    let (x, nu) = (random.normals::<T>(n * d), random.uniforms::<T>(n * m, 0.0, 1.0));
    let (x, nu) = (mat(&x, n, d), mat(&nu, n, m));
    let run = |cpu: &Cpu, out: &mut [T]| {
        cpu.packed_grams(mat_mut(out, m, p), T::ZERO, T::ONE, x, nu, &mut []).expect("shapes");
        cpu.packed_inverse(mat_mut(out, m, p), d, T::ONE, &mut []).expect("definite");
    };
    let outside = same("metric and inverse", &nans(m * p), &run);
    let inside = same("metric and inverse, installed", &nans(m * p), &|cpu, out| {
        Executor::<T>::install(cpu, &mut || run(cpu, out));
    });
    assert_bits_equal("installed or not", &outside, &inside);
}

both_dtypes!(
    gemm,
    gram,
    packed_grams,
    factorisations,
    refusals,
    eigenvectors,
    batches,
    small_systems,
    elementwise,
    chunks,
    same_bits_inside_and_outside,
);

#[test]
fn threads_and_description() {
    assert!(Cpu::new(Some(0)).is_err());
    let cpu = Cpu::new(Some(2)).expect("two threads");
    assert_eq!(Executor::<f32>::threads(&cpu), 2);
    let text = Executor::<f32>::description(&cpu);
    assert!(text.contains("2 threads") && text.contains(Cpu::simd()), "{text}");
    assert!(Cpu::new(None).expect("all threads").thread_count() >= 1);
}
