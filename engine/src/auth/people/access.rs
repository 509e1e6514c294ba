//! The text of an access token: `fu1.<user>.<session>.<epoch>.<expiry, Unix seconds>.<signature>`.

use crate::config::{Config, Secret};
use fiber_contract::{UnixMicros, hex};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use uuid::Uuid;

const PREFIX: &str = "fu1.";
/// What the signing key is derived for: the same secret signs the keys of probes.
const PURPOSE: &[u8] = b"fiberstack access token of a user, version 1";
/// Longer than any: two ids, two numbers and a signature.
const BYTES_MAX: usize = 200;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) epoch: i64,
    pub(crate) expires_at: UnixMicros,
}

/// Derived from API_KEY_SECRET, and from the one before it while secrets are replaced.
#[derive(Clone)]
pub(crate) struct AccessKeys {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKeys(…)")
    }
}

impl AccessKeys {
    /// Without API_KEY_SECRET a key of this process alone: access tokens then end with it, and browsers
    /// get new ones for their refresh tokens, which are in the database.
    pub(crate) fn of(config: &Config) -> Self {
        match &config.api_key_secret {
            Some(secret) => Self::new(secret, config.api_key_secret_previous.as_ref()),
            None => Self::new(&Secret::new(hex::encode(&super::random::<32>())), None),
        }
    }

    pub(crate) fn new(current: &Secret, previous: Option<&Secret>) -> Self {
        Self {
            current: derived(current),
            previous: previous.map(derived),
        }
    }

    pub(crate) fn sign(&self, access: &Access) -> String {
        let Access {
            user_id,
            session_id,
            epoch,
            expires_at,
        } = access;
        let expires_s = expires_at.0 / 1_000_000;
        let (user, session) = (user_id.simple(), session_id.simple());
        let text = format!("{PREFIX}{user}.{session}.{epoch}.{expires_s}");
        let mac = self.current.clone().chain_update(&text).finalize();
        format!("{text}.{}", hex::encode(&mac.into_bytes()))
    }

    /// Whether a token means to be one; it may be a bad one.
    pub(crate) fn is_access(token: &[u8]) -> bool {
        token.starts_with(PREFIX.as_bytes())
    }

    /// What the token says, if it was signed here. Expiry and standing are not judged.
    pub(crate) fn verify(&self, token: &[u8]) -> Option<Access> {
        if token.len() > BYTES_MAX {
            return None;
        }
        let token = std::str::from_utf8(token).ok()?;
        let (text, signature) = token.rsplit_once('.')?;
        let signature = hex::decode_32(signature.as_bytes())?;
        let signed = |key: &Hmac<Sha256>| {
            let mac = key.clone().chain_update(text);
            mac.verify_slice(&signature).is_ok()
        };
        // Both are always tried, so the time does not tell which one it was.
        let previous = self.previous.as_ref().is_some_and(signed);
        (signed(&self.current) | previous).then(|| read(text))?
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn derived(secret: &Secret) -> Hmac<Sha256> {
    let key = keyed(secret.expose().as_bytes()).chain_update(PURPOSE);
    keyed(&key.finalize().into_bytes())
}

fn read(text: &str) -> Option<Access> {
    let mut parts = text.strip_prefix(PREFIX)?.split('.');
    let access = Access {
        user_id: Uuid::try_parse(parts.next()?).ok()?,
        session_id: Uuid::try_parse(parts.next()?).ok()?,
        epoch: parts.next()?.parse().ok()?,
        expires_at: UnixMicros(parts.next()?.parse::<i64>().ok()?.checked_mul(1_000_000)?),
    };
    parts.next().is_none().then_some(access)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::{KeySecrets, ProbeKey};

    fn keys(current: &str, previous: Option<&str>) -> AccessKeys {
        let previous = previous.map(Secret::new);
        AccessKeys::new(&Secret::new(current), previous.as_ref())
    }

    fn access() -> Access {
        Access {
            user_id: Uuid::from_u128(1),
            session_id: Uuid::from_u128(u128::MAX),
            epoch: i64::MAX,
            expires_at: UnixMicros(1_900_000_000_000_000),
        }
    }

    #[test]
    fn a_token_says_what_was_signed_and_every_changed_byte_is_found() {
        let keys = keys("s", None);
        let token = keys.sign(&access());
        assert!(AccessKeys::is_access(token.as_bytes()) && token.len() < BYTES_MAX);
        assert_eq!(keys.verify(token.as_bytes()), Some(access()));
        let good = token.into_bytes();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(keys.verify(&bad), None, "byte {at}, bit {bit}");
            }
            assert_eq!(keys.verify(&good[..at]), None, "cut at {at}");
        }
        assert_eq!(keys.verify(&[&good[..], &[b'x'; 10_000]].concat()), None);
    }

    #[test]
    fn the_secret_before_still_verifies_and_another_never() {
        let token = keys("old", None).sign(&access()).into_bytes();
        assert!(keys("new", Some("old")).verify(&token).is_some());
        assert!(keys("new", None).verify(&token).is_none());
        assert!(keys("new", Some("other")).verify(&token).is_none());
    }

    #[test]
    fn the_same_secret_signs_no_key_that_is_a_token_and_no_token_that_is_a_key() {
        let secret = Secret::new("s");
        let (access_keys, probe_keys) = (keys("s", None), KeySecrets::new(&secret, None));
        let key = ProbeKey {
            id: Uuid::from_u128(1),
            node_id: format!("{}.1.1", Uuid::from_u128(2).simple()),
            expires_at: None,
        };
        let key = probe_keys.sign(&key);
        let token = access_keys.sign(&access());
        for (text, from, to) in [(key, "fk1.", PREFIX), (token, PREFIX, "fk1.")] {
            let posing = text.replacen(from, to, 1);
            assert_eq!(access_keys.verify(posing.as_bytes()), None, "{posing}");
            assert_eq!(probe_keys.verify(posing.as_bytes()), None, "{posing}");
        }
    }
}
