//! Checkpoints: everything that the rest of a run depends on, in one file that cannot tear.
//!
//! The file is a safetensors file, so that other tools can look inside: `parameters`, `buffers`,
//! `history`, `seconds`, `optimizer.*` and, of a run that is diagnosed, `diagnostics` (its rows) and
//! `diagnostics_previous` (the last gradient). Its metadata hold the position, the settings and a CRC-32
//! over every byte of the file: a truncated or altered file is refused, and so is one of another format.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::record::EpochRecord;
use crate::diagnostics::{Saved, StepRecord};
use crate::error::Error;
use crate::format::write_bytes;
use crate::optimizer::State;
use crate::random::Rng;
use crate::scalar::Scalar;

/// What the key of the metadata starts with, in every format.
const FAMILY: &str = "relfisher checkpoint ";
/// Format 3: the checksum covers the whole file; that of format 2 left the header's layout out.
const META: &str = "relfisher checkpoint 3";
const REMEDY: &str = "delete it: the run then starts anew";
/// What stands in the place of the checksum while it is computed.
const NO_CRC: &str = "00000000";

/// How a run stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Steps are left.
    #[default]
    Running,
    /// All epochs are done.
    Finished,
    /// The numbers left the finite range: where and how.
    Diverged(String),
}

/// The state of a run between two steps.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint<T> {
    /// The settings of the run as one line of JSON.
    pub(crate) settings: String,
    pub(crate) outcome: Outcome,
    /// Whole epochs done.
    pub(crate) epoch: usize,
    /// Steps done in the epoch under way.
    pub(crate) step: usize,
    /// Training seconds so far.
    pub(crate) seconds: f64,
    pub(crate) history: Vec<EpochRecord>,
    pub(crate) parameters: Vec<T>,
    pub(crate) buffers: Vec<T>,
    /// The optimiser's generator.
    pub(crate) rng: Rng,
    pub(crate) optimizer: State<T>,
    /// The statistics of the mini-batches, where some were measured.
    pub(crate) diagnostics: Option<Saved<T>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    settings: String,
    outcome: Outcome,
    epoch: usize,
    step: usize,
    rng: Rng,
    counters: BTreeMap<String, u64>,
    generators: BTreeMap<String, Rng>,
}

struct Blob {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Blob {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn blob<T: Scalar>(values: &[T], shape: Vec<usize>) -> Blob {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    values.iter().for_each(|v| v.write_le(&mut bytes));
    Blob { dtype: T::DTYPE, shape, bytes }
}

/// Where the digits of the checksum stand in the file: behind the first mention of the format's key.
fn crc_place(bytes: &[u8]) -> Option<Range<usize>> {
    let key = format!("\"{META}\":\"");
    let start = bytes.windows(key.len()).position(|w| w == key.as_bytes())? + key.len();
    (start + NO_CRC.len() <= bytes.len()).then_some(start..start + NO_CRC.len())
}

/// CRC-32 of the whole file, eight digits; those that stand at `place` count as zeros.
fn checksum(bytes: &[u8], place: &Range<usize>) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[..place.start]);
    crc.update(NO_CRC.as_bytes());
    crc.update(&bytes[place.end..]);
    format!("{:08x}", crc.sum())
}

