//! One process, from its start over what is on the disk to its end.

use super::model::{Model, position_of};
use super::oracle::{Oracle, Push};
use crate::admit::{Admit, BatchIds, RateLimiter, RequestHead, Route, Sharing, Waits};
use crate::auth::{Authorizer, Memo};
use crate::config::{RateLimit, TrustedProxies, load};
use crate::copy::progress::{CommitWatch, CopyStatus};
use crate::copy::writer::{Context, run_with};
use crate::journal::OnDamage;
use crate::journal::tests::rig::Rig;
use crate::model::{GroupSeq, TraceId};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Metrics;
use crate::testing::disk::FakeDisk;
use crate::testing::random::Random;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const DRAIN_MAX: Duration = Duration::from_secs(300);

pub(super) struct Life {
    pub(super) rig: Rig,
    admit: Arc<Admit>,
    metrics: Arc<Metrics>,
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
    drain: Shutdown,
    model: Model,
}

struct OnPausedClock;

impl Waits for OnPausedClock {
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(wait)
    }
}

fn authorizer() -> Arc<Authorizer> {
    let values = |name: &str| match name {
        "ENV" => Some("dev".to_owned()),
        "DB_HOST" => Some("127.0.0.1".to_owned()),
        "DB_PASS" | "FEDERATION_SECRET" => Some(SECRET.to_owned()),
        _ => None,
    };
    Arc::new(Authorizer::new(&load(&values).unwrap()))
}

const UNLIMITED: RateLimit = RateLimit {
    global_rate: 1e9,
    ingest_rate: 1e9,
    ingest_burst: 1e9,
    stranger_rate: 1e9,
};

impl Life {
    /// `None` when a planned fault hit the start.
    pub(super) async fn start(
        disk: &FakeDisk,
        model: &Model,
        oracle: &mut Oracle,
        writers: RangeInclusive<usize>,
    ) -> Option<Self> {
        let rig = match Rig::open(disk, OnDamage::Refuse) {
            Ok(rig) => rig,
            Err(error) => {
                assert!(!error.to_string().contains("damaged"), "{error}");
                return None;
            }
        };
        let (released, durable) = (rig.released(), rig.durable());
        oracle.found(&rig.read_from(released.next()).ok()?);
        let (mut feed, ids) = (rig.feed(), Arc::new(BatchIds::default()));
        ids.restore(&mut feed, released, durable).await.ok()?;
        oracle.next_life(released == GroupSeq::ZERO);

        let (metrics, watch) = (Metrics::new(1), CommitWatch::new());
        let drain = Shutdown::new();
        let admit = Arc::new(Admit::new(
            authorizer(),
            Arc::new(RateLimiter::new(
                UNLIMITED,
                TrustedProxies::default(),
                Sharing::OFF,
            )),
            ids,
            rig.appender(),
            watch.clone(),
            Arc::clone(&metrics),
            Shutdown::new(),
        ));
        let ctx = Context {
            database: tokio_postgres::Config::new(),
            status: Arc::new(CopyStatus::new()),
            watch,
            replay_through: durable,
            writers,
        };
        let (committed, mut told) = mpsc::channel(4);
        let reader = tokio::spawn(async move { while told.recv().await.is_some() {} });
        let writer = tokio::spawn(run_with(
            model.clone(),
            ctx,
            feed,
            committed,
            Arc::clone(&metrics),
            drain.clone(),
        ));
        Some(Self {
            rig,
            admit,
            metrics,
            writer,
            reader,
            drain,
            model: model.clone(),
        })
    }

    /// Some requests at once, which become one group; each is answered or refused.
    pub(super) async fn push(&mut self, random: &mut Random, oracle: &mut Oracle) {
        oracle.next_round();
        let mut under_way = Vec::new();
        for _ in 0..1 + random.below(3) {
            let push = oracle.next_push(random);
            let answer = tokio::spawn(request(Arc::clone(&self.admit), push.clone()));
            under_way.push((push, answer));
        }
        // Until each has got to the journal's queue or was answered.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        let stats = self.rig.stats();
        let before = stats.samples_written();
        let durable_before = self.rig.durable();
        self.rig.commit_queued();
        if self.rig.durable() > durable_before {
            let samples = stats.samples_written() - before;
            oracle.durable(self.rig.durable(), samples);
        }
        for (push, answer) in under_way {
            let (status, body) = answer.await.unwrap();
            oracle.answered(&push, status, &body, &self.model.content());
        }
    }

    /// Everything up to the last group gets into the database, and then out of the journal.
    pub(super) async fn drain(&self, last: GroupSeq) {
        let model = &self.model;
        let drained = async {
            while position_of(&model.content()) < last || self.rig.released() < last {
                model.flush(usize::MAX);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DRAIN_MAX, drained)
            .await
            .expect("what is durable gets into the database");
        let stats = self.rig.stats();
        let accounts = self.metrics.copy.accounts(|| stats.samples_written());
        let settled = accounts.stored + accounts.duplicate + accounts.quarantined;
        assert_eq!((accounts.received, accounts.in_flight), (settled, 0));
    }

    pub(super) async fn end(self, in_order: bool) {
        if in_order {
            self.drain.ask();
            self.writer.await.unwrap();
        } else {
            self.writer.abort();
            // The error says that it was cancelled.
            self.writer.await.unwrap_or_default();
        }
        self.reader.abort();
    }
}

async fn request(admit: Arc<Admit>, push: Push) -> (u16, Vec<u8>) {
    let authorization = format!("Bearer {SECRET}");
    let id = push.id.to_string();
    let head = RequestHead {
        authorization: Some(authorization.as_bytes()),
        content_type: Some(b"application/json"),
        batch_id: Some(id.as_bytes()),
        query: push.wait_for_commit.then_some("ack=committed"),
        ..RequestHead::default()
    };
    let admitted = match admit.head(
        Route::Push,
        &head,
        Some(push.body.len()),
        &mut Memo::default(),
    ) {
        Ok(admitted) => admitted,
        Err(refusal) => return (refusal.reject.code.http_status(), Vec::new()),
    };
    let reply = admit
        .body(0, admitted, TraceId::of(None), push.body, OnPausedClock)
        .await;
    (reply.status, reply.body)
}
