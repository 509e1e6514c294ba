use fiber_contract::UnixMicros;
use fiber_contract::account::{LedgerAnswer, Receipt};

use super::client::{encode, query};
use super::error::Error;

/// Hours and nodes on one page; the totals are of the whole range.
pub(crate) const ROWS: usize = 200;

pub(crate) async fn of(
    node_id: Option<&str>,
    from: UnixMicros,
    to: UnixMicros,
) -> Result<LedgerAnswer, Error> {
    let of_node = node_id.map_or(String::new(), |id| format!("node_id={}&", encode(id)));
    query(&format!(
        "/api/ledger?{of_node}from={from}&to={to}&limit={ROWS}"
    ))
    .await
}

pub(crate) async fn receipt(batch_id: &str) -> Result<Receipt, Error> {
    query(&format!("/api/batches/{}", encode(batch_id))).await
}
