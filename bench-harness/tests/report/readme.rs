//! The section of the README.

use relfisher_bench::case::Group;
use relfisher_bench::measure::Options;
use relfisher_bench::record::{Dtype, NotMeasured};
use relfisher_bench::report::folder::Results;
use relfisher_bench::report::readme::{Section, generate};

use super::fabricated::record;
use super::{argument, outcome, save, scratch};

const README: &str =
    "# Title\n\nbefore\n\n<!-- performance: old -->\nold\n<!-- performance: end -->\n\nafter\n";

#[test]
fn the_section_says_where_relfisher_wins_and_where_not() {
    let text = generate(&Results::of("fabricated.json".as_ref(), record(1_700_000_000)));
    assert!(text.lines().count() <= 50, "{text}");
    for words in [
        "Fabricated <processor> & test data, 2 cores, 16.0 GiB",
        "record `fabricated.json`",
        "`cargo run --release -p relfisher-bench --bin relfisher-bench -- measure --threads 1,2 \
         --seconds 0.5 --longest 2 --out FILE`",
        "| damped solve, f32, `kron` | width 2048 | 234 ms | does not fit: 65,536 GiB |",
        "The dense matrix is faster",
        "| Adam, `optim` | copy | 93 % | 93 % | 93 % | 93 % |",
        "2 of 3 targets are met. Missed:",
        "| Kronecker solve, f32, 2 threads | 0.55 | at least 0.70 | fabricated \\| detail |",
    ] {
        assert!(text.contains(words), "{words}\nis not in\n{text}");
    }
}

#[test]
fn targets_that_were_not_measured_are_named() {
    let mut record = record(1);
    record.not_measured = vec![NotMeasured {
        name: "a large metric: share of the product ceiling".into(),
        dtype: Dtype::F64,
        threads: 1,
        why: "too slow: 12.0 s at the ceiling".into(),
    }];
    let text = generate(&Results::of("fabricated.json".as_ref(), record.clone()));
    for words in [
        "2 of 4 targets are met, 1 not measured. Missed:",
        "- a large metric: share of the product ceiling, f64, 1 thread: too slow: 12.0 s at the ceiling\n",
    ] {
        assert!(text.contains(words), "{words}\nis not in\n{text}");
    }
    // without another ratio they are still named
    record.ratios.clear();
    let text = generate(&Results::of("fabricated.json".as_ref(), record));
    assert!(text.contains("0 of 1 targets are met, 1 not measured.\n\nNot measured:\n\n- a large"));
    assert!(!text.contains("Missed"), "{text}");
}

#[test]
fn calls_without_declared_work_have_no_share() {
    let mut record = record(1);
    for row in record.cases.iter_mut().filter(|row| row.quantity == "Adam") {
        (row.flops, row.bytes) = (0.0, 0.0);
    }
    let text = generate(&Results::of("fabricated.json".as_ref(), record));
    assert!(!text.contains("Adam"), "{text}");
    assert!(text.contains("| batched Cholesky, `factor` |"), "{text}");
}

#[test]
fn the_options_of_a_run_are_those_of_the_command_line() {
    let mut options = Options {
        groups: vec![Group::Kron],
        dtypes: vec![Dtype::F64],
        threads: vec![2, 1],
        seconds: 0.25,
        longest: 4.0,
        quick: false,
        filter: Some("batch of".into()),
    };
    let words = "--threads 2,1 --dtype f64 --seconds 0.25 --longest 4 --filter \"batch of\"";
    assert_eq!(options.to_string(), words);
    (options.dtypes, options.filter) = (vec![Dtype::F32, Dtype::F64], None);
    assert_eq!(options.to_string(), "--threads 2,1 --seconds 0.25 --longest 4");
}

#[test]
fn many_quantities_stay_compact() {
    let mut many = record(1);
    let cases = many.cases.clone();
    for copy in 0..12 {
        many.cases.extend(cases.iter().cloned().map(|mut row| {
            row.quantity = format!("{} {copy}", row.quantity);
            row
        }));
    }
    let text = generate(&Results::of("fabricated.json".as_ref(), many));
    assert!(text.contains("quantities more are in the report"));
    assert!(text.contains("kernels between the best and the worst are in the report"));
    assert!(text.lines().count() <= 55, "{}", text.lines().count());
}

#[test]
fn writing_and_checking_agree() {
    let folder = scratch("readme");
    let readme = folder.join("README.md");
    let results = folder.join("results");
    std::fs::create_dir_all(&results).expect("makes the folder");
    std::fs::write(&readme, README).expect("writes");
    let run = |more: &[&str]| {
        let files = ["readme", "--results", argument(&results), "--file", argument(&readme)];
        outcome(&[files.as_slice(), more].concat())
    };
    // Without a record there is nothing to write.
    for more in [&["--check"][..], &[]] {
        let (status, text) = run(more);
        assert_eq!(status, 2, "{text}");
        assert!(text.contains("results: no record of a full run: measure one"), "{text}");
    }
    assert_eq!(std::fs::read_to_string(&readme).expect("reads"), README);

    save(&record(1_700_000_000), &results, "one.json");
    let mut quick = record(1_800_000_000);
    quick.run.quick = true;
    save(&quick, &results, "quick.json");
    let (status, text) = run(&["--check"]);
    assert_eq!(status, 1);
    assert!(text.contains("should have"), "{text}");
    assert_eq!(run(&[]).0, 0);
    assert_eq!(run(&["--check"]).0, 0);
    let text = std::fs::read_to_string(&readme).expect("reads");
    assert!(text.starts_with("# Title\n\nbefore\n\n<!-- performance:"), "{text}");
    assert!(text.ends_with("<!-- performance: end -->\n\nafter\n"), "{text}");
    assert!(text.contains("record `one.json`"), "a quick run is no result");

    // A figure that somebody polished.
    std::fs::write(&readme, text.replace("0.55", "0.75")).expect("writes");
    let (status, text) = run(&["--check"]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("0.75"), "{text}");
}

#[test]
fn a_readme_without_marks_is_refused() {
    for text in ["", "<!-- performance: x -->", "<!-- performance: end -->"] {
        assert!(Section::find(text).is_err(), "{text}");
    }
    assert!(Section::find(&README.repeat(2)).is_err());
    let folder = scratch("unmarked");
    let readme = folder.join("README.md");
    std::fs::write(&readme, "no marks").expect("writes");
    let arguments = ["readme", "--results", argument(&folder), "--file", argument(&readme)];
    let (status, text) = outcome(&arguments);
    assert_eq!(status, 2);
    assert!(text.contains("README.md: no first mark: write `<!-- performance:"), "{text}");
}
