//! JSON as a tree, and values read out of it.
//!
//! Own code, because a decoder that is generated anew for every type weighs more than the charts do:
//! here the reader is there once, and a type adds a line per field. What the engine writes with the
//! same structs is read back in the tests, so the two cannot disagree about a field.

use std::borrow::Cow;

use fiber_contract::UnixMicros;

/// The engine's answers are six levels deep; a hostile one must not use up the stack.
const DEPTH_MAX: u32 = 32;

/// What could not be read: the name of a field, or what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bad(pub(crate) &'static str);

const SYNTAX: Bad = Bad("JSON");

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    /// As written: how it is read depends on the field.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// A value that can be read.
pub(crate) trait Read: Sized {
    fn read(json: &Json<'_>) -> Result<Self, Bad>;
}

pub(crate) fn from_text<T: Read>(text: &str) -> Result<T, Bad> {
    T::read(&Json::parse(text)?)
}

/// How to read a struct: every field by its own name. Those after `or_default` may be missing.
macro_rules! read_object {
    ($type:ty { $($field:ident),* $(,)? } $(or_default { $($late:ident),* $(,)? })?) => {
        impl $crate::api::json::Read for $type {
            fn read(json: &$crate::api::json::Json<'_>) -> Result<Self, $crate::api::json::Bad> {
                Ok(Self {
                    $($field: json.field(stringify!($field))?,)*
                    $($($late: json.field_or_default(stringify!($late))?,)*)?
                })
            }
        }
    };
}
pub(crate) use read_object;

impl<'a> Json<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Bad> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.skip_space();
        if parser.at == text.len() {
            Ok(value)
        } else {
            Err(SYNTAX)
        }
    }

    pub(crate) fn get(&self, name: &str) -> &Json<'a> {
        let found = match self {
            Self::Object(fields) => fields.iter().find(|(key, _)| key == name),
            _ => None,
        };
        found.map_or(&Self::Null, |(_, value)| value)
    }

    pub(crate) fn field<T: Read>(&self, name: &'static str) -> Result<T, Bad> {
        T::read(self.get(name)).map_err(|_| Bad(name))
    }

    pub(crate) fn field_or_default<T: Read + Default>(&self, name: &'static str) -> Result<T, Bad> {
        match self.get(name) {
            Self::Null => Ok(T::default()),
            value => T::read(value).map_err(|_| Bad(name)),
        }
    }

    pub(crate) fn text(&self) -> Result<&str, Bad> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Bad("a text")),
        }
    }

    pub(crate) fn number(&self) -> Result<f64, Bad> {
        match self {
            Self::Number(text) => number(text).ok_or(Bad("a number")),
            _ => Err(Bad("a number")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Bad> {
        self.skip_space();
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(SYNTAX)
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Bad> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(SYNTAX)
        }
    }

    fn value(&mut self, depth: u32) -> Result<Json<'a>, Bad> {
        if depth > DEPTH_MAX {
            return Err(SYNTAX);
        }
        self.skip_space();
        match self.peek() {
            Some(b'n') => self.word("null", Json::Null),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'[') => {
                let mut items = Vec::new();
                self.items(b']', |parser| {
                    items.push(parser.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Json::List(items))
            }
            Some(b'{') => {
                let mut fields = Vec::new();
                self.items(b'}', |parser| {
                    parser.skip_space();
                    let key = parser.string()?;
                    parser.take(b':')?;
                    fields.push((key, parser.value(depth + 1)?));
                    Ok(())
                })?;
                Ok(Json::Object(fields))
            }
            _ => self.digits(),
        }
    }

    /// What stands between the brackets, with commas in between.
    fn items(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Bad>,
    ) -> Result<(), Bad> {
        self.at += 1;
        if self.take(close).is_ok() {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take(close).is_ok() {
                return Ok(());
            }
            self.take(b',')?;
        }
    }

    fn digits(&mut self) -> Result<Json<'a>, Bad> {
        let start = self.at;
        while let Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') = self.peek() {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        number(text).map(|_| Json::Number(text)).ok_or(SYNTAX)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Bad> {
        if self.peek() != Some(b'"') {
            return Err(SYNTAX);
        }
        self.at += 1;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut from = start;
        loop {
            let byte = self.peek().ok_or(SYNTAX)?;
            match byte {
                b'"' | b'\\' => {
                    let part = self.text.get(from..self.at).ok_or(SYNTAX)?;
                    self.at += 1;
                    if byte == b'"' {
                        return Ok(match owned {
                            None => Cow::Borrowed(part),
                            Some(text) => Cow::Owned(text + part),
                        });
                    }
                    let text = owned.get_or_insert_default();
                    text.push_str(part);
                    let sign = self.escape()?;
                    text.push(sign);
                    from = self.at;
                }
                0..0x20 => return Err(SYNTAX),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, Bad> {
        let byte = self.peek().ok_or(SYNTAX)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.unit()?;
                let code = if (0xd800..0xdc00).contains(&high) {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    if !rest.starts_with("\\u") {
                        return Err(SYNTAX);
                    }
                    self.at += 2;
                    let low = self.unit()?.wrapping_sub(0xdc00);
                    if low >= 0x400 {
                        return Err(SYNTAX);
                    }
                    0x1_0000 + ((high - 0xd800) << 10) + low
                } else {
                    high
                };
                char::from_u32(code).ok_or(SYNTAX)?
            }
            _ => return Err(SYNTAX),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Bad> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code << 4 | digit.ok_or(SYNTAX)?;
            self.at += 1;
        }
        Ok(code)
    }
}

/// Exact where the digits fit 53 bits and the exponent is small, which is every value the engine
/// writes as an `f32`; beyond that within a few units of the last place.
fn number(text: &str) -> Option<f64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (mut mantissa, mut power, mut fraction, mut known) = (0_u64, exponent, false, false);
    for byte in digits.bytes() {
        match byte {
            b'0'..=b'9' => {
                known = true;
                if mantissa < u64::MAX / 100 {
                    mantissa = mantissa * 10 + u64::from(byte - b'0');
                    power = power.saturating_sub(i32::from(fraction));
                } else {
                    // More digits than a float holds only count by their place.
                    power = power.saturating_add(i32::from(!fraction));
                }
            }
            b'.' if !fraction && known => fraction = true,
            _ => return None,
        }
    }
    if !known || digits.ends_with('.') {
        return None;
    }
    let mut value = mantissa as f64;
    let scale = 10_f64.powi(power.saturating_abs().min(400));
    if mantissa != 0 {
        value = if power < 0 {
            value / scale
        } else {
            value * scale
        };
    }
    Some(if negative { -value } else { value })
}

