//! Who may send, how much, and the promise behind a 202.
//!
//! A request passes twice. `Admit::head` sees only its head and decides everything that needs no
//! body: draining, who sends it, media type, batch id, the instance's rate, room for the bytes. Its
//! `Admitted` is the only way to `Admit::body`, which parses, charges the probe's quota, hands the
//! rows to the journal and answers after the group's fdatasync. Both runtimes call the same code.
//!
//! Every answer tells the quota that applies to it: the probe's, before it is known the instance's, and
//! without a valid token the client address's.
//!
//! Nothing here waits for Redis or the database, except `?ack=committed`, which asks for it.

mod batch_ids;
mod from_query;
mod head;
mod in_flight;
mod rate;
mod reply;
mod service;

pub use batch_ids::BatchIds;
pub use head::{
    Ack, Admitted, ForwardedFor, Origin, Refusal, RequestHead, Route, SEVERAL_ENCODINGS,
};
pub use in_flight::{InFlight, Permit};
pub use rate::{OverLimit, Policy, Quota, RateLimiter, Report, Sharing, UnderWay};
pub use reply::{Reply, render_reject};
pub use service::{Admit, Waits};
