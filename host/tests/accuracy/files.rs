//! The program: what it writes, what it refuses, and how it ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

use crate::common::{assert_refused, folder, relfisher, stderr, stdout};
use crate::lab::{committed, golden, parse};

fn run(arguments: &[&str]) -> Output {
    relfisher(&[&["accuracy"], arguments].concat())
}

/// Runs with the exit status that is meant.
pub(crate) fn ends(arguments: &[&str], status: i32) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(status), "{}{}", stderr(&output), stdout(&output));
    assert_eq!(stderr(&output), "", "no progress without a terminal");
    stdout(&output)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON")
}

/// The attributes of all elements of an XML file, by element; it must be well-formed.
fn elements(path: &Path) -> BTreeMap<String, Vec<BTreeMap<String, String>>> {
    let text = fs::read_to_string(path).expect("a file");
    let mut reader = Reader::from_str(&text);
    let (mut all, mut open) = (BTreeMap::<String, Vec<_>>::new(), 0);
    loop {
        let event = reader.read_event().expect("well-formed XML");
        open += match &event {
            Event::Start(_) => 1,
            Event::End(_) => -1,
            _ => 0,
        };
        match event {
            Event::Start(element) | Event::Empty(element) => {
                let attributes = element.attributes().map(|attribute| {
                    let attribute = attribute.expect("an attribute");
                    let value = quick_xml::escape::unescape(&attribute.value).expect("escaped");
                    (attribute.key.as_ref().to_owned(), value.into_owned())
                });
                all.entry(element.name().as_ref().to_owned())
                    .or_default()
                    .push(attributes.collect());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0, "elements that are not closed");
    all
}

#[test]
fn without_arguments_everything_is_compared_and_passes() {
    let table = ends(&[], 0);
    for row in ["ladder  nu.smooth_relu ", "ladder  kron.sum_solve ", "golden  rfim "] {
        for dtype in ["f64", "f32"] {
            let of = |line: &&str| line.starts_with(row) && line.contains(dtype);
            assert_eq!(table.lines().filter(of).count(), 1, "{row} {dtype}: {table}");
        }
    }
    assert!(!table.contains("FAIL"), "{table}");
    assert_eq!(ends(&["--quiet"], 0), "");
    let few = ends(&["--quantity", "kfac,nu.tanh", "--dtype", "f32", "--device", "cpu"], 0);
    assert_eq!(few.lines().count(), 6, "a header, kfac.A twice, kfac.G, nu.tanh, a sum: {few}");
}

#[test]
fn the_outcome_is_written_for_machines() {
    let dir = folder("accuracy-outcome");
    let (baseline, outcome, xml) =
        (dir.join("baseline.json"), dir.join("outcome.json"), dir.join("junit.xml"));
    let names = ["--quantity", "nu,grad", "--baseline", text(&baseline)];
    ends(&[&names[..], &["--update"]].concat(), 0);
    let files = ["--json", text(&outcome), "--junit", text(&xml)];
    let table = ends(&[&names[..], &files].concat(), 0);
    assert!(table.contains("baseline") && table.contains("limit"), "{table}");

    let record = json(&outcome);
    for key in ["kind", "schema", "version", "machine", "baseline", "cases", "comparisons"] {
        assert!(!record[key].is_null(), "{key}: {record}");
    }
    assert_eq!(record["passed"], true);
    assert_eq!(record["failures"], Value::Array(Vec::new()));
    let rows = record["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 18, "eight neurons and the gradient in two dtypes");
    for row in rows {
        for key in ["source", "quantity", "dtype", "device", "unit", "place"] {
            assert!(row[key].is_string(), "{key}: {row}");
        }
        for key in ["tensors", "worst", "of_allowed", "baseline", "limit"] {
            assert!(row[key].is_number(), "{key}: {row}");
        }
        let unit = if row["quantity"] == "grad" { "relative" } else { "ulp" };
        assert_eq!(row["unit"], unit);
        assert!(row["worst"].as_f64() <= row["limit"].as_f64());
    }
    let found = elements(&xml);
    assert_eq!(found["testcase"].len(), 18);
    assert_eq!(found["testsuites"][0]["failures"], "0");
    assert_eq!(found["testsuite"].len(), 2);
    assert!(!found.contains_key("failure"));

    // An error of the baseline that is smaller than the run's by more than its allowance.
    let written = fs::read_to_string(&baseline).expect("a file");
    let mut smaller: Value = serde_json::from_str(&written).expect("JSON");
    let errors = smaller["errors"].as_array_mut().expect("errors");
    let is = |e: &&mut Value| e["quantity"] == "nu.smooth_relu" && e["dtype"] == "f32";
    let known = errors.iter_mut().find(is).expect("an entry");
    let worst = known["worst"].as_f64().expect("a number");
    (known["worst"], known["floor"]) = (Value::from(0.5 * worst), Value::from(0.0));
    fs::write(&baseline, smaller.to_string()).expect("writes");
    let table = ends(&[&names[..], &files].concat(), 1);
    assert!(table.contains("FAIL ladder nu.smooth_relu f32: nu.smooth_relu: the error grew from"));
    assert_eq!(json(&outcome)["passed"], false);
    assert_eq!(json(&outcome)["failures"][0]["quantity"], "nu.smooth_relu");
    let found = elements(&xml);
    assert_eq!(found["testsuites"][0]["failures"], "1");
    assert_eq!(found["failure"].len(), 1);
    assert!(found["failure"][0]["message"].contains("the error grew from"));
    let quiet = ends(&[&names[..], &["--quiet"]].concat(), 1);
    assert_eq!(quiet.lines().count(), 1, "{quiet}");

    // Measured anew, the run is right again; the floor that was set by hand stays.
    ends(&[&names[..], &["--update"]].concat(), 0);
    ends(&names, 0);
    let errors = parse(&baseline).errors;
    let known = errors.iter().filter(|known| known.quantity == "nu.smooth_relu");
    assert_eq!(known.map(|known| known.floor).fold(1.0, f64::min), 0.0);
    let left: Vec<_> = fs::read_dir(&dir).expect("a folder").collect();
    assert_eq!(left.len(), 3, "no temporary file: {left:?}");
}

#[test]
fn the_committed_baseline_holds_for_the_program() {
    let (cases, baseline) = (golden(""), committed());
    let table = ends(&["--golden", text(&cases), "--baseline", text(&baseline)], 0);
    assert!(!table.contains("FAIL"), "{table}");
    // One case alone is not what the baseline is about.
    let one = golden("sa_tanh_ce");
    let output = run(&["--golden", text(&one), "--baseline", text(&baseline)]);
    assert_refused(&output, &[text(&baseline), "cases", "sb_relu_ce", "--golden"]);
    // Its ladder is: nothing of other cases is asked for.
    ends(&["--golden", text(&one)], 0);
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let dir = folder("accuracy-refused");
    let absent = dir.join("absent.json");
    let path = text(&absent);
    assert_refused(&run(&["--baseline", path]), &[path, "--update"]);
    assert_refused(&run(&["--update"]), &["--baseline"]);
    assert_refused(&run(&["--golden", text(&dir)]), &[text(&dir), "arch.json"]);
    assert_refused(&run(&["--golden", path]), &[path]);
    assert_refused(&run(&["--quantity", "nu.tan"]), &["--quantity", "nu.tan", "nu.tanh"]);
    assert_refused(&run(&["--device", "cuda"]), &["--device", "cuda", "--device cpu"]);
    assert_refused(&run(&["--json", text(&dir)]), &[text(&dir), "folder"]);
    assert_refused(&run(&["--case", path]), &["--actual"]);
    assert_refused(&run(&["--actual", path]), &[path, "check the path"]);
    let nowhere = dir.join("no/such/junit.xml");
    assert_refused(&run(&["--junit", text(&nowhere)]), &[text(&nowhere)]);
    let broken = dir.join("broken.json");
    let path = text(&broken);
    let good = fs::read_to_string(committed()).expect("a file");
    let first = good.find("\"factor\":").expect("an allowance");
    let bad_factor = format!("{}\"factor\":0.5, \"x\":{}", &good[..first], &good[first + 9..]);
    let unknown = good.replacen("\"worst\":", "\"worse\":", 1);
    let shrinking = bad_factor.replacen(", \"x\":4.0", "", 1).replacen(", \"x\":1.5", "", 1);
    for (content, part) in [
        ("", "not a baseline file"),
        ("{}", "not a baseline file"),
        (&good[..good.len() / 2], "not a baseline file"),
        (&unknown, "worse"),
        (&bad_factor, "x"),
        (&shrinking, "below 1"),
        (&good.replacen("\"schema\": 1", "\"schema\": 2", 1), "schema 2"),
        (&good.replacen("relfisher accuracy baseline", "other", 1), "other"),
    ] {
        fs::write(&broken, content).expect("writes");
        let cases = golden("");
        for more in [&[][..], &["--update"]] {
            let arguments = [&["--golden", text(&cases), "--baseline", path], more].concat();
            assert_refused(&run(&arguments), &[path, part]);
        }
        assert_eq!(fs::read_to_string(&broken).expect("a file"), content, "it is as it was");
    }
    assert_eq!(fs::read_dir(&dir).expect("a folder").count(), 1, "nothing else was written");
}

#[test]
fn a_run_with_an_error_that_is_too_large_updates_nothing() {
    // A case that expects something else than what is right.
    let dir = folder("accuracy-wrong");
    let case = dir.join("wrong");
    fs::create_dir(&case).expect("a folder");
    let from = golden("xc_tanh_mse_default");
    for file in fs::read_dir(&from).expect("a folder") {
        let path = file.expect("an entry").path();
        fs::copy(&path, case.join(path.file_name().expect("a name"))).expect("copies");
    }
    let expected = case.join("expected.safetensors");
    let bytes = fs::read(&expected).expect("a file");
    let mut tensors = relfisher_accuracy::tensors::Tensors::parse(&bytes).expect("tensors");
    tensors.0.get_mut("grad.layers.0").expect("a tensor").data[1] += 1e-3;
    fs::write(&expected, tensors.to_bytes().expect("bytes")).expect("writes");
    let baseline = dir.join("baseline.json");
    let arguments = ["--golden", text(&dir), "--baseline", text(&baseline), "--update"];
    let table = ends(&arguments, 1);
    assert!(table.contains("FAIL golden grad f64: wrong: grad.layers.0 is off by"), "{table}");
    assert!(table.contains("the baseline is unchanged") && !baseline.exists());
}
