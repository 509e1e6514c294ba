//! What a drawing says to whatever draws it: the browser's canvas, or the recorder of the tests.

/// A role, not a colour: the theme decides what it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// The median.
    Line,
    /// Between the median and the 90th percentile.
    Inner,
    /// Between the 90th and the 99th.
    Outer,
    /// One layer of smoke; layers over each other get denser.
    Smoke,
    Good,
    /// Good, and nothing to look at.
    Calm,
    Worse,
    Bad,
    /// A share of the samples, 0 (few) to `HEAT_LEVELS` − 1 (all).
    Heat(u8),
    /// One of several subjects.
    Subject(u8),
}

/// As many steps as an eye tells apart on a colour scale.
pub(crate) const HEAT_LEVELS: u8 = 9;
/// As many colours as stay apart for colour-blind eyes.
pub(crate) const SUBJECTS_MAX: usize = 8;

/// Shapes are collected until one of the inks is applied to all of them at once.
pub(crate) trait Pen {
    fn move_to(&mut self, x: f64, y: f64);
    fn line_to(&mut self, x: f64, y: f64);
    fn rect(&mut self, x: f64, y: f64, width: f64, height: f64);
    fn fill(&mut self, ink: Ink);
    fn stroke(&mut self, ink: Ink, width_px: f64);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::format::px;

    /// Writes down what it is told, as path data.
    #[derive(Debug, Default)]
    pub(crate) struct Recorder {
        shapes: String,
        pub(crate) done: Vec<(Ink, String)>,
    }

    impl Recorder {
        /// Everything that was drawn with one ink.
        pub(crate) fn of(&self, ink: Ink) -> String {
            let mine = self.done.iter().filter(|(other, _)| *other == ink);
            mine.map(|(_, shapes)| shapes.as_str()).collect()
        }
    }

    impl Pen for Recorder {
        fn move_to(&mut self, x: f64, y: f64) {
            assert!(x.is_finite() && y.is_finite(), "{x} {y}");
            self.shapes += &format!("M{} {}", px(x), px(y));
        }
        fn line_to(&mut self, x: f64, y: f64) {
            assert!(x.is_finite() && y.is_finite(), "{x} {y}");
            self.shapes += &format!("L{} {}", px(x), px(y));
        }
        fn rect(&mut self, x: f64, y: f64, width: f64, height: f64) {
            assert!(x.is_finite() && y.is_finite() && width >= 0.0 && height >= 0.0);
            self.shapes += &format!("R{} {} {} {}", px(x), px(y), px(width), px(height));
        }
        fn fill(&mut self, ink: Ink) {
            self.done.push((ink, std::mem::take(&mut self.shapes)));
        }
        fn stroke(&mut self, ink: Ink, _width_px: f64) {
            self.fill(ink);
        }
    }
}
