//! The figures, one module each.

mod backlog;
mod committed;
mod compare;
mod generator;
mod journal;
mod memory;
mod overload;
pub mod queries;
mod requests;

use crate::Size;
use crate::copy::CopyFiles;
use crate::micro;
use crate::report::Section;
use crate::rig::Rig;
use anyhow::{Context as _, Result};
use clap::ValueEnum;
pub(crate) use requests::closed_loop;
use std::sync::OnceLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Figure {
    /// P1: rows committed over HTTP ÷ COPY
    Committed,
    /// P2: a backlog drained from the journal ÷ COPY
    Backlog,
    /// P3: durable requests of one sample ÷ a bare server
    Requests,
    /// P4: twice the load that it can take
    Overload,
    /// P7: the journal ÷ plain writes
    Journal,
    /// P8: memory of connections
    Memory,
    /// P11: the generator's own ceiling, and a server that stops
    Generator,
    /// P5, P6: the same work by COPY, nginx, VictoriaMetrics, InfluxDB
    Compare,
    /// P9: a dashboard's queries over a day; takes 4 GB of disk, so it is not in a full run
    Queries,
    /// The stages by themselves (criterion)
    Micro,
}

/// What several figures use, made when the first one asks.
#[derive(Debug)]
pub struct Bench {
    pub size: Size,
    /// For the figure that measures late.
    pub hold: Option<queries::Hold>,
    rig: OnceLock<Rig>,
    files: OnceLock<CopyFiles>,
}

impl Bench {
    pub fn new(size: Size) -> Self {
        Self {
            size,
            hold: None,
            rig: OnceLock::new(),
            files: OnceLock::new(),
        }
    }

    fn rig(&self) -> Result<&Rig> {
        if self.rig.get().is_none() {
            // Figures run one after the other, so nobody set it meanwhile.
            self.rig.set(Rig::start()?).unwrap_or_default();
        }
        self.rig.get().context("the servers were just started")
    }

    fn rig_mut(&mut self) -> Result<&mut Rig> {
        self.rig()?;
        self.rig.get_mut().context("the servers were just started")
    }

    fn files(&self) -> Result<&CopyFiles> {
        if self.files.get().is_none() {
            self.files
                .set(CopyFiles::write(self.size.rows)?)
                .unwrap_or_default();
        }
        self.files.get().context("the files were just written")
    }

    pub fn run(&mut self, figure: Figure) -> Result<Section> {
        match figure {
            Figure::Committed => committed::run(self),
            Figure::Backlog => backlog::run(self),
            Figure::Requests => requests::run(self),
            Figure::Overload => overload::run(self),
            Figure::Journal => journal::run(self.size),
            Figure::Memory => memory::run(self),
            Figure::Generator => generator::run(self),
            Figure::Compare => compare::run(self),
            Figure::Queries => queries::run(self),
            Figure::Micro => micro::run(),
        }
    }
}

/// µs of CPU that each of `count` events cost, by process.
fn micros_each(cpu_s: &[(&'static str, f64)], count: f64) -> Vec<(&'static str, f64)> {
    cpu_s
        .iter()
        .map(|(process, seconds)| (*process, seconds * 1e6 / count))
        .collect()
}
