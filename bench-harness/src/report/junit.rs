//! A comparison as JUnit XML: a test case for each change.

use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;
use relfisher_accuracy::junit::characters;

use super::compare::{Aspect, Change, Comparison};

/// The XML text: `testsuites/testsuite/testcase[/failure]`, a suite for each aspect. That nothing was
/// compared is a failure of a suite of its own.
///
/// # Errors
/// None: writing to memory succeeds.
pub fn junit(comparison: &Comparison) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let count = |of: &dyn Fn(&Change) -> bool| {
        comparison.changes.iter().filter(|change| of(change)).count().to_string()
    };
    let failed = |change: &Change| change.failure.is_some();
    let nothing = comparison.nothing();
    let (mut tests, mut failures) = (count(&|_| true), count(&failed));
    if nothing.is_some() {
        (tests, failures) = ("1".to_owned(), "1".to_owned());
    }
    let suites = writer.create_element("testsuites").with_attributes([
        ("name", "relfisher-bench compare"),
        ("tests", tests.as_str()),
        ("failures", failures.as_str()),
    ]);
    suites.write_inner_content(|writer| {
        if let Some(nothing) = nothing {
            let suite = writer.create_element("testsuite").with_attributes([
                ("name", "comparison"),
                ("tests", "1"),
                ("failures", "1"),
                ("errors", "0"),
            ]);
            suite.write_inner_content(|writer| {
                let names = [("classname", "relfisher.bench"), ("name", "comparison")];
                let case = writer.create_element("testcase").with_attributes(names);
                case.write_inner_content(|writer| failure(writer, nothing)).map(drop)
            })?;
        }
        for aspect in [Aspect::Share, Aspect::Memory, Aspect::Ratio] {
            let own = |change: &Change| change.aspect == aspect;
            let (tests, failures) = (count(&own), count(&|change| own(change) && failed(change)));
            let suite = writer.create_element("testsuite").with_attributes([
                ("name", aspect.name()),
                ("tests", tests.as_str()),
                ("failures", failures.as_str()),
                ("errors", "0"),
            ]);
            suite.write_inner_content(|writer| {
                let mut changes = comparison.changes.iter().filter(|change| own(change));
                changes.try_for_each(|change| test_case(writer, change))
            })?;
        }
        Ok(())
    })?;
    let text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}\n"))
}

fn test_case(writer: &mut Writer<Vec<u8>>, change: &Change) -> io::Result<()> {
    let class = format!("relfisher.bench.{}", change.aspect.name());
    let name = characters(&change.name);
    let case = writer
        .create_element("testcase")
        .with_attributes([("classname", class.as_str()), ("name", name.as_ref())]);
    case.write_inner_content(|writer| {
        if let Some(message) = &change.failure {
            failure(writer, message)?;
        }
        let number = |value| change.aspect.number(value);
        let text = format!("before {}, now {}", number(change.before), number(change.now));
        writer.create_element("system-out").write_text_content(BytesText::new(&text))?;
        Ok(())
    })
    .map(drop)
}

fn failure(writer: &mut Writer<Vec<u8>>, message: &str) -> io::Result<()> {
    let message = characters(message);
    let element = writer.create_element("failure");
    element.with_attribute(("message", message.as_ref())).write_empty().map(drop)
}
