//! Cholesky factors and inverses by products on a device, emulated: against naive elimination in f64,
//! against the route of one block, and in K-FAC's trajectory.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relfisher::Scalar;
use relfisher::driver::Emulated;
use relfisher::executor::Cpu;
use relfisher::executor::cuda::{
    Buffer, Gpu, Matrix, MatrixMut, SMALLEST_BY_PRODUCTS, SquareForm, Squares, Staged,
};
use relfisher_core::{Backend, Error as CoreError, MatMut, MatRef};
use relfisher_kernels::contract::RightSides;

fn device() -> Arc<Gpu> {
    Gpu::new(Arc::new(Emulated::new())).expect("an emulated device")
}

/// Numbers in −1..1 by a linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// Which eigenvalues a matrix has between 1/κ and 1.
#[derive(Clone, Copy, Debug)]
enum Spectrum {
    /// In a geometric series.
    Geometric,
    /// An eighth of them 1, the others 1/κ: a factor of few samples with its damping, where the errors
    /// of an inverse are largest.
    LowRank,
}

/// A symmetric matrix with a spectrum: U diag Uᵀ with U a product of reflections.
fn spd<T: Scalar>(n: usize, condition: f64, spectrum: Spectrum) -> Vec<T> {
    let value = |i: usize| match spectrum {
        Spectrum::Geometric => condition.powf(-(i as f64) / (n as f64 - 1.0).max(1.0)),
        Spectrum::LowRank if i <= n / 8 => 1.0,
        Spectrum::LowRank => condition.recip(),
    };
    let mut a = vec![0.0; n * n];
    (0..n).for_each(|i| a[i * n + i] = value(i));
    let mut numbers = Numbers(n as u64);
    for _ in 0..6 {
        let v: Vec<f64> = (0..n).map(|_| numbers.next()).collect();
        let scale = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
        // A ← HAH with H = I − scale·vvᵀ: rows, then columns.
        for _ in 0..2 {
            for row in a.chunks_exact_mut(n) {
                let along = scale * row.iter().zip(&v).map(|(x, y)| x * y).sum::<f64>();
                row.iter_mut().zip(&v).for_each(|(x, y)| *x -= along * y);
            }
            a = (0..n * n).map(|k| a[k % n * n + k / n]).collect();
        }
    }
    (0..n * n).map(|k| T::from_f64(a[k / n * n + k % n].midpoint(a[k % n * n + k / n]))).collect()
}

fn wide<T: Scalar>(a: &[T]) -> Vec<f64> {
    a.iter().map(|x| x.to_f64()).collect()
}

/// The inverse in f64, by Gauss–Jordan elimination with the largest pivot of a column.
fn eliminated(a: &[f64], n: usize) -> Vec<f64> {
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut row = a[i * n..(i + 1) * n].to_vec();
            row.extend((0..n).map(|j| f64::from(u8::from(i == j))));
            row
        })
        .collect();
    for k in 0..n {
        let size = |i: &usize| rows[*i][k].abs();
        let pivot = (k..n).max_by(|i, j| size(i).total_cmp(&size(j))).expect("a row");
        rows.swap(k, pivot);
        let divisor = rows[k][k];
        rows[k].iter_mut().for_each(|x| *x /= divisor);
        let row = rows[k].clone();
        for (_, other) in rows.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = other[k];
            other.iter_mut().zip(&row).for_each(|(x, y)| *x -= factor * y);
        }
    }
    rows.into_iter().flat_map(|row| row[n..].to_vec()).collect()
}

/// ‖X − Y‖ / ‖Y‖ by Frobenius norms; infinite where a value is not a number.
fn distance(x: &[f64], y: &[f64]) -> f64 {
    let sum = |f: &dyn Fn(usize) -> f64| (0..y.len()).map(|i| f(i).powi(2)).sum::<f64>().sqrt();
    let relative = sum(&|i| x[i] - y[i]) / sum(&|i| y[i]);
    if relative.is_nan() { f64::INFINITY } else { relative }
}

/// The lower triangle as it is, NaN above it: no result may depend on that.
fn lower_only<T: Scalar>(a: &[T], n: usize) -> Vec<T> {
    let nan = T::from_f64(f64::NAN);
    (0..n * n).map(|k| if k % n > k / n { nan } else { a[k] }).collect()
}

