//! The gate itself: it passes what is right, on other orders of summation too, and fails what moved.

use relfisher::accuracy::Executors;
use relfisher::executor::Cpu;
use relfisher_accuracy::Dtype;
use relfisher_accuracy::baseline::Baseline;

use crate::executors::Sequential;
use crate::lab::{
    all_references, bundled_references, committed, failures, gated, golden, parse, scope,
};

#[test]
fn the_processor_passes_the_committed_baseline() {
    let cpu = Cpu::new(None).expect("threads");
    let executors = Executors { single: &cpu, double: &cpu };
    let table = gated(&all_references(), &[], &executors, &parse(&committed()));
    assert_eq!(failures(&table), [""; 0], "{table}");
    assert!(table.comparisons() > 6000 && table.rows().all(|row| row.limit.is_some()));
}

#[test]
fn allowances_hold_for_another_order_of_summation() {
    // Sums in the order of the core instead of that of SIMD kernels: as far apart as two machines.
    let other = Sequential::new(1.0);
    let executors = Executors { single: &other, double: &other };
    let table = gated(&all_references(), &[], &executors, &parse(&committed()));
    assert_eq!(failures(&table), [""; 0], "{table}");
    let moved = table.rows().filter(|row| row.baseline != Some(row.worst)).count();
    assert!(moved > 50, "only {moved} rows differ: no other order was tried");
}

#[test]
fn a_perturbed_nu_fails() {
    let references = bundled_references();
    let right = Sequential::new(1.0);
    let executors = Executors { single: &right, double: &right };
    let names = ["nu", "rfim", "kfac"];
    let first = scope(&references, &names);
    let table = relfisher::accuracy::measure(&references, &first, &executors, &mut |_| {});
    let machine = ("0", serde_json::Value::Null);
    let baseline = Baseline::updated(None, &table, &first, machine);
    let table = gated(&references, &names, &executors, &baseline);
    assert_eq!(failures(&table), [""; 0], "{table}");

    // By a millionth, eight ulps of f32: tolerances and baseline both see it.
    let wrong = Sequential::new(1.0 + 1e-6);
    let executors = Executors { single: &wrong, double: &wrong };
    let table = gated(&references, &names, &executors, &baseline);
    let failed = failures(&table);
    for dtype in ["f64", "f32"] {
        for row in ["nu.tanh", "nu.sigm", "nu.relu", "nu.smooth_relu", "nu.linear"] {
            let line = format!("ladder {row} {dtype}:");
            let found: Vec<_> = failed.iter().filter(|f| f.starts_with(&line)).collect();
            assert!(found.iter().any(|f| f.contains("is off by")), "{line} {failed:?}");
            assert!(found.iter().any(|f| f.contains("the error grew from")), "{line} {failed:?}");
        }
    }
    // Metrics of layers are made of ν: the ladder's, and those of networks. In f32 eight ulps are no
    // more than sums of another order may move them.
    for start in ["ladder rfim.tanh f64:", "ladder rfim.elu f64:", "golden rfim f64:"] {
        assert!(failed.iter().any(|f| f.starts_with(start)), "{start} {failed:?}");
    }
    // Nothing else is.
    let named = |f: &&String| f.contains(" nu.") || f.contains(" rfim");
    assert_eq!(failed.iter().find(|f| !named(f)), None);
    for row in table.rows().filter(|row| row.key.quantity.starts_with("kfac")) {
        assert!(!table.failed(&row.key), "{row:?}");
    }

    // By less than any tolerance of f32, but a hundred times what f64 rounds: the baseline sees it.
    let wrong = Sequential::new(1.0 + 1e-13);
    let executors = Executors { single: &wrong, double: &wrong };
    let failed = failures(&gated(&references, &names, &executors, &baseline));
    assert!(failed.iter().any(|f| f.contains("the error grew from")), "{failed:?}");
    assert!(failed.iter().all(|f| f.contains(" f64:")), "{failed:?}");
}

#[test]
fn rows_that_come_or_go_fail() {
    let references = bundled_references();
    let cpu = Cpu::new(Some(1)).expect("a thread");
    let executors = Executors { single: &cpu, double: &cpu };
    let measured = scope(&references, &["nu", "kron"]);
    let table = relfisher::accuracy::measure(&references, &measured, &executors, &mut |_| {});
    let machine = || ("0", serde_json::Value::Null);
    let mut baseline = Baseline::updated(None, &table, &measured, machine());
    let whole = baseline.errors.len();

    baseline.errors.retain(|known| known.quantity != "nu.tanh");
    let failed = failures(&gated(&references, &["nu", "kron"], &executors, &baseline));
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0].contains("nu.tanh") && failed[0].contains("has no baseline"), "{failed:?}");

    // Of a row that is gone only the gate of its own names complains.
    let mut gone = baseline.errors[0].clone();
    gone.quantity = "nu.forgotten".into();
    baseline.errors.push(gone);
    let failed = failures(&gated(&references, &["nu.sigm"], &executors, &baseline));
    assert_eq!(failed, [""; 0]);
    let failed = failures(&gated(&references, &["nu"], &executors, &baseline));
    assert_eq!(failed.iter().filter(|f| f.contains("not now")).count(), 1, "{failed:?}");

    // An update measures what is in its scope anew, and keeps the rest with all allowances.
    for known in &mut baseline.errors {
        known.factor = 7.0;
    }
    let only = scope(&references, &["nu"]);
    let table = relfisher::accuracy::measure(&references, &only, &executors, &mut |_| {});
    let updated = Baseline::updated(Some(&baseline), &table, &only, machine());
    assert_eq!(updated.errors.len(), whole);
    for known in &updated.errors {
        let factor = if known.quantity == "nu.tanh" { 1.5 } else { 7.0 };
        assert_eq!(known.factor, factor, "{known:?}");
    }
    assert!(updated.errors.iter().all(|known| known.quantity != "nu.forgotten"));
}

#[test]
fn the_committed_baseline_is_tight() {
    let baseline = parse(&committed());
    let mut cases: Vec<String> = std::fs::read_dir(golden(""))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("arch.json").exists())
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    cases.sort();
    assert_eq!(baseline.cases, cases);
    for known in &baseline.errors {
        let most = match known.dtype {
            Dtype::F64 => 1e-10,
            Dtype::F32 => 3e-2,
        };
        let ulps = known.unit == relfisher_accuracy::Unit::Ulp;
        assert!(known.limit() <= if ulps { 6.0 } else { most }, "{known:?}");
        assert!(known.factor <= 10.0, "{known:?}");
    }
}
