//! The comparison itself: what is right passes, and each way to be wrong fails.

use std::path::{Path, PathBuf};

use relfisher_accuracy::golden::{
    Case, Dtype, Kind, Program, Report, Request, Tensor, Tensors, check, compare, folders, kind,
    request,
};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn case(name: &str) -> Case {
    Case::read(&cases().join(name)).expect("a case")
}

/// The failures of one answer.
fn failures(case: &Case, out: &Tensors, dtype: Dtype) -> Vec<String> {
    let mut report = Report::default();
    report.add(&case.name, dtype, compare(case, out, dtype));
    report.failures()
}

/// The expected tensors with one of them changed.
fn changed(case: &Case, name: &str, change: impl FnOnce(&mut Tensor)) -> Tensors {
    let mut out = case.expected.clone();
    change(out.0.get_mut(name).unwrap_or_else(|| panic!("no {name}")));
    out
}

#[test]
fn the_expected_tensors_agree_with_themselves() {
    let report = check(&cases(), |case, _| Ok(case.expected.clone())).expect("cases");
    assert_eq!(report.failures(), [""; 0], "{report}");
    // 21 cases with some 50 to 310 tensors each, in two dtypes.
    assert!(report.comparisons() > 6000, "{}", report.comparisons());
    assert!(report.worst(Dtype::F64) < 1e-2, "{report}");
}

#[test]
fn every_tensor_matters() {
    let case = case("se_cnn_ce");
    for (name, tensor) in &case.expected.0 {
        let counts = !matches!(kind(name), Ok(Kind::Input | Kind::Foreign));
        let mut missing = case.expected.clone();
        missing.0.remove(name);
        let found = failures(&case, &missing, Dtype::F32);
        assert_eq!(!found.is_empty(), counts, "{name} missing: {found:?}");

        // One element off by a millionth of the largest.
        let index = tensor.data.len() / 2;
        let off = changed(&case, name, |t| t.data[index] += 1e-6 * tensor.largest());
        let found = failures(&case, &off, Dtype::F64);
        assert_eq!(!found.is_empty(), counts, "{name} off: {found:?}");
        let named = found.iter().any(|f| f.contains(name) || name.starts_with("ekfac"));
        assert_eq!(named, counts, "{name} is not named: {found:?}");
    }
}

#[test]
fn numbers_that_are_not_finite_fail_wherever_they_stand() {
    let case = case("sf_ugly_b1_dead_dup");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for name in ["grad.layers.0", "ekfac_emp.QA.layers.1", "ekfac_type2.lambda.layers.2"] {
            let out = changed(&case, name, |t| t.data[3] = bad);
            let found = failures(&case, &out, Dtype::F32);
            assert!(found.iter().any(|f| f.contains(name)), "{name}: {found:?}");
        }
        let mut out = case.expected.clone();
        let extra = Tensor { shape: vec![2], data: vec![0.0, bad] };
        out.0.insert("something.else".into(), extra);
        assert_eq!(failures(&case, &out, Dtype::F32).len(), 1);
    }
}

#[test]
fn shapes_must_agree_but_for_more_samples() {
    let case = case("sg_ugly_halfdead_dup");
    let name = "per_sample_grad.layers.1";
    let mut few = case.clone();
    let tensor = few.expected.0.get_mut(name).expect("a tensor");
    tensor.data.truncate(4 * tensor.data.len() / 5);
    tensor.shape[0] = 4;
    let reference = Case { expected: few.expected.clone(), ..case.clone() };
    assert_eq!(failures(&reference, &case.expected, Dtype::F64), [""; 0]);
    let off = changed(&case, name, |t| t.data[1] += 1e-3);
    assert_eq!(failures(&reference, &off, Dtype::F64).len(), 1);
    assert_eq!(failures(&case, &few.expected, Dtype::F64).len(), 1, "samples are missing");

    let flat = changed(&case, "grad.layers.0", |t| t.shape = vec![t.data.len()]);
    assert_eq!(failures(&case, &flat, Dtype::F64).len(), 1);
    let flat = changed(&case, "ekfac_emp.QG.layers.0", |t| t.shape = vec![t.data.len()]);
    assert!(failures(&case, &flat, Dtype::F64).len() > 1);
}

/// Multiplies two columns of a square matrix by a rotation.
fn rotate(t: &mut Tensor, first: usize, angle: f64) {
    let n = t.shape[0];
    let (sin, cos) = angle.sin_cos();
    for i in 0..n {
        let (a, b) = (t.data[i * n + first], t.data[i * n + first + 1]);
        t.data[i * n + first] = cos * a - sin * b;
        t.data[i * n + first + 1] = sin * a + cos * b;
    }
}

