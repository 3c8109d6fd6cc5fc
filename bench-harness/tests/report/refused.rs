//! Bad input: refused with status 2 before any work, and nothing is overwritten.

use std::path::Path;

use relfisher_bench::machine;

use super::fabricated::record;
use super::{argument, outcome, outcome_of, save, scratch};

/// Status 2, the words, and the files as they were.
fn refused(arguments: &[&str], words: &str, files: &[&Path]) {
    let read = || files.iter().map(|file| std::fs::read(file).expect("a file")).collect::<Vec<_>>();
    let before = read();
    let (status, text) = outcome(arguments);
    assert_eq!(status, 2, "{arguments:?}: {text}");
    assert!(text.contains(words), "{arguments:?}: {words} is not in {text}");
    assert!(!text.contains("studies"), "{arguments:?}: work began: {text}");
    assert!(read() == before, "{arguments:?}: a file was overwritten");
}

#[test]
fn an_output_takes_the_place_of_no_input() {
    let folder = scratch("apart");
    let results = folder.join("results");
    std::fs::create_dir_all(&results).expect("makes the folder");
    let (old, new) =
        (save(&record(1), &folder, "old.json"), save(&record(2), &results, "new.json"));
    let round = results.join("../old.json");
    let sizes = folder.join("sizes.toml");
    std::fs::write(&sizes, include_str!("../../gate.toml")).expect("writes");
    let [o, n, r, s, f] = [&old, &new, &round, &sizes, &results].map(|path| argument(path));
    let other = folder.join("other");
    let page = argument(&other);
    let quick = ["measure", "launch", "--quick"];
    let files = [old.as_path(), &new, &sizes];
    for (arguments, words) in [
        (vec!["--out", o, "--compare", r], "is read by the command too"),
        (vec!["--compare", o, "--junit", o], "is read by the command too"),
        (vec!["--out", s, "--sizes", s], "is read by the command too"),
        (vec!["--out", page, "--junit", page, "--compare", o], "is written by --out too"),
    ] {
        refused(&[&quick[..], &arguments].concat(), words, &files);
    }
    for arguments in [
        vec!["compare", o, "--baseline", n, "--junit", o],
        vec!["compare", o, "--baseline", n, "--junit", n],
        vec!["report", "--results", f, "--out", n],
    ] {
        refused(&arguments, "is read by the command too", &files);
    }
    let report = ["report", "--results", f, "--out", page, "--json"];
    refused(&[&report[..], &[n]].concat(), "is read by the command too", &files);
    refused(&[&report[..], &[page]].concat(), "is written by --out too", &files);
    // what cannot be written is found before the page is
    refused(&[&report[..], &[argument(&folder)]].concat(), "is a folder", &files);
    assert!(!other.exists());
    refused(&["readme", "--record", o, "--file", o], "is read by the command too", &files);
}

#[test]
fn numbers_that_no_run_can_have_are_refused() {
    let folder = scratch("numbers");
    let old = save(&record(1), &folder, "old.json");
    let old = argument(&old);
    let many = (machine::threads() + 1).to_string();
    for (arguments, words) in [
        (vec!["--longest", "0"], "--longest 0: give seconds above 0"),
        (vec!["--longest", "-1"], "--longest -1: give seconds above 0"),
        (vec!["--longest", "NaN"], "--longest NaN: give seconds above 0"),
        (vec!["--seconds", "-1"], "--seconds -1: give seconds above 0"),
        (vec!["--seconds", "inf"], "--seconds inf: give seconds above 0"),
        (vec!["--threads", many.as_str()], "what this machine runs at once"),
        (vec!["--threads", "1,1"], "--threads: 1 stands twice"),
        (vec!["--dtype", "f32,f32"], "--dtype: F32 stands twice"),
        (vec!["kron"], "a group: Kron stands twice"),
        (vec!["--band", "2"], "--band 2: give a part between 0 and 1"),
        (vec!["--filter", "no such"], "--filter \"no such\": no study"),
        (vec!["--junit", "x/y.xml"], "y.xml"),
        (vec!["--junit", "y.xml"], "give --compare BASELINE too"),
        (vec!["--quick", "--compare", old], "--quick --compare: its times mean nothing"),
    ] {
        refused(&[&["measure", "kron"], &arguments[..]].concat(), words, &[]);
    }
}

#[test]
fn sizes_that_no_study_has_are_refused() {
    let folder = scratch("sizes");
    let path = folder.join("sizes.toml");
    let text = include_str!("../../gate.toml");
    for (line, hostile, words) in [
        ("order = 1024", "order = 400000000", "sizes.toml: ceiling.order: "),
        ("copy = 8388608", "copy = 0", "sizes.toml: ceiling.copy: 0: give 1 or more"),
        ("[[16, 14, 3, 1, 16]]", "[[16, 2, 9, 1, 16]]", "kernel 9: give 4"),
        ("share = 0.60", "share = nan", "convolution.share: NaN: give a number"),
        ("orders = [16]", "orders = [16, 16]", "batched.orders[1]: 16: stands twice: remove one"),
        ("widths = [196, 128, 10]", "widths = [196]", "curvature.widths: [196]: give at least two"),
        ("order = 1024", "ordre = 1024", "begin with a copy of bench-harness/sizes.toml"),
    ] {
        assert!(text.contains(line), "{line}");
        std::fs::write(&path, text.replacen(line, hostile, 1)).expect("writes");
        refused(&["measure", "launch", "--quick", "--sizes", argument(&path)], words, &[]);
    }
}

#[test]
fn a_result_that_is_none_is_refused_with_a_remedy() {
    let folder = scratch("broken");
    for text in ["{", "{\"layout\": 1}", "{}"] {
        std::fs::write(folder.join("broken.json"), text).expect("writes");
        let page = folder.join("page.html");
        let arguments = ["report", "--results", argument(&folder), "--out", argument(&page)];
        let (status, printed) = outcome(&arguments);
        assert_eq!(status, 2, "{text}: {printed}");
        let remedy = printed.contains("move it elsewhere") || printed.contains("measure again");
        assert!(printed.contains("broken.json: ") && remedy, "{text}: {printed}");
        assert!(!page.exists());
    }
}

#[test]
fn a_number_that_is_none_is_not_written() {
    let path = scratch("number").join("out.json");
    let mut bad = record(1);
    bad.ratios[0].value = f64::INFINITY;
    let problem = bad.write(&path).expect_err("infinite");
    assert!(problem.contains("not written: packed metric over the product: inf"), "{problem}");
    assert!(!path.exists());
}

#[test]
fn the_tables_measure_nothing_that_they_do_not_know() {
    let ratios = env!("CARGO_BIN_EXE_ratios");
    let ceiling = env!("CARGO_BIN_EXE_ceiling");
    for (program, arguments) in [
        (ratios, &["bogus"][..]),
        (ratios, &["--bogus"]),
        (ceiling, &["bogus"]),
        (ceiling, &["--threads", "3"]),
        (ceiling, &["--threads", "0"]),
        (ceiling, &["--rounds", "0"]),
    ] {
        let (status, text) = outcome_of(program, arguments);
        assert_eq!(status, 2, "{program} {arguments:?}: {text}");
        assert!(!text.contains("verdict"), "{program} {arguments:?}: {text}");
    }
    for program in [ratios, ceiling] {
        let (status, text) = outcome_of(program, &["--help"]);
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("Usage") && !text.contains("verdict"), "{text}");
    }
}
