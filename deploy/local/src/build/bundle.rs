//! The dashboard's folder: `index.html` and `assets/`, whose names carry a hash of their content
//! and may be cached for ever, each with `.br` and `.gz` beside it.
//!
//! It is made in a sibling folder and swapped in, so the served folder is always whole. A record
//! of the inputs' hash lies in it: when nothing changed, nothing is made.

use super::{split, template, wasm_opt};
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

/// Part of the inputs' hash: a change in this module makes the folder anew.
const BUNDLE_VERSION: u32 = 4;
const RECORD: &str = ".inputs";
const OUT_NAME: &str = "fiber";
const BROTLI_QUALITY: u32 = 11;
const BROTLI_WINDOW_LOG2: u32 = 22;
const BROTLI_BUFFER_BYTES: usize = 64 * 1024;

pub(super) fn recorded_inputs(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join(RECORD)).ok()
}

/// What the author wrote, read once.
struct Sources {
    index: String,
    /// The script that starts the glue. It stands in the page, so that it costs no round trip, and is
    /// the same in every build, so that a web server's policy can name its hash.
    boot: Option<String>,
    css: String,
    assets: BTreeMap<String, Vec<u8>>,
}

/// Answers what was done, for the terminal.
pub(super) fn make(wasm: &Path, source: &Path, out: &Path, step: &Step) -> Result<String> {
    let sources = Sources::read(source)?;
    let wasm_bytes = fs::read(wasm).with_context(|| format!("read {}", wasm.display()))?;
    let optimiser = wasm_opt::find(source);
    let inputs = sources.hash(&wasm_bytes, optimiser.as_deref());
    if recorded_inputs(out).as_deref() == Some(inputs.as_str()) {
        return Ok("unchanged".to_owned());
    }
    let partial = out.with_extension("partial");
    remove_dir(&partial)?;
    let mut bundle = Bundle::create(&partial)?;

    step.detail("pages into files of their own");
    let bound = partial.join("bound");
    let main_bytes = split::split(&wasm_bytes, &bound, &format!("{OUT_NAME}.js"))?;
    step.detail("wasm-bindgen");
    Bindgen::new()
        .input_bytes(OUT_NAME, main_bytes)
        .web(true)?
        .typescript(false)
        // The page passes the hashed URL itself; without this the glue names a file we do not ship.
        .omit_default_module_path(true)
        // The table and the memory, which the other modules share.
        .keep_lld_exports(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&bound)
        .context("wasm-bindgen")?;
    if let Some(program) = &optimiser {
        step.detail("wasm-opt");
        for path in files_in(&bound)? {
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                wasm_opt::run(program, &path);
            }
        }
    }
    step.detail("brotli and gzip");
    bundle.add_bound(&bound)?;
    bundle.add_sources(&sources)?;
    remove_dir(&bound)?;
    fs::write(partial.join(RECORD), inputs).context("record the inputs")?;
    swap_in(&partial, out)?;
    Ok(format!(
        "{} KiB over the wire",
        bundle.brotli_bytes.div_ceil(1024)
    ))
}

fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    Ok(())
}

fn swap_in(partial: &Path, out: &Path) -> Result<()> {
    let old = out.with_extension("old");
    remove_dir(&old)?;
    if out.exists() {
        fs::rename(out, &old).with_context(|| format!("set {} aside", out.display()))?;
    }
    fs::rename(partial, out).with_context(|| format!("move into {}", out.display()))?;
    remove_dir(&old)
}

impl Sources {
    fn read(source: &Path) -> Result<Self> {
        let index_path = source.join("index.html");
        let index = fs::read_to_string(&index_path)
            .with_context(|| format!("read {}", index_path.display()))?;
        let boot_path = source.join("boot.js");
        let boot = boot_path
            .exists()
            .then(|| fs::read_to_string(&boot_path))
            .transpose()?;
        let mut css = String::new();
        for path in files_in(&source.join("style"))? {
            if path.extension().is_some_and(|extension| extension == "css") {
                css.push_str(&fs::read_to_string(&path)?);
            }
        }
        let mut assets = BTreeMap::new();
        for path in files_in(&source.join("assets"))? {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            assets.insert(name, fs::read(&path)?);
        }
        Ok(Self {
            index,
            boot,
            css,
            assets,
        })
    }

