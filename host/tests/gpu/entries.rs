//! Entry points that no method of the executor launches yet, launched by their contracts.

use std::sync::{Arc, OnceLock};

use relfisher::Scalar;
use relfisher::driver::{Address, Argument, Grid, Module};
use relfisher::executor::cuda::{Buffer, Gpu, Precision};
use relfisher_kernels::Word;
use relfisher_kernels::body::{elementwise, softmax};
use relfisher_kernels::contract::{
    CONTRACTS, Classes, Extent, Parameter, ParameterBytes, Patched, Product, Selection, Strides,
    Update, Window,
};

use crate::Case;
use crate::compare::{assert_close, assert_symmetric, to_f64};
use crate::elementwise::probabilities;
use crate::lab::{Dense, Lab, assert_within, dot};
use crate::random::Random;
use crate::tolerance::Oracle;

pub(crate) const CASES: &[Case] = &[
    ("softmax_metric_f32", softmax_metric::<f32>),
    ("softmax_metric_f64", softmax_metric::<f64>),
    ("descend_f32", descend),
    ("select_f32", select),
    ("patch_gram_f32", patch_gram::<f32>),
    ("patch_gram_f64", patch_gram::<f64>),
];

/// The module of all kernels, loaded once for these tests.
static MODULE: OnceLock<Module> = OnceLock::new();

/// An array in memory of the driver, whose address is known.
struct Array<T> {
    gpu: Arc<Gpu>,
    address: Address,
    buffer: Buffer<T>,
}

impl<T: Word> Array<T> {
    fn new(lab: &Lab, values: &[T]) -> Self {
        let bytes = values.len() as u64 * u64::from(T::BYTES);
        let address = lab.gpu.driver().allocate(bytes).expect("memory");
        // SAFETY: as many values, which nobody else uses.
        let mut buffer = unsafe { Buffer::borrow(&lab.gpu, address, values.len()) };
        buffer.view_mut().upload(values).expect("an upload");
        Self { gpu: Arc::clone(&lab.gpu), address, buffer }
    }

    fn argument(&self) -> Argument<'static> {
        let bytes = self.buffer.len() as u64 * u64::from(T::BYTES);
        Argument::Array { address: self.address, bytes }
    }

    fn read(&self) -> Vec<T> {
        self.buffer.to_vec().expect("a copy")
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        // A failed test has a message already.
        let _ = self.gpu.synchronize();
        // SAFETY: allocated by `new`, and all work is done.
        let _ = unsafe { self.gpu.driver().free(self.address) };
    }
}

