//! Comparing what was sent with what is secret. Everything secret is compared here, as digests with
//! `subtle`: no comparison of the crate ends early.

use crate::config::Secret;
use crate::telemetry::metrics::Counter;
use fiber_contract::signature::{Message, SigningKey};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Digests are compared, not the secrets: equal length whatever was sent, and constant time.
#[derive(Clone)]
pub(super) struct SecretDigest([u8; 32]);

impl std::fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}

/// The secret of the fleet, and the one before it for as long as probes change over.
#[derive(Debug)]
pub(super) struct FederationSecrets {
    current: SecretDigest,
    previous: Option<SecretDigest>,
    signs: SigningKey,
    signed_before: Option<SigningKey>,
    previous_uses: Counter,
}

impl FederationSecrets {
    pub(super) fn new(current: &Secret, previous: Option<&Secret>) -> Self {
        Self {
            current: SecretDigest::of(current),
            previous: previous.map(SecretDigest::of),
            signs: SigningKey::new(current.expose()),
            signed_before: previous.map(|secret| SigningKey::new(secret.expose())),
            previous_uses: Counter::default(),
        }
    }

    /// Both are always compared, so the time does not tell which one it was.
    pub(super) fn matches(&self, sent: &[u8]) -> bool {
        let current = self.current.matches(sent);
        let previous = self.previous.as_ref().map(|known| known.matches(sent));
        if previous == Some(true) && !current {
            self.previous_uses.add(1);
        }
        current | (previous == Some(true))
    }

    /// Both are tried here too.
    pub(super) fn signed(&self, message: &Message<'_>, signature: &[u8; 32]) -> bool {
        let by_previous = self.signed_before.as_ref();
        let by_previous = by_previous.is_some_and(|key| key.verify(message, signature));
        self.signs.verify(message, signature) | by_previous
    }

    pub(super) fn previous_uses(&self) -> u64 {
        self.previous_uses.get()
    }
}

impl SecretDigest {
    pub(super) fn of(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.expose().as_bytes()).into())
    }

    /// True for the secret itself.
    pub(super) fn matches(&self, sent: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(sent).into();
        digest.ct_eq(&self.0).into()
    }
}
