//! No copy is made (addresses are equal), values are those of the library, and what cannot be viewed is
//! refused.
#![cfg(all(feature = "ndarray", feature = "nalgebra", feature = "faer"))]

use ndarray::{Array2, ArrayView2, Axis, ShapeBuilder, arr2, s};
use proptest::prelude::*;
use relfisher_views::{Layout, MatMut, MatRef, ViewError};

/// Element (i, j) has a number of its own.
fn value(i: usize, j: usize) -> f64 {
    (100 * i + j) as f64 + 0.5
}

/// The same place, shape and values as `wanted` says.
fn same(found: MatRef<'_, f64>, place: *const f64, shape: (usize, usize)) {
    assert_eq!((found.rows(), found.cols()), shape);
    if shape.0 * shape.1 > 0 {
        assert_eq!(found.data().as_ptr(), place, "a copy was made");
    }
    for i in 0..shape.0 {
        for j in 0..shape.1 {
            assert_eq!(found.at(i, j), value(i, j), "element ({i}, {j})");
        }
    }
}

proptest! {
    /// Whole matrices of every library, in both orders, empty ones included.
    #[test]
    fn whole_matrices(rows in 0_usize..7, cols in 0_usize..7) {
        let at = |(i, j): (usize, usize)| value(i, j);
        for fortran in [false, true] {
            let mut a = Array2::from_shape_fn((rows, cols).set_f(fortran), at);
            let place = a.as_ptr();
            same(relfisher_views::ndarray::view(&a).unwrap(), place, (rows, cols));
            same(relfisher_views::ndarray::view_mut(&mut a).unwrap().rb(), place, (rows, cols));
            let turned = a.t();
            let turned = relfisher_views::ndarray::view(&turned).unwrap();
            same(turned.t(), place, (rows, cols));
        }
        let mut a = nalgebra::DMatrix::from_fn(rows, cols, value);
        let place = a.as_ptr();
        same(relfisher_views::nalgebra::view(&a).unwrap(), place, (rows, cols));
        same(relfisher_views::nalgebra::view_mut(&mut a).unwrap().rb(), place, (rows, cols));
        let numbers: Vec<f64> =
            (0..rows).flat_map(|i| (0..cols).map(move |j| value(i, j))).collect();
        let mut copy = numbers.clone();
        let place = numbers.as_ptr();
        let b = faer::MatRef::from_row_major_slice(&numbers, rows, cols);
        same(relfisher_views::faer::view(b).unwrap(), place, (rows, cols));
        let place = copy.as_ptr();
        let b = faer::MatMut::from_row_major_slice_mut(&mut copy, rows, cols);
        same(relfisher_views::faer::view_mut(b).unwrap().rb(), place, (rows, cols));
    }

    /// Core views of any strides for every library: the place, the values, and a write that comes
    /// through at its place.
    #[test]
    fn core_views_for_libraries(
        rows in 0_usize..6, cols in 0_usize..6, gap in 0_usize..3, step in 1_usize..3,
        turn in any::<bool>(),
    ) {
        let across = step;
        let down = (cols * across).max(1) + gap;
        let mut data = vec![-1.0; rows * down + 1];
        for i in 0..rows {
            for j in 0..cols {
                let (r, c) = if turn { (j, i) } else { (i, j) };
                data[i * down + j * across] = value(r, c);
            }
        }
        let shape = if turn { (cols, rows) } else { (rows, cols) };
        let strides = if turn { (across, down) } else { (down, across) };
        let place = data.as_ptr();
        let view = MatRef::with_strides(&data, shape.0, shape.1, strides.0, strides.1).unwrap();
        let a = relfisher_views::ndarray::of(view).unwrap();
        let b = relfisher_views::nalgebra::of(view).unwrap();
        let c = relfisher_views::faer::of(view).unwrap();
        prop_assert_eq!((a.dim(), b.shape(), (c.nrows(), c.ncols())), (shape, shape, shape));
        for i in 0..shape.0 {
            for j in 0..shape.1 {
                prop_assert_eq!([a[[i, j]], b[(i, j)], c[(i, j)]], [value(i, j); 3]);
            }
        }
        if shape.0 * shape.1 > 0 {
            prop_assert_eq!((a.as_ptr(), b.as_ptr(), c.as_ptr()), (place, place, place));
            // And back: a part with gaps within its slice.
            for layout in [
                relfisher_views::ndarray::layout(&a),
                relfisher_views::nalgebra::layout(&b),
                relfisher_views::faer::layout(c),
            ] {
                same(layout.within(&data).unwrap(), place, shape);
                prop_assert_eq!(Layout::from(layout.within(&data).unwrap()).address, place.addr());
            }
            let last = (shape.0 - 1, shape.1 - 1);
            let mut view =
                MatMut::with_strides(&mut data, shape.0, shape.1, strides.0, strides.1).unwrap();
            relfisher_views::ndarray::of_mut(&mut view).unwrap()[[last.0, last.1]] += 1.0;
            relfisher_views::nalgebra::of_mut(&mut view).unwrap()[last] += 1.0;
            relfisher_views::faer::of_mut(&mut view).unwrap()[last] += 1.0;
            prop_assert_eq!(view.at(last.0, last.1), value(last.0, last.1) + 3.0);
        }
    }

    /// Slices of ndarray with steps: dense ones are viewed at their place, the others refused as gaps
    /// and viewed within the whole.
    #[test]
    fn parts(rows in 1_usize..6, cols in 1_usize..6, i in 0_usize..3, j in 0_usize..3,
             down in 1_isize..3, across in 1_isize..3) {
        let a = Array2::from_shape_fn((rows + 3, cols + 3), |(i, j)| value(i, j));
        let part = a.slice(s![i..i + rows;down, j..j + cols;across]);
        let wanted = |r: usize, c: usize| value(i + r * down as usize, j + c * across as usize);
        let layout = relfisher_views::ndarray::layout(&part);
        let whole = layout.within(a.as_slice().unwrap()).unwrap();
        prop_assert_eq!(whole.data().as_ptr(), part.as_ptr());
        for ((r, c), x) in part.indexed_iter() {
            prop_assert_eq!(whole.at(r, c), *x);
            prop_assert_eq!(*x, wanted(r, c));
        }
        let dense = part.as_slice_memory_order().is_some();
        match relfisher_views::ndarray::view(&part) {
            Ok(view) => prop_assert!(dense && view.data().as_ptr() == part.as_ptr()),
            Err(error) => prop_assert!(!dense && error == ViewError::Gaps),
        }
    }
}

