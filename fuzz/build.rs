//! Lists every exported function of the C interface, so that none is left out of its target.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/capi/src");
    println!("cargo::rerun-if-changed={}", sources.display());
    let mut functions = Vec::new();
    let entries = fs::read_dir(&sources).unwrap_or_else(|e| panic!("{}: {e}", sources.display()));
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let module = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let macros: [(&str, &[&str]); 2] =
            [("\nexport! {\n", &["single", "double"]), ("\nexport_double! {\n", &["double"])];
        for (start, precisions) in macros {
            for block in text.split(start).skip(1) {
                let block = block.split("\n}\n").next().unwrap_or_default();
                for function in block.split("\n    fn ").skip(1) {
                    let signature = function.split(')').next().unwrap_or_default();
                    let name = signature.split('(').next().unwrap_or_default();
                    let arguments = signature.matches(':').count();
                    functions.push((format!("{module}::{name}"), arguments, precisions));
                }
            }
        }
    }
    assert!(functions.len() > 120, "the scan found only {functions:?}");
    let mut list = String::from("&[\n");
    for (function, arguments, precisions) in &functions {
        for precision in *precisions {
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
