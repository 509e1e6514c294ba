//! The fleet's side over real sockets: loopback servers that obey, stall, lie and hang up.

mod client;
mod hostile;
mod probe;
mod probe_process;
