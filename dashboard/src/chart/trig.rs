//! Sine and arc sine for the map, to ten digits. The standard ones are exact for angles of any size,
//! with tables for it that weigh as much as all of the map's code.

use std::f64::consts::{FRAC_PI_2, TAU};

/// Of an angle between −90° and 90°, in radians.
pub(crate) fn sin(angle: f64) -> f64 {
    let x = angle.clamp(-FRAC_PI_2, FRAC_PI_2);
    let square = x * x;
    // The series of the sine, from its ninth term inwards.
    (1..=9).rev().fold(1.0, |inner, n| {
        let n = f64::from(n);
        1.0 - inner * square / (2.0 * n * (2.0 * n + 1.0))
    }) * x
}

/// The angle whose sine this is, for sines between −0.9 and 0.9.
pub(crate) fn asin(sine: f64) -> f64 {
    let mut angle = sine;
    for _ in 0..6 {
        let reached = sin(angle);
        angle -= (reached - sine) / (1.0 - reached * reached).sqrt();
    }
    angle
}

/// Sine and cosine of a share of a full turn.
pub(crate) fn circle(turn: f64) -> (f64, f64) {
    let of = |turn: f64| {
        let turn = turn - turn.floor();
        // Folded onto the quarters where the series holds.
        let folded = if turn < 0.25 {
            turn
        } else if turn < 0.75 {
            0.5 - turn
        } else {
            turn - 1.0
        };
        sin(folded * TAU)
    };
    (of(turn), of(turn + 0.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_as_the_standard_ones() {
        for n in -1_000..=1_000 {
            let share = f64::from(n) / 1_000.0;
            let angle = share * FRAC_PI_2;
            assert!((sin(angle) - angle.sin()).abs() < 1e-10, "{angle}");
            let sine = share * 0.9;
            assert!((asin(sine) - sine.asin()).abs() < 1e-10, "{sine}");
            let (s, c) = circle(share * 2.0);
            let turned = share * 2.0 * TAU;
            assert!(
                (s - turned.sin()).abs() < 1e-9 && (c - turned.cos()).abs() < 1e-9,
                "{share}"
            );
        }
    }
}
