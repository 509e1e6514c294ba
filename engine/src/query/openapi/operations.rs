//! What each route takes and answers, in words and types. One place, so that it can be read.

use crate::admit::Route as IngestRoute;
use crate::query::router::Route;
use fiber_contract::access::{
    ChangeUser, IssuedKey, KeyView, Login, Me, NewKey, NewUser, Session, UserView,
};
use fiber_contract::account::{LedgerAnswer, Receipt};
use fiber_contract::audit::AuditEntry;
use fiber_contract::ingest::IngestAnswer;
use fiber_contract::limits::{
    INGEST_SAMPLES_MAX, PUSH_SAMPLES_MAX, QUERY_ROWS_MAX, SERIES_POINTS_MAX,
};
use fiber_contract::node::{ChangeNode, NewNode};
use fiber_contract::query::{Answer, RawSample, SeriesAnswer};
use fiber_contract::sample::{Batch, Sample};
use fiber_contract::status::Status;
use fiber_contract::summary::{
    AggregatedAnswer, ClusterAnswer, FederationStatus, Heartbeat, ProbeTarget,
};
use fiber_contract::{ErrorCode, NodeView};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

/// One method of one route.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) about: &'static str,
    pub(super) params: Vec<Param>,
    pub(super) body: Option<Type>,
    pub(super) answers: Vec<(u16, Content)>,
    /// Beside those that any request may get.
    pub(super) errors: Vec<ErrorCode>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: fn() -> Value,
    pub(super) required: bool,
}

/// A contract type, by the schema that a generator makes of it.
pub(super) type Type = fn(&mut SchemaGenerator) -> Value;

#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Json(Type),
    /// Its media type, and what is in it.
    Text(&'static str, &'static str),
    Nothing,
}

fn of_type<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn one_or_many(generator: &mut SchemaGenerator) -> Value {
    json!({"anyOf": [of_type::<Sample>(generator), of_type::<Batch>(generator)]})
}

const DATABASE: ErrorCode = ErrorCode::Overloaded;

impl Operation {
    fn get<T: JsonSchema>(about: &'static str) -> Self {
        Self::new("GET", about, 200, Content::Json(of_type::<Answer<T>>))
    }

    fn new(method: &'static str, about: &'static str, status: u16, content: Content) -> Self {
        Self {
            method,
            about,
            params: Vec::new(),
            body: None,
            answers: vec![(status, content)],
            errors: Vec::new(),
        }
    }

    fn query(self, name: &'static str, about: &'static str, schema: fn() -> Value) -> Self {
        self.param("query", name, about, schema)
    }

    fn param(
        mut self,
        place: &'static str,
        name: &'static str,
        about: &'static str,
        schema: fn() -> Value,
    ) -> Self {
        self.params.push(Param {
            place,
            name,
            about,
            schema,
            required: place == "path",
        });
        self.errors(&[ErrorCode::InvalidMetric])
    }

    fn required(mut self) -> Self {
        if let Some(last) = self.params.last_mut() {
            last.required = true;
        }
        self
    }

    fn body<T: JsonSchema>(self) -> Self {
        self.body_of(of_type::<T>)
    }

    fn body_of(mut self, body: Type) -> Self {
        self.body = Some(body);
        self.errors(&[
            ErrorCode::InvalidMetric,
            ErrorCode::PayloadTooLarge,
            ErrorCode::RequestTimeout,
        ])
    }

    fn answers(mut self, status: u16, content: Content) -> Self {
        self.answers.push((status, content));
        self
    }

    fn errors(mut self, codes: &[ErrorCode]) -> Self {
        self.errors.extend(codes);
        self
    }

    fn window(self) -> Self {
        self.query("from", "start; an hour before `to` if left out", instant)
            .query("to", "end, exclusive; now if left out", instant)
    }
}

