//! Servers that read a body and answer the same bytes every time.

use super::{Other, answered};
use crate::pairs::Side;
use crate::rig::{Hello, Rig, launched};
use anyhow::{Context as _, Result};
use fiber_loadgen::fleet::Format;
use fiber_local::scratch::Scratch;
use fiber_local::servers::free_port;
use std::ffi::OsString;
use std::path::PathBuf;

pub(super) fn find(others: &mut Vec<Box<dyn Other + '_>>, missing: &mut Vec<String>) {
    others.push(Box::new(OwnHello));
    match program("FIBER_BENCH_NGINX", &["nginx"]) {
        Some(path) => others.push(Box::new(Nginx(path))),
        None => missing.push("nginx (FIBER_BENCH_NGINX names its program)".to_owned()),
    }
}

/// A program by its variable, or by name where programs are.
pub(super) fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    let given = std::env::var_os(variable).filter(|path| !path.is_empty());
    if let Some(path) = given {
        return Some(PathBuf::from(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/bin".into()]);
    let mut found = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    found.find(|path| path.is_file())
}

struct OwnHello;

impl Other for OwnHello {
    fn name(&self) -> &'static str {
        "our hello"
    }

    fn promise(&self) -> &'static str {
        "nothing: the body is read and thrown away"
    }

    fn measure(&self, _: &Rig, samples: u64) -> Result<Side> {
        let hello = Hello::start()?;
        answered(hello.url(), Format::Json, samples)
    }
}

struct Nginx(PathBuf);

impl Other for Nginx {
    fn name(&self) -> &'static str {
        "nginx, canned answer"
    }

    fn promise(&self) -> &'static str {
        "nothing: it answers to the head, and throws the body away"
    }

    fn measure(&self, _: &Rig, samples: u64) -> Result<Side> {
        let home = Scratch::new("nginx")?;
        let port = free_port()?;
        let config = home.path().join("nginx.conf");
        let text = configuration(home.path(), port);
        std::fs::write(&config, text).context("write nginx.conf")?;
        let args = ["-p".into(), home.path().into(), "-c".into(), config.into()];
        let args: Vec<OsString> = args.into_iter().collect();
        let _server = launched(&self.0, args, Vec::new(), &home, port)?;
        answered(format!("http://127.0.0.1:{port}"), Format::Json, samples)
    }
}

/// It answers as soon as the head is there.
fn configuration(home: &std::path::Path, port: u16) -> String {
    let home = home.display();
    let answer = r#"{"status":"accepted","message":"m","data":{"batch_id":"0","source_region":null,"queued":1,"accepted":1,"duplicates":0,"rejected":0,"errors":[]}}"#;
    format!(
        "daemon off; master_process off; pid {home}/pid; error_log {home}/error.log crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_max_body_size 16m;\n\
         client_body_buffer_size 1m; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;\n\
         fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; default_type application/json;\n\
         location / {{ return 202 '{answer}'; }} }} }}\n"
    )
}
