//! The probe's flags, and their checked form.

use super::target::Target;
use crate::client::Url;
use crate::stack_env::StackEnv;
use clap::Parser;
use fiber_contract::limits;
use std::path::PathBuf;
use std::time::Duration;

/// Measures targets from here and hands the samples to FiberStack, through outages and restarts.
#[derive(Clone, Debug, Parser)]
#[command(name = "fiber-probe", version, max_term_width = 100)]
#[command(after_help = "\
Examples:
  fiber-probe --once --target tcp://one.example:443 --node-id accra-01 --country GH --region Accra
  fiber-probe --url https://hub.example --url https://central.example \\
      --node-id accra-01 --country GH --region 'Greater Accra' --city Accra --lat 5.6 --lng -0.19 \\
      --target tcp://one.example:443 --target https://two.example/health --target icmp://192.0.2.1

What a round measures:
  tcp   time of a connect (the name's look-up not counted)
  http  request to first byte over a connection kept for the round; HEAD, or GET if that is
        refused; a status of 500 and above is a failed packet
  icmp  echo through an unprivileged ping socket (net.ipv4.ping_group_range must allow it)
  latency is the median of the answered packets, loss the share of failed ones, uptime 100 if any
  was answered; with none answered the latency is null.

Samples go to the spool file before they are sent. It survives kill -9 at any moment; a power loss
may take the last 5 seconds. Secret: --secret, /run/secrets/federation_secret, FEDERATION_SECRET.

Exit codes: 0 stopped, or with --once accepted · 1 not accepted or failed · 64 wrong flags")]
pub struct Flags {
    /// Where to send; repeat it in the order of preference (region, then central)
    #[arg(long, env = "FIBER_URL", value_delimiter = ',')]
    url: Vec<String>,
    #[arg(long, hide_env_values = true)]
    secret: Option<String>,
    /// Unique name of this probe [default: the host name]
    #[arg(long, env = "FIBER_NODE_ID")]
    node_id: Option<String>,
    /// Two letters, upper case
    #[arg(long, env = "FIBER_COUNTRY")]
    country: String,
    #[arg(long, env = "FIBER_REGION")]
    region: String,
    #[arg(long, env = "FIBER_CITY")]
    city: Option<String>,
    #[arg(long, env = "FIBER_LAT", allow_hyphen_values = true)]
    lat: Option<f64>,
    #[arg(long, env = "FIBER_LNG", allow_hyphen_values = true)]
    lng: Option<f64>,
    /// Free labels; repeatable
    #[arg(long, env = "FIBER_TAGS", value_delimiter = ',')]
    tag: Vec<String>,
    /// tcp://host:port, http(s)://…, icmp://host; repeatable
    #[arg(long, env = "FIBER_TARGETS", value_delimiter = ',', required = true)]
    target: Vec<String>,
    /// Between two rounds: 500ms, 10s, 1m
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    interval: Duration,
    /// Packets per round
    #[arg(long, default_value_t = 10)]
    packets: u32,
    /// One packet
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    timeout: Duration,
    /// Where samples wait until they are accepted
    #[arg(long, env = "FIBER_SPOOL", default_value = "fiber-probe.spool")]
    spool: PathBuf,
    /// Bytes that may wait; beyond, the oldest fall out
    #[arg(long, default_value = "64M", value_parser = parse_bytes)]
    spool_max: u64,
    /// Age of samples that may wait; the engine takes none older than 7 days
    #[arg(long, default_value = "72h", value_parser = parse_duration)]
    spool_age: Duration,
    /// PEM certificates to trust for https, beside the public ones
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// One round, sent at once; prints a table
    #[arg(long)]
    pub once: bool,
}

/// A probe's settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub urls: Vec<Url>,
    pub secret: String,
    pub node_id: String,
    pub country: String,
    pub region: String,
    pub city: Option<String>,
    pub lat_lng: Option<(f64, f64)>,
    pub tags: Vec<String>,
    pub targets: Vec<Target>,
    pub interval: Duration,
    pub packets: u32,
    pub packet_timeout: Duration,
    pub spool: PathBuf,
    pub spool_bytes_max: u64,
    pub spool_age_max: Duration,
    pub ca_file: Option<PathBuf>,
    /// After a stop, how long the hand-over may take.
    pub drain: Duration,
}

/// Every mistake in the flags, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

