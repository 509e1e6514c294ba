//! The audit log: who changed what.

use crate::UnixMicros;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One row of `GET /api/audit`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// From 1, without a gap.
    pub id: i64,
    pub at: UnixMicros,
    /// `user:<name>`, `service:<subject>`, `command` on the engine's machine, or `nobody`.
    pub actor: String,
    /// `login`, `login.failed`, `user.changed`, `key.revoked`, `node.changed`, …
    pub action: String,
    /// What it was done to, and the new values.
    pub detail: BTreeMap<String, String>,
    /// Hexadecimal; covers the entry and the hash of the one before.
    pub hash: String,
}
