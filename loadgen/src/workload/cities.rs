//! Sixty African cities, with the place of each: the simulated fleet's probes.

/// A city with a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct City {
    /// Part of the node id: lower case, no spaces.
    pub slug: &'static str,
    pub name: &'static str,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// Degrees, WGS 84.
    pub lat: f64,
    pub lng: f64,
    /// How far behind a great-circle fibre the local network is: 1.0 is a well-peered city.
    pub detour: f64,
}

const fn city(
    slug: &'static str,
    name: &'static str,
    country: &'static str,
    lat: f64,
    lng: f64,
    detour: f64,
) -> City {
    City {
        slug,
        name,
        country,
        lat,
        lng,
        detour,
    }
}

/// Ordered as an operator would grow the fleet: the first twenty are a pilot.
pub const CITIES: [City; 60] = [
    city("accra", "Accra", "GH", 5.6037, -0.1870, 1.2),
    city("lagos", "Lagos", "NG", 6.5244, 3.3792, 1.2),
    city("nairobi", "Nairobi", "KE", -1.2921, 36.8219, 1.1),
    city("johannesburg", "Johannesburg", "ZA", -26.2041, 28.0473, 1.0),
    city("cairo", "Cairo", "EG", 30.0444, 31.2357, 1.1),
    city("dakar", "Dakar", "SN", 14.7167, -17.4677, 1.3),
    city("abidjan", "Abidjan", "CI", 5.3600, -4.0083, 1.3),
    city("kigali", "Kigali", "RW", -1.9441, 30.0619, 1.5),
    city("kampala", "Kampala", "UG", 0.3476, 32.5825, 1.4),
    city(
        "dar-es-salaam",
        "Dar es Salaam",
        "TZ",
        -6.7924,
        39.2083,
        1.3,
    ),
    city("addis-ababa", "Addis Ababa", "ET", 9.0300, 38.7400, 1.7),
    city("casablanca", "Casablanca", "MA", 33.5731, -7.5898, 1.1),
    city("tunis", "Tunis", "TN", 36.8065, 10.1815, 1.1),
    city("luanda", "Luanda", "AO", -8.8390, 13.2894, 1.3),
    city("kinshasa", "Kinshasa", "CD", -4.4419, 15.2663, 1.8),
    city("lusaka", "Lusaka", "ZM", -15.3875, 28.3228, 1.4),
    city("harare", "Harare", "ZW", -17.8252, 31.0335, 1.5),
    city("maputo", "Maputo", "MZ", -25.9692, 32.5732, 1.3),
    city("kumasi", "Kumasi", "GH", 6.6885, -1.6244, 1.3),
    city("tamale", "Tamale", "GH", 9.4008, -0.8393, 1.6),
    city("abuja", "Abuja", "NG", 9.0765, 7.3986, 1.3),
    city("kano", "Kano", "NG", 12.0022, 8.5920, 1.6),
    city("mombasa", "Mombasa", "KE", -4.0435, 39.6682, 1.1),
    city("kisumu", "Kisumu", "KE", -0.0917, 34.7680, 1.4),
    city("bamako", "Bamako", "ML", 12.6392, -8.0029, 1.8),
    city("ouagadougou", "Ouagadougou", "BF", 12.3714, -1.5197, 1.8),
    city("lome", "Lomé", "TG", 6.1319, 1.2228, 1.4),
    city("cotonou", "Cotonou", "BJ", 6.3703, 2.3912, 1.4),
    city("niamey", "Niamey", "NE", 13.5116, 2.1254, 2.0),
    city("douala", "Douala", "CM", 4.0511, 9.7679, 1.4),
    city("yaounde", "Yaoundé", "CM", 3.8480, 11.5021, 1.5),
    city("libreville", "Libreville", "GA", 0.4162, 9.4673, 1.5),
    city("cape-town", "Cape Town", "ZA", -33.9249, 18.4241, 1.0),
    city("durban", "Durban", "ZA", -29.8587, 31.0218, 1.0),
    city("gaborone", "Gaborone", "BW", -24.6282, 25.9231, 1.3),
    city("windhoek", "Windhoek", "NA", -22.5609, 17.0658, 1.3),
    city("antananarivo", "Antananarivo", "MG", -18.8792, 47.5079, 1.6),
    city("port-louis", "Port Louis", "MU", -20.1609, 57.5012, 1.3),
    city("djibouti", "Djibouti", "DJ", 11.5721, 43.1456, 1.2),
    city("mogadishu", "Mogadishu", "SO", 2.0469, 45.3182, 1.7),
    city("khartoum", "Khartoum", "SD", 15.5007, 32.5599, 1.8),
    city("alexandria", "Alexandria", "EG", 31.2001, 29.9187, 1.1),
    city("tripoli", "Tripoli", "LY", 32.8872, 13.1913, 1.6),
    city("algiers", "Algiers", "DZ", 36.7538, 3.0588, 1.2),
    city("oran", "Oran", "DZ", 35.6971, -0.6308, 1.3),
    city("rabat", "Rabat", "MA", 34.0209, -6.8416, 1.1),
    city("nouakchott", "Nouakchott", "MR", 18.0735, -15.9582, 1.7),
    city("praia", "Praia", "CV", 14.9330, -23.5133, 1.4),
    city("freetown", "Freetown", "SL", 8.4657, -13.2317, 1.7),
    city("monrovia", "Monrovia", "LR", 6.3156, -10.8074, 1.7),
    city("conakry", "Conakry", "GN", 9.6412, -13.5784, 1.7),
    city("banjul", "Banjul", "GM", 13.4549, -16.5790, 1.6),
    city("bissau", "Bissau", "GW", 11.8817, -15.6178, 1.9),
    city("ndjamena", "N'Djamena", "TD", 12.1348, 15.0557, 2.2),
    city("bangui", "Bangui", "CF", 4.3947, 18.5582, 2.4),
    city("brazzaville", "Brazzaville", "CG", -4.2634, 15.2429, 1.7),
    city("juba", "Juba", "SS", 4.8594, 31.5713, 2.3),
    city("asmara", "Asmara", "ER", 15.3229, 38.9251, 2.4),
    city("lilongwe", "Lilongwe", "MW", -13.9626, 33.7741, 1.6),
    city("bujumbura", "Bujumbura", "BI", -3.3614, 29.3599, 1.8),
];

