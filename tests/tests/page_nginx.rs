//! The dashboard's files behind nginx, with the configuration that ships: the same heads as the
//! engine's own.

use crate::support::client::{Answer, Connection};
use crate::support::dashboard;
use anyhow::{Context as _, Result, ensure};
use fiber_local::servers::Nginx;
use std::net::TcpStream;

/// What an operator writes around the shipped file.
fn site() -> String {
    let workspace = fiber_local::workspace_root();
    let conf = workspace.join("deploy/nginx/dashboard.conf");
    let root = fiber_local::build::dashboard_dir();
    format!(
        "upstream fiberstack {{\n    server 127.0.0.1:8000;\n}}\n\
         server {{\n    listen 80;\n    root {};\n    include {};\n\
         location /api/ {{\n        proxy_pass http://fiberstack;\n    }}\n}}\n",
        root.display(),
        conf.display()
    )
}

fn get(port: u16, path: &str) -> Result<Answer> {
    let mut connection = Connection::over(TcpStream::connect(("127.0.0.1", port))?)?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: e\r\nAccept-Encoding: gzip\r\n\r\n");
    connection.send(head.as_bytes())?;
    connection.answer()
}

/// The path of the application's wasm, as the page names it.
fn wasm_path() -> Result<String> {
    let index = std::fs::read_to_string(fiber_local::build::dashboard_dir().join("index.html"))?;
    let at = index.find("/assets/app-").context("no asset")?;
    let end = index[at..].find('"').context("no end")?;
    Ok(index[at..at + end].to_owned())
}

#[test]
fn nginx_serves_the_page_with_the_engines_heads() -> Result<()> {
    let stack = dashboard::stack(&[])?;
    let nginx = Nginx::start(&site(), stack.engine.port())?;
    let wasm = wasm_path()?;
    for path in ["/", "/nodes/accra-01", wasm.as_str()] {
        let ours = get(stack.engine.port(), path)?;
        let theirs = get(nginx.port(), path)?;
        ensure!(theirs.status == 200, "{path}: {theirs:?}");
        for field in [
            "content-security-policy",
            "cache-control",
            "content-encoding",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
            "permissions-policy",
        ] {
            let (ours, theirs) = (ours.header(field), theirs.header(field));
            // Their file may say what the engine leaves out, never the reverse.
            ensure!(
                ours.is_none() || ours == theirs,
                "{path}: {field} is {theirs:?}, and the engine's {ours:?}"
            );
        }
        ensure!(theirs.body == ours.body, "{path} is another file");
    }
    ensure!(get(nginx.port(), "/assets/none.js")?.status == 404);
    ensure!(get(nginx.port(), "/api/status")?.status == 200);
    Ok(())
}
