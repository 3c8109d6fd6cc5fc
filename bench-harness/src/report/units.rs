//! Numbers with their units, as a reader wants them.

use crate::record::{Approach, Dtype, Limit, Outcome, Target};

/// Three significant digits without an exponent, where that is short.
#[must_use]
pub fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 999.5 => grouped(value),
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.0995 || v == 0.0 => format!("{value:.2}"),
        v if v >= 0.00995 => format!("{value:.3}"),
        v if v.is_nan() => "unknown".into(),
        _ => format!("{value:.1e}"),
    }
}

/// A whole number with a comma before every three digits.
fn grouped(value: f64) -> String {
    let plain = format!("{value:.0}");
    let (sign, number) = plain.split_at(usize::from(plain.starts_with('-')));
    let mut text = sign.to_owned();
    for (i, digit) in number.chars().enumerate() {
        if i > 0 && (number.len() - i) % 3 == 0 && number.chars().all(|c| c.is_ascii_digit()) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds in the unit that keeps the number between 1 and 1000.
#[must_use]
pub fn seconds(value: f64) -> String {
    let (unit, name) = match value.abs() {
        v if v >= 0.9995 => (1.0, "s"),
        v if v >= 0.9995e-3 => (1e-3, "ms"),
        v if v >= 0.9995e-6 => (1e-6, "µs"),
        _ => (1e-9, "ns"),
    };
    format!("{} {name}", digits(value / unit))
}

/// Bytes in binary units.
#[must_use]
pub fn bytes(value: f64) -> String {
    let mut scaled = value;
    for name in ["bytes", "KiB", "MiB", "GiB"] {
        if scaled < 1023.5 {
            return if name == "bytes" {
                format!("{scaled:.0} {name}")
            } else {
                format!("{} {name}", digits(scaled))
            };
        }
        scaled /= 1024.0;
    }
    format!("{} TiB", digits(scaled))
}

/// Bytes in GiB, whatever their number: what does not fit is told so.
#[must_use]
pub fn gibibytes(value: u64) -> String {
    format!("{} GiB", digits(value as f64 / 1024f64.powi(3)))
}

/// A rate of a ceiling: FLOP/s, or bytes a second.
#[must_use]
pub fn rate(limit: Limit, value: f64) -> String {
    let unit = if limit == Limit::Copy { "GB/s" } else { "GFLOP/s" };
    format!("{} {unit}", digits(value / 1e9))
}

/// A share in per cent.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// The day of a moment in UTC, `2026-11-26`.
#[must_use]
pub fn day(unix_seconds: u64) -> String {
    // Days are counted from 1 March of year 0, so that the leap day ends a year (the proleptic
    // Gregorian calendar repeats after 146,097 days).
    let days = unix_seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + later)
}

/// The minute of a moment in UTC, `2026-11-26 07:30 UTC`.
#[must_use]
pub fn minute(unix_seconds: u64) -> String {
    let (hour, minute) = (unix_seconds / 3_600 % 24, unix_seconds / 60 % 60);
    format!("{} {hour:02}:{minute:02} UTC", day(unix_seconds))
}

/// The first letters of a commit, with the sign of a changed checkout.
#[must_use]
pub fn commit(name: &str) -> String {
    let short: String = name.trim_end_matches('+').chars().take(9).collect();
    if name.ends_with('+') { short + "+" } else { short }
}

/// `f32` or `f64`.
#[must_use]
pub const fn dtype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "f32",
        Dtype::F64 => "f64",
    }
}

/// `1 thread`, `2 threads`.
#[must_use]
pub fn threads(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// A name with its dtype and threads: `Adam, f32, 2 threads`.
#[must_use]
pub fn named(name: &str, dtype: Dtype, threads: usize) -> String {
    format!("{name}, {}, {}", self::dtype(dtype), self::threads(threads))
}

/// Why an outcome has no time; `None` where it has one.
#[must_use]
pub fn refusal(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Measured(_) => None,
        Outcome::DoesNotFit { bytes } => Some(format!("does not fit: {}", gibibytes(*bytes))),
        Outcome::TooSlow { seconds, .. } => Some(format!("too slow: {}", self::seconds(*seconds))),
    }
}

/// What a share refers to.
#[must_use]
pub const fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Product => "product",
        Limit::Copy => "copy",
        Limit::Cholesky => "Cholesky",
    }
}

/// The word for an approach.
#[must_use]
pub const fn approach(approach: Approach) -> &'static str {
    match approach {
        Approach::Structured => "structured",
        Approach::Dense => "dense",
        Approach::Loop => "loop",
        Approach::Gpu => "GPU",
    }
}

/// `at least 0.85`.
#[must_use]
pub fn target(target: Target) -> String {
    match target {
        Target::AtLeast(bound) => format!("at least {}", digits(bound)),
        Target::AtMost(bound) => format!("at most {}", digits(bound)),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, commit, day, digits, gibibytes, minute, seconds};

    #[test]
    fn numbers_keep_three_digits() {
        let got = [0.0, 0.0042, 0.0123, 0.996, 9.996, 99.96, 123.4, 1234.5, 1_234_567.0];
        let want = ["0.00", "4.2e-3", "0.012", "1.00", "10.0", "100", "123", "1,234", "1,234,567"];
        assert_eq!(got.map(digits), want);
        assert_eq!(digits(f64::NAN), "unknown");
    }

    #[test]
    fn units_fit_the_number() {
        assert_eq!(
            [2.0, 3.5e-3, 4e-6, 5e-9].map(seconds),
            ["2.00 s", "3.50 ms", "4.00 µs", "5.00 ns"]
        );
        assert_eq!(
            [512.0, 2048.0, 3e6, 5e9, 2e13].map(bytes),
            ["512 bytes", "2.00 KiB", "2.86 MiB", "4.66 GiB", "18.2 TiB"]
        );
        assert_eq!(gibibytes(3 << 29), "1.50 GiB");
    }

    #[test]
    fn days_of_the_calendar() {
        let got = [0, 951_782_399, 951_782_400, 951_868_800, 4_107_542_400].map(day);
        assert_eq!(got, ["1970-01-01", "2000-02-28", "2000-02-29", "2000-03-01", "2100-03-01"]);
        assert_eq!(minute(1_700_000_000), "2023-11-14 22:13 UTC");
        assert_eq!(commit("0123456789abcdef+"), "012345678+");
    }
}
