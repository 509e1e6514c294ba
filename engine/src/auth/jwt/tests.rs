//! What an attacker would send, and what an issuer may.

use super::*;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Whoever has the time can find its other half.
const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCy+9DNSPPxPd81epoN1ev/6z6+\n\
IbTyh5u2+bTLQoa0fiw/MGvIgcDVonK8KTAvQfgkPC8aQSVKtUQfnyb+pmvTu1cv\n\
91mLVg9Y8lQ0NsQlzGjhTCoX6SxbkC+DpUlZqstRzC9XHkXQYxdn+764hQlq9ifa\n\
TJvZFhURWSYio1oMlQIDAQAB\n\
-----END PUBLIC KEY-----";

struct Issuer {
    signs: EncodingKey,
    public: String,
    algorithm: Algorithm,
}

fn pem(tag: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let body = lines.join("\n");
    format!("-----BEGIN {tag}-----\n{body}\n-----END {tag}-----\n")
}

fn rsa(size: KeySize) -> Issuer {
    let pair = RsaKeyPair::generate(size).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    Issuer {
        signs: EncodingKey::from_rsa_pem(pem("PRIVATE KEY", pkcs8.as_ref()).as_bytes()).unwrap(),
        public: pem("PUBLIC KEY", public.as_ref()),
        algorithm: Algorithm::RS256,
    }
}

fn ec(curve: &'static EcdsaSigningAlgorithm, algorithm: Algorithm) -> Issuer {
    let pair = EcdsaKeyPair::generate(curve).unwrap();
    let pkcs8 = pair.to_pkcs8v1().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    Issuer {
        signs: EncodingKey::from_ec_der(pkcs8.as_ref()),
        public: pem("PUBLIC KEY", public.as_ref()),
        algorithm,
    }
}

static RSA: LazyLock<Issuer> = LazyLock::new(|| rsa(KeySize::Rsa2048));
static EC: LazyLock<Issuer> =
    LazyLock::new(|| ec(&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::ES256));

fn now_s() -> i64 {
    UnixMicros::now().0 / 1_000_000
}

fn good() -> Value {
    json!({"sub": "grafana", "role": "OPERATOR", "exp": now_s() + 600})
}

impl Issuer {
    fn token(&self, claims: &Value) -> String {
        encode(&Header::new(self.algorithm), claims, &self.signs).unwrap()
    }

    fn keys(&self) -> JwtKeys {
        JwtKeys::read(&self.public, None, "fiberstack").unwrap()
    }