fn inverse<T: Scalar>(gpu: &Arc<Gpu>, a: &[T], n: usize, damping: f64) -> (Vec<T>, u32) {
    let mut values = Buffer::from_slice(gpu, &lower_only(a, n)).unwrap();
    let mut flag = Buffer::from_slice(gpu, &[7]).unwrap();
    let matrix = MatrixMut::new(values.view_mut(), n, n).unwrap();
    gpu.spd_inverse(matrix, flag.view_mut(), T::from_f64(damping)).unwrap();
    (values.to_vec().unwrap(), flag.to_vec().unwrap()[0])
}

/// The same by the kernels that have a block for a matrix and one for a right side.
fn inverse_by_blocks<T: Scalar>(gpu: &Arc<Gpu>, a: &[T], n: usize) -> Vec<T> {
    assert!(n <= SMALLEST_BY_PRODUCTS);
    let mut l = Buffer::from_slice(gpu, a).unwrap();
    let mut flag = Buffer::<u32>::new(gpu, 1).unwrap();
    gpu.cholesky(l.view_mut(), flag.view_mut(), Squares::one(n), T::ZERO).unwrap();
    let mut x = Buffer::new(gpu, n * n).unwrap();
    gpu.identity(MatrixMut::new(x.view_mut(), n, n).unwrap()).unwrap();
    let sides = RightSides { distance: 0, side: n as u32, element: 1 };
    gpu.cholesky_solve(x.view_mut(), (sides, n), l.view(), Squares::one(n)).unwrap();
    x.to_vec().unwrap()
}

/// A factor has a backward error of about ε‖A‖ in Frobenius norms, where roundings average out, and an
/// inverse moves κ times as far as its matrix. Factor, triangle and last product add one such error
/// each, and the oracle another: in f64 its own, in f32 none to speak of.
fn bound<T: Scalar>(condition: f64) -> f64 {
    4.0 * T::EPSILON.to_f64() * condition
}

fn check_inverse<T: Scalar>(gpu: &Arc<Gpu>, n: usize, condition: f64, spectrum: Spectrum) {
    let a = spd::<T>(n, condition, spectrum);
    let (result, flag) = inverse(gpu, &a, n, 0.0);
    assert_eq!(flag, 0, "{n} {condition} {spectrum:?}");
    let exact = eliminated(&wide(&a), n);
    let error = distance(&wide(&result), &exact);
    let bound = bound::<T>(condition);
    println!("{} n={n} κ={condition:e} {spectrum:?}: {error:.2e} of {bound:.2e}", T::NAME);
    assert!(error <= bound, "{n} {condition} {spectrum:?}: {error:e} > {bound:e}");
    for k in 0..n * n {
        assert!(result[k] == result[k % n * n + k / n], "symmetric to the bit");
    }
}

fn inverses<T: Scalar>() {
    let gpu = device();
    for n in [1, 2, 63, 64, 65, 130] {
        for condition in [10.0, 1e4] {
            check_inverse::<T>(&gpu, n, condition, Spectrum::LowRank);
        }
    }
    check_inverse::<T>(&gpu, 130, 1e6, Spectrum::Geometric);
}

#[test]
fn inverses_are_those_of_elimination_f32() {
    inverses::<f32>();
}

#[test]
fn inverses_are_those_of_elimination_f64() {
    inverses::<f64>();
    check_inverse::<f64>(&device(), 130, 1e6, Spectrum::LowRank);
}

#[test]
fn an_inverse_has_several_wide_panels_f32() {
    check_inverse::<f32>(&device(), 257, 1e4, Spectrum::LowRank);
}

#[test]
fn an_inverse_has_several_wide_panels_f64() {
    // Three of them, three strips, and inner ranges long enough to be cut.
    check_inverse::<f64>(&device(), 577, 1e6, Spectrum::LowRank);
}

