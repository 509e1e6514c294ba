//! `/api/export`: samples or rollups as CSV, as many as there are.
//!
//! One cursor in one read-only transaction, so the file is of one moment. The database is asked for
//! `EXPORT_PAGE_ROWS` rows when the page before has been taken by the client, and so two pages are
//! all that is ever held. A client that stops reading stops the cursor, and is dropped when its socket
//! takes nothing for the write deadline; the transaction goes with it, and after `EXPORT_DEADLINE` in
//! any case, because an open snapshot keeps the database from cleaning up.
//!
//! A file that is cut short is known by it: the body has no length, and its last chunk does not come.

mod csv;
mod text;

use super::buckets::stored_bucket;
use super::context::Context;
use super::error::{DatabaseError, Error};
use super::params::Params;
use super::respond::{Aborted, Body};
use super::series::summed_up;
use super::sql::{PgInstant, Session};
use crate::limits::{EXPORT_DEADLINE, EXPORT_PAGE_ROWS, EXPORT_PAGES_AHEAD, QUERY_DEADLINE};
use crate::model::NodeKey;
use bytes::Bytes;
use csv::Line;
use fiber_contract::UnixMicros;
use hyper::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response};
use std::sync::Arc;
use text::Source;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_postgres::Row;

const SPAN_DEFAULT_S: i64 = 86_400;

#[derive(Clone, Debug, PartialEq)]
struct Asked {
    source: Source,
    node_key: Option<i64>,
    region: Option<String>,
    country: Option<String>,
    from: UnixMicros,
    to: UnixMicros,
}

impl Asked {
    fn parse(params: &Params, now: UnixMicros) -> Result<Self, Error> {
        let (from, to) = params.window(now, SPAN_DEFAULT_S)?;
        if !matches!(params.text("format")?, None | Some("csv")) {
            return Err(Error::parameter("format", "is csv"));
        }
        let source = match params.text("source")? {
            None | Some("raw") => Source::Raw,
            Some("1m") => Source::Rollup(0),
            Some("1h") => Source::Rollup(1),
            Some("1d") => Source::Rollup(2),
            Some(_) => return Err(Error::parameter("source", "is raw, 1m, 1h or 1d")),
        };
        let text = |name| Ok::<_, Error>(params.text(name)?.map(str::to_owned));
        Ok(Self {
            source,
            node_key: params.node_id()?.map(|node_id| NodeKey::of(node_id).0),
            region: text("region")?,
            country: text("country")?,
            from,
            to,
        })
    }

    /// What the browser calls the file.
    fn file_name(&self) -> String {
        let day = |at: UnixMicros| {
            let (year, month, day) = at.utc_date();
            format!("{year:04}{month:02}{day:02}")
        };
        format!(
            "fiberstack-{}-{}-{}.csv",
            self.source.word(),
            day(self.from),
            day(UnixMicros(self.to.0 - 1))
        )
    }
}

