//! A small problem on disk, of which one file at a time can be spoilt.
#![allow(unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use relfisher::format::{TensorFile, write_npy};

use crate::common::{assert_refused, folder, relfisher};

/// 3 inputs, a tanh layer of 4, 2 classes.
pub const NET: &str = r#"{"input_shape": [3], "loss": {"type": "softmax_cross_entropy"}, "layers": [
    {"type": "linear", "in": 3, "out": 4, "param": "hidden"}, {"type": "tanh"},
    {"type": "linear", "in": 4, "out": 2, "param": "top"}]}"#;

/// Numbers that are no pattern.
pub fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

/// The files of a problem, in a folder of their own.
pub struct Lab {
    pub dir: PathBuf,
}

impl Lab {
    /// [`NET`] with five samples.
    pub fn new(name: &str) -> Self {
        let lab = Self { dir: folder(&format!("curvature-{name}")) };
        lab.net(NET);
        lab.weights(&Self::tensors());
        lab.array("x.npy", &[5, 3], &numbers(15, 3));
        lab.array("y.npy", &[5], &[0.0, 1.0, 1.0, 0.0, 1.0]);
        lab
    }

    /// The tensors of [`NET`].
    pub fn tensors() -> TensorFile<f64> {
        let mut file = TensorFile::new();
        file.insert("hidden.weight", &[4, 3], numbers(12, 1));
        file.insert("hidden.bias", &[4], numbers(4, 2));
        file.insert("top.weight", &[2, 4], numbers(8, 4));
        file.insert("top.bias", &[2], numbers(2, 5));
        file
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    pub fn net(&self, text: &str) {
        fs::write(self.dir.join("net.json"), text).unwrap();
    }

    pub fn weights(&self, file: &TensorFile<f64>) {
        file.save(&self.dir.join("w.safetensors")).unwrap();
    }

    pub fn array(&self, name: &str, shape: &[usize], data: &[f64]) {
        write_npy(&self.dir.join(name), shape, data).unwrap();
    }

    /// Runs `relfisher curvature` on the files, with `extra` arguments: those of an option replace the
    /// usual ones.
    pub fn run(&self, extra: &[&str]) -> Output {
        let usual = [
            ("--net", self.path("net.json")),
            ("--weights", self.path("w.safetensors")),
            ("--inputs", self.path("x.npy")),
            ("--targets", self.path("y.npy")),
            ("--quantity", "grad".to_owned()),
            ("--out", self.path("out.safetensors")),
            ("--threads", "1".to_owned()),
        ];
        let mut args = vec!["curvature".to_owned()];
        for (option, value) in usual {
            if !extra.contains(&option) {
                args.extend([option.to_owned(), value]);
            }
        }
        // A value "-" leaves the option out.
        for pair in extra.chunks(2).filter(|pair| pair.get(1) != Some(&"-")) {
            args.extend(pair.iter().map(|&a| a.to_owned()));
        }
        relfisher(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Asserts that the run is refused in one line with all of `parts`, and leaves nothing behind.
    pub fn refuses(&self, extra: &[&str], parts: &[&str]) {
        let before = names(&self.dir);
        assert_refused(&self.run(extra), parts);
        assert_eq!(names(&self.dir), before, "nothing is written");
    }

    /// Asserts that the run succeeds with finite tensors only, and gives them.
    pub fn answers(&self, extra: &[&str]) -> TensorFile<f64> {
        let output = self.run(extra);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text.as_str()), (Some(0), ""), "{extra:?}");
        let file = TensorFile::<f64>::load(&self.dir.join("out.safetensors")).unwrap();
        for (name, tensor) in &file.tensors {
            assert!(tensor.data.iter().all(|x| x.is_finite()), "{name}");
        }
        file
    }
}

/// What lies in a folder.
fn names(dir: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names
}