impl<T: Scalar> Checkpoint<T> {
    /// Writes the checkpoint to `path`, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let bytes = self.to_bytes().map_err(|e| {
            Error::input(path.display(), "", format_args!("cannot be encoded: {e}"), "report this")
        })?;
        write_bytes(path, &bytes)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let rows: Vec<f64> = self.history.iter().flat_map(|e| e.to_row()).collect();
        let mut blobs = BTreeMap::from([
            ("buffers".to_string(), blob(&self.buffers, vec![self.buffers.len()])),
            ("history".to_string(), blob(&rows, vec![self.history.len(), EpochRecord::COLUMNS])),
            ("parameters".to_string(), blob(&self.parameters, vec![self.parameters.len()])),
            ("seconds".to_string(), blob(&[self.seconds], vec![1])),
        ]);
        for (name, values) in &self.optimizer.tensors {
            blobs.insert(format!("optimizer.{name}"), blob(values, vec![values.len()]));
        }
        if let Some(Saved { rows, previous }) = &self.diagnostics {
            let numbers: Vec<f64> = rows.iter().flat_map(|row| row.to_row()).collect();
            let shape = vec![rows.len(), StepRecord::COLUMNS];
            blobs.insert("diagnostics".to_string(), blob(&numbers, shape));
            let previous = blob(previous, vec![previous.len()]);
            blobs.insert("diagnostics_previous".to_string(), previous);
        }
        let meta = serde_json::to_string(&Meta {
            settings: self.settings.clone(),
            outcome: self.outcome.clone(),
            epoch: self.epoch,
            step: self.step,
            rng: self.rng.clone(),
            counters: self.optimizer.counters.clone(),
            generators: self.optimizer.generators.clone(),
        })?;
        let info = HashMap::from([(META.to_string(), format!("{NO_CRC} {meta}"))]);
        let mut bytes = safetensors::serialize(blobs.iter(), Some(info))?;
        let place = crc_place(&bytes).ok_or("no place for the checksum")?;
        let crc = checksum(&bytes, &place);
        bytes[place].copy_from_slice(crc.as_bytes());
        Ok(bytes)
    }

    /// Reads a checkpoint; `None` when there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(path, "read", &e)),
        };
        Self::from_bytes(&bytes)
            .map(Some)
            .map_err(|problem| Error::input(path.display(), "checkpoint", problem, REMEDY))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let damaged = |e: &dyn std::fmt::Display| format!("truncated or damaged ({e})");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let stored = header.metadata().as_ref().and_then(|info| info.get(META));
        let stored = stored.ok_or_else(|| other_format(header.metadata().as_ref()))?;
        let (crc, meta) = stored.split_once(' ').ok_or("truncated or damaged (no checksum)")?;
        let views: BTreeMap<&str, _> = tensors.iter().collect();
        let place = crc_place(bytes).ok_or("damaged (no checksum)")?;
        if bytes[place.clone()] != *crc.as_bytes() || crc != checksum(bytes, &place) {
            return Err("damaged (the checksum does not fit)".to_string());
        }
        let meta: Meta = serde_json::from_str(meta).map_err(|e| damaged(&e))?;
        let get = |name: &str| views.get(name).ok_or(format!("the tensor {name} is missing"));
        let rows = numbers::<f64>(get("history")?)?;
        let rows = rows.as_chunks::<{ EpochRecord::COLUMNS }>().0;
        let history = rows.iter().map(|r| EpochRecord::from_row(*r)).collect();
        let mut optimizer = State::new();
        for (name, view) in &views {
            if let Some(name) = name.strip_prefix("optimizer.") {
                optimizer.tensors.insert(name.to_string(), numbers(view)?);
            }
        }
        optimizer.counters = meta.counters;
        optimizer.generators = meta.generators;
        let seconds = numbers::<f64>(get("seconds")?)?;
        let diagnostics = match views.get("diagnostics") {
            None => None,
            Some(view) => {
                let numbers_of = numbers::<f64>(view)?;
                let rows = numbers_of.as_chunks::<{ StepRecord::COLUMNS }>().0;
                Some(Saved {
                    rows: rows.iter().map(|r| StepRecord::from_row(*r)).collect(),
                    previous: numbers(get("diagnostics_previous")?)?,
                })
            }
        };
        Ok(Self {
            settings: meta.settings,
            outcome: meta.outcome,
            epoch: meta.epoch,
            step: meta.step,
            seconds: seconds.first().copied().ok_or("no seconds")?,
            history,
            parameters: numbers(get("parameters")?)?,
            buffers: numbers(get("buffers")?)?,
            rng: meta.rng,
            optimizer,
            diagnostics,
        })
    }
}

/// Why a whole safetensors file is not one of ours.
fn other_format(info: Option<&HashMap<String, String>>) -> String {
    let format = info.and_then(|info| info.keys().find_map(|key| key.strip_prefix(FAMILY)));
    match (format, META.strip_prefix(FAMILY)) {
        (Some(old), Some(new)) => {
            format!("a checkpoint of format {old}, but this program reads format {new}")
        }
        _ => "not a checkpoint".to_string(),
    }
}

/// Where the run of a checkpoint stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The settings of the run as one line of JSON.
    pub settings: String,
    /// Whole epochs done.
    pub epoch: usize,
    /// Steps done in the epoch under way.
    pub step: usize,
    /// Training seconds so far.
    pub seconds: f64,
    /// The parameters of the network.
    pub parameters: usize,
}

