//! Signing in and out, users, and the keys of probes.

use fiber_contract::access::{IssuedKey, KeyView, Me, Role, UserView};

use super::client::{ask_then, encode, quoted, tell_then};
use super::error::Error;
use super::json::{Bad, Json, Read};

/// Who the engine takes this browser for.
pub(crate) fn me(heard: impl FnOnce(Result<Me, Error>) + 'static) {
    ask_then("GET", "/api/auth/me".to_owned(), None, heard);
}

/// Of the answer to a login; the tokens in it are for programs.
struct SignedIn(Me);

impl Read for SignedIn {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        json.field("me").map(Self)
    }
}

pub(crate) fn login(name: &str, password: &str, heard: impl FnOnce(Result<Me, Error>) + 'static) {
    let body = object(&[("name", quoted(name)), ("password", quoted(password))]);
    let heard = |answer: Result<SignedIn, Error>| heard(answer.map(|SignedIn(me)| me));
    ask_then("POST", "/api/auth/login".to_owned(), Some(body), heard);
}

pub(crate) fn logout(heard: impl FnOnce(Result<(), Error>) + 'static) {
    tell_then("POST", "/api/auth/logout".to_owned(), None, heard);
}

pub(crate) fn users(heard: impl FnOnce(Result<Vec<UserView>, Error>) + 'static) {
    ask_then("GET", "/api/users".to_owned(), None, heard);
}

pub(crate) fn add_user(
    name: &str,
    password: &str,
    role: Role,
    heard: impl FnOnce(Result<(), Error>) + 'static,
) {
    let body = object(&[
        ("name", quoted(name)),
        ("password", quoted(password)),
        ("role", quoted(role.as_str())),
    ]);
    tell_then("POST", "/api/users".to_owned(), Some(body), heard);
}

/// What may be done to a user, one thing at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Role(Role),
    Password(String),
    Disabled(bool),
    Remove,
}

pub(crate) fn change_user(
    name: &str,
    wanted: &Change,
    heard: impl FnOnce(Result<(), Error>) + 'static,
) {
    let body = match wanted {
        Change::Role(role) => Some(("role", quoted(role.as_str()))),
        Change::Password(password) => Some(("password", quoted(password))),
        Change::Disabled(disabled) => Some(("disabled", disabled.to_string())),
        Change::Remove => None,
    };
    let body = body.map(|field| object(&[field]));
    let method = if body.is_some() { "PATCH" } else { "DELETE" };
    tell_then(method, format!("/api/users/{}", encode(name)), body, heard);
}

pub(crate) fn keys(heard: impl FnOnce(Result<Vec<KeyView>, Error>) + 'static) {
    ask_then("GET", "/api/keys".to_owned(), None, heard);
}

pub(crate) fn issue_key(
    node_id: &str,
    days: Option<u32>,
    heard: impl FnOnce(Result<IssuedKey, Error>) + 'static,
) {
    let mut fields = vec![("node_id", quoted(node_id))];
    if let Some(days) = days {
        fields.push(("expires_in_days", days.to_string()));
    }
    ask_then("POST", "/api/keys".to_owned(), Some(object(&fields)), heard);
}

pub(crate) fn revoke_key(key_id: &str, heard: impl FnOnce(Result<(), Error>) + 'static) {
    tell_then(
        "DELETE",
        format!("/api/keys/{}", encode(key_id)),
        None,
        heard,
    );
}

fn object(fields: &[(&str, String)]) -> String {
    let inside: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", inside.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_whatever_is_in_them() {
        let body = object(&[("name", quoted("a\"b")), ("disabled", true.to_string())]);
        let json = Json::parse(&body).unwrap();
        assert_eq!(json.field::<String>("name").unwrap(), "a\"b");
        assert!(json.field::<bool>("disabled").unwrap());
    }
}
