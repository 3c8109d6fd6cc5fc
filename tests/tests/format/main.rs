//! Every malformed file gives one line with file, place and remedy, never a panic; whatever is
//! written reads back the same.

mod network_file;

use std::io::Write;
use std::path::{Path, PathBuf};

use relfisher::dataset::{BUNDLED_NOTICE, Dataset, Split};
use relfisher::format::{
    Array, TensorFile, load_parameters, read_npy, read_npz, save_parameters, write_atomic,
    write_bytes, write_npy,
};
use relfisher::network::{Loss, Network, Normalisation, Parameters, Tape};
use relfisher::{Error, Scalar, random};
use relfisher_core::metric::neuron::Activation;
use relfisher_tests::random::Random;

/// A folder that vanishes at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("relfisher-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bad input: one line with these words, exit status 2.
#[track_caller]
fn says<V>(result: Result<V, Error>, words: &[&str]) {
    let Err(error) = result else { panic!("accepted, but should say {words:?}") };
    let line = error.to_string();
    assert!(words.iter().all(|w| line.contains(w)), "{line:?} does not say {words:?}");
    assert!(!line.contains('\n') && line.contains("; "), "{line:?}: one line with a remedy");
    assert_eq!(error.exit_code(), 2);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|side| bytes.extend(side.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Two images of 1×3 pixels and their labels.
fn small() -> (Vec<u8>, Vec<u8>) {
    (idx(&[2, 1, 3], &[0, 51, 255, 1, 2, 3]), idx(&[2], &[4, 9]))
}

fn digits(images: &[u8], labels: &[u8]) -> Result<Dataset<f64>, Error> {
    Dataset::from_idx(("images", images), ("labels", labels), 10)
}

#[test]
fn idx_files_plain_and_gzip() {
    let (images, labels) = small();
    for (images, labels) in
        [(images.clone(), labels.clone()), (gzip(&images), gzip(&labels)), (gzip(&images), labels)]
    {
        let data = digits(&images, &labels).expect("two images");
        assert_eq!((data.len(), data.width(), data.labels()), (2, 3, &[4, 9][..]));
        assert_eq!(data.features().row(0), [0.0, 0.2, 1.0]);
    }
}

#[test]
fn idx_files_that_are_wrong() {
    let (images, labels) = small();
    says(digits(&labels, &labels), &["images: ", "these are labels", "swap"]);
    says(digits(&images, &images), &["labels: ", "these are images", "swap"]);
    says(digits(b"PNG....", &labels), &["images: byte 0: not an IDX file"]);
    says(digits(&[0, 0, 13, 1, 0, 0, 0, 0], &labels), &["images: byte 2", "type 0x0d"]);
    says(digits(&[0, 0, 8, 0], &labels), &["no dimensions"]);
    says(digits(&idx(&[0, 2, 2], &[]), &labels), &["holds nothing"]);
    says(digits(&idx(&[u32::MAX; 3], &[1]), &labels), &["too large"]);
    says(digits(&idx(&[u32::MAX, 2], &[1]), &labels), &["truncated: 1 of"]);
    says(digits(&images, &idx(&[3], &[1, 2, 3])), &["labels: ", "3 labels", "images has 2"]);
    says(digits(&images, &idx(&[2], &[4, 10])), &["labels: label 1: is 10", "10 classes"]);
    let longer = [&images[..], &[0]].concat();
    says(digits(&longer, &labels), &["images: byte 22: more data"]);
    says(digits(&gzip(&longer), &labels), &["images: byte 22: more data"]);
    // Truncated at every byte, plain and compressed.
    for n in 0..images.len() {
        says(digits(&images[..n], &labels), &["images: byte", "truncated"]);
    }
    let packed = gzip(&images);
    for n in 0..packed.len() {
        says(digits(&packed[..n], &labels), &["images: byte"]);
    }
}

#[test]
fn flipped_bits_never_panic() {
    let (images, labels) = small();
    let packed = gzip(&images);
    for file in [&images, &packed] {
        each_flip(file, |bytes| {
            let _ = digits(bytes, &labels);
            let _ = digits(&images, bytes);
        });
    }
}

fn each_flip(bytes: &[u8], mut check: impl FnMut(&[u8])) {
    let mut bytes = bytes.to_vec();
    for k in 0..bytes.len() * 8 {
        bytes[k / 8] ^= 1 << (k % 8);
        check(&bytes);
        bytes[k / 8] ^= 1 << (k % 8);
    }
}

#[test]
fn folders_of_idx_files() {
    let folder = Folder::new("idx");
    let open = || Split::<f32>::open(&folder.0, 10);
    says(Split::<f32>::open(&folder.0.join("nowhere"), 10), &["nowhere: no such folder"]);
    says(open(), &["no file train-images-idx3-ubyte or train-images-idx3-ubyte.gz"]);
    let (images, labels) = small();
    folder.file("train-images-idx3-ubyte.gz", &gzip(&images));
    folder.file("train-labels-idx1-ubyte", &labels);
    folder.file("t10k-images.idx3-ubyte", &images);
    says(open(), &["t10k-labels"]);
    folder.file("t10k-labels-idx1-ubyte", &labels);
    let split = open().expect("four files");
    assert_eq!((split.train.len(), split.test.len()), (2, 2));
    folder.file("t10k-images.idx3-ubyte", &idx(&[2, 2, 1], &[1, 2, 3, 4]));
    says(open(), &["t10k-images", "2 pixels", "has 3"]);
    folder.file("t10k-labels-idx1-ubyte", &[0, 0]);
    says(open(), &["t10k-labels-idx1-ubyte", "byte 0: truncated"]);
}

#[test]
fn the_bundled_digits_are_those_of_the_notice() {
    let split = Split::<f32>::bundled().expect("intact");
    assert_eq!((split.train.len(), split.test.len(), split.train.width()), (8000, 2000, 784));
    let mut counts = [0; 10];
    split.test.labels().iter().for_each(|l| counts[*l] += 1);
    assert_eq!(counts, [200, 225, 198, 206, 196, 173, 203, 214, 189, 196]);
    for (set, mean) in [(&split.train, 0.1309), (&split.test, 0.1321)] {
        let pixels = set.features().data();
        let sum: f64 = pixels.iter().map(|x| f64::from(*x)).sum();
        let digits = 1e4;
        assert_eq!((sum / pixels.len() as f64 * digits).round() / digits, mean);
    }
    assert!(BUNDLED_NOTICE.contains("CC BY-SA 3.0") && BUNDLED_NOTICE.contains("LeCun"));
}

#[test]
fn mini_batches_cover_the_data_once() {
    let (images, labels) = small();
    let data = digits(&images, &labels).expect("data");
    let network = Network::<f64>::mlp(
        &[3, 10],
        Activation::Linear,
        Normalisation::Plain,
        Loss::SoftmaxCrossEntropy,
    )
    .expect("network");
    let (mut tape, mut classes) = (Tape::new(&network, 2), Vec::new());
    data.gather(&[1, 0], &mut tape, &mut classes).expect("gather");
    assert_eq!(classes, [9, 4]);
    assert_eq!(tape.layer_input(0).row(1), [0.0, 0.2, 1.0, 1.0]);
    assert!(data.gather(&[2], &mut tape, &mut classes).is_err());

    let large = Dataset::new(vec![0.5; 1000], 1, vec![0; 1000], 1).expect("data");
    let order = |seed| large.shuffled(&mut random::stream(seed, 0, "shuffle"));
    let mut sorted = order(1);
    assert_eq!(order(1), sorted);
    assert_ne!(order(2), sorted);
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..1000));
}