    /// Lengths are hashed too, so that content cannot move between files unseen.
    fn hash(&self, wasm: &[u8], optimiser: Option<&Path>) -> String {
        let version = format!("{BUNDLE_VERSION} {}", optimiser.is_some());
        let mut hasher = Sha256::new();
        let boot = self.boot.as_deref().unwrap_or_default();
        let texts = [&version, boot, &self.index, &self.css].map(str::as_bytes);
        let assets = self
            .assets
            .iter()
            .flat_map(|(name, bytes)| [name.as_bytes(), bytes]);
        for part in texts.into_iter().chain([wasm]).chain(assets) {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        hex(&hasher.finalize())
    }
}

/// In order of their names; a folder that is not there has none.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .with_context(|| format!("list {}", dir.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `map.bin` with the content's hash in it: `map-0123456789ab.bin`.
fn hashed_name(name: &str, bytes: &[u8]) -> String {
    with_hash(name, &hex(&Sha256::digest(bytes)[..6]))
}

fn with_hash(name: &str, hash: &str) -> String {
    match name.split_once('.') {
        Some((stem, extension)) => format!("{stem}-{hash}.{extension}"),
        None => format!("{name}-{hash}"),
    }
}

/// The folder under construction.
struct Bundle {
    root: PathBuf,
    /// Placeholder → URL.
    urls: BTreeMap<String, String>,
    brotli_bytes: usize,
}

impl Bundle {
    fn create(root: &Path) -> Result<Self> {
        let assets = root.join("assets");
        fs::create_dir_all(&assets).with_context(|| format!("create {}", assets.display()))?;
        Ok(Self {
            root: root.to_path_buf(),
            urls: BTreeMap::new(),
            brotli_bytes: 0,
        })
    }

    /// All of them under one hash, because they belong together; see [`split`].
    fn add_bound(&mut self, bound: &Path) -> Result<()> {
        let mut files = BTreeMap::new();
        let mut hasher = Sha256::new();
        for path in files_in(bound)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            for part in [name.as_bytes(), &bytes] {
                hasher.update(part.len().to_le_bytes());
                hasher.update(part);
            }
            files.insert(name.into_owned(), bytes);
        }
        let hash = hex(&hasher.finalize()[..6]);
        let rename = |name: &str| {
            let name = match name.strip_prefix(OUT_NAME) {
                Some(rest) => format!("app{}", rest.trim_start_matches("_bg")),
                None => name.to_owned(),
            };
            with_hash(&name, &hash)
        };
        for (name, bytes) in split::renamed(&files, rename) {
            self.write(&Path::new("assets").join(name), &bytes)?;
        }
        for (placeholder, file) in [("JS", ".js"), ("WASM", "_bg.wasm")] {
            let name = format!("{OUT_NAME}{file}");
            if !files.contains_key(&name) {
                bail!("wasm-bindgen made no {name}");
            }
            let url = format!("/assets/{}", rename(&name));
            self.urls.insert(placeholder.to_owned(), url);
        }
        // Scripts that crates bring along; the glue imports them by these relative names, in which
        // wasm-bindgen has put a hash already.
        let snippets = bound.join("snippets");
        for path in files_below(&snippets)? {
            let bytes = fs::read(&path)?;
            let inside = path.strip_prefix(bound)?;
            self.write(&Path::new("assets").join(inside), &bytes)?;
        }
        Ok(())
    }

    fn add_sources(&mut self, sources: &Sources) -> Result<()> {
        for (name, bytes) in &sources.assets {
            self.add_asset(&format!("ASSET:{name}"), name, bytes)?;
        }
        let css = self.fill(&sources.css).context("fill the style sheets")?;
        if sources.index.contains("{{CSS}}") {
            self.add_asset("CSS", "app.css", css.as_bytes())?;
        }
        self.urls.insert("INLINE_CSS".to_owned(), css);
        if let Some(boot) = &sources.boot {
            self.urls.insert("INLINE_BOOT".to_owned(), boot.clone());
        }
        let index = self.fill(&sources.index).context("fill index.html")?;
        self.write(Path::new("index.html"), index.as_bytes())
    }

    fn fill(&self, text: &str) -> Result<String> {
        template::fill(text, &|name| self.urls.get(name).cloned())
    }

    fn add_asset(&mut self, placeholder: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let file = format!("assets/{}", hashed_name(name, bytes));
        self.write(Path::new(&file), bytes)?;
        self.urls.insert(placeholder.to_owned(), format!("/{file}"));
        Ok(())
    }

