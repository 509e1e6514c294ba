//! The fleet over TLS against a real peer (rustls), with a certificate of a private authority.

use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::hello::{ANSWER, Hello};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wire/certificates")
        .join(name)
}

/// Answers every request on every connection. Ends with the test's process.
fn server() -> u16 {
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate("server.pem"))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let mut request = Vec::new();
                    loop {
                        if stream.read_buf(&mut request).await? == 0 {
                            return std::io::Result::Ok(());
                        }
                        // One sample: its body ends with the object.
                        if request.ends_with(b"}") {
                            request.clear();
                            stream.write_all(ANSWER).await?;
                        }
                    }
                });
            }
        });
    });
    port
}

fn config(url: String) -> Config {
    Config {
        url,
        probes: 5,
        rate: Rate::PerSecond(100.0),
        duration: Duration::from_millis(500),
        retry_for: Duration::from_secs(1),
        ..Config::default()
    }
}

#[test]
fn a_fleet_speaks_tls_by_name_and_by_address() {
    let port = server();
    for host in ["localhost", "127.0.0.1"] {
        let report = fleet::run(Config {
            ca_file: Some(certificate("ca.pem")),
            ..config(format!("https://{host}:{port}"))
        })
        .unwrap();
        assert_eq!(
            (report.samples.acked, report.samples.unknown),
            (50, 0),
            "{report}"
        );
        assert!(report.errors.is_empty(), "{report}");
        assert!(report.config.with.contains(&"tls".to_owned()));
    }
}

#[test]
fn a_peer_that_cannot_prove_its_name_gets_nothing() {
    let port = server();
    // An authority that nobody named, a name that is not in the certificate, a peer without TLS.
    let unknown = fleet::run(config(format!("https://localhost:{port}"))).unwrap_err();
    let other_name = fleet::run(Config {
        ca_file: Some(certificate("ca.pem")),
        ..config(format!("https://127.0.0.2:{port}"))
    });
    let plain = Hello::start(([127, 0, 0, 1], 0).into(), 1).unwrap();
    let no_tls = fleet::run(Config {
        ca_file: Some(certificate("ca.pem")),
        ..config(format!("https://localhost:{}", plain.address().port()))
    });
    for error in [unknown, other_name.unwrap_err(), no_tls.unwrap_err()] {
        let text = format!("{error:#}");
        assert!(
            text.contains("connect to ") && !text.contains("within"),
            "{text}"
        );
    }
}
