//! Signed pushes: what exactly is signed, for those who sign and those who verify.
//!
//! The signature is HMAC-SHA256 with the federation secret over
//! `batch_id:timestamp:nonce:sha256hex(body)`: the values of the header fields as they are sent, the
//! body as its bytes travel (compressed, if it is). Without `X-Batch-ID` its part is empty.

use crate::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;

/// RFC 3339; at most `SKEW_MAX_S` from the engine's clock.
pub const TIMESTAMP_FIELD: &str = "X-Fiber-Timestamp";
/// 1 to `NONCE_BYTES_MAX` visible ASCII characters; for one batch id and body only.
pub const NONCE_FIELD: &str = "X-Fiber-Nonce";
/// 64 digits of lower-case hexadecimal.
pub const SIGNATURE_FIELD: &str = "X-Fiber-Signature";

pub const SKEW_MAX_S: i64 = 300;
pub const NONCE_BYTES_MAX: usize = 128;

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub batch_id: &'a [u8],
    pub timestamp: &'a [u8],
    pub nonce: &'a [u8],
    pub body_sha256: &'a [u8; 32],
}

pub fn body_sha256(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// The secret, ready to sign.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// # Panics
    /// Never: HMAC takes keys of every length.
    pub fn new(secret: &str) -> Self {
        Self(Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length"))
    }

    /// The value of `X-Fiber-Signature`.
    pub fn sign(&self, message: &Message<'_>) -> String {
        hex::encode(&self.mac(message).finalize().into_bytes())
    }

    /// In constant time.
    pub fn verify(&self, message: &Message<'_>, signature: &[u8; 32]) -> bool {
        self.mac(message).verify_slice(signature).is_ok()
    }

    fn mac(&self, message: &Message<'_>) -> Hmac<Sha256> {
        self.0
            .clone()
            .chain_update(message.batch_id)
            .chain_update(b":")
            .chain_update(message.timestamp)
            .chain_update(b":")
            .chain_update(message.nonce)
            .chain_update(b":")
            .chain_update(hex::encode(message.body_sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found with `printf … | openssl dgst -sha256 -hmac …`, as any other client would.
    #[test]
    fn the_signature_is_the_one_that_others_compute() {
        let body_sha256 = body_sha256(br#"{"node_id":"a"}"#);
        let message = Message {
            batch_id: b"018f0000-0000-7000-8000-000000000001",
            timestamp: b"2026-01-31T10:20:30Z",
            nonce: b"n-1",
            body_sha256: &body_sha256,
        };
        let key = SigningKey::new("0123456789abcdef0123456789abcdef");
        let signature = key.sign(&message);
        assert_eq!(
            signature,
            "377dfe32fe80ce9e2af30236d0c52bbd051a5c04b4fb074c00d847970096e3da"
        );
        let bytes = hex::decode_32(signature.as_bytes()).unwrap();
        assert!(key.verify(&message, &bytes));
        assert!(!SigningKey::new("another").verify(&message, &bytes));
        for changed in [
            Message {
                batch_id: b"",
                ..message
            },
            Message {
                timestamp: b"2026-01-31T10:20:31Z",
                ..message
            },
            Message {
                nonce: b"n-2",
                ..message
            },
            Message {
                body_sha256: &[0; 32],
                ..message
            },
        ] {
            assert!(!key.verify(&changed, &bytes), "{changed:?}");
        }
    }
}
