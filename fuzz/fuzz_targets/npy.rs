//! NumPy arrays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relfisher::format::Array;
use relfisher_fuzz::refused;

fuzz_target!(|data: &[u8]| {
    let Some(array) = refused(Array::parse(data)) else { return };
    assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
    if let Some((numbers, rows, cols)) = refused(array.matrix::<f32>()) {
        assert!(numbers.iter().all(|x| x.is_finite()));
        assert!(numbers.is_empty() || rows * cols == numbers.len());
    }
    if let Some(classes) = refused(array.classes()) {
        assert_eq!(classes.len(), array.data.len());
    }
});
