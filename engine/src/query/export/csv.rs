//! One row of CSV (RFC 4180), which a spreadsheet may be given.
//!
//! Names come from probes, and a spreadsheet takes a text that begins with `=`, `+`, `-` or `@` for
//! a formula that may run programs. Such a text gets an apostrophe in front; a reader that needs the
//! exact name takes it away. Numbers are ours and stay as they are.

use fiber_contract::UnixMicros;
use std::fmt::Write as _;

#[derive(Debug, Default)]
pub(super) struct Line<'o> {
    out: Option<&'o mut String>,
    is_first: bool,
}

impl<'o> Line<'o> {
    pub(super) fn new(out: &'o mut String) -> Self {
        Self {
            out: Some(out),
            is_first: true,
        }
    }

    fn field(&mut self) -> &mut String {
        let out = self.out.as_mut().expect("a line is written once");
        if !std::mem::take(&mut self.is_first) {
            out.push(',');
        }
        out
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let guarded = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        let quoted = text.contains(['"', ',', '\r', '\n']) || guarded;
        let out = self.field();
        if !quoted {
            out.push_str(text);
            return self;
        }
        out.push('"');
        if guarded {
            out.push('\'');
        }
        for part in text.split_inclusive('"') {
            out.push_str(part);
            if part.ends_with('"') {
                out.push('"');
            }
        }
        out.push('"');
        self
    }

    pub(super) fn time(&mut self, time: UnixMicros) -> &mut Self {
        let _infallible = write!(self.field(), "{time}");
        self
    }

    pub(super) fn whole(&mut self, number: i64) -> &mut Self {
        let _infallible = write!(self.field(), "{number}");
        self
    }

    /// Empty where there is none.
    pub(super) fn number(&mut self, number: Option<f32>) -> &mut Self {
        let out = self.field();
        if let Some(number) = number {
            let _infallible = write!(out, "{number}");
        }
        self
    }

    pub(super) fn end(&mut self) {
        if let Some(out) = self.out.take() {
            out.push_str("\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(texts: &[&str]) -> String {
        let mut out = String::new();
        let mut line = Line::new(&mut out);
        for text in texts {
            line.text(text);
        }
        line.end();
        out
    }

    #[test]
    fn what_has_a_meaning_is_quoted_and_formulas_are_defused() {
        for (text, expect) in [
            ("accra-01", "accra-01"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("-2", "\"'-2\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("+cmd|' /C calc'!A0", "\"'+cmd|' /C calc'!A0\""),
            ("\t=1", "\"'\t=1\""),
            ("=\"x\"", "\"'=\"\"x\"\"\""),
        ] {
            assert_eq!(line(&[text]), format!("{expect}\r\n"), "{text:?}");
        }
        assert_eq!(line(&["a", "b,", "c"]), "a,\"b,\",c\r\n");
    }

    #[test]
    fn numbers_and_their_absence() {
        let mut out = String::new();
        let mut line = Line::new(&mut out);
        line.time(UnixMicros(0))
            .whole(-1)
            .number(Some(12.5))
            .number(None)
            .end();
        assert_eq!(out, "1970-01-01T00:00:00Z,-1,12.5,\r\n");
    }

    /// A reader of RFC 4180, as small as the grammar.
    fn read(text: &str) -> Vec<String> {
        let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
        let mut chars = text.strip_suffix("\r\n").unwrap().chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    field.push('"');
                    chars.next();
                }
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(std::mem::take(&mut field)),
                char => field.push(char),
            }
        }
        fields.push(field);
        fields
    }

    proptest! {
        #[test]
        fn every_text_reads_back_and_none_begins_a_formula(
            texts in proptest::collection::vec("[-=+@,\"'\r\n\ta-z]{0,6}|\\PC{0,6}", 1..5)
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let fields = read(&line(&texts));
            prop_assert_eq!(fields.len(), texts.len());
            for (field, text) in fields.iter().zip(texts) {
                prop_assert!(!field.starts_with(['=', '+', '-', '@']));
                let guarded = ["'", text].concat();
                prop_assert!(*field == text || *field == guarded);
            }
        }
    }
}
