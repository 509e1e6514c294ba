//! What an answer means for the samples of its request.

use super::stats::Planted;
use crate::ledger::{Entry, Outcome};
use crate::workload::faults::Bad;
use fiber_contract::ErrorBody;
use fiber_contract::ingest::{IngestAnswer, SampleError};
use std::collections::HashMap;
use std::time::Duration;

/// How a request ended.
#[derive(Debug)]
pub(super) enum Fate {
    /// Accepted, but for the members that the answer names, and `unnamed` more.
    Acked {
        told: Vec<Told>,
        unnamed: u32,
    },
    /// Nothing of it was taken. With what the answer says about single members.
    Refused {
        told: Vec<Told>,
    },
    Unknown,
}

/// A member that an answer refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    index: u32,
    field: String,
}

/// What one try told.
#[derive(Debug)]
pub(super) enum Try {
    Done(Fate),
    Again {
        wait: Option<Duration>,
        doubtful: bool,
    },
}

pub(super) fn judge(status: u16, retry_after: Option<Duration>, body: &[u8], is_line: bool) -> Try {
    match status {
        200 | 204 if is_line => Try::Done(Fate::all_acked()),
        // An ack that cannot be read is no ack to rely on, and no refusal either.
        200 | 202 => Try::Done(read_ack(body).unwrap_or(Fate::Unknown)),
        // Ours to repeat, and by contract nothing of it is stored.
        408 | 429 | 503 => Try::Again {
            wait: retry_after,
            doubtful: false,
        },
        500..=599 => Try::Again {
            wait: retry_after,
            doubtful: true,
        },
        _ => {
            let body: Option<ErrorBody> = serde_json::from_slice(body).ok();
            let told = body.map_or_else(Vec::new, |body| told(body.errors));
            Try::Done(Fate::Refused { told })
        }
    }
}

fn read_ack(body: &[u8]) -> Option<Fate> {
    const NONE: &[u8] = b"\"rejected\":0,";
    // A parse per answer would double the cost of a request.
    if body.windows(NONE.len()).any(|part| part == NONE) {
        return Some(Fate::all_acked());
    }
    let answer: IngestAnswer = serde_json::from_slice(body).ok()?;
    let told = told(answer.data.errors);
    let named = u32::try_from(told.len()).ok()?;
    let unnamed = answer.data.rejected.checked_sub(named)?;
    Some(Fate::Acked { told, unnamed })
}

fn told(errors: Vec<SampleError>) -> Vec<Told> {
    let mut told: Vec<_> = errors
        .into_iter()
        .map(|SampleError { index, field, .. }| Told { index, field })
        .collect();
    told.sort_by_key(|told| told.index);
    told.dedup_by_key(|told| told.index);
    told
}

/// The counts of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) acked: u64,
    /// Planted ones not among them.
    pub(super) refused: u64,
    pub(super) unknown: u64,
    pub(super) planted: Planted,
    /// It counts for the latencies: accepted, or refused for what was planted in it and nothing else.
    pub(super) answered: bool,
}

impl Fate {
    pub(super) const fn all_acked() -> Self {
        Self::Acked {
            told: Vec::new(),
            unnamed: 0,
        }
    }

    /// Counts the members of a request and gives each entry its outcome: what the server said of it,
    /// whether or not it was bad on purpose.
    pub(super) fn settle(
        &self,
        samples: u32,
        bad: &[(u32, Bad)],
        entries: &mut [Entry],
    ) -> Settled {
        let planted: HashMap<u32, Bad> = bad.iter().copied().collect();
        match self {
            Self::Acked { told, unnamed } => {
                let all_planted = told.iter().all(|told| planted.contains_key(&told.index));
                let count = told.len() + *unnamed as usize;
                // An answer names some hundreds at most. Who the others are is certain only if they
                // are as many as were planted.
                let rest_is_planted = all_planted && count == planted.len();
                if *unnamed > 0 && !rest_is_planted {
                    return Self::Unknown.settle(samples, bad, entries);
                }
                let refused: HashMap<u32, &str> =
                    told.iter().map(|t| (t.index, t.field.as_str())).collect();
                let mut settled = Settled {
                    answered: true,
                    ..Settled::default()
                };
                for (index, kind) in &planted {
                    let of_bad = &mut settled.planted;
                    match refused.get(index) {
                        Some(field) if *field == kind.field() => of_bad.bad_refused += 1,
                        Some(_) => of_bad.bad_misnamed += 1,
                        None if *unnamed > 0 => of_bad.bad_refused += 1,
                        None => of_bad.bad_accepted += 1,
                    }
                }
                settled.refused = refused
                    .keys()
                    .filter(|at| !planted.contains_key(at))
                    .count() as u64;
                settled.acked = u64::from(samples).saturating_sub(count as u64);
                for (index, entry) in (0..).zip(entries) {
                    let is_refused = refused.contains_key(&index)
                        || *unnamed > 0 && planted.contains_key(&index);
                    *entry = entry.with(if is_refused {
                        Outcome::Refused
                    } else {
                        Outcome::Acked
                    });
                }
                settled
            }
            Self::Refused { told } => {
                let mut settled = Settled::default();
                for (index, kind) in &planted {
                    let of_bad = &mut settled.planted;
                    match told.iter().find(|told| told.index == *index) {
                        Some(told) if told.field == kind.field() => of_bad.bad_refused += 1,
                        Some(_) => of_bad.bad_misnamed += 1,
                        None => of_bad.bad_unknown += 1,
                    }
                }
                settled.refused = u64::from(samples) - planted.len() as u64;
                settled.answered = settled.refused == 0 && !told.is_empty();
                for entry in entries {
                    *entry = entry.with(Outcome::Refused);
                }
                settled
            }
            Self::Unknown => {
                let mut settled = Settled {
                    unknown: u64::from(samples) - planted.len() as u64,
                    ..Settled::default()
                };
                settled.planted.bad_unknown = planted.len() as u64;
                for entry in entries {
                    *entry = entry.with(Outcome::Unknown);
                }
                settled
            }
        }
    }
}

#[cfg(test)]
mod tests;
