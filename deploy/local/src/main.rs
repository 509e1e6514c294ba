//! `fiber-local`: the stack on this machine.

fn main() {}
