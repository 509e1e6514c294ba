//! What a connection remembers: most send the same token with every request.

use super::principal::Principal;
use super::secret::is_same;
use fiber_contract::UnixMicros;
use std::sync::Arc;

/// One per connection; empty at first. It holds the last Authorization field that was good.
#[derive(Default)]
pub struct Memo(Option<Known>);

struct Known {
    field: Vec<u8>,
    principal: Arc<Principal>,
    until: Option<UnixMicros>,
    generation: u64,
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memo(…)")
    }
}

impl Memo {
    /// Good only for the same field, before its expiry, and while nothing was revoked since.
    pub(super) fn recall(&self, field: &[u8], generation: u64) -> Option<Arc<Principal>> {
        let known = self.0.as_ref()?;
        let fresh = known.generation == generation
            && known.until.is_none_or(|until| UnixMicros::now() < until);
        (fresh && is_same(&known.field, field)).then(|| Arc::clone(&known.principal))
    }

    pub(super) fn keep(
        &mut self,
        field: &[u8],
        principal: &Arc<Principal>,
        until: Option<UnixMicros>,
        generation: u64,
    ) {
        self.0 = Some(Known {
            field: field.to_vec(),
            principal: Arc::clone(principal),
            until,
            generation,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_field_is_recalled_in_its_time() {
        let principal = Arc::new(Principal::Federation);
        let mut memo = Memo::default();
        assert_eq!(memo.recall(b"Bearer a", 1), None);
        memo.keep(b"Bearer a", &principal, None, 1);
        assert_eq!(memo.recall(b"Bearer a", 1), Some(Arc::clone(&principal)));
        for other in ["", "Bearer ", "Bearer b", "Bearer aa"] {
            assert_eq!(memo.recall(other.as_bytes(), 1), None, "{other}");
        }
        assert_eq!(memo.recall(b"Bearer a", 2), None, "something was revoked");
        let past = UnixMicros(UnixMicros::now().0 - 1);
        memo.keep(b"Bearer a", &principal, Some(past), 1);
        assert_eq!(memo.recall(b"Bearer a", 1), None, "expired");
    }
}
