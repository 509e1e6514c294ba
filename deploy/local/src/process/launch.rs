//! Starting a process, either as a daemon or tied to the life of its parent.

use super::account::Account;
use super::identity::Identity;
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Recorded by the process itself before it becomes the program, so that there is no moment in
/// which the program runs and nothing knows its pid.
const RECORD_AND_EXEC: &str = r#"file="$1"; shift
cat "/proc/$$/stat" /proc/sys/kernel/random/boot_id > "$file.new" && mv "$file.new" "$file" || exit 1
exec "$@""#;

const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Clone, Debug)]
pub enum Lifetime {
    /// In its own session, outlives its parent, known by its pid file.
    Daemon { pid_file: PathBuf },
    /// Gets this signal from the kernel when the process that started it is gone.
    WithParent { death_signal: &'static str },
}

/// A process to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(String, String)>,
    pub working_dir: PathBuf,
    pub log: PathBuf,
    pub account: Option<Account>,
}

impl Launch {
    pub fn start(&self, lifetime: &Lifetime) -> Result<Running> {
        let mut command = self.command(lifetime);
        let log = open_log(&self.log, lifetime)?;
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.working_dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log);
        let child = spawn_from_lasting_thread(command)
            .with_context(|| format!("start {}", self.program.display()))?;
        let pid = i32::try_from(child.id()).context("pid does not fit")?;
        // The child is not reaped before this returns, so its entry in /proc is still there.
        let identity = Identity::of(pid).context("the process vanished from /proc")?;
        if let Lifetime::Daemon { pid_file } = lifetime {
            await_pid_file(pid_file, &identity)?;
        }
        Ok(Running {
            identity,
            child: Some(child),
        })
    }

    fn command(&self, lifetime: &Lifetime) -> Command {
        let mut argv: Vec<OsString> = Vec::new();
        match lifetime {
            Lifetime::Daemon { pid_file } => {
                argv.extend(["setsid", "sh", "-c", RECORD_AND_EXEC, "sh"].map(OsString::from));
                argv.push(pid_file.into());
            }
            Lifetime::WithParent { death_signal } => {
                argv.extend(["setpriv", "--pdeathsig", death_signal].map(OsString::from));
            }
        }
        if let Some(account) = &self.account {
            if matches!(lifetime, Lifetime::Daemon { .. }) {
                argv.push("setpriv".into());
            }
            argv.push(format!("--reuid={}", account.uid).into());
            argv.push(format!("--regid={}", account.gid).into());
            argv.push("--clear-groups".into());
        }
        argv.push(self.program.clone().into());
        argv.extend(self.args.iter().cloned());
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]);
        command
    }
}

/// A daemon's log starts anew and the last run's is kept as `.1`, which bounds the space of all
/// runs; a test's log goes on over restarts, because it is the evidence of the whole test.
fn open_log(path: &Path, lifetime: &Lifetime) -> Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    if matches!(lifetime, Lifetime::Daemon { .. }) && path.exists() {
        let mut previous = path.as_os_str().to_owned();
        previous.push(".1");
        fs::rename(path, previous).with_context(|| format!("keep {} aside", path.display()))?;
    }
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))
}

fn await_pid_file(pid_file: &Path, identity: &Identity) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Identity::load(pid_file).as_ref() != Some(identity) {
        if Instant::now() > deadline || !identity.is_alive() {
            bail!(
                "the process did not record itself in {}",
                pid_file.display()
            );
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

type SpawnRequest = (Command, Sender<std::io::Result<Child>>);

/// The parent-death signal fires when the *thread* that forked ends. Test threads end early, so
/// one thread that lives as long as the process forks for all of them.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Sender<SpawnRequest>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, inbox) = channel::<SpawnRequest>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // A caller that is gone has no use for the answer.
                drop(answer.send(command.spawn()));
            }
        });
        requests
    });
    let (answer, outcome) = channel();
    spawner
        .send((command, answer))
        .ok()
        .context("the spawning thread is gone")?;
    Ok(outcome.recv().context("the spawning thread is gone")??)
}

/// A started process, or one found again by its pid file.
#[derive(Debug)]
pub struct Running {
    identity: Identity,
    child: Option<Child>,
}

impl Running {
    /// The process of a pid file, if it still runs.
    pub fn find(pid_file: &Path) -> Option<Self> {
        let identity = Identity::load(pid_file)?;
        identity.is_alive().then_some(Self {
            identity,
            child: None,
        })
    }

    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn is_alive(&self) -> bool {
        self.identity.is_alive()
    }

    pub fn signal(&self, signal: Signal) -> Result<bool> {
        self.identity
            .signal(signal)
            .with_context(|| format!("signal pid {}", self.identity.pid()))
    }

    /// Waits for the end. `None` when it still runs at the deadline.
    pub fn wait(&mut self, limit: Duration) -> Option<End> {
        let deadline = Instant::now() + limit;
        loop {
            if !self.is_alive() {
                let status = self.child.as_mut().and_then(|child| child.wait().ok());
                return Some(End { status });
            }
            if Instant::now() > deadline {
                return None;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Asks with `signal`, waits, and kills what does not go by itself. True if it went by itself.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<bool> {
        self.signal(signal)?;
        if self.wait(limit).is_some() {
            return Ok(true);
        }
        self.kill()?;
        Ok(false)
    }

    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        match self.wait(Duration::from_secs(10)) {
            Some(_) => Ok(()),
            None => bail!("pid {} does not die", self.identity.pid()),
        }
    }
}

/// How a process ended; the status is known to its parent only.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub status: Option<ExitStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(dir: &Path) -> Launch {
        Launch {
            program: "sleep".into(),
            args: vec!["1000".into()],
            env: Vec::new(),
            working_dir: dir.to_path_buf(),
            log: dir.join("log"),
            account: None,
        }
    }

    #[test]
    fn a_daemon_is_found_again_by_its_pid_file_and_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("sleeper.pid");
        let lifetime = Lifetime::Daemon {
            pid_file: pid_file.clone(),
        };
        let started = sleeper(dir.path()).start(&lifetime).unwrap();
        let mut found = Running::find(&pid_file).unwrap();
        assert_eq!(found.identity(), started.identity());
        assert!(found.stop(Signal::TERM, Duration::from_secs(5)).unwrap());
        assert!(Running::find(&pid_file).is_none());
    }

    #[test]
    fn a_tied_process_outlives_the_thread_that_asked_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let launch = sleeper(dir.path());
        let tied = Lifetime::WithParent {
            death_signal: "KILL",
        };
        let mut running = thread::spawn(move || launch.start(&tied).unwrap())
            .join()
            .unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(running.is_alive());
        running.kill().unwrap();
    }
}