    fn judge(&self, claims: &Value) -> Result<Principal, Denied> {
        let token = self.token(claims);
        self.keys().verify(token.as_bytes()).map(|(who, _)| who)
    }
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn service(role: Role) -> Principal {
    Principal::Service {
        subject: "grafana".to_owned(),
        role,
    }
}

#[test]
fn a_good_token_of_either_kind_has_its_role_and_its_end() {
    for issuer in [&*RSA, &*EC] {
        for (name, role) in [
            ("VIEWER", Role::Viewer),
            ("OPERATOR", Role::Operator),
            ("ADMIN", Role::Admin),
        ] {
            assert_eq!(issuer.judge(&with("role", json!(name))), Ok(service(role)));
        }
        let exp = now_s() + 600;
        let token = issuer.token(&with("exp", json!(exp)));
        let (_, until) = issuer.keys().verify(token.as_bytes()).unwrap();
        assert_eq!(until, UnixMicros(exp * 1_000_000));
    }
}

#[test]
fn claims_are_judged_strictly() {
    use Denied::{Forbidden, Unknown};
    let ok = || Ok(service(Role::Operator));
    let now = now_s();
    let table = [
        ("exp", json!(now - 20), ok()),
        ("exp", json!(now - 40), Err(Unknown)),
        (
            "exp",
            json!(now + 60).as_f64().map(|f| json!(f + 0.5)).unwrap(),
            ok(),
        ),
        ("exp", json!((now + 60).to_string()), Err(Unknown)),
        ("exp", Value::Null, Err(Unknown)),
        ("exp", json!(-1), Err(Unknown)),
        ("exp", json!([now + 60]), Err(Unknown)),
        ("exp", json!(1e300), Err(Unknown)),
        ("nbf", json!(now + 20), ok()),
        ("nbf", json!(now + 40), Err(Unknown)),
        ("nbf", json!("0"), Err(Unknown)),
        ("aud", json!("fiberstack"), ok()),
        ("aud", json!(["other", "fiberstack"]), ok()),
        ("aud", json!("other"), Err(Unknown)),
        ("aud", json!(["other"]), Err(Unknown)),
        ("aud", json!([]), Err(Unknown)),
        ("aud", json!(5), Err(Unknown)),
        ("aud", json!({"fiberstack": 1}), Err(Unknown)),
        ("sub", Value::Null, Err(Unknown)),
        ("sub", json!(7), Err(Unknown)),
        ("role", Value::Null, Err(Forbidden)),
        ("role", json!("admin"), Err(Forbidden)),
        ("role", json!("ROOT"), Err(Forbidden)),
        ("role", json!(["ADMIN"]), Err(Unknown)),
    ];
    for (name, value, expect) in table {
        let shown = format!("{name}={value}");
        assert_eq!(EC.judge(&with(name, value)), expect, "{shown}");
    }
}

#[test]
fn the_issuer_must_be_the_one_that_is_set() {
    let keys = JwtKeys::read(&EC.public, Some("https://id.example"), "fiberstack").unwrap();
    let judge = |claims: &Value| keys.verify(EC.token(claims).as_bytes()).is_ok();
    assert!(judge(&with("iss", json!("https://id.example"))));
    for bad in [
        Value::Null,
        json!("https://evil.example"),
        json!(["https://id.example"]),
        json!(1),
    ] {
        assert!(!judge(&with("iss", bad.clone())), "{bad}");
    }
}

fn raw(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// Signed well, with one header field of the sender's choice.
fn signed(issuer: &Issuer, field: &str, value: &str) -> String {
    let mut header = Header::new(issuer.algorithm);
    let value = value.to_owned();
    match field {
        "kid" => header.kid = Some(value),
        "jku" => header.jku = Some(value),
        "x5u" => header.x5u = Some(value),
        "typ" => header.typ = Some(value),
        _ => header.crit = Some(vec![value]),
    }
    encode(&header, &good(), &issuer.signs).unwrap()
}

fn refused(issuer: &Issuer, forged: &[String]) {
    let keys = issuer.keys();
    for token in forged {
        let judged = keys.verify(token.as_bytes());
        assert_eq!(judged, Err(Denied::Unknown), "{token:.200}");
    }
    assert!(keys.verify(issuer.token(&good()).as_bytes()).is_ok());
}

#[test]
fn no_other_algorithm_opens() {
    for (issuer, other) in [(&*RSA, "ES256"), (&*EC, "RS256")] {
        let signed = issuer.token(&good());
        let (_, signature) = signed.rsplit_once('.').unwrap();
        let body: String = issuer
            .public
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let der = STANDARD.decode(body).unwrap();
        let hmac = |key: &[u8]| {
            let secret = EncodingKey::from_secret(key);
            encode(&Header::new(Algorithm::HS256), &good(), &secret).unwrap()
        };
        let forged = [
            raw(&json!({"alg": "none", "typ": "JWT"}), &good(), ""),
            raw(&json!({"alg": "None"}), &good(), signature),
            raw(&json!({"alg": "NONE"}), &good(), ""),
            raw(&json!({"alg": ""}), &good(), ""),
            raw(&json!({"alg": null}), &good(), signature),
            raw(&json!({}), &good(), signature),
            raw(&json!({"alg": other}), &good(), signature),
            raw(&json!({"alg": "HS256"}), &good(), signature),
            hmac(issuer.public.as_bytes()),
            hmac(issuer.public.trim().as_bytes()),
            hmac(&der),
            hmac(b""),
            ec(&ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::ES384).token(&good()),
        ];
        refused(issuer, &forged);
    }
}

#[test]
fn no_other_signer_opens() {
    let stranger = ec(&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::ES256);
    for issuer in [&*RSA, &*EC] {
        let forged = [
            stranger.token(&good()),
            signed(&stranger, "kid", "../../dev/null"),
            signed(&stranger, "kid", "' OR 1=1 --"),
            signed(&stranger, "jku", "http://127.0.0.1/keys"),
            signed(&stranger, "x5u", "http://127.0.0.1/cert"),
            signed(issuer, "crit", "exp"),
        ];
        refused(issuer, &forged);
    }
}

#[test]
fn no_mangled_token_opens() {
    for issuer in [&*RSA, &*EC] {
        let token = issuer.token(&good());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (head, _) = message.split_once('.').unwrap();
        let admin = URL_SAFE_NO_PAD.encode(with("role", json!("ADMIN")).to_string());
        let zeros = |count: usize| URL_SAFE_NO_PAD.encode(vec![0; count]);
        let mut forged = vec![
            format!("{head}.{admin}.{signature}"),
            // A signature of nothing but zeros was once good for every message.
            format!("{message}.{}", zeros(64)),
            format!("{message}.{}", zeros(256)),
            format!("{token}."),
            format!("{token}.{signature}"),
            format!(".{token}"),
            format!("{token}="),
            "..".to_owned(),
            "a.b.c".to_owned(),
            token.to_uppercase(),
            "x".repeat(1 << 20),
            format!("{}{token}", "A".repeat(TOKEN_BYTES_MAX)),
        ];
        forged.extend((0..token.len()).map(|length| token[..length].to_owned()));
        refused(issuer, &forged);
    }
}

#[test]
fn a_header_of_ones_own_choosing_changes_nothing() {
    let keys = EC.keys();
    for (field, value) in [
        ("kid", "../../etc/passwd"),
        ("jku", "http://127.0.0.1:1/"),
        ("typ", "at+jwt"),
    ] {
        let token = signed(&EC, field, value);
        assert!(keys.verify(token.as_bytes()).is_ok(), "{token}");
    }
}

#[test]
fn keys_can_be_replaced_without_a_gap() {
    let next = ec(&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::ES256);
    let all = [&*RSA, &*EC, &next];
    let pems: String = all.iter().map(|issuer| issuer.public.as_str()).collect();
    for pem in [pems.clone(), pems.replace('\n', "\\n")] {
        let keys = JwtKeys::read(&pem, None, "fiberstack").unwrap();
        assert_eq!(format!("{keys:?}"), "[RS256, ES256, ES256]");
        for issuer in all {
            assert!(keys.verify(issuer.token(&good()).as_bytes()).is_ok());
        }
    }
}

#[test]
fn keys_that_are_none_or_weak_are_told_at_the_start() {
    let private = pem("PRIVATE KEY", b"whatever");
    let p384 = ec(&ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::ES384).public;
    let k256 = ec(&ECDSA_P256K1_SHA256_FIXED_SIGNING, Algorithm::ES256).public;
    let cut = &EC.public[..EC.public.len() / 2];
    let five = EC.public.repeat(5);
    for bad in [
        "",
        "secret",
        "-----BEGIN PUBLIC KEY-----",
        &private,
        RSA_1024,
        &p384,
        &k256,
        cut,
        &five,
    ] {
        let mistake = JwtKeys::read(bad, None, "fiberstack").unwrap_err();
        assert!(!mistake.contains("MF"), "{mistake}");
    }
}
