//! Tokens of a trusted issuer: RS256 or ES256, by the public keys of JWT_PUBLIC_KEY.
//!
//! The algorithm of a key is decided by the key when the engine starts. What a token says of itself
//! (`alg`, `kid`, `jwk`, `jku`, `x5u`) chooses nothing: a token with another algorithm is no token.
//! `exp` and `sub` are required, `nbf` counts when it is there, `iss` when JWT_ISSUER is set, and a
//! token that names audiences must name JWT_AUDIENCE. The right comes from the claim `role`.

use super::principal::{Denied, Principal};
use fiber_contract::UnixMicros;
use fiber_contract::access::Role;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use std::fmt;

/// Clocks of issuer and engine may differ by this much.
const LEEWAY_S: u64 = 30;
/// No token of an honest issuer is longer.
const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// One in use, one that replaces it, and some patience.
const KEYS_MAX: usize = 4;
/// An RSA key of 2048 bits has this many bytes of modulus.
const RSA_BYTES_MIN: usize = 256;
/// How the PEM of every uncompressed P-256 key begins; the curve is in it.
const P256_BEGIN: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// The issuer's public keys, and what its tokens must say.
#[derive(Clone)]
pub struct JwtKeys(Vec<(DecodingKey, Validation)>);

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms = self.0.iter().flat_map(|(_, must)| &must.algorithms);
        f.debug_list().entries(algorithms).finish()
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    /// `None`, or a role that is not known, gives no right.
    role: Option<String>,
    /// Only for their form: the library takes an audience of a wrong form for none.
    #[serde(rename = "aud")]
    _aud: Option<OneOrMany>,
    #[serde(rename = "iss")]
    _iss: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "read for its form alone")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl JwtKeys {
    /// From one or more PEM blocks; the message of an error never holds what was read.
    pub fn read(pem: &str, issuer: Option<&str>, audience: &str) -> Result<Self, String> {
        // A variable of one line has its line ends written out.
        let pem = pem.replace("\\n", "\n");
        if pem.contains("PRIVATE") {
            return Err("holds a private key, which must stay with the issuer".to_owned());
        }
        let mut keys = Vec::new();
        for block in pem.split_inclusive("-----END PUBLIC KEY-----") {
            if block.trim().is_empty() {
                continue;
            }
            let (key, algorithm) = public_key(block.trim())?;
            keys.push((key, must(algorithm, issuer, audience)));
        }
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(format!("must hold 1 to {KEYS_MAX} keys"));
        }
        Ok(Self(keys))
    }

    /// Whom a token makes, and until when.
    pub(super) fn verify(&self, token: &[u8]) -> Result<(Principal, UnixMicros), Denied> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Denied::Unknown);
        }
        let claims = self.0.iter().find_map(|(key, must)| {
            let data = decode::<Claims>(token, key, must).ok()?;
            // What is critical and not understood must be refused (RFC 7515, 4.1.11).
            data.header.crit.is_none().then_some(data.claims)
        });
        let claims = claims.ok_or(Denied::Unknown)?;
        let role = match claims.role.as_deref() {
            Some("VIEWER") => Role::Viewer,
            Some("OPERATOR") => Role::Operator,
            Some("ADMIN") => Role::Admin,
            _ => return Err(Denied::Forbidden),
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of a float saturates"
        )]
        let until = UnixMicros((claims.exp * 1e6) as i64);
        let subject = claims.sub;
        Ok((Principal::Service { subject, role }, until))
    }
}

fn must(algorithm: Algorithm, issuer: Option<&str>, audience: &str) -> Validation {
    let mut must = Validation::new(algorithm);
    must.leeway = LEEWAY_S;
    must.validate_nbf = true;
    must.set_audience(&[audience]);
    match issuer {
        None => must.set_required_spec_claims(&["exp", "sub"]),
        Some(issuer) => {
            must.set_issuer(&[issuer]);
            must.set_required_spec_claims(&["exp", "sub", "iss"]);
        }
    }
    must
}

/// The key of one block, and the one algorithm that it is for.
fn public_key(block: &str) -> Result<(DecodingKey, Algorithm), String> {
    const NEITHER: &str = "is not a PEM public key (BEGIN PUBLIC KEY), RSA or P-256";
    let body = block
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .ok_or(NEITHER)?;
    if let Ok(key) = DecodingKey::from_rsa_pem(block.as_bytes()) {
        let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
        return if bytes > RSA_BYTES_MIN {
            Ok((key, Algorithm::RS256))
        } else {
            Err("holds an RSA key of less than 2048 bits".to_owned())
        };
    }
    match DecodingKey::from_ec_pem(block.as_bytes()) {
        Ok(key) if body.trim_start().starts_with(P256_BEGIN) => Ok((key, Algorithm::ES256)),
        Ok(_) => Err("holds a key of another curve than P-256".to_owned()),
        Err(_) => Err(NEITHER.to_owned()),
    }
}

#[cfg(test)]
mod tests;