/// Launches the entry point `name` over `blocks`.
fn launch(
    lab: &Lab,
    name: &str,
    blocks: [u32; 3],
    arrays: &[Argument<'static>],
    values: &[ParameterBytes],
) {
    let (gpu, driver) = (&lab.gpu, lab.gpu.driver());
    let module =
        *MODULE.get_or_init(|| driver.load(gpu.variant().ptx()).expect("the kernels load"));
    let contract = CONTRACTS.iter().find(|c| c.name == name).expect("a contract");
    let shared_bytes = contract.shared_bytes;
    let function = driver.function(module, name, shared_bytes).expect("a kernel");
    let mut arguments = arrays.to_vec();
    arguments.extend(values.iter().map(|value| Argument::Value(value.as_slice())));
    let grid = Grid { blocks, threads: contract.threads, shared_bytes };
    // SAFETY: the arguments are those of the entry point, and the grid is its contract's.
    unsafe { driver.launch(gpu.stream(), function, grid, &arguments) }.expect("a launch");
}

fn softmax_metric<T: Scalar>(lab: &Lab) {
    for (n, c) in [(1, 1), (13, 10), (9, 33)] {
        let logits: Vec<f64> = Random::new((n * c) as u64).uniforms(n * c, -3.0, 3.0);
        let eta: Vec<T> = logits.chunks(c).flat_map(probabilities).map(T::from_f64).collect();
        let (from, pairs) = (Array::new(lab, &eta), c * (c + 1) / 2);
        let to = Array::new(lab, &vec![T::NAN; n * pairs]);
        let classes = Classes { samples: n as u32, classes: c as u32, scale: T::ONE };
        let blocks = [(n as u32).div_ceil(softmax::ROWS), 1, 1];
        let name = format!("softmax_metric_{}", T::NAME);
        launch(lab, &name, blocks, &[to.argument(), from.argument()], &[classes.to_bytes()]);
        let mut want = Vec::new();
        for eta in to_f64(&eta).chunks(c) {
            for a in 0..c {
                let others: f64 = (0..c).filter(|k| *k != a).map(|k| eta[k]).sum();
                want.extend((0..a).map(|b| -eta[a] * eta[b]).chain([eta[a] * others]));
            }
        }
        assert_close(&name, &to.read(), &want, "kernel softmax", Oracle::Dense, c);
    }
}

fn descend(lab: &Lab) {
    let len = 2085;
    let mut random = Random::new(7);
    let [theta, direction] = [0; 2].map(|_| random.normals::<f32>(len));
    let (to, from) = (Array::new(lab, &theta), Array::new(lab, &direction));
    let values = [(len as u64).to_bytes(), 0.25f32.to_bytes()];
    let blocks = [(len as u32).div_ceil(elementwise::CHUNK), 1, 1];
    launch(lab, "descend_f32", blocks, &[to.argument(), from.argument()], &values);
    let want: Vec<f64> =
        theta.iter().zip(&direction).map(|(t, d)| f64::from(*t) - 0.25 * f64::from(*d)).collect();
    assert_close("descend", &to.read(), &want, "kernel elementwise", Oracle::HigherPrecision, 1);
}

/// The kept magnitudes of each row, with ties, both zeros, and an extreme.
fn select(lab: &Lab) {
    for (rows, length, kept) in
        lab.shapes(&[(1, 1, 1), (3, 700, 105), (2, 256, 256)], &[(8, 1 << 16, 9830)])
    {
        let mut x: Vec<f32> = Random::new(length as u64).normals(rows * length);
        for v in x.iter_mut().step_by(3) {
            *v = (*v * 2.0).round() / 2.0;
        }
        x[0] = f32::MAX;
        let from = Array::new(lab, &x);
        let index = Array::new(lab, &vec![u32::MAX; rows * kept]);
        let value = Array::new(lab, &vec![f32::NAN; rows * kept]);
        let s = Selection { distance: length as u64, length: length as u32, kept: kept as u32 };
        let arrays = [index.argument(), value.argument(), from.argument()];
        launch(lab, "select_f32", [rows as u32, 1, 1], &arrays, &[s.to_bytes()]);
        let (index, value) = (index.read(), value.read());
        for (r, row) in x.chunks(length).enumerate() {
            let mut order: Vec<u32> = (0..length as u32).collect();
            let size = |i: u32| row[i as usize].abs();
            order.sort_by(|a, b| size(*b).total_cmp(&size(*a)).then(a.cmp(b)));
            order.truncate(kept);
            order.sort_unstable();
            assert!(index[r * kept..(r + 1) * kept] == order, "row {r}, {kept} of {length}");
            let values: Vec<f32> = order.iter().map(|i| row[*i as usize]).collect();
            assert!(value[r * kept..(r + 1) * kept] == values, "row {r}, {kept} of {length}");
        }
    }
}

/// Different in every respect along the two axes.
const WINDOW: Window = Window {
    channels: 3,
    size: [7, 9],
    kernel: [3, 2],
    stride: [2, 1],
    padding: [1, 2],
    dilation: [1, 3],
    positions: [4, 10],
};

/// The patches of an image, a position a row, each with a trailing 1.
fn patches(image: &[f64], rows: &mut Vec<f64>) {
    let [height, width] = WINDOW.size;
    let place = |o: u32, k: u32, axis: usize| {
        (o * WINDOW.stride[axis] + k * WINDOW.dilation[axis]).checked_sub(WINDOW.padding[axis])
    };
    for oy in 0..WINDOW.positions[0] {
        for ox in 0..WINDOW.positions[1] {
            for c in 0..WINDOW.channels {
                for ky in 0..WINDOW.kernel[0] {
                    for kx in 0..WINDOW.kernel[1] {
                        let inside = |(y, x): &(u32, u32)| *y < height && *x < width;
                        let at = place(oy, ky, 0).zip(place(ox, kx, 1)).filter(inside);
                        let pixel = |(y, x)| image[((c * height + y) * width + x) as usize];
                        rows.push(at.map_or(0.0, pixel));
                    }
                }
            }
            rows.push(1.0);
        }
    }
}

fn patch_gram<T: Scalar>(lab: &Lab) {
    lab.in_every_precision::<T>(|gpu, routine| {
        let suffix = match gpu.precision() {
            _ if size_of::<T>() == 8 => "f64",
            Precision::F32 => "f32",
            Precision::Tf32x3 => "tf32x3",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        };
        one_patch_gram::<T>(lab, &format!("patch_gram_{suffix}"), routine);
    });
}

fn one_patch_gram<T: Scalar>(lab: &Lab, name: &str, routine: &str) {
    let images = 3;
    let pixels = (WINDOW.channels * WINDOW.size[0] * WINDOW.size[1]) as usize;
    let values: Vec<T> = Random::new(101).normals(images * pixels);
    let d = (WINDOW.channels * WINDOW.kernel[0] * WINDOW.kernel[1] + 1) as usize;
    let n = images * (WINDOW.positions[0] * WINDOW.positions[1]) as usize;
    let order = d as u32;
    let update = Update { alpha: T::ONE / T::from_usize(n), beta: T::ZERO };
    let extent = Extent::whole(order, order, n as u32);
    let product = Product { extent, strides: Strides { a: order, b: order, c: order }, update };
    let from = Array::new(lab, &values);
    let to = Array::new(lab, &vec![T::NAN; d * d]);
    let patched = Patched { product, window: WINDOW }.to_bytes();
    launch(lab, name, [1, 1, 1], &[to.argument(), from.argument()], &[patched]);
    let mut rows = Vec::new();
    to_f64(&values).chunks(pixels).for_each(|image| patches(image, &mut rows));
    assert_eq!(rows.len(), n * d);
    let columns = Dense { rows: n, cols: d, values: rows }.transposed();
    let got = to.read();
    let want = |at: usize| dot(columns.row(at / d), columns.row(at % d)) / n as f64;
    let scale = columns.norm().powi(2) / n as f64;
    let pairs = got.iter().enumerate().map(|(at, got)| (*got, want(at)));
    assert_within(name, pairs, scale, (routine, Oracle::Dense, n + 8));
    assert_symmetric(name, &got, d);
}
