//! Which URL to try: the first that works, and back to the first.

use crate::client::Url;
use std::time::{Duration, Instant};

/// The URLs in the order of preference, usually region then central.
#[derive(Clone, Debug)]
pub struct Route {
    urls: Vec<Url>,
    current: usize,
    failures: u32,
    /// The preferred URL was last tried.
    preferred_tried: Instant,
    /// The attempt under way tests the preferred URL.
    trial: bool,
}

/// Failures in a row before the next URL is tried: one lost packet is no reason to move.
const FAILURES_MAX: u32 = 3;
/// How often the preferred URL is tested while another is in use.
const RETURN_EVERY: Duration = Duration::from_secs(60);

impl Route {
    pub fn new(urls: Vec<Url>, now: Instant) -> Option<Self> {
        (!urls.is_empty()).then_some(Self {
            urls,
            current: 0,
            failures: 0,
            preferred_tried: now,
            trial: false,
        })
    }

    /// The URL of the next attempt, and its place in the order.
    pub fn pick(&mut self, now: Instant) -> (usize, &Url) {
        self.trial = self.current != 0
            && now.saturating_duration_since(self.preferred_tried) >= RETURN_EVERY;
        let at = if self.trial { 0 } else { self.current };
        if at == 0 {
            self.preferred_tried = now;
        }
        (at, &self.urls[at])
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
        if self.trial {
            tracing::info!(url = %self.urls[0], "back at the preferred URL");
            self.current = 0;
        }
    }

    /// Returns whether the next attempt goes elsewhere and need not wait.
    pub fn failed(&mut self) -> bool {
        if self.trial {
            return true;
        }
        self.failures += 1;
        if self.failures < FAILURES_MAX || self.urls.len() == 1 {
            return false;
        }
        self.failures = 0;
        let from = self.current;
        self.current = (self.current + 1) % self.urls.len();
        tracing::warn!(from = %self.urls[from], to = %self.urls[self.current], "failing over");
        // A whole turn without success must wait, or it would spin.
        self.current != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(count: usize, now: Instant) -> Route {
        let urls = (0..count)
            .map(|n| Url::parse(&format!("http://u{n}")).unwrap())
            .collect();
        Route::new(urls, now).unwrap()
    }

    #[test]
    fn three_failures_move_on_and_a_minute_later_the_first_is_tested() {
        let start = Instant::now();
        let mut route = route(2, start);
        for n in 0..3 {
            assert_eq!(route.pick(start).0, 0);
            assert_eq!(route.failed(), n == 2);
        }
        assert_eq!(route.pick(start).0, 1);
        route.succeeded();
        let later = start + RETURN_EVERY;
        assert_eq!(route.pick(later).0, 0, "tested");
        assert!(route.failed());
        assert_eq!(
            route.pick(later).0,
            1,
            "still away: at once back to the other"
        );
        route.succeeded();
        let again = later + RETURN_EVERY;
        assert_eq!(route.pick(again).0, 0);
        route.succeeded();
        assert_eq!(route.pick(again).0, 0, "returned");
    }

    #[test]
    fn failures_must_be_in_a_row_and_one_url_never_moves() {
        let now = Instant::now();
        let mut two = route(2, now);
        for _ in 0..10 {
            two.failed();
            two.failed();
            two.succeeded();
            assert_eq!(two.pick(now).0, 0);
        }
        let mut one = route(1, now);
        assert!((0..10).all(|_| !one.failed()));
        assert_eq!(one.pick(now).0, 0);
    }
}
