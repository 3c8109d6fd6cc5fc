//! The parameters of a network as safetensors: `<param>.weight` (m, d), of a convolution
//! (m, c/groups, kh, kw), `<param>.bias` (m), or the names under `tensors` of the network file; for a
//! batch normalisation `<param>.weight` (γ), `.bias` (β), `.running_mean`, `.running_var` (c).

use std::path::Path;

use relfisher_core::Real;

use super::tensors::TensorFile;
use crate::network::{Block, BlockKind, Network, Parameters};
use crate::{Error, Scalar};

/// Reads the parameters of a network; `f32` and `f64` files both become `T`.
///
/// # Errors
/// A file that cannot be read; a tensor that is missing, superfluous, of another shape or not
/// finite; a negative running variance: file, tensor and remedy.
pub fn load_parameters<T: Scalar>(
    network: &Network<T>,
    path: &Path,
) -> Result<Parameters<T>, Error> {
    let file = TensorFile::load(path)?;
    parameters_of(network, file).map_err(|e| e.in_file(path.display()))
}

/// [`load_parameters`] for bytes that are at hand.
///
/// # Errors
/// As [`load_parameters`].
pub fn parse_parameters<T: Scalar>(
    network: &Network<T>,
    bytes: &[u8],
) -> Result<Parameters<T>, Error> {
    parameters_of(network, TensorFile::parse(bytes)?)
}

/// Writes the parameters of a network, whole or not at all.
///
/// # Errors
/// Parameters of another network, or a file that cannot be written.
pub fn save_parameters<T: Scalar>(
    network: &Network<T>,
    parameters: &Parameters<T>,
    path: &Path,
) -> Result<(), Error> {
    parameters.check(network)?;
    let mut file = TensorFile::new();
    let mut buffers = &parameters.buffers[..];
    for block in network.blocks() {
        let (name, m) = (&block.name, block.rows);
        let values = &parameters.values[block.range()];
        let column = |from: usize, to: usize| -> Vec<T> {
            values.chunks_exact(block.cols).flat_map(|row| &row[from..to]).copied().collect()
        };
        match block.kind {
            BlockKind::Linear | BlockKind::Convolution(_) => {
                let (d, (weight, bias)) = (block.inputs, tensor_names(network, name));
                file.insert(weight, &weight_shape(block), column(0, d));
                if block.has_bias() {
                    file.insert(bias, &[m], column(d, d + 1));
                }
            }
            BlockKind::BatchNorm => {
                file.insert(format!("{name}.weight"), &[m], column(0, 1));
                file.insert(format!("{name}.bias"), &[m], column(1, 2));
                for statistic in ["running_mean", "running_var"] {
                    let (now, rest) = buffers.split_at(m);
                    file.insert(format!("{name}.{statistic}"), &[m], now.to_vec());
                    buffers = rest;
                }
            }
        }
    }
    file.save(path)
}

/// [`load_parameters`] for tensors that are in memory.
///
/// # Errors
/// As [`load_parameters`], without a file.
pub fn parameters_of<T: Scalar>(
    network: &Network<T>,
    mut file: TensorFile<T>,
) -> Result<Parameters<T>, Error> {
    // Nothing is allocated on the word of the network file alone.
    let (mut values, mut buffers) = (Vec::new(), Vec::new());
    for block in network.blocks() {
        let (name, m) = (&block.name, block.rows);
        let mut columns: Vec<(Vec<T>, usize)> = Vec::new();
        match block.kind {
            BlockKind::Linear | BlockKind::Convolution(_) => {
                let (d, (weight, bias)) = (block.inputs, tensor_names(network, name));
                columns.push((file.take(&weight, &weight_shape(block))?, d));
                if block.has_bias() {
                    columns.push((file.take(&bias, &[m])?, 1));
                }
            }
            BlockKind::BatchNorm => {
                columns.push((file.take(&format!("{name}.weight"), &[m])?, 1));
                columns.push((file.take(&format!("{name}.bias"), &[m])?, 1));
                buffers.extend(file.take(&format!("{name}.running_mean"), &[m])?);
                buffers.extend(variance(&mut file, block)?);
            }
        }
        values.resize(block.range().end, T::ZERO);
        let mut start = 0;
        for (column, width) in columns {
            let rows = values[block.range()].chunks_exact_mut(block.cols);
            for (row, part) in rows.zip(column.chunks_exact(width)) {
                row[start..start + width].copy_from_slice(part);
            }
            start += width;
        }
    }
    match file.tensors.keys().next() {
        None => Ok(Parameters { values, buffers }),
        Some(name) => Err(Error::input(
            "",
            format_args!("tensor {name:?}"),
            "belongs to no layer of the network",
            "remove it, or give the file that belongs to this network",
        )),
    }
}

/// The shape of the weights in files.
fn weight_shape(block: &Block) -> Vec<usize> {
    match block.kind {
        BlockKind::Convolution(conv) => {
            let [h, w] = conv.window.kernel;
            vec![block.rows, conv.window.channels / conv.groups, h, w]
        }
        _ => vec![block.rows, block.inputs],
    }
}

/// The names of the weights and of the biases of a layer.
fn tensor_names<T: Scalar>(network: &Network<T>, param: &str) -> (String, String) {
    let layers = &network.architecture().layers;
    let names = layers.iter().find(|l| l.param() == Some(param)).and_then(|l| l.tensors());
    let bias = names.and_then(|n| n.bias.clone());
    (
        names.map_or_else(|| format!("{param}.weight"), |n| n.weight.clone()),
        bias.unwrap_or_else(|| format!("{param}.bias")),
    )
}

fn variance<T: Scalar>(file: &mut TensorFile<T>, block: &Block) -> Result<Vec<T>, Error> {
    let name = format!("{}.running_var", block.name);
    let variance = file.take(&name, &[block.rows])?;
    match variance.iter().position(|&v| v < <T as Real>::ZERO) {
        None => Ok(variance),
        Some(k) => Err(Error::input(
            "",
            format_args!("tensor {name:?}"),
            format_args!("element {k} is {}", variance[k]),
            "a variance is not negative: repair the file",
        )),
    }
}
