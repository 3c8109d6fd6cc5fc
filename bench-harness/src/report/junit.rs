//! A comparison as JUnit XML: a test case for each change.

use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::compare::{Aspect, Change, Comparison};

/// The XML text: `testsuites/testsuite/testcase[/failure]`, a suite for each aspect.
///
/// # Errors
/// None: writing to memory succeeds.
pub fn junit(comparison: &Comparison) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let count = |of: &dyn Fn(&Change) -> bool| {
        comparison.changes.iter().filter(|change| of(change)).count().to_string()
    };
    let failed = |change: &Change| change.failure.is_some();
    let (tests, failures) = (count(&|_| true), count(&failed));
    let suites = writer.create_element("testsuites").with_attributes([
        ("name", "relfisher-bench compare"),
        ("tests", tests.as_str()),
        ("failures", failures.as_str()),
    ]);
    suites.write_inner_content(|writer| {
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
    let case = writer
        .create_element("testcase")
        .with_attributes([("classname", class.as_str()), ("name", change.name.as_str())]);
    case.write_inner_content(|writer| {
        if let Some(failure) = &change.failure {
            let element = writer.create_element("failure");
            element.with_attribute(("message", failure.as_str())).write_empty()?;
        }
        let number = |value| change.aspect.number(value);
        let text = format!("before {}, now {}", number(change.before), number(change.now));
        writer.create_element("system-out").write_text_content(BytesText::new(&text))?;
        Ok(())
    })
    .map(drop)
}