impl Standing {
    /// Reads the bytes of a checkpoint as a resumed run does, every check included.
    ///
    /// # Errors
    /// Bytes that are not a whole, unaltered checkpoint of this format and of numbers `T`: what is wrong
    /// and the remedy; the caller adds the file's name.
    ///
    /// ```
    /// use relfisher::train::Standing;
    /// let error = Standing::parse::<f32>(b"torn").unwrap_err();
    /// assert!(error.to_string().starts_with("checkpoint: truncated or damaged"));
    /// ```
    pub fn parse<T: Scalar>(bytes: &[u8]) -> Result<Self, Error> {
        let checkpoint = Checkpoint::<T>::from_bytes(bytes)
            .map_err(|problem| Error::input("", "checkpoint", problem, REMEDY))?;
        Ok(Self::of(checkpoint))
    }

    /// [`Standing::parse`] of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or one of [`Standing::parse`], with the file's name.
    pub fn load<T: Scalar>(path: &Path) -> Result<Self, Error> {
        let missing = || Error::input(path.display(), "", "no such file", "check the path");
        Checkpoint::<T>::read(path)?.map(Self::of).ok_or_else(missing)
    }

    fn of<T>(checkpoint: Checkpoint<T>) -> Self {
        Self {
            settings: checkpoint.settings,
            epoch: checkpoint.epoch,
            step: checkpoint.step,
            seconds: checkpoint.seconds,
            parameters: checkpoint.parameters.len(),
        }
    }
}

fn numbers<T: Scalar>(view: &safetensors::tensor::TensorView<'_>) -> Result<Vec<T>, String> {
    if view.dtype() != T::DTYPE {
        return Err(format!("holds {:?} numbers where {:?} are needed", view.dtype(), T::DTYPE));
    }
    view.data()
        .chunks_exact(size_of::<T>())
        .map(|b| T::read_le(b).ok_or_else(|| "a number is cut off".to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    fn example() -> Checkpoint<f32> {
        let mut optimizer = State::new();
        optimizer.put("momentum", &[1.5_f32, -0.0, f32::MIN_POSITIVE]);
        optimizer.put_counter("steps", 7);
        optimizer.put_generator("labels", &random::stream(1, 2, "labels"));
        Checkpoint {
            settings: "{\"lr\":0.1}".into(),
            outcome: Outcome::Running,
            epoch: 1,
            step: 3,
            seconds: 0.1 + 0.2,
            history: vec![EpochRecord::from_row([
                0.0,
                0.0,
                0.0,
                f64::NAN,
                0.1,
                -1.0,
                1.0 / 3.0,
                0.5,
                f64::NAN,
            ])],
            parameters: vec![0.1, 0.2, 1e-40],
            buffers: vec![],
            rng: random::stream(3, 0, "x"),
            optimizer,
            diagnostics: Some(Saved {
                rows: vec![StepRecord::from_row(std::array::from_fn(|i| 1.0 / (i + 1) as f64))],
                previous: vec![0.5, -0.0],
            }),
        }
    }

    #[test]
    fn a_checkpoint_comes_back_bit_by_bit() {
        let bytes = example().to_bytes().expect("encodes");
        let back = Checkpoint::<f32>::from_bytes(&bytes).expect("decodes");
        assert_eq!(back.to_bytes().expect("encodes"), bytes);
        assert_eq!(back.seconds.to_bits(), (0.1_f64 + 0.2).to_bits());
        assert!(Checkpoint::<f64>::from_bytes(&bytes).is_err());
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused() {
        let bytes = example().to_bytes().expect("encodes");
        let refused = |bytes: &[u8], what: &dyn std::fmt::Display| {
            let error = Checkpoint::<f32>::from_bytes(bytes).err();
            assert!(error.is_some_and(|e| !e.is_empty()), "accepted: {what}");
        };
        for len in 0..bytes.len() {
            refused(&bytes[..len], &format_args!("length {len}"));
        }
        refused(&[&bytes[..], &[0]].concat(), &"a byte more");
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            refused(&altered, &format_args!("bit {bit}"));
        }
    }

    #[test]
    fn another_format_is_named() {
        let text = |key: &str| {
            let info = HashMap::from([(key.to_string(), "0 {}".to_string())]);
            let none = BTreeMap::<String, &Blob>::new();
            let bytes = safetensors::serialize(none, Some(info)).expect("encodes");
            Checkpoint::<f32>::from_bytes(&bytes).err().unwrap_or_default()
        };
        let old = text("relfisher checkpoint 2");
        assert_eq!(old, "a checkpoint of format 2, but this program reads format 3");
        assert_eq!(text("other"), "not a checkpoint");
    }
}
