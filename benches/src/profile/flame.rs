//! A flame graph as one SVG that needs nothing else: width is share of the samples, hover names it.

use super::stacks::Stacks;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const WIDTH: f64 = 1_200.0;
const ROW: f64 = 15.0;
const TOP: f64 = 26.0;
/// Narrower frames are left out, with what stands on them.
const SHARE_MIN: f64 = 0.002;
const CHARACTER: f64 = 6.1;

#[derive(Default)]
struct Frame {
    count: u64,
    calls: BTreeMap<String, Frame>,
}

impl Frame {
    fn add(&mut self, frames: &[String], count: u64) {
        self.count += count;
        if let Some((first, rest)) = frames.split_first() {
            self.calls
                .entry(first.clone())
                .or_default()
                .add(rest, count);
        }
    }

    fn depth(&self, least: u64) -> u32 {
        let calls = self.calls.values().filter(|call| call.count >= least);
        calls.map(|call| 1 + call.depth(least)).max().unwrap_or(0)
    }
}

pub(super) fn svg(stacks: &Stacks, title: &str) -> String {
    let mut root = Frame::default();
    for (frames, count) in stacks.iter() {
        root.add(frames, count);
    }
    let total = root.count.max(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let least = (total as f64 * SHARE_MIN).ceil() as u64;
    let height = TOP + ROW * f64::from(root.depth(least)) + 4.0;
    let title = escape(title);
    let mut drawing = Drawing {
        out: format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"monospace\" font-size=\"10\">\n<style>rect{{stroke:#fff;stroke-width:.4}}\
             text{{pointer-events:none}}</style>\n<text x=\"4\" y=\"16\" font-size=\"13\">{title}</text>\n"
        ),
        height,
        total,
        least,
    };
    drawing.calls(&root, 0.0, 0);
    drawing.out.push_str("</svg>\n");
    drawing.out
}

struct Drawing {
    out: String,
    height: f64,
    total: u64,
    least: u64,
}

impl Drawing {
    fn calls(&mut self, frame: &Frame, left: f64, row: u32) {
        let mut x = left;
        for (name, call) in &frame.calls {
            let share = call.count as f64 / self.total as f64;
            let width = share * WIDTH;
            if call.count >= self.least {
                self.rect(name, share, (x, width), row);
                self.calls(call, x, row + 1);
            }
            x += width;
        }
    }

    fn rect(&mut self, name: &str, share: f64, (x, width): (f64, f64), row: u32) {
        let y = self.height - ROW * f64::from(row + 1) - 2.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "pixels"
        )]
        let fits = (width / CHARACTER) as usize;
        writeln!(
            self.out,
            "<g><title>{} {:.2} %</title><rect x=\"{x:.1}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{ROW}\" \
             fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.0}\">{}</text></g>",
            escape(name),
            share * 100.0,
            colour(name),
            x + 2.0,
            y + 11.0,
            escape(&label(name, fits))
        )
        .expect("a String takes everything");
    }
}

/// Of a long name the end, which says more than the path.
fn label(name: &str, fits: usize) -> String {
    let length = name.chars().count();
    if fits < 3 {
        String::new()
    } else if length <= fits {
        name.to_owned()
    } else {
        let end: String = name.chars().skip(length + 1 - fits).collect();
        format!("…{end}")
    }
}

/// Ours, other crates', the kernel's.
fn colour(name: &str) -> &'static str {
    if name.contains("fiber_engine") {
        "#f2a65a"
    } else if name.contains("::") {
        "#f6d186"
    } else {
        "#a9c5de"
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wide_frame_is_drawn_within_its_caller() {
        let script = "a \n\t1 x::long_name\n\t1 y\n\na \n\t1 y\n\nb \n\t1 &\n";
        let text = svg(&Stacks::of_perf(script), "one & two");
        assert_eq!(text.matches("<rect ").count(), 5);
        assert!(text.contains("<title>y 66.67 %</title><rect x=\"0.0\" y="));
        assert!(text.contains("one &amp; two") && text.ends_with("</svg>\n"));
        assert_eq!(label("abcdef", 4), "…def");
    }
}
