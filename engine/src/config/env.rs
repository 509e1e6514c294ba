//! From the environment to `Config`. A file `/run/secrets/<lower case name>` wins over the variable;
//! a secret may also be in the file that `<NAME>_FILE` names.

use super::{Config, Database, Driver, RateLimit, Role, Secret, TrustedProxies};
use crate::auth::JwtKeys;
use crate::failpoint::Failpoint;
use crate::journal::OnDamage;
use crate::limits::{
    JOURNAL_AGE_MAX_DEFAULT, JOURNAL_AGE_MAX_MIN, JOURNAL_BYTES_MAX_DEFAULT, JOURNAL_BYTES_MAX_MIN,
    WRITERS_MAX, WRITERS_MAX_DEFAULT,
};
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

const SECRETS_DIR: &str = "/run/secrets";
const SECRET_BYTES_MIN: usize = 32;
/// Values that examples print; nobody may run production on them.
const EXAMPLE_SECRETS: [&str; 5] = [
    "sandbox_secret",
    "dev-secret",
    "postgres",
    "changeme",
    "secret",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Dev,
    Staging,
    Prod,
}

impl Environment {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }
}

/// Where values come from; tests pass a map.
pub trait Source {
    fn get(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Source for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Secret files first, then the process's variables. Empty counts as not set.
pub fn process_environment(name: &str) -> Option<String> {
    let file = PathBuf::from(SECRETS_DIR).join(name.to_ascii_lowercase());
    std::fs::read_to_string(file)
        .ok()
        .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
        .or_else(|| std::env::var(name).ok())
        .filter(|value| !value.is_empty())
}

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} mistake(s):", self.0.len())?;
        for mistake in &self.0 {
            write!(f, "\n  - {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

struct Reader<'a> {
    source: &'a dyn Source,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.source.get(name)
    }

    fn parsed<T: FromStr>(&mut self, name: &str, default: T, what: &str) -> T {
        let Some(text) = self.text(name) else {
            return default;
        };
        text.trim().parse().unwrap_or_else(|_| {
            self.mistakes.push(format!("{name}={text:?} is not {what}"));
            default
        })
    }

    fn rate(&mut self, name: &str, default: f64) -> f64 {
        let rate = self.parsed(name, default, "a number of requests");
        if rate.is_finite() && rate > 0.0 {
            return rate;
        }
        self.mistakes.push(format!("{name} must be above 0"));
        default
    }

    fn one_of<T: Copy>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(text) = self.text(name) else {
            return default;
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.trim()) {
            return *value;
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.mistakes.push(format!(
            "{name}={text:?} is not one of: {}",
            words.join(", ")
        ));
        default
    }

    /// A value that must not be seen: from `name`, or from the file that `<name>_FILE` names.
    fn hidden(&mut self, name: &str) -> Option<Secret> {
        let direct = self.text(name);
        let variable = format!("{name}_FILE");
        let Some(path) = self.text(&variable) else {
            return direct.map(Secret::new);
        };
        match std::fs::read_to_string(&path) {
            Err(error) => self
                .mistakes
                .push(format!("{variable}={path:?} cannot be read: {error}")),
            Ok(text) => {
                let value = text.trim_end_matches(['\r', '\n']);
                // Whoever rotates one and forgets the other must hear of it.
                if direct.is_some_and(|direct| direct != value) {
                    self.mistakes
                        .push(format!("{name} and {variable} are both set, and differ"));
                }
                if !value.is_empty() {
                    return Some(Secret::new(value));
                }
                self.mistakes
                    .push(format!("{variable}={path:?} is an empty file"));
            }
        }
        None
    }

    fn optional_secret(&mut self, name: &str, environment: Environment) -> Option<Secret> {
        let secret = self.hidden(name)?;
        let value = secret.expose();
        if environment == Environment::Prod
            && (value.len() < SECRET_BYTES_MIN || EXAMPLE_SECRETS.contains(&value))
        {
            self.mistakes.push(format!(
                "{name} is a default or shorter than {SECRET_BYTES_MIN} characters, which ENV=prod refuses"
            ));
        }
        Some(secret)
    }

    fn secret(&mut self, name: &str, environment: Environment) -> Secret {
        let mistakes = self.mistakes.len();
        let secret = self.optional_secret(name, environment);
        if secret.is_none() && self.mistakes.len() == mistakes {
            self.mistakes.push(format!(
                "{name} is not set; draw one with: openssl rand -hex 32"
            ));
        }
        secret.unwrap_or_else(|| Secret::new(""))
    }

    fn jwt_keys(&mut self) -> Option<JwtKeys> {
        let pem = self.hidden("JWT_PUBLIC_KEY")?;
        let issuer = self.text("JWT_ISSUER");
        let audience = self
            .text("JWT_AUDIENCE")
            .unwrap_or_else(|| "fiberstack".into());
        JwtKeys::read(pem.expose(), issuer.as_deref(), &audience)
            .map_err(|reason| self.mistakes.push(format!("JWT_PUBLIC_KEY {reason}")))
            .ok()
    }

    fn writers(&mut self, cores: NonZeroUsize) -> RangeInclusive<usize> {
        let default = cores.min(WRITERS_MAX_DEFAULT);
        let most = self.parsed("FIBER_WRITERS", default, "a number of sessions from 1");
        let least = self.parsed(
            "FIBER_WRITERS_MIN",
            NonZeroUsize::MIN,
            "a number of sessions from 1",
        );
        if least > most || most > WRITERS_MAX {
            self.mistakes.push(format!(
                "FIBER_WRITERS must be from FIBER_WRITERS_MIN, which is {least}, to {WRITERS_MAX}"
            ));
        }
        least.get()..=most.get()
    }

    fn journal_bytes_max(&mut self) -> u64 {
        let journal_bytes_max = self.parsed(
            "FIBER_JOURNAL_BYTES_MAX",
            JOURNAL_BYTES_MAX_DEFAULT,
            "a number of bytes",
        );
        if journal_bytes_max < JOURNAL_BYTES_MAX_MIN {
            self.mistakes.push(format!(
                "FIBER_JOURNAL_BYTES_MAX must be at least {JOURNAL_BYTES_MAX_MIN}"
            ));
        }
        journal_bytes_max
    }

    fn journal_age_max(&mut self) -> Duration {
        let default_s = JOURNAL_AGE_MAX_DEFAULT.as_secs();
        let age_s = self.parsed("FIBER_JOURNAL_AGE_MAX_S", default_s, "a number of seconds");
        if age_s < JOURNAL_AGE_MAX_MIN.as_secs() {
            self.mistakes.push(format!(
                "FIBER_JOURNAL_AGE_MAX_S must be at least {}",
                JOURNAL_AGE_MAX_MIN.as_secs()
            ));
        }
        Duration::from_secs(age_s)
    }

    fn environment(&mut self) -> Environment {
        self.one_of(
            "ENV",
            Environment::Dev,
            &[
                ("dev", Environment::Dev),
                ("staging", Environment::Staging),
                ("prod", Environment::Prod),
            ],
        )
    }

    fn cors_origins(&mut self) -> Vec<String> {
        let text = self.text("CORS_ORIGINS").unwrap_or_default();
        let origins = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        let mut known = Vec::new();
        for origin in origins {
            if is_origin(origin) {
                known.push(origin.to_owned());
            } else {
                self.mistakes.push(format!(
                    "CORS_ORIGINS: {origin:?} is not an origin like https://ops.example or http://localhost:3000"
                ));
            }
        }
        known
    }

    fn rate_limit(&mut self) -> RateLimit {
        RateLimit {
            global_rate: self.rate("RATE_LIMIT_GLOBAL_MAX", 5_000.0),
            ingest_rate: self.rate("RATE_LIMIT_INGEST_RATE", 1_000.0),
            ingest_burst: self.rate("RATE_LIMIT_INGEST_BURST", 2_000.0),
            stranger_rate: self.rate("RATE_LIMIT_STRANGER_RATE", 20.0),
        }
    }

    fn trusted_proxies(&mut self) -> TrustedProxies {
        let text = self.text("FIBER_TRUSTED_PROXIES").unwrap_or_default();
        let mut proxies = TrustedProxies::default();
        for network in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            if let Err(error) = proxies.add(network) {
                self.mistakes
                    .push(format!("FIBER_TRUSTED_PROXIES: {network:?} {error}"));
            }
        }
        proxies
    }

