//! `.fiber/env`: where the stack is and its secrets, as `KEY=VALUE` lines that a shell can source.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Sorted, so that a rewrite without a change is the same file.
pub type Values = BTreeMap<String, String>;

/// No file is an empty set of values.
pub fn load(path: &Path) -> Result<Values> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Values::new()),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn parse(text: &str) -> Values {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), unquote(value.trim()).to_owned()))
        .collect()
}

fn unquote(value: &str) -> &str {
    value
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(value)
}

/// Values that a shell would take apart are quoted.
fn quoted(name: &str, value: &str) -> Result<String> {
    if value.contains(['\n', '\r', '\'', '\0']) {
        bail!("{name} holds a line break or a quote, which the file of settings cannot keep");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=.,:/@%".contains(c);
    Ok(if value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("'{value}'")
    })
}

/// Written whole or not at all, and never readable by others.
pub fn store(path: &Path, values: &Values) -> Result<()> {
    let mut text = String::new();
    for (name, value) in values {
        text.push_str(&format!("{name}={}\n", quoted(name, value)?));
    }
    let partial = path.with_extension("partial");
    drop(fs::remove_file(&partial));
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("create {}", partial.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("write {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("replace {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_stored_is_loaded_again_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        let kept = values(&[
            ("DB_PASS", "s3cret"),
            ("EMPTY", ""),
            ("REDIS_URL", "redis://:a=b@127.0.0.1:6379/0?x=1&y=#2"),
            ("SPACED", "two words $HOME"),
        ]);
        store(&path, &kept).unwrap();
        store(&path, &kept).unwrap();
        assert_eq!(load(&path).unwrap(), kept);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing partial stays"
        );
        let sourced = std::process::Command::new("sh")
            .args(["-c", ". \"$0\" && printf %s \"$REDIS_URL|$SPACED\""])
            .arg(&path)
            .output()
            .unwrap();
        let expected = format!("{}|{}", kept["REDIS_URL"], kept["SPACED"]);
        assert_eq!(String::from_utf8(sourced.stdout).unwrap(), expected);
    }

    #[test]
    fn a_value_that_would_break_the_lines_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        assert!(store(&path, &values(&[("A", "x\nB=injected")])).is_err());
        assert_eq!(load(&path).unwrap(), Values::new());
    }

    #[test]
    fn comments_and_blank_lines_are_skipped() {
        assert_eq!(
            parse("# c\n\nA=1\n B = 2 \nnonsense\n"),
            values(&[("A", "1"), ("B", "2")])
        );
    }
}
