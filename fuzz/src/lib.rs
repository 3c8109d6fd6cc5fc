//! What the fuzz targets share.

use relfisher::Error;

/// A refusal is one line that names a remedy.
///
/// # Panics
/// When it is not.
pub fn refused<V>(result: Result<V, Error>) -> Option<V> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains(['\n', '\r']), "more than a line: {line:?}");
            assert!(!error.report().problem.is_empty(), "no problem: {line:?}");
            assert!(!error.report().remedy.is_empty(), "no remedy: {line:?}");
            None
        }
    }
}

/// Numbers of any bits.
pub trait Bits: relfisher_core::Real {
    /// The number of these bits, of which those that are too many are dropped.
    fn of_word(word: u64) -> Self;
    /// Its bits.
    fn word(self) -> u64;
}

impl Bits for f32 {
    fn of_word(word: u64) -> Self {
        Self::from_bits(word as u32)
    }
    fn word(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Bits for f64 {
    fn of_word(word: u64) -> Self {
        Self::from_bits(word)
    }
    fn word(self) -> u64 {
        self.to_bits()
    }
}

/// What the fuzzer gives, taken piece by piece; zeros when it is used up.
#[derive(Debug)]
pub struct Input<'a> {
    data: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of it.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data }
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.data.split_first() else { return 0 };
        self.data = rest;
        *first
    }

    /// The next eight bytes.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes([(); 8].map(|()| self.byte()))
    }

    /// Any number, mostly a plain one.
    pub fn number<T: Bits>(&mut self) -> T {
        match self.byte() {
            0 => T::of_word(self.word()),
            byte => T::from_f64(f64::from(byte as i8) / 64.0),
        }
    }

    /// `len` numbers: plain ones, special ones, any bits, or plain ones with some of the others.
    pub fn numbers<T: Bits>(&mut self, len: usize) -> Vec<T> {
        let (kind, power) = (self.byte(), self.byte());
        let mut state = self.word() | 1;
        let scale = match power {
            0..128 => 1.0,
            _ => T::MAX.to_f64().powf((f64::from(power) - 192.0) / 64.0),
        };
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        let plain =
            |bits: u64| T::from_f64(scale * ((bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0));
        let special = |bits: u64| {
            let least = T::of_word(1);
            let [max, huge] = [T::MAX, T::INFINITY];
            let table = [
                T::ZERO,
                -T::ZERO,
                least,
                -least,
                T::MIN_POSITIVE,
                T::ONE,
                max,
                -max,
                huge,
                T::NAN,
            ];
            table[bits as usize % table.len()]
        };
        (0..len)
            .map(|_| match (kind % 8, next()) {
                (0..4, bits) => plain(bits),
                (4, bits) if bits % 16 == 0 => special(next()),
                (5, bits) if bits % 16 == 0 => T::of_word(self.word()),
                (4 | 5, bits) => plain(bits),
                (6, bits) => special(bits),
                (_, _) => T::of_word(self.word()),
            })
            .collect()
    }
}
