//! IDX files, plain and gzip, of images and of labels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relfisher::dataset::{Dataset, Idx};
use relfisher_fuzz::refused;

fuzz_target!(|data: &[u8]| {
    if let Some(idx) = refused(Idx::parse(data)) {
        assert_eq!(idx.shape.iter().product::<usize>(), idx.data.len());
    }
    refused(Idx::images(data));
    let Some(labels) = refused(Idx::labels(data)) else { return };
    // As many images as there are labels.
    let Ok(count) = u32::try_from(labels.samples()) else { return };
    let mut images = [&[0, 0, 8, 2][..], &count.to_be_bytes(), &[0, 0, 0, 1]].concat();
    images.extend(&labels.data);
    let set = Dataset::<f32>::from_idx(("images", &images), ("labels", data), 10);
    if let Some(set) = refused(set) {
        assert!(set.labels().iter().all(|&label| label < 10));
        assert!(set.features().row(0).iter().all(|x| (0.0..=1.0).contains(x)));
    }
});
