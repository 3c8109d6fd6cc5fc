//! The cases that travel with the crate.

use std::path::Path;

use relfisher_accuracy::golden::{Case, bundled};

#[test]
fn bundled_cases_are_those_of_the_checkout() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = ["arch.json", "model.safetensors", "x.npy", "y.npy", "y_mc.npy"];
    let cases = bundled().expect("whole files");
    assert_eq!(cases.len(), 4);
    for files in &cases {
        let folder = here.join("../tests/golden").join(&files.case.name);
        let read = |name: &str| std::fs::read(folder.join(name)).expect("a file of the checkout");
        let [net, weights, inputs, targets, labels] = names.map(read);
        assert_eq!(files.net.as_bytes(), net);
        assert_eq!(files.weights, weights);
        assert_eq!(files.inputs, inputs);
        assert_eq!(files.targets, targets);
        assert_eq!(files.labels, labels);
        let case = Case::read(&folder).expect("a case");
        assert_eq!(files.case.expected, case.expected);
        assert_eq!(files.case.params, case.params);
    }
    // Every quantity of the contract is in one of them at least, with a layer of each kind.
    let rows: Vec<String> = cases.iter().flat_map(|files| files.case.rows()).collect();
    for row in ["rfim", "hess_block", "kfra.G", "kfac_reduce.A", "natgrad_ef_damp1e-3", "loss"] {
        assert!(rows.iter().any(|r| r == row), "{row}");
    }
}