/// Errors of the same size as those of the kernels that substitute, a right side at a time.
#[test]
fn products_are_as_accurate_as_substitution() {
    let gpu = device();
    for spectrum in [Spectrum::Geometric, Spectrum::LowRank] {
        for condition in [1e3, 1e6] {
            let n = 129;
            let a = spd::<f32>(n, condition, spectrum);
            let exact = eliminated(&wide(&a), n);
            let (by_products, flag) = inverse(&gpu, &a, n, 0.0);
            assert_eq!(flag, 0);
            let by_products = distance(&wide(&by_products), &exact);
            let by_blocks = distance(&wide(&inverse_by_blocks(&gpu, &a, n)), &exact);
            println!("κ={condition:e} {spectrum:?}: {by_products:.2e} and {by_blocks:.2e}");
            assert!(by_products <= 4.0 * by_blocks, "{by_products:e} and {by_blocks:e}");
        }
    }
}

/// ‖LLᵀ − (A + λI)‖ is ε‖A + λI‖ times a small power of n, whatever the condition.
fn check_factor<T: Scalar>(gpu: &Arc<Gpu>, n: usize) {
    let (condition, damping) = (1e6, 1e-6);
    let a = spd::<T>(n, condition, Spectrum::LowRank);
    let mut values = Buffer::from_slice(gpu, &lower_only(&a, n)).unwrap();
    let mut flag = Buffer::from_slice(gpu, &[7]).unwrap();
    let matrix = MatrixMut::new(values.view_mut(), n, n).unwrap();
    gpu.cholesky_by_products(matrix, flag.view_mut(), T::from_f64(damping)).unwrap();
    assert_eq!(flag.to_vec().unwrap(), [0], "{n}");
    let l = wide(&values.to_vec().unwrap());
    let row = |i: usize| &l[i * n..(i + 1) * n];
    for i in 0..n {
        assert!(row(i)[i] > 0.0 && row(i)[i + 1..].iter().all(|x| *x == 0.0), "{n}, row {i}");
    }
    let product: Vec<f64> =
        (0..n * n).map(|k| row(k / n).iter().zip(row(k % n)).map(|(x, y)| x * y).sum()).collect();
    let mut damped = wide(&a);
    (0..n).for_each(|i| damped[i * n + i] += T::from_f64(damping).to_f64());
    let (error, bound) = (distance(&product, &damped), bound::<T>(1.0));
    println!("{} n={n}: {error:.2e} of {bound:.2e}", T::NAME);
    assert!(error <= bound, "{n}: {error:e} > {bound:e}");
}

#[test]
fn factors_multiply_to_the_damped_matrix() {
    let gpu = device();
    for n in [1, 63, 64, 65, 130] {
        check_factor::<f32>(&gpu, n);
        check_factor::<f64>(&gpu, n);
    }
    check_factor::<f64>(&gpu, 257);
}

/// The unit matrix with −1 at a place of the diagonal.
fn indefinite(n: usize, pivot: usize) -> Vec<f64> {
    let entry = |i, j| {
        if i != j {
            0.0
        } else if i == pivot {
            -1.0
        } else {
            1.0
        }
    };
    (0..n * n).map(|k| entry(k / n, k % n)).collect()
}

#[test]
fn a_refused_pivot_is_counted_in_the_whole_matrix() {
    let gpu = device();
    for (n, pivot) in [(1, 0), (130, 63), (130, 64), (130, 129)] {
        let (_, flag) = inverse(&gpu, &indefinite(n, pivot), n, 0.5);
        assert_eq!(flag as usize, pivot + 1, "{n}");
    }
    let (_, flag) = inverse(&gpu, &indefinite(65, 64), 65, 2.0);
    assert_eq!(flag, 0, "with enough damping");
}

/// Large matrices go by products, one after the other, and do not spoil each other.
#[test]
fn a_batch_of_large_matrices() {
    let (gpu, n) = (device(), SMALLEST_BY_PRODUCTS + 1);
    let good: Vec<f64> = spd(n, 1e3, Spectrum::Geometric);
    let both = [indefinite(n, n - 1), good.clone()].concat();
    let mut values = Buffer::from_slice(&gpu, &both).unwrap();
    let mut flags = Buffer::from_slice(&gpu, &[7, 7]).unwrap();
    let squares = Squares { count: 2, order: n, form: SquareForm::Full };
    let before = gpu.traffic().launches;
    gpu.cholesky(values.view_mut(), flags.view_mut(), squares, 0.0).unwrap();
    assert!(gpu.traffic().launches - before > 2, "by products");
    assert_eq!(flags.to_vec().unwrap(), [n as u32, 0]);
    let l = &values.to_vec().unwrap()[n * n..];
    let mut expected = good;
    Cpu::new(Some(1)).unwrap().cholesky(MatMut::new(&mut expected, n, n).unwrap(), 0.0).unwrap();
    // The factor moves by κ times the residual.
    let error = distance(l, &expected);
    assert!(error <= bound::<f64>(1e3), "{error:e}");
}

