//! One node: its newest samples and what follows from them.

use crate::publish::notify::{NodeRegistration, StoredSample};
use fiber_contract::live::NodeChange;
use fiber_contract::node::{INTERVAL_DEFAULT_S, SPARK_POINTS};
use fiber_contract::time::MICROS_PER_S;
use fiber_contract::{NodeState, NodeView, UnixMicros};
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Node {
    view: NodeView,
    /// What the node said about its rhythm; otherwise its samples show it.
    told_interval_s: Option<f64>,
    /// Columns that hold an operator's word.
    pinned: Vec<String>,
    /// Oldest first, at most `SPARK_POINTS`.
    window: VecDeque<StoredSample>,
}

/// How a node differs from what browsers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    None,
    /// A few values, and this many samples at the end of the window.
    Appended(usize),
    /// More than a change can say: late samples inside the window, or a new place.
    Whole,
}

impl Difference {
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
            (Self::Appended(a), Self::Appended(b)) => Self::Appended(a + b),
            (Self::None, difference) | (difference, Self::None) => difference,
        }
    }
}

impl Node {
    pub(super) fn new(registration: &NodeRegistration) -> Self {
        let view = NodeView {
            node_id: registration.node_id.clone(),
            country: String::new(),
            region: String::new(),
            city: None,
            lat: None,
            lng: None,
            tags: Vec::new(),
            state: NodeState::Unobserved,
            first_seen: None,
            last_seen: None,
            interval_s: INTERVAL_DEFAULT_S,
            latency_ms: None,
            uptime_pct: None,
            packet_loss: None,
            p50_ms: None,
            p95_ms: None,
            spark_ms: Vec::new(),
            strip: Vec::new(),
            targets: 0,
        };
        let mut node = Self {
            view,
            told_interval_s: None,
            pinned: Vec::new(),
            window: VecDeque::new(),
        };
        node.register(registration);
        node
    }

    pub(super) const fn view(&self) -> &NodeView {
        &self.view
    }

    /// The node's own word. Members that were not sent keep what was known, and so do those that an
    /// operator set.
    pub(super) fn register(&mut self, registration: &NodeRegistration) -> Difference {
        if self.pinned.is_empty() {
            return self.take(registration);
        }
        let mut own = registration.clone();
        for column in &self.pinned {
            match column.as_str() {
                "country" => own.country.clone_from(&self.view.country),
                "region" => own.region.clone_from(&self.view.region),
                "city" => own.place.city = None,
                "lat" => own.place.lat = None,
                "lng" => own.place.lng = None,
                "expected_interval_s" => own.place.interval_s = None,
                "tags" => own.place.tags = None,
                _ => {}
            }
        }
        self.take(&own)
    }

    /// As it is in the table, where the operator's word is.
    pub(super) fn edit(
        &mut self,
        registration: &NodeRegistration,
        pinned: &[String],
    ) -> Difference {
        self.pinned = pinned.to_vec();
        self.take(registration)
    }

    fn take(&mut self, registration: &NodeRegistration) -> Difference {
        let place = &registration.place;
        let view = &mut self.view;
        let before = (view.clone(), self.told_interval_s);
        view.country.clone_from(&registration.country);
        view.region.clone_from(&registration.region);
        view.city = place.city.clone().or(view.city.take());
        view.lat = place.lat.or(view.lat);
        view.lng = place.lng.or(view.lng);
        if let Some(tags) = &place.tags {
            view.tags.clone_from(tags);
        }
        view.targets = view.targets.max(registration.series_count);
        self.told_interval_s = place
            .interval_s
            .filter(is_interval)
            .or(self.told_interval_s);
        self.view.interval_s = self.interval_s();
        if (&self.view, self.told_interval_s) == (&before.0, before.1) {
            Difference::None
        } else {
            Difference::Whole
        }
    }

    /// The database knows longer than the window does.
    pub(super) fn seen_first(&mut self, at: UnixMicros) {
        self.view.first_seen = Some(self.view.first_seen.map_or(at, |known| known.min(at)));
    }

    pub(super) fn seen_last(&mut self, at: UnixMicros) {
        self.view.last_seen = Some(self.view.last_seen.map_or(at, |known| known.max(at)));
    }

    /// Takes samples in any order. One that is there already, or older than a full window, changes
    /// nothing that is shown.
    pub(super) fn absorb(&mut self, samples: &[StoredSample]) -> Difference {
        let mut difference = Difference::None;
        for sample in samples {
            difference = difference.and(self.insert(*sample));
        }
        if difference != Difference::None {
            self.refresh();
        }
        // Together they are more than a window: the rest is not in it.
        match difference {
            Difference::Appended(samples) => Difference::Appended(samples.min(SPARK_POINTS)),
            other => other,
        }
    }

