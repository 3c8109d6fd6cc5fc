//! What closes the gate, and what does not.

use relfisher_bench::record::{Approach, NotMeasured, Outcome};
use relfisher_bench::report::compare::{Aspect, BAND, Change, MEMORY_FLOOR, compare};
use relfisher_bench::report::junit::junit;

use super::fabricated::{alter, record};
use super::{argument, outcome, save, scratch};

#[test]
fn committed_sizes_name_every_study() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["sizes.toml", "gate.toml"] {
        let sizes = relfisher_bench::sizes::read(&folder.join(file)).expect(file);
        let of = relfisher_bench::studies::of::<f32>;
        for group in relfisher_bench::case::Group::ALL {
            assert!(!of(&[group], &sizes, 1).is_empty(), "{file}: {group}");
        }
    }
}

#[test]
fn the_same_record_passes() {
    let old = record(1);
    let comparison = compare(&record(2), &old, BAND);
    assert!(comparison.passed());
    let measured = old
        .cases
        .iter()
        .filter(|row| matches!(row.outcome, relfisher_bench::record::Outcome::Measured(_)));
    // A share and a number of bytes for each case, and the ratios.
    assert_eq!(comparison.changes.len(), 2 * measured.count() + old.ratios.len());
    assert!(comparison.vanished.is_empty() && comparison.new.is_empty());
    assert!(comparison.machine.is_empty());
}

#[test]
fn a_slower_kernel_fails_and_noise_does_not() {
    for (factor, passes) in [(0.5, false), (0.74, false), (0.76, true), (1.5, true)] {
        let mut slow = record(2);
        alter(&mut slow, "Adam", |measured| measured.share *= factor);
        let comparison = compare(&slow, &record(1), BAND);
        assert_eq!(comparison.passed(), passes, "{factor}");
        let first = &comparison.changes[0];
        if !passes {
            assert_eq!(first.aspect, Aspect::Share);
            assert!(first.name.contains("Adam"), "{}", first.name);
            assert!((first.worse - (1.0 - factor)).abs() < 1e-12);
        }
    }
}

#[test]
fn a_slower_machine_alone_passes() {
    let mut slow = record(2);
    for row in &mut slow.cases {
        if let relfisher_bench::record::Outcome::Measured(measured) = &mut row.outcome {
            measured.seconds *= 3.0;
            measured.median *= 3.0;
        }
    }
    assert!(compare(&slow, &record(1), BAND).passed());
}

#[test]
fn memory_may_not_grow() {
    let grown = |bytes: u64| {
        let mut fat = record(2);
        alter(&mut fat, "Adam", |measured| measured.peak_bytes += bytes);
        compare(&fat, &record(1), BAND)
    };
    assert!(grown(MEMORY_FLOOR).passed());
    let comparison = grown(MEMORY_FLOOR + 1);
    let failures: Vec<&Change> = comparison.failures().collect();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].aspect, Aspect::Memory);
}

#[test]
fn a_ratio_may_not_leave_its_target() {
    let with = |at: usize, value: f64| {
        let mut new = record(2);
        new.ratios[at].value = value;
        compare(&new, &record(1), BAND).passed()
    };
    // at least 0.85, less a quarter; at most 1.6, and a quarter
    assert!(with(0, 0.64) && !with(0, 0.63));
    assert!(with(1, 1.99) && !with(1, 2.01));
    // it missed its target before, by 0.55: it may not miss it by a quarter more
    assert!(with(2, 0.42) && !with(2, 0.41) && !with(2, f64::NAN));
    // it has none
    assert!(with(3, 100.0));
}

#[test]
fn a_missed_upper_bound_may_not_grow() {
    let with = |value: f64| {
        let (mut old, mut new) = (record(1), record(2));
        (old.ratios[1].value, new.ratios[1].value) = (2.0, value);
        compare(&new, &old, BAND).passed()
    };
    assert!(with(2.49) && !with(2.51));
}

#[test]
fn nothing_compared_is_no_pass() {
    let mut other = record(2);
    other.cases.iter_mut().for_each(|row| row.threads += 2);
    other.ratios.clear();
    let comparison = compare(&other, &record(1), BAND);
    assert!(!comparison.passed());
    let text = comparison.to_string();
    assert!(
        text.contains("nothing was compared: the two records have no case in common"),
        "{text}"
    );
    let xml = junit(&comparison).expect("memory");
    assert!(xml.contains("tests=\"1\" failures=\"1\""), "{xml}");
    assert_eq!(xml.matches("<failure message=\"nothing was compared").count(), 1, "{xml}");
}

