//! What a request needs of the machine's memory, before it is begun.

use crate::error::Error;

/// The bytes that the machine can still give, as the system reports them; `None` where it does not.
pub fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A bound on the memory of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The most bytes that a request may need.
    pub limit: u64,
}

impl Default for Memory {
    /// Nine tenths of what the machine can still give; 2⁴⁰ where it does not say.
    fn default() -> Self {
        Self { limit: available_memory().map_or(1 << 40, |bytes| bytes / 10 * 9) }
    }
}

impl Memory {
    /// Refuses a request of `elements` numbers of `bytes` bytes each above the limit.
    ///
    /// # Errors
    /// The bytes that it needs and what there is, with `instead` as the remedy.
    pub fn check(
        &self,
        place: &str,
        elements: usize,
        bytes: usize,
        instead: &str,
    ) -> Result<(), Error> {
        let needed = (elements as u64).saturating_mul(bytes as u64);
        if needed <= self.limit {
            return Ok(());
        }
        Err(Error::input(
            "",
            place,
            format_args!(
                "needs {needed} bytes ({}), but the limit is {}",
                human(needed),
                human(self.limit)
            ),
            instead,
        ))
    }
}

/// A number of bytes for people.
pub(crate) fn human(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}
