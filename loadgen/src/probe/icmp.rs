//! ICMP echo over an unprivileged datagram socket.
//!
//! Linux allows them to the groups in `net.ipv4.ping_group_range`; where it does not, the packets
//! count as failed and the reason names the setting. The kernel writes the identifier and matches
//! answers to the socket, so the sequence number alone tells a late answer from ours.

use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::time::timeout;

const HEAD_BYTES: usize = 8;
const PAYLOAD: &[u8; 24] = b"fiber-probe round trip..";

pub(super) async fn echo(
    address: IpAddr,
    number: u32,
    limit: Duration,
) -> Result<Duration, String> {
    let fail = |action: &str, error: std::io::Error| {
        let hint = if error.kind() == std::io::ErrorKind::PermissionDenied {
            " (ping sockets are not allowed here: see net.ipv4.ping_group_range)"
        } else {
            ""
        };
        format!("{action} {address}: {error}{hint}")
    };
    let socket = open(address).map_err(|error| fail("open a ping socket to", error))?;
    let sequence = u16::try_from(number % 0xFFFF).unwrap_or(0);
    let request = request(address, sequence);
    let begin = Instant::now();
    let exchange = async {
        socket.send(&request).await?;
        let mut answer = [0; 256];
        loop {
            let length = socket.recv(&mut answer).await?;
            if is_reply(address, sequence, &answer[..length]) {
                return Ok(begin.elapsed());
            }
        }
    };
    match timeout(limit, exchange).await {
        Ok(result) => result.map_err(|error| fail("ping", error)),
        Err(_) => Err(format!("ping {address}: no answer within {limit:?}")),
    }
}

fn open(address: IpAddr) -> std::io::Result<tokio::net::UdpSocket> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.connect(&SocketAddr::new(address, 0).into())?;
    tokio::net::UdpSocket::from_std(UdpSocket::from(socket))
}

fn request(address: IpAddr, sequence: u16) -> Vec<u8> {
    let kind = if address.is_ipv4() { 8 } else { 128 };
    let mut packet = vec![kind, 0, 0, 0, 0, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(PAYLOAD);
    // ICMPv6's checksum covers addresses that only the kernel knows: it fills it in.
    if address.is_ipv4() {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

fn is_reply(address: IpAddr, sequence: u16, answer: &[u8]) -> bool {
    let kind = if address.is_ipv4() { 0 } else { 129 };
    answer.len() >= HEAD_BYTES
        && answer[0] == kind
        && answer[6..8] == sequence.to_be_bytes()
        && answer[8..] == PAYLOAD[..]
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks(2).map(|pair| {
        u32::from(u16::from_be_bytes([
            pair[0],
            pair.get(1).copied().unwrap_or(0),
        ]))
    });
    let sum = words.sum::<u32>();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !u16::try_from((folded & 0xFFFF) + (folded >> 16)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_with_its_checksum_sums_to_zero() {
        for sequence in [0, 1, 0x1234, 0xFFFE] {
            assert_eq!(
                checksum(&request(IpAddr::from([127, 0, 0, 1]), sequence)),
                0
            );
        }
    }

    #[test]
    fn only_the_answer_to_this_packet_counts() {
        let address = IpAddr::from([127, 0, 0, 1]);
        let mut answer = request(address, 7);
        assert!(!is_reply(address, 7, &answer), "our own request");
        answer[0] = 0;
        assert!(is_reply(address, 7, &answer));
        assert!(!is_reply(address, 8, &answer));
        assert!(!is_reply(address, 7, &answer[..6]));
    }
}
