//! Files that are whole or absent: written beside their place, flushed to disk, then renamed.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::Error;

/// Writes `bytes` to `path` so that a reader, or a kill or power cut at any moment, sees the old
/// file or the new one, never a part: a temporary file in the same folder is flushed to disk and
/// renamed onto `path`.
///
/// # Errors
/// The folder or file cannot be written.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("file");
    let partial = path.with_file_name(format!(".{name}.partial"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        // The rename itself must reach the disk as well; not every system lets a folder be synced.
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            if let Ok(folder) = File::open(folder) {
                let _ = folder.sync_all();
            }
        }
        Ok(())
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&partial);
        Error::io(path, "write", &e)
    })
}
