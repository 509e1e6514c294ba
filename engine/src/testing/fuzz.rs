//! Mutated inputs by seed. Without coverage feedback: it wanders less far than a guided fuzzer and
//! needs no other toolchain, so it runs with every test. `FIBER_TEST_FUZZ` says how many inputs each
//! target gets, `FIBER_TEST_SEED` where they begin.

use super::random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Inputs of each target in `make test`; `make fuzz` asks for more.
const EXECUTIONS: u64 = 20_000;
const INPUT_BYTES_MAX: usize = 64 * 1024;
const INTERESTING: [u8; 12] = [
    0, 1, 0x7f, 0x80, 0xff, b'\r', b'\n', b' ', b'"', b'\\', b'9', b'-',
];

/// Calls `check` with inputs made of `seeds` and `tokens`; every `cost`th of the usual number. An
/// input that makes it panic is shown.
pub(crate) fn run(
    cost: u64,
    seeds: &[Vec<u8>],
    tokens: &[&[u8]],
    mut check: impl FnMut(&[u8], &mut Random),
) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let executions = number("FIBER_TEST_FUZZ").unwrap_or(EXECUTIONS) / cost;
    let first = number("FIBER_TEST_SEED").unwrap_or(1);
    for seed in first..first + executions {
        let mut random = Random::new(seed);
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..1 + random.below(4) {
            mutate(&mut input, seeds, tokens, &mut random);
        }
        let run = AssertUnwindSafe(|| check(&input, &mut random));
        if let Err(panic) = catch_unwind(run) {
            eprintln!("input {}", input.escape_ascii());
            eprintln!("to run it again: FIBER_TEST_SEED={seed} FIBER_TEST_FUZZ={cost}");
            resume_unwind(panic);
        }
    }
    println!("{executions} inputs");
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], tokens: &[&[u8]], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let to = (at + random.below(16)).min(input.len());
    match random.below(9) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = INTERESTING[random.below(INTERESTING.len())],
        2 => drop(input.drain(at..to)),
        3 => {
            let again = input[at..to].to_vec();
            input.splice(at..at, again);
        }
        4 => input.truncate(at),
        5 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        6 => {
            let fill = u8::try_from(random.below(256)).unwrap_or(0);
            input[at..to].fill(fill);
        }
        _ if !tokens.is_empty() => {
            let token = tokens[random.below(tokens.len())];
            input.splice(at..to, token.iter().copied());
        }
        _ => {}
    }
    input.truncate(INPUT_BYTES_MAX);
}
