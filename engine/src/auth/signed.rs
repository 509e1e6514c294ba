//! Signed pushes. A signature is optional; a request that has any of its three fields must have all,
//! and good ones. What is signed and how is in `fiber_contract::signature`.
//!
//! The head is judged first (form and clock), the signature once the body is there, and only then
//! is the nonce remembered, so that nobody without the secret can use one up. A nonce belongs to one
//! batch id and body: the same again is a retry, anything else a replay.

use super::principal::Denied;
use crate::limits::NONCES_MAX;
use fiber_contract::signature::{Message, NONCE_BYTES_MAX, SKEW_MAX_S};
use fiber_contract::{UnixMicros, hex};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// The three fields, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignatureFields<'a> {
    pub timestamp: Option<&'a [u8]>,
    pub nonce: Option<&'a [u8]>,
    pub signature: Option<&'a [u8]>,
}

/// The claim of a head, until its body is there.
#[derive(Debug)]
pub struct Signed {
    batch_id: Vec<u8>,
    timestamp: Vec<u8>,
    nonce: Vec<u8>,
    signature: [u8; 32],
}

impl Signed {
    /// `None`: not signed.
    pub(super) fn of(
        fields: SignatureFields<'_>,
        batch_id: Option<&[u8]>,
        now: UnixMicros,
    ) -> Result<Option<Self>, Denied> {
        let (timestamp, nonce, signature) = match (fields.timestamp, fields.nonce, fields.signature)
        {
            (None, None, None) => return Ok(None),
            (Some(timestamp), Some(nonce), Some(signature)) => (timestamp, nonce, signature),
            _ => return Err(Denied::Unknown),
        };
        let signed = Self {
            batch_id: batch_id.unwrap_or_default().to_vec(),
            timestamp: timestamp.to_vec(),
            nonce: nonce.to_vec(),
            signature: hex::decode_32(signature).ok_or(Denied::Unknown)?,
        };
        let is_fine = is_near(timestamp, now)
            && (1..=NONCE_BYTES_MAX).contains(&nonce.len())
            && nonce.iter().all(u8::is_ascii_graphic);
        is_fine.then_some(Some(signed)).ok_or(Denied::Unknown)
    }

    pub(super) fn message<'a>(&'a self, body_sha256: &'a [u8; 32]) -> Message<'a> {
        Message {
            batch_id: &self.batch_id,
            timestamp: &self.timestamp,
            nonce: &self.nonce,
            body_sha256,
        }
    }

    pub(super) fn signature(&self) -> &[u8; 32] {
        &self.signature
    }
}

fn is_near(timestamp: &[u8], now: UnixMicros) -> bool {
    let at = std::str::from_utf8(timestamp).ok();
    let at = at.and_then(|text| UnixMicros::parse(text).ok());
    at.is_some_and(|at| at.0.abs_diff(now.0) <= SKEW_MAX_S.unsigned_abs() * 1_000_000)
}

type Digest16 = [u8; 16];

const SHARDS: usize = 16;
/// A timestamp may be this far ahead, and is good for as long after: then it refuses by itself.
const KEEP_MICROS: i64 = 2 * SKEW_MAX_S * 1_000_000;

/// The nonces of the last ten minutes. Bounded: beyond it the oldest is forgotten, which lets a
/// holder of the secret use it again, and nobody else.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    used_for: HashMap<Digest16, Digest16>,
    oldest_first: VecDeque<(UnixMicros, Digest16)>,
}

