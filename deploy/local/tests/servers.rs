//! Real servers: killed and started again, with their data still there.

use fiber_local::servers::{Postgres, Redis};
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn committed_rows_survive_a_kill_and_the_port_stays() {
    let mut postgres = Postgres::start_private().unwrap();
    let database = postgres.database("survive").unwrap();
    database
        .psql(
            "CREATE TABLE t (time timestamptz NOT NULL, v int);
             SELECT create_hypertable('t', 'time'); INSERT INTO t VALUES (now(), 42)",
        )
        .unwrap();
    let port = postgres.port();

    postgres.kill().unwrap();
    assert!(!postgres.is_running());
    assert!(
        database.psql("SELECT 1").is_err(),
        "a killed server must not answer"
    );

    postgres.start().unwrap();
    assert_eq!(postgres.port(), port);
    assert_eq!(database.psql("SELECT v FROM t").unwrap(), "42");

    postgres.stop().unwrap();
    postgres.start().unwrap();
    assert_eq!(database.psql("SELECT v FROM t").unwrap(), "42");
    assert_eq!(database.psql("SHOW fsync").unwrap(), "on");
}

#[test]
fn a_plain_database_has_no_extension_and_fresh_ones_are_empty() {
    let postgres = Postgres::start_private().unwrap();
    let has_timescale = "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'";
    assert_eq!(
        postgres.database("a").unwrap().psql(has_timescale).unwrap(),
        "1"
    );
    assert_eq!(
        postgres
            .plain_database("a")
            .unwrap()
            .psql(has_timescale)
            .unwrap(),
        "0"
    );
}

#[test]
fn a_paused_redis_holds_the_connection_and_answers_nothing() {
    let mut redis = Redis::start_private().unwrap();
    assert_eq!(redis.command("SET a 1").unwrap(), "+OK");
    redis.pause().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    std::io::Write::write_all(&mut stream, b"PING\r\n").unwrap();
    assert!(stream.read(&mut [0; 16]).is_err(), "no answer while paused");
    redis.resume().unwrap();
    assert_eq!(redis.command("EXISTS a").unwrap(), ":1");

    redis.kill().unwrap();
    redis.start().unwrap();
    assert_eq!(redis.command("EXISTS a").unwrap(), ":0", "it keeps nothing");
}
