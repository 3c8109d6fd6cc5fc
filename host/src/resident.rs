//! Memory of this process, as the system measures it.

/// The largest resident memory of the process since [`forget_peak`], in bytes; `None` where the system
/// does not say.
pub(crate) fn resident_peak() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Begins a new measurement; without effect where the system has none.
pub(crate) fn forget_peak() {
    // The peak then includes what came before, which is still a bound.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
