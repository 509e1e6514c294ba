//! The cores' strict framing in front of hyper.
//!
//! hyper reads more than the contract takes: a bare LF, two equal lengths, spaces where none may be.
//! So every byte of a connection passes `Guard` first, which judges heads and chunks with the code
//! of `accept`, and keeps the contract's deadlines. hyper sees valid requests only, one at a time:
//! the next one is held back until the answer before it was given to hyper whole.
//!
//! A refusal goes out through hyper too, so that it comes after the answers before it: the guard puts
//! a request of its own (a stand-in) in the place of what it refused, and `Exchange` carries the reason
//! to the service, which answers with it instead of looking at that request.
//!
//! What it does not do: frame answers. hyper does that.

mod exchange;
#[cfg(test)]
mod fuzz;
mod guard;
#[cfg(test)]
mod tests;

pub(crate) use exchange::{Answering, Exchange};
pub(crate) use guard::Guard;
