//! The files of a case, and the cases that travel with this crate.

use std::borrow::Cow;
use std::path::Path;

use super::{Case, Tensors, name_of, params};

/// What a case gives to a program, and what it expects of it.
#[derive(Clone, Debug)]
pub struct Files {
    /// The case.
    pub case: Case,
    /// The text of the network file.
    pub net: Cow<'static, str>,
    /// The weights (safetensors).
    pub weights: Cow<'static, [u8]>,
    /// The inputs (npy).
    pub inputs: Cow<'static, [u8]>,
    /// The targets (npy).
    pub targets: Cow<'static, [u8]>,
    /// Labels drawn from the model (npy).
    pub labels: Cow<'static, [u8]>,
}

impl Files {
    /// Reads the folder of a case.
    ///
    /// # Errors
    /// A file that is missing or damaged, by name.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let case = Case::read(folder)?;
        let bytes = |name: &str| -> Result<Cow<'static, [u8]>, String> {
            let path = folder.join(name);
            let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            Ok(bytes.into())
        };
        let net = String::from_utf8(bytes("arch.json")?.into_owned());
        Ok(Self {
            net: net.map_err(|e| format!("{}: {e}", folder.join("arch.json").display()))?.into(),
            weights: bytes("model.safetensors")?,
            inputs: bytes("x.npy")?,
            targets: bytes("y.npy")?,
            labels: bytes("y_mc.npy")?,
            case,
        })
    }

    fn embedded(name: &str, [net, rest @ ..]: [&'static [u8]; 6]) -> Result<Self, String> {
        let bad = |e: String| format!("the bundled case {name}: {e}");
        let net = std::str::from_utf8(net).map_err(|e| bad(e.to_string()))?;
        let [weights, inputs, targets, labels, expected] = rest.map(Cow::Borrowed);
        let expected = Tensors::parse(&expected).map_err(bad)?;
        let params = params(net).map_err(bad)?;
        let folder = Path::new("bundled").join(name);
        let case = Case { name: name_of(&folder), folder, params, expected };
        Ok(Self { case, net: net.into(), weights, inputs, targets, labels })
    }
}

/// The files of one folder of `cases/`.
macro_rules! embed {
    ($name:literal) => {
        Files::embedded(
            $name,
            [
                include_bytes!(concat!("../../cases/", $name, "/arch.json")),
                include_bytes!(concat!("../../cases/", $name, "/model.safetensors")),
                include_bytes!(concat!("../../cases/", $name, "/x.npy")),
                include_bytes!(concat!("../../cases/", $name, "/y.npy")),
                include_bytes!(concat!("../../cases/", $name, "/y_mc.npy")),
                include_bytes!(concat!("../../cases/", $name, "/expected.safetensors")),
            ],
        )
    };
}

/// The bundled cases: a chain with binary cross-entropy, one with squared errors, a convolutional
/// network with pools, and one with the metrics of each kind of neuron and of the soft-max layer.
///
/// # Errors
/// None as long as the files of `cases/` are whole.
pub fn bundled() -> Result<Vec<Files>, String> {
    Ok(vec![
        embed!("xa_leaky_bce")?,
        embed!("xc_tanh_mse_default")?,
        embed!("xd_cnn_pools_ce")?,
        embed!("xk_neurons_ce")?,
    ])
}
