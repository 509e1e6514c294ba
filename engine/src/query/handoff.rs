//! From an ingest core to the query side: the socket and what was read from it.

use super::connection::serve_connection;
use super::context::Context;
use crate::limits::{
    HANDOFF_QUEUE, QUERY_CONNECTIONS_MAX, QUERY_DRAIN_DEADLINE, QUERY_SEND_BUFFER_BYTES,
    QUERY_UNACKED_DEADLINE,
};
use bytes::Bytes;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// A connection whose request is not a push.
#[derive(Debug)]
pub struct Handoff {
    pub stream: TcpStream,
    /// The bytes taken from the socket so far, from the first byte of a request.
    pub read: Bytes,
    pub peer: SocketAddr,
}

/// The cores' end; cheap to clone, never blocks.
#[derive(Clone, Debug)]
pub struct HandoffSender(mpsc::Sender<Handoff>);

#[derive(Debug)]
pub struct HandoffReceiver(mpsc::Receiver<Handoff>);

pub fn channel() -> (HandoffSender, HandoffReceiver) {
    let (sender, receiver) = mpsc::channel(HANDOFF_QUEUE);
    (HandoffSender(sender), HandoffReceiver(receiver))
}

impl HandoffSender {
    /// Hands the connection over, or gives it back when the query side has enough: answer 503.
    pub fn offer(&self, handoff: Handoff) -> Result<(), Handoff> {
        self.0.try_send(handoff).map_err(|error| match error {
            mpsc::error::TrySendError::Full(handoff)
            | mpsc::error::TrySendError::Closed(handoff) => handoff,
        })
    }
}

/// Serves what is handed over until the end is asked for, then lets the connections finish. Must
/// run on tokio.
pub async fn run(mut receiver: HandoffReceiver, context: Arc<Context>) {
    let _registered = context.shutdown.register("query");
    let slots = Arc::new(Semaphore::new(QUERY_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // The slot comes first: with all of them taken the queue fills, and the cores answer 503.
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = context.shutdown.asked() => break,
        };
        let Ok(slot) = slot else { break };
        let handoff = tokio::select! {
            handoff = receiver.0.recv() => handoff,
            () = context.shutdown.asked() => break,
        };
        let Some(handoff) = handoff else { break };
        let context = Arc::clone(&context);
        connections.spawn(async move {
            serve(handoff, context).await;
            drop(slot);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(receiver);
    let drained = tokio::time::timeout(QUERY_DRAIN_DEADLINE, async {
        while connections.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut query connections at the deadline"
        );
    }
}

/// Bounds what the kernel keeps for a peer that reads nothing: without it a live stream's snapshot
/// disappears into megabytes of send buffer and the write deadline never starts.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_send_buffer_size(QUERY_SEND_BUFFER_BYTES)?;
    socket.set_tcp_user_timeout(Some(QUERY_UNACKED_DEADLINE))
}

async fn serve(handoff: Handoff, context: Arc<Context>) {
    let Handoff { stream, read, peer } = handoff;
    let stream = prepare(&stream).and_then(|()| tokio::net::TcpStream::from_std(stream));
    match stream {
        Ok(stream) => serve_connection(read, stream, peer, context).await,
        Err(error) => tracing::warn!(%peer, %error, "take over a connection"),
    }
}
