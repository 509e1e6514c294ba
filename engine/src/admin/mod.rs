//! What an operator asks first: is it well (`health`), and what does it count (`scrape`).

pub mod health;
mod process;
mod prometheus;
pub(crate) mod scrape;

#[cfg(test)]
pub(crate) use prometheus::tests::judge as judge_exposition;
