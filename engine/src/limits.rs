//! Every bound of the engine in one place, with the relations between them checked at compile time.
//! The bounds that clients must know are in `fiber_contract::limits`.

use fiber_contract::limits::{BODY_BYTES_MAX, RAW_RETENTION_S};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Request head, request line included.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
pub const HEAD_FIELDS_MAX: usize = 64;
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
pub const TRAILER_BYTES_MAX: usize = 1024;

/// Bytes of request bodies held by this process between their first byte and their answer. Beyond
/// it new bodies get 503 before they are read, so memory stays flat under any offer.
pub const BODIES_IN_FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;
const _: () = assert!(BODIES_IN_FLIGHT_BYTES_MAX >= 4 * BODY_BYTES_MAX);

/// While the instance is overloaded, one probe has this part of it at most: of the requests a second,
/// of the bytes of bodies, and of the requests under way.
pub const PROBE_SHARE: usize = 5;
/// A probe alone may always have the largest body under way.
const _: () = assert!(BODIES_IN_FLIGHT_BYTES_MAX / PROBE_SHARE >= BODY_BYTES_MAX);

/// A connection that has not finished its head by then is answered 408 and closed.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// A body must bring at least this many bytes in every window.
pub const BODY_WINDOW: Duration = Duration::from_secs(10);
pub const BODY_WINDOW_BYTES_MIN: usize = 10 * 1024;
/// A refused body of up to this length is read over, so that the connection can go on.
pub const SKIP_BYTES_MAX: usize = 64 * 1024;
pub const IDLE_DEADLINE: Duration = Duration::from_secs(60);
/// A peer that does not take its answer for so long is dropped.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Open connections of the process; beyond it new ones are closed at once.
pub const CONNECTIONS_MAX: usize = 20_000;

/// Bytes of one journal segment on disk.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Records waiting for the journal's thread.
pub const APPEND_QUEUE_RECORDS: usize = 8_192;
/// Bytes of records between `try_append` and their answer; beyond it appends are refused.
pub const APPEND_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
const _: () = assert!(APPEND_QUEUE_BYTES_MAX >= 2 * RECORD_BYTES_MAX);
/// A group is closed at this size, so that a reader's buffer has a bound.
pub const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// One record: the tuples of a whole body. JSON is never smaller than the tuples made of it by more
/// than the dictionary, which repeats per distinct series only.
pub const RECORD_BYTES_MAX: usize = 12 * 1024 * 1024;
const _: () = assert!(RECORD_BYTES_MAX > BODY_BYTES_MAX && RECORD_BYTES_MAX < GROUP_BYTES_MAX);
const _: () = assert!((GROUP_BYTES_MAX as u64) < SEGMENT_BYTES / 2);
/// Journal bytes on disk before 503; four segments is the least that can rotate.
pub const JOURNAL_BYTES_MAX_DEFAULT: u64 = 8 * 1024 * 1024 * 1024;
pub const JOURNAL_BYTES_MAX_MIN: u64 = 4 * SEGMENT_BYTES;
/// How long samples may wait in the journal before 503. A sample that reaches the database after
/// the raw retention would be stored and dropped the same hour: it is honest to refuse before, while
/// the probe still has it. A day is left for the backlog to drain in.
pub const JOURNAL_AGE_MAX_DEFAULT: Duration = Duration::from_secs(6 * 86_400);
pub const JOURNAL_AGE_MAX_MIN: Duration = Duration::from_secs(60);
const _: () = assert!((JOURNAL_AGE_MAX_DEFAULT.as_secs() as i64) < RAW_RETENTION_S);

/// Sealed groups handed over in memory. When it is full the writer reads them from the journal.
pub const SEALED_GROUPS_MAX: usize = 1_024;
/// Bytes of sealed groups held in memory for the writer: two full transactions, and never less than
/// one group. What is beyond is read from the page cache, at the price of a copy and a checksum.
pub const SEALED_BYTES_MAX: usize = 17 * 1024 * 1024;
const _: () = assert!(SEALED_BYTES_MAX > GROUP_BYTES_MAX);

