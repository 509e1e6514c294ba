//! People who sign in: users, passwords, sessions.
//!
//! - A password is kept as argon2id, and hashed off the async threads, a few at a time.
//! - An **access token** is a signed text of ten minutes (`access`). Any engine with the same
//!   API_KEY_SECRET checks it without asking anybody. It names the user, the session and the user's
//!   epoch; the role is not in it. What a user is now (role, disabled, epoch) and which sessions ended
//!   is in memory (`known`): changes made here count at once, those of other engines and of commands
//!   within about two seconds while the database answers. Without the database the last list stands;
//!   an engine that never saw one answers 503 to access tokens.
//! - A **refresh token** is a random number, kept as its SHA-256 (`sessions`). Each use gives the next
//!   one. A session has a *generation*; tokens of the newest generation are good. The one before is
//!   good for `REFRESH_GRACE` more, and gives a sibling of the newest: two tabs that refresh at once,
//!   or an answer that was lost, lock nobody out. The first use of either sibling ends the other's
//!   generation too. So a thief who used the grace is found at the next refresh, like any other: any
//!   older token ends the whole session, with all that follows from it, and the audit log says so.
//! - Failed sign-ins are throttled by account and address (`throttle`). A name that nobody has costs the
//!   same work and gets the same answer as a wrong password.
//!
//! The three kinds of bearer tokens cannot be taken for each other: each begins with a prefix of its
//! own (`fk1.` keys, `fu1.` access tokens, `fr1.` refresh tokens), and keys and access tokens are
//! signed under keys that differ.

mod access;
mod error;
mod known;
mod password;
mod person;
mod rules;
mod sessions;
mod throttle;
mod users;

pub(crate) use access::{Access, AccessKeys};
pub use error::Error;
pub(crate) use known::{Known, watch};
pub use person::{People, Signed};
pub use users::{Change, Users};

/// From the kernel's generator: what is made of it must not be guessed.
fn random<const LEN: usize>() -> [u8; LEN] {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).expect("the kernel has random numbers once it has booted");
    bytes
}
