//! Where the running stack is: environment variables, then the nearest `.fiber/env` upwards.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The settings of a stack, looked up in one order everywhere: environment, then file.
#[derive(Clone, Debug, Default)]
pub struct StackEnv {
    file: HashMap<String, String>,
    path: Option<PathBuf>,
}

/// How to reach the database that the engine writes.
#[derive(Clone, Debug)]
pub struct DbConfig {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl StackEnv {
    /// Looks for `.fiber/env` in the current folder and those above it. No file is not an error.
    pub fn load() -> Self {
        let mut folder = std::env::current_dir().ok();
        while let Some(at) = folder {
            let path = at.join(".fiber").join("env");
            if path.is_file() {
                return Self::from_file(&path);
            }
            folder = at.parent().map(Path::to_path_buf);
        }
        Self::default()
    }

    pub fn from_file(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self {
            file: parse(&text),
            path: Some(path.to_path_buf()),
        }
    }

    /// The file in use, for messages.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// A set and non-empty value. `/run/secrets/<lower case name>` wins over the variable.
    pub fn get(&self, name: &str) -> Option<String> {
        let secret = Path::new("/run/secrets").join(name.to_ascii_lowercase());
        std::fs::read_to_string(secret)
            .ok()
            .map(|text| text.trim().to_owned())
            .or_else(|| std::env::var(name).ok())
            .filter(|value| !value.is_empty())
            .or_else(|| self.file.get(name).cloned())
    }

    pub fn db(&self) -> anyhow::Result<DbConfig> {
        let need = |name: &str| {
            self.get(name).ok_or_else(|| {
                anyhow::anyhow!("{name} is neither in the environment nor in .fiber/env")
            })
        };
        let port = self.get("DB_PORT").unwrap_or_else(|| "5432".to_owned());
        Ok(DbConfig {
            host: need("DB_HOST")?,
            port: port
                .parse()
                .map_err(|_| anyhow::anyhow!("DB_PORT is not a port: {port}"))?,
            user: self.get("DB_USER").unwrap_or_else(|| "postgres".to_owned()),
            password: self.get("DB_PASS").unwrap_or_default(),
            database: self
                .get("DB_NAME")
                .unwrap_or_else(|| "fiberstack".to_owned()),
        })
    }
}

fn parse(text: &str) -> HashMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
        .map(|(name, value)| {
            let value = value.trim();
            let bare = value
                .strip_prefix('"')
                .and_then(|v| v.strip_suffix('"'))
                .or_else(|| value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')))
                .unwrap_or(value);
            (name.trim().to_owned(), bare.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_quotes_comments_and_exports_are_read() {
        let env = parse("# c\nA=1\nexport B=\"two words\"\n C = 'x=y' \n\nnonsense\n");
        assert_eq!(env.get("A").map(String::as_str), Some("1"));
        assert_eq!(env.get("B").map(String::as_str), Some("two words"));
        assert_eq!(env.get("C").map(String::as_str), Some("x=y"));
        assert_eq!(env.len(), 3);
    }
}
