//! Debian 13's packages, fetched by the machine's own apt into a folder of ours.
//!
//! apt gets an empty package state of its own, so it resolves the whole closure down to the C
//! library, whatever is installed here. It verifies the archive's signatures as always.

use crate::paths;
use crate::process::account;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SUITE: &str = "trixie";
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Downloaded as dependencies, of no use to a server that starts neither JIT nor Perl: 250 MB.
const NOT_UNPACKED: [&str; 10] = [
    "libllvm",
    "libz3",
    "libperl",
    "perl_",
    "perl-",
    "locales_",
    "libc-l10n",
    "postgresql-common",
    "libipc-run-perl",
    "passwd_",
];

/// Fetches the packages with all that they need, and returns their files.
pub(super) fn download(packages: &[&str], tree: &Path, step: &Step) -> Result<Vec<PathBuf>> {
    require_apt()?;
    let work = tree.join("apt");
    for dir in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(work.join(dir)).context("create apt's folders")?;
    }
    let mirror =
        paths::non_empty_var("FIBER_DEBIAN_MIRROR").unwrap_or_else(|| DEFAULT_MIRROR.to_owned());
    let source = format!(
        "Types: deb\nURIs: {mirror}\nSuites: {SUITE}\nComponents: main\nSigned-By: {KEYRING}\n"
    );
    fs::write(work.join("trixie.sources"), source).context("write apt's source")?;
    fs::write(work.join("status"), b"").context("write apt's status")?;

    step.detail("package lists");
    apt_get(&work, &["update"], step)?;
    let mut install = vec!["install", "--yes", "--download-only"];
    install.extend(packages);
    apt_get(&work, &install, step)?;

    let archives = work.join("cache/archives");
    let mut files: Vec<PathBuf> = fs::read_dir(&archives)
        .with_context(|| format!("list {}", archives.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    Ok(files)
}

/// Unpacks the packages into `tree` and drops apt's folders, which are larger than the servers.
pub(super) fn unpack(archives: &[PathBuf], tree: &Path, step: &Step) -> Result<()> {
    for archive in archives {
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        if NOT_UNPACKED.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        step.detail(&name);
        let output = Command::new("dpkg-deb")
            .arg("--extract")
            .args([archive, tree])
            .output()
            .context("run dpkg-deb (package `dpkg`)")?;
        if !output.status.success() {
            bail!(
                "unpack {name}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
    }
    fs::remove_dir_all(tree.join("apt")).context("remove apt's folders")
}

fn require_apt() -> Result<()> {
    if paths::find_on_path("apt-get").is_none() || paths::find_on_path("dpkg-deb").is_none() {
        bail!(
            "PostgreSQL 17 with TimescaleDB, Redis or nginx are not here, and apt-get, which would \
             fetch them, is missing. Install them, or set DB_HOST, DB_PORT, DB_USER, DB_PASS and \
             REDIS_URL to servers of your own."
        );
    }
    if Path::new(KEYRING).exists() {
        return Ok(());
    }
    if account::is_root() {
        return install(&["debian-archive-keyring"]);
    }
    bail!("{KEYRING} is missing: `sudo apt-get install debian-archive-keyring`")
}

/// Installs packages on this machine with its own apt. Only as root.
pub fn install(packages: &[&str]) -> Result<()> {
    let step = Step::start(format!("apt-get install {}", packages.join(" ")));
    for arguments in [
        vec!["update"],
        [&["install", "--yes", "--no-install-recommends"], packages].concat(),
    ] {
        let mut command = Command::new("apt-get");
        command.args(arguments);
        run_quietly(command, &step)?;
    }
    step.done("installed");
    Ok(())
}

fn apt_get(work: &Path, arguments: &[&str], step: &Step) -> Result<()> {
    let at = |name: &str| work.join(name).display().to_string();
    let options = [
        format!("Dir::State={}", work.display()),
        format!("Dir::State::status={}", at("status")),
        format!("Dir::State::lists={}", at("lists")),
        format!("Dir::Cache={}", at("cache")),
        format!("Dir::Etc::SourceList={}", at("trixie.sources")),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        "Dir::Etc::Preferences=/dev/null".to_owned(),
        "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
        // apt's own account cannot write below a home folder.
        "APT::Sandbox::User=root".to_owned(),
        "APT::Install-Recommends=false".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        "Acquire::Retries=3".to_owned(),
    ];
    let mut command = Command::new("apt-get");
    for option in &options {
        command.args(["-o", option]);
    }
    command.args(arguments);
    run_quietly(command, step)
}

/// Shows the output's last line as the step's detail, and all of it when the command fails.
fn run_quietly(mut command: Command, step: &Step) -> Result<()> {
    let shown = format!("{command:?}");
    let mut child = command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("run apt-get (package `apt`)")?;
    let stderr = child.stderr.take().context("apt-get's stderr")?;
    let errors = std::thread::spawn(move || {
        BufReader::new(stderr)
            .lines()
            .map_while(Result::ok)
            .collect::<Vec<_>>()
            .join("\n")
    });
    let stdout = child.stdout.take().context("apt-get's stdout")?;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        step.detail(&line);
    }
    let status = child.wait().context("wait for apt-get")?;
    let errors = errors.join().unwrap_or_default();
    if !status.success() {
        bail!("apt-get failed ({status}):\n{errors}\nThe command was: {shown}");
    }
    Ok(())
}
