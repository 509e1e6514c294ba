//! Who a request comes from, and what that one may do.
//!
//! One `Authorizer` serves both sides: the cores' pushes and the queries. It turns what a request
//! carries into a `Principal` or refuses it, and never waits: what it knows of the database is kept
//! in memory. Every refusal of a token reads the same, so that a guess learns nothing.
//!
//! Secrets are compared in constant time and shown nowhere. What a principal may do is decided by
//! `Principal` alone; which right a route asks for is told by the router.

mod authorizer;
mod jwt;
pub mod keys;
pub(crate) mod lease;
mod memo;
pub mod people;
mod principal;
mod secret;
mod signed;

pub(crate) use authorizer::cookie;
pub use authorizer::{Authorizer, authorization};
pub use jwt::JwtKeys;
pub use memo::Memo;
pub use principal::{Denied, Principal};
pub use signed::{SignatureFields, Signed};
