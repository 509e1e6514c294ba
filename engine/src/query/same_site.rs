//! Whether a request that changes something was made by our own page.
//!
//! A browser sends cookies by itself, so another site's page could make it act for the one who is
//! signed in. `SameSite=Strict` keeps the cookies back; this does not rely on it. Requests with an
//! Authorization field are not judged: no page of another site can set that.
//!
//! `Sec-Fetch-Site` is told by the browser itself and set by no page; it does not depend on what a
//! proxy makes of Host. Browsers that do not send it (plain HTTP to another machine) send Origin,
//! which must be the host that was asked, by Host or by the proxy's X-Forwarded-Host.

use super::error::Error;
use fiber_contract::access::{ACCESS_COOKIE, REFRESH_COOKIE};
use hyper::Method;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// `gives_cookies`: the route signs a browser in, so nobody else may make it do that either.
pub(super) fn judge(
    method: &Method,
    headers: &HeaderMap,
    gives_cookies: bool,
) -> Result<(), Error> {
    let changes = *method != Method::GET && *method != Method::HEAD;
    if !changes || headers.contains_key(AUTHORIZATION) {
        return Ok(());
    }
    let has_cookies = has_cookie(headers, ACCESS_COOKIE) || has_cookie(headers, REFRESH_COOKIE);
    if !has_cookies && !gives_cookies {
        return Ok(());
    }
    match verdict(headers) {
        Some(true) => Ok(()),
        // No browser: those say where they come from. With a browser's cookies that is not believed.
        None if !has_cookies => Ok(()),
        Some(false) | None => Err(Error::ForeignPage),
    }
}

/// Two of them make a request nobody's, but a cookie is there all the same.
fn has_cookie(headers: &HeaderMap, name: &str) -> bool {
    crate::auth::cookie(headers, name) != Ok(None)
}

fn verdict(headers: &HeaderMap) -> Option<bool> {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return Some(site == "same-origin" || site == "none");
    }
    let origin = headers.get(ORIGIN)?.to_str().unwrap_or_default();
    let asked = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    let is_ours = |name| {
        let hosts = headers.get_all(name).iter();
        let mut hosts = hosts.filter_map(|host| host.to_str().ok());
        asked.is_some_and(|asked| hosts.any(|host| host.eq_ignore_ascii_case(asked)))
    };
    Some(is_ours(HOST) || is_ours(FORWARDED_HOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{COOKIE, HeaderValue};

    const OURS: (&str, &str) = ("host", "fiber.example:8443");
    const SIGNED_IN: (&str, &str) = ("cookie", "a=b; fiber_access=fu1.x");

    fn allowed(method: &Method, fields: &[(&'static str, &'static str)], gives: bool) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        judge(method, &headers, gives).is_ok()
    }

    #[test]
    fn only_our_own_page_uses_the_cookies() {
        let post =
            |fields: &[_]| allowed(&Method::POST, &[&[OURS, SIGNED_IN], fields].concat(), false);
        for fine in [
            &[("sec-fetch-site", "same-origin")][..],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://other"),
            ],
            &[("origin", "https://fiber.example:8443")],
            &[("origin", "http://fiber.example:8443")],
            &[
                ("origin", "https://ops.example"),
                ("x-forwarded-host", "ops.example"),
            ],
            &[("authorization", "Bearer x")],
        ] {
            assert!(post(fine), "{fine:?}");
        }
        for bad in [
            &[][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://fiber.example:8443"),
            ],
            &[("origin", "null")],
            &[("origin", "https://fiber.example")],
            &[("origin", "https://fiber.example:8443.evil.test")],
            &[("origin", "https://evil.test")],
            &[("origin", "")],
        ] {
            assert!(!post(bad), "{bad:?}");
        }
    }

    #[test]
    fn signing_in_is_for_our_page_and_for_no_page() {
        let login = |fields: &[_]| allowed(&Method::POST, fields, true);
        assert!(login(&[OURS]));
        assert!(login(&[OURS, ("sec-fetch-site", "same-origin")]));
        assert!(!login(&[OURS, ("sec-fetch-site", "cross-site")]));
        assert!(!login(&[OURS, ("origin", "https://evil.test")]));
        assert!(!login(&[
            OURS,
            ("cookie", "fiber_refresh=x; fiber_refresh=y")
        ]));
    }

    #[test]
    fn reading_and_other_cookies_are_nobodys_business() {
        let foreign = ("sec-fetch-site", "cross-site");
        for method in [Method::GET, Method::HEAD] {
            assert!(allowed(&method, &[OURS, SIGNED_IN, foreign], false));
        }
        for method in [Method::POST, Method::PATCH, Method::DELETE] {
            assert!(!allowed(&method, &[OURS, SIGNED_IN, foreign], false));
            let other = (COOKIE.as_str(), "session=1").1;
            assert!(allowed(&method, &[OURS, ("cookie", other), foreign], false));
        }
    }
}
