//! The stretch of time a page of charts looks at: one that ends now, or one between two instants.
//! In the URL `?range=1h`, or `?range=1h&from=…&to=…`, where the range is what one returns to.

use fiber_contract::UnixMicros;
use fiber_contract::limits::RAW_RETENTION_S;
use fiber_contract::time::MICROS_PER_S;

use super::range::Range;
use crate::chart::frame::Domain;

/// Shorter stretches would hold no sample.
const SPAN_MIN_S: i64 = 10;
/// As long as anything is kept.
const SPAN_MAX_S: i64 = 366 * 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    Last(Range),
    Between {
        from: UnixMicros,
        to: UnixMicros,
        range: Range,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Earlier,
    Later,
}

impl Window {
    /// What cannot be read is left out: an old or mangled link still opens.
    pub(crate) fn from_query(range: Option<&str>, from: Option<&str>, to: Option<&str>) -> Self {
        let range = Range::from_query(range);
        let instant = |text: Option<&str>| text.and_then(|text| UnixMicros::parse(text).ok());
        match (instant(from), instant(to)) {
            (Some(from), Some(to)) => Self::between(from, to, range).unwrap_or(Self::Last(range)),
            _ => Self::Last(range),
        }
    }

    /// `None` for stretches that no engine would answer for. Kept to whole seconds, as the URL is.
    pub(crate) fn between(from: UnixMicros, to: UnixMicros, range: Range) -> Option<Self> {
        let to = UnixMicros(to.0.checked_add(MICROS_PER_S - 1)?).floor_to(1);
        let from = from.floor_to(1);
        let span_s = to.0.checked_sub(from.0)? / MICROS_PER_S;
        (SPAN_MIN_S..=SPAN_MAX_S)
            .contains(&span_s)
            .then_some(Self::Between { from, to, range })
    }

    /// `range`, `from` and `to` as the URL has them; the default range is not written down.
    pub(crate) fn to_query(self) -> [Option<String>; 3] {
        let word = |range: Range| (range != Range::default()).then(|| range.as_str().to_owned());
        match self {
            // Asked for by name it stays in the address, so that the link says what it shows.
            Self::Last(range) => [Some(range.as_str().to_owned()), None, None],
            Self::Between { from, to, range } => {
                [word(range), Some(from.to_string()), Some(to.to_string())]
            }
        }
    }

    pub(crate) fn domain(self, now: UnixMicros) -> Domain {
        match self {
            Self::Last(range) => Domain {
                from: UnixMicros(now.0 - range.span_s() * MICROS_PER_S),
                to: now,
            },
            Self::Between { from, to, .. } => Domain { from, to },
        }
    }

    const fn range(self) -> Range {
        match self {
            Self::Last(range) | Self::Between { range, .. } => range,
        }
    }

    /// Between these instants; `None` when no engine would answer for them.
    pub(crate) fn with_bounds(self, from: UnixMicros, to: UnixMicros) -> Option<Self> {
        Self::between(from, to, self.range())
    }

    pub(crate) const fn live(self) -> Self {
        Self::Last(self.range())
    }

    pub(crate) const fn is_live(self) -> bool {
        matches!(self, Self::Last(_))
    }

    /// What was dragged over; too little is no change.
    pub(crate) fn narrowed(self, from: UnixMicros, to: UnixMicros, now: UnixMicros) -> Self {
        let middle = UnixMicros(i64::midpoint(from.0, to.0));
        let half = (to.0 - from.0).max(SPAN_MIN_S * MICROS_PER_S) / 2;
        let to = UnixMicros((middle.0 + half).min(now.0));
        Self::between(UnixMicros(middle.0 - half), to, self.range()).unwrap_or(self)
    }

    /// Half a stretch back or forth. What reaches the present is live again.
    pub(crate) fn shifted(self, shift: Shift, now: UnixMicros) -> Self {
        let Domain { from, to } = self.domain(now);
        let half = (to.0 - from.0) / 2;
        let by = match shift {
            Shift::Earlier => -half,
            Shift::Later => half,
        };
        self.placed(UnixMicros(from.0 + by), UnixMicros(to.0 + by), now)
    }

    /// The next shorter or longer stretch: of the list while it ends now, else half or double.
    pub(crate) fn zoomed(self, closer: bool, now: UnixMicros) -> Self {
        match self {
            Self::Last(range) => Self::Last(range.step(!closer)),
            Self::Between { from, to, .. } => {
                let span = to.0 - from.0;
                let by = if closer { -span / 4 } else { span / 2 };
                self.placed(UnixMicros(from.0 - by), UnixMicros(to.0 + by), now)
            }
        }
    }

    fn placed(self, from: UnixMicros, to: UnixMicros, now: UnixMicros) -> Self {
        let span = to.0 - from.0;
        let (from, to) = if to > now {
            (UnixMicros(now.0 - span), now)
        } else {
            (from, to)
        };
        if to == now && span == self.range().span_s() * MICROS_PER_S {
            return self.live();
        }
        Self::between(from, to, self.range()).unwrap_or(self)
    }
}

