//! Convolutions and pools against loops over the padded image, written from the definition.

use relfisher_core::conv::{
    Group, PaddingCount, PatchOrder, Window, avg_pool, avg_pool_backward_add, fold_add, max_pool,
    max_pool_backward_add, reorder_columns, reorder_symmetric, to_channels_first, to_channels_last,
    unfold,
};
use relfisher_core::{Error, MatMut, MatRef, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, to_f64};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Identity};

const WHOLE: Group = Group { index: 0, count: 1 };
const ORDERS: [PatchOrder; 2] = [PatchOrder::ChannelMajor, PatchOrder::TapMajor];

fn window(
    (channels, height, width): (usize, usize, usize),
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
) -> Window {
    Window { channels, height, width, kernel, stride, padding, dilation }
}

/// Odd and even sizes, all options, one by one and together; the last ones with much padding.
fn windows() -> Vec<Window> {
    vec![
        window((1, 1, 1), [1, 1], [1, 1], [0, 0], [1, 1]),
        window((3, 5, 4), [1, 1], [1, 1], [0, 0], [1, 1]),
        window((2, 5, 7), [3, 3], [1, 1], [0, 0], [1, 1]),
        window((2, 5, 7), [3, 3], [1, 1], [1, 1], [1, 1]),
        window((4, 6, 5), [3, 2], [2, 1], [1, 0], [1, 1]),
        window((4, 7, 6), [2, 3], [1, 2], [0, 2], [2, 1]),
        window((2, 7, 9), [3, 3], [2, 3], [2, 3], [3, 2]),
        window((6, 4, 4), [4, 4], [1, 1], [2, 3], [1, 1]),
        window((4, 3, 2), [2, 2], [3, 4], [1, 2], [1, 1]),
        window((2, 2, 2), [5, 5], [1, 1], [3, 3], [1, 1]),
        window((2, 1, 3), [1, 2], [1, 1], [0, 4], [1, 3]),
    ]
}

/// The pixel of channel `c` that tap (ky, kx) of position (oy, ox) reads: its index in a
/// channels-last image, `None` in the padding.
fn source(
    w: &Window,
    (oy, ox): (usize, usize),
    (ky, kx): (usize, usize),
    c: usize,
) -> Option<usize> {
    let y = (oy * w.stride[0] + ky * w.dilation[0]) as i64 - w.padding[0] as i64;
    let x = (ox * w.stride[1] + kx * w.dilation[1]) as i64 - w.padding[1] as i64;
    let inside = y >= 0 && x >= 0 && y < w.height as i64 && x < w.width as i64;
    inside.then(|| (y as usize * w.width + x as usize) * w.channels + c)
}