impl Read for String {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        json.text().map(str::to_owned)
    }
}

impl Read for bool {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        match json {
            Json::Bool(value) => Ok(*value),
            _ => Err(Bad("true or false")),
        }
    }
}

impl Read for f64 {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        json.number()
    }
}

impl Read for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "the field is an f32")]
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        json.number().map(|value| value as Self)
    }
}

impl Read for u64 {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        match json {
            Json::Number(text) => text.parse().map_err(|_| Bad("a count")),
            _ => Err(Bad("a count")),
        }
    }
}

impl Read for u32 {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        u64::read(json)?.try_into().map_err(|_| Bad("a count"))
    }
}

impl Read for UnixMicros {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        Self::parse(json.text()?).map_err(|_| Bad("an instant"))
    }
}

impl<T: Read> Read for Option<T> {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        match json {
            Json::Null => Ok(None),
            value => T::read(value).map(Some),
        }
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        match json {
            Json::List(items) => items.iter().map(T::read).collect(),
            _ => Err(Bad("a list")),
        }
    }
}

impl<A: Read, B: Read> Read for (A, B) {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        match json {
            Json::List(items) => match items.as_slice() {
                [first, second] => Ok((A::read(first)?, B::read(second)?)),
                _ => Err(Bad("a pair")),
            },
            _ => Err(Bad("a pair")),
        }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
