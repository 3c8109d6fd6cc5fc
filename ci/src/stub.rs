//! The CUDA driver without a GPU of `ci/stub-cuda`, built.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::repository::{command, output, root};

/// Folders to look for `libcuda.so.1` in.
#[derive(Clone, Debug)]
pub struct Stub {
    /// Has the whole library.
    pub whole: PathBuf,
    /// Has one that lacks `cuInit`.
    pub without_init: PathBuf,
    /// Has a file of that name that is no library.
    pub garbage: PathBuf,
}

impl Stub {
    /// What `CUDA_LIBRARY_PATH` names for the build scripts of the crates that link the driver.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.whole.parent().unwrap_or(&self.whole)
    }
}

/// Builds the libraries below `target/stub-cuda`; what is up to date stays.
pub fn build() -> Result<Stub, String> {
    let stub = Stub {
        whole: library("whole", &[])?,
        without_init: library("without-init", &["--features", "without-init"])?,
        garbage: place("garbage").join("lib64"),
    };
    create(&stub.garbage)?;
    for name in NAMES {
        let file = stub.garbage.join(name);
        fs::write(&file, "no library\n").map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(stub)
}

/// The names under which programs ask for the library.
const NAMES: [&str; 2] = ["libcuda.so", "libcuda.so.1"];

fn place(name: &str) -> PathBuf {
    root().join("target/stub-cuda").join(name)
}

/// Builds one library; returns the folder `lib64` that it can be found in.
fn library(name: &str, features: &[&str]) -> Result<PathBuf, String> {
    let target = place(name);
    let manifest = ["build", "--release", "--locked", "--manifest-path", "ci/stub-cuda/Cargo.toml"];
    let mut build = command("cargo", &[&manifest, features].concat());
    build.env("CARGO_TARGET_DIR", &target).env_remove("CARGO_BUILD_TARGET");
    output(build)?;
    let folder = target.join("lib64");
    create(&folder)?;
    let built = target.join("release/libcuda.so");
    for name in NAMES {
        // Put there in one step: a program may have the file open.
        let (draft, file) =
            (folder.join(format!("{name}.{}", std::process::id())), folder.join(name));
        fs::copy(&built, &draft)
            .and_then(|_| fs::rename(&draft, &file))
            .map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(folder)
}

fn create(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))
}
