//! One core's listener.

use super::connection;
use crate::admit::Admit;
use crate::journal::Answers;
use crate::limits::{CONNECTIONS_MAX, DRAIN_DEADLINE};
use crate::query::handoff::HandoffSender;
use crate::shutdown::Shutdown;
use monoio::net::TcpListener;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What every connection of a core shares. Nothing of it crosses threads but what is in an `Arc`.
#[derive(Debug)]
pub struct Core {
    pub index: usize,
    pub admit: Arc<Admit>,
    pub query: HandoffSender,
    pub shutdown: Shutdown,
    pub(super) answers: Arc<Answers>,
    /// Connections of this core that may be.
    pub connections_max: usize,
    pub(super) connections: Cell<usize>,
    /// Requests between their first byte and their answer.
    pub(super) requests: Cell<usize>,
}

impl Core {
    pub fn new(
        index: usize,
        cores: usize,
        admit: Arc<Admit>,
        query: HandoffSender,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            index,
            admit,
            query,
            shutdown,
            answers: Arc::default(),
            connections_max: CONNECTIONS_MAX / cores.max(1),
            connections: Cell::new(0),
            requests: Cell::new(0),
        }
    }
}

/// Accepts until the end is asked for, then waits for the requests under way.
pub async fn serve(listener: TcpListener, core: Rc<Core>) {
    let answers = Arc::clone(&core.answers);
    monoio::spawn(async move { answers.give_out().await });
    // Never cancelled, because a cancelled accept may lose its connection: the task is left behind
    // when the runtime ends.
    monoio::spawn(accept(listener, Rc::clone(&core)));
    core.shutdown.asked().await;
    let deadline = Instant::now() + DRAIN_DEADLINE;
    while core.requests.get() > 0 && Instant::now() < deadline {
        monoio::time::sleep(Duration::from_millis(10)).await;
    }
    if core.requests.get() > 0 {
        tracing::warn!(
            core = core.index,
            requests = core.requests.get(),
            "cut requests at the drain deadline"
        );
    }
}

async fn accept(listener: TcpListener, core: Rc<Core>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if core.shutdown.is_asked() {
                    break;
                }
                if core.connections.get() >= core.connections_max {
                    continue;
                }
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "set TCP_NODELAY");
                    continue;
                }
                monoio::spawn(connection::serve(stream, peer, Rc::clone(&core)));
            }
            // Out of descriptors, or the peer was gone before we came: neither ends the listener.
            Err(error) => {
                tracing::warn!(core = core.index, %error, "accept a connection");
                monoio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
