//! As much of an HTTP client as a check needs: one request on a connection of its own, read to its
//! end, with a limit on time and bytes.

use super::DEADLINE;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// `http[s]://[user:password@]host[:port][/path]`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) tls: bool,
    /// `user:password`, as Elasticsearch's URLs carry it; never printed.
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user.to_owned()), authority),
            None => (None, authority),
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                (host, after.strip_prefix(':'))
            }
            None => authority
                .split_once(':')
                .map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None if tls => 443,
            None => 80,
        };
        let is_plain = |text: &str| text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        (!host.is_empty() && is_plain(text)).then(|| Self {
            tls,
            user,
            host: host.to_owned(),
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{host}:{}", self.port)
    }
}

/// Without the password.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Whom to trust: the public authorities, and those of a file.
pub(super) fn connector(ca_file: Option<&Path>) -> io::Result<TlsConnector> {
    let invalid = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
    };
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = ca_file {
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| invalid(&error))? {
            let certificate = certificate.map_err(|error| invalid(&error))?;
            roots.add(certificate).map_err(|error| invalid(&error))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(super) async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let looked_up = timeout(
        DEADLINE,
        tokio::net::lookup_host((url.host.as_str(), url.port)),
    );
    let addresses: Vec<_> = looked_up.await.map_err(|_| late())??.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    Ok(addresses)
}

pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(DEADLINE, TcpStream::connect(address))
        .await
        .map_err(|_| late())??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) async fn handshake(
    url: &Url,
    connector: &TlsConnector,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    timeout(DEADLINE, connector.connect(name, stream))
        .await
        .map_err(|_| late())?
}

fn late() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {} s", DEADLINE.as_secs()),
    )
}

/// One request. `head` is what comes after the request line and Host.
pub(super) async fn request(
    url: &Url,
    address: SocketAddr,
    connector: &TlsConnector,
    (method, path, head, body): (&str, &str, &str, &[u8]),
    limit: Duration,
) -> io::Result<Answer> {
    let mut bytes = format!(
        "{method} {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{head}Content-Length: {}\r\n\r\n",
        url.path,
        url.authority(),
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    let stream = connect(address).await?;
    let exchange = async {
        if url.tls {
            exchange(handshake(url, connector, stream).await?, &bytes).await
        } else {
            exchange(stream, &bytes).await
        }
    };
    timeout(limit, exchange).await.map_err(|_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", limit.as_secs()),
        )
    })?
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> io::Result<Answer> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut bytes = Vec::new();
    // A peer that drops a TLS connection without its goodbye has still said all that it said.
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    parse(&bytes).ok_or_else(|| {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the answer is no HTTP: {start:?}"),
        )
    })
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.")?
        .get(2..5)?
        .parse()
        .ok()?;
    let field = |name: &str| {
        head.split("\r\n").skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let body = &bytes[end + 4..];
    let is_chunked =
        field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body = if is_chunked {
        join_chunks(body)?
    } else {
        match field("content-length") {
            Some(length) => body.get(..length.parse().ok()?)?.to_vec(),
            None => body.to_vec(),
        }
    };
    Some(Answer { status, body })
}

fn join_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = memchr::memmem::find(rest, b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let data = end + 2;
        body.extend_from_slice(rest.get(data..data.checked_add(size)?)?);
        rest = rest.get(data + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_printed_without_its_password() {
        let url = Url::parse("https://elastic:pa@ss@es.example:9200/x/").unwrap();
        assert_eq!(url.user.as_deref(), Some("elastic:pa@ss"));
        assert_eq!(url.to_string(), "https://es.example:9200/x");
        assert_eq!(Url::parse("http://[::1]:8000").unwrap().host, "::1");
        assert_eq!(Url::parse("https://a").unwrap().port, 443);
        for bad in [
            "a",
            "ftp://a",
            "http://",
            "http://a:x",
            "http://a:99999",
            "http://a b",
        ] {
            assert!(Url::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_cut_answer_is_none() {
        let whole: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(whole).unwrap().status, 202);
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_none(), "{end}");
        }
        let chunked: &[u8] =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap().body, b"{}");
        let huge: &[u8] =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}";
        assert!(parse(huge).is_none());
    }
}