    fn insert(&mut self, sample: StoredSample) -> Difference {
        self.seen_first(sample.time);
        self.seen_last(sample.time);
        // Almost always the end.
        let newer = self
            .window
            .iter()
            .rev()
            .take_while(|known| known.time > sample.time)
            .count();
        let at = self.window.len() - newer;
        let same = |known: &StoredSample| {
            known.latency_ms == sample.latency_ms
                && known.uptime_pct.total_cmp(&sample.uptime_pct).is_eq()
                && known.packet_loss.total_cmp(&sample.packet_loss).is_eq()
        };
        let mut at_this_time = self
            .window
            .range(..at)
            .rev()
            .take_while(|known| known.time == sample.time);
        if at_this_time.any(same) || (at == 0 && self.window.len() == SPARK_POINTS) {
            return Difference::None;
        }
        self.window.insert(at, sample);
        if self.window.len() > SPARK_POINTS {
            self.window.pop_front();
        }
        if newer == 0 {
            Difference::Appended(1)
        } else {
            Difference::Whole
        }
    }

    /// Everything that follows from the window.
    fn refresh(&mut self) {
        self.view.interval_s = self.interval_s();
        let view = &mut self.view;
        if let Some(newest) = self.window.back() {
            view.latency_ms = newest.latency_ms;
            view.uptime_pct = Some(newest.uptime_pct);
            view.packet_loss = Some(newest.packet_loss);
        }
        view.spark_ms = self.window.iter().map(|sample| sample.latency_ms).collect();
        view.strip = self.window.iter().map(state_of).collect();
        let mut sorted: Vec<f32> = view.spark_ms.iter().flatten().copied().collect();
        sorted.sort_by(f32::total_cmp);
        view.p50_ms = nearest_rank(&sorted, 0.50);
        view.p95_ms = nearest_rank(&sorted, 0.95);
    }

    fn interval_s(&self) -> f64 {
        self.told_interval_s
            .or_else(|| self.observed_interval_s())
            .unwrap_or(INTERVAL_DEFAULT_S)
    }

    /// The median distance between instants; several targets share one instant.
    fn observed_interval_s(&self) -> Option<f64> {
        let times = self.window.iter().map(|sample| sample.time.0);
        let mut steps: Vec<i64> = times
            .clone()
            .zip(times.skip(1))
            .map(|(earlier, later)| later - earlier)
            .filter(|step| *step > 0)
            .collect();
        if steps.is_empty() {
            return None;
        }
        let middle = steps.len() / 2;
        let (_, median, _) = steps.select_nth_unstable(middle);
        #[expect(
            clippy::cast_precision_loss,
            reason = "microseconds of an interval are far below 2^53"
        )]
        let seconds = *median as f64 / MICROS_PER_S as f64;
        Some(seconds).filter(is_interval)
    }

    /// The state at `now`; true when it is another than before.
    pub(super) fn judge(&mut self, now: UnixMicros) -> bool {
        let silent_s = self.view.last_seen.map(|seen| now.secs_since(seen));
        let silent = silent_s.is_none_or(|s| s > NodeState::silent_after_s(self.view.interval_s));
        let state = match self.window.back() {
            Some(newest) if !silent => state_of(newest),
            _ => NodeState::Unobserved,
        };
        std::mem::replace(&mut self.view.state, state) != state
    }

    /// What browsers must hear when `appended` samples joined the window.
    pub(super) fn change(&self, appended: usize) -> NodeChange {
        let view = &self.view;
        let from = view.strip.len().saturating_sub(appended);
        NodeChange {
            node_id: view.node_id.clone(),
            state: view.state,
            last_seen: view.last_seen,
            latency_ms: view.latency_ms,
            uptime_pct: view.uptime_pct,
            packet_loss: view.packet_loss,
            p50_ms: view.p50_ms,
            p95_ms: view.p95_ms,
            spark_ms: view.spark_ms[from..].to_vec(),
            strip: view.strip[from..].to_vec(),
        }
    }
}

fn state_of(sample: &StoredSample) -> NodeState {
    NodeState::of_sample(sample.latency_ms, sample.uptime_pct, sample.packet_loss)
}

/// A day is the longest rhythm anybody probes in.
fn is_interval(seconds: &f64) -> bool {
    (0.001..=86_400.0).contains(seconds)
}