    fn write(&mut self, relative: &Path, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(relative);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let brotli = brotli(bytes)?;
        self.brotli_bytes += brotli.len();
        for (suffix, content) in [("", bytes), (".br", &brotli), (".gz", &gzip(bytes)?)] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            fs::write(&name, content)
                .with_context(|| format!("write {}", Path::new(&name).display()))?;
        }
        Ok(())
    }
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    const DEPTH_MAX: usize = 16;
    let mut files = Vec::new();
    let mut open = vec![(dir.to_path_buf(), 0)];
    while let Some((dir, depth)) = open.pop() {
        if depth > DEPTH_MAX {
            bail!("{} is nested too deeply", dir.display());
        }
        files.extend(files_in(&dir)?);
        if dir.is_dir() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push((path, depth + 1));
                }
            }
        }
    }
    Ok(files)
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packed = Vec::new();
    {
        let mut writer = brotli::CompressorWriter::new(
            &mut packed,
            BROTLI_BUFFER_BYTES,
            BROTLI_QUALITY,
            BROTLI_WINDOW_LOG2,
        );
        writer
            .write_all(bytes)
            .and_then(|()| writer.flush())
            .context("brotli")?;
    }
    Ok(packed)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).context("gzip")?;
    writer.finish().context("gzip")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_name_follows_the_content_and_keeps_all_of_its_extension() {
        let one = hashed_name("map.topo.json", b"one");
        assert!(
            one.starts_with("map-") && one.ends_with(".topo.json"),
            "{one}"
        );
        assert_eq!(one, hashed_name("map.topo.json", b"one"));
        assert_ne!(one, hashed_name("map.topo.json", b"two"));
    }

    #[test]
    fn the_packed_files_hold_the_same_bytes() {
        let bytes: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        let mut from_brotli = Vec::new();
        brotli::Decompressor::new(&brotli(&bytes).unwrap()[..], 4096)
            .read_to_end(&mut from_brotli)
            .unwrap();
        assert_eq!(from_brotli, bytes);
        let mut from_gzip = Vec::new();
        flate2::read::GzDecoder::new(&gzip(&bytes).unwrap()[..])
            .read_to_end(&mut from_gzip)
            .unwrap();
        assert_eq!(from_gzip, bytes);
    }

    #[test]
    fn every_input_changes_the_hash() {
        let sources = |css: &str, asset: &str| Sources {
            index: "i".to_owned(),
            boot: None,
            css: css.to_owned(),
            assets: BTreeMap::from([(asset.to_owned(), b"x".to_vec())]),
        };
        let base = sources("c", "a").hash(b"w", None);
        assert_eq!(base, sources("c", "a").hash(b"w", None));
        assert_ne!(base, sources("d", "a").hash(b"w", None));
        assert_ne!(base, sources("c", "b").hash(b"w", None));
        assert_ne!(base, sources("c", "a").hash(b"v", None));
        assert_ne!(
            base,
            sources("c", "a").hash(b"w", Some(Path::new("wasm-opt")))
        );
    }

    #[test]
    fn the_page_gets_urls_of_files_that_exist() {
        let dir = tempfile::tempdir().unwrap();
        let mut bundle = Bundle::create(dir.path()).unwrap();
        bundle
            .urls
            .insert("JS".to_owned(), "/assets/app-1.js".to_owned());
        let sources = Sources {
            index: "<style>{{INLINE_CSS}}</style>{{ASSET:map.bin}} {{CSS}} <script>{{INLINE_BOOT}}</script>".to_owned(),
            boot: Some("start(\"{{JS}}\")".to_owned()),
            css: "a{background:url({{ASSET:map.bin}})}".to_owned(),
            assets: BTreeMap::from([("map.bin".to_owned(), b"land".to_vec())]),
        };
        bundle.add_sources(&sources).unwrap();
        let index = fs::read_to_string(dir.path().join("index.html")).unwrap();
        let map = &bundle.urls["ASSET:map.bin"];
        // As it was written: what changes with a build would change its hash.
        assert!(
            index.contains("<script>start(\"{{JS}}\")</script>"),
            "{index}"
        );
        assert!(index.contains(&format!("<style>a{{background:url({map})}}</style>{map} ")));
        for suffix in ["", ".br", ".gz"] {
            assert!(dir.path().join(format!(".{map}{suffix}")).is_file());
        }
    }
}
