//! One entry, and its hash.

use fiber_contract::UnixMicros;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

pub(crate) const GENESIS: [u8; 32] = [0; 32];
const ACTOR_CHARS_MAX: usize = 128;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A command on the engine's machine.
    Command,
    User(String),
    /// The holder of an issuer's token.
    Service(String),
    /// Nobody that is known.
    Nobody,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of users hold no colon, so none of them can pose as another kind.
        match self {
            Self::Command => f.write_str("command"),
            Self::Nobody => f.write_str("nobody"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Service(subject) => {
                let plain = subject.chars().filter(|c| !c.is_control());
                write!(
                    f,
                    "service:{}",
                    plain.take(ACTOR_CHARS_MAX).collect::<String>()
                )
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Login,
    LoginFailed,
    Logout,
    SessionReused,
    UserAdded,
    UserChanged,
    UserRemoved,
    KeyIssued,
    KeyRevoked,
    NodeAdded,
    NodeChanged,
    NodeRetired,
}

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginFailed => "login.failed",
            Self::Logout => "logout",
            Self::SessionReused => "session.reused",
            Self::UserAdded => "user.added",
            Self::UserChanged => "user.changed",
            Self::UserRemoved => "user.removed",
            Self::KeyIssued => "key.issued",
            Self::KeyRevoked => "key.revoked",
            Self::NodeAdded => "node.added",
            Self::NodeChanged => "node.changed",
            Self::NodeRetired => "node.retired",
        }
    }
}

/// What it was done to. Texts only: a number has many ways to be written, and the hash needs one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail(BTreeMap<String, String>);

impl Detail {
    pub fn of(name: &str, value: impl fmt::Display) -> Self {
        Self::default().and(name, value)
    }

    #[must_use]
    pub fn and(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        let members = self
            .0
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()));
        serde_json::Value::Object(members.collect())
    }
}

/// Every part with its length before it, so that no two entries are the same bytes.
pub(crate) fn hash_of(
    prev: &[u8],
    id: i64,
    at: UnixMicros,
    actor: &str,
    action: &str,
    detail: &serde_json::Value,
) -> [u8; 32] {
    // Members are sorted here, however the database keeps them.
    let detail = detail.to_string();
    let (id, at) = (id.to_be_bytes(), at.0.to_be_bytes());
    let parts: [&[u8]; 6] = [
        prev,
        &id,
        &at,
        actor.as_bytes(),
        action.as_bytes(),
        detail.as_bytes(),
    ];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let detail = Detail::of("a", 1).to_json();
        let at = UnixMicros(7);
        let base = hash_of(&GENESIS, 1, at, "user:a", "login", &detail);
        for other in [
            hash_of(&[1; 32], 1, at, "user:a", "login", &detail),
            hash_of(&GENESIS, 2, at, "user:a", "login", &detail),
            hash_of(&GENESIS, 1, UnixMicros(8), "user:a", "login", &detail),
            hash_of(&GENESIS, 1, at, "user:b", "login", &detail),
            hash_of(&GENESIS, 1, at, "user:al", "ogin", &detail),
            hash_of(&GENESIS, 1, at, "user:a", "logout", &detail),
            hash_of(
                &GENESIS,
                1,
                at,
                "user:a",
                "login",
                &Detail::of("a", 2).to_json(),
            ),
        ] {
            assert_ne!(base, other);
        }
        let two = Detail::of("b", 1).and("a", 2).to_json();
        assert_eq!(two, Detail::of("a", 2).and("b", 1).to_json());
    }

    #[test]
    fn no_subject_poses_as_a_user() {
        assert_eq!(
            Actor::Service("user:ama\n\0".to_owned()).to_string(),
            "service:user:ama"
        );
        let long = Actor::Service("x".repeat(10_000)).to_string();
        assert_eq!(long.len(), "service:".len() + ACTOR_CHARS_MAX);
    }
}
