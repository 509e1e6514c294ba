//! From what a request carries to whom it counts as.

use super::principal::{Denied, Principal};
use super::secret::FederationSecrets;
use crate::config::{Config, Environment};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// One per process, shared by all cores and by the query side.
#[derive(Debug)]
pub struct Authorizer {
    /// Development: who sends no token may look.
    open: bool,
    federation: FederationSecrets,
}

impl Authorizer {
    pub fn new(config: &Config) -> Self {
        Self {
            open: config.environment == Environment::Dev,
            federation: FederationSecrets::new(
                &config.federation_secret,
                config.federation_secret_previous.as_ref(),
            ),
        }
    }

    /// Who pushes: always somebody with a token, by the value of the Authorization field.
    pub fn pusher(&self, authorization: Option<&[u8]>) -> Result<Principal, Denied> {
        let principal = authorization
            .and_then(bearer)
            .and_then(|token| self.holder(token))
            .ok_or(Denied::Unknown)?;
        principal.require_push()?;
        Ok(principal)
    }

    /// Who asks. A token that is wrong is refused in development too.
    pub fn asker(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        match (fields.next().map(HeaderValue::as_bytes), fields.next()) {
            (None, _) if self.open => Ok(Principal::Anonymous),
            (Some(field), None) => bearer(field)
                .and_then(|token| self.holder(token))
                .ok_or(Denied::Unknown),
            // Two of them are nobody's.
            _ => Err(Denied::Unknown),
        }
    }

    /// How often FEDERATION_SECRET_PREVIOUS was used; while this grows, probes still have it.
    pub fn previous_secret_uses(&self) -> u64 {
        self.federation.previous_uses()
    }

    /// The one to whom a token was given.
    fn holder(&self, token: &[u8]) -> Option<Principal> {
        self.federation
            .matches(token)
            .then_some(Principal::Federation)
    }
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
    use crate::config::load;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const PREVIOUS: &str = "fedcba9876543210fedcba9876543210";

    fn authorizer(environment: &'static str) -> Authorizer {
        let values = move |name: &str| match name {
            "ENV" => Some(environment.to_owned()),
            "DB_PASS" | "FEDERATION_SECRET" => Some(SECRET.to_owned()),
            "FEDERATION_SECRET_PREVIOUS" => Some(PREVIOUS.to_owned()),
            _ => None,
        };
        Authorizer::new(&load(&values).unwrap())
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
        assert_eq!(authorizer("dev").pusher(None), Err(Denied::Unknown));
    }

    #[test]
    fn the_secret_before_opens_too_and_its_uses_are_counted() {
        let authorizer = authorizer("prod");
        for (secret, uses) in [(SECRET, 0), (PREVIOUS, 1), (SECRET, 1), ("neither", 1)] {
            let field = format!("Bearer {secret}");
            let known = authorizer.pusher(Some(field.as_bytes())).is_ok();
            assert_eq!(known, secret != "neither");
            assert_eq!(authorizer.previous_secret_uses(), uses, "{secret}");
        }
    }

    #[test]
    fn only_the_exact_secret_opens() {
        let good = format!("Bearer {SECRET}");
        for environment in ["dev", "prod"] {
            let check = |field: &str, expect: Result<Principal, Denied>| {
                let pusher = authorizer(environment).pusher(Some(field.as_bytes()));
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
}
