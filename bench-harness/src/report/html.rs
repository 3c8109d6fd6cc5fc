//! Pieces of HTML.

use quick_xml::escape::escape;

/// Text as HTML.
pub(super) fn text(text: &str) -> String {
    escape(text).into_owned()
}

/// A table. Cells are HTML already; those of the columns in `numbers` stand on the right.
pub(super) struct Table {
    heads: Vec<&'static str>,
    numbers: fn(usize) -> bool,
    body: String,
}

impl Table {
    /// Without rows.
    pub(super) fn new(heads: &[&'static str], numbers: fn(usize) -> bool) -> Self {
        Self { heads: heads.to_vec(), numbers, body: String::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: &[String]) {
        self.body.push_str("<tr>");
        for (i, cell) in cells.iter().enumerate() {
            let class = if (self.numbers)(i) { " class=\"n\"" } else { "" };
            self.body.push_str(&format!("<td{class}>{cell}</td>"));
        }
        self.body.push_str("</tr>\n");
    }

    /// The table, in a frame that scrolls where the page is narrow.
    pub(super) fn html(&self) -> String {
        let mut head = String::new();
        for (i, name) in self.heads.iter().enumerate() {
            let class = if (self.numbers)(i) { " class=\"n\"" } else { "" };
            head.push_str(&format!("<th{class}>{}</th>", text(name)));
        }
        let body = &self.body;
        format!(
            "<div class=\"scroll\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
        )
    }
}

/// A picture; `words` say what a reader who cannot see it would miss.
pub(super) fn figure(svg: &str, words: &str) -> String {
    let label = text(words);
    let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1);
    format!("<figure class=\"scroll\">{svg}</figure>\n")
}

/// A part of the page that is opened by a click.
pub(super) fn details(summary: &str, inner: &str) -> String {
    format!("<details><summary>{}</summary>\n{inner}</details>\n", text(summary))
}

/// A paragraph of plain text.
pub(super) fn paragraph(words: &str) -> String {
    format!("<p>{}</p>\n", text(words))
}
