//! A TCP proxy that disturbs the link it stands on, at the moment it is told to.
//!
//! Guarantees: a fault takes effect on connections that are open and on new ones; bytes are never
//! changed, reordered or invented; what is held back is delivered when the fault ends, as TCP would
//! after a partition. It does not drop single packets: TCP would hide that, and a delay shows it.
//! The handshake of a held link still succeeds, because the proxy's own kernel answers it.

use socket2::SockRef;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Pass,
    /// Each piece waits so long.
    Delay(Duration),
    /// This many bytes a second.
    Slow(u32),
    /// Nothing passes and nothing is closed.
    Hold,
}

#[derive(Clone, Copy, Debug)]
struct Control {
    to_server: Lane,
    to_client: Lane,
    /// Raised once for each order, so that connections tell orders from before their time.
    resets: u64,
    half_opens: u64,
    refuse: bool,
    ended: bool,
}

/// Ends, with its connections, on drop.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// On a free port of 127.0.0.1, in front of `target`.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (control, orders) = watch::channel(Control {
            to_server: Lane::Pass,
            to_client: Lane::Pass,
            resets: 0,
            half_opens: 0,
            refuse: false,
            ended: false,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || runtime.block_on(accept(listener, target, orders)))?;
        Ok(Self {
            address,
            control,
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn both_ways(&self, lane: Lane) {
        self.control.send_modify(|now| {
            now.to_server = lane;
            now.to_client = lane;
        });
    }

    pub fn to_server(&self, lane: Lane) {
        self.control.send_modify(|now| now.to_server = lane);
    }

    pub fn to_client(&self, lane: Lane) {
        self.control.send_modify(|now| now.to_client = lane);
    }

    /// Both sides of every open connection get a reset.
    pub fn reset(&self) {
        self.control.send_modify(|now| now.resets += 1);
    }

    /// The server's side of every open connection is reset, and the client hears nothing of it.
    pub fn half_open(&self) {
        self.control.send_modify(|now| now.half_opens += 1);
    }

    /// New connections are reset at once.
    pub fn refuse(&self, refuse: bool) {
        self.control.send_modify(|now| now.refuse = refuse);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.control.send_modify(|now| now.ended = true);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; there is nothing left to clean up.
            thread.join().unwrap_or_default();
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    target: SocketAddr,
    mut orders: watch::Receiver<Control>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let connections = orders.clone();
    let serving = async {
        loop {
            match listener.accept().await {
                Ok((client, _)) => drop(tokio::spawn(serve(client, target, connections.clone()))),
                // Out of descriptors, or a client gone in between: neither is the link's end.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::select! {
        () = serving => {}
        _ = orders.wait_for(|now| now.ended) => {}
    }
}

async fn serve(mut client: TcpStream, target: SocketAddr, mut orders: watch::Receiver<Control>) {
    let born = *orders.borrow();
    if born.refuse {
        return reset_on_drop(&client);
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        return reset_on_drop(&client);
    };
    for stream in [&client, &server] {
        // Only speed is lost without it.
        stream.set_nodelay(true).unwrap_or_default();
    }
    let is_fault =
        |now: &Control| now.resets != born.resets || now.half_opens != born.half_opens || now.ended;
    let (to_server, to_client) = (orders.clone(), orders.clone());
    let ended_by_fault = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let up = pump(client_read, server_write, to_server, |now| now.to_server);
        let down = pump(server_read, client_write, to_client, |now| now.to_client);
        tokio::select! {
            done = async { tokio::try_join!(up, down) } => done.is_err(),
            _ = orders.wait_for(is_fault) => true,
        }
    };
    if !ended_by_fault {
        return;
    }
    reset_on_drop(&server);
    drop(server);
    let born_resets = born.resets;
    let is_silent = {
        let now = orders.borrow();
        now.half_opens != born.half_opens && now.resets == born_resets && !now.ended
    };
    if is_silent {
        // Until the client gives up, or the next order.
        let mut heard = [0; 1_024];
        let client_ends = async { while client.read(&mut heard).await.is_ok_and(|n| n > 0) {} };
        tokio::select! {
            () = client_ends => {}
            _ = orders.wait_for(|now| now.resets != born_resets || now.ended) => {}
        }
    }
    reset_on_drop(&client);
}

/// Closing then sends a reset, and not an orderly end.
fn reset_on_drop(stream: &TcpStream) {
    SockRef::from(stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap_or_default();
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut orders: watch::Receiver<Control>,
    of: fn(&Control) -> Lane,
) -> io::Result<()> {
    const SLOW_STEP: Duration = Duration::from_millis(50);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        // Asked after the read: what arrives during a fault belongs to it.
        let lane = match orders.wait_for(|now| of(now) != Lane::Hold).await {
            Ok(now) => of(&now),
            Err(_) => return Ok(()),
        };
        if count == 0 {
            return to.shutdown().await;
        }
        let mut piece = &buffer[..count];
        match lane {
            Lane::Pass | Lane::Hold => {}
            Lane::Delay(wait) => tokio::time::sleep(wait).await,
            Lane::Slow(bytes_s) => {
                let step = (bytes_s as usize / 20).max(1);
                while piece.len() > step && of(&orders.borrow()) == lane {
                    to.write_all(&piece[..step]).await?;
                    piece = &piece[step..];
                    tokio::time::sleep(SLOW_STEP).await;
                }
            }
        }
        to.write_all(piece).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::time::Instant;

    /// A server that sends back what it gets.
    fn echo() -> SocketAddr {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut read = stream.try_clone().unwrap();
                    std::io::copy(&mut read, &mut &stream).unwrap_or_default();
                });
            }
        });
        address
    }

    fn link() -> (Proxy, std::net::TcpStream) {
        let proxy = Proxy::start(echo()).unwrap();
        let stream = std::net::TcpStream::connect(proxy.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        (proxy, stream)
    }

    fn exchange(stream: &mut std::net::TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes)?;
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back)?;
        assert_eq!(back, bytes);
        Ok(())
    }

    #[test]
    fn what_is_held_arrives_after_the_fault_and_not_before() {
        for one_way in [true, false] {
            let (proxy, mut stream) = link();
            exchange(&mut stream, b"before").unwrap();
            if one_way {
                proxy.to_client(Lane::Hold);
            } else {
                proxy.both_ways(Lane::Hold);
            }
            stream.write_all(b"during").unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            let mut back = [0; 6];
            let silence = stream.read_exact(&mut back).unwrap_err();
            assert_eq!(silence.kind(), ErrorKind::WouldBlock);
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            proxy.both_ways(Lane::Pass);
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"during");
        }
    }

    #[test]
    fn a_reset_is_a_reset_and_new_connections_pass() {
        let (proxy, mut stream) = link();
        exchange(&mut stream, b"before").unwrap();
        proxy.reset();
        let end = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
        let mut next = std::net::TcpStream::connect(proxy.address()).unwrap();
        exchange(&mut next, b"after").unwrap();
    }

    #[test]
    fn a_half_open_connection_is_silent_until_the_next_reset() {
        let (proxy, mut stream) = link();
        exchange(&mut stream, b"before").unwrap();
        proxy.half_open();
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        stream.write_all(b"into the void").unwrap();
        let silence = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::WouldBlock);
        proxy.reset();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let end = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_delay_and_a_slow_lane_take_at_least_their_time() {
        let (proxy, mut stream) = link();
        proxy.to_server(Lane::Delay(Duration::from_millis(150)));
        let began = Instant::now();
        exchange(&mut stream, b"late").unwrap();
        assert!(began.elapsed() >= Duration::from_millis(150));
        proxy.to_server(Lane::Slow(1_000));
        let began = Instant::now();
        exchange(&mut stream, &[7; 300]).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn refused_connections_end_and_open_ones_go_on() {
        let (proxy, mut stream) = link();
        exchange(&mut stream, b"before").unwrap();
        proxy.refuse(true);
        let mut refused = std::net::TcpStream::connect(proxy.address()).unwrap();
        assert!(exchange(&mut refused, b"x").is_err());
        exchange(&mut stream, b"after").unwrap();
    }
}
