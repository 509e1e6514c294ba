//! Sampled stacks, folded.

use std::collections::BTreeMap;

/// How often each stack was seen; frames from the thread's name inwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stacks(BTreeMap<Vec<String>, u64>);

impl Stacks {
    /// Of `perf script -F comm,ip,sym`: a line with the thread's name, then frames from the inside
    /// out, then an empty line.
    pub(super) fn of_perf(script: &str) -> Self {
        let mut stacks = Self::default();
        let (mut thread, mut frames) = (String::new(), Vec::new());
        for line in script.lines().chain([""]) {
            let text = line.trim();
            if text.is_empty() {
                if !thread.is_empty() {
                    frames.push(std::mem::take(&mut thread));
                    frames.reverse();
                    *stacks.0.entry(std::mem::take(&mut frames)).or_default() += 1;
                }
            } else if line.starts_with(char::is_whitespace) && !thread.is_empty() {
                let symbol = text.split_once(' ').map_or("", |(_, symbol)| symbol);
                frames.push(shorten(symbol));
            } else {
                thread = group(text);
            }
        }
        stacks
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[String], u64)> {
        self.0.iter().map(|(frames, count)| (&frames[..], *count))
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Threads of one kind are one: `ingest-0` and `ingest-1`.
fn group(thread: &str) -> String {
    thread
        .trim_end_matches(|c: char| c.is_ascii_digit() || c == '-')
        .to_owned()
}

/// Without generic arguments, hashes and offsets.
fn shorten(symbol: &str) -> String {
    if symbol.is_empty() || symbol.starts_with("[unknown]") {
        return "?".to_owned();
    }
    let (mut short, mut depth) = (String::new(), 0_u32);
    for c in symbol.chars() {
        match c {
            '<' => depth += 1,
            '>' if !short.ends_with('-') => depth = depth.saturating_sub(1),
            _ if depth == 0 => short.push(c),
            _ => {}
        }
    }
    // `<T as Trait>::method` is all in the brackets but the method.
    if short.starts_with("::") {
        let inside: String = symbol.chars().skip(1).take_while(|c| *c != '>').collect();
        let implementor = inside.split(" as ").next().unwrap_or_default();
        let implementor = implementor.split('<').next().unwrap_or_default();
        short = format!("{implementor}{short}");
    }
    let short = short.split("+0x").next().unwrap_or_default();
    match short.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfs_text_is_folded_by_thread_and_stack() {
        let script = "ingest-0 \n\tffff recv\n\t55 a::b::h0123456789abcdef\n\n\
                      ingest-1 \n\tffff recv\n\t55 a::b::h0123456789abcdef\n\n\
                      journal \n\t12 [unknown]\n\t55 <a::T as b::C<d>>::e<f>\n";
        let stacks = Stacks::of_perf(script);
        assert_eq!(stacks.total(), 3);
        let found: Vec<_> = stacks
            .iter()
            .map(|(frames, n)| (frames.join(";"), n))
            .collect();
        assert_eq!(
            found,
            [
                ("ingest;a::b;recv".to_owned(), 2),
                ("journal;a::T::e;?".to_owned(), 1)
            ]
        );
    }
}
