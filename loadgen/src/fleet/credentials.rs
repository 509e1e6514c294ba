//! With what each probe authenticates: the shared secret, a key of its own, or an issuer's token.

use anyhow::{Context, bail, ensure};
use fiber_contract::signature::SigningKey;
use std::collections::HashMap;
use std::path::Path;

/// Checked before the run begins.
#[derive(Debug)]
pub(crate) struct Credentials {
    shared: String,
    by_node: HashMap<String, String>,
    keys_only: bool,
    pub(crate) signing: Option<SigningKey>,
}

impl Credentials {
    pub(crate) fn load(config: &super::Config) -> anyhow::Result<Self> {
        ensure!(
            config.keys_file.is_none() || config.jwt_file.is_none(),
            "a request carries one token: keys or a JWT"
        );
        let by_node = match &config.keys_file {
            Some(path) => read_keys(path)?,
            None => HashMap::new(),
        };
        let shared = match &config.jwt_file {
            Some(path) => read_token(path)?,
            None => config.secret.clone(),
        };
        ensure!(
            !config.sign || !config.secret.is_empty(),
            "signing needs the federation secret"
        );
        ensure!(
            is_field_value(&shared),
            "the token has characters that no header can carry"
        );
        Ok(Self {
            shared,
            by_node,
            keys_only: config.keys_file.is_some(),
            signing: config.sign.then(|| SigningKey::new(&config.secret)),
        })
    }

    /// The header line of one probe's requests.
    pub(crate) fn line(&self, node_id: &str) -> anyhow::Result<String> {
        let token = if self.keys_only {
            let key = self.by_node.get(node_id);
            key.with_context(|| format!("the keys file has no key for {node_id}"))?
        } else {
            &self.shared
        };
        Ok(if token.is_empty() {
            String::new()
        } else {
            format!("Authorization: Bearer {token}\r\n")
        })
    }
}

fn is_field_value(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What `fiber-engine key issue` printed, one key a line; the node's name is in the key itself
/// (`fk1.id.expiry.node.signature`). For keys of another form the name goes before it.
fn read_keys(path: &Path) -> anyhow::Result<HashMap<String, String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the keys {}", path.display()))?;
    let mut keys = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let pair = match (words.next(), words.next(), words.next()) {
            (Some(key), None, None) => node_of(key).map(|node| (node, key)),
            (Some(node), Some(key), None) => Some((node, key)),
            _ => None,
        };
        match pair.filter(|(_, key)| is_field_value(key)) {
            Some((node, key)) => drop(keys.insert(node.to_owned(), key.to_owned())),
            // Not the line itself: it may be a secret.
            None => bail!(
                "{}:{number}: neither a key of `fiber-engine key issue` nor `node key`",
                path.display()
            ),
        }
    }
    ensure!(!keys.is_empty(), "{} holds no key", path.display());
    Ok(keys)
}

/// Node ids may hold dots.
fn node_of(key: &str) -> Option<&str> {
    let (text, _signature) = key.strip_prefix("fk1.")?.rsplit_once('.')?;
    text.splitn(3, '.').nth(2)
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the token {}", path.display()))?;
    let token = text.trim().to_owned();
    ensure!(!token.is_empty(), "{} holds no token", path.display());
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn keys_name_their_node_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(
            &path,
            "# ours\nfk1.0a.0.accra.west-01.ffff\n\nlagos-01 abc\n",
        )
        .unwrap();
        let config = Config {
            keys_file: Some(path.clone()),
            ..Config::default()
        };
        let keys = Credentials::load(&config).unwrap();
        let line = keys.line("accra.west-01").unwrap();
        assert_eq!(
            line,
            "Authorization: Bearer fk1.0a.0.accra.west-01.ffff\r\n"
        );
        assert!(keys.line("lagos-01").unwrap().contains(" abc\r"));
        let missing = keys.line("tunis-01").unwrap_err().to_string();
        assert!(missing.contains("no key for tunis-01"), "{missing}");

        std::fs::write(&path, "lagos-01 abc\nsecret-without-a-node\n").unwrap();
        let error = Credentials::load(&config).unwrap_err().to_string();
        assert!(
            error.contains("keys:2:") && !error.contains("secret-without"),
            "{error}"
        );
    }

    #[test]
    fn a_token_that_would_break_the_head_is_refused() {
        let config = Config {
            secret: "a\r\nX: y".to_owned(),
            ..Config::default()
        };
        assert!(Credentials::load(&config).is_err());
    }
}
