//! From what a request carries to whom it counts as.

use super::jwt::JwtKeys;
use super::keys::{KeySecrets, Revoked};
use super::memo::Memo;
use super::people::{Access, AccessKeys, Known};
use super::principal::{Denied, Principal};
use super::secret::FederationSecrets;
use super::signed::{Nonces, SignatureFields, Signed};
use crate::config::{Config, Environment};
use fiber_contract::UnixMicros;
use fiber_contract::access::ACCESS_COOKIE;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap};
use std::sync::Arc;

/// One per process, shared by all cores and by the query side.
#[derive(Debug)]
pub struct Authorizer {
    /// Development: who sends no token may look.
    open: bool,
    federation: FederationSecrets,
    keys: Option<KeySecrets>,
    revoked: Arc<Revoked>,
    jwt_keys: Option<JwtKeys>,
    access_keys: AccessKeys,
    known: Arc<Known>,
    nonces: Nonces,
}

/// What a token gives.
struct Grant {
    principal: Principal,
    until: Option<UnixMicros>,
}

impl Authorizer {
    pub fn new(config: &Config) -> Self {
        Self {
            open: config.environment == Environment::Dev,
            federation: FederationSecrets::new(
                &config.federation_secret,
                config.federation_secret_previous.as_ref(),
            ),
            keys: KeySecrets::of(config),
            revoked: Arc::default(),
            jwt_keys: config.jwt_keys.clone(),
            access_keys: AccessKeys::of(config),
            known: Arc::default(),
            nonces: Nonces::default(),
        }
    }

    /// Who pushes: always somebody with a token, by the value of the Authorization field.
    pub fn pusher(
        &self,
        authorization: Option<&[u8]>,
        memo: &mut Memo,
    ) -> Result<Arc<Principal>, Denied> {
        let field = authorization.ok_or(Denied::Unknown)?;
        // Read first: what is revoked while this is judged makes the memo stale, not wrong.
        let generation = self.revoked.generation() + self.known.generation();
        if let Some(principal) = memo.recall(field, generation) {
            return Ok(principal);
        }
        let grant = self.holder(bearer(field).ok_or(Denied::Unknown)?)?;
        grant.principal.require_push()?;
        let principal = Arc::new(grant.principal);
        memo.keep(field, &principal, grant.until, generation);
        Ok(principal)
    }

    /// Who asks. A token that is wrong is refused in development too. Without an Authorization field
    /// a browser's cookie counts, for access tokens of users alone.
    pub fn asker(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        if headers.contains_key(AUTHORIZATION) {
            let field = authorization(headers).ok_or(Denied::Unknown)?;
            let token = bearer(field).ok_or(Denied::Unknown)?;
            return Ok(self.holder(token)?.principal);
        }
        match cookie(headers, ACCESS_COOKIE)? {
            Some(token) => Ok(self.user(token.as_bytes())?.principal),
            None if self.open => Ok(Principal::Anonymous),
            None => Err(Denied::Unknown),
        }
    }

    /// The user's token behind a request, if it was one and was signed here, good or ended.
    pub(crate) fn access(&self, headers: &HeaderMap) -> Option<Access> {
        let token = match authorization(headers) {
            Some(field) => bearer(field)?,
            None => cookie(headers, ACCESS_COOKIE).ok()??.as_bytes(),
        };
        self.access_keys.verify(token)
    }

    /// For what goes on for long after it was allowed: whether the user is still who it was. A token
    /// that merely expired meanwhile ends nothing.
    pub(crate) fn still(&self, access: Option<&Access>) -> bool {
        access.is_none_or(|access| self.known.judge(access).is_ok())
    }

    /// What a head claims to be signed, judged by form and clock; `None` when it is not signed.
    pub fn signed(
        &self,
        fields: SignatureFields<'_>,
        batch_id: Option<&[u8]>,
    ) -> Result<Option<Signed>, Denied> {
        Signed::of(fields, batch_id, UnixMicros::now())
    }

