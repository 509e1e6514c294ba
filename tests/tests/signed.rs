//! Signed pushes: what holds, what does not, and what a retry may do.

use crate::support::client::{Answer, Connection, exchange, sample};
use crate::support::{DRIVERS, Stack};
use anyhow::{Result, ensure};
use fiber_contract::UnixMicros;
use fiber_contract::signature::{Message, SigningKey, body_sha256};
use serde_json::json;

/// A signed push, to be spoilt in one part.
#[derive(Clone)]
struct Signed {
    token: String,
    batch_id: Option<String>,
    timestamp: String,
    nonce: String,
    signature: String,
    body: Vec<u8>,
}

impl Signed {
    fn new(secret: &str, batch_id: Option<&str>, nonce: &str, body: &[u8]) -> Self {
        let mut push = Self {
            token: secret.to_owned(),
            batch_id: batch_id.map(str::to_owned),
            timestamp: UnixMicros::now().to_string(),
            nonce: nonce.to_owned(),
            signature: String::new(),
            body: body.to_vec(),
        };
        push.sign(secret);
        push
    }

    fn sign(&mut self, secret: &str) {
        let message = Message {
            batch_id: self.batch_id.as_deref().unwrap_or_default().as_bytes(),
            timestamp: self.timestamp.as_bytes(),
            nonce: self.nonce.as_bytes(),
            body_sha256: &body_sha256(&self.body),
        };
        self.signature = SigningKey::new(secret).sign(&message);
    }

    fn at(secret: &str, age_s: i64, body: &[u8]) -> Self {
        let mut push = Self::new(secret, None, &format!("at {age_s}").replace(' ', "-"), body);
        push.timestamp = UnixMicros(UnixMicros::now().0 - age_s * 1_000_000).to_string();
        push.sign(secret);
        push
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut other = self.clone();
        change(&mut other);
        other
    }

