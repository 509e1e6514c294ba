//! The small drawings of a table row: sparkline and state strip, as SVG path data.

use fiber_contract::NodeState;
use fiber_contract::node::SPARK_POINTS;

use super::push;
use crate::format::{fixed, px};

/// A line through the values, newest at the right edge, interrupted where a value is missing.
/// A lone value between two missing ones is drawn as a dot's width of line.
pub(crate) fn spark(values: &[Option<f32>], width: f64, height: f64) -> String {
    let known = values
        .iter()
        .flatten()
        .copied()
        .filter(|value| value.is_finite());
    let (low, high) = known.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return String::new();
    }
    // A quiet line stays quiet: less than a tenth of its value is not stretched to full height.
    let middle = f64::from(f32::midpoint(low, high));
    let reach = (f64::from(high - low) / 2.0).max(middle * 0.05).max(0.05);
    let step = width / (SPARK_POINTS - 1) as f64;
    let first = width - step * (values.len().max(1) - 1) as f64;
    let y = |value: f32| height / 2.0 - (f64::from(value) - middle) / reach * (height / 2.0 - 1.5);
    let mut path = String::new();
    let mut drawing = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            drawing = false;
            continue;
        };
        let x = first + step * at as f64;
        let command = if drawing { 'L' } else { 'M' };
        push(
            &mut path,
            format_args!("{command}{} {}", px(x), px(y(value))),
        );
        let alone = !drawing && !values.get(at + 1).is_some_and(Option::is_some);
        if alone {
            path.push_str("h.1");
        }
        drawing = true;
    }
    path
}

/// Share of the height a cell fills: trouble stands up, so the strip reads without its colours.
const fn cell_height(state: NodeState) -> f64 {
    match state {
        NodeState::Down => 1.0,
        NodeState::Degraded => 0.75,
        NodeState::Up => 0.5,
        NodeState::Unobserved => 0.18,
    }
}

/// Cells of one state, newest at the right edge, neighbours joined into one bar.
pub(crate) fn cells(strip: &[NodeState], state: NodeState, width: f64, height: f64) -> String {
    let cell = width / SPARK_POINTS as f64;
    let first = width - cell * strip.len() as f64;
    let tall = height * cell_height(state);
    let mut path = String::new();
    for (at, _) in strip
        .iter()
        .enumerate()
        .filter(|(_, member)| **member == state)
    {
        let x = first + cell * at as f64;
        let (right, top) = ((cell - 0.75).max(0.75), height - tall);
        push(
            &mut path,
            format_args!(
                "M{} {}h{right}V{}h-{right}Z",
                px(x),
                px(top),
                px(height),
                right = fixed(right, 2)
            ),
        );
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_sample_breaks_the_line() {
        let path = spark(
            &[Some(1.0), Some(2.0), None, Some(3.0), Some(4.0)],
            118.0,
            20.0,
        );
        assert_eq!(path.matches('M').count(), 2);
        assert_eq!(path.matches('L').count(), 2);
    }

    #[test]
    fn nothing_known_draws_nothing() {
        assert_eq!(spark(&[], 100.0, 20.0), "");
        assert_eq!(spark(&[None, Some(f32::NAN)], 100.0, 20.0), "");
    }

    #[test]
    fn a_lone_value_is_still_visible() {
        assert!(spark(&[None, Some(5.0), None], 100.0, 20.0).contains("h.1"));
    }

    #[test]
    fn the_newest_cell_touches_the_right_edge() {
        let path = cells(&[NodeState::Up], NodeState::Up, 240.0, 16.0);
        assert!(path.starts_with("M236.0 8.0"), "{path}");
        assert_eq!(cells(&[NodeState::Up], NodeState::Down, 240.0, 16.0), "");
    }
}