/// The number of places by counting them.
fn count(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> usize {
    let end = size + 2 * padding;
    (0..end).filter(|o| o % stride == 0 && o + dilation * (kernel - 1) < end).count()
}

/// For every element of the patch matrix the index of its pixel, by six loops.
fn patch_sources(w: &Window, group: Group, order: PatchOrder) -> Vec<Option<usize>> {
    let [kh, kw] = w.kernel;
    let (oh, ow) = (w.out_height(), w.out_width());
    let (start, end) =
        (group.index * w.channels / group.count, (group.index + 1) * w.channels / group.count);
    let mut out = Vec::new();
    for oy in 0..oh {
        for ox in 0..ow {
            match order {
                PatchOrder::ChannelMajor => {
                    for c in start..end {
                        for ky in 0..kh {
                            for kx in 0..kw {
                                out.push(source(w, (oy, ox), (ky, kx), c));
                            }
                        }
                    }
                }
                PatchOrder::TapMajor => {
                    for ky in 0..kh {
                        for kx in 0..kw {
                            for c in start..end {
                                out.push(source(w, (oy, ox), (ky, kx), c));
                            }
                        }
                    }
                }
            }
        }
    }
    out
}

fn groups(w: &Window) -> Vec<Group> {
    (1..=w.channels)
        .filter(|count| w.channels.is_multiple_of(*count))
        .flat_map(|count| (0..count).map(move |index| Group { index, count }))
        .collect()
}

#[test]
fn geometry() {
    for w in windows() {
        w.check().unwrap();
        let [y, x] = [0, 1].map(|a| {
            let size = [w.height, w.width][a];
            count(size, w.kernel[a], w.stride[a], w.padding[a], w.dilation[a])
        });
        assert_eq!((w.out_height(), w.out_width(), w.positions()), (y, x, y * x), "{w:?}");
        assert_eq!(w.taps(), w.kernel[0] * w.kernel[1]);
        assert_eq!(w.image_len(), w.channels * w.height * w.width);
    }
    let good = window((2, 5, 5), [3, 3], [1, 1], [0, 0], [1, 1]);
    let bad = [
        Window { channels: 0, ..good },
        Window { height: 0, ..good },
        Window { width: 0, ..good },
        Window { kernel: [0, 3], ..good },
        Window { stride: [1, 0], ..good },
        Window { dilation: [0, 1], ..good },
        Window { kernel: [6, 3], ..good },
        Window { dilation: [1, 3], ..good },
        Window { padding: [usize::MAX, 0], ..good },
        Window { kernel: [3, usize::MAX], dilation: [1, 2], ..good },
        Window { height: usize::MAX / 2, width: 3, ..good },
        Window { padding: [usize::MAX / 16, usize::MAX / 16], ..good },
    ];
    for w in bad {
        assert!(matches!(w.check(), Err(Error::Parameter { .. })), "{w:?}");
        let mut out = [0.0];
        let refused = unfold(mat_mut(&mut out, 1, 1), &[0.0], &w, WHOLE, 0, ORDERS[0]);
        assert!(refused.is_err(), "{w:?}");
    }
}

fn patches_are_the_six_loops<T: Real>() {
    let mut random = Random::new(501);
    for w in windows() {
        let image = random.normals::<T>(w.image_len());
        for (group, order) in groups(&w).into_iter().flat_map(|g| ORDERS.map(|o| (g, o))) {
            let sources = patch_sources(&w, group, order);
            let want: Vec<T> = sources.iter().map(|s| s.map_or(T::ZERO, |i| image[i])).collect();
            let (rows, cols) = (w.positions(), w.channels / group.count * w.taps());
            let mut out = nans::<T>(rows * cols);
            unfold(mat_mut(&mut out, rows, cols), &image, &w, group, 0, order).unwrap();
            assert_bits_equal(&format!("{w:?} {group:?} {order:?}"), &out, &want);
            // with the trailing 1, in strips of two rows of a wider matrix
            let stride = cols + 3;
            for first in (0..rows).step_by(2) {
                let strip = 2.min(rows - first);
                let mut out = nans::<T>(strip * stride);
                let view = MatMut::with_strides(&mut out, strip, cols + 1, stride, 1).unwrap();
                unfold(view, &image, &w, group, first, order).unwrap();
                for (i, line) in out.chunks(stride).enumerate() {
                    assert_bits_equal("strip", &line[..cols], &want[(first + i) * cols..][..cols]);
                    assert_eq!(line[cols], T::ONE);
                    assert!(line[cols + 1..].iter().all(|x| x.to_f64().is_nan()), "outside");
                }
            }
            unfold(mat_mut(&mut out, 0, cols), &image, &w, group, rows, order).unwrap();
        }
    }
}

fn fold_is_the_adjoint<T: Real>() {
    let mut random = Random::new(502);
    for w in windows() {
        for (group, order) in groups(&w).into_iter().flat_map(|g| ORDERS.map(|o| (g, o))) {
            let (rows, cols) = (w.positions(), w.channels / group.count * w.taps());
            let image = random.normals::<T>(w.image_len());
            let delta = random.normals::<T>(rows * (cols + 1));
            let mut folded = random.normals::<T>(w.image_len());
            let mut want = to_f64(&folded);
            let sources = patch_sources(&w, group, order);
            for (i, line) in delta.chunks(cols + 1).enumerate() {
                for (s, d) in sources[i * cols..].iter().zip(&line[..cols]) {
                    if let Some(s) = s {
                        want[*s] += d.to_f64();
                    }
                }
            }
            let start = folded.clone();
            for first in (0..rows).step_by(3) {
                let strip = 3.min(rows - first);
                let part = mat(&delta[first * (cols + 1)..], strip, cols + 1);
                fold_add(&mut folded, part, &w, group, first, order).unwrap();
            }
            let taps = w.taps();
            assert_close("fold", &folded, &want, "fold", Dense, taps);
            // ⟨P x, y⟩ = ⟨x, Pᵀ y⟩
            let mut patches = nans::<T>(rows * cols);
            unfold(mat_mut(&mut patches, rows, cols), &image, &w, group, 0, order).unwrap();
            let lines = patches.chunks(cols).zip(delta.chunks(cols + 1));
            let left =
                lines.flat_map(|(p, d)| p.iter().zip(d).map(|(p, d)| p.to_f64() * d.to_f64()));
            let right = image.iter().zip(folded.iter().zip(&start));
            let right = right.map(|(x, (f, s))| x.to_f64() * (f.to_f64() - s.to_f64()));
            let size: f64 = image.iter().map(|x| x.to_f64().abs()).sum::<f64>() * taps as f64 * 4.0;
            let (left, right) = (left.sum::<f64>(), right.sum::<f64>());
            let want = [left, size];
            let got = [T::from_f64(right), T::from_f64(size)];
            assert_close("adjoint", &got, &want, "fold", Identity, taps);
            if let (Some(a), Some(b)) = (patches.first(), folded.first()) {
                assert!(a.is_finite() && b.is_finite());
            }
        }
    }
}

fn orders_are_a_permutation<T: Real>() {
    let mut random = Random::new(503);
    for (channels, taps) in [(1, 1), (3, 1), (1, 4), (2, 3), (5, 9), (0, 2), (2, 0)] {
        let plain = channels * taps;
        let place = |from: PatchOrder, j: usize| match from {
            _ if j == plain => plain,
            PatchOrder::ChannelMajor => (j % taps) * channels + j / taps,
            PatchOrder::TapMajor => (j % channels) * taps + j / channels,
        };
        for (k, from) in [plain, plain + 1].into_iter().flat_map(|k| ORDERS.map(|o| (k, o))) {
            let a = random.normals::<T>(3 * k);
            let (mut out, mut want) = (nans::<T>(3 * k), nans::<T>(3 * k));
            reorder_columns(mat_mut(&mut out, 3, k), mat(&a, 3, k), channels, taps, from).unwrap();
            for i in 0..3 {
                for j in 0..k {
                    want[i * k + place(from, j)] = a[i * k + j];
                }
            }
            assert_bits_equal("columns", &out, &want);
            let a = random.normals::<T>(k * k);
            let (mut out, mut want) = (nans::<T>(k * k), nans::<T>(k * k));
            reorder_symmetric(mat_mut(&mut out, k, k), mat(&a, k, k), channels, taps, from)
                .unwrap();
            for i in 0..k {
                for j in 0..k {
                    want[place(from, i) * k + place(from, j)] = a[i * k + j];
                }
            }
            assert_bits_equal("symmetric", &out, &want);
        }
        let mut out = nans::<T>(plain + 2);
        let a = vec![T::ONE; plain + 2];
        let (out, a) = (mat_mut(&mut out, 1, plain + 2), mat(&a, 1, plain + 2));
        let refused = reorder_columns(out, a, channels, taps, ORDERS[0]);
        assert!(matches!(refused, Err(Error::Shape { .. })));
    }
    // a patch of one order is the reordered patch of the other
    let w = window((4, 5, 5), [3, 2], [1, 1], [1, 1], [1, 1]);
    let (image, cols) = (random.normals::<T>(w.image_len()), w.channels * w.taps() + 1);
    let [channel_major, tap_major] = ORDERS.map(|order| {
        let mut out = nans::<T>(w.positions() * cols);
        unfold(mat_mut(&mut out, w.positions(), cols), &image, &w, WHOLE, 0, order).unwrap();
        out
    });
    let mut out = nans::<T>(w.positions() * cols);
    let view = mat_mut(&mut out, w.positions(), cols);
    let from = mat(&channel_major, w.positions(), cols);
    reorder_columns(view, from, w.channels, w.taps(), PatchOrder::ChannelMajor).unwrap();
    assert_bits_equal("orders", &out, &tap_major);
}

/// The pixels of every window of channel c, in order.
fn pooled(w: &Window, (oy, ox): (usize, usize), c: usize) -> Vec<usize> {
    let [kh, kw] = w.kernel;
    (0..kh)
        .flat_map(|ky| (0..kw).map(move |kx| (ky, kx)))
        .filter_map(|tap| source(w, (oy, ox), tap, c))
        .collect()
}

/// The windows of which every position meets the image.
fn pools() -> Vec<Window> {
    let covered = |w: &Window| {
        (0..w.out_height())
            .flat_map(|oy| (0..w.out_width()).map(move |ox| (oy, ox)))
            .all(|o| !pooled(w, o, 0).is_empty())
    };
    let pools: Vec<Window> = windows().into_iter().filter(covered).collect();
    assert!(pools.len() >= 7 && pools.len() < windows().len());
    pools
}

/// Channels-last outputs by position.
fn each_output(w: &Window, mut f: impl FnMut(usize, Vec<usize>)) {
    for oy in 0..w.out_height() {
        for ox in 0..w.out_width() {
            for c in 0..w.channels {
                f((oy * w.out_width() + ox) * w.channels + c, pooled(w, (oy, ox), c));
            }
        }
    }
}

fn maximum<T: Real>() {
    let mut random = Random::new(504);
    for w in pools() {
        // few values: ties; all negative: padding must not win
        let image: Vec<T> =
            (0..w.image_len()).map(|_| T::from_f64(-1.0 - random.below(3) as f64)).collect();
        let len = w.positions() * w.channels;
        let (mut out, mut argmax) = (nans::<T>(len), vec![u32::MAX; len]);
        max_pool(&mut out, &mut argmax, &image, &w).unwrap();
        let mut back = vec![0.0; w.image_len()];
        let delta: Vec<T> = random.normals(len);
        each_output(&w, |i, pixels| {
            let want = pixels.iter().map(|p| image[*p]).fold(-T::INFINITY, |a, b| a.max(b));
            let place = *pixels.iter().find(|p| image[**p] == want).unwrap();
            assert_eq!((out[i], argmax[i] as usize), (want, place), "{w:?} output {i}");
            back[place] += delta[i].to_f64();
        });
        let mut folded = vec![T::ZERO; w.image_len()];
        max_pool_backward_add(&mut folded, &delta, &argmax).unwrap();
        assert_close("max backward", &folded, &back, "fold", Dense, w.taps());
        // a NaN propagates to every window that meets it, and is its own place
        let mut broken = image.clone();
        let bad = random.below(broken.len());
        broken[bad] = T::NAN;
        max_pool(&mut out, &mut argmax, &broken, &w).unwrap();
        each_output(&w, |i, pixels| {
            let meets = pixels.contains(&bad);
            assert_eq!(!out[i].is_finite(), meets);
            assert!(!meets || argmax[i] as usize == bad);
        });
    }
    let w = window((1, 2, 2), [2, 2], [2, 2], [0, 0], [1, 1]);
    let (mut out, mut argmax) = ([T::ZERO], [0]);
    let two = [T::NAN, T::ONE, T::NAN, T::ONE];
    max_pool(&mut out, &mut argmax, &two, &w).unwrap();
    assert_eq!(argmax, [0], "the first NaN");
    let short = max_pool(&mut out, &mut argmax, &two[..3], &w);
    assert!(matches!(short, Err(Error::Shape { .. })));
    let outside = max_pool_backward_add(&mut [T::ZERO; 2], &[T::ONE], &[2]);
    assert!(matches!(outside, Err(Error::Shape { expected: 3, found: 2, .. })));
    max_pool_backward_add::<T>(&mut [], &[], &[]).unwrap();
}

fn average<T: Real>() {
    let mut random = Random::new(505);
    for w in windows() {
        let (image, len) = (random.normals::<T>(w.image_len()), w.positions() * w.channels);
        let delta = random.normals::<T>(len);
        for count in [PaddingCount::Include, PaddingCount::Exclude] {
            if count == PaddingCount::Exclude && !pools().contains(&w) {
                continue;
            }
            let (mut out, mut want) = (nans::<T>(len), vec![0.0; len]);
            let mut back = random.normals::<T>(w.image_len());
            let mut want_back = to_f64(&back);
            each_output(&w, |i, pixels| {
                let divisor = match count {
                    PaddingCount::Include => w.taps(),
                    PaddingCount::Exclude => pixels.len(),
                } as f64;
                want[i] = pixels.iter().map(|p| image[*p].to_f64()).sum::<f64>() / divisor;
                for p in pixels {
                    want_back[p] += delta[i].to_f64() / divisor;
                }
            });
            avg_pool(&mut out, &image, &w, count).unwrap();
            avg_pool_backward_add(&mut back, &delta, &w, count).unwrap();
            let label = format!("{w:?} {count:?}");
            assert_close(&label, &out, &want, "average pool", Dense, w.taps());
            assert_close(&label, &back, &want_back, "average pool", Dense, w.taps());
        }
    }
}

fn windows_in_the_padding_are_refused<T: Real>() {
    for w in windows().into_iter().filter(|w| !pools().contains(w)) {
        let (image, len) = (vec![T::ONE; w.image_len()], w.positions() * w.channels);
        let (mut out, mut argmax) = (nans::<T>(len), vec![0; len]);
        let refused = max_pool(&mut out, &mut argmax, &image, &w);
        assert!(matches!(refused, Err(Error::Parameter { .. })));
        let refused = avg_pool(&mut out, &image, &w, PaddingCount::Exclude);
        assert!(matches!(refused, Err(Error::Parameter { .. })));
        assert!(out.iter().all(|x| !x.is_finite()), "written before it was checked");
    }
}

/// Only the taps inside the image are visited: 2⁵⁸ of them would take for ever.
fn windows_far_beyond_the_image<T: Real>() {
    let reach = 1 << 28;
    let side = 2 * reach + 1;
    let w = window((1, 2, 3), [side, side], [1, 1], [reach, reach], [1, 1]);
    let image: Vec<T> = [-3.0, -1.0, -2.0, -6.0, -5.0, -4.0].map(T::from_f64).to_vec();
    let (mut out, mut argmax) = (nans::<T>(6), vec![u32::MAX; 6]);
    max_pool(&mut out, &mut argmax, &image, &w).unwrap();
    assert_eq!((out, argmax), (vec![-T::ONE; 6], vec![1; 6]), "every window sees all of the image");
    let mut out = nans::<T>(6);
    avg_pool(&mut out, &image, &w, PaddingCount::Exclude).unwrap();
    assert_close("average of all", &out, &[-3.5; 6], "average pool", Dense, 6);
    let mut back = vec![T::ZERO; 6];
    avg_pool_backward_add(&mut back, &[T::ONE; 6], &w, PaddingCount::Exclude).unwrap();
    assert_close("an equal share", &back, &[1.0; 6], "average pool", Dense, 6);
}

fn layouts<T: Real>() {
    let mut random = Random::new(506);
    for (c, p) in [(0, 3), (3, 0), (1, 1), (1, 9), (3, 35), (40, 7), (33, 64)] {
        let first = random.normals::<T>(c * p);
        let want: Vec<T> = (0..p)
            .flat_map(|i| (0..c).map(move |k| (k, i)))
            .map(|(k, i)| first[k * p + i])
            .collect();
        let (mut last, mut again) = (nans::<T>(c * p), nans::<T>(c * p));
        to_channels_last(&mut last, &first, c, p).unwrap();
        assert_bits_equal("channels last", &last, &want);
        to_channels_first(&mut again, &last, c, p).unwrap();
        assert_bits_equal("channels first", &again, &first);
        assert!(to_channels_last(&mut last, &first, c + 1, p + 1).is_err());
        assert!(to_channels_first(&mut last, &first, c + 1, p + 1).is_err());
    }
}

fn refusals<T: Real>() {
    let w = window((4, 4, 4), [3, 3], [1, 1], [1, 1], [1, 1]);
    let (image, mut out) = (vec![T::ONE; w.image_len()], nans::<T>(40 * 16));
    let (whole, order) = (WHOLE, PatchOrder::TapMajor);
    let shapes = [(16, 35, 0), (16, 38, 0), (17, 36, 0), (1, 36, 16), (2, 36, usize::MAX)];
    for (rows, cols, first) in shapes {
        let refused = unfold(mat_mut(&mut out, rows, cols), &image, &w, whole, first, order);
        assert!(matches!(refused, Err(Error::Shape { .. })), "{rows} {cols} {first}");
    }
    let refused = unfold(mat_mut(&mut out, 16, 36), &image[1..], &w, whole, 0, order);
    assert!(matches!(refused, Err(Error::Shape { .. })));
    for group in [(0, 0), (1, 1), (0, 3), (4, 4)] {
        let group = Group { index: group.0, count: group.1 };
        let refused = unfold(mat_mut(&mut out, 16, 36), &image, &w, group, 0, order);
        assert!(matches!(refused, Err(Error::Parameter { .. })), "{group:?}");
    }
    let columns = MatMut::with_strides(&mut out, 16, 36, 1, 16).unwrap();
    let refused = unfold(columns, &image, &w, whole, 0, order);
    assert!(matches!(refused, Err(Error::Layout { .. })));
    let mut pixels = image.clone();
    let columns = MatRef::with_strides(&out, 16, 36, 1, 16).unwrap();
    let refused = fold_add(&mut pixels, columns, &w, whole, 0, order);
    assert!(matches!(refused, Err(Error::Layout { .. })));
    assert_bits_equal("untouched", &pixels, &image);
}

both_dtypes!(
    patches_are_the_six_loops,
    fold_is_the_adjoint,
    orders_are_a_permutation,
    maximum,
    average,
    windows_in_the_padding_are_refused,
    windows_far_beyond_the_image,
    layouts,
    refusals,
);