/// Solves by products, and what a host lends.
#[test]
fn a_host_lends_large_inverses_and_solves() {
    let staged = Staged::new(Cpu::new(Some(1)).unwrap(), device());
    let (n, k, condition) = (SMALLEST_BY_PRODUCTS + 1, 65, 1e3);
    let a: Vec<f64> = spd(n, condition, Spectrum::LowRank);
    let exact = eliminated(&a, n);
    let mut l = a.clone();
    staged.cholesky(MatMut::new(&mut l, n, n).unwrap(), 0.0).unwrap();
    let mut numbers = Numbers(5);
    let b: Vec<f64> = (0..n * k).map(|_| numbers.next()).collect();
    let mut x = b.clone();
    let before = staged.gpu().traffic().launches;
    staged
        .cholesky_solve(MatMut::new(&mut x, n, k).unwrap(), MatRef::new(&l, n, n).unwrap())
        .unwrap();
    assert!(staged.gpu().traffic().launches - before > 2, "by products");
    let expected: Vec<f64> = (0..n * k)
        .map(|at| (0..n).map(|j| exact[at / k * n + j] * b[j * k + at % k]).sum())
        .collect();
    let error = distance(&x, &expected);
    assert!(error <= bound::<f64>(condition), "{error:e}");

    let small = 70;
    let mut a: Vec<f64> = spd(small, condition, Spectrum::LowRank);
    let exact = eliminated(&a, small);
    let mut work = vec![0.0; relfisher_core::factor::spd_inverse_workspace_len(small)];
    staged.spd_inverse(MatMut::new(&mut a, small, small).unwrap(), 0.0, &mut work).unwrap();
    let error = distance(&a, &exact);
    assert!(error <= bound::<f64>(condition), "{error:e}");
    let mut refused = indefinite(small, 68);
    let refusal =
        staged.spd_inverse(MatMut::new(&mut refused, small, small).unwrap(), 0.0, &mut work);
    assert_eq!(refusal, Err(CoreError::NotPositiveDefinite { block: 0, pivot: 68 }));
}

#[test]
fn flags_are_kept_where_nothing_stands() {
    let gpu = device();
    let mut worst = Buffer::from_slice(&gpu, &[0, 5, 0, 0]).unwrap();
    let last = Buffer::from_slice(&gpu, &[3, 2, 0, 1]).unwrap();
    gpu.keep_flags(worst.view_mut(), last.view(), 10).unwrap();
    assert_eq!(worst.to_vec().unwrap(), [13, 5, 0, 11]);
}

#[test]
fn a_block_of_a_matrix_is_its_rows_and_columns() {
    let gpu = device();
    let from: Vec<f32> = (0..35).map(|k| k as f32).collect();
    let from = Buffer::from_slice(&gpu, &from).unwrap();
    let from = Matrix::new(from.view(), 5, 7).unwrap();
    let mut to = Buffer::<f32>::zeros(&gpu, 12).unwrap();
    let mut matrix = MatrixMut::new(to.view_mut(), 3, 4).unwrap();
    let part = matrix.again().block(1..3, 2..4).unwrap();
    gpu.combine(part, (0.0, 2.0), from.block(3..5, 1..3).unwrap()).unwrap();
    let expected = [0., 0., 0., 0., 0., 0., 44., 46., 0., 0., 58., 60.];
    assert_eq!(to.to_vec().unwrap(), expected);
    let mut matrix = MatrixMut::new(to.view_mut(), 3, 4).unwrap();
    for (rows, cols) in [(0..6, 0..1), (0..1, 0..8), (4..6, 7..8)] {
        assert!(from.block(rows.clone(), cols.clone()).is_err());
        assert!(matrix.again().block(rows, cols).is_err());
    }
    assert!(from.block(5..5, 7..7).unwrap().rows() == 0);
}