/// Where the measured services live: content hubs of the continent and the cable landings north.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hub {
    pub host: &'static str,
    pub lat: f64,
    pub lng: f64,
}

pub const HUBS: [Hub; 6] = [
    Hub {
        host: "cloudfront-jnb.example.net",
        lat: -26.2041,
        lng: 28.0473,
    },
    Hub {
        host: "edge-lagos.example.net",
        lat: 6.4281,
        lng: 3.4219,
    },
    Hub {
        host: "cache-nairobi.example.net",
        lat: -1.2921,
        lng: 36.8219,
    },
    Hub {
        host: "cdn-marseille.example.net",
        lat: 43.2965,
        lng: 5.3698,
    },
    Hub {
        host: "core-lisbon.example.net",
        lat: 38.7223,
        lng: -9.1393,
    },
    Hub {
        host: "gw-fujairah.example.net",
        lat: 25.1288,
        lng: 56.3265,
    },
];

/// By slug or name, whatever the case.
pub fn find(text: &str) -> Option<&'static City> {
    CITIES.iter().find(|city| {
        city.slug.eq_ignore_ascii_case(text) || city.name.to_lowercase() == text.to_lowercase()
    })
}

const EARTH_RADIUS_KM: f64 = 6_371.0;

/// Great-circle distance (haversine), in kilometres.
pub fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (lat_from, lat_to) = (from.0.to_radians(), to.0.to_radians());
    let half_lat = (lat_to - lat_from) / 2.0;
    let half_lng = (to.1 - from.1).to_radians() / 2.0;
    let square = half_lat.sin().powi(2) + lat_from.cos() * lat_to.cos() * half_lng.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * square.sqrt().min(1.0).asin()
}

/// The hub that a probe at this place measures, and the way to it: the nearest.
pub fn nearest_hub(place: (f64, f64)) -> (&'static Hub, f64) {
    let mut best = (&HUBS[0], f64::INFINITY);
    for hub in &HUBS {
        let km = distance_km(place, (hub.lat, hub.lng));
        if km < best.1 {
            best = (hub, km);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_city_is_once_in_the_list_and_on_the_continent_or_its_islands() {
        let slugs: HashSet<_> = CITIES.iter().map(|c| c.slug).collect();
        let places: HashSet<_> = CITIES
            .iter()
            .map(|c| (c.lat.to_bits(), c.lng.to_bits()))
            .collect();
        assert_eq!((slugs.len(), places.len()), (60, 60));
        for city in &CITIES {
            assert!((-35.0..38.0).contains(&city.lat), "{}", city.name);
            assert!((-26.0..58.0).contains(&city.lng), "{}", city.name);
            assert!(
                city.country.bytes().all(|b| b.is_ascii_uppercase()) && city.country.len() == 2
            );
            assert!(
                city.slug
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-')
            );
        }
    }

    #[test]
    fn distances_are_those_of_an_atlas() {
        let find = |slug: &str| {
            CITIES
                .iter()
                .find(|c| c.slug == slug)
                .map(|c| (c.lat, c.lng))
        };
        let km = |a, b| distance_km(find(a).unwrap(), find(b).unwrap());
        assert!((km("accra", "lagos") - 408.0).abs() < 10.0);
        assert!((km("cairo", "cape-town") - 7_240.0).abs() < 40.0);
        assert!(km("accra", "accra") < 0.001);
    }
}
