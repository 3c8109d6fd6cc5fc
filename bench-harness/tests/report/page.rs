//! What the page says.

use quick_xml::Reader;
use quick_xml::events::Event;
use relfisher_bench::record::{Approach, Dtype, NotMeasured, Outcome, Record};
use relfisher_bench::report::folder::Results;
use relfisher_bench::report::summary::Summary;

use super::fabricated::{CPU, alter, gpu, record};
use super::{argument, outcome, save, scratch};

/// A folder of three runs and one of a GPU, beside a quick run and a record of another layout.
fn results(name: &str) -> std::path::PathBuf {
    let folder = scratch(name);
    let cpu = folder.join("cpu");
    std::fs::create_dir_all(&cpu).expect("makes the folder");
    let mut first = record(1_690_000_000);
    alter(&mut first, "Adam", |measured| measured.share = 0.5);
    first.run.commit = "aaaaaaaaaaaaaaaa".into();
    save(&first, &cpu, "z-first.json");
    let mut second = record(1_695_000_000);
    second.run.cpu = "An older fabricated processor".into();
    second.run.commit = "bbbbbbbbbbbbbbbb".into();
    save(&second, &cpu, "y-second.json");
    save(&record(1_700_000_000), &cpu, "a-newest.json");
    let mut quick = record(1_694_000_000);
    quick.run.quick = true;
    save(&quick, &cpu, "quick.json");
    let mut other = record(1_600_000_000);
    other.layout = 99;
    save(&other, &cpu, "other.json");
    std::fs::write(folder.join("gpu.json"), gpu().to_string()).expect("writes");
    folder
}

fn report(folder: &std::path::Path) -> (String, serde_json::Value) {
    let (page, json) = (folder.join("page.html"), folder.join("out").join("page.json"));
    std::fs::create_dir_all(folder.join("out")).expect("makes the folder");
    let (status, text) = outcome(&[
        "report",
        "--results",
        argument(folder),
        "--out",
        argument(&page),
        "--json",
        argument(&json),
    ]);
    assert_eq!(status, 0, "{text}");
    let json = std::fs::read_to_string(json).expect("the JSON was written");
    let page = std::fs::read_to_string(page).expect("the page was written");
    (page, serde_json::from_str(&json).expect("JSON"))
}

#[test]
fn the_page_is_whole_and_alone() {
    let (page, _) = report(&results("page"));
    for words in [
        "Fabricated &lt;processor&gt; &amp; test data",
        "2023-11-14 22:13 UTC",
        "0123456789abcdef0123456789abcdef01234567+",
        "5eed5eed",
        "rustc 0.0.0 (fabricated)",
        "2 of 3 targets are met",
        "class=\"missed\">missed</span>",
        "does not fit: 16.0 GiB",
        "f64 too slow: 24.4 s",
        "Fabricated device",
        "failed: vectors: fabricated failure",
        "other.json: layout 99, not 1",
        "The machine changed between runs",
        "a-newest.json",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains(CPU), "not escaped");
    assert!(!page.contains("A quick run"), "the newest is a full run");
    for words in ["<script", "<link", "src=", "url(", "@import"] {
        assert!(!page.contains(words), "{words} would need the network or a script");
    }
    let web = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!web.contains("http"), "an address");
    // two pictures for each of the two pairs, two of the GPU, shares, memory, and the history of four
    // quantities
    assert_eq!(page.matches("<svg ").count(), 2 * 2 + 2 + 1 + 1 + 4);
}

/// The picture whose words for readers who cannot see it begin so.
fn picture<'a>(page: &'a str, label: &str) -> &'a str {
    let from = page.find(&format!("aria-label=\"{label}")).expect(label);
    page[from..].split_once("</svg>").expect("an end").0
}

#[test]
fn the_gpu_stands_beside_the_same_quantities_of_the_cpu() {
    let (page, json) = report(&results("beside"));
    let rates = picture(&page, "rates of the GPU");
    for words in [
        "TFLOP/s, logarithmic",
        "Fabricated device",
        // 1e11 FLOP/s in f64 and 2e11 in f32 with two threads
        "0.10: product, order 2048, f64, 2 threads",
        "0.20: product, order 2048, f32, 2 threads",
        // decades from the CPU's least to above the GPU's largest
        ">\n0.1\n<",
        ">\n1000\n<",
    ] {
        assert!(rates.contains(words), "{words}\nis not in\n{rates}");
    }
    assert!(picture(&page, "traffic of the GPU").contains("nu tanh"));
    // no packed metric of these sizes was measured here
    let names = json["counterparts"].as_array().expect("a list").iter();
    let names: Vec<&str> = names.filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["gemm f64 4096", "gemm tf32x3 8192"]);
}

#[test]
fn a_call_that_was_too_slow_stands_at_its_bytes() {
    let folder = scratch("slow");
    save(&record(1), &folder, "only.json");
    let (page, _) = report(&folder);
    let label = "kron: damped solve: memory against width";
    assert!(picture(&page, label).contains("too slow: "));
    // an older record does not know them
    let folder = scratch("slow-before");
    let mut old = record(1);
    for row in &mut old.cases {
        if let Outcome::TooSlow { bytes, .. } = &mut row.outcome {
            *bytes = None;
        }
    }
    save(&old, &folder, "only.json");
    let (page, _) = report(&folder);
    let memory = picture(&page, label);
    assert!(!memory.contains("too slow: ") && memory.contains("does not fit: "), "{memory}");
}