#[test]
fn data_sets_that_are_wrong() {
    let new = |features: &[f32], labels: &[usize]| {
        Dataset::new(features.to_vec(), 2, labels.to_vec(), 3).map(|_| ())
    };
    says(new(&[], &[]), &["no samples"]);
    says(new(&[1.0, 2.0, 3.0], &[0]), &["3 numbers for 1 samples of 2"]);
    says(new(&[1.0, 2.0, 3.0, f32::NAN], &[0, 1]), &["sample 1, feature 1", "NaN"]);
    says(new(&[1.0, 2.0], &[3]), &["label 0: is 3", "3 classes"]);
}

fn network<T: Scalar>(normalisation: Normalisation) -> Network<T> {
    Network::mlp(&[3, 4, 2], Activation::Tanh, normalisation, Loss::SoftmaxCrossEntropy)
        .expect("network")
}

fn some_parameters<T: Scalar>(network: &Network<T>) -> Parameters<T> {
    let mut random = Random::new(4);
    Parameters {
        values: random.normals(network.parameter_count()),
        buffers: random.uniforms(network.buffer_count(), 0.1, 2.0),
    }
}

#[test]
fn parameters_read_back_the_same() {
    let folder = Folder::new("weights");
    let path = folder.0.join("model.safetensors");
    for normalisation in [Normalisation::Plain, Normalisation::Batch] {
        let (single, double) = (network::<f32>(normalisation), network::<f64>(normalisation));
        let parameters = some_parameters(&single);
        save_parameters(&single, &parameters, &path).expect("save");
        assert_eq!(load_parameters(&single, &path).expect("f32"), parameters);
        let wide = load_parameters(&double, &path).expect("f32 as f64");
        assert!(wide.values.iter().zip(&parameters.values).all(|(a, b)| *a == f64::from(*b)));
        let parameters = some_parameters(&double);
        save_parameters(&double, &parameters, &path).expect("save");
        assert_eq!(load_parameters(&double, &path).expect("f64"), parameters);
        let narrow = load_parameters(&single, &path).expect("f64 as f32");
        assert!(narrow.values.iter().zip(&parameters.values).all(|(a, b)| *a == *b as f32));
        // Equal content has equal bytes.
        let bytes = std::fs::read(&path).expect("bytes");
        save_parameters(&double, &parameters, &path).expect("save");
        assert_eq!(std::fs::read(&path).expect("bytes"), bytes);
    }
    let file = TensorFile::<f64>::load(&path).expect("tensors");
    let names: Vec<&str> = file.tensors.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "layers.0.bias",
            "layers.0.weight",
            "layers.1.bias",
            "layers.1.running_mean",
            "layers.1.running_var",
            "layers.1.weight",
            "layers.2.bias",
            "layers.2.weight"
        ]
    );
    assert_eq!(file.tensors["layers.0.weight"].shape, [4, 3]);
}