/// Everything that a route does. The dashboard's files are nobody's API.
pub(super) fn of(route: Route<'_>) -> Vec<Operation> {
    match route {
        Route::Ingest(IngestRoute::Push) => vec![push()],
        Route::Ingest(IngestRoute::Ingest) => vec![ingest()],
        Route::Status => vec![status()],
        Route::Raw => vec![raw()],
        Route::Series => vec![series()],
        Route::Aggregated => vec![aggregated()],
        Route::Cluster => vec![cluster()],
        Route::Export => vec![export()],
        Route::Ledger => vec![ledger()],
        Route::Batch { .. } => vec![batch()],
        Route::Nodes => nodes(),
        Route::Node { .. } => node(),
        Route::Live => vec![live()],
        Route::Federation => vec![Operation::get::<FederationStatus>(
            "Where probes push, as they said last; after 90 s of silence it is unknown.",
        )],
        Route::Heartbeat => vec![heartbeat()],
        Route::Audit => vec![audit()],
        Route::Login => vec![login()],
        Route::Refresh => vec![refresh()],
        Route::Logout => vec![logout()],
        Route::Me => vec![me()],
        Route::Users => users(),
        Route::User { .. } => user(),
        Route::Keys => keys(),
        Route::Key { .. } => vec![key()],
        Route::Scrape => vec![Operation::new(
            "GET",
            "Metrics for Prometheus.",
            200,
            Content::Text("text/plain", "exposition format 0.0.4"),
        )],
        Route::OpenApi => vec![Operation::new(
            "GET",
            "This document.",
            200,
            Content::Json(|_| json!({"type": "object"})),
        )],
        Route::Docs => vec![Operation::new(
            "GET",
            "This document as a page.",
            200,
            Content::Text("text/html", "the page"),
        )],
        Route::Asset { .. } => Vec::new(),
    }
}

fn push() -> Operation {
    let about = "One sample, or a batch. Answered when the accepted samples are on disk.";
    taking(Operation::new("POST", about, 202, of_ingest()).body_of(one_or_many))
}

fn ingest() -> Operation {
    let about = "A batch under a name of its own. The same name with the same body gets its first \
                 answer again; with another body it is refused.";
    let operation = Operation::new("POST", about, 202, of_ingest())
        .body::<Batch>()
        .param("header", "X-Batch-ID", "the batch's name", uuid)
        .required()
        .param("header", "X-Region-ID", "the region that relays", text);
    taking(operation)
        .answers(200, of_ingest())
        .errors(&[ErrorCode::BatchConflict])
}

fn of_ingest() -> Content {
    Content::Json(of_type::<IngestAnswer>)
}

fn taking(operation: Operation) -> Operation {
    operation
        .query(
            "ack",
            "what to wait for",
            || json!({"enum": ["durable", "committed"], "default": "durable"}),
        )
        .param(
            "header",
            "Content-Encoding",
            "how the body is compressed",
            || json!({"enum": ["identity", "gzip", "zstd"], "default": "identity"}),
        )
        .errors(&[
            ErrorCode::InvalidToken,
            ErrorCode::Forbidden,
            ErrorCode::UnsupportedMedia,
            ErrorCode::ExpectationFailed,
            ErrorCode::RateLimited,
            ErrorCode::Overloaded,
        ])
}

fn status() -> Operation {
    let about = "200 while serving; `ok` or `degraded`, and why.";
    Operation::new("GET", about, 200, Content::Json(of_type::<Status>))
}

fn raw() -> Operation {
    Operation::get::<Vec<RawSample>>("Raw samples, newest first.")
        .query("node_id", "only this node's", node_id)
        .query(
            "start_time",
            "start; without a node five minutes ago if left out",
            instant,
        )
        .query("end_time", "end, exclusive", instant)
        .query("limit", "rows of a page", rows)
        .query("cursor", "`meta.next_cursor` of the page before", text)
        .errors(&[DATABASE])
}

fn series() -> Operation {
    Operation::get::<SeriesAnswer>(
        "Points for charts: of a node, a region, a country or the whole fleet. Below a minute they \
         are made of raw samples, from a minute on of sketches that are merged, never of averaged \
         percentiles.",
    )
    .query("node_id", "of this node", node_id)
    .query("region", "of this region", text)
    .query("country", "of this country", text)
    .window()
    .query(
        "step",
        "`auto`, or a number with s, m, h or d; above a minute whole minutes",
        || json!({"type": "string", "pattern": "^(auto|[0-9]+[smhd]?)$", "default": "auto"}),
    )
    .query(
        "sketch",
        "with the distribution of each point",
        || json!({"enum": ["true", "false"], "default": "false"}),
    )
    .errors(&[DATABASE])
}

