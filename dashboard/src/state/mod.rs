//! What the pages share. The rules (`fleet`, `posture`, `order`, `range`, `window`, `backoff`) are plain data
//! and tested on the host; `live`, `prefs`, `session` and `view` wrap them in signals.

pub(crate) mod account;
pub(crate) mod atlas;
pub(crate) mod backoff;
pub(crate) mod commands;
pub(crate) mod comparison;
pub(crate) mod csv;
pub(crate) mod fleet;
pub(crate) mod history;
pub(crate) mod live;
pub(crate) mod order;
pub(crate) mod posture;
pub(crate) mod prefs;
pub(crate) mod range;
pub(crate) mod reason;
pub(crate) mod session;
pub(crate) mod sort;
pub(crate) mod view;
pub(crate) mod window;
