//! The text of a key: `fk1.<id>.<expiry, Unix seconds or 0>.<node id>.<signature>`.

use crate::config::{Config, Secret};
use crate::parse::check_node_id;
use fiber_contract::{UnixMicros, hex};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use uuid::Uuid;

const PREFIX: &str = "fk1.";
/// Keeps these signatures apart from all others that the secret may make.
const DOMAIN: &[u8] = b"fiberstack probe key\n";
/// Longer than any key: id, expiry, node id and signature at their longest.
const BYTES_MAX: usize = 200;

/// What a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeKey {
    pub id: Uuid,
    pub node_id: String,
    pub expires_at: Option<UnixMicros>,
}

/// API_KEY_SECRET, and the one before it while keys are replaced.
#[derive(Clone)]
pub struct KeySecrets {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl fmt::Debug for KeySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecrets(…)")
    }
}

impl KeySecrets {
    /// None without API_KEY_SECRET: then no key is good.
    pub fn of(config: &Config) -> Option<Self> {
        let current = config.api_key_secret.as_ref()?;
        Some(Self::new(current, config.api_key_secret_previous.as_ref()))
    }

    pub fn new(current: &Secret, previous: Option<&Secret>) -> Self {
        Self {
            current: keyed(current),
            previous: previous.map(keyed),
        }
    }

    pub fn sign(&self, key: &ProbeKey) -> String {
        let expires_s = key.expires_at.map_or(0, |at| at.0 / 1_000_000);
        let text = format!("{PREFIX}{}.{expires_s}.{}", key.id.simple(), key.node_id);
        let mac = self.current.clone().chain_update(&text).finalize();
        let signature = hex::encode(&mac.into_bytes());
        format!("{text}.{signature}")
    }

    /// Whether a token means to be a key; it may be a bad one.
    pub fn is_key(token: &[u8]) -> bool {
        token.starts_with(PREFIX.as_bytes())
    }

    /// What the key says, if it was signed here. Expiry and revocation are not judged.
    pub fn verify(&self, token: &[u8]) -> Option<ProbeKey> {
        if token.len() > BYTES_MAX {
            return None;
        }
        let token = std::str::from_utf8(token).ok()?;
        let (text, signature) = token.rsplit_once('.')?;
        let signature = hex::decode_32(signature.as_bytes())?;
        let signed = |secret: &Hmac<Sha256>| {
            let mac = secret.clone().chain_update(text);
            mac.verify_slice(&signature).is_ok()
        };
        // Both are always tried, so the time does not tell which one it was.
        let previous = self.previous.as_ref().is_some_and(signed);
        (signed(&self.current) | previous).then(|| read(text))?
    }
}

fn keyed(secret: &Secret) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of every length")
        .chain_update(DOMAIN)
}

fn read(text: &str) -> Option<ProbeKey> {
    let mut parts = text.strip_prefix(PREFIX)?.splitn(3, '.');
    let id = Uuid::try_parse(parts.next()?).ok()?;
    let expires_s: i64 = parts.next()?.parse().ok()?;
    let node_id = check_node_id(parts.next()?).ok()?;
    Some(ProbeKey {
        id,
        node_id: node_id.to_owned(),
        expires_at: (expires_s != 0).then_some(UnixMicros(expires_s.checked_mul(1_000_000)?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(current: &str, previous: Option<&str>) -> KeySecrets {
        let previous = previous.map(Secret::new);
        KeySecrets::new(&Secret::new(current), previous.as_ref())
    }

    fn key(node_id: &str, expires_s: Option<i64>) -> ProbeKey {
        ProbeKey {
            id: Uuid::from_u128(0x00ab_cdef),
            node_id: node_id.to_owned(),
            expires_at: expires_s.map(|s| UnixMicros(s * 1_000_000)),
        }
    }

    #[test]
    fn a_key_says_what_was_signed() {
        let secrets = secrets("s", None);
        let longest = "n".repeat(64);
        for key in [
            key("accra-01", None),
            key("a.b:c_d", Some(1_900_000_000)),
            key("..", Some(1)),
            key(&longest, Some(i64::from(u32::MAX))),
        ] {
            let token = secrets.sign(&key);
            assert!(KeySecrets::is_key(token.as_bytes()));
            assert_eq!(secrets.verify(token.as_bytes()), Some(key), "{token}");
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        let secrets = secrets("s", None);
        let good = secrets.sign(&key("accra-01", None)).into_bytes();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(secrets.verify(&bad), None, "byte {at}, bit {bit}");
            }
            assert_eq!(secrets.verify(&good[..at]), None, "cut at {at}");
        }
        for bad in [
            [&good[..], b"0"].concat(),
            [&good[..], &[b'x'; 10_000]].concat(),
            good.to_ascii_uppercase(),
            b"fk1....".to_vec(),
            b"fk1.".to_vec(),
        ] {
            assert_eq!(secrets.verify(&bad), None);
        }
    }

    #[test]
    fn the_secret_before_still_verifies_and_another_never() {
        let token = secrets("old", None).sign(&key("a", None)).into_bytes();
        assert!(secrets("old", None).verify(&token).is_some());
        assert!(secrets("new", Some("old")).verify(&token).is_some());
        assert!(secrets("new", None).verify(&token).is_none());
        assert!(secrets("new", Some("other")).verify(&token).is_none());
    }
}
