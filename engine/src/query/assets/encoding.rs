//! Content codings, and what Accept-Encoding says about them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::query) enum Encoding {
    Plain,
    Br,
    Gzip,
}

impl Encoding {
    /// As in Content-Encoding; `None` for the file as it is.
    pub(in crate::query) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Br => Some("br"),
            Self::Gzip => Some("gzip"),
        }
    }

    /// The coding's own weight decides, else that of `*`, else no.
    pub(in crate::query) fn is_accepted(self, accept: &str) -> bool {
        let Some(name) = self.name() else { return true };
        let weight = |wanted: &str| {
            accept.split(',').find_map(|item| {
                let mut parts = item.split(';').map(str::trim);
                let coding = parts.next()?;
                coding.eq_ignore_ascii_case(wanted).then(|| {
                    parts
                        .find_map(|part| {
                            part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))
                        })
                        .map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0))
                })
            })
        };
        weight(name).or_else(|| weight("*")).unwrap_or(0.0) > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, br: bool, gzip: bool) {
        assert_eq!(Encoding::Br.is_accepted(accept), br, "br in {accept:?}");
        assert_eq!(
            Encoding::Gzip.is_accepted(accept),
            gzip,
            "gzip in {accept:?}"
        );
        assert!(Encoding::Plain.is_accepted(accept));
    }

    #[test]
    fn a_coding_is_used_only_when_it_is_wanted() {
        check("", false, false);
        check("identity", false, false);
        check("gzip, deflate, br, zstd", true, true);
        check("GZIP", false, true);
        check("br;q=0, gzip;q=0.5", false, true);
        check("*", true, true);
        check("*;q=0", false, false);
        check("gzip;q=0, *", true, false);
        check("brotli", false, false);
        check("br; q=banana", false, false);
    }
}
