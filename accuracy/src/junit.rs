//! The outcome as JUnit XML: a suite for each source, a test case for each row.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use crate::table::{Failure, Key, Row, Table};

/// The text with U+FFFD in the place of what XML 1.0 has no way to write: control characters other than
/// tab and line ends, U+FFFE and U+FFFF.
///
/// ```
/// use relfisher_accuracy::junit::characters;
/// assert_eq!(characters("a\tb"), "a\tb");
/// assert_eq!(characters("a\u{0}b\u{1b}"), "a\u{fffd}b\u{fffd}");
/// ```
pub fn characters(text: &str) -> Cow<'_, str> {
    let forbidden = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    if text.contains(forbidden) {
        Cow::Owned(text.replace(forbidden, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The XML text: `testsuites/testsuite/testcase[/failure]`. A failure outside of a row is a test case
/// of its own, named `problem`.
///
/// # Errors
/// None: writing to memory succeeds.
pub fn junit(table: &Table) -> io::Result<String> {
    let failures = table.failures();
    let keys: BTreeSet<&Key> =
        table.rows().map(|row| &row.key).chain(failures.iter().map(|f| &f.key)).collect();
    let sources: BTreeSet<&str> = keys.iter().map(|key| key.source.as_str()).collect();
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let failed = |key: &Key| failures.iter().any(|failure| failure.key == *key);
    let count = |of: &dyn Fn(&Key) -> bool| keys.iter().filter(|key| of(key)).count().to_string();
    let all = [("tests", count(&|_| true)), ("failures", count(&failed))];
    let suites = writer.create_element("testsuites").with_attribute(("name", "relfisher accuracy"));
    let suites = suites.with_attributes(all.iter().map(|(name, n)| (*name, n.as_str())));
    suites.write_inner_content(|writer| {
        for source in sources {
            let tests = count(&|key| key.source == source);
            let bad = count(&|key| key.source == source && failed(key));
            let suite = writer.create_element("testsuite").with_attributes([
                ("name", source),
                ("tests", &tests),
                ("failures", &bad),
                ("errors", "0"),
            ]);
            suite.write_inner_content(|writer| {
                keys.iter().filter(|key| key.source == source).try_for_each(|key| {
                    let own = failures.iter().filter(|failure| failure.key == **key);
                    test_case(writer, key, table.row(key), &own.collect::<Vec<_>>())
                })
            })?;
        }
        Ok(())
    })?;
    let text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}\n"))
}

fn test_case(
    writer: &mut Writer<Vec<u8>>,
    key: &Key,
    row: Option<&Row>,
    failures: &[&Failure],
) -> io::Result<()> {
    let Key { source, quantity, dtype, device } = key;
    let class = format!("relfisher.accuracy.{source}.{}.{device}", dtype.name());
    let name = characters(if quantity.is_empty() { "problem" } else { quantity });
    let class = characters(&class);
    let case = writer
        .create_element("testcase")
        .with_attributes([("classname", class.as_ref()), ("name", name.as_ref())]);
    if failures.is_empty() && row.is_none() {
        return case.write_empty().map(drop);
    }
    case.write_inner_content(|writer| {
        for failure in failures {
            let element = writer.create_element("failure");
            let message = characters(&failure.message);
            element.with_attribute(("message", message.as_ref())).write_empty()?;
        }
        if let Some(row) = row {
            let text = format!("worst {:e} at {}", row.worst, row.place);
            let text = BytesText::new(&characters(&text)).into_owned();
            writer.create_element("system-out").write_text_content(text)?;
        }
        Ok(())
    })
    .map(drop)
}