fn aggregated() -> Operation {
    Operation::get::<AggregatedAnswer>("Each region or node summed up over a window.")
        .query(
            "dimension",
            "by what",
            || json!({"enum": ["region", "node"], "default": "region"}),
        )
        .window()
        .errors(&[DATABASE])
}

fn cluster() -> Operation {
    Operation::get::<ClusterAnswer>(
        "The fleet, its regions and its worst nodes. The score is half the share of time down, \
         three tenths the share of packets lost, and two tenths latency: full at 800 ms (p95).",
    )
    .query(
        "top_n",
        "how many of the worst",
        || json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 10}),
    )
    .window()
    .errors(&[DATABASE])
}

fn export() -> Operation {
    let about = "Samples or rollups as a file, as many as there are, node after node. A text that a \
                 spreadsheet would take for a formula has an apostrophe in front. A file that ends \
                 without its last chunk is not whole.";
    let content = Content::Text("text/csv", "CSV (RFC 4180) with a header line");
    Operation::new("GET", about, 200, content)
        .query(
            "source",
            "raw samples, or buckets of a rollup",
            || json!({"enum": ["raw", "1m", "1h", "1d"], "default": "raw"}),
        )
        .query(
            "format",
            "of the file",
            || json!({"enum": ["csv"], "default": "csv"}),
        )
        .query("node_id", "only this node's", node_id)
        .query("region", "only of this region", text)
        .query("country", "only of this country", text)
        .query("from", "start; a day before `to` if left out", instant)
        .query("to", "end, exclusive; now if left out", instant)
        .errors(&[DATABASE])
}

fn ledger() -> Operation {
    Operation::get::<LedgerAnswer>(
        "What became of every sample, by node and hour of its time: received = stored + duplicate + \
         quarantined. What was refused, by reason.",
    )
    .query("node_id", "only this node's", node_id)
    .query("from", "start; a day before `to` if left out", instant)
    .query("to", "end, rounded up to the hour; now if left out", instant)
    .query("limit", "rows of a page", rows)
    .query("cursor", "`meta.next_cursor` of the page before", text)
    .errors(&[DATABASE])
}

fn batch() -> Operation {
    Operation::get::<Receipt>("The receipt of a batch that came with `X-Batch-ID`.")
        .param("path", "id", "the batch's name", uuid)
        .errors(&[ErrorCode::NotFound, DATABASE])
}

fn nodes() -> Vec<Operation> {
    let add = "Adds a node before its first sample, or brings a deleted one back.";
    vec![
        Operation::get::<Vec<NodeView>>("The fleet with its live state."),
        posting::<NodeView>(add, 201)
            .body::<NewNode>()
            .errors(&CHANGES),
    ]
}

fn node() -> Vec<Operation> {
    let change = "Corrects what the node says of itself: a value counts from now on, `null` lets the \
                  node's own word count again.";
    let delete = "Takes a node out of the fleet. Its samples stay; a newer one brings it back.";
    let named = |operation: Operation| {
        operation
            .param("path", "id", "the node's name", node_id)
            .errors(&[ErrorCode::NotFound])
    };
    let content = Content::Json(of_type::<Answer<NodeView>>);
    let patch = Operation::new("PATCH", change, 200, content).body::<ChangeNode>();
    vec![
        named(Operation::get::<NodeView>("One node with its live state.")),
        named(patch).errors(&[ErrorCode::UnsupportedMedia, DATABASE]),
        named(Operation::new("DELETE", delete, 204, Content::Nothing)).errors(&[DATABASE]),
    ]
}

fn live() -> Operation {
    let content = Content::Text(
        "text/event-stream",
        "`snapshot` once (LiveSnapshot), then `change` (LiveChange) at most twice a second",
    );
    Operation::new(
        "GET",
        "The live stream of server-sent events.",
        200,
        content,
    )
    .param("header", "Last-Event-ID", "resumes after it", text)
    .query(
        "last_event_id",
        "the same, for clients without headers",
        text,
    )
    .errors(&[ErrorCode::Overloaded])
}

fn heartbeat() -> Operation {
    let about = "A probe tells where it pushes now.";
    let content = Content::Json(of_type::<Answer<ProbeTarget>>);
    Operation::new("POST", about, 200, content)
        .body::<Heartbeat>()
        .errors(&[
            ErrorCode::InvalidToken,
            ErrorCode::Forbidden,
            ErrorCode::Overloaded,
        ])
}

