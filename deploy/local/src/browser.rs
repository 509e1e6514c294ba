//! A Chromium for the dashboard's tests.

use crate::paths;
use crate::process::account;
use crate::provision;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// The browser on this machine: `CHROME_PATH`, or one of the usual names on PATH.
pub fn find() -> Option<PathBuf> {
    paths::non_empty_var("CHROME_PATH")
        .map(PathBuf::from)
        .or_else(|| NAMES.iter().find_map(|name| paths::find_on_path(name)))
}

/// The same, installed if it is missing and this account may.
pub fn find_or_install() -> Result<PathBuf> {
    if let Some(browser) = find() {
        return Ok(browser);
    }
    if !account::is_root() || paths::find_on_path("apt-get").is_none() {
        bail!("no Chromium here: `sudo apt-get install chromium`, or set CHROME_PATH");
    }
    provision::install_packages(&["chromium"])?;
    find().context("apt-get installed chromium, but there is none on PATH")
}

/// The WebDriver server of that browser, installed if it is missing and this account may.
pub fn driver_or_install() -> Result<PathBuf> {
    const DRIVER: &str = "chromedriver";
    if let Some(driver) = paths::find_on_path(DRIVER) {
        return Ok(driver);
    }
    if !account::is_root() || paths::find_on_path("apt-get").is_none() {
        bail!("no chromedriver here: `sudo apt-get install chromium-driver`");
    }
    provision::install_packages(&["chromium-driver"])?;
    paths::find_on_path(DRIVER).context("apt-get installed chromium-driver, but it is not on PATH")
}