    fn failpoint(&mut self, environment: Environment) -> Option<Failpoint> {
        let text = self.text("FIBER_FAILPOINT")?;
        if environment != Environment::Dev {
            let mistake = "FIBER_FAILPOINT kills the engine, which only ENV=dev allows";
            self.mistakes.push(mistake.to_owned());
        }
        match text.parse() {
            Ok(failpoint) => Some(failpoint),
            Err(known) => {
                let mistake = format!("FIBER_FAILPOINT={text:?} is not {known}");
                self.mistakes.push(mistake);
                None
            }
        }
    }

    fn dashboard_dir(&mut self) -> Option<PathBuf> {
        let dashboard_dir = self.text("FIBER_DASHBOARD_DIR").map(PathBuf::from);
        if let Some(dir) = dashboard_dir
            .as_ref()
            .filter(|dir| !dir.join("index.html").is_file())
        {
            self.mistakes.push(format!(
                "FIBER_DASHBOARD_DIR={} holds no index.html",
                dir.display()
            ));
        }
        dashboard_dir
    }

    fn database(&mut self, environment: Environment) -> Database {
        Database {
            host: self.text("DB_HOST").unwrap_or_else(|| "localhost".into()),
            port: self.parsed("DB_PORT", 5432, "a port"),
            user: self.text("DB_USER").unwrap_or_else(|| "fiberstack".into()),
            password: self.secret("DB_PASS", environment),
            name: self.text("DB_NAME").unwrap_or_else(|| "fiberstack".into()),
            read_host: self.text("DB_READ_HOST"),
        }
    }
}

