//! Reads the built dashboard into memory.

use super::{Asset, Assets, Encoding, HTML, INDEX, Variant};
use crate::limits::{ASSET_BYTES_MAX, ASSET_FILES_MAX};
use bytes::Bytes;
use hyper::header::HeaderValue;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The dashboard cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} holds no index.html")]
    NoIndex(PathBuf),
    #[error("{dir} holds more than {ASSET_FILES_MAX} files or {ASSET_BYTES_MAX} bytes")]
    TooMuch { dir: PathBuf },
}

pub(super) fn load(dir: &Path) -> Result<Assets, LoadError> {
    let mut found = HashMap::new();
    collect(dir, dir, &mut found)?;
    let mut files = HashMap::new();
    for (name, bytes) in &found {
        let packed = name
            .strip_suffix(".br")
            .or_else(|| name.strip_suffix(".gz"));
        if packed.is_some_and(|plain| found.contains_key(plain)) {
            continue;
        }
        let variant = |suffix: &str, encoding| {
            found
                .get(&format!("{name}{suffix}"))
                .map(|bytes| Variant::of(bytes.clone(), encoding))
        };
        let asset = Asset {
            content_type: content_type(name),
            immutable: is_hashed(name),
            plain: Variant::of(bytes.clone(), Encoding::Plain),
            br: variant(".br", Encoding::Br),
            gzip: variant(".gz", Encoding::Gzip),
        };
        files.insert(name.clone(), asset);
    }
    let index = found
        .get(INDEX)
        .ok_or_else(|| LoadError::NoIndex(dir.to_owned()))?;
    let policy = policy(&String::from_utf8_lossy(index));
    Ok(Assets { files, policy })
}

/// Regular files below `dir`, by their path from `root`. Links and hidden names are left out.
fn collect(root: &Path, dir: &Path, found: &mut HashMap<String, Bytes>) -> Result<(), LoadError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadError::Io { path, source }
    };
    for entry in fs::read_dir(dir).map_err(fail(dir))? {
        let entry = entry.map_err(fail(dir))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(fail(&path))?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, found)?;
        } else if kind.is_file()
            && let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str)
        {
            let bytes = fs::read(&path).map_err(fail(&path))?;
            found.insert(name.to_owned(), bytes.into());
        }
        let total: u64 = found.values().map(|bytes| bytes.len() as u64).sum();
        if found.len() > ASSET_FILES_MAX || total > ASSET_BYTES_MAX {
            return Err(LoadError::TooMuch {
                dir: root.to_owned(),
            });
        }
    }
    Ok(())
}

impl Variant {
    pub(super) fn of(bytes: Bytes, encoding: Encoding) -> Self {
        let mut tag = String::from("\"");
        for byte in &Sha256::digest(&bytes)[..12] {
            write!(tag, "{byte:02x}").unwrap_or_default();
        }
        if let Some(name) = encoding.name() {
            tag.push('-');
            tag.push_str(name);
        }
        tag.push('"');
        let etag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { bytes, etag }
    }
}

/// By extension; what a dashboard has no use for is bytes.
fn content_type(name: &str) -> HeaderValue {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    HeaderValue::from_static(match extension {
        "html" => return HTML,
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}

/// A part of the file's name, between `-`, `_` and `.`, is eight or more hexadecimal digits.
fn is_hashed(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.split(['-', '_', '.']).any(|part| {
        part.len() >= 8
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Scripts come from us or are the ones written into the index, named by their hashes.
pub(super) fn policy(index: &str) -> HeaderValue {
    let mut text = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'".to_owned();
    for script in inline_scripts(index) {
        write!(
            text,
            " 'sha256-{}'",
            base64(&Sha256::digest(script.as_bytes()))
        )
        .unwrap_or_default();
    }
    text.push_str(
        "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("default-src 'self'"))
}

/// The text between `<script …>` and `</script>` where there is any.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script").skip(1).filter_map(|rest| {
        let (_, after) = rest.split_once('>')?;
        after
            .split_once("</script")
            .map(|(script, _)| script)
            .filter(|script| !script.is_empty())
    })
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place)) & 63;
            let known = place <= chunk.len();
            out.push(if known {
                char::from(DIGITS[digit as usize])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_rfc_4648_prints() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn the_policy_names_inline_scripts_and_nothing_else() {
        let html = r#"<script type="module" src="/a.js"></script><script>let a = 1;</script>"#;
        let policy = policy(html);
        let policy = policy.to_str().unwrap();
        assert_eq!(policy.matches("sha256-").count(), 1);
        let hash = base64(&Sha256::digest(b"let a = 1;"));
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
        assert!(!policy.contains("script-src 'self' 'unsafe-inline'"));
    }

    #[test]
    fn hashed_names_are_told_from_plain_ones() {
        for name in [
            "app-0123456789ab.js",
            "pkg/app-deadbeef_bg.wasm",
            "a.1a2b3c4d5e.css",
        ] {
            assert!(is_hashed(name), "{name}");
        }
        for name in [
            "index.html",
            "app.js",
            "0123456789ab/app.js",
            "map-2026.bin",
            "a-1a2b.js",
        ] {
            assert!(!is_hashed(name), "{name}");
        }
    }
}
