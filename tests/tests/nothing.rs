//! The tests are in `main.rs`; a package needs a target that is not one.