/// A step so long that it holds some samples of a node that sends one each `interval_s`: of one or
/// two no spread can be seen. But a window has sixty steps, if it has that many samples at all, and
/// at most three hundred. `None` where only the engine knows which of its tables still go back so far.
pub(crate) fn spread_step(domain: Domain, interval_s: f64, age_s: f64) -> Option<u32> {
    const SAMPLES: f64 = 6.0;
    const STEPS_S: [u32; 16] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600,
    ];
    let span_s = domain.to.secs_since(domain.from);
    let wanted = (SAMPLES * interval_s).min(span_s / 60.0);
    let least = wanted.max(span_s / 300.0).max(1.5 * interval_s);
    let step_s = STEPS_S.into_iter().find(|step| f64::from(*step) >= least)?;
    let is_kept = step_s >= 60 || age_s < RAW_RETENTION_S as f64;
    is_kept.then_some(step_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_795_460_400_000_000);

    fn ago(secs: i64) -> UnixMicros {
        UnixMicros(NOW.0 - secs * MICROS_PER_S)
    }

    fn between(from_s: i64, to_s: i64) -> Window {
        Window::between(ago(from_s), ago(to_s), Range::H6).unwrap()
    }

    fn span_s(window: Window) -> i64 {
        let Domain { from, to } = window.domain(NOW);
        (to.0 - from.0) / MICROS_PER_S
    }

    #[test]
    fn a_step_holds_some_samples_and_a_window_some_steps() {
        let step = |span_s: i64, interval_s: f64| {
            let domain = Window::between(ago(span_s), NOW, Range::H1)
                .unwrap()
                .domain(NOW);
            spread_step(domain, interval_s, span_s as f64)
        };
        assert_eq!(step(3_600, 10.0), Some(60));
        assert_eq!(step(3_600, 2.0), Some(15));
        assert_eq!(step(900, 10.0), Some(15));
        assert_eq!(step(60, 2.0), Some(5));
        assert_eq!(step(86_400, 10.0), Some(300));
        assert_eq!(step(8 * 86_400, 10.0), Some(3_600));
        let old = Domain {
            from: ago(9 * 86_400),
            to: ago(9 * 86_400 - 600),
        };
        assert_eq!(spread_step(old, 2.0, 9.0 * 86_400.0), None);
    }

    #[test]
    fn every_window_survives_the_url() {
        for window in [
            Window::Last(Range::H1),
            Window::Last(Range::D30),
            between(7_200, 3_600),
            Window::between(ago(60), NOW, Range::H1).unwrap(),
        ] {
            let [range, from, to] = window.to_query();
            let back = Window::from_query(range.as_deref(), from.as_deref(), to.as_deref());
            assert_eq!(back, window);
        }
    }

    #[test]
    fn mangled_addresses_fall_back_to_the_range() {
        let good = NOW.to_string();
        for (from, to) in [
            ("yesterday", good.as_str()),
            (good.as_str(), good.as_str()),
            (good.as_str(), "2020-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", good.as_str()),
            ("", ""),
        ] {
            let window = Window::from_query(Some("6h"), Some(from), Some(to));
            assert_eq!(window, Window::Last(Range::H6), "{from} {to}");
        }
    }

    #[test]
    fn a_drag_narrows_and_live_returns_to_the_range() {
        let window = Window::Last(Range::H6).narrowed(ago(3_600), ago(1_800), NOW);
        assert_eq!(window, between(3_600, 1_800));
        assert_eq!(window.live(), Window::Last(Range::H6));
        assert!(!window.is_live());
        // A slip of the hand still shows something.
        assert_eq!(
            span_s(Window::Last(Range::H6).narrowed(ago(60), ago(60), NOW)),
            SPAN_MIN_S
        );
    }

    #[test]
    fn shifting_goes_by_halves_and_ends_at_the_present() {
        let back = Window::Last(Range::H1).shifted(Shift::Earlier, NOW);
        assert_eq!(back.domain(NOW).to, ago(1_800));
        assert_eq!(back.shifted(Shift::Later, NOW), Window::Last(Range::H1));
        let late = between(3_000, 100).shifted(Shift::Later, NOW);
        assert_eq!(late.domain(NOW).to, NOW);
        assert_eq!(span_s(late), 2_900);
    }

    #[test]
    fn zooming_halves_and_doubles_between_instants() {
        assert_eq!(
            Window::Last(Range::H6).zoomed(true, NOW),
            Window::Last(Range::H1)
        );
        let window = between(4_000, 2_000);
        assert_eq!(span_s(window.zoomed(true, NOW)), 1_000);
        assert_eq!(span_s(window.zoomed(false, NOW)), 4_000);
        assert_eq!(
            window.zoomed(true, NOW).zoomed(false, NOW).domain(NOW),
            window.domain(NOW)
        );
        assert_eq!(span_s(between(12, 2).zoomed(true, NOW)), 10);
    }
}
