//! A damaged checkpoint is refused whatever the damage: cut off at every byte, with a bit of every byte
//! flipped, of another precision or format; in one line with file and remedy, without memory that a
//! damaged length asks for, and without anything being taken over from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use relfisher::train::{Experiment, SessionOptions, Size, Standing, Start, train};

/// Every optimiser that keeps something, on images of six pixels.
const EXPERIMENT: &str = r#"
name = "small"
epochs = 2
batch_size = 5
variants = ["plain", "batch-norm"]
[data]
directory = "data"
classes = 3
[network]
hidden = [4]
[[optimizers]]
kind = "sgd"
learning_rate = 0.05
[[optimizers]]
kind = "adam"
[[optimizers]]
kind = "rngd"
[[optimizers]]
kind = "rngd-sample"
[[optimizers]]
kind = "kfac"
"#;

/// What reading may allocate, in files, and on top: the program's own words.
const FILES: u64 = 8;
const WORDS: u64 = 1 << 16;

/// The experiment, its folder, and the finished runs' output in it.
fn finished(name: &str) -> (Experiment, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("data")).expect("a folder");
    for (set, n) in [("train", 20_u8), ("t10k", 10)] {
        let header = |kind: u8, sides: &[u8]| {
            let mut bytes = vec![0, 0, 8, kind];
            sides.iter().for_each(|&side| bytes.extend(u32::from(side).to_be_bytes()));
            bytes
        };
        let mut images = header(3, &[n, 2, 3]);
        images.extend((0..n).flat_map(|i| (0..6).map(move |k: u8| i.wrapping_mul(37) ^ (k * 41))));
        let mut labels = header(1, &[n]);
        labels.extend((0..n).map(|i| i % 3));
        let file = |kind: &str| folder.join("data").join(format!("{set}-{kind}-ubyte"));
        fs::write(file("images-idx3"), images).expect("images");
        fs::write(file("labels-idx1"), labels).expect("labels");
    }
    let file = folder.join("experiment.toml");
    fs::write(&file, EXPERIMENT).expect("an experiment");
    let (experiment, tuned) = Experiment::load(&file, Size::Reduced).expect("loads");
    let out = folder.join("out");
    train(&experiment, tuned.as_ref(), &options(&out)).expect("trains");
    (experiment, out)
}

fn options(out: &Path) -> SessionOptions {
    SessionOptions { threads: Some(1), ..SessionOptions::new(out) }
}

fn checkpoints(out: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(out.join("checkpoints")).expect("checkpoints");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "safetensors"));
    files.sort();
    files
}

/// One line with file and remedy, and no more memory than the file is worth.
#[track_caller]
fn refused(path: &Path, bytes: &[u8], what: &str) {
    fs::write(path, bytes).expect("writes");
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(Standing::load::<f32>(path)));
    let Some(Err(error)) = result else { panic!("{}: {what} was accepted", path.display()) };
    let line = error.to_string();
    assert!(line.starts_with(&format!("{}: ", path.display())), "{what}: no file: {line}");
    assert!(line.ends_with("; delete it: the run then starts anew"), "{what}: no remedy: {line}");
    assert!(!line.contains('\n') && error.exit_code() == 2, "{what}: {line}");
    let most = FILES * bytes.len() as u64 + WORDS;
    assert!(used.bytes_max <= most, "{what}: {} bytes of memory, {most} allowed", used.bytes_max);
}

#[test]
fn every_cut_and_a_flipped_bit_of_every_byte_is_refused() {
    let (_, out) = finished("checkpoint-damage");
    let files = checkpoints(&out);
    assert_eq!(files.len(), 10);
    let damaged = out.join("damaged.safetensors");
    for file in files {
        let bytes = fs::read(&file).expect("reads");
        let name = file.file_name().expect("a name").display().to_string();
        let standing = Standing::load::<f32>(&file).expect("whole");
        assert_eq!((standing.epoch, standing.step), (2, 0), "{name}");
        assert!(standing.parameters >= 6 * 4 + 4 * 3 && standing.seconds > 0.0, "{name}");
        for len in 0..bytes.len() {
            refused(&damaged, &bytes[..len], &format!("{name} cut at {len}"));
        }
        for k in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[k] ^= 1 << (k % 8);
            refused(&damaged, &altered, &format!("{name} with bit {} of byte {k}", k % 8));
        }
        refused(&damaged, &[&bytes[..], b"\n"].concat(), "a byte more");
        assert!(Standing::load::<f64>(&file).is_err(), "{name} in another precision");
    }
}

