//! What the terminal shows: a spinner that turns into a line when a step is done, and plain lines
//! where nobody watches (no terminal, or `CI` is set).

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(120);
/// A step that takes longer than this says how long it took.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// A step under way. Dropped without `done`, it failed, and the error says why.
#[derive(Debug)]
pub struct Step {
    title: String,
    started: Instant,
    spinner: Option<ProgressBar>,
}

impl Step {
    pub fn start(title: impl Into<String>) -> Self {
        let title = title.into();
        let spinner = watched().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}")
            {
                bar.set_style(style);
            }
            bar.set_message(title.clone());
            bar.enable_steady_tick(TICK);
            bar
        });
        if spinner.is_none() {
            eprintln!("… {title}");
        }
        Self {
            title,
            started: Instant::now(),
            spinner,
        }
    }

    /// What the step is at, on a terminal only.
    pub fn detail(&self, text: &str) {
        if let Some(bar) = &self.spinner {
            let line: String = text.chars().take(60).collect();
            bar.set_message(format!("{} · {line}", self.title));
        }
    }

    pub fn done(mut self, outcome: &str) {
        if let Some(bar) = self.spinner.take() {
            bar.finish_and_clear();
        }
        let took = self.started.elapsed();
        if took > WORTH_TELLING {
            eprintln!("✔ {}: {outcome} ({:.1} s)", self.title, took.as_secs_f64());
        } else {
            eprintln!("✔ {}: {outcome}", self.title);
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = self.spinner.take() {
            bar.finish_and_clear();
        }
    }
}

/// One line that needs no step.
pub fn note(text: &str) {
    eprintln!("  {text}");
}

fn watched() -> bool {
    std::io::stderr().is_terminal() && crate::paths::non_empty_var("CI").is_none()
}
