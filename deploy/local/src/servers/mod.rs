//! Private servers with their own data folders on free ports: those of `make up`, and those a
//! test starts, kills and starts again.
//!
//! A server of a test is tied to the test process: it is stopped when its handle is dropped, and
//! by the kernel when the process ends without dropping it (statics, a panic in abort, SIGKILL).

mod engine;
mod nginx;
mod port;
mod postgres;
mod postgres_cluster;
mod redis;
mod redis_server;

pub use engine::Engine;
pub use nginx::Nginx;
pub use port::{free_port, is_free};
pub use postgres::{Postgres, PostgresOptions};
pub use postgres_cluster::{Cluster, Database};
pub use redis::Redis;
pub use redis_server::RedisServer;

use rand::RngExt;

/// A random secret of 40 letters and digits: it needs no quoting in URLs, shells or SQL.
pub fn random_secret() -> String {
    let mut rng = rand::rng();
    (0..40)
        .map(|_| char::from(rng.sample(rand::distr::Alphanumeric)))
        .collect()
}
