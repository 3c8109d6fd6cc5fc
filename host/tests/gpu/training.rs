//! What a training step needs around its products.

use relfisher::Scalar;

use crate::Case;
use crate::compare::assert_close;
use crate::elementwise::probabilities;
use crate::lab::{Lab, Rows, assert_within, dot as exact_dot, unwritten, upload};
use crate::random::Random;
use crate::tolerance::Oracle;

pub(crate) const CASES: &[Case] = &[
    ("gather_f32", gather::<f32>),
    ("gather_f64", gather::<f64>),
    ("gather_labels", gather_labels),
    ("draw_deltas_f32", draw_deltas::<f32>),
    ("draw_deltas_f64", draw_deltas::<f64>),
    ("dot_f32", dot::<f32>),
    ("dot_f64", dot::<f64>),
    ("watch_f32", watch::<f32>),
    ("watch_f64", watch::<f64>),
    ("keep_flags", keep_flags),
];

fn gather<T: Scalar>(lab: &Lab) {
    let gpu = &lab.gpu;
    for (rows, cols, n) in lab.shapes(&[(1, 1, 3), (20, 785, 50), (7, 10, 9)], &[(5000, 785, 1000)])
    {
        let mut random = Random::new((rows + cols) as u64);
        let from = Rows::<T>::normal(gpu, &mut random, (rows, cols), 3);
        let index: Vec<u32> = (0..n).map(|_| random.below(rows) as u32).collect();
        let numbers = upload(gpu, &index);
        let mut out = Rows::<T>::unwritten(gpu, (n, cols), 2);
        gpu.gather(out.matrix_mut(), from.matrix(), numbers.view()).expect("gather");
        let want = index.iter().flat_map(|i| from.dense.row(*i as usize));
        let got = out.read("gather");
        assert!(got.iter().zip(want).all(|(got, want)| got.to_f64() == *want), "{rows} × {cols}");
    }
}

fn gather_labels(lab: &Lab) {
    let mut random = Random::new(4);
    let from: Vec<u32> = (0..3000).map(|_| random.below(10) as u32).collect();
    let index: Vec<u32> = (0..2085).map(|_| random.below(3000) as u32).collect();
    let (labels, numbers) = (upload(&lab.gpu, &from), upload(&lab.gpu, &index));
    let mut out = upload(&lab.gpu, &vec![u32::MAX; index.len()]);
    lab.gpu.gather_labels(out.view_mut(), labels.view(), numbers.view()).expect("gather_labels");
    let want: Vec<u32> = index.iter().map(|i| from[*i as usize]).collect();
    assert_eq!(out.to_vec().expect("a copy"), want);
}

/// The class is the one whose cumulated probability exceeds u, unless u is within rounding of a border;
/// no element but that class's differs from η, and every row sums to 0.
fn draw_deltas<T: Scalar>(lab: &Lab) {
    for (n, c) in lab.shapes(&[(1, 1), (50, 10), (1030, 3)], &[(20_000, 10)]) {
        let mut random = Random::new((n + c) as u64);
        let logits: Vec<f64> = random.uniforms(n * c, -3.0, 3.0);
        let eta: Vec<T> = logits.chunks(c).flat_map(probabilities).map(T::from_f64).collect();
        let uniform: Vec<f64> = random.uniforms(n, 0.0, 1.0);
        let (from, numbers) = (upload(&lab.gpu, &eta), upload(&lab.gpu, &uniform));
        let mut delta = unwritten::<T>(&lab.gpu, n * c);
        lab.gpu.draw_deltas(delta.view_mut(), from.view(), numbers.view()).expect("draw_deltas");
        let got = delta.to_vec().expect("a copy");
        for s in 0..n {
            let (eta, got) = (&eta[s * c..(s + 1) * c], &got[s * c..(s + 1) * c]);
            let sum: f64 = eta.iter().map(|p| p.to_f64()).sum();
            let mut ends = eta.iter().scan(0.0, |end, p| {
                *end += p.to_f64() / sum;
                Some(*end)
            });
            let class = ends.position(|end| uniform[s] < end).unwrap_or(c - 1);
            let others: f64 = (0..c).filter(|k| *k != class).map(|k| eta[k].to_f64()).sum();
            for (k, got) in got.iter().enumerate() {
                if k != class {
                    assert!(*got == eta[k], "sample {s}: element {k} of class {class}");
                }
            }
            assert_close(
                "δ of the class",
                &got[class..=class],
                &[-others],
                "kernel softmax",
                Oracle::Dense,
                c,
            );
        }
    }
}

fn dot<T: Scalar>(lab: &Lab) {
    // One block, blocks, and on a GPU a third launch.
    for len in lab.shapes(&[0, 1, 31, 4096, 12_365], &[20_000_003]) {
        let mut random = Random::new(len as u64);
        let (x, y): (Vec<T>, Vec<T>) =
            (random.uniforms(len, -0.5, 1.5), random.uniforms(len, -0.5, 1.5));
        let (a, b) = (upload(&lab.gpu, &x), upload(&lab.gpu, &y));
        let mut out = unwritten::<T>(&lab.gpu, 1);
        lab.gpu.dot(out.view_mut(), a.view(), b.view()).expect("dot");
        let [x, y] = [x, y].map(|v| v.iter().map(|x| x.to_f64()).collect::<Vec<f64>>());
        let scale = (exact_dot(&x, &x) * exact_dot(&y, &y)).sqrt();
        let got = out.to_vec().expect("a copy");
        let pair = got.into_iter().zip([exact_dot(&x, &y)]);
        assert_within("dot", pair, scale, ("gpu dot", Oracle::Dense, len.max(1)));
        // The order of the sum is fixed.
        let mut again = unwritten::<T>(&lab.gpu, 1);
        lab.gpu.dot(again.view_mut(), a.view(), b.view()).expect("dot");
        assert!(again.to_vec().expect("a copy") == out.to_vec().expect("a copy"), "other bits");
    }
}

fn watch<T: Scalar>(lab: &Lab) {
    for len in lab.shapes(&[1, 2085], &[1_000_003]) {
        let mut values: Vec<T> = Random::new(9).normals(len);
        let mut broken = upload(&lab.gpu, &[0u32; 3]);
        let good = upload(&lab.gpu, &values);
        lab.gpu.watch(broken.view_mut(), good.view(), 1).expect("watch");
        assert_eq!(broken.to_vec().expect("a copy"), [0, 0, 0], "{len} finite values");
        values[len - 1] = T::NAN;
        values[len / 2] = T::ONE / T::ZERO;
        let bad = upload(&lab.gpu, &values);
        lab.gpu.watch(broken.view_mut(), bad.view(), 1).expect("watch");
        let found = broken.to_vec().expect("a copy");
        assert!(found[0] == 0 && found[1] > 0 && found[2] == 0, "{len} values: {found:?}");
        assert!(lab.gpu.watch(broken.view_mut(), bad.view(), 3).is_err(), "no such step");
    }
}

fn keep_flags(lab: &Lab) {
    let last: Vec<u32> = (0..2085).map(|i| i % 5).collect();
    let before: Vec<u32> = (0..2085).map(|i| if i % 3 == 0 { 0 } else { 100 + i }).collect();
    let (mut worst, new) = (upload(&lab.gpu, &before), upload(&lab.gpu, &last));
    lab.gpu.keep_flags(worst.view_mut(), new.view(), 0).expect("keep_flags");
    let want: Vec<u32> =
        before.iter().zip(&last).map(|(old, new)| if *old == 0 { *new } else { *old }).collect();
    assert_eq!(worst.to_vec().expect("a copy"), want);
}
