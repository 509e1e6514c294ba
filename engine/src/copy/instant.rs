//! `timestamptz` as the engine's own instants, without a detour over a calendar.

use bytes::{BufMut, BytesMut};
use fiber_contract::UnixMicros;
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use std::error::Error;

/// Between the Unix epoch and PostgreSQL's, 2000-01-01T00:00:00Z.
const PG_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PgInstant(pub UnixMicros);

impl PgInstant {
    /// As the binary formats have it. Accepted samples are thousands of years within the range.
    pub(crate) fn wire(self) -> i64 {
        self.0.0.saturating_sub(PG_EPOCH_UNIX_MICROS)
    }
}

impl ToSql for PgInstant {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(
            self.0
                .0
                .checked_sub(PG_EPOCH_UNIX_MICROS)
                .ok_or("instant out of range")?,
        );
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for PgInstant {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        let micros = micros
            .checked_add(PG_EPOCH_UNIX_MICROS)
            .ok_or("instant out of range")?;
        Ok(Self(UnixMicros(micros)))
    }

    accepts!(TIMESTAMPTZ);
}