#[test]
fn parameters_that_are_wrong() {
    let folder = Folder::new("wrong-weights");
    let path = folder.0.join("model.safetensors");
    let net = network::<f32>(Normalisation::Batch);
    save_parameters(&net, &some_parameters(&net), &path).expect("save");
    let good = TensorFile::<f64>::load(&path).expect("load");
    let check = |change: &dyn Fn(&mut TensorFile<f64>), words: &[&str]| {
        let mut file = good.clone();
        change(&mut file);
        file.save(&path).expect("save");
        says(load_parameters(&net, &path), &[&["model.safetensors: "], words].concat());
    };
    check(&|f| drop(f.tensors.remove("layers.2.bias")), &["tensor \"layers.2.bias\": is missing"]);
    check(&|f| f.insert("layers.9.weight", &[1], vec![0.0]), &["\"layers.9.weight\"", "no layer"]);
    check(
        &|f| f.insert("layers.0.weight", &[3, 4], vec![0.0; 12]),
        &["has shape [3, 4]", "[4, 3]"],
    );
    check(&|f| f.insert("layers.2.bias", &[2], vec![0.0, f64::NAN]), &["element 1 is NaN"]);
    check(&|f| f.insert("layers.2.bias", &[2], vec![1e300, 0.0]), &["element 0 is inf as f32"]);
    check(&|f| f.insert("layers.1.running_var", &[4], vec![-1.0; 4]), &["running_var", "negative"]);
    says(load_parameters(&net, &folder.0.join("none")), &["none: cannot read", "check the path"]);
    let mut unfit = good.clone();
    unfit.insert("x", &[5], vec![0.0]);
    assert!(unfit.to_bytes().is_err());
}