/// A data set of 4×4 images that a network with a wide layer learns in a moment.
fn images(dir: &Path) {
    let mut numbers = Numbers(9);
    for (set, count) in [("train", 12), ("t10k", 6)] {
        let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 4, 0, 0, 0, 4];
        let mut labels = vec![0, 0, 8, 1, 0, 0, 0, count];
        for sample in 0..count {
            labels.push(sample % 10);
            let bright = |pixel: u8| if pixel % 10 == sample % 10 { 180.0 } else { 40.0 };
            images.extend((0..16).map(|pixel| (bright(pixel) + 30.0 * numbers.next()) as u8));
        }
        fs::write(dir.join(format!("{set}-images-idx3-ubyte")), images).unwrap();
        fs::write(dir.join(format!("{set}-labels-idx1-ubyte")), labels).unwrap();
    }
}

/// What `train` is called with: K-FAC, a layer's factors of orders above [`SMALLEST_BY_PRODUCTS`], two
/// steps an epoch, a refresh every three.
fn arguments(dir: &Path, (machine, out): (&str, &Path), (rate, epochs): (f64, u64)) -> Vec<String> {
    let text = format!(
        "name = \"wide\"\nseed = 3\nepochs = {epochs}\nbatch_size = 6\n\
         [network]\nhidden = [{}]\n\
         [[optimizers]]\nkind = \"kfac\"\nlearning_rate = {rate:e}\nrefresh = 3\n",
        SMALLEST_BY_PRODUCTS + 1
    );
    let file = common::experiment(dir, &text);
    let (data, out) = (dir.to_str().unwrap(), out.to_str().unwrap());
    let args = ["train", "--experiment", &file, "--data", data, "--out", out];
    let more = ["--quiet", "--dtype", "f64", "--device", machine];
    args.iter().chain(&more).map(|text| (*text).to_owned()).collect()
}

fn run(args: &[String], more: &[&str]) {
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let output = common::relfisher(&args);
    assert_eq!(output.status.code(), Some(0), "{}", common::stderr(&output));
}

/// The weights after two epochs.
fn trained(dir: &Path, machine: &str, rate: f64) -> Vec<f64> {
    let out = dir.join(format!("{machine}-{rate:e}"));
    run(&arguments(dir, (machine, &out), (rate, 2)), &[]);
    let files = common::weights(&out);
    assert_eq!(files.len(), 1);
    let tensors = safetensors::SafeTensors::deserialize(&files[0].1).unwrap();
    let mut names = tensors.names();
    names.sort_unstable();
    let bytes = names.iter().flat_map(|name| tensors.tensor(name).unwrap().data().to_vec());
    let bytes: Vec<u8> = bytes.collect();
    bytes.chunks_exact(8).map(|x| f64::from_le_bytes(x.try_into().unwrap())).collect()
}

#[test]
fn kfac_with_large_factors_follows_the_processor() {
    let dir = common::folder("device-factor-kfac");
    images(&dir);
    let [start, processor] = [1e-100, 0.02].map(|rate| trained(&dir, "cpu", rate));
    let device = trained(&dir, "emulated", 0.02);
    let wide = SMALLEST_BY_PRODUCTS + 1;
    assert_eq!(processor.len(), wide * 17 + 10 * (wide + 1));
    let moved = distance(&processor, &start);
    let error = distance(&device, &processor) / moved;
    println!("{error:.2e} of a way of {moved:.2e}");
    // Roundings of 1e-16, times condition numbers of damped factors, over four steps.
    assert!(error <= 1e-11, "{error:e}");
}

/// The factors of a checkpoint give the same inverses again.
#[test]
fn kfac_with_large_factors_continues_to_the_same_bits() {
    let dir = common::folder("device-factor-resume");
    images(&dir);
    let [whole, killed] = ["whole", "killed"].map(|name| dir.join(name));
    run(&arguments(&dir, ("emulated", &whole), (0.02, 2)), &[]);
    let args = arguments(&dir, ("emulated", &killed), (0.02, 2));
    let borrowed: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut child = common::program(&borrowed).spawn().unwrap();
    let checkpoint = killed.join("checkpoints/kfac-plain.safetensors");
    // The second epoch has a refresh, which takes far longer than this loop.
    while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.try_wait().unwrap().is_none(), "killed after the first epoch, before the end");
    child.kill().unwrap();
    child.wait().unwrap();
    run(&args, &["--resume"]);
    assert!(common::weights(&killed) == common::weights(&whole), "weights, bit by bit");
}