#[test]
fn eigenbases_may_differ_where_they_are_not_unique() {
    // A has rank 1 here, so all eigenvectors but the last may turn.
    let case = case("sf_ugly_b1_dead_dup");
    let turned = changed(&case, "ekfac_type2.QA.layers.0", |t| rotate(t, 2, 0.7));
    assert_eq!(failures(&case, &turned, Dtype::F64), [""; 0]);
    let mixed = changed(&case, "ekfac_type2.QA.layers.0", |t| rotate(t, 15, 0.7));
    assert!(!failures(&case, &mixed, Dtype::F32).is_empty());

    let case = self::case("sa_tanh_ce");
    let negated = changed(&case, "ekfac_emp.QG.layers.1", |t| {
        let n = t.shape[1];
        t.data.iter_mut().skip(3).step_by(n).for_each(|x| *x = -*x);
    });
    assert_eq!(failures(&case, &negated, Dtype::F64), [""; 0]);
    let turned = changed(&case, "ekfac_emp.QG.layers.1", |t| rotate(t, 6, 0.01));
    assert!(!failures(&case, &turned, Dtype::F32).is_empty());
    let exchanged = changed(&case, "ekfac_emp.QG.layers.1", |t| {
        t.data.chunks_exact_mut(8).for_each(|row| row.swap(0, 7));
    });
    assert!(!failures(&case, &exchanged, Dtype::F32).is_empty(), "eigenvalues must ascend");
    let longer = changed(&case, "ekfac_emp.QG.layers.1", |t| {
        t.data.iter_mut().for_each(|x| *x *= 1.001);
    });
    assert!(!failures(&case, &longer, Dtype::F32).is_empty(), "columns must have length 1");
    let shrunk = changed(&case, "ekfac_emp.lambda.layers.1", |t| {
        t.data.iter_mut().for_each(|x| *x *= 0.99);
    });
    let found = failures(&case, &shrunk, Dtype::F32);
    assert_eq!(found.len(), 2, "against the block and as an operator: {found:?}");
}

#[test]
fn an_eigenvalue_is_measured_by_the_norm_of_its_matrix() {
    // All five smallest eigenvalues of this Hessian are rounding noise.
    let case = case("sf_ugly_b1_dead_dup");
    let zeros = changed(&case, "hess_bottom5", |t| t.data.fill(1e-12));
    assert_eq!(failures(&case, &zeros, Dtype::F64), [""; 0]);
    let off = changed(&case, "hess_bottom5", |t| t.data[0] = -1e-9);
    assert_eq!(failures(&case, &off, Dtype::F64).len(), 1);
}

#[test]
fn what_the_contract_does_not_know_is_refused() {
    let mut case = case("sb_relu_ce");
    let tensor = Tensor { shape: vec![1], data: vec![1.0] };
    case.expected.0.insert("novelty.layers.0".into(), tensor.clone());
    assert!(request(&case, Dtype::F64).is_err());
    assert!(failures(&case, &case.expected, Dtype::F64)[0].contains("novelty"));
    case.expected.0.clear();
    case.expected.0.insert("probe.layers.0".into(), tensor);
    assert!(request(&case, Dtype::F64).is_err());
    let found = failures(&case, &Tensors::default(), Dtype::F64);
    assert!(found.iter().any(|f| f.contains("nothing was compared")), "{found:?}");
    assert!(!Report::default().failures().is_empty(), "an empty report must not pass");
}

#[test]
fn requests_name_what_the_program_can_be_asked_for() {
    let Request { quantities, dampings, dtype } =
        request(&case("se_cnn_ce"), Dtype::F32).expect("a request");
    assert_eq!((dampings, dtype), (vec!["1e-1".to_owned(), "1e-3".into()], Dtype::F32));
    for name in ["grad", "kfac_mc", "kfac_reduce_type2_precond_pi", "trace", "hess_bottom5"] {
        assert!(quantities.iter().any(|q| q == name), "{name}");
    }
    for name in ["probe", "kfac", "kfac_reduce", "backpack_kflr", "natgrad_ef_damp1e-1"] {
        assert!(!quantities.iter().any(|q| q == name), "{name}");
    }
    let asked = request(&case("xk_neurons_ce"), Dtype::F64).expect("a request");
    assert!(asked.quantities.iter().any(|q| q == "rfim"));
    assert!(!asked.quantities.iter().any(|q| q.starts_with("kfac_reduce")));
}

#[test]
fn folders_without_a_case_are_an_error() {
    let scratch = scratch("empty");
    assert!(folders(&scratch).is_err());
    assert!(folders(&scratch.join("absent")).is_err());
    assert_eq!(folders(&cases().join("sa_tanh_ce")).map(|f| f.len()), Ok(1));
    // Not a case: it has no network.
    assert!(folders(&cases()).expect("cases").iter().all(|f| !f.ends_with("rfim")));

    // A case without expectations fails, and so does one that the program refuses.
    std::fs::write(scratch.join("arch.json"), r#"{"layers": []}"#).expect("writes");
    let report = check(&scratch, |_, _| Ok(Tensors::default())).expect("a case");
    assert!(report.failures()[0].contains("expected.safetensors"), "{report}");
    let one = cases().join("sf_ugly_b1_dead_dup");
    let report = check(&one, |_, _| Err("no such thing".into())).expect("a case");
    assert!(report.failures().iter().any(|f| f.contains("no such thing")), "{report}");
}

#[cfg(unix)]
#[test]
fn an_old_file_is_no_answer() {
    let scratch = scratch("program");
    let case = case("sf_ugly_b1_dead_dup");
    let asked = request(&case, Dtype::F64).expect("a request");
    let old = scratch.join("sf_ugly_b1_dead_dup-f64.safetensors");
    for executable in ["true", "false", "relfisher-absent"].map(PathBuf::from) {
        std::fs::copy(case.folder.join("expected.safetensors"), &old).expect("copies");
        let program = Program { executable, scratch: scratch.clone() };
        assert!(program.answer(&case, &asked).is_err());
    }
}

fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("the old folder goes");
    }
    std::fs::create_dir_all(&path).expect("a new folder");
    path
}
