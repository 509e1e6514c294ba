//! The address of a client behind proxies.
//!
//! Anybody can write X-Forwarded-For. What can be believed is what our own proxies appended to it:
//! read from its end, the first hop that is no proxy of ours is the client, and whatever stands
//! before it is hearsay. Without trusted proxies the field is not read at all.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Hops that are looked at; a longer chain of our own proxies is a mistake of configuration.
const HOPS_MAX: usize = 16;

/// Networks whose X-Forwarded-For is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    prefix: u32,
    is_v4: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a network like 10.0.0.0/8, fd00::/8 or 192.0.2.7")
    }
}

/// Left-aligned, so that a prefix is one shift for both families.
fn bits(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
        IpAddr::V6(address) => (address.to_bits(), false),
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let (bits, is_v4) = bits(address.parse().map_err(|_| NotANetwork)?);
        let width = if is_v4 { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| NotANetwork)?
            }
            Some(_) => return Err(NotANetwork),
            None => width,
        };
        // 10.1.2.3/8 is a slip of somebody: which of the two was meant?
        if prefix > width || bits.checked_shl(prefix).unwrap_or(0) != 0 {
            return Err(NotANetwork);
        }
        Ok(Self {
            bits,
            prefix,
            is_v4,
        })
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits(address);
        let differing = bits ^ self.bits;
        is_v4 == self.is_v4 && differing.checked_shr(128 - self.prefix).unwrap_or(0) == 0
    }
}

impl TrustedProxies {
    pub fn add(&mut self, text: &str) -> Result<(), NotANetwork> {
        self.0.push(text.parse()?);
        Ok(())
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who is behind `peer`. `lines` are the values of X-Forwarded-For as they came.
    pub fn client<'h>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'h [u8]>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops = lines
            .rev()
            .flat_map(|line| line.rsplit(|byte| *byte == b','))
            .take(HOPS_MAX);
        while self.contains(client) {
            // A hop that cannot be read ends what is known.
            let Some(hop) = hops.next().and_then(hop) else {
                break;
            };
            client = hop;
        }
        client
    }
}

/// An address, as proxies write it: alone, with a port, or in brackets.
fn hop(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(list: &str) -> TrustedProxies {
        let mut proxies = TrustedProxies::default();
        for one in list.split(' ').filter(|one| !one.is_empty()) {
            proxies.add(one).unwrap();
        }
        proxies
    }

    fn check(trusted: &str, peer: &str, lines: &[&str], expect: &str) {
        let client = proxies(trusted).client(
            peer.parse().unwrap(),
            lines.iter().map(|line| line.as_bytes()),
        );
        let expect: IpAddr = expect.parse().unwrap();
        assert_eq!(client, expect, "{trusted:?} {peer} {lines:?}");
    }

    #[test]
    fn the_last_hop_that_is_not_ours_is_the_client() {
        let ours = "10.0.0.0/8 fd00::/8";
        check(ours, "10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        check(ours, "10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9");
        check(ours, "10.0.0.1", &["203.0.113.9, 10.0.0.2"], "203.0.113.9");
        check(
            ours,
            "10.0.0.1",
            &["1.1.1.1", "203.0.113.9 , 10.9.9.9"],
            "203.0.113.9",
        );
        check(
            ours,
            "::ffff:10.0.0.1",
            &["[2001:db8::1]:4711"],
            "2001:db8::1",
        );
        check(ours, "fd00::1", &["203.0.113.9:80"], "203.0.113.9");
    }

    #[test]
    fn what_a_stranger_says_of_itself_is_not_read() {
        check("", "198.51.100.7", &["10.0.0.1"], "198.51.100.7");
        check("10.0.0.0/8", "198.51.100.7", &["1.1.1.1"], "198.51.100.7");
        check("10.0.0.0/8", "11.0.0.1", &["10.0.0.1"], "11.0.0.1");
    }

    #[test]
    fn what_cannot_be_read_ends_what_is_known() {
        let ours = "10.0.0.0/8";
        for line in [
            "",
            "unknown",
            "1.1.1.1, _hidden",
            "\u{ff}",
            "1.1.1.1,",
            "1.1.1.1.1",
        ] {
            check(ours, "10.0.0.1", &[line], "10.0.0.1");
        }
        check(ours, "10.0.0.1", &[], "10.0.0.1");
        check(ours, "10.0.0.1", &["10.0.0.2"], "10.0.0.2");
        let long = format!("203.0.113.9{}", ", 10.0.0.2".repeat(1_000));
        check(ours, "10.0.0.1", &[&long], "10.0.0.2");
    }

    #[test]
    fn networks_are_read_strictly() {
        for good in [
            "0.0.0.0/0",
            "::/0",
            "192.0.2.7",
            "2001:db8::/32",
            "192.0.2.7/32",
        ] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "10.0.0.0/33",
            "10.1.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "fd00::/129",
            "any",
            "10.0.0.0/8/8",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains("8.8.8.8".parse().unwrap()));
        assert!(!everything.contains("2001:db8::1".parse().unwrap()));
    }
}