/// One transaction: large enough that its fixed cost vanishes, small enough to bisect and retry. The
/// size follows the database between these (`copy::batch_size`). Rows cost some 200 bytes each, in
/// the transaction under way and in the next: 40 MiB at the most.
pub const COMMIT_ROWS_MAX: usize = 100_000;
pub const COMMIT_ROWS_START: usize = 50_000;
/// Bytes of records at which a transaction is full whatever its rows; it is passed by one group.
pub const COMMIT_BYTES_MAX: usize = 6 * 1024 * 1024;
pub const COMMIT_ROWS_MIN: usize = 2_000;
/// Sessions that write. Beyond a handful they wait for each other at the server's log; each is a
/// connection, and all share the rows of one batch, so memory does not grow with them.
pub const WRITERS_MAX: NonZeroUsize = NonZeroUsize::new(16).unwrap();
pub const WRITERS_MAX_DEFAULT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
const _: () = assert!(WRITERS_MAX.get() <= crate::copy::shard::SLOTS);

/// How long a small transaction waits for company when nobody waits for it.
pub const COMMIT_LINGER: Duration = Duration::from_millis(200);
/// Nobody comes any more when nobody came for so long: at the end of a burst the database need not stand idle.
/// Not shorter, because a fleet whose samples come one by one would have a transaction for each.
pub const COMMIT_LINGER_QUIET: Duration = Duration::from_millis(50);
const _: () = assert!(COMMIT_LINGER_QUIET.as_millis() < COMMIT_LINGER.as_millis());
/// No statement of the writer may take longer; a silent peer is abandoned after it.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(30);

/// Nonces of signed pushes remembered against replays; about 100 bytes each.
pub const NONCES_MAX: usize = 1 << 19;
/// Batch ids remembered for repeated requests.
pub const BATCH_IDS_MAX: usize = 200_000;
/// `?ack=committed` answers after so long in any case; the samples are durable by then.
pub const COMMITTED_ACK_WAIT: Duration = Duration::from_secs(20);
/// Requests under way at the end get this long.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// The writer's own limit for draining is within it.
pub const COMMITTED_DRAIN_WAIT: Duration = Duration::from_secs(15);
/// Threads of the tokio side at least: a writer and a query must not wait for each other.
pub const TOKIO_THREADS_MIN: usize = 2;

/// Users of the dashboard. All of them are in memory, and read again every two seconds: 80 KiB.
pub const USERS_MAX: i64 = 1_000;
/// Memory of one argon2id hash, and how often it is gone through: OWASP's first choice, some 30 ms.
pub const PASSWORD_HASH_KIB: u32 = 19 * 1024;
pub const PASSWORD_HASH_PASSES: u32 = 2;
/// 38 MiB while people sign in, and two cores at most.
pub const PASSWORD_HASHES_AT_ONCE: usize = 2;
/// Beyond it sign-ins get 503; the last in line waits a quarter of a second or so.
pub const PASSWORD_HASHES_WAITING_MAX: usize = 16;
/// Sessions with the database for signing in, refreshing and changing users, keys and nodes.
pub const PEOPLE_DB_CONNECTIONS: usize = 4;
/// How long one such request may take in all.
pub const PEOPLE_DEADLINE: Duration = Duration::from_secs(10);
/// How long an access token is good.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(600);
/// A session that is not used ends after this…
pub const SESSION_IDLE: Duration = Duration::from_secs(7 * 86_400);
/// …and every session after this.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// A refresh token that was used is good for so long again: tabs that refresh at once, answers that
/// were lost.
pub const REFRESH_GRACE: Duration = Duration::from_secs(30);
/// Live refresh tokens of one session: as many tabs may refresh within the grace.
pub const REFRESH_SIBLINGS_MAX: i64 = 32;
/// Browsers of one user; the oldest session ends for the next.
pub const SESSIONS_PER_USER_MAX: i64 = 50;
/// Failed sign-ins for one account from one address: five at once, then one in half a minute, which
/// is 2,900 guesses a day…
pub const LOGIN_PAIR_BURST: u32 = 5;
pub const LOGIN_PAIR_EVERY: Duration = Duration::from_secs(30);
/// …for one account from everywhere: fifty, then one in five seconds…
pub const LOGIN_ACCOUNT_BURST: u32 = 50;
pub const LOGIN_ACCOUNT_EVERY: Duration = Duration::from_secs(5);
/// …and from one address, which may be a whole office: thirty, then one in five seconds.
pub const LOGIN_ADDRESS_BURST: u32 = 30;
pub const LOGIN_ADDRESS_EVERY: Duration = Duration::from_secs(5);
const _: () = assert!(LOGIN_PAIR_BURST < LOGIN_ADDRESS_BURST);
const _: () = assert!(LOGIN_ADDRESS_BURST < LOGIN_ACCOUNT_BURST);
/// Some 150 bytes each. When all are in use, who is new shares one.
pub const LOGIN_THROTTLE_ENTRIES_MAX: usize = 20_000;
/// Failed sign-ins that the audit log takes: so many at once, then one each so often; the next entry
/// tells how many were left out. 14,400 entries a day at the worst.
pub const LOGIN_FAILED_AUDIT_BURST: u32 = 30;
pub const LOGIN_FAILED_AUDIT_EVERY: Duration = Duration::from_secs(6);