#[test]
fn damaged_safetensors_never_panic() {
    let net = network::<f64>(Normalisation::Plain);
    let folder = Folder::new("damaged-weights");
    let path = folder.0.join("model.safetensors");
    save_parameters(&net, &some_parameters(&net), &path).expect("save");
    let bytes = std::fs::read(&path).expect("bytes");
    for n in 0..bytes.len() {
        says(TensorFile::<f64>::parse(&bytes[..n]), &["not a whole safetensors file"]);
    }
    each_flip(&bytes, |bytes| drop(TensorFile::<f32>::parse(bytes)));
    let integers = br#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
    let mut file = (integers.len() as u64).to_le_bytes().to_vec();
    file.extend(integers);
    file.extend([0; 8]);
    says(TensorFile::<f32>::parse(&file), &["tensor \"a\": has type I64", "F32 or F64"]);
}

#[test]
fn notes_travel_with_tensors() {
    let mut file = TensorFile::<f32>::new();
    file.insert("momentum", &[2, 1], vec![1.5, f32::MIN_POSITIVE]);
    file.insert("empty", &[0], vec![]);
    file.note = Some("{\"step\": 12}".to_owned());
    let back = TensorFile::parse(&file.to_bytes().expect("bytes")).expect("parse");
    assert_eq!(back, file);
}

#[test]
fn numpy_arrays_read_back_the_same() {
    let folder = Folder::new("npy");
    let path = folder.0.join("x.npy");
    let data: Vec<f64> = Random::new(8).normals(6);
    write_npy(&path, &[2, 3], &data).expect("write");
    let array = read_npy(&path).expect("read");
    assert_eq!((&array.shape[..], &array.data), (&[2, 3][..], &data));
    assert_eq!(array.matrix::<f64>().expect("matrix"), (data, 2, 3));
    let single = [1.0_f32, -0.1, 3.5];
    write_npy(&path, &[3], &single).expect("write");
    assert_eq!(read_npy(&path).expect("read").data, single.map(f64::from));
    says(write_npy(&path, &[4], &single), &["x.npy", "3 numbers do not fill"]);
    says(read_npy(&folder.0.join("none.npy")), &["none.npy: cannot read"]);
}

fn npy(header: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let header = format!("{header}\n");
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(payload);
    bytes
}

/// Brackets within brackets once took the parser of headers a time that doubled with each.
#[test]
fn numpy_headers_that_mislead_their_parser_are_refused_at_once() {
    for (bracket, problem) in [("[", "a structured array"), ("(", "brackets are opened")] {
        let header = format!("{{'descr': '<i8', {}'fortran_order': Fals", bracket.repeat(60));
        says(Array::parse(&npy(&header, &[])), &["header", problem, "save"]);
    }
    let vast = "{'descr': '<i8', 'fortran_order': False, 'shape': (6, 18446744073709551615), }";
    says(Array::parse(&npy(vast, &[])), &["header", "(6, 18446744073709551615)", "damaged"]);
    let structured = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (0,), }";
    says(Array::parse(&npy(structured, &[])), &["a structured array", "plain array"]);
}

