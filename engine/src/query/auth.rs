//! Who may ask. Open in development; otherwise the shared secret as a bearer token.

use crate::admit::TokenDigest;
use crate::config::{Environment, Secret};
use hyper::header::{AUTHORIZATION, HeaderMap};

#[derive(Debug)]
pub(crate) struct Authorizer {
    open: bool,
    token: TokenDigest,
}

impl Authorizer {
    pub(crate) fn new(environment: Environment, secret: &Secret) -> Self {
        Self {
            open: environment == Environment::Dev,
            token: TokenDigest::of(secret),
        }
    }

    pub(crate) fn allows(&self, headers: &HeaderMap) -> bool {
        self.open || bearer(headers).is_some_and(|token| self.token.matches(token))
    }
}

/// The token of the one Authorization field; two of them are nobody's.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next()?.as_bytes();
    if fields.next().is_some() {
        return None;
    }
    let (scheme, token) = field.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn check(environment: Environment, fields: &[&'static str], expect: bool) {
        let authorizer = Authorizer::new(environment, &Secret::new("s3cret"));
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_static(field));
        }
        assert_eq!(
            authorizer.allows(&headers),
            expect,
            "{environment:?} {fields:?}"
        );
    }

    #[test]
    fn development_is_open_and_nothing_else_is() {
        check(Environment::Dev, &[], true);
        check(Environment::Staging, &[], false);
        check(Environment::Prod, &[], false);
    }

    #[test]
    fn only_the_exact_secret_opens() {
        check(Environment::Prod, &["Bearer s3cret"], true);
        check(Environment::Prod, &["bearer s3cret"], true);
        for field in [
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3crets",
            "Basic s3cret",
            "s3cret",
            "",
        ] {
            check(Environment::Prod, &[field], false);
        }
        check(
            Environment::Prod,
            &["Bearer s3cret", "Bearer s3cret"],
            false,
        );
    }
}
