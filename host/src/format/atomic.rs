//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Writes a file through `fill`: into a temporary file beside it, synchronised to disk, then
/// renamed. Whatever happens in between, `path` holds its old content or the new one. Where `path` is a
/// symbolic link, that is the file it leads to.
///
/// # Errors
/// A folder, a device or a pipe of that name. The file's name and what the system said; the temporary file is removed.
///
/// ```
/// use std::io::Write;
/// let path = std::env::temp_dir().join(format!("relfisher-doc-{}", std::process::id()));
/// relfisher::format::write_atomic(&path, |file| file.write_all(b"whole"))?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"whole");
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), relfisher::Error>(())
/// ```
pub fn write_atomic(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    replace_file(path, |temporary| {
        let mut file = BufWriter::new(File::create(temporary)?);
        fill(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error).map(drop)
    })
}

/// [`write_atomic`] for a writer that wants a file name: `fill` writes the temporary file.
///
/// # Errors
/// As [`write_atomic`].
pub fn replace_file(path: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Error> {
    let path = &followed(path);
    let temporary = temporary(path)?;
    check_kind(path)?;
    let made = File::create(&temporary).and_then(|file| file.metadata());
    let written = made.and_then(|made| {
        fill(&temporary)?;
        // A writer may have made the file anew, readable by its owner alone.
        fs::set_permissions(&temporary, made.permissions())?;
        File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, path)
    });
    if let Err(e) = written {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(Error::io(path, "write", &e));
    }
    // The rename itself survives a power cut once the folder is on disk; not every system lets a
    // folder be opened, and the file is whole either way.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Whether [`write_atomic`] could write `path` now: to be asked before long work. Leaves nothing
/// behind.
///
/// # Errors
/// A folder, or a place where no file can be made: the path and what the system said.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    check_kind(path)?;
    try_beside(&followed(path)).map_err(|e| Error::io(path, "write", &e))
}

/// Whether files can be written into the folder `path`, which need not exist yet: to be asked before
/// long work. Leaves nothing behind.
///
/// # Errors
/// A file of that name, or a place where no folder can be made.
pub fn check_writable_folder(path: &Path) -> Result<(), Error> {
    let above = |p: &&Path| p.as_os_str().is_empty() || p.exists();
    let existing = path.ancestors().find(above).unwrap_or(Path::new("."));
    if existing.is_file() {
        let remedy = "give the name of a folder";
        return Err(Error::input(existing.display(), "", "is a file, not a folder", remedy));
    }
    try_beside(&existing.join("folder")).map_err(|e| Error::io(path, "write into", &e))
}

/// Refuses what a file must not take the place of.
fn check_kind(path: &Path) -> Result<(), Error> {
    let kind = match fs::metadata(path) {
        Ok(found) if found.is_dir() => "is a folder",
        Ok(found) if !found.is_file() => "is a device or a pipe",
        // There is nothing yet, or nothing that can be seen: writing will say why.
        _ => return Ok(()),
    };
    Err(Error::input(path.display(), "", kind, "give the name of a file"))
}

/// Where a symbolic link leads to; other paths, and links that lead nowhere, as they are.
fn followed(path: &Path) -> PathBuf {
    let real = path.is_symlink().then(|| fs::canonicalize(path).ok()).flatten();
    real.unwrap_or_else(|| path.to_owned())
}

/// Makes the temporary file of `path`, and removes it.
fn try_beside(path: &Path) -> io::Result<()> {
    let temporary = temporary(path).map_err(|e| io::Error::other(e.report().problem.clone()))?;
    File::create(&temporary).and_then(|_| fs::remove_file(&temporary))
}

/// [`write_atomic`] for content that is at hand.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_atomic(path, |file| file.write_all(bytes))
}

fn temporary(path: &Path) -> Result<PathBuf, Error> {
    let Some(name) = path.file_name() else {
        return Err(Error::input(
            path.display(),
            "",
            "cannot write: not the name of a file",
            "give a file name",
        ));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}
