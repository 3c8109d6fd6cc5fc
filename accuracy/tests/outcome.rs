//! The table, the baseline and the XML for outcomes that no right engine has.

use relfisher_accuracy::baseline::{Baseline, Scope};
use relfisher_accuracy::junit::junit;
use relfisher_accuracy::ladder::{Ladder, compare, rows};
use relfisher_accuracy::table::{Key, Table};
use relfisher_accuracy::{Answer, Dtype, Unit};

fn key(quantity: &str) -> Key {
    Key {
        source: "ladder".into(),
        quantity: quantity.into(),
        dtype: Dtype::F64,
        device: "cpu".into(),
    }
}

fn table(answer: Answer) -> Table {
    let mut table = Table::default();
    table.add(&key(""), "", answer);
    table
}

fn scope() -> Scope {
    Scope {
        sources: vec!["ladder".into()],
        quantities: Vec::new(),
        dtypes: vec![Dtype::F64],
        device: "cpu".into(),
        cases: Vec::new(),
    }
}

#[test]
fn every_row_of_the_ladder_matters() {
    let ladder = Ladder::new();
    let all = |_: &str| true;
    let answer = compare(&ladder, &ladder.expected, Dtype::F64, &all);
    assert_eq!(table(answer).failures().len(), 0);
    let names: Vec<String> = rows(&ladder).map(str::to_owned).collect();
    assert_eq!(
        names.len(),
        8 + 8 + 1 + 8 + 2 + 2 + 1 + 2 + 2 + 8 + 6 + 11 + 16 + 5 + 3 + 8 + 6,
        "{names:?}"
    );
    for name in names {
        let failing = |change: &dyn Fn(&mut relfisher_accuracy::tensors::Tensor)| {
            let mut out = ladder.expected.clone();
            change(out.0.get_mut(&name).expect("a tensor"));
            let table = table(compare(&ladder, &out, Dtype::F64, &all));
            let failures = table.failures();
            assert!(!failures.is_empty(), "{name} passes");
            assert!(failures.iter().all(|f| f.to_string().contains(&name)), "{failures:?}");
        };
        // The largest element by a millionth of itself; no number; another shape; missing.
        failing(&|tensor| {
            let at = |k: &usize| tensor.data[*k].abs();
            let k =
                (0..tensor.data.len()).max_by(|i, j| at(i).total_cmp(&at(j))).expect("elements");
            tensor.data[k] *= 1.0 + 1e-6;
        });
        failing(&|tensor| tensor.data[0] = f64::NAN);
        failing(&|tensor| tensor.data[0] = f64::INFINITY);
        failing(&|tensor| tensor.shape.push(1));
        let mut out = ladder.expected.clone();
        out.0.remove(&name);
        let failures = table(compare(&ladder, &out, Dtype::F64, &all)).failures();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(failures[0].key, key(&name));
    }
}

#[test]
fn eigenvectors_may_have_either_sign() {
    let ladder = Ladder::new();
    let mut out = ladder.expected.clone();
    let q = out.0.get_mut("factor.eigenvectors").expect("a tensor");
    q.data.iter_mut().skip(2).step_by(8).for_each(|x| *x = -*x);
    let answer = compare(&ladder, &out, Dtype::F64, &|row| row == "factor.eigenvectors");
    assert!(table(answer).failures().is_empty());
}

#[test]
fn nothing_compared_is_a_failure() {
    assert_eq!(Table::default().failures().len(), 1);
    let ladder = Ladder::new();
    let answer = compare(&ladder, &ladder.expected, Dtype::F64, &|_| false);
    assert_eq!(table(answer).failures().len(), 1);
}

#[test]
fn an_infinite_error_is_no_baseline() {
    let ladder = Ladder::new();
    let mut out = ladder.expected.clone();
    out.0.remove("nu.tanh");
    let mut table = table(compare(&ladder, &out, Dtype::F64, &|row| row.starts_with("nu.")));
    let machine = ("0", serde_json::Value::Null);
    let broken = Baseline::updated(None, &table, &scope(), machine);
    assert!(broken.to_text().expect_err("infinite").contains("nu.tanh"));
    broken.gate(&mut table, &scope());
    assert!(table.failed(&key("nu.tanh")));
}

