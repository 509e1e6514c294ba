//! Placeholder head; the stage is described here.

pub mod row;