    /// Whether the claim holds for this body. The nonce is used up only if it does.
    pub fn check_signature(&self, signed: &Signed, body_sha256: &[u8; 32]) -> Result<(), Denied> {
        let message = signed.message(body_sha256);
        let holds = self.federation.signed(&message, signed.signature())
            && self.nonces.claim(&message, UnixMicros::now());
        if holds { Ok(()) } else { Err(Denied::Unknown) }
    }

    /// How often FEDERATION_SECRET_PREVIOUS was used; while this grows, probes still have it.
    pub fn previous_secret_uses(&self) -> u64 {
        self.federation.previous_uses()
    }

    /// The one to whom a token was given.
    fn holder(&self, token: &[u8]) -> Result<Grant, Denied> {
        if KeySecrets::is_key(token) {
            return self.probe(token);
        }
        if AccessKeys::is_access(token) {
            return self.user(token);
        }
        if self.federation.matches(token) {
            return Ok(Grant {
                principal: Principal::Federation,
                until: None,
            });
        }
        let jwt_keys = self.jwt_keys.as_ref().ok_or(Denied::Unknown)?;
        let (principal, until) = jwt_keys.verify(token)?;
        Ok(Grant {
            principal,
            until: Some(until),
        })
    }

    fn probe(&self, token: &[u8]) -> Result<Grant, Denied> {
        let keys = self.keys.as_ref().ok_or(Denied::Unknown)?;
        let key = keys.verify(token).ok_or(Denied::Unknown)?;
        let expired = key.expires_at.is_some_and(|at| at <= UnixMicros::now());
        match self.revoked.contains(key.id) {
            _ if expired => Err(Denied::Unknown),
            None => Err(Denied::Unchecked),
            Some(true) => Err(Denied::Unknown),
            Some(false) => Ok(Grant {
                principal: Principal::Probe {
                    node_id: key.node_id,
                },
                until: key.expires_at,
            }),
        }
    }

    fn user(&self, token: &[u8]) -> Result<Grant, Denied> {
        let access = self.access_keys.verify(token).ok_or(Denied::Unknown)?;
        if access.expires_at <= UnixMicros::now() {
            return Err(Denied::Unknown);
        }
        let (name, role) = self.known.judge(&access)?;
        Ok(Grant {
            principal: Principal::User { name, role },
            until: Some(access.expires_at),
        })
    }

    /// What signs access tokens, and what is known of users; `people` keeps it fresh.
    pub(crate) fn users(&self) -> (&AccessKeys, &Arc<Known>) {
        (&self.access_keys, &self.known)
    }

    /// A key that this engine revoked itself.
    pub(crate) fn note_revoked(&self, key_id: uuid::Uuid) {
        self.revoked.note(key_id);
    }

    /// Which keys are good no more; `keys::watch` keeps it fresh.
    pub fn revoked(&self) -> &Arc<Revoked> {
        &self.revoked
    }
}

/// The Authorization field, if there is one. Of two nobody can say which one a proxy in front had
/// judged, so two count as none.
pub fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    match (fields.next(), fields.next()) {
        (Some(only), None) => Some(only.as_bytes()),
        _ => None,
    }
}