impl Nonces {
    /// True at the first use, and for the batch id and body of the first use.
    pub(super) fn claim(&self, message: &Message<'_>, now: UnixMicros) -> bool {
        let nonce = digest(&[message.nonce]);
        // The hash has a fixed length, so the parts cannot be shifted against each other.
        let use_for = digest(&[message.body_sha256, message.batch_id]);
        let mut shard = self.shards[usize::from(nonce[0]) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shard.forget(UnixMicros(now.0.saturating_sub(KEEP_MICROS)));
        if let Some(known) = shard.used_for.get(&nonce) {
            return *known == use_for;
        }
        shard.used_for.insert(nonce, use_for);
        shard.oldest_first.push_back((now, nonce));
        true
    }
}

impl Shard {
    fn forget(&mut self, before: UnixMicros) {
        while let Some((at, nonce)) = self.oldest_first.front() {
            if *at >= before && self.oldest_first.len() < NONCES_MAX / SHARDS {
                return;
            }
            self.used_for.remove(nonce);
            self.oldest_first.pop_front();
        }
    }
}

fn digest(parts: &[&[u8]]) -> Digest16 {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part);
    }
    let whole: [u8; 32] = sha.finalize().into();
    std::array::from_fn(|at| whole[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_900_000_000_000_000);

    fn message<'a>(batch_id: &'a str, nonce: &'a str, body: &'a [u8; 32]) -> Message<'a> {
        Message {
            batch_id: batch_id.as_bytes(),
            timestamp: b"",
            nonce: nonce.as_bytes(),
            body_sha256: body,
        }
    }

    #[test]
    fn a_nonce_is_for_one_batch_and_body_until_its_time_is_over() {
        let nonces = Nonces::default();
        let (body, other) = ([1; 32], [2; 32]);
        let later = |s: i64| UnixMicros(NOW.0 + s * 1_000_000);
        assert!(nonces.claim(&message("a", "n", &body), NOW));
        assert!(
            nonces.claim(&message("a", "n", &body), later(299)),
            "a retry"
        );
        assert!(
            !nonces.claim(&message("a", "n", &other), NOW),
            "another body"
        );
        assert!(
            !nonces.claim(&message("b", "n", &body), NOW),
            "another batch"
        );
        assert!(
            nonces.claim(&message("b", "m", &other), NOW),
            "another nonce"
        );
        assert!(!nonces.claim(&message("b", "n", &body), later(600)));
        assert!(
            nonces.claim(&message("b", "n", &body), later(601)),
            "forgotten"
        );
    }

    #[test]
    fn the_number_of_nonces_is_bounded() {
        let nonces = Nonces::default();
        for n in 0..NONCES_MAX + NONCES_MAX / 4 {
            assert!(nonces.claim(&message("", &n.to_string(), &[0; 32]), NOW));
        }
        for shard in &nonces.shards {
            let shard = shard.lock().unwrap();
            assert!(shard.used_for.len() <= NONCES_MAX / SHARDS);
            assert_eq!(shard.used_for.len(), shard.oldest_first.len());
        }
    }

    #[test]
    fn fields_of_a_wrong_form_are_refused_before_any_body() {
        let good = [
            Some(NOW.to_string()),
            Some("n-1".to_owned()),
            Some("0a".repeat(32)),
        ];
        let judge = |fields: &[Option<String>; 3]| {
            let bytes = |at: usize| fields[at].as_deref().map(str::as_bytes);
            let fields = SignatureFields {
                timestamp: bytes(0),
                nonce: bytes(1),
                signature: bytes(2),
            };
            Signed::of(fields, None, NOW).map(|signed| signed.is_some())
        };
        assert_eq!(judge(&[None, None, None]), Ok(false));
        assert_eq!(judge(&good), Ok(true));
        let at = |s: i64| UnixMicros(NOW.0 + s * 1_000_000).to_string();
        for (field, value, fine) in [
            (0, at(300), true),
            (0, at(-300), true),
            (0, at(301), false),
            (0, at(-301), false),
            (0, "1900000000".to_owned(), false),
            (0, format!("{NOW}:n"), false),
            (0, at(0).replace('Z', "+00"), false),
            (0, String::new(), false),
            (1, "x".repeat(128), true),
            (1, "x".repeat(129), false),
            (1, "a b".to_owned(), false),
            (1, "é".to_owned(), false),
            (1, String::new(), false),
            (2, "0A".repeat(32), false),
            (2, "0a".repeat(31), false),
            (2, "0a".repeat(33), false),
            (2, String::new(), false),
        ] {
            let mut fields = good.clone();
            fields[field] = Some(value.clone());
            assert_eq!(
                judge(&fields),
                if fine { Ok(true) } else { Err(Denied::Unknown) },
                "{value}"
            );
        }
        for missing in 0..3 {
            let mut fields = good.clone();
            fields[missing] = None;
            assert_eq!(judge(&fields), Err(Denied::Unknown), "without {missing}");
        }
    }
}
