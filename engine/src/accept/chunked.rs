//! The chunked coding (RFC 9112, 7.1), strictly: CRLF only, sizes of 1 to 16 hex digits, extensions
//! read over, trailers too, fields of the same form as in a head, up to a bound. Pure, and indifferent to how the bytes are split.

use crate::limits::{HEAD_FIELDS_MAX, TRAILER_BYTES_MAX};

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    /// Bytes of the chunk not taken yet.
    left: u64,
    digits: u32,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// Where a line behind the last chunk begins.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

const SIZE_DIGITS_MAX: u32 = 16;
const EXTENSION_BYTES_MAX: usize = 256;

impl Decoder {
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what it can of `input` and appends the data; answers how many bytes it took. Stops
    /// right behind the end of the body, where the next request begins.
    pub(crate) fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        self.take(input, |data| out.extend_from_slice(data))
    }

    /// The same, for who wants to know no more than where the body ends.
    pub(crate) fn skip(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        self.take(input, |_| ())
    }

    fn take(&mut self, input: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let take = left.min(input.len() - at);
                data(&input[at..at + take]);
                self.left -= take as u64;
                at += take;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.step(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';') if self.digits > 0 => State::Extension,
            (State::Size, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                self.digits += 1;
                if self.digits > SIZE_DIGITS_MAX {
                    return Err(Malformed);
                }
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, _) if byte == b'\t' || (byte >= b' ' && byte != 0x7f) => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(Malformed);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                if self.left == 0 {
                    State::Trailer
                } else {
                    State::Data
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::Trailer, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => State::Done,
            (State::Trailer | State::TrailerName, _) if is_token(byte) => {
                self.count_trailer()?;
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if byte == b'\t' || (byte >= b' ' && byte != 0x7f) => {
                self.count_trailer()?;
                State::TrailerValue
            }
            (State::TrailerLf, b'\n') => {
                self.trailers += 1;
                if self.trailers >= HEAD_FIELDS_MAX {
                    return Err(Malformed);
                }
                State::Trailer
            }
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn count_trailer(&mut self) -> Result<(), Malformed> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(Malformed);
        }
        Ok(())
    }
}

/// What the name of a field is made of (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8]) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        let taken = decoder.feed(input, &mut out)?;
        Ok((out, taken, decoder.is_done()))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read_at_every_split() {
        let body = b"3;a=b\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: x\r\n\r\nGET";
        for split in 0..body.len() {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            let first = decoder.feed(&body[..split], &mut out).unwrap();
            let rest = decoder.feed(&body[first..], &mut out).unwrap();
            assert_eq!(out, b"abc0123456789", "split at {split}");
            assert!(decoder.is_done());
            assert_eq!(first + rest, body.len() - 3);
        }
    }

    #[test]
    fn other_framings_are_malformed() {
        for bad in [
            &b"\r\n"[..],
            b"+3\r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b"3\nabc\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"00000000000000003\r\n",
            b"3 \r\nabc\r\n",
            b"0\r\nT: x\n\r\n",
            b"0\r\nT x\r\n\r\n",
            b"0\r\n: x\r\n\r\n",
            b"0\r\nT : x\r\n\r\n",
            b"0\r\nT: x\r\n y\r\n\r\n",
            b"0\r\nT: \x01\r\n\r\n",
            b"g\r\n",
        ] {
            assert_eq!(
                decode(bad),
                Err(Malformed),
                "{:?}",
                String::from_utf8_lossy(bad)
            );
        }
        let trailer = [&b"0\r\nT: "[..], &[b'x'; TRAILER_BYTES_MAX], b"\r\n\r\n"].concat();
        assert_eq!(decode(&trailer), Err(Malformed));
        let trailers = format!("0\r\n{}\r\n", "A:\r\n".repeat(HEAD_FIELDS_MAX));
        assert_eq!(decode(trailers.as_bytes()), Err(Malformed));
    }

    #[test]
    fn an_unfinished_body_is_not_done() {
        assert_eq!(
            decode(b"3\r\nabc\r\n0\r\n"),
            Ok((b"abc".to_vec(), 11, false))
        );
    }
}
