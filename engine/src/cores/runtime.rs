//! The driver behind the cores, and their threads.

use super::pin::pin;
use crate::accept::{self, Core};
use crate::admit::Admit;
use crate::config::Driver;
use crate::query::handoff::HandoffSender;
use crate::shutdown::Shutdown;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What the cores wait with, after looking at the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    Epoll,
    Uring,
}

impl Chosen {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Uring => "io_uring",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "io_uring is not allowed here: use FIBER_DRIVER=epoll, or allow io_uring_setup, \
         io_uring_enter and io_uring_register in the container's seccomp profile \
         (sysctl kernel.io_uring_disabled must be 0)"
    )]
    NoUring,
    #[error("listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("start an ingest core: {0}")]
    Thread(io::Error),
}

/// Threads that run until the end is asked for.
#[derive(Debug)]
pub struct Cores {
    threads: Vec<JoinHandle<()>>,
    pub address: SocketAddr,
}

impl Cores {
    /// Waits for every core; call it after the end was asked for.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("an ingest core panicked");
            }
        }
    }
}

pub fn choose(driver: Driver) -> Result<Chosen, StartError> {
    match driver {
        Driver::Epoll => Ok(Chosen::Epoll),
        Driver::Auto if !monoio::utils::detect_uring() => Ok(Chosen::Epoll),
        Driver::Uring if !monoio::utils::detect_uring() => Err(StartError::NoUring),
        Driver::Auto | Driver::Uring => Ok(Chosen::Uring),
    }
}

/// Binds all listeners first, so that a taken port is an error and not a log line.
pub fn start(
    address: SocketAddr,
    count: usize,
    chosen: Chosen,
    admit: &Arc<Admit>,
    query: &HandoffSender,
    shutdown: &Shutdown,
) -> Result<Cores, StartError> {
    refuse_taken(address)?;
    let first = listen(address)?;
    // Port 0 is whatever the first got.
    let address = first
        .local_addr()
        .map_err(|source| StartError::Listen { address, source })?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(listen(address)?);
    }
    let mut threads = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let (admit, query, shutdown) = (Arc::clone(admit), query.clone(), shutdown.clone());
        let thread = std::thread::Builder::new()
            .name(format!("ingest-{index}"))
            .spawn(move || {
                let _registered = shutdown.register("ingest");
                pin(index);
                if let Err(error) = run(
                    chosen,
                    listener,
                    Core::new(index, count, admit, query, shutdown.clone()),
                ) {
                    tracing::error!(core = index, %error, "run an ingest core");
                    shutdown.ask();
                }
            })
            .map_err(StartError::Thread)?;
        threads.push(thread);
    }
    Ok(Cores { threads, address })
}

fn run(chosen: Chosen, listener: TcpListener, core: Core) -> io::Result<()> {
    let core = Rc::new(core);
    let serve = async move {
        let listener = monoio::net::TcpListener::from_std(listener)?;
        accept::serve(listener, core).await;
        Ok(())
    };
    match chosen {
        Chosen::Epoll => RuntimeBuilder::<LegacyDriver>::new()
            .enable_timer()
            .build()?
            .block_on(serve),
        Chosen::Uring => RuntimeBuilder::<IoUringDriver>::new()
            .enable_timer()
            .build()?
            .block_on(serve),
    }
}

/// SO_REUSEPORT would let a second engine join the port of the first, and take half of its probes:
/// a bind without it fails where anybody listens.
fn refuse_taken(address: SocketAddr) -> Result<(), StartError> {
    TcpListener::bind(address)
        .map(drop)
        .map_err(|source| StartError::Listen { address, source })
}

const BACKLOG: i32 = 4_096;

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bind = || -> io::Result<TcpListener> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|source| StartError::Listen { address, source })
}
