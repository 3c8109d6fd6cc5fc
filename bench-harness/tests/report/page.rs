//! What the page says.

use quick_xml::Reader;
use quick_xml::events::Event;
use relfisher_bench::record::{Approach, Outcome, Record};
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
    // two pictures for each of the two pairs, GPU, shares, memory, and the history of four quantities
    assert_eq!(page.matches("<svg ").count(), 2 * 2 + 1 + 1 + 1 + 4);
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
