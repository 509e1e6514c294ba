//! What a probe measures.

use crate::client::Url;
use crate::client::url::split_authority;
use fiber_contract::limits::TARGET_HOST_BYTES_MAX;
use std::fmt;

/// `tcp://host:port`, `http[s]://…`, `icmp://host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Tcp { host: String, port: u16 },
    Http(Url),
    Icmp { host: String },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a target: {0} (tcp://host:port, http://…, https://… or icmp://host)")]
pub struct BadTarget(String);

impl Target {
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        Self::split(text)
            .filter(|target| target.host().len() <= TARGET_HOST_BYTES_MAX)
            .ok_or_else(|| BadTarget(text.to_owned()))
    }

    fn split(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("tcp://") {
            // There is no port to assume: a default that shows through means none was given.
            let (host, port) = split_authority(rest, 1)?;
            let given = split_authority(rest, 2)? == (host.clone(), port);
            return given.then_some(Self::Tcp { host, port });
        }
        if let Some(rest) = text.strip_prefix("icmp://") {
            let (host, port) = split_authority(rest, 1)?;
            return (port == 1).then_some(Self::Icmp { host });
        }
        Url::parse(text).ok().map(Self::Http)
    }

    /// `probe_type` of its samples.
    pub const fn probe_type(&self) -> &'static str {
        match self {
            Self::Tcp { .. } => "tcp",
            Self::Http(_) => "http",
            Self::Icmp { .. } => "icmp",
        }
    }

    /// `target_host` of its samples: enough to tell two targets of one probe apart.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Http(url) if url.path == "/" => url.authority(),
            Self::Http(url) => format!("{}{}", url.authority(), url.path),
            Self::Icmp { host } => host.clone(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => write!(f, "{url}"),
            _ => write!(f, "{}://{}", self.probe_type(), self.host()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_name_their_type_and_host() {
        for (text, probe_type, host) in [
            ("tcp://a.example:443", "tcp", "a.example:443"),
            ("https://a.example", "http", "a.example"),
            (
                "http://a.example:8080/health?x=1",
                "http",
                "a.example:8080/health?x=1",
            ),
            ("icmp://192.0.2.1", "icmp", "192.0.2.1"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(
                (target.probe_type(), target.host().as_str()),
                (probe_type, host)
            );
        }
        for bad in [
            "a.example",
            "tcp://a.example",
            "tcp://[::1]",
            "tcp://:80",
            "icmp://a:80",
            "udp://a:1",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
        assert!(Target::parse(&format!("tcp://{}:1", "a".repeat(300))).is_err());
    }
}
