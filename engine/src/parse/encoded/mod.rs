//! Bodies that came compressed (`Content-Encoding: gzip` or `zstd`), made plain again in steps.
//!
//! What it guarantees:
//!
//! - **A step is short**, on the ingest cores too: it takes at most `STEP_SENT_BYTES` of what was sent and
//!   makes at most `STEP_BYTES_MAX`, well below a millisecond. Between steps the caller charges
//!   the next one to the bytes in flight, and lets the core's other connections have their turn.
//! - **A bomb ends early**: more than the longest body, or more than `RATIO_MAX` times what was sent,
//!   is 413 and the connection's end; a zstd frame that asks for a larger window than a body is too.
//! - **Broken is 400**: a wrong checksum, an end too early, bytes behind the end, a dictionary.
//!   A panic of a decoder counts as broken, and stays within its request.
//!
//! A signature is over the bytes as they were sent, so it is judged before the first step.

#[cfg(test)]
mod fuzz;
mod gzip;
#[cfg(test)]
mod tests;
mod zstd;

use super::reject::Reject;
use fiber_contract::limits::BODY_BYTES_MAX;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most that one step makes: two blocks of zstd.
pub const STEP_BYTES_MAX: usize = 256 * 1024;
/// The most that one step takes, but for a single block that is longer.
const STEP_SENT_BYTES: usize = 16 * 1024;
/// Plain bytes for each one sent. JSON of a fleet shrinks to a tenth or a thirtieth.
const RATIO_MAX: usize = 100;
/// A body is one gzip member or zstd frame; some writers flush into a few. Starting one costs more
/// than its bytes say.
const PARTS_MAX: usize = 64;

/// How a body came, by its Content-Encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// `None` is an encoding that is not taken here, a list of several included.
    pub fn of(field: Option<&[u8]>) -> Option<Self> {
        let Some(value) = field else {
            return Some(Self::Identity);
        };
        [
            (&b"identity"[..], Self::Identity),
            (b"gzip", Self::Gzip),
            (b"zstd", Self::Zstd),
        ]
        .into_iter()
        .find_map(|(name, encoding)| value.eq_ignore_ascii_case(name).then_some(encoding))
    }
}

/// Why a body cannot be made plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("the compressed body is broken")]
    Broken,
    #[error("the body has more than {BODY_BYTES_MAX} bytes once it is plain")]
    TooLarge,
    #[error("the body grows more than {RATIO_MAX} times")]
    Bomb,
}

impl From<Fault> for Reject {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Broken => Self::malformed(fault.to_string()),
            Fault::TooLarge | Fault::Bomb => Self::too_large(fault.to_string()).closing(),
        }
    }
}

/// One decoder: a member or frame after the other, step by step.
trait Steps {
    /// Adds to `plain`; true once the end was reached and nothing stands behind it.
    fn step(&mut self, plain: &mut Vec<u8>) -> Result<bool, Fault>;

    /// At most this much is held besides `plain`.
    fn held_bytes(&self) -> usize;
}

/// A body on its way from compressed to plain.
pub struct Inflation<'b> {
    steps: Box<dyn Steps + Send + 'b>,
    sent_bytes: usize,
    plain: Vec<u8>,
}

impl<'b> Inflation<'b> {
    /// `None` for a body that is plain already.
    pub fn new(encoding: Encoding, sent: &'b [u8]) -> Option<Self> {
        let steps: Box<dyn Steps + Send + 'b> = match encoding {
            Encoding::Identity => return None,
            Encoding::Gzip => Box::new(gzip::Members::new(sent)),
            Encoding::Zstd => Box::new(zstd::Frames::new(sent)),
        };
        Some(Self {
            steps,
            sent_bytes: sent.len(),
            plain: Vec::new(),
        })
    }

    /// Goes on a little; true once all of the body is there.
    pub fn step(&mut self) -> Result<bool, Reject> {
        let (steps, plain) = (&mut self.steps, &mut self.plain);
        let stepped = catch_unwind(AssertUnwindSafe(|| steps.step(plain)));
        let done = stepped.unwrap_or(Err(Fault::Broken))?;
        if self.plain.len() > BODY_BYTES_MAX {
            return Err(Fault::TooLarge.into());
        }
        if self.plain.len() > RATIO_MAX * self.sent_bytes {
            return Err(Fault::Bomb.into());
        }
        Ok(done)
    }

    /// Bytes held until now; a step adds at most `STEP_BYTES_MAX`.
    pub fn held_bytes(&self) -> usize {
        self.plain.len() + self.steps.held_bytes()
    }

    pub fn into_plain(self) -> Vec<u8> {
        self.plain
    }
}

impl std::fmt::Debug for Inflation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflation")
            .field("sent_bytes", &self.sent_bytes)
            .field("plain_bytes", &self.plain.len())
            .finish_non_exhaustive()
    }
}