#[test]
fn nothing_is_taken_over_from_a_damaged_checkpoint() {
    let (experiment, out) = finished("checkpoint-session");
    let before = content(&out);
    // The last file that is read: those before it are whole.
    let file = checkpoints(&out).pop().expect("checkpoints");
    let bytes = fs::read(&file).expect("reads");
    for k in (0..16).map(|i| i * bytes.len() / 16) {
        let mut altered = bytes.clone();
        altered[k] ^= 0x10;
        for damaged in [&bytes[..k], &altered] {
            fs::write(&file, damaged).expect("writes");
            let error = train(&experiment, None, &options(&out)).expect_err("refused").to_string();
            let name = file.display().to_string();
            assert!(error.starts_with(&name) && error.contains("; delete it"), "{error}");
            assert_eq!(fs::read(&file).expect("reads"), damaged, "the file is left as it was");
            fs::write(&file, &bytes).expect("writes");
            assert!(content(&out) == before, "something else was written");
        }
    }
    train(&experiment, None, &options(&out)).expect("the whole file again");
    assert!(weights(&content(&out)) == weights(&before), "other weights");
}

/// As a user of the library meets it: the folder of a finished experiment, and a changed line.
#[test]
fn other_settings_are_refused_in_one_line_that_says_which() {
    let (_, out) = finished("checkpoint-settings");
    let before = content(&out);
    let file = out.with_file_name("changed.toml");
    for (old, new, difference) in [
        ("epochs = 2", "epochs = 3", "epochs was 2, is 3"),
        ("learning_rate = 0.05", "learning_rate = 0.1", "optimizer.learning_rate was 0.05, is 0.1"),
        (
            "learning_rate = 0.05",
            "learning_rate = 0.05\nmomentum = 0.5",
            "optimizer.momentum was 0.9, is 0.5",
        ),
        ("hidden = [4]", "hidden = [5]", "network.layers[0].out was 4, is 5"),
        ("hidden = [4]", "hidden = [4, 4]", "network.layers had 3 entries, has 5"),
    ] {
        assert!(EXPERIMENT.contains(old));
        fs::write(&file, EXPERIMENT.replace(old, new)).expect("writes");
        let (changed, tuned) = Experiment::load(&file, Size::Reduced).expect("loads");
        let error = train(&changed, tuned.as_ref(), &options(&out)).expect_err("refused");
        let line = format!(
            "{}: was written with other settings: {difference}; resume with the old ones, choose another \
             folder (--out), or delete the file: that run then starts anew",
            out.join("checkpoints/sgd-plain.safetensors").display()
        );
        // `main` of a program shows the second form.
        assert_eq!((error.to_string(), format!("{error:?}")), (line.clone(), line));
        assert!(content(&out) == before, "{difference}: the folder was touched");
    }
    let (changed, tuned) = Experiment::load(&file, Size::Reduced).expect("loads");
    let fresh = SessionOptions { start: Start::Fresh, ..options(&out) };
    train(&changed, tuned.as_ref(), &fresh).expect("anew");
    assert!(weights(&content(&out)) != weights(&before), "the old weights");
}

/// Every file below a folder.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(&inner).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").to_path_buf();
                found.insert(name, fs::read(&path).expect("reads"));
            }
        }
    }
    found
}

fn weights(content: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<(&PathBuf, &Vec<u8>)> {
    content
        .iter()
        .filter(|(name, _)| name.extension().is_some_and(|e| e == "safetensors"))
        .filter(|(name, _)| !name.starts_with("checkpoints"))
        .collect()
}
