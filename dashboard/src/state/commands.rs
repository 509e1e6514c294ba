//! What the palette offers for a text: pages, nodes, regions, stretches of time and switches, best
//! match first.

use super::comparison::{Comparison, Subject};
use super::fleet::Fleet;
use super::range::Range;
use super::sort::sort;
use crate::routes::Page;

/// As many as are read at a glance.
const FOUND_MAX: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// An address of the dashboard.
    Go(String),
    Range(Range),
    Live,
    Theme,
    Zone,
    Help,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) title: String,
    /// What kind of thing it is, or its key.
    pub(crate) note: String,
    pub(crate) act: Act,
}

/// Where the palette was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// The node whose page is shown.
    pub(crate) node: Option<String>,
    /// What is compared on the page that is shown.
    pub(crate) comparison: Option<Comparison>,
    pub(crate) has_time: bool,
}

fn command(title: impl Into<String>, note: impl Into<String>, act: Act) -> Command {
    Command {
        title: title.into(),
        note: note.into(),
        act,
    }
}

pub(crate) fn find(text: &str, fleet: &Fleet, place: &Place) -> Vec<Command> {
    let mut offers = Offers {
        text: text.to_lowercase(),
        found: Vec::new(),
    };
    offers.fixed(place);
    if !text.is_empty() {
        offers.of_fleet(fleet, place);
    }
    let mut found = offers.found;
    sort(&mut found, |(a, x), (b, y)| {
        b.cmp(a).then_with(|| x.title.cmp(&y.title))
    });
    found.truncate(FOUND_MAX);
    found.into_iter().map(|(_, command)| command).collect()
}

/// What fits the text so far, with how well it does.
struct Offers {
    text: String,
    found: Vec<(u32, Command)>,
}

impl Offers {
    /// `also` is searched, and not shown.
    fn offer(&mut self, bonus: u32, also: &str, command: Command) {
        let title = command.title.to_lowercase();
        if let Some(score) = score(&self.text, &title, &also.to_lowercase()) {
            self.found.push((score + bonus, command));
        }
    }

    fn fixed(&mut self, place: &Place) {
        for (page, name, keys) in [
            (Page::Overview, "Overview", "g o"),
            (Page::Nodes, "Nodes", "g n"),
            (Page::Compare, "Compare", "g c"),
            (Page::Ledger, "Ledger", "g l"),
            (Page::System, "System", "g s"),
        ] {
            self.offer(20, "page", command(name, keys, Act::Go(page.href())));
        }
        if place.has_time {
            self.offer(10, "time", command("Live", "l", Act::Live));
            for range in Range::ALL {
                let title = format!("Show the {}", range.words());
                let note = range.as_str();
                self.offer(5, note, command(title, note, Act::Range(range)));
            }
        }
        for (title, note, also, act) in [
            (
                "Change the theme",
                "switch",
                "dark light colours",
                Act::Theme,
            ),
            ("Times in UTC or local time", "switch", "zone", Act::Zone),
            ("Keyboard help", "?", "keys shortcuts", Act::Help),
        ] {
            self.offer(5, also, command(title, note, act));
        }
    }

    fn of_fleet(&mut self, fleet: &Fleet, place: &Place) {
        let comparing = place.comparing();
        let compare = |subject: Subject| {
            let base = comparing.clone().unwrap_or_default();
            Act::Go(base.with(subject).href())
        };
        for node in fleet.nodes.values() {
            let id = &node.node_id;
            let city = node.city.as_deref().unwrap_or_default();
            let also = format!("{city} {}", node.country);
            let href = Page::Node(id.clone()).href();
            self.offer(2, &also, command(id.clone(), "node", Act::Go(href)));
            if comparing.is_some() {
                let act = compare(Subject::Node(id.clone()));
                self.offer(1, &also, command(format!("Compare with {id}"), "node", act));
            }
        }
        for region in regions(fleet) {
            let title = format!("Compare with {region}");
            let act = compare(Subject::Region(region));
            self.offer(1, "", command(title, "region", act));
        }
    }
}

impl Place {
    /// What a further subject would be compared with.
    fn comparing(&self) -> Option<Comparison> {
        let node = || Some(Comparison::default().with(Subject::Node(self.node.clone()?)));
        self.comparison.clone().or_else(node)
    }
}

/// In order of their names, each once.
pub(crate) fn regions(fleet: &Fleet) -> Vec<String> {
    let mut all: Vec<String> = fleet.nodes.values().map(|it| it.region.clone()).collect();
    sort(&mut all, Ord::cmp);
    all.dedup();
    all
}

/// How well a text fits; `None` when a word of it is nowhere. Everything is lower case.
fn score(text: &str, title: &str, also: &str) -> Option<u32> {
    let mut total = 0;
    for word in text.split_whitespace() {
        let starts = |name: &str| {
            // Umlauts are letters; what parts words is ASCII.
            name.split(|sign: char| sign.is_ascii() && !sign.is_ascii_alphanumeric())
                .any(|part| part.starts_with(word))
        };
        total += if title.starts_with(word) {
            90
        } else if starts(title) {
            70
        } else if title.contains(word) {
            50
        } else if starts(also) {
            40
        } else if in_order(word, title) {
            10
        } else {
            return None;
        };
    }
    Some(total)
}

/// Whether the letters of a word stand in a text in this order, with others in between.
fn in_order(word: &str, text: &str) -> bool {
    let mut rest = text.chars();
    word.chars().all(|sign| rest.any(|other| other == sign))
}

#[cfg(test)]
mod tests {
    use fiber_contract::NodeState;

    use super::super::fleet::tests::{fleet, node};
    use super::*;

    fn titles(text: &str, place: &Place) -> Vec<String> {
        let mut lagos = node("lagos-01", NodeState::Up);
        lagos.city = Some("Lagos".to_owned());
        lagos.region = "Lagos State".to_owned();
        let fleet = fleet(vec![node("accra-01", NodeState::Up), lagos]);
        let found = find(text, &fleet, place);
        found.into_iter().map(|command| command.title).collect()
    }

    #[test]
    fn pages_are_offered_before_anything_is_typed() {
        let found = titles("", &Place::default());
        assert!(found.contains(&"Overview".to_owned()));
        assert!(!found.contains(&"lagos-01".to_owned()));
    }

    #[test]
    fn the_best_match_comes_first() {
        assert_eq!(titles("led", &Place::default())[0], "Ledger");
        assert_eq!(titles("lagos", &Place::default())[0], "lagos-01");
        assert_eq!(titles("acc", &Place::default())[0], "accra-01");
        assert_eq!(titles("l01", &Place::default()), ["lagos-01"]);
        assert!(titles("nowhere", &Place::default()).is_empty());
    }

    #[test]
    fn words_of_time_are_for_pages_with_charts() {
        let place = Place {
            has_time: true,
            ..Place::default()
        };
        assert_eq!(titles("24 h", &place)[0], "Show the last 24 hours");
        assert!(titles("24 h", &Place::default()).is_empty());
    }

    #[test]
    fn a_node_is_compared_with_the_one_that_is_shown() {
        let place = Place {
            node: Some("accra-01".to_owned()),
            ..Place::default()
        };
        let fleet = fleet(vec![
            node("accra-01", NodeState::Up),
            node("kano-01", NodeState::Up),
        ]);
        let found = find("compare kano", &fleet, &place);
        assert_eq!(
            found[0].act,
            Act::Go("/compare?with=accra-01~kano-01".to_owned())
        );
    }
}
