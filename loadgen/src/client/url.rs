//! The little of URLs that a probe needs.

/// `http[s]://host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    /// Path and query, never empty, starts with `/`.
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an http:// or https:// URL: {0}")]
pub struct BadUrl(pub String);

impl Url {
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        Self::split(text).ok_or_else(|| BadUrl(text.to_owned()))
    }

    fn split(text: &str) -> Option<Self> {
        let (tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        let (host, port) = split_authority(authority, if tls { 443 } else { 80 })?;
        // The text goes into the request line and a header as it is.
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) || path.contains('#') {
            return None;
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Some(Self {
            tls,
            host,
            port,
            path,
        })
    }

    /// `host:port` for the socket; IPv6 addresses without brackets.
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The `Host` header.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == if self.tls { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The URL's path with another behind it.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.path.trim_end_matches('/'))
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(
            f,
            "{scheme}://{}{}",
            self.authority(),
            self.path.trim_end_matches('/')
        )
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
pub fn split_authority(text: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        (
            host,
            if after.is_empty() {
                None
            } else {
                Some(after.strip_prefix(':')?)
            },
        )
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
        None => default_port,
    };
    (!host.is_empty() && !host.contains(['@', '/']) && port != 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<(bool, &str, u16, &str, &str)>) {
        let url = Url::parse(text).ok();
        let authority = url.as_ref().map(Url::authority);
        let got = url.as_ref().zip(authority.as_ref());
        let got = got.map(|(u, a)| (u.tls, u.host.as_str(), u.port, u.path.as_str(), a.as_str()));
        assert_eq!(got, expect, "{text}");
    }

    #[test]
    fn urls_split_into_their_parts() {
        check("http://a", Some((false, "a", 80, "/", "a")));
        check(
            "https://a.b:8443/x?y=1",
            Some((true, "a.b", 8443, "/x?y=1", "a.b:8443")),
        );
        check(
            "http://[::1]:8000/",
            Some((false, "::1", 8000, "/", "[::1]:8000")),
        );
        check("http://a?q", Some((false, "a", 80, "/?q", "a")));
        for bad in [
            "a",
            "ftp://a",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a:0",
            "http://a:99999",
            "http://u@a",
            "http://a/ b",
            "http://a\r\nX: y",
            "http://a:+80",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn paths_join_with_one_slash() {
        for base in ["http://a", "http://a/"] {
            assert_eq!(Url::parse(base).unwrap().join("/api/push"), "/api/push");
        }
        assert_eq!(
            Url::parse("http://a/hub/").unwrap().join("/api/push"),
            "/hub/api/push"
        );
    }
}
