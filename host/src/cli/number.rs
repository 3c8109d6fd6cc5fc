//! Numbers on the command line.

/// The most threads: a slip of the finger should not ask the system for a million.
const MOST_THREADS: u32 = 1024;

/// The most products with a matrix.
const MOST_PRODUCTS: u32 = 1_000_000;

fn up_to(most: u32, text: &str) -> Result<usize, String> {
    match text.parse::<u32>() {
        Ok(n) if (1..=most).contains(&n) => Ok(n as usize),
        _ => Err(format!("use a whole number from 1 to {most}")),
    }
}

/// A count of threads.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    up_to(MOST_THREADS, text)
}

/// A count of products with a matrix.
pub(super) fn products(text: &str) -> Result<usize, String> {
    up_to(MOST_PRODUCTS, text)
}

/// A count of samples, steps, vectors and the like; what it takes of memory is checked elsewhere.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    up_to(u32::MAX, text)
}

#[cfg(test)]
mod tests {
    use super::{at_least_one, threads};

    #[test]
    fn counts_begin_at_one() {
        for parse in [threads, at_least_one] {
            assert_eq!(parse("1"), Ok(1));
            for text in ["0", "-1", "", "1.5", "99999999999999999999"] {
                assert!(parse(text).is_err_and(|e| e.contains("from 1 to")), "{text}");
            }
        }
        assert_eq!((threads("1024"), at_least_one("10000")), (Ok(1024), Ok(10_000)));
        assert!(threads("1025").is_err());
    }
}