impl Flags {
    pub fn check(self, env: &StackEnv) -> Result<Config, Mistakes> {
        let node_id = self.node_id.clone().or_else(host_name).unwrap_or_default();
        let mut mistakes = self.range_mistakes(&node_id);
        let mut expect = |holds: bool, text: &str| {
            if !holds {
                mistakes.push(text.to_owned());
            }
        };
        let mut given = self.url;
        if given.is_empty() {
            given.extend(env.get("FIBER_URL"));
        }
        expect(!given.is_empty(), "--url: none given, and no FIBER_URL");
        let secret = self
            .secret
            .or_else(|| env.get("FEDERATION_SECRET"))
            .unwrap_or_default();
        expect(
            !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic()),
            "--secret or FEDERATION_SECRET: printable, without spaces",
        );
        let urls = collect(&mut mistakes, &given, Url::parse);
        let targets = collect(&mut mistakes, &self.target, Target::parse);
        let config = Config {
            urls,
            secret,
            node_id,
            country: self.country,
            region: self.region,
            city: self.city,
            lat_lng: self.lat.zip(self.lng),
            tags: self.tag,
            targets,
            interval: self.interval,
            packets: self.packets,
            packet_timeout: self.timeout,
            spool: self.spool,
            spool_bytes_max: self.spool_max,
            spool_age_max: self.spool_age,
            ca_file: self.ca_file,
            drain: Duration::from_secs(5),
        };
        let registration = serde_json::Value::from(config.registration()).to_string();
        if registration.len() + 100 > limits::METADATA_BYTES_MAX {
            mistakes.push("--city and --tag are too long together".to_owned());
        }
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(Mistakes(mistakes))
        }
    }

    fn range_mistakes(&self, node_id: &str) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut expect = |holds: bool, text: &str| {
            if !holds {
                mistakes.push(text.to_owned());
            }
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        expect(
            (1..=limits::NODE_ID_BYTES_MAX).contains(&node_id.len()) && node_id.bytes().all(plain),
            "--node-id: 1 to 64 of A-Z a-z 0-9 . _ : -",
        );
        expect(
            self.country.len() == 2 && self.country.bytes().all(|b| b.is_ascii_uppercase()),
            "--country: two upper-case letters, as in GH",
        );
        let region_chars = self.region.chars().count();
        expect(
            (1..=limits::REGION_CHARS_MAX).contains(&region_chars),
            "--region: 1 to 100 characters",
        );
        expect(
            self.lat.is_none_or(|lat| (-90.0..=90.0).contains(&lat)),
            "--lat: -90 to 90",
        );
        expect(
            self.lng.is_none_or(|lng| (-180.0..=180.0).contains(&lng)),
            "--lng: -180 to 180",
        );
        expect(
            self.lat.is_some() == self.lng.is_some(),
            "--lat and --lng go together",
        );
        expect((1..=1_000).contains(&self.packets), "--packets: 1 to 1000");
        expect(
            self.interval >= Duration::from_millis(100),
            "--interval: at least 100ms",
        );
        expect(!self.timeout.is_zero(), "--timeout: more than nothing");
        expect(
            self.timeout < self.interval,
            "--timeout must be shorter than --interval",
        );
        mistakes
    }
}

fn collect<T, E: std::fmt::Display>(
    mistakes: &mut Vec<String>,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let mut found = Vec::new();
    for text in texts {
        match parse(text) {
            Ok(value) => found.push(value),
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    found
}

impl Config {
    /// Packets fill the round, and leave the last one its time to answer; at most one a second.
    pub fn packet_spacing(&self) -> Duration {
        let room = self
            .interval
            .saturating_sub(self.packet_timeout)
            .mul_f64(0.9);
        (room / self.packets).min(Duration::from_secs(1))
    }

    /// What the engine keeps about the node.
    pub fn registration(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut map = serde_json::Map::new();
        if let Some(city) = &self.city {
            map.insert("city".to_owned(), city.as_str().into());
        }
        if let Some((lat, lng)) = self.lat_lng {
            map.insert("lat".to_owned(), lat.into());
            map.insert("lng".to_owned(), lng.into());
        }
        map.insert("interval_s".to_owned(), self.interval.as_secs_f64().into());
        if !self.tags.is_empty() {
            map.insert("tags".to_owned(), self.tags.clone().into());
        }
        map
    }
}

fn host_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}

/// `500ms`, `10s` or `10`, `5m`, `72h`, `3d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err("a number with ms, s, m, h or d".to_owned()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "a number with ms, s, m, h or d".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

/// `64M`, `1G`, `500K` or plain bytes.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a number with K, M or G".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too much".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &[&str]) -> Result<Config, Mistakes> {
        let base = [
            "fiber-probe",
            "--url",
            "http://a",
            "--secret",
            "s",
            "--node-id",
            "n",
        ];
        let flags = Flags::try_parse_from(base.iter().chain(flags)).unwrap();
        flags.check(&StackEnv::default())
    }

    const GOOD: [&str; 6] = [
        "--country",
        "GH",
        "--region",
        "Accra",
        "--target",
        "tcp://a:1",
    ];

    #[test]
    fn all_mistakes_are_told_at_once() {
        assert!(check(&GOOD).is_ok());
        let bad = [
            "--country",
            "gh",
            "--region",
            "",
            "--target",
            "nonsense",
            "--lat",
            "91",
            "--packets",
            "0",
            "--timeout",
            "20s",
        ];
        let Mistakes(mistakes) = check(&bad).unwrap_err();
        assert_eq!(mistakes.len(), 7, "{mistakes:?}");
    }

    #[test]
    fn a_round_fits_its_interval() {
        for (interval, packets, timeout) in
            [("10s", "10", "2s"), ("2s", "20", "1s"), ("1m", "3", "5s")]
        {
            let flags = [
                &GOOD[..],
                &[
                    "--interval",
                    interval,
                    "--packets",
                    packets,
                    "--timeout",
                    timeout,
                ],
            ];
            let config = check(&flags.concat()).unwrap();
            let last = config.packet_spacing() * (config.packets - 1) + config.packet_timeout;
            assert!(last <= config.interval, "{interval}");
        }
    }

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("3d"), Ok(Duration::from_secs(3 * 86_400)));
        assert!(parse_duration("-1s").is_err() && parse_duration("1y").is_err());
        assert_eq!(parse_bytes("64M"), Ok(64 << 20));
        assert!(parse_bytes("99999999999999G").is_err() && parse_bytes("M").is_err());
    }
}