    fn bytes(&self, without: &[&str]) -> Vec<u8> {
        let fields = [
            ("X-Batch-ID", self.batch_id.clone()),
            ("X-Fiber-Timestamp", Some(self.timestamp.clone())),
            ("X-Fiber-Nonce", Some(self.nonce.clone())),
            ("X-Fiber-Signature", Some(self.signature.clone())),
        ];
        let mut head = format!(
            "POST /api/push HTTP/1.1\r\nHost: e\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            self.token,
            self.body.len()
        );
        for (name, value) in fields {
            if let Some(value) = value.filter(|_| !without.contains(&name)) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

fn body(node_id: &str, age_ms: i64) -> Vec<u8> {
    json!({"node_id": node_id, "metrics": [sample(node_id, age_ms)]})
        .to_string()
        .into_bytes()
}

const BATCH: &str = "018f0000-0000-7000-8000-000000000001";
const OTHER_BATCH: &str = "018f0000-0000-7000-8000-000000000002";

#[test]
fn a_signed_push_is_taken_once_and_its_retry_is_known() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let secret = stack.engine.federation_secret();
        let send = |push: &Signed| exchange(&stack.engine, &push.bytes(&[]));
        let first = Signed::new(secret, Some(BATCH), "n-1", &body("a", 1));
        ensure!(send(&first)?.status == 202, "{driver}");
        // The answer was lost: the same again, byte for byte.
        let again = send(&first)?;
        ensure!(again.status == 200, "{driver}: {again:?}");
        ensure!(again.json()?["message"] == "Already processed", "{driver}");
        // Signed anew, as a probe does that waited long.
        let anew = Signed::new(secret, Some(BATCH), "n-2", &first.body);
        ensure!(send(&anew)?.status == 200, "{driver}");
        // Without a batch id, as single pushes are; their samples are known by themselves.
        let single = Signed::new(secret, None, "n-3", &body("a", 2));
        ensure!(send(&single)?.status == 202 && send(&single)?.status == 202);
        stack.await_rows(2)?;
    }
    Ok(())
}

/// Every part of a good push spoilt, one at a time; and what is honest, but too late or used.
fn spoilt(secret: &str, good: &Signed, fresh: &Signed) -> Vec<(&'static str, Signed)> {
    vec![
        ("body", fresh.with(|push| push.body = body("a", 3))),
        (
            "batch id",
            fresh.with(|push| push.batch_id = Some(BATCH.to_owned())),
        ),
        ("batch id left out", fresh.with(|push| push.batch_id = None)),
        ("nonce", fresh.with(|push| push.nonce.push('x'))),
        (
            "timestamp",
            fresh.with(|push| push.timestamp = UnixMicros::now().to_string() + "x"),
        ),
        (
            "capitals",
            fresh.with(|push| push.signature = push.signature.to_uppercase()),
        ),
        ("cut", fresh.with(|push| push.signature.truncate(63))),
        ("empty", fresh.with(|push| push.signature.clear())),
        ("zeros", fresh.with(|push| push.signature = "0".repeat(64))),
        ("another secret", fresh.with(|push| push.sign("guessed"))),
        ("an empty secret", fresh.with(|push| push.sign(""))),
        (
            "wrong token, good signature",
            fresh.with(|push| push.token = "wrong".to_owned()),
        ),
        ("too old", Signed::at(secret, 310, &body("a", 3))),
        ("too new", Signed::at(secret, -310, &body("a", 3))),
        (
            "replay, another body",
            Signed::new(secret, Some(BATCH), "n-1", &body("a", 3)),
        ),
        (
            "replay, another batch",
            Signed::new(secret, Some(OTHER_BATCH), "n-1", &good.body),
        ),
        (
            "replay, no batch",
            Signed::new(secret, None, "n-1", &good.body),
        ),
    ]
}

#[test]
fn what_is_forged_skewed_or_replayed_is_unauthorised_and_not_stored() -> Result<()> {
    let stack = Stack::with(&[("FEDERATION_SECRET_PREVIOUS", "the secret before this one")])?;
    let secret = stack.engine.federation_secret();
    let good = Signed::new(secret, Some(BATCH), "n-1", &body("a", 1));
    let fresh = Signed::new(secret, Some(OTHER_BATCH), "n-2", &body("a", 2));
    let send = |push: &Signed, without: &[&str]| exchange(&stack.engine, &push.bytes(without));
    ensure!(send(&good, &[])?.status == 202);

    let mut bodies = std::collections::BTreeSet::new();
    let mut refused = |what: &str, answer: Answer| -> Result<()> {
        ensure!(answer.status == 401, "{what}: {answer:?}");
        let mut json = answer.json()?;
        json["trace_id"] = json!("");
        bodies.insert(json.to_string());
        Ok(())
    };
    let spoilt = spoilt(secret, &good, &fresh);
    for (what, push) in &spoilt {
        refused(what, send(push, &[])?)?;
    }
    for field in ["X-Fiber-Timestamp", "X-Fiber-Nonce", "X-Fiber-Signature"] {
        refused(field, send(&fresh, &[field])?)?;
    }

    // What is known already is told to nobody whose signature does not hold.
    refused("known", send(&good.with(|push| push.sign("guessed")), &[])?)?;
    ensure!(bodies.len() == 1, "the refusals differ: {bodies:#?}");
    // The query side, to which a connection goes with its first query, judges alike.
    let mut connection = Connection::open(&stack.engine)?;
    connection.send(b"GET /api/status HTTP/1.1\r\nHost: e\r\n\r\n")?;
    ensure!(connection.answer()?.status == 200);
    for (push, status) in [(&spoilt[0].1, 401), (&good, 200)] {
        connection.send(&push.bytes(&[]))?;
        let answer = connection.answer()?;
        ensure!(answer.status == status, "{answer:?}");
    }
    // No forgery has used up the nonce of an honest request.
    ensure!(send(&fresh, &[])?.status == 202);
    // Near the edges of the clock, and by the secret before.
    for (at, age_s) in [(4, 290), (5, -290)] {
        ensure!(send(&Signed::at(secret, age_s, &body("a", at)), &[])?.status == 202);
    }
    let mut before = Signed::new(secret, None, "n-6", &body("a", 6));
    before.sign("the secret before this one");
    ensure!(send(&before, &[])?.status == 202);
    stack.await_rows(5)
}
