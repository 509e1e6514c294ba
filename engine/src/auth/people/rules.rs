//! What a name and a password may be.

use super::error::Error;
use fiber_contract::limits::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, USER_NAME_BYTES_MAX};
use std::collections::HashSet;

/// Of a dozen characters so many at least are not the same.
const DISTINCT_CHARS_MIN: usize = 5;

/// Names are kept in lower case, so that nobody can take one that looks like another's.
pub(super) fn name_of(text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = name.bytes().next().is_some_and(allowed);
    let rest = name
        .bytes()
        .all(|byte| allowed(byte) || b"._@+-".contains(&byte));
    (first && rest && name.len() <= USER_NAME_BYTES_MAX).then_some(name)
}

pub(super) fn check_name(text: &str) -> Result<String, Error> {
    name_of(text).ok_or_else(|| Error::Field {
        field: "name",
        reason: format!(
            "1 to {USER_NAME_BYTES_MAX} of a-z 0-9 . _ @ + -, beginning with a letter or a digit"
        ),
    })
}

/// Length counts; kinds of characters do not.
pub(super) fn check_password(password: &str, name: &str) -> Result<(), Error> {
    let refuse = |reason: String| {
        Err(Error::Field {
            field: "password",
            reason,
        })
    };
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return refuse(format!(
            "must have {PASSWORD_CHARS_MIN} characters at least, and {PASSWORD_BYTES_MAX} bytes at most"
        ));
    }
    if password.chars().collect::<HashSet<_>>().len() < DISTINCT_CHARS_MIN {
        return refuse("repeats too few characters".to_owned());
    }
    if password.eq_ignore_ascii_case(name) {
        return refuse("must not be the name".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_pose_as_something_else_are_none() {
        for (text, expect) in [
            ("ama", Some("ama")),
            ("Ama@Example.org", Some("ama@example.org")),
            ("7", Some("7")),
            ("", None),
            (".ama", None),
            ("user:ama", None),
            ("a b", None),
            ("a/b", None),
            ("a%2fb", None),
            ("аma", None),
            ("a\0", None),
        ] {
            assert_eq!(name_of(text).as_deref(), expect, "{text:?}");
        }
        assert!(name_of(&"a".repeat(64)).is_some() && name_of(&"a".repeat(65)).is_none());
    }

    #[test]
    fn a_short_repeated_or_copied_password_is_refused_and_told_nowhere() {
        for bad in [
            "",
            "elevenchars",
            "aaaaaaaaaaaaaaaa",
            "abababababab",
            "ama@example.org",
        ] {
            let error = check_password(bad, "ama@example.org")
                .unwrap_err()
                .to_string();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        assert!(check_password(&"äöüßé".repeat(30), "ama").is_err(), "bytes");
        for good in ["correct horse battery", "äöüßéèñçåø12", &"abcde".repeat(51)] {
            check_password(good, "ama").unwrap();
        }
    }
}
