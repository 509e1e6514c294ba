//! One browser: the stream of events as a response body.

use super::hub::{Hub, Subscription};
use super::ring::EventId;
use crate::auth::Authorizer;
use crate::auth::people::Access;
use crate::limits::LIVE_HEARTBEAT;
use crate::query::context::Context;
use crate::query::error::Error;
use crate::query::packed::{self, Event};
use crate::query::params::Params;
use crate::query::respond::{Body, whole};
use crate::shutdown::Shutdown;
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};
use tokio::time::{MissedTickBehavior, interval};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx holds answers back unless told not to.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
const HEARTBEAT: Bytes = Bytes::from_static(b": still here\n\n");
/// How long a browser waits before it asks again.
const RETRY: Bytes = Bytes::from_static(b"retry: 2000\n\n");

/// The answer's head alone.
pub(crate) fn head() -> Response<Body> {
    let mut response = whole(StatusCode::OK, EVENT_STREAM, Bytes::new());
    response
        .headers_mut()
        .insert(UNBUFFERED, HeaderValue::from_static("no"));
    response
}

/// The id comes from the header, as EventSource sends it, or from `last_event_id`.
pub(crate) fn stream(
    context: &Context,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Response<Body>, Error> {
    let slot = Arc::clone(&context.watchers)
        .try_acquire_owned()
        .map_err(|_| Error::Busy("as many browsers watch as the engine serves"))?;
    let sent = headers
        .get(LAST_EVENT_ID)
        .and_then(|value| value.to_str().ok());
    let last = sent
        .or(params.text("last_event_id")?)
        .and_then(EventId::parse);
    // One event under way; a browser that is slower than the ticks falls behind in the shared
    // channel and then gets a snapshot.
    let (chunks, body) = mpsc::channel(1);
    let packed = packed::is_taken(headers);
    let feed = Feed {
        hub: context.live.clone(),
        authorizer: Arc::clone(&context.authorizer),
        access: context.authorizer.access(headers),
        chunks,
        packed,
        _slot: slot,
    };
    tokio::spawn(feed.run(last, context.shutdown.clone()));
    let mut response = head();
    if packed {
        response
            .headers_mut()
            .insert(CONTENT_ENCODING, packed::GZIP);
    }
    *response.body_mut() = Body::Stream(body);
    Ok(response)
}

/// Moves events from the hub to one connection until it closes.
struct Feed {
    hub: Hub,
    authorizer: Arc<Authorizer>,
    /// Of the user who watches, if it is one.
    access: Option<Access>,
    chunks: mpsc::Sender<Bytes>,
    packed: bool,
    _slot: OwnedSemaphorePermit,
}

/// The connection is gone.
struct Gone;

impl Feed {
    async fn run(self, last: Option<EventId>, shutdown: Shutdown) {
        // Dropping `self` ends the body, so the connection can finish.
        tokio::select! {
            Gone = self.follow(last) => {}
            () = shutdown.asked() => {}
        }
    }

    async fn follow(&self, last: Option<EventId>) -> Gone {
        let mut resume = last;
        if self.packed && self.chunks.send(packed::stream_head()).await.is_err() {
            return Gone;
        }
        if let Err(gone) = self.send(Event::new(RETRY)).await {
            return gone;
        }
        loop {
            let Subscription { first, mut rest } = self.hub.subscribe(resume.take());
            for event in first {
                if let Err(gone) = self.send(event).await {
                    return gone;
                }
            }
            if let Err(gone) = self.forward(&mut rest).await {
                return gone;
            }
        }
    }

    /// Ends without error when the browser was too slow to get every tick.
    async fn forward(&self, rest: &mut broadcast::Receiver<Event>) -> Result<(), Gone> {
        let mut heartbeat = interval(LIVE_HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        loop {
            let event = tokio::select! {
                event = rest.recv() => event,
                _ = heartbeat.tick() => Ok(Event::new(HEARTBEAT)),
                () = self.chunks.closed() => return Err(Gone),
            };
            match event {
                Ok(event) => {
                    self.send(event).await?;
                    heartbeat.reset();
                }
                Err(broadcast::error::RecvError::Lagged(_)) => return Ok(()),
                Err(broadcast::error::RecvError::Closed) => return Err(Gone),
            }
        }
    }

    /// Nothing more for who was disabled, removed or signed out since.
    async fn send(&self, event: Event) -> Result<(), Gone> {
        if !self.authorizer.still(self.access.as_ref()) {
            return Err(Gone);
        }
        let bytes = event.bytes(self.packed);
        self.chunks.send(bytes).await.map_err(|_| Gone)
    }
}
