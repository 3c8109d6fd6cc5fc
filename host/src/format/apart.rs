//! Files that a command reads and writes, kept apart.

use std::path::{Path, PathBuf};

use crate::Error;

/// Refuses an output that is one of the files that a command reads, or its other output: to be asked
/// before anything is written. Each path comes with the option that gave it. Links are followed; a file
/// that does not exist yet is known by its folder and name.
///
/// # Errors
/// The first output that is no file of its own.
///
/// ```
/// use std::path::Path;
/// use relfisher::format::check_apart;
/// let [record, page] = ["record.json", "page.html"].map(Path::new);
/// assert!(check_apart(&[("--out", page)], &[record]).is_ok());
/// assert!(check_apart(&[("--out", record)], &[record]).is_err());
/// assert!(check_apart(&[("--out", page), ("--json", page)], &[record]).is_err());
/// ```
pub fn check_apart(written: &[(&str, &Path)], read: &[&Path]) -> Result<(), Error> {
    for (k, (option, path)) in written.iter().enumerate() {
        let place = place(path);
        let refused = |problem: String| {
            let remedy = format!("give {option} another name");
            Err(Error::input(path.display(), "", problem, remedy))
        };
        if read.iter().any(|other| self::place(other) == place) {
            return refused("is read by the command too".into());
        }
        if let Some((other, _)) = written[..k].iter().find(|(_, p)| self::place(p) == place) {
            return refused(format!("is written by {other} too"));
        }
    }
    Ok(())
}

/// Where a file is, whatever it is called.
fn place(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::check_apart;

    #[test]
    fn other_names_of_one_file_are_seen() {
        let folder = std::env::temp_dir().join(format!("relfisher-apart-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("below")).expect("makes the folder");
        let file = folder.join("a.json");
        std::fs::write(&file, "{}").expect("writes");
        let round = folder.join("below/../a.json");
        let new = folder.join("b.json");
        let new_round = folder.join("below/../b.json");
        let refused = |path: &std::path::Path| {
            let e = check_apart(&[("--out", path)], &[&file]).expect_err("one file");
            let text = e.to_string();
            assert!(text.contains("is read by the command too"), "{text}");
            assert!(text.contains("give --out another name"), "{text}");
        };
        refused(&round);
        #[cfg(unix)]
        {
            let link = folder.join("link.json");
            std::os::unix::fs::symlink(&file, &link).expect("links");
            refused(&link);
        }
        assert!(check_apart(&[("--out", &new)], &[&file]).is_ok());
        let e = check_apart(&[("--out", &new), ("--json", &new_round)], &[]).expect_err("one file");
        assert!(e.to_string().contains("is written by --out too"), "{e}");
        std::fs::remove_dir_all(&folder).expect("removes the folder");
    }
}
