//! Why a key was not issued, listed or revoked.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("API_KEY_SECRET is not set: there are no keys")]
    NoSecret,
    #[error("node id {0}")]
    NodeId(String),
    #[error("{node_id} has two live keys already; revoke one first")]
    TwoLive { node_id: String },
    #[error("no key has the id {0}")]
    Unknown(uuid::Uuid),
    #[error("a key expires after 1 to {most} days")]
    Days { most: u32 },
    #[error("the database did not answer in time")]
    Deadline,
    #[error(transparent)]
    Database(#[from] crate::copy::Error),
}

impl From<crate::auth::lease::Late> for Error {
    fn from(_: crate::auth::lease::Late) -> Self {
        Self::Deadline
    }
}
