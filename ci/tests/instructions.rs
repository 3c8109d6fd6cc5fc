//! The gate on instruction counts: what it lets through, what it stops, and in which words. That a slow
//! kernel really is stopped is shown by `cargo ci instructions --self-test`.

use std::fs;

use relfisher_ci::instructions::{
    Baseline, Comparison, Counts, FILE, GROWTH, HANDICAPPED, Verdict, Versions, counts_of,
    handicap_is_seen,
};
use relfisher_ci::repository::root;

fn counts(pairs: &[(&str, u64)]) -> Counts {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn versions() -> Versions {
    Versions { rustc: "rustc 1.95.0".into(), valgrind: "valgrind-3.19.0".into() }
}

/// The verdict on one case, by its counts before and now.
fn verdict(known: Option<u64>, now: Option<u64>) -> Verdict {
    let set = |count: Option<u64>| -> Counts {
        count.map(|count| ("a/b".to_owned(), count)).into_iter().collect()
    };
    let comparison = Comparison::new(&set(known), &set(now));
    assert_eq!(comparison.rows.len(), 1);
    let verdict = comparison.rows[0].verdict();
    assert_eq!(comparison.failures().is_empty(), verdict.passes());
    verdict
}

#[test]
fn growth_beyond_the_band_fails_and_only_that() {
    assert!((GROWTH - 0.02).abs() < 1e-15, "the cases below are of 2 %");
    assert_eq!(verdict(Some(10_000), Some(10_000)), Verdict::Same);
    assert_eq!(verdict(Some(10_000), Some(10_200)), Verdict::Same);
    assert_eq!(verdict(Some(10_000), Some(10_201)), Verdict::Grown);
    assert_eq!(verdict(Some(10_000), Some(9_800)), Verdict::Same);
    assert_eq!(verdict(Some(10_000), Some(9_799)), Verdict::Fallen);
    assert_eq!(verdict(Some(1), Some(u64::MAX)), Verdict::Grown);
    assert!(Verdict::Fallen.passes(), "a gain is no failure");
}

#[test]
fn new_and_vanished_cases_fail_with_the_remedy() {
    let (known, now) =
        (counts(&[("a/old", 5), ("a/same", 7)]), counts(&[("a/new", 5), ("a/same", 7)]));
    let comparison = Comparison::new(&known, &now);
    let names: Vec<&str> = comparison.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["a/new", "a/old", "a/same"]);
    let failures = comparison.failures();
    assert_eq!(failures.len(), 2, "{failures:?}");
    for (failure, name) in failures.iter().zip(["a/new", "a/old"]) {
        assert!(failure.starts_with(name), "{failure}");
        assert!(failure.contains("cargo ci instructions --update"), "{failure}");
    }
    assert_eq!(verdict(None, Some(1)), Verdict::New);
    assert_eq!(verdict(Some(1), None), Verdict::Vanished);
}

#[test]
fn a_grown_case_says_from_what_to_what() {
    let comparison = Comparison::new(&counts(&[("a/b", 1000)]), &counts(&[("a/b", 1500)]));
    let failure = comparison.failures().remove(0);
    for part in ["a/b", "1000", "1500", "50.0 %", "2 %"] {
        assert!(failure.contains(part), "no {part} in: {failure}");
    }
}

#[test]
fn the_table_has_every_case_and_says_what_to_do_about_gains() {
    let known = counts(&[("a/grown", 100), ("a/same", 100), ("a/fallen", 100), ("a/gone", 100)]);
    let now = counts(&[("a/grown", 150), ("a/same", 101), ("a/fallen", 50), ("a/new", 3)]);
    let table = Comparison::new(&known, &now).to_string();
    for line in
        ["a/grown", "+50.00 % MORE", "+1.00 %", "-50.00 % fewer", "NEW", "VANISHED", "1 counts"]
    {
        assert!(table.contains(line), "no {line} in:\n{table}");
    }
    assert_eq!(table.lines().count(), 7, "{table}");
}

