//! The federation secret as a Bearer token.

use crate::config::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Digests are compared, not the secrets: equal length whatever was sent, and constant time.
#[derive(Clone)]
pub struct TokenDigest([u8; 32]);

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

impl TokenDigest {
    pub fn of(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.expose().as_bytes()).into())
    }

    /// True for `Bearer <secret>`; the scheme's case does not matter (RFC 9110, 11.1).
    pub fn accepts(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|value| value.split_at_checked(7))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer ") & self.matches(token.trim_ascii())
    }

    /// True for the secret itself.
    pub fn matches(&self, token: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(token).into();
        digest.ct_eq(&self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_opens() {
        let token = TokenDigest::of(&Secret::new("right"));
        for (header, expect) in [
            (Some("Bearer right"), true),
            (Some("bearer right"), true),
            (Some("Bearer  right "), true),
            (Some("Bearer wrong"), false),
            (Some("Bearer righ"), false),
            (Some("Bearer rightt"), false),
            (Some("Bearer "), false),
            (Some("Basic right"), false),
            (Some("right"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(
                token.accepts(header.map(str::as_bytes)),
                expect,
                "{header:?}"
            );
        }
    }
}
