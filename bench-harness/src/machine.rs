//! The machine, the tool chain and the sources of a run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use relfisher::train::Machine;
use sha2::{Digest, Sha256};

use crate::record::Run;

/// The folders whose sources decide what is measured.
const SOURCES: [&str; 4] = ["core/src", "gpu-kernels/src", "host/src", "bench-harness/src"];

/// Describes this machine, now, for a run with these options.
#[must_use]
pub fn describe(quick: bool, options: String) -> Run {
    let cores = threads();
    let machine = Machine::detect(cores);
    Run {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit(),
        source_hash: source_hash(),
        unix_seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        rustc: env!("RUSTC_VERSION").to_owned(),
        cpu: machine.cpu,
        simd: machine.simd,
        cores,
        memory: meminfo("MemTotal"),
        system: format!("{} {}", machine.os, machine.arch),
        quick,
        options,
    }
}

/// The bytes that the system would give without swapping; no limit where it does not say.
#[must_use]
pub fn available() -> u64 {
    match meminfo("MemAvailable") {
        0 => u64::MAX,
        bytes => bytes,
    }
}

/// The bytes of the last level of cache; 0 where the system does not say.
#[must_use]
pub fn last_cache() -> u64 {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cache/index3/size");
    cache_size(&text.unwrap_or_default()).unwrap_or(0)
}

/// `32768K` or `1M`, in bytes.
fn cache_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) => (digits, text.chars().last()),
        None => (text, None),
    };
    let shift = match unit {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        _ => 0,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The threads that this machine runs at once.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn meminfo(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What `git` prints, where there is a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root()).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn commit() -> String {
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    commit + if changed.is_some_and(|c| !c.is_empty()) { "+" } else { "" }
}

/// SHA-256 over names and texts of the sources, in order of their names.
fn source_hash() -> String {
    let root = root();
    let mut files = Vec::new();
    SOURCES.iter().for_each(|folder| collect(&root.join(folder), &mut files));
    if files.is_empty() {
        return "unknown".to_owned();
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().into_owned();
        hash.update(name.as_bytes());
        hash.update(std::fs::read(&file).unwrap_or_default());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cache_size;

    #[test]
    fn sizes_of_caches_are_read() {
        let sizes = ["32768K\n", "1M", "2G", "64"].map(cache_size);
        assert_eq!(sizes, [Some(32 << 20), Some(1 << 20), Some(2 << 30), Some(64)]);
        assert_eq!([cache_size(""), cache_size("none")], [None, None]);
    }
}