#[test]
fn history_shows_the_largest_size_and_no_other_work() {
    let folder = scratch("largest");
    let mut first = record(1_690_000_000);
    for row in first.cases.iter_mut().filter(|row| row.quantity == "Adam") {
        row.bytes *= 2.0;
    }
    save(&first, &folder, "first.json");
    save(&record(1_700_000_000), &folder, "second.json");
    let (page, json) = report(&folder);
    assert!(page.contains("history of kron: damped solve, columns 64, width 2048"));
    assert!(!page.contains("history of kron: damped solve, columns 64, width 1024"));
    let cases = json["history"]["cases"].as_array().expect("a list");
    let of = |quantity: &str| {
        let own = cases.iter().find(|case| case[0]["quantity"] == quantity);
        own.expect(quantity)[1].as_array().expect("shares").clone()
    };
    assert!(of("Adam")[0].is_null() && of("Adam")[1].is_f64());
    assert!(of("damped solve")[0].is_f64());
}

#[test]
fn targets_that_were_not_measured_are_named() {
    let folder = scratch("not-measured");
    let mut record = record(1);
    let (dtype, why) = (Dtype::F32, "does not fit: 99.0 GiB".to_owned());
    record.not_measured = vec![NotMeasured { name: "a large one".into(), dtype, threads: 2, why }];
    save(&record, &folder, "only.json");
    let (page, _) = report(&folder);
    assert!(page.contains("2 of 4 targets are met, 1 not measured. Times"));
    assert!(page.contains("Not measured: a large one, f32, 2 threads: does not fit: 99.0 GiB."));
}

#[test]
fn every_element_is_closed() {
    let (page, _) = report(&results("closed"));
    let body = page.split_once("<body>").expect("a body").1;
    let body = format!("<body>{}", body.trim_end().trim_end_matches("</html>"));
    let mut reader = Reader::from_str(&body);
    let mut open = 0;
    loop {
        match reader.read_event().expect("elements that match") {
            Event::Start(_) => open += 1,
            Event::End(_) => open -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0);
}

#[test]
fn the_json_has_machine_versions_and_source_hash() {
    let (_, json) = report(&results("json"));
    assert_eq!(json["run"]["cpu"], CPU);
    assert_eq!(json["run"]["version"], "0.0.0");
    assert_eq!(json["run"]["source_hash"], "5eed".repeat(16));
    assert_eq!(json["ratios"][2]["met"], false);
    assert_eq!(json["file"], "a-newest.json");
    assert_eq!(json["gpu"][0]["device"], "Fabricated device");
    assert_eq!(json["gpu"][0]["memory"][0]["measured"], 49152.0);
}

#[test]
fn history_is_in_the_order_of_time() {
    let results = Results::read(&results("history")).expect("results");
    let summary = Summary::of(&results).expect("a record");
    let files: Vec<&str> = summary.history.runs.iter().map(|run| run.file.as_str()).collect();
    assert_eq!(files, ["z-first.json", "y-second.json", "a-newest.json"]);
    let adam = summary.history.cases.iter().find(|(case, _)| case.quantity == "Adam");
    let (_, shares) = adam.expect("Adam");
    assert_eq!(*shares, [Some(0.5), Some(0.93), Some(0.93)]);
    let structured =
        |(case, _): &(relfisher_bench::report::Key, _)| case.approach == Approach::Structured;
    assert!(summary.history.cases.iter().all(structured));
}

#[test]
fn one_run_has_no_history_and_no_gpu() {
    let folder = scratch("alone");
    save(&record(1), &folder, "only.json");
    let (page, _) = report(&folder);
    assert!(page.contains("There is only one full run in the folder"));
    assert!(page.contains("None was measured: the folder of results has no file of a GPU."));
    assert!(!page.contains("<h2>Left out</h2>"));
}

#[test]
fn a_quick_run_says_so() {
    let folder = scratch("quick");
    let mut quick = record(1);
    quick.run.quick = true;
    save(&quick, &folder, "quick.json");
    let (page, _) = report(&folder);
    assert!(page.contains("A quick run: small sizes, few rounds."));
}

#[test]
fn an_empty_record_has_a_page() {
    let folder = scratch("empty");
    let empty = Record { cases: vec![], growth: vec![], ratios: vec![], ..record(1) };
    save(&empty, &folder, "empty.json");
    let (page, _) = report(&folder);
    assert!(page.contains("No quantity of this run was computed both ways."));
}

#[test]
fn a_record_with_odd_numbers_has_a_page() {
    let folder = scratch("odd");
    let mut odd = record(1);
    odd.cases.truncate(2);
    for row in &mut odd.cases {
        row.x = 0;
        if let Outcome::Measured(measured) = &mut row.outcome {
            (measured.seconds, measured.share, measured.peak_bytes) = (0.0, 0.0, 0);
        }
    }
    save(&odd, &folder, "odd.json");
    report(&folder);
}

#[test]
fn what_is_no_result_is_refused() {
    let folder = scratch("foreign");
    assert_eq!(outcome(&["report", "--results", argument(&folder)]).0, 2);
    std::fs::write(folder.join("foreign.json"), "{\"rows\": 1, \"run\": {}}").expect("writes");
    let (status, text) = outcome(&["report", "--results", argument(&folder)]);
    assert_eq!(status, 2);
    assert!(text.contains("foreign.json: no device"), "{text}");
    std::fs::write(folder.join("foreign.json"), "{\"a\": 1}").expect("writes");
    let (status, text) = outcome(&["report", "--results", argument(&folder)]);
    assert_eq!(status, 2);
    assert!(text.contains("foreign.json: neither a record"), "{text}");
}
