use fiber_contract::summary::{FederationStatus, ProbeTarget};

use super::client::query;
use super::error::Error;

/// Where a probe says it pushes; `None` when it never said anything.
pub(crate) async fn target(node_id: &str) -> Result<Option<ProbeTarget>, Error> {
    let status: FederationStatus = query("/api/federation/status").await?;
    let mut probes = status.probes.into_iter();
    Ok(probes.find(|probe| probe.node_id == node_id))
}
