//! Calls the program.

use std::path::PathBuf;
use std::process::Command;

use super::{Case, Request, Tensors};

/// The program `relfisher`, and a folder for what it writes.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub executable: PathBuf,
    /// An existing folder.
    pub scratch: PathBuf,
}

impl Program {
    /// Lets the program compute what a case asks for.
    ///
    /// # Errors
    /// A program that does not start, ends with another status than 0, or writes no readable file.
    pub fn answer(&self, case: &Case, request: &Request) -> Result<Tensors, String> {
        let out = self.scratch.join(format!("{}-{}.safetensors", case.name, request.dtype.name()));
        // A file of an earlier call must not pass for an answer.
        if out.exists() {
            std::fs::remove_file(&out).map_err(|e| format!("{}: {e}", out.display()))?;
        }
        let mut command = Command::new(&self.executable);
        let file = |name: &str| case.folder.join(name);
        command.arg("curvature").arg("--net").arg(file("arch.json"));
        command.arg("--weights").arg(file("model.safetensors"));
        command.arg("--inputs").arg(file("x.npy")).arg("--targets").arg(file("y.npy"));
        if request.quantities.iter().any(|q| q.ends_with("_mc")) {
            command.arg("--labels").arg(file("y_mc.npy"));
        }
        command.arg("--quantity").arg(request.quantities.join(","));
        if !request.dampings.is_empty() {
            command.arg("--damping").arg(request.dampings.join(","));
        }
        command.arg("--vectors").arg(file("expected.safetensors"));
        command.arg("--dtype").arg(request.dtype.name()).arg("--out").arg(&out);
        let ended = command
            .output()
            .map_err(|e| format!("{} does not start: {e}", self.executable.display()))?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            return Err(format!("the program ended with {}: {}", ended.status, said.trim()));
        }
        Tensors::read(&out)
    }
}