#[test]
fn a_slow_kernel_must_be_seen_and_nothing_else() {
    let known = counts(&[(HANDICAPPED, 1000), ("metric/other", 1000)]);
    let judged = |slow: u64, other: u64| {
        let now = counts(&[(HANDICAPPED, slow), ("metric/other", other)]);
        handicap_is_seen(&Comparison::new(&known, &now), HANDICAPPED)
    };
    assert_eq!(judged(2000, 1000), Ok(()));
    assert_eq!(judged(2000, 990), Ok(()));
    assert!(judged(1010, 1000).is_err(), "the slow kernel was not noticed");
    assert!(judged(500, 1000).is_err(), "the slow kernel was faster");
    assert!(judged(2000, 2000).is_err(), "another case failed too");
    let absent = Comparison::new(&counts(&[("metric/other", 1)]), &counts(&[("metric/other", 1)]));
    assert!(handicap_is_seen(&absent, HANDICAPPED).is_err(), "it did not run");
    let new = Comparison::new(&counts(&[]), &counts(&[(HANDICAPPED, 1)]));
    assert!(handicap_is_seen(&new, HANDICAPPED).is_err(), "new is not grown");
}

#[test]
fn a_baseline_survives_its_file_and_others_are_refused() {
    let baseline = Baseline::new(&versions(), counts(&[("a/b", 12)]));
    let text = baseline.text();
    assert_eq!(Baseline::parse(&text), Ok(baseline.clone()));
    let refused = |text: String, word: &str| {
        let problem = Baseline::parse(&text).expect_err("refused");
        assert!(problem.contains(word), "{problem}");
    };
    refused(text.replace("instruction counts", "accuracy baseline"), "relfisher accuracy");
    refused(text.replace("\"schema\": 1", "\"schema\": 2"), "schema 2");
    refused(text.replace("12", "0"), "a/b");
    refused(text.replace("12", "-3"), "line");
    refused(text.replace("valgrind\"", "valgrin\""), "valgrin");
    refused(String::new(), "line 1");
}

#[test]
fn another_tool_is_said_and_the_same_is_not() {
    let baseline = Baseline::new(&versions(), counts(&[("a/b", 12)]));
    assert!(baseline.other_versions(&versions()).is_empty());
    let newer = Versions { rustc: "rustc 1.96.0".into(), ..versions() };
    let notes = baseline.other_versions(&newer);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("rustc 1.95.0") && notes[0].contains("rustc 1.96.0"), "{notes:?}");
    assert!(notes[0].contains("--update"), "{notes:?}");
}

#[test]
fn summaries_of_the_runner_are_read() {
    let line = fs::read_to_string(root().join("ci/tests/data/summary.json")).expect("a summary");
    let line = line.trim();
    let read = counts_of(line).expect("a count");
    assert_eq!(read.len(), 1);
    let (name, count) = read.first_key_value().expect("one");
    assert!(
        line.contains(&format!("\"Ir\":{{\"values\":{{\"new\":{count}}}}}")),
        "{count} is a number of the summary"
    );
    assert_eq!(name, "factor/cholesky_f32");
    let twice = format!("{line}\n{line}\n");
    assert!(counts_of(&twice).expect_err("twice").contains("twice"));
    assert!(counts_of("\n").is_err(), "nothing was counted");
    assert!(counts_of("Benchmark failed").expect_err("no JSON").contains("Benchmark failed"));
    let other = line.replace("\"Ir\"", "\"Dr\"");
    assert!(counts_of(&other).expect_err("no Ir").contains("factor/cholesky_f32"));
}

#[test]
fn the_committed_counts_are_of_the_cases_of_the_benchmark() {
    let text = fs::read_to_string(root().join(FILE)).expect("the committed counts");
    let baseline = Baseline::parse(&text).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    assert!(baseline.counts.contains_key(HANDICAPPED), "the case of the self-test");
    let source = "bench-harness/benches/instructions/main.rs";
    let source = fs::read_to_string(root().join(source)).expect("the cases");
    let lines = source.lines().filter_map(|line| line.strip_prefix("#[bench::"));
    let mut cases: Vec<&str> = lines.filter_map(|line| line.split('(').next()).collect();
    let mut known: Vec<&str> =
        baseline.counts.keys().filter_map(|name| Some(name.split_once('/')?.1)).collect();
    cases.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, cases, "{FILE} and {source} differ: `cargo ci instructions --update`");
}