#[test]
fn what_was_asked_for_and_not_tried_fails() {
    let mut slow = record(2);
    let row = slow.cases.iter_mut().find(|row| row.quantity == "Adam").expect("a row");
    row.outcome = Outcome::TooSlow { seconds: 12.0, bytes: None };
    let lost = slow.ratios.remove(0);
    slow.not_measured.push(NotMeasured {
        name: lost.name.clone(),
        dtype: lost.dtype,
        threads: lost.threads,
        why: "does not fit: 3 GiB".into(),
    });
    let comparison = compare(&slow, &record(1), BAND);
    let failures: Vec<&Change> = comparison.failures().collect();
    assert_eq!(failures.len(), 2, "{comparison}");
    let why = |k: usize| failures[k].failure.clone().unwrap_or_default();
    assert!(failures.iter().any(|change| change.name.contains("Adam")), "{comparison}");
    assert!(failures.iter().any(|change| change.name.starts_with(&lost.name)), "{comparison}");
    let whys = [why(0), why(1)].concat();
    assert!(whys.contains("too slow: 12.0 s") && whys.contains("does not fit: 3 GiB"), "{whys}");
    assert_eq!(comparison.vanished, [""; 0]);
}

#[test]
fn what_comes_and_goes_is_named() {
    let (mut old, mut new) = (record(1), record(2));
    old.cases.retain(|row| row.approach != Approach::Loop);
    new.cases.retain(|row| row.quantity != "Adam");
    new.ratios.pop();
    new.run.cpu = "Another fabricated processor".into();
    let comparison = compare(&new, &old, BAND);
    assert!(comparison.passed());
    assert!(comparison.vanished.iter().any(|name| name.contains("Adam")));
    assert!(comparison.vanished.iter().any(|name| name.contains("for the record")));
    assert!(comparison.new.iter().all(|name| name.contains("loop")) && !comparison.new.is_empty());
    let text = comparison.to_string();
    assert!(text.contains("another machine: processor: Another fabricated processor"), "{text}");
}

#[test]
fn the_program_tells_by_its_exit_status() {
    let folder = scratch("gate");
    let old = save(&record(1), &folder, "old.json");
    let same = save(&record(2), &folder, "same.json");
    let mut slow = record(3);
    alter(&mut slow, "damped solve", |measured| measured.share *= 0.4);
    let slow = save(&slow, &folder, "slow.json");
    let baseline = ["--baseline", argument(&old)];
    let compared = |record: &std::path::Path, more: &[&str]| {
        outcome(&[["compare", argument(record)].as_slice(), &baseline, more].concat())
    };
    let (status, text) = compared(&same, &[]);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("0 beyond the band of 25 %"), "{text}");

    let xml = folder.join("out.xml");
    let (status, text) = compared(&slow, &["--junit", argument(&xml)]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("FAIL, the share of the ceiling fell below"), "{text}");
    let xml = std::fs::read_to_string(&xml).expect("the XML was written");
    assert!(xml.contains("<failure message=\"the share of the ceiling fell below"), "{xml}");

    // The part that fell is 0.6.
    assert_eq!(compared(&slow, &["--band", "0.65"]).0, 0);
    assert_eq!(compared(&slow, &["--band", "1.5"]).0, 2);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = scratch("refused");
    let old = save(&record(1), &folder, "old.json");
    let mut quick = record(2);
    quick.run.quick = true;
    let quick = save(&quick, &folder, "quick.json");
    let mut other = record(2);
    other.layout = 99;
    let other = save(&other, &folder, "other.json");
    let mut disturbed = record(2);
    alter(&mut disturbed, "damped solve", |measured| measured.share = 5.0);
    let disturbed = save(&disturbed, &folder, "disturbed.json");
    let mut twice = record(2);
    twice.cases.push(twice.cases[0].clone());
    assert!(twice.write(&folder.join("twice.json")).expect_err("twice").contains("stands twice"));
    let twice = {
        let path = folder.join("twice.json");
        let text = serde_json::to_string(&twice).expect("JSON");
        std::fs::write(&path, text).expect("writes");
        path
    };
    let cases = [
        (&disturbed, &old, "disturbed.json: a share of 5.00 of kron: damped solve, structured"),
        (&old, &disturbed, "measure again on a quiet machine"),
        (&twice, &old, "twice.json: the case kron: damped solve, structured"),
        (&old, &twice, "stands twice: measure again"),
        (&quick, &old, "quick.json: a quick run"),
        (&old, &quick, "quick.json: a quick run"),
        (&other, &old, "other.json: layout 99"),
        (&old, &folder.join("none.json"), "none.json: "),
    ];
    for (record, baseline, words) in cases {
        let arguments = ["compare", argument(record), "--baseline", argument(baseline)];
        let (status, text) = outcome(&arguments);
        assert_eq!(status, 2, "{text}");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn the_xml_counts_as_the_comparison_does() {
    let mut slow = record(2);
    alter(&mut slow, "Adam", |measured| measured.share *= 0.5);
    let comparison = compare(&slow, &record(1), BAND);
    let xml = junit(&comparison).expect("memory");
    assert_eq!(xml.matches("<testcase").count(), comparison.changes.len());
    assert_eq!(xml.matches("<failure").count(), 1);
    assert!(xml.contains("failures=\"1\""), "{xml}");
}