/// The one value of a cookie. Of two, one may come from a page beside ours: none is believed.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Denied> {
    let mut found = None;
    for field in headers.get_all(COOKIE) {
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            let value = pair.trim_ascii().strip_prefix(name.as_bytes());
            let Some(value) = value.and_then(|rest| rest.strip_prefix(b"=")) else {
                continue;
            };
            if found.replace(value).is_some() {
                return Err(Denied::Unknown);
            }
        }
    }
    let text = found
        .filter(|value| !value.is_empty())
        .map(std::str::from_utf8);
    text.transpose().map_err(|_| Denied::Unknown)
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::ProbeKey;
    use crate::config::{Secret, load};
    use fiber_contract::access::Role;
    use hyper::header::HeaderValue;
    use uuid::Uuid;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const KEY_SECRET: &str = "00112233445566778899aabbccddeeff";
    const PREVIOUS: &str = "fedcba9876543210fedcba9876543210";

    fn authorizer(environment: &'static str) -> Authorizer {
        let values = move |name: &str| match name {
            "ENV" => Some(environment.to_owned()),
            "DB_PASS" | "FEDERATION_SECRET" => Some(SECRET.to_owned()),
            "API_KEY_SECRET" => Some(KEY_SECRET.to_owned()),
            "FEDERATION_SECRET_PREVIOUS" => Some(PREVIOUS.to_owned()),
            _ => None,
        };
        Authorizer::new(&load(&values).unwrap())
    }

    fn pusher(authorizer: &Authorizer, field: &str) -> Result<Principal, Denied> {
        let principal = authorizer.pusher(Some(field.as_bytes()), &mut Memo::default());
        principal.map(|principal| Principal::clone(&principal))
    }

    fn asker(environment: &'static str, fields: &[&str]) -> Result<Principal, Denied> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_str(field).unwrap());
        }
        authorizer(environment).asker(&headers)
    }

    #[test]
    fn who_sends_no_token_may_look_in_development_and_never_push() {
        assert_eq!(asker("dev", &[]), Ok(Principal::Anonymous));
        for environment in ["staging", "prod"] {
            assert_eq!(asker(environment, &[]), Err(Denied::Unknown));
        }
        assert_eq!(
            authorizer("dev").pusher(None, &mut Memo::default()),
            Err(Denied::Unknown)
        );
    }

    #[test]
    fn the_secret_before_opens_too_and_its_uses_are_counted() {
        let authorizer = authorizer("prod");
        for (secret, uses) in [(SECRET, 0), (PREVIOUS, 1), (SECRET, 1), ("neither", 1)] {
            let field = format!("Bearer {secret}");
            let known = pusher(&authorizer, &field).is_ok();
            assert_eq!(known, secret != "neither");
            assert_eq!(authorizer.previous_secret_uses(), uses, "{secret}");
        }
    }

    #[test]
    fn a_key_is_its_nodes_until_it_expires_or_is_revoked() {
        let secrets = KeySecrets::new(&Secret::new(KEY_SECRET), None);
        let key = |id: u128, expires_s: Option<i64>| {
            let key = ProbeKey {
                id: Uuid::from_u128(id),
                node_id: "accra-01".to_owned(),
                expires_at: expires_s.map(|s| UnixMicros(UnixMicros::now().0 + s * 1_000_000)),
            };
            format!("Bearer {}", secrets.sign(&key))
        };
        let authorizer = authorizer("prod");
        let good = key(1, Some(60));
        assert_eq!(
            pusher(&authorizer, &good),
            Err(Denied::Unchecked),
            "no list"
        );
        assert_eq!(
            pusher(&authorizer, &key(1, Some(-60))),
            Err(Denied::Unknown),
            "expired"
        );
        authorizer.revoked().add([Uuid::from_u128(9)].into());
        let accra = Principal::Probe {
            node_id: "accra-01".to_owned(),
        };
        assert_eq!(pusher(&authorizer, &good), Ok(accra.clone()));
        assert_eq!(pusher(&authorizer, &key(1, None)), Ok(accra));
        for bad in [key(1, Some(-2)), key(9, None), key(9, Some(60))] {
            assert_eq!(pusher(&authorizer, &bad), Err(Denied::Unknown));
        }
    }

    #[test]
    fn a_connection_learns_of_a_revocation() {
        let secrets = KeySecrets::new(&Secret::new(KEY_SECRET), None);
        let key = ProbeKey {
            id: Uuid::from_u128(1),
            node_id: "accra-01".to_owned(),
            expires_at: None,
        };
        let field = format!("Bearer {}", secrets.sign(&key));
        let authorizer = authorizer("prod");
        authorizer.revoked().add([].into());
        let mut memo = Memo::default();
        let mut push = || authorizer.pusher(Some(field.as_bytes()), &mut memo).is_ok();
        assert!(push() && push());
        authorizer.revoked().add([key.id].into());
        assert!(!push());
    }

    #[test]
    fn only_the_exact_secret_opens() {
        let good = format!("Bearer {SECRET}");
        for environment in ["dev", "prod"] {
            let check = |field: &str, expect: Result<Principal, Denied>| {
                let pusher = pusher(&authorizer(environment), field);
                assert_eq!(pusher, expect, "{field:?}");
                assert_eq!(asker(environment, &[field]), expect, "{field:?}");
            };
            for field in [
                good.clone(),
                good.replace("Bearer", "bearer"),
                good.replace("Bearer ", "Bearer  ") + " ",
            ] {
                check(&field, Ok(Principal::Federation));
            }
            for field in [
                "".to_owned(),
                "Bearer".to_owned(),
                "Bearer ".to_owned(),
                "Bearer wrong".to_owned(),
                SECRET.to_owned(),
                good.replace("Bearer", "Basic"),
                good[..good.len() - 1].to_owned(),
                good.clone() + "0",
                good.to_uppercase(),
            ] {
                check(&field, Err(Denied::Unknown));
            }
            assert_eq!(
                asker(environment, &[&good, &good]),
                Err(Denied::Unknown),
                "two fields"
            );
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_two_are_none() {
        let read = |fields: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(COOKIE, HeaderValue::from_static(field));
            }
            cookie(&headers, "fiber_access").map(|found| found.map(str::to_owned))
        };
        for (fields, expect) in [
            (&["fiber_access=x"][..], Some("x")),
            (&["a=b; fiber_access=x=y ; c"], Some("x=y")),
            (&["a=b", "fiber_access=x"], Some("x")),
            (&["xfiber_access=x; fiber_access2=y; fiber_access"], None),
            (&["fiber_access="], None),
            (&["a=fiber_access=x"], None),
            (&[], None),
        ] {
            assert_eq!(read(fields), Ok(expect.map(str::to_owned)), "{fields:?}");
        }
        for two in [
            &["fiber_access=x; fiber_access=x"][..],
            &["fiber_access=x", "fiber_access="],
        ] {
            assert_eq!(read(two), Err(Denied::Unknown), "{two:?}");
        }
    }

    #[test]
    fn a_users_token_is_bearer_or_cookie_and_no_other_token_is_a_cookie() {
        let authorizer = authorizer("dev");
        let (keys, known) = authorizer.users();
        let access = Access {
            user_id: Uuid::from_u128(1),
            session_id: Uuid::from_u128(2),
            epoch: 1,
            expires_at: UnixMicros(UnixMicros::now().0 + 60_000_000),
        };
        let expired = Access {
            expires_at: UnixMicros(UnixMicros::now().0 - 1),
            ..access
        };
        let asks = |name: &'static str, value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(&value).unwrap());
            authorizer.asker(&headers)
        };
        let bearer = |token: &str| asks("authorization", format!("Bearer {token}"));
        let cookie = |token: &str| asks("cookie", format!("fiber_access={token}"));
        let good = keys.sign(&access);
        assert_eq!(bearer(&good), Err(Denied::Unchecked), "no list yet");
        known.pretend(access.user_id, "ama", Role::Operator);
        let ama = Principal::User {
            name: "ama".to_owned(),
            role: Role::Operator,
        };
        assert_eq!((bearer(&good), cookie(&good)), (Ok(ama.clone()), Ok(ama)));
        let key = KeySecrets::new(&Secret::new(KEY_SECRET), None).sign(&ProbeKey {
            id: Uuid::from_u128(1),
            node_id: "a".to_owned(),
            expires_at: None,
        });
        authorizer.revoked().add([].into());
        assert!(bearer(&key).is_ok() && bearer(SECRET).is_ok());
        // In development too: a token that is wrong is not overlooked.
        for bad in [
            SECRET,
            key.as_str(),
            &keys.sign(&expired),
            "x",
            &good[..good.len() - 1],
        ] {
            assert_eq!(cookie(bad), Err(Denied::Unknown), "{bad}");
        }
        assert_eq!(bearer(&keys.sign(&expired)), Err(Denied::Unknown));
    }
}
