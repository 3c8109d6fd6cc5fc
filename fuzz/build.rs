//! Lists every exported function of the C interface, so that none is left out of its target.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/capi/src");
    println!("cargo::rerun-if-changed={}", sources.display());
    let mut functions = Vec::new();
    for module in ["blas", "curvature", "factor", "kron", "metric", "neuron", "optim"] {
        let path = sources.join(module).with_extension("rs");
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for block in text.split("\nexport! {\n").skip(1) {
            let block = block.split("\n}\n").next().unwrap_or_default();
            for function in block.split("\n    fn ").skip(1) {
                let signature = function.split(')').next().unwrap_or_default();
                let name = signature.split('(').next().unwrap_or_default();
                functions.push((format!("{module}::{name}"), signature.matches(':').count()));
            }
        }
    }
    assert!(functions.len() > 50, "the scan found only {functions:?}");
    let mut list = String::from("&[\n");
    for (function, arguments) in &functions {
        for precision in ["single", "double"] {
            let of = "_, ".repeat(*arguments);
            let _ = writeln!(
                list,
                "    ({function:?}, |call| {{ let f: unsafe extern \"C\" fn({of}*mut Detail) -> Status = \
                 {function}::{precision}; f.fuzz(call) }}),",
            );
        }
    }
    list.push_str("]\n");
    let out = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("functions.rs");
    fs::write(&out, list).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}
