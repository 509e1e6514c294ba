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
        is_same(&digest, &self.0)
    }
}

/// The one comparison of what is secret. It looks at every element, wherever the first difference is.
pub(super) fn is_same<T: ConstantTimeEq>(one: &[T], other: &[T]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use subtle::Choice;

    thread_local! {
        static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    /// A byte that counts how often it is looked at.
    #[derive(Clone, Copy)]
    struct Watched(u8);

    impl ConstantTimeEq for Watched {
        fn ct_eq(&self, other: &Self) -> Choice {
            LOOKS.set(LOOKS.get() + 1);
            self.0.ct_eq(&other.0)
        }
    }

    /// How much of a digest is looked at says how long it takes, and a clock is not needed for it.
    #[test]
    fn every_byte_is_looked_at_wherever_the_difference_is() {
        let secret = [Watched(7); 32];
        let looks = |sent: &[Watched]| {
            LOOKS.set(0);
            (is_same(sent, &secret), LOOKS.get())
        };
        assert_eq!(looks(&secret), (true, 32));
        for at in 0..32 {
            for other in [6, 8, 0x87] {
                let mut sent = secret;
                sent[at].0 = other;
                assert_eq!(looks(&sent), (false, 32), "byte {at}");
            }
        }
        assert_eq!(looks(&[Watched(0); 32]), (false, 32));
    }

    /// What is compared are digests: of equal length for whatever was sent, and unlike for alike secrets.
    #[test]
    fn a_guess_that_is_nearly_right_is_as_wrong_as_any() {
        let secret = "0123456789abcdef0123456789abcdef";
        let known = SecretDigest::of(&Secret::new(secret));
        assert!(known.matches(secret.as_bytes()));
        for length in 0..secret.len() {
            let near = Sha256::digest(&secret.as_bytes()[..length]);
            let alike = near.iter().zip(&known.0).filter(|(a, b)| a == b).count();
            assert!(
                alike < 6,
                "{length} right characters show as {alike} right bytes"
            );
            assert!(!known.matches(&secret.as_bytes()[..length]));
        }
    }
}
