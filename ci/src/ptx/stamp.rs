//! The header of a compiled file: what it was made from and by.

use std::fmt;
use std::fs;
use std::path::Path;

use relfisher_kernels::contract::Variant;
use sha2::{Digest, Sha256};

use super::build::{FLAGS, PROFILE};
use crate::repository::root;
use crate::sources::rust_files;

/// The parts of the core that kernels call: the test of the stamp finds a use of any other.
pub const REACHED: [&str; 5] = ["real.rs", "math", "metric/neuron", "optim", "factor/mod.rs"];

/// What of `gpu-kernels/src` never reaches a GPU.
const HOST_ONLY: [&str; 2] = ["emulator", "rust_cuda.rs"];

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    variant: String,
    /// The hash of the sources and flags.
    pub sources: String,
    /// The compiler.
    pub compiler: String,
    /// The hash of the text below the header.
    pub text: String,
}

impl Stamp {
    pub(super) fn new(variant: Variant, sources: &str, compiler: &str, text: &str) -> Self {
        Self {
            variant: variant.name().to_owned(),
            sources: sources.to_owned(),
            compiler: compiler.to_owned(),
            text: hash(text.as_bytes()),
        }
    }

    /// The stamp at the head of a file.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_text(file: &str) -> Result<Self, String> {
        let field = |name: &str| {
            let prefix = format!("// {name}: ");
            let found = file.lines().take(6).find_map(|line| line.strip_prefix(&prefix));
            found.map(str::to_owned).ok_or_else(|| format!("the file has no stamp `{name}`"))
        };
        Ok(Self {
            variant: field("variant")?,
            sources: field("sources")?,
            compiler: field("compiler")?,
            text: field("text")?,
        })
    }

    /// Whether `file`, which begins with this stamp, was not changed since.
    pub fn fits(&self, file: &str) -> bool {
        let body = file.strip_prefix(&self.to_string());
        body.is_some_and(|body| hash(body.as_bytes()) == self.text)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "// Kernels of relfisher, made by `cargo ci ptx` and not by hand.")?;
        writeln!(f, "// variant: {}", self.variant)?;
        writeln!(f, "// sources: {}", self.sources)?;
        writeln!(f, "// compiler: {}", self.compiler)?;
        writeln!(f, "// text: {}", self.text)
    }
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of all sources that reach the GPU and of the flags. Comments, empty lines and
/// indentation do not count: they change no instruction.
///
/// # Errors
/// When a source cannot be read.
pub fn source_hash() -> Result<String, String> {
    let mut hasher = Sha256::new();
    for flag in FLAGS {
        hasher.update(flag);
    }
    for (name, value) in PROFILE {
        hasher.update(name);
        hasher.update(value);
    }
    let kernels = root().join("gpu-kernels/src");
    for path in rust_files(&kernels)? {
        let local = path.strip_prefix(&kernels).unwrap_or(&path);
        if !HOST_ONLY.iter().any(|skipped| local.starts_with(skipped)) {
            add(&mut hasher, &path)?;
        }
    }
    for part in REACHED {
        let path = root().join("core/src").join(part);
        let files = if path.is_dir() { rust_files(&path)? } else { vec![path] };
        for path in files {
            add(&mut hasher, &path)?;
        }
    }
    Ok(hex(&hasher.finalize()))
}

fn add(hasher: &mut Sha256, path: &Path) -> Result<(), String> {
    let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    let text = fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
    hasher.update(&name);
    for line in text.lines().map(str::trim) {
        if !line.is_empty() && !line.starts_with("//") {
            hasher.update(line);
            hasher.update("\n");
        }
    }
    Ok(())
}
