//! Checkpoints: everything that the rest of a run depends on, in one file that cannot tear.
//!
//! The file is a safetensors file, so that other tools can look inside: `parameters`, `buffers`,
//! `history`, `seconds`, `optimizer.*` and, of a run that is diagnosed, `diagnostics` (its rows) and
//! `diagnostics_previous` (the last gradient). Its metadata hold the position, the settings and a CRC-32
//! over names, types, shapes, bytes and position: a truncated or altered file is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
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

const META: &str = "relfisher checkpoint 2";
const REMEDY: &str = "delete it: the run then starts anew";

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

/// CRC-32 over the position and every tensor, in the order of the names.
fn checksum<'a>(
    meta: &str,
    tensors: impl Iterator<Item = (&'a str, Dtype, &'a [usize], &'a [u8])>,
) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(meta.as_bytes());
    for (name, dtype, shape, bytes) in tensors {
        crc.update(format!("\n{name} {dtype:?} {shape:?}\n").as_bytes());
        crc.update(bytes);
    }
    crc.sum()
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
        let tensors = blobs.iter().map(|(n, b)| (n.as_str(), b.dtype, &b.shape[..], &b.bytes[..]));
        let crc = checksum(&meta, tensors);
        let info = HashMap::from([(META.to_string(), format!("{crc:08x} {meta}"))]);
        Ok(safetensors::serialize(blobs.iter(), Some(info))?)
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
        let stored = stored.ok_or("not a checkpoint of this version")?;
        let (crc, meta) = stored.split_once(' ').ok_or("truncated or damaged (no checksum)")?;
        let views: BTreeMap<&str, _> = tensors.iter().collect();
        let found =
            checksum(meta, views.iter().map(|(name, v)| (*name, v.dtype(), v.shape(), v.data())));
        if crc != format!("{found:08x}") {
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
    fn a_truncated_or_altered_checkpoint_is_refused() {
        let bytes = example().to_bytes().expect("encodes");
        for len in 0..bytes.len() {
            assert!(Checkpoint::<f32>::from_bytes(&bytes[..len]).is_err(), "length {len}");
        }
        let good = Checkpoint::<f32>::from_bytes(&bytes).expect("decodes").to_bytes().ok();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            // Refused, or (a bit that carries no meaning, such as padding) read as the same state.
            if let Ok(read) = Checkpoint::<f32>::from_bytes(&altered) {
                assert_eq!(read.to_bytes().ok(), good, "bit {bit}");
            }
        }
    }
}
