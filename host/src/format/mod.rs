//! Files: atomic writing, safetensors, `.npy` and `.npz`.

mod apart;
mod atomic;
mod npy;
mod tensors;
mod weights;

pub use apart::check_apart;
pub use atomic::{check_writable, check_writable_folder, replace_file, write_atomic, write_bytes};
pub use npy::{Array, read_npy, read_npz, write_npy};
pub use tensors::{Tensor, TensorFile};
pub use weights::{load_parameters, parameters_of, parse_parameters, save_parameters};
