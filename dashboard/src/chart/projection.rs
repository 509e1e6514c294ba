//! From latitude and longitude to the plane, and the part of the plane that is shown.
//!
//! Equal Earth (Šavrič, Patterson, Jenny 2018): areas are true, so a large country looks large, and
//! near the equator shapes are nearly true as well. The central meridian is where the nodes are.

use super::trig::{asin, sin};
use crate::state::sort::sort;

const A1: f64 = 1.340_264;
const A2: f64 = -0.081_106;
const A3: f64 = 0.000_893;
const A4: f64 = 0.003_796;

/// A point of the plane, y growing southwards as on screens. The unit is the earth's radius.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flat {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Equal Earth around one meridian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Projection {
    pub(crate) meridian: f64,
}

impl Projection {
    /// A longitude left of the far meridian is not wrapped: callers add full turns themselves.
    pub(crate) fn flatten_unwrapped(&self, lat: f64, lng: f64) -> Flat {
        let sine = 3_f64.sqrt() / 2.0 * sin(lat.to_radians());
        let (theta, cosine) = (asin(sine), (1.0 - sine * sine).sqrt());
        let (t2, t6) = (theta * theta, theta * theta * theta * theta * theta * theta);
        let slope = A1 + 3.0 * A2 * t2 + t6 * (7.0 * A3 + 9.0 * A4 * t2);
        Flat {
            x: 2.0 * 3_f64.sqrt() * (lng - self.meridian).to_radians() * cosine / (3.0 * slope),
            y: -(theta * (A1 + A2 * t2 + t6 * (A3 + A4 * t2))),
        }
    }

    /// A point of the earth, on the side of the far meridian where it belongs.
    pub(crate) fn flatten(&self, lat: f64, lng: f64) -> Flat {
        let turned = (lng - self.meridian + 180.0).rem_euclid(360.0) - 180.0;
        self.flatten_unwrapped(lat, self.meridian + turned)
    }

    /// The meridian opposite the widest stretch of longitude without any node.
    pub(crate) fn around(places: &[(f64, f64)]) -> Self {
        let mut longitudes: Vec<f64> = places
            .iter()
            .map(|(_, lng)| lng.rem_euclid(360.0))
            .collect();
        sort(&mut longitudes, f64::total_cmp);
        let (Some(first), Some(last)) = (longitudes.first(), longitudes.last()) else {
            return Self { meridian: 0.0 };
        };
        // The gap over the end of the list, then those inside it: (width, where it ends).
        let mut widest = (first + 360.0 - last, *first);
        for pair in longitudes.windows(2) {
            if let [west, east] = pair
                && east - west > widest.0
            {
                widest = (east - west, *east);
            }
        }
        let middle = widest.1 + (360.0 - widest.0) / 2.0;
        Self {
            meridian: (middle + 180.0).rem_euclid(360.0) - 180.0,
        }
    }
}

/// What of the plane is on the screen: pixels = (flat − origin) × scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) origin: Flat,
    pub(crate) scale: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A single city still shows its surroundings: about 1,300 km.
const EXTENT_MIN: f64 = 0.2;

impl View {
    /// Everything in `points` with `margin` pixels around it, centred.
    pub(crate) fn fit(points: &[Flat], width: f64, height: f64, margin: f64) -> Self {
        let (mut west, mut east) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut north, mut south) = (f64::INFINITY, f64::NEG_INFINITY);
        for point in points {
            west = west.min(point.x);
            east = east.max(point.x);
            north = north.min(point.y);
            south = south.max(point.y);
        }
        if points.is_empty() {
            (west, east, north, south) = (-2.7, 2.7, -1.2, 1.0);
        }
        let across = (width - 2.0 * margin).max(1.0);
        let down = (height - 2.0 * margin).max(1.0);
        let scale =
            (across / (east - west).max(EXTENT_MIN)).min(down / (south - north).max(EXTENT_MIN));
        let middle = Flat {
            x: f64::midpoint(west, east),
            y: f64::midpoint(north, south),
        };
        Self {
            origin: Flat {
                x: middle.x - width / 2.0 / scale,
                y: middle.y - height / 2.0 / scale,
            },
            scale,
            width,
            height,
        }
    }

    pub(crate) fn pixel(&self, point: Flat) -> (f64, f64) {
        (
            (point.x - self.origin.x) * self.scale,
            (point.y - self.origin.y) * self.scale,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_the_origin_and_north_is_up() {
        let projection = Projection { meridian: 20.0 };
        let centre = projection.flatten(0.0, 20.0);
        assert!(centre.x.abs() < 1e-12 && centre.y.abs() < 1e-12);
        assert!(projection.flatten(10.0, 20.0).y < 0.0);
        assert!(projection.flatten(0.0, 30.0).x > 0.0);
    }

    #[test]
    fn the_pole_lies_where_the_publication_puts_it() {
        // y of the pole and x of the edge of the equator, in radii, as published.
        let projection = Projection { meridian: 0.0 };
        assert!((projection.flatten(90.0, 0.0).y + 1.317_362_7).abs() < 1e-5);
        assert!((projection.flatten_unwrapped(0.0, 180.0).x - 2.706_629_5).abs() < 1e-5);
    }

    #[test]
    fn areas_are_true() {
        let projection = Projection { meridian: 0.0 };
        let area = |lat: f64| {
            let (a, b) = (projection.flatten(lat, 0.0), projection.flatten(lat, 1.0));
            let up = projection.flatten(lat + 1.0, 0.0);
            let upper = projection.flatten(lat + 1.0, 1.0);
            f64::midpoint(b.x - a.x, upper.x - up.x) * (a.y - up.y) / (lat + 0.5).to_radians().cos()
        };
        assert!((area(0.0) / area(50.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_meridian_turns_to_where_the_nodes_are() {
        let check = |longitudes: &[f64], expect: f64| {
            let places: Vec<_> = longitudes.iter().map(|lng| (0.0, *lng)).collect();
            let found = Projection::around(&places).meridian;
            assert!((found - expect).abs() < 1e-9, "{longitudes:?} {found}");
        };
        check(&[], 0.0);
        check(&[12.0], 12.0);
        check(&[-17.0, 57.0], 20.0);
        check(&[170.0, -170.0], -180.0);
    }

    #[test]
    fn a_fit_holds_every_point_inside_its_margin() {
        let projection = Projection::around(&[(5.6, -0.2), (-1.3, 36.8), (-33.9, 18.4)]);
        let points: Vec<_> = [(5.6, -0.2), (-1.3, 36.8), (-33.9, 18.4)]
            .map(|(lat, lng)| projection.flatten(lat, lng))
            .to_vec();
        for (width, height) in [(390.0, 300.0), (1200.0, 500.0)] {
            let view = View::fit(&points, width, height, 24.0);
            for point in &points {
                let (x, y) = view.pixel(*point);
                assert!((23.9..=width - 23.9).contains(&x), "{x}");
                assert!((23.9..=height - 23.9).contains(&y), "{y}");
            }
        }
    }

    #[test]
    fn one_place_and_no_place_give_a_usable_view() {
        for points in [vec![], vec![Flat { x: 0.1, y: 0.2 }]] {
            let view = View::fit(&points, 400.0, 300.0, 20.0);
            assert!(view.scale.is_finite() && view.scale > 0.0);
        }
    }
}