#[test]
fn numpy_arrays_of_every_type() {
    let header =
        |descr: &str| format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,), }}");
    for (descr, payload) in [
        ("<i8", [1_i64.to_le_bytes(), 2_i64.to_le_bytes()].concat()),
        ("<i4", [1_i32.to_le_bytes(), 2_i32.to_le_bytes()].concat()),
        (">i4", [1_i32.to_be_bytes(), 2_i32.to_be_bytes()].concat()),
        ("<u2", [1_u16.to_le_bytes(), 2_u16.to_le_bytes()].concat()),
        ("|u1", vec![1, 2]),
        ("<f4", [1_f32.to_le_bytes(), 2_f32.to_le_bytes()].concat()),
        (">f8", [1_f64.to_be_bytes(), 2_f64.to_be_bytes()].concat()),
    ] {
        let array = Array::parse(&npy(&header(descr), &payload)).expect(descr);
        assert_eq!(array.classes().expect(descr), [1, 2]);
    }
    says(Array::parse(&npy(&header("<c8"), &[0; 16])), &["<c8", "not supported"]);
    says(Array::parse(&npy(&header("<f8"), &[0; 15])), &["does not match 15 bytes"]);
    let shaped = |shape: &str, order: &str| {
        npy(&format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': {shape}}}"), &[0; 32])
    };
    says(Array::parse(&shaped("(2, 2)", "True")), &["Fortran order", "ascontiguousarray"]);
    says(Array::parse(&shaped("(9223372036854775807, 4)", "False")), &["exceeds all memory"]);
    says(Array::parse(&shaped("(18446744073709551615, 18446744073709551615)", "False")), &[""]);
    let values = |data: [f64; 2]| Array { shape: vec![2], data: data.to_vec() };
    says(values([0.0, -1.0]).classes(), &["element 1: -1 is not a class"]);
    says(values([0.5, 1.0]).classes(), &["element 0: 0.5 is not a class"]);
    says(values([1.0, f64::NAN]).matrix::<f32>(), &["element 1: is NaN"]);
    says(values([1e300, 0.0]).matrix::<f32>(), &["element 0: is inf as f32"]);
}

#[test]
fn damaged_numpy_files_never_panic() {
    let folder = Folder::new("damaged-npy");
    let path = folder.0.join("x.npy");
    write_npy(&path, &[2, 2], &[1.0_f64, 2.0, 3.0, 4.0]).expect("write");
    let bytes = std::fs::read(&path).expect("bytes");
    for n in 0..bytes.len() {
        says(Array::parse(&bytes[..n]), &["header"]);
    }
    each_flip(&bytes, |bytes| drop(Array::parse(bytes)));

    let packed = zip_of(&[("x", &bytes)]);
    let path = folder.file("x.npz", &packed);
    let arrays = read_npz(&path).expect("npz");
    assert_eq!(arrays["x"].data, [1.0, 2.0, 3.0, 4.0]);
    for n in 0..packed.len() {
        let cut = folder.file("cut.npz", &packed[..n]);
        says(read_npz(&cut), &["cut.npz"]);
    }
    each_flip(&packed, |bytes| {
        let _ = read_npz(&folder.file("flip.npz", bytes));
    });
    let bad = zip_of(&[("y", &bytes[..100])]);
    says(read_npz(&folder.file("bad.npz", &bad)), &["bad.npz: array \"y\""]);
}

/// An archive of stored (uncompressed) entries, byte by byte.
fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let name = format!("{name}.npy");
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(crc.sum().to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.bytes());
        bytes.extend(*content);
    }
    let (start, count) = (bytes.len() as u32, entries.len() as u16);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

#[test]
fn files_appear_whole_or_not_at_all() {
    let folder = Folder::new("atomic");
    let path = folder.file("record.json", b"old");
    let failed = write_atomic(&path, |file| {
        file.write_all(b"half")?;
        Err(std::io::Error::other("the disk is full"))
    });
    says(failed, &["record.json: cannot write: the disk is full"]);
    assert_eq!(std::fs::read(&path).expect("old"), b"old");
    write_bytes(&path, b"new").expect("write");
    assert_eq!(std::fs::read(&path).expect("new"), b"new");
    let names: Vec<_> = std::fs::read_dir(&folder.0).expect("folder").collect();
    assert_eq!(names.len(), 1, "no temporary file is left");
    says(write_bytes(&folder.0.join("none/x"), b""), &["none/x: cannot write", "check the path"]);
    says(write_bytes(Path::new("/"), b""), &["not the name of a file"]);
    says(write_bytes(&folder.0, b""), &["is a folder", "give the name of a file"]);
}