#[test]
fn negative_strides() {
    let mut a = arr2(&[[1.0, 2.0], [3.0, 4.0]]);
    a.invert_axis(Axis(0));
    assert_eq!(relfisher_views::ndarray::view(&a).err(), Some(ViewError::Negative(-2, 1)));
    assert!(relfisher_views::ndarray::view_mut(&mut a).is_err());
    let whole = [1.0, 2.0, 3.0, 4.0];
    let b = faer::MatRef::from_row_major_slice(&whole, 2, 2).reverse_rows();
    assert_eq!(relfisher_views::faer::view(b).err(), Some(ViewError::Negative(-2, 1)));
    assert_eq!(
        relfisher_views::faer::layout(b).within(&whole).err(),
        Some(ViewError::Negative(-2, 1))
    );
    // One row cannot be reversed: its stride does not matter.
    let mut row = arr2(&[[1.0, 2.0]]);
    row.invert_axis(Axis(0));
    assert_eq!(relfisher_views::ndarray::view(&row).unwrap().at(0, 1), 2.0);
}

#[test]
fn overlaps() {
    let row = [1.0, 2.0, 3.0];
    let line = ArrayView2::from_shape((1, 3), &row).unwrap();
    let broadcast = line.broadcast((4, 3)).unwrap();
    assert_eq!(relfisher_views::ndarray::view(&broadcast).err(), Some(ViewError::Gaps));
    let layout = relfisher_views::ndarray::layout(&broadcast);
    // To be read it may repeat; to be written not.
    let repeated = layout.within(&row).unwrap();
    assert_eq!((repeated.at(3, 2), repeated.rows()), (3.0, 4));
    let mut other = row;
    let moved = Layout { address: other.as_ptr().addr(), ..layout };
    assert_eq!(moved.within_mut(&mut other).err(), Some(ViewError::Overlap));
}

