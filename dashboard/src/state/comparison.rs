//! Which nodes and regions are compared: `?with=lagos-01~@Greater Accra`, regions with an `@`,
//! which no node id holds.

pub(crate) use super::history::Subject;
use crate::chart::pen::SUBJECTS_MAX;
use crate::routes::Page;

const BETWEEN: char = '~';
const REGION: char = '@';

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison(pub(crate) Vec<Subject>);

impl Comparison {
    /// Each once, and no more than there are colours.
    pub(crate) fn from_query(text: Option<&str>) -> Self {
        let mut subjects = Vec::new();
        for word in text.unwrap_or_default().split(BETWEEN) {
            let subject = match word.strip_prefix(REGION) {
                Some(region) => Subject::Region(region.to_owned()),
                None => Subject::Node(word.to_owned()),
            };
            let known =
                word.is_empty() || word.len() == REGION.len_utf8() && word.starts_with(REGION);
            if !known && !subjects.contains(&subject) && subjects.len() < SUBJECTS_MAX {
                subjects.push(subject);
            }
        }
        Self(subjects)
    }

    pub(crate) fn to_query(&self) -> String {
        let words: Vec<String> = self.0.iter().map(word).collect();
        words.join(&BETWEEN.to_string())
    }

    pub(crate) fn with(&self, subject: Subject) -> Self {
        let mut next = self.clone();
        if !next.0.contains(&subject) && next.0.len() < SUBJECTS_MAX {
            next.0.push(subject);
        }
        next
    }

    pub(crate) fn without(&self, subject: &Subject) -> Self {
        let kept = self.0.iter().filter(|other| *other != subject);
        Self(kept.cloned().collect())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= SUBJECTS_MAX
    }

    /// Region names hold spaces; what else needs an escape in an address is rare in them, and kept.
    pub(crate) fn href(&self) -> String {
        if self.0.is_empty() {
            return Page::Compare.href();
        }
        let escaped: String = self
            .to_query()
            .chars()
            .map(|sign| match sign {
                ' ' => "%20".to_owned(),
                '%' => "%25".to_owned(),
                '&' => "%26".to_owned(),
                '+' => "%2B".to_owned(),
                '#' => "%23".to_owned(),
                _ => sign.to_string(),
            })
            .collect();
        format!("{}?with={escaped}", Page::Compare.href())
    }
}

fn word(subject: &Subject) -> String {
    match subject {
        Subject::Fleet => String::new(),
        Subject::Node(id) => id.clone(),
        Subject::Region(name) => format!("{REGION}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::Address;

    fn node(id: &str) -> Subject {
        Subject::Node(id.to_owned())
    }

    #[test]
    fn a_comparison_survives_its_address() {
        let region = Subject::Region("Côte d'Ivoire & 100 % + #1".to_owned());
        let both = Comparison(vec![node("a:b.c"), region]);
        let href = both.href();
        let (path, search) = href.split_once('?').unwrap();
        let address = Address::parse(path, search);
        assert_eq!(Comparison::from_query(address.value("with")), both);
        assert_eq!(Comparison::default().href(), "/compare");
    }

    #[test]
    fn each_is_listed_once_and_no_more_than_there_are_colours() {
        assert_eq!(
            Comparison::from_query(Some("a~a~~@~b")).0,
            [node("a"), node("b")]
        );
        let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let full = Comparison::from_query(Some(&many.join("~")));
        assert!(full.is_full() && full.0.len() == SUBJECTS_MAX);
        assert_eq!(full.with(node("x")), full);
        assert_eq!(full.without(&node("0")).0.len(), SUBJECTS_MAX - 1);
        assert_eq!(
            Comparison::default()
                .with(node("a"))
                .with(node("a"))
                .0
                .len(),
            1
        );
    }
}