fn audit() -> Operation {
    let about = "Who changed what, newest first. Each entry's hash covers it and the hash before.";
    Operation::get::<Vec<AuditEntry>>(about)
        .query("limit", "rows of a page", rows)
        .query("cursor", "`meta.next_cursor` of the page before", text)
        .errors(&[DATABASE])
}

fn login() -> Operation {
    let about = "Signs in. Both cookies come with the answer; programs send the access token as bearer. \
                 The answer to a wrong password and to a name that nobody has is the same.";
    posting::<Session>(about, 200).body::<Login>().errors(&[
        ErrorCode::InvalidToken,
        ErrorCode::Forbidden,
        ErrorCode::UnsupportedMedia,
        ErrorCode::RateLimited,
        DATABASE,
    ])
}

fn refresh() -> Operation {
    let about = "The next access token, for the refresh token in the cookie `fiber_refresh`, which is \
                 replaced. One that was used before ends the session.";
    posting::<Session>(about, 200).errors(&[
        ErrorCode::InvalidToken,
        ErrorCode::Forbidden,
        DATABASE,
    ])
}

fn logout() -> Operation {
    let about = "Ends the session and takes the cookies back. Done also without a session.";
    Operation::new("POST", about, 204, Content::Nothing).errors(&[ErrorCode::Forbidden, DATABASE])
}

fn me() -> Operation {
    let about = "Who the request counts as. `anonymous`: nobody signed in, and development lets \
                 anybody look.";
    Operation::get::<Me>(about).errors(&[ErrorCode::InvalidToken, ErrorCode::Forbidden, DATABASE])
}

fn posting<T: JsonSchema>(about: &'static str, status: u16) -> Operation {
    Operation::new("POST", about, status, Content::Json(of_type::<Answer<T>>))
}

const CHANGES: [ErrorCode; 3] = [ErrorCode::UnsupportedMedia, ErrorCode::Conflict, DATABASE];

fn users() -> Vec<Operation> {
    vec![
        Operation::get::<Vec<UserView>>("Everybody who may sign in.").errors(&[DATABASE]),
        posting::<UserView>("Adds a user.", 201)
            .body::<NewUser>()
            .errors(&CHANGES),
    ]
}

fn user() -> Vec<Operation> {
    let change = Content::Json(of_type::<Answer<UserView>>);
    let about = "Changes a user. A new password, and `disabled`, end the user's sessions at once.";
    let named = |operation: Operation| {
        operation
            .param("path", "id", "the user's name", text)
            .errors(&[ErrorCode::NotFound, ErrorCode::Conflict, DATABASE])
    };
    let change = Operation::new("PATCH", about, 200, change).body::<ChangeUser>();
    vec![
        named(change).errors(&[ErrorCode::UnsupportedMedia]),
        named(Operation::new(
            "DELETE",
            "Removes a user and the user's sessions.",
            204,
            Content::Nothing,
        )),
    ]
}

fn keys() -> Vec<Operation> {
    let issue =
        "Issues a key for one node, and tells it this one time. A node has two live keys at most.";
    vec![
        Operation::get::<Vec<KeyView>>("The keys of probes, without the keys themselves.")
            .query("node_id", "only this node's", node_id)
            .errors(&[DATABASE]),
        posting::<IssuedKey>(issue, 201)
            .body::<NewKey>()
            .errors(&CHANGES),
    ]
}

fn key() -> Operation {
    let content = Content::Json(of_type::<Answer<KeyView>>);
    Operation::new(
        "DELETE",
        "Revokes a key. Once more changes nothing.",
        200,
        content,
    )
    .param("path", "id", "the key's id", uuid)
    .errors(&[ErrorCode::NotFound, DATABASE])
}

fn node_id() -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"})
}

fn instant() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn rows() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": QUERY_ROWS_MAX})
}

/// Bounds that are no field's.
pub(super) fn bounds() -> String {
    format!(
        "At most {PUSH_SAMPLES_MAX} samples in a body to `/api/push`, {INGEST_SAMPLES_MAX} to \
         `/api/ingest`; {SERIES_POINTS_MAX} points in a chart."
    )
}
