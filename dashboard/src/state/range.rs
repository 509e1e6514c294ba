//! The stretch of time a page looks at, kept in the URL as `?range=1h`.

/// Stretches that end now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Range {
    M15,
    #[default]
    H1,
    H6,
    H24,
    D7,
    D30,
}

impl Range {
    pub(crate) const ALL: [Self; 6] = [
        Self::M15,
        Self::H1,
        Self::H6,
        Self::H24,
        Self::D7,
        Self::D30,
    ];

    /// As written in the URL. Anything unknown is the default: an old link still opens.
    pub(crate) fn from_query(text: Option<&str>) -> Self {
        Self::ALL
            .into_iter()
            .find(|range| Some(range.as_str()) == text)
            .unwrap_or_default()
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::M15 => "15m",
            Self::H1 => "1h",
            Self::H6 => "6h",
            Self::H24 => "24h",
            Self::D7 => "7d",
            Self::D30 => "30d",
        }
    }

    /// For the ear.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::M15 => "last 15 minutes",
            Self::H1 => "last hour",
            Self::H6 => "last 6 hours",
            Self::H24 => "last 24 hours",
            Self::D7 => "last 7 days",
            Self::D30 => "last 30 days",
        }
    }

    pub(crate) const fn span_s(self) -> i64 {
        match self {
            Self::M15 => 900,
            Self::H1 => 3_600,
            Self::H6 => 6 * 3_600,
            Self::H24 => 24 * 3_600,
            Self::D7 => 7 * 86_400,
            Self::D30 => 30 * 86_400,
        }
    }

    /// How often a chart of this range is worth asking for again: about when one more pixel is due.
    pub(crate) const fn refresh_s(self) -> i32 {
        match self {
            Self::M15 => 5,
            Self::H1 => 10,
            Self::H6 => 30,
            Self::H24 => 60,
            Self::D7 => 300,
            Self::D30 => 900,
        }
    }

    /// The next shorter or longer one, for the keys + and −.
    pub(crate) fn step(self, longer: bool) -> Self {
        let at = Self::ALL
            .iter()
            .position(|range| *range == self)
            .unwrap_or(0);
        let next = if longer { at + 1 } else { at.saturating_sub(1) };
        Self::ALL.get(next).copied().unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_survives_the_url() {
        for range in Range::ALL {
            assert_eq!(Range::from_query(Some(range.as_str())), range);
        }
    }

    #[test]
    fn unknown_texts_are_the_default() {
        for text in [None, Some(""), Some("1H"), Some("9y")] {
            assert_eq!(Range::from_query(text), Range::H1);
        }
    }

    #[test]
    fn steps_stop_at_both_ends() {
        assert_eq!(Range::M15.step(false), Range::M15);
        assert_eq!(Range::M15.step(true), Range::H1);
        assert_eq!(Range::D30.step(true), Range::D30);
    }
}