/// The smallest value that at least this share of all values does not exceed.
pub(crate) fn nearest_rank(sorted: &[f32], share: f64) -> Option<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a length is between 0 and the length"
    )]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn sample(time_s: i64, latency_ms: f32) -> StoredSample {
        StoredSample {
            time: UnixMicros::from_secs(time_s),
            latency_ms: Some(latency_ms),
            uptime_pct: 100.0,
            packet_loss: 0.0,
        }
    }

    fn node() -> Node {
        Node::new(&NodeRegistration {
            node_id: "a".to_owned(),
            country: "GH".to_owned(),
            region: "Accra".to_owned(),
            place: fiber_contract::sample::Metadata::default(),
            series_count: 1,
        })
    }

    #[test]
    fn nearest_rank_is_a_value_that_was_measured() {
        let sorted: Vec<f32> = (1..=20_u8).map(f32::from).collect();
        assert_eq!(nearest_rank(&sorted, 0.5), Some(10.0));
        assert_eq!(nearest_rank(&sorted, 0.95), Some(19.0));
        assert_eq!(nearest_rank(&sorted, 1.0), Some(20.0));
        assert_eq!(nearest_rank(&sorted[..1], 0.5), Some(1.0));
        assert_eq!(nearest_rank(&[], 0.5), None);
    }

    #[test]
    fn samples_in_order_are_appended_and_late_ones_need_the_whole_node() {
        let mut node = node();
        assert_eq!(
            node.absorb(&[sample(10, 1.0), sample(20, 2.0)]),
            Difference::Appended(2)
        );
        assert_eq!(node.absorb(&[sample(15, 9.0)]), Difference::Whole);
        assert_eq!(node.view().spark_ms, [Some(1.0), Some(9.0), Some(2.0)]);
        assert_eq!(node.view().latency_ms, Some(2.0));
        assert_eq!(node.absorb(&[sample(15, 9.0)]), Difference::None);
    }

    #[test]
    fn two_targets_of_one_instant_are_both_kept() {
        let mut node = node();
        assert_eq!(
            node.absorb(&[sample(10, 1.0), sample(10, 2.0)]),
            Difference::Appended(2)
        );
        assert_eq!(node.view().strip.len(), 2);
    }

    #[test]
    fn the_window_holds_the_newest_and_a_backlog_does_not_push_them_out() {
        let mut node = node();
        let newest: Vec<_> = (100..160).map(|s| sample(s, 1.0)).collect();
        node.absorb(&newest);
        let backlog: Vec<_> = (0..90).map(|s| sample(s, 7.0)).collect();
        assert_eq!(node.absorb(&backlog), Difference::None);
        assert!(node.view().spark_ms.iter().all(|ms| *ms == Some(1.0)));
        assert_eq!(node.view().first_seen, Some(UnixMicros::from_secs(0)));
        assert_eq!(node.absorb(&[sample(160, 2.0)]), Difference::Appended(1));
        assert_eq!(node.view().spark_ms.len(), SPARK_POINTS);
    }

    #[test]
    fn more_samples_than_the_window_are_cut_to_it() {
        let mut node = node();
        let many: Vec<_> = (0..200).map(|s| sample(s, 1.0)).collect();
        assert_eq!(node.absorb(&many), Difference::Appended(SPARK_POINTS));
        assert_eq!(node.change(SPARK_POINTS).strip.len(), SPARK_POINTS);
    }

    #[test]
    fn a_told_interval_wins_over_the_observed_one() {
        let mut node = node();
        node.absorb(&[
            sample(0, 1.0),
            sample(30, 1.0),
            sample(60, 1.0),
            sample(200, 1.0),
        ]);
        assert!((node.view().interval_s - 30.0).abs() < 1e-9);
        let place = fiber_contract::sample::Metadata {
            interval_s: Some(5.0),
            ..fiber_contract::sample::Metadata::default()
        };
        let told = NodeRegistration {
            node_id: "a".to_owned(),
            country: "GH".to_owned(),
            region: "Accra".to_owned(),
            place,
            series_count: 1,
        };
        assert_eq!(node.register(&told), Difference::Whole);
        assert_eq!(node.register(&told), Difference::None);
        assert!((node.view().interval_s - 5.0).abs() < 1e-9);
    }

    #[test]
    fn what_an_operator_pinned_is_not_taken_from_the_node() {
        let told = |country: &str, city: &str| NodeRegistration {
            node_id: "a".to_owned(),
            country: country.to_owned(),
            region: "Accra".to_owned(),
            place: fiber_contract::sample::Metadata {
                city: Some(city.to_owned()),
                interval_s: Some(5.0),
                ..fiber_contract::sample::Metadata::default()
            },
            series_count: 1,
        };
        let mut node = node();
        let pinned = ["country".to_owned(), "expected_interval_s".to_owned()];
        let mut edit = told("TG", "Lome");
        edit.place.interval_s = Some(60.0);
        assert_eq!(node.edit(&edit, &pinned), Difference::Whole);
        assert_eq!(node.edit(&edit, &pinned), Difference::None, "once more");
        assert_eq!(node.register(&told("GH", "Accra")), Difference::Whole);
        let view = node.view();
        assert_eq!(
            (view.country.as_str(), view.city.as_deref()),
            ("TG", Some("Accra"))
        );
        assert!((view.interval_s - 60.0).abs() < 1e-9);
        node.edit(&edit, &[]);
        node.register(&told("GH", "Accra"));
        assert_eq!(node.view().country, "GH");
    }

    #[test]
    fn silence_is_three_intervals_and_ends_with_the_next_sample() {
        let mut node = node();
        node.absorb(&[sample(0, 1.0), sample(10, 1.0), sample(20, 1.0)]);
        assert!(node.judge(UnixMicros::from_secs(21)));
        assert_eq!(node.view().state, NodeState::Up);
        assert!(!node.judge(UnixMicros::from_secs(50)));
        assert!(node.judge(UnixMicros::from_secs(51)));
        assert_eq!(node.view().state, NodeState::Unobserved);
        node.absorb(&[sample(52, 500.0)]);
        assert!(node.judge(UnixMicros::from_secs(53)));
        assert_eq!(node.view().state, NodeState::Degraded);
    }
}