#[test]
fn another_slice() {
    let (a, b) = (vec![1.0; 6], vec![1.0; 6]);
    let view = ArrayView2::from_shape((2, 3), &a).unwrap();
    let layout = relfisher_views::ndarray::layout(&view);
    assert_eq!(layout.within(&b).err(), Some(ViewError::Outside));
    assert_eq!(layout.within(&a[..5]).err(), Some(ViewError::Outside));
    assert_eq!(layout.within(&a[1..]).err(), Some(ViewError::Outside));
    // Half an element away.
    let odd = Layout { address: layout.address + 4, rows: 1, ..layout };
    assert_eq!(odd.within(&a).err(), Some(ViewError::Outside));
    let mut c = a.clone();
    assert!(layout.within_mut(&mut c).is_err());
}

/// faer pads the columns of its own matrices to 64 bytes: padding is not looked at.
#[test]
fn padded_columns() {
    for (rows, cols) in (1..18).flat_map(|rows| [1, 2, 3].map(|cols| (rows, cols))) {
        let mut a = faer::Mat::from_fn(rows, cols, value);
        assert_eq!(a.col_stride(), rows.next_multiple_of(8) as isize);
        if cols == 1 || rows % 8 == 0 {
            let place = a.as_ptr();
            same(relfisher_views::faer::view(a.as_ref()).unwrap(), place, (rows, cols));
            same(relfisher_views::faer::view_mut(a.as_mut()).unwrap().rb(), place, (rows, cols));
        } else {
            let refused = Some(ViewError::Padded);
            assert_eq!(relfisher_views::faer::view(a.as_ref()).err(), refused);
            assert_eq!(relfisher_views::faer::view(a.transpose()).err(), refused);
            assert_eq!(relfisher_views::faer::view_mut(a.as_mut()).err(), refused);
        }
    }
    let single = faer::Mat::from_fn(8, 2, |i, j| value(i, j) as f32);
    assert_eq!(relfisher_views::faer::view(single.as_ref()).err(), Some(ViewError::Padded));
    let single = faer::Mat::from_fn(16, 2, |i, j| value(i, j) as f32);
    assert_eq!(relfisher_views::faer::view(single.as_ref()).unwrap().at(15, 1), 1501.5);

    // The remedy: the same numbers in a slice, written through faer.
    let mut numbers = [0.0; 15];
    let mut a = faer::MatMut::from_column_major_slice_mut(&mut numbers, 5, 3);
    a.copy_from(faer::Mat::from_fn(5, 3, value));
    let place = a.as_ptr();
    same(relfisher_views::faer::view(a.as_ref()).unwrap(), place, (5, 3));
    // A part looks like a padded matrix; the slice tells it from one.
    let rows = a.as_ref().get(..3, ..);
    assert_eq!(relfisher_views::faer::view(rows).err(), Some(ViewError::Padded));
    let layout = relfisher_views::faer::layout(rows);
    same(layout.within(&numbers).unwrap(), place, (3, 3));
}

/// Fixed sizes, and parts whose storage has strides in its type.
#[test]
fn storages_of_nalgebra() {
    let a = nalgebra::SMatrix::<f64, 2, 3>::from_fn(value);
    same(relfisher_views::nalgebra::view(&a).unwrap(), a.as_ptr(), (2, 3));
    let columns = a.fixed_columns::<2>(1);
    let view = relfisher_views::nalgebra::view(&columns).unwrap();
    assert_eq!((view.at(1, 1), view.data().as_ptr()), (value(1, 2), columns.as_ptr()));
    let rows = a.rows(1, 1);
    assert_eq!(relfisher_views::nalgebra::view(&rows).err(), Some(ViewError::Gaps));
    let within = relfisher_views::nalgebra::layout(&rows).within(a.as_slice()).unwrap();
    assert_eq!((within.at(0, 2), within.data().as_ptr()), (value(1, 2), rows.as_ptr()));
}

#[test]
fn refusals_in_one_line() {
    for error in [
        ViewError::Negative(-1, 1),
        ViewError::Overlap,
        ViewError::Gaps,
        ViewError::Padded,
        ViewError::Outside,
    ] {
        let line = error.to_string();
        assert!(line.starts_with("matrix: ") && line.contains("; ") && !line.contains('\n'));
    }
}
