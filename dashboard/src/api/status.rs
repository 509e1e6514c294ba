use fiber_contract::status::Status;

use super::client::json;
use super::error::Error;

pub(crate) async fn get() -> Result<Status, Error> {
    json("/api/status").await
}