#[test]
fn a_baseline_survives_its_file() {
    let ladder = Ladder::new();
    let all = |_: &str| true;
    let table = table(compare(&ladder, &ladder.expected, Dtype::F64, &all));
    let machine = ("1.2.3", serde_json::json!({"cpu": "a \"name\"", "threads": 4}));
    let baseline = Baseline::updated(None, &table, &scope(), machine);
    let text = baseline.to_text().expect("finite");
    assert_eq!(Baseline::parse(&text).expect("a baseline"), baseline);
    assert_eq!(text.lines().count(), 9 + baseline.errors.len(), "one line for each row: {text}");
    let known = |name: &str| baseline.errors.iter().find(|known| known.quantity == name);
    assert_eq!(known("nu.tanh").map(|known| (known.unit, known.limit())), Some((Unit::Ulp, 1.0)));
    let twice = text.replacen("\"quantity\":\"nu.tanh\"", "\"quantity\":\"nu.sigm\"", 1);
    assert!(Baseline::parse(&twice).expect_err("twice").1.contains("twice"));
}

#[test]
fn rows_of_the_ladder_leave_the_golden_cases_alone() {
    let ladder = Ladder::new();
    let table = table(compare(&ladder, &ladder.expected, Dtype::F64, &|_| true));
    let machine = || ("1", serde_json::Value::Null);
    let with = |cases: &[&str]| Scope {
        sources: vec!["ladder".into(), "golden".into()],
        cases: cases.iter().map(|name| (*name).to_owned()).collect(),
        ..scope()
    };
    let old = Baseline::updated(None, &table, &with(&["a", "b"]), machine());
    let new = Baseline::updated(Some(&old), &table, &with(&["c"]), machine());
    assert_eq!(new.cases, ["a", "b"], "no row of the run is about case c");
}

#[test]
fn messages_with_marks_are_escaped_in_xml() {
    let mut table = Table::default();
    let text = "a < b & \"c\" > 'd'\u{e9}";
    table.problem(&key(""), text.into());
    table.problem(&key("nu.tanh"), text.into());
    let xml = junit(&table).expect("text");
    let mut reader = quick_xml::Reader::from_str(&xml);
    let (mut messages, mut names) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().expect("well-formed") {
            quick_xml::events::Event::Start(e) | quick_xml::events::Event::Empty(e) => {
                for attribute in e.attributes().map(|a| a.expect("an attribute")) {
                    let value = quick_xml::escape::unescape(&attribute.value).expect("escaped");
                    match attribute.key.as_ref() {
                        "message" => messages.push(value.into_owned()),
                        "name" => names.push(value.into_owned()),
                        _ => {}
                    }
                }
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(messages, [text, text]);
    assert_eq!(names, ["relfisher accuracy", "ladder", "problem", "nu.tanh"]);
}

#[test]
fn characters_that_xml_has_not_are_replaced() {
    let mut table = Table::default();
    table.problem(&key("nu.\u{1b}tanh"), "a\u{0}b\u{8}c\u{b}d\u{ffff}e\tf".into());
    let xml = junit(&table).expect("text");
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    assert_eq!(xml.chars().find(|c| !allowed(*c)), None, "{xml:?}");
    assert!(xml.contains("a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"), "{xml:?}");
    assert!(xml.contains("nu.\u{fffd}tanh"), "{xml:?}");
}

#[test]
fn another_machine_and_what_an_update_raises_are_named() {
    let ladder = Ladder::new();
    let exact = table(compare(&ladder, &ladder.expected, Dtype::F64, &|row| row == "nu.tanh"));
    let machine = |cpu: &str, threads: usize| serde_json::json!({"cpu": cpu, "simd": ["avx"], "arch": "a", "os": "o", "threads": threads});
    let old = Baseline::updated(None, &exact, &scope(), ("1", machine("one", 2)));
    assert_eq!(old.differences("1", &machine("one", 4)), [""; 0]);
    let lines = old.differences("2", &machine("other", 2));
    let words = ["version: 2, the baseline's: 1", "processor: other, the baseline's: one"];
    assert_eq!(lines, words);

    assert_eq!(old.grown(&exact), [""; 0]);
    let mut moved = ladder.expected.clone();
    let tensor = moved.0.get_mut("nu.tanh").expect("a tensor");
    tensor.data[3] += 2.0 * Dtype::F64.ulp(tensor.data[3]);
    let moved = table(compare(&ladder, &moved, Dtype::F64, &|row| row == "nu.tanh"));
    let grown = old.grown(&moved);
    assert_eq!(grown.len(), 1, "{grown:?}");
    assert!(grown[0].starts_with("grew: ladder nu.tanh f64: from 0.00 to 2.00"), "{grown:?}");
}
