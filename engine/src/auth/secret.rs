//! Comparing what was sent with what is secret.

use crate::config::Secret;
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