pub(super) async fn answer(
    context: &Arc<Context>,
    method: &Method,
    params: &Params,
) -> Result<Response<Body>, Error> {
    let asked = Asked::parse(params, UnixMicros::now())?;
    let slot = Arc::clone(&context.exports)
        .try_acquire_owned()
        .map_err(|_| Error::Busy("other exports are under way"))?;
    let file_name = asked.file_name();
    let body = if *method == Method::HEAD {
        Body::EMPTY
    } else {
        // Opened here, so that a database that is away is a 503 and no empty file.
        let session = Session::for_request(context).await?;
        let (pages, taken) = mpsc::channel(EXPORT_PAGES_AHEAD);
        tokio::spawn(run(session, asked, pages, slot));
        Body::Pages(taken)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    let disposition = format!("attachment; filename=\"{file_name}\"");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

type Pages = mpsc::Sender<Result<Bytes, Aborted>>;

async fn run(session: Session, asked: Asked, pages: Pages, _slot: OwnedSemaphorePermit) {
    let end = match timeout(EXPORT_DEADLINE, write(session, &asked, &pages)).await {
        Ok(Ok(())) => return,
        Ok(Err(End::ClientGone)) => return,
        Ok(Err(End::Database(error))) => error,
        Err(_) => DatabaseError::Deadline,
    };
    tracing::warn!(error = %end, "cut an export short");
    // Nobody may be there to hear it.
    drop(pages.send(Err(Aborted)).await);
}

enum End {
    ClientGone,
    Database(DatabaseError),
}

impl<E: Into<DatabaseError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

async fn write(session: Session, asked: &Asked, pages: &Pages) -> Result<(), End> {
    let mut client = session.into_client();
    let transaction = client
        .build_transaction()
        .read_only(true)
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .start()
        .await?;
    let (from, to) = (PgInstant(asked.from), PgInstant(asked.to));
    let statement = transaction.prepare(asked.source.query()).await?;
    let cursor = transaction
        .bind(
            &statement,
            &[&asked.node_key, &asked.region, &asked.country, &from, &to],
        )
        .await?;
    let mut page = String::new();
    page.push_str(asked.source.header());
    loop {
        let asking = transaction.query_portal(&cursor, EXPORT_PAGE_ROWS);
        let Ok(rows) = timeout(QUERY_DEADLINE, asking).await else {
            return Err(End::Database(DatabaseError::Deadline));
        };
        let rows = rows?;
        for row in &rows {
            match asked.source {
                Source::Raw => raw(&mut page, row)?,
                Source::Rollup(_) => rollup(&mut page, row)?,
            }
        }
        let is_last = i64::try_from(rows.len()).unwrap_or(0) < i64::from(EXPORT_PAGE_ROWS);
        if !page.is_empty() {
            let page = Bytes::from(std::mem::take(&mut page));
            // Waits here while the client is slow.
            pages.send(Ok(page)).await.map_err(|_| End::ClientGone)?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// The names that each row begins with.
fn names(line: &mut Line<'_>, row: &Row, first: usize) -> Result<(), tokio_postgres::Error> {
    for at in first..first + 5 {
        line.text(row.try_get(at)?);
    }
    Ok(())
}

fn raw(page: &mut String, row: &Row) -> Result<(), tokio_postgres::Error> {
    let mut line = Line::new(page);
    let PgInstant(time) = row.try_get(0)?;
    line.time(time);
    names(&mut line, row, 1)?;
    for at in 6..9 {
        line.number(row.try_get(at)?);
    }
    line.end();
    Ok(())
}

fn rollup(page: &mut String, row: &Row) -> Result<(), tokio_postgres::Error> {
    let mut line = Line::new(page);
    let PgInstant(start) = row.try_get(0)?;
    let point = summed_up(&stored_bucket(row)?);
    line.time(start);
    names(&mut line, row, 9)?;
    line.whole(i64::try_from(point.count).unwrap_or(i64::MAX));
    for number in [
        point.min, point.avg, point.p50, point.p90, point.p95, point.p99, point.max,
    ] {
        line.number(number);
    }
    line.number(Some(point.loss))
        .number(Some(point.uptime))
        .end();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_795_460_400_000_000);

    fn asked(query: &str) -> Result<Asked, Error> {
        Asked::parse(&Params::parse(Some(query)).unwrap(), NOW)
    }

    #[test]
    fn a_day_of_raw_samples_is_the_default_and_names_its_file() {
        let asked = asked("").unwrap();
        assert_eq!(asked.source, Source::Raw);
        assert_eq!(asked.to.0 - asked.from.0, 86_400_000_000);
        assert_eq!(asked.file_name(), "fiberstack-raw-20261122-20261123.csv");
    }

    #[test]
    fn the_bad_parameter_is_named() {
        for (query, name) in [
            ("format=xlsx", "format"),
            ("source=2m", "source"),
            ("from=2026-11-24T00:00:00Z", "from"),
            ("node_id=%27%3B--", "node_id"),
        ] {
            let error = asked(query).unwrap_err();
            assert_eq!(error.code().http_status(), 422, "{query}");
            assert!(error.to_string().contains(name), "{query}: {error}");
        }
    }
}