/// Scheme, host and perhaps port, in the form in which browsers send it; `*` is not one.
fn is_origin(text: &str) -> bool {
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    host.is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
            })
    })
}

/// Reads and checks all of it, or tells all that is wrong.
pub fn load(source: &dyn Source) -> Result<Config, Mistakes> {
    let mut read = Reader {
        source,
        mistakes: Vec::new(),
    };
    let environment = read.environment();
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let config = Config {
        environment,
        role: read.one_of("FIBER_ROLE", Role::All, &[("all", Role::All)]),
        listen: read.parsed(
            "FIBER_LISTEN",
            ([0, 0, 0, 0], 8000).into(),
            "an address like 0.0.0.0:8000",
        ),
        ingest_cores: read.parsed("FIBER_CORES", cores, "a number of cores from 1"),
        driver: read.one_of(
            "FIBER_DRIVER",
            Driver::Auto,
            &[
                ("auto", Driver::Auto),
                ("epoll", Driver::Epoll),
                ("uring", Driver::Uring),
            ],
        ),
        writers: read.writers(cores),
        data_dir: read
            .text("FIBER_DATA_DIR")
            .unwrap_or_else(|| "/var/lib/fiberstack".into())
            .into(),
        dashboard_dir: read.dashboard_dir(),
        journal_bytes_max: read.journal_bytes_max(),
        journal_age_max: read.journal_age_max(),
        journal_on_damage: read.one_of(
            "FIBER_JOURNAL_ON_DAMAGE",
            OnDamage::Refuse,
            &[
                ("refuse", OnDamage::Refuse),
                ("quarantine", OnDamage::Quarantine),
            ],
        ),
        database: read.database(environment),
        redis_url: read.hidden("REDIS_URL"),
        federation_secret: read.secret("FEDERATION_SECRET", environment),
        federation_secret_previous: read.optional_secret("FEDERATION_SECRET_PREVIOUS", environment),
        api_key_secret: read.optional_secret("API_KEY_SECRET", environment),
        api_key_secret_previous: read.optional_secret("API_KEY_SECRET_PREVIOUS", environment),
        jwt_keys: read.jwt_keys(),
        cors_origins: read.cors_origins(),
        rate_limit: read.rate_limit(),
        trusted_proxies: read.trusted_proxies(),
        instance: read
            .text("FIBER_INSTANCE")
            .or_else(|| read.text("HOSTNAME"))
            .unwrap_or_else(|| "engine".into()),
        failpoint: read.failpoint(environment),
    };
    if read.mistakes.is_empty() {
        Ok(config)
    } else {
        Err(Mistakes(read.mistakes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, Mistakes> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        load(&move |name: &str| {
            pairs
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn two_secrets_are_enough_to_start() {
        let config = with(&[("DB_PASS", "p"), ("FEDERATION_SECRET", "s")]).unwrap();
        assert_eq!(config.listen.port(), 8000);
        assert!(!format!("{config:?}").contains("Secret(\"s\")"));
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let mistakes = with(&[("ENV", "test"), ("DB_PORT", "http"), ("FIBER_CORES", "0")])
            .unwrap_err()
            .to_string();
        for name in [
            "ENV",
            "DB_PORT",
            "FIBER_CORES",
            "DB_PASS",
            "FEDERATION_SECRET",
        ] {
            assert!(mistakes.contains(name), "{name} is missing in: {mistakes}");
        }
    }

    #[test]
    fn there_is_one_writer_at_least_and_no_more_than_can_be() {
        let secrets = [("DB_PASS", "p"), ("FEDERATION_SECRET", "s")];
        let writers = |most: &'static str, least: &'static str| {
            let numbers = [("FIBER_WRITERS", most), ("FIBER_WRITERS_MIN", least)];
            let config = with(&[secrets[0], secrets[1], numbers[0], numbers[1]]);
            config.map(|config| config.writers)
        };
        assert_eq!(writers("3", "2").unwrap(), 2..=3);
        for (most, least) in [("1", "2"), ("17", "1"), ("0", "1"), ("2", "0")] {
            assert!(writers(most, least).is_err(), "{most} {least}");
        }
    }

    #[test]
    fn only_origins_may_be_named_for_cors() {
        let secrets = [("DB_PASS", "p"), ("FEDERATION_SECRET", "s")];
        let cors = |text: &'static str| {
            let config = with(&[secrets[0], secrets[1], ("CORS_ORIGINS", text)]);
            config.map(|config| config.cors_origins)
        };
        assert_eq!(
            cors("https://ops.example, http://localhost:3000").unwrap(),
            ["https://ops.example", "http://localhost:3000"]
        );
        for bad in [
            "*",
            "null",
            "ops.example",
            "https://ops.example/",
            "https://",
        ] {
            assert!(cors(bad).unwrap_err().to_string().contains("CORS_ORIGINS"));
        }
    }

    #[test]
    fn proxies_are_networks() {
        let secrets = [("DB_PASS", "p"), ("FEDERATION_SECRET", "s")];
        let proxies =
            |text: &'static str| with(&[secrets[0], secrets[1], ("FIBER_TRUSTED_PROXIES", text)]);
        assert!(proxies("10.0.0.0/8, fd00::/8").is_ok());
        let mistakes = proxies("10.0.0.0/8, proxy.example")
            .unwrap_err()
            .to_string();
        assert!(mistakes.contains("FIBER_TRUSTED_PROXIES") && mistakes.contains("proxy.example"));
    }

    #[test]
    fn only_development_has_failpoints() {
        let with_point = |environment, point| {
            with(&[
                ("ENV", environment),
                ("DB_PASS", "0123456789abcdef0123456789abcdef"),
                ("FEDERATION_SECRET", "fedcba9876543210fedcba9876543210"),
                ("FIBER_FAILPOINT", point),
            ])
        };
        assert!(with_point("dev", "copy.begun").unwrap().failpoint.is_some());
        assert!(with_point("prod", "copy.begun").is_err());
        let known = with_point("dev", "list").unwrap_err().to_string();
        assert!(known.contains("journal.synced"), "{known}");
    }

    #[test]
    fn production_refuses_weak_secrets() {
        let weak = [
            ("ENV", "prod"),
            ("DB_PASS", "postgres"),
            ("FEDERATION_SECRET", "short"),
            ("FEDERATION_SECRET_PREVIOUS", "changeme"),
        ];
        assert_eq!(with(&weak).unwrap_err().0.len(), 3);
    }

    #[test]
    fn a_secret_may_be_in_a_named_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (good, empty) = (file("good", "from-file\r\n"), file("empty", "\n"));
        let secret = |pairs: &[(&str, &str)]| {
            with(&[&[("DB_PASS", "p")], pairs].concat())
                .map(|config| config.federation_secret.expose().to_owned())
        };
        let from_file = ("FEDERATION_SECRET_FILE", good.as_str());
        assert_eq!(secret(&[from_file]).unwrap(), "from-file");
        let both = [from_file, ("FEDERATION_SECRET", "from-file")];
        assert_eq!(secret(&both).unwrap(), "from-file");
        for bad in [
            vec![from_file, ("FEDERATION_SECRET", "other")],
            vec![("FEDERATION_SECRET_FILE", empty.as_str())],
            vec![("FEDERATION_SECRET_FILE", "/nowhere/at/all")],
        ] {
            let mistakes = secret(&bad).unwrap_err();
            let [one] = mistakes.0.as_slice() else {
                panic!("{mistakes}");
            };
            assert!(one.contains("FEDERATION_SECRET_FILE"), "{one}");
            assert!(
                !one.contains("from-file") && !one.contains("other"),
                "{one}"
            );
        }
    }
}
