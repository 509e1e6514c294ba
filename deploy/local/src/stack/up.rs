//! Everything up, and where to find it.

use super::settings::Settings;
use super::{Component, fleet, serve, servers};
use crate::build;
use crate::paths;
use crate::process::Signal;
use anyhow::Result;

#[derive(Clone, Copy, Debug)]
pub struct UpOptions {
    pub with_fleet: bool,
}

pub fn up(options: UpOptions) -> Result<()> {
    let _lock = super::lock()?;
    build::all()?;
    let mut settings = Settings::load()?;
    servers::ensure(&mut settings)?;
    let url = serve::ensure(&mut settings)?;
    if options.with_fleet {
        fleet::ensure(&settings, &url)?;
    } else {
        Component::Fleet.stop(Signal::TERM, fleet::STOP_LIMIT)?;
    }
    print_places(&settings, &url);
    Ok(())
}

fn print_places(settings: &Settings, url: &str) {
    let state = paths::state_dir();
    println!();
    println!("  dashboard  {url}/");
    println!("  sign in    as admin, with FIBER_ADMIN_PASSWORD of the settings");
    println!("  status     {url}/api/status");
    println!("  metrics    {url}/metrics");
    println!("  database   make psql");
    println!(
        "  settings   {}  (endpoints and secrets)",
        settings.path().display()
    );
    println!("  logs       {}  (make logs)", state.join("logs").display());
    println!("  stop       make down");
}