/// Connections of the query side at once: browsers, dashboards, scrapers, and probes that asked for
/// something else before they pushed. Each costs one task and some 16 KiB of buffers.
pub const QUERY_CONNECTIONS_MAX: usize = 2_048;
/// Connections on their way from an ingest core to the query side.
pub const HANDOFF_QUEUE: usize = 256;
/// How long connections may finish once the end was asked for.
pub const QUERY_DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// The kernel's send buffer of a query connection (it doubles this): a megabyte a second over a
/// path of 200 ms, and half a GiB in all at the worst.
pub const QUERY_SEND_BUFFER_BYTES: usize = 128 * 1024;
/// The kernel drops a peer that acknowledges nothing, or keeps its window shut, for so long.
pub const QUERY_UNACKED_DEADLINE: Duration = Duration::from_secs(20);
/// Connections to the database for queries.
pub const QUERY_DB_CONNECTIONS: usize = 8;
/// The database ends a statement after this…
pub const QUERY_STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// …and we stop waiting for it after this, which only happens when the server is silent.
pub const QUERY_DEADLINE: Duration = Duration::from_secs(6);
/// Connections to the writer's host, for queries while the read host is away: the writer comes first.
pub const QUERY_FALLBACK_CONNECTIONS: usize = 2;
/// How long a read host that could not be reached is left alone.
pub const READ_HOST_AWAY: Duration = Duration::from_secs(5);
const _: () = assert!(QUERY_FALLBACK_CONNECTIONS < QUERY_DB_CONNECTIONS);
/// Answers over many nodes are the same for everybody for so long.
pub const KEPT_FRESH: Duration = Duration::from_secs(1);
pub const KEPT_ANSWERS_MAX: usize = 256;
pub const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Buckets of many nodes that questions keep for the next ones: an hour of a thousand nodes by the minute is
/// 7 to 20 MiB, by how often they send.
pub const KEPT_BUCKETS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Nothing is kept longer than twice this, in case somebody changed rows by hand.
pub const KEPT_BUCKETS_AGE: Duration = Duration::from_secs(600);
/// Rows of a question that are in memory at once, some 400 bytes each.
pub const QUERY_STEPS_AT_ONCE_ROWS: usize = 20_000;
/// Exports at once; each holds a connection and a snapshot.
pub const EXPORTS_MAX: usize = 2;
const _: () = assert!(EXPORTS_MAX * 2 <= QUERY_DB_CONNECTIONS);
/// A page of CSV is some 250 KB.
pub const EXPORT_PAGE_ROWS: i32 = 2_000;
/// Pages that wait for the client.
pub const EXPORT_PAGES_AHEAD: usize = 1;
/// An open snapshot keeps the database from cleaning up.
pub const EXPORT_DEADLINE: Duration = Duration::from_secs(900);
/// Rows that one answer may be computed from; more is refused with 422 rather than held in memory.
pub const QUERY_SOURCE_ROWS_MAX: usize = 500_000;

/// Browsers that watch `/api/live` at once.
pub const LIVE_SUBSCRIBERS_MAX: usize = 1_000;
const _: () = assert!(LIVE_SUBSCRIBERS_MAX < QUERY_CONNECTIONS_MAX);
/// Changes go out at most this often.
pub const LIVE_TICK: Duration = Duration::from_millis(500);
/// Ticks kept for clients that resume: half a minute covers a changed network.
pub const LIVE_RING_TICKS: usize = 60;
/// Comments keep proxies and phones from closing a quiet stream.
pub const LIVE_HEARTBEAT: Duration = Duration::from_secs(15);

/// The built dashboard, held in memory.
pub const ASSET_FILES_MAX: usize = 2_000;
pub const ASSET_BYTES_MAX: u64 = 64 * 1024 * 1024;
