//! Coastlines and borders, decoded from `assets/map.bin` (format in `tools/make-map.mjs`).

use super::projection::{Flat, Projection, View};
use super::push;
use crate::format::px;

const MAGIC: &[u8] = b"FMAP\x03";
const UNITS_PER_DEGREE: f64 = 25.0;
/// Paths farther than this outside the screen are left out of the drawing.
const OVERSCAN_PX: f64 = 8.0;

/// A chain of (lat, lng).
type Chain = Vec<(f64, f64)>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Geography {
    /// Closed.
    coasts: Vec<Chain>,
    /// Open.
    borders: Vec<Chain>,
}

/// The two drawings as SVG path data in pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawing {
    pub(crate) land: String,
    pub(crate) borders: String,
}

impl Geography {
    /// `None` for a file of another format or one that ends too early.
    pub(crate) fn decode(file: &[u8]) -> Option<Self> {
        let mut rest = file.strip_prefix(MAGIC)?;
        let coasts = chains(&mut rest)?;
        let borders = chains(&mut rest)?;
        rest.is_empty().then_some(Self { coasts, borders })
    }

    /// The chains that touch the view. The earth is drawn three times side by side, because the
    /// view may lie across the ±180° meridian at which the data is cut.
    pub(crate) fn draw(&self, projection: Projection, view: View) -> Drawing {
        let mut drawing = Drawing::default();
        for turn in [-360.0, 0.0, 360.0] {
            for coast in &self.coasts {
                append(&mut drawing.land, coast, turn, true, projection, view);
            }
            for border in &self.borders {
                append(&mut drawing.borders, border, turn, false, projection, view);
            }
        }
        drawing
    }
}

fn append(
    path: &mut String,
    chain: &Chain,
    turn: f64,
    closed: bool,
    projection: Projection,
    view: View,
) {
    let pixels: Vec<(f64, f64)> = chain
        .iter()
        .map(|(lat, lng)| view.pixel(projection.flatten_unwrapped(*lat, lng + turn)))
        .collect();
    let inside = |low: f64, high: f64, size: f64| high >= -OVERSCAN_PX && low <= size + OVERSCAN_PX;
    let bounds = pixels.iter().fold(
        (
            Flat {
                x: f64::INFINITY,
                y: f64::INFINITY,
            },
            Flat {
                x: -f64::INFINITY,
                y: -f64::INFINITY,
            },
        ),
        |(low, high), (x, y)| {
            (
                Flat {
                    x: low.x.min(*x),
                    y: low.y.min(*y),
                },
                Flat {
                    x: high.x.max(*x),
                    y: high.y.max(*y),
                },
            )
        },
    );
    if !(inside(bounds.0.x, bounds.1.x, view.width) && inside(bounds.0.y, bounds.1.y, view.height))
    {
        return;
    }
    let mut last: Option<(f64, f64)> = None;
    for (x, y) in pixels {
        // Steps below a third of a pixel cannot be seen and only make the path longer.
        if last.is_some_and(|(lx, ly)| (x - lx).abs() + (y - ly).abs() < 0.35) {
            continue;
        }
        let command = if last.is_none() { 'M' } else { 'L' };
        push(path, format_args!("{command}{} {}", px(x), px(y)));
        last = Some((x, y));
    }
    if closed {
        path.push('Z');
    }
}

fn chains(rest: &mut &[u8]) -> Option<Vec<Chain>> {
    let mut out = Vec::new();
    for _ in 0..varint(rest)? {
        let (mut x, mut y) = (0_i64, 0_i64);
        let mut chain = Chain::new();
        for _ in 0..varint(rest)? {
            x += zigzag(rest)?;
            y += zigzag(rest)?;
            chain.push((y as f64 / UNITS_PER_DEGREE, x as f64 / UNITS_PER_DEGREE));
        }
        out.push(chain);
    }
    Some(out)
}

fn varint(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21] {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn zigzag(rest: &mut &[u8]) -> Option<i64> {
    let value = i64::from(varint(rest)?);
    Some(if value & 1 == 1 {
        -(value + 1) / 2
    } else {
        value / 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = include_bytes!("../../assets/map.bin");

    #[test]
    fn the_committed_map_decodes_and_stays_on_the_globe() {
        let world = Geography::decode(FILE).unwrap();
        assert!(world.coasts.len() > 350 && world.borders.len() > 100);
        for (lat, lng) in world.coasts.iter().chain(&world.borders).flatten() {
            assert!((-90.0..=90.0).contains(lat) && (-360.0..=360.0).contains(lng));
        }
    }

    #[test]
    fn damage_is_refused_and_never_a_panic() {
        for cut in [0, 4, 5, 6, 7, 100, FILE.len() - 1] {
            assert_eq!(Geography::decode(&FILE[..cut]), None, "{cut}");
        }
        assert_eq!(Geography::decode(b"FMAP\x03\xff\xff\xff\xff\xff"), None);
        let mut longer = FILE.to_vec();
        longer.push(0);
        assert_eq!(Geography::decode(&longer), None);
    }

    #[test]
    fn only_what_is_in_view_is_drawn() {
        let world = Geography::decode(FILE).unwrap();
        let projection = Projection { meridian: 0.0 };
        let everywhere = View::fit(&[], 1000.0, 500.0, 0.0);
        let accra = [projection.flatten(5.6, -0.2)];
        let near = View::fit(&accra, 1000.0, 500.0, 0.0);
        let (all, some) = (
            world.draw(projection, everywhere),
            world.draw(projection, near),
        );
        assert!(all.land.starts_with('M') && all.land.ends_with('Z'));
        assert!(some.land.matches('M').count() < all.land.matches('M').count() / 10);
        assert!(!some.borders.is_empty());
    }

    #[test]
    fn a_view_across_the_date_line_shows_both_sides() {
        let world = Geography::decode(FILE).unwrap();
        let projection = Projection { meridian: 180.0 };
        let fiji = [
            projection.flatten(-17.8, 178.0),
            projection.flatten(-13.8, -171.8),
        ];
        let drawing = world.draw(projection, View::fit(&fiji, 800.0, 400.0, 40.0));
        assert!(drawing.land.matches('M').count() >= 2, "{}", drawing.land);
    }
}
