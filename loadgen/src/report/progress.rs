//! How a run looks while it goes on: a bar on a terminal, a plain line now and then elsewhere.

use super::text::grouped;
use crate::fleet::{LiveView, Running};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const REDRAW_EVERY: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the run until its threads are done.
pub fn watch(run: &Running, duration: Duration) {
    let bar = Bar::new(duration);
    let mut shown = Instant::now();
    let mut before = (Duration::ZERO, 0_u64);
    while !run.is_finished() {
        std::thread::park_timeout(REDRAW_EVERY);
        if bar.is_plain() && shown.elapsed() < LINE_EVERY {
            continue;
        }
        shown = Instant::now();
        let view = run.progress();
        let seconds = (view.elapsed.saturating_sub(before.0))
            .as_secs_f64()
            .max(1e-3);
        let rate = view.acked_samples.saturating_sub(before.1) as f64 / seconds;
        before = (view.elapsed, view.acked_samples);
        bar.show(view.elapsed, &line(&view, rate));
    }
    bar.finish();
}

fn line(view: &LiveView, rate: f64) -> String {
    let mut text = format!(
        "{} samples/s  p50 {:.1}  p95 {:.1}  p99 {:.1} ms",
        grouped(rate),
        view.p50_ms,
        view.p95_ms,
        view.p99_ms
    );
    for (kind, count) in &view.by_kind {
        text.push_str(&format!("  {kind}: {}", grouped(*count as f64)));
    }
    text
}

/// A bar, or lines on stderr when that is no terminal.
#[derive(Debug)]
pub struct Bar {
    bar: Option<ProgressBar>,
    duration: Duration,
}

impl Bar {
    pub fn new(duration: Duration) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self {
                bar: None,
                duration,
            };
        }
        let length = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {elapsed:>4}, {eta} left  {msg}")
        {
            bar.set_style(style);
        }
        Self {
            bar: Some(bar),
            duration,
        }
    }

    pub const fn is_plain(&self) -> bool {
        self.bar.is_none()
    }

    pub fn show(&self, elapsed: Duration, message: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
                bar.set_message(message.to_owned());
            }
            None => eprintln!(
                "{:>6.1} s, {:.0} s left  {message}",
                elapsed.as_secs_f64(),
                self.duration.saturating_sub(elapsed).as_secs_f64()
            ),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
