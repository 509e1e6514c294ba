//! Takes the pages that are not the first out of the dashboard's wasm, into modules that the browser
//! fetches when somebody goes there. `dashboard/src/pages/lazy.rs` says which.
//!
//! All modules of one build belong together: they share one memory and name each other's functions
//! by position. So all of them carry one hash, of everything, and a tab of an older build that asks
//! for its own finds nothing rather than something else.

use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use wasm_split_cli_support::{Options, transform};

/// What loads the others; the main module imports it.
const LOADER: &str = "./split.js";

/// Splits what cargo built. Writes the modules and their loader into `dir`, and answers the main
/// module, which wasm-bindgen makes `glue` for.
pub(super) fn split(wasm: &[u8], dir: &Path, glue: &str) -> Result<Vec<u8>> {
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let main = dir.join("main.wasm");
    let glue = format!("./{glue}");
    let mut options = Options::new(wasm);
    options.output_dir = dir;
    options.main_out_path = &main;
    options.link_name = LOADER;
    options.main_module = &glue;
    let parts = transform(options).map_err(|error| {
        anyhow!("split the wasm: {error:#}; RUSTFLAGS hides the flags of .cargo/config.toml")
    })?;
    for part in parts.split_modules {
        let bytes = fs::read(&part).with_context(|| format!("read {}", part.display()))?;
        fs::write(&part, without_notes(&bytes)?)
            .with_context(|| format!("write {}", part.display()))?;
    }
    let bytes = fs::read(&main).context("read the main module")?;
    fs::remove_file(&main).context("remove the main module")?;
    Ok(bytes)
}

/// Without the sections that say something about a module and that no browser needs: the names of the
/// functions are half of a part. wasm-bindgen does the same with the main module.
fn without_notes(module: &[u8]) -> Result<Vec<u8>> {
    const HEAD_BYTES: usize = 8;
    const NOTE: u8 = 0;
    let (head, mut rest) = module
        .split_at_checked(HEAD_BYTES)
        .context("a part of the wasm is cut off")?;
    let mut kept = head.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (size_bytes, size) = read_size(after).context("a section has no size")?;
        let whole = 1 + size_bytes + size;
        if whole > rest.len() {
            bail!("a section of the wasm is cut off");
        }
        let (section, next) = rest.split_at(whole);
        if id != NOTE {
            kept.extend_from_slice(section);
        }
        rest = next;
    }
    Ok(kept)
}

/// A number in LEB128: how many bytes it takes, and what it is.
fn read_size(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut size = 0;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        size |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((at + 1, size));
        }
    }
    None
}

/// What stands before the address of a file in a script. A name alone may also be what a module calls
/// its imports, and that stays.
const BEFORE_ADDRESS: [&str; 2] = ["from ", "URL("];

/// Gives every file of `files` the name that `rename` says, also where the scripts among them fetch
/// one another.
pub(super) fn renamed(
    files: &BTreeMap<String, Vec<u8>>,
    rename: impl Fn(&str) -> String,
) -> BTreeMap<String, Vec<u8>> {
    let script = |bytes: &[u8]| {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for name in files.keys() {
            for before in BEFORE_ADDRESS {
                let (old, new) = (format!("{before}\"./{name}\""), rename(name));
                text = text.replace(&old, &format!("{before}\"./{new}\""));
            }
        }
        text.into_bytes()
    };
    files
        .iter()
        .map(|(name, bytes)| {
            let is_script = Path::new(name).extension().is_some_and(|it| it == "js");
            let bytes = if is_script {
                script(bytes)
            } else {
                bytes.clone()
            };
            (rename(name), bytes)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_loses_its_notes_and_nothing_else() {
        let head = b"\0asm\x01\0\0\0".to_vec();
        let long = [vec![10, 0x80, 0x01], vec![7; 128]].concat();
        let note = [0, 3, 1, b'n', 9];
        let module = [&head[..], &note, &long, &note].concat();
        assert_eq!(without_notes(&module).unwrap(), [head, long].concat());
        for cut in [4, module.len() - 1] {
            assert!(without_notes(&module[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn scripts_follow_the_names_of_the_files() {
        let files = BTreeMap::from([
            (
                "a.js".to_owned(),
                b"import * as b from \"./b.js\"; fetch(new URL(\"./c.wasm\", x)); ({\"./b.js\": b})"
                    .to_vec(),
            ),
            ("b.js".to_owned(), b"import { a } from \"./a.js\"".to_vec()),
            ("c.wasm".to_owned(), b"\0asm from \"./b.js\"".to_vec()),
        ]);
        let renamed = renamed(&files, |name| format!("x-{name}"));
        let text = |name: &str| String::from_utf8_lossy(&renamed[name]).into_owned();
        // What the module imports keeps its name.
        assert_eq!(
            text("x-a.js"),
            "import * as b from \"./x-b.js\"; fetch(new URL(\"./x-c.wasm\", x)); ({\"./b.js\": b})"
        );
        assert_eq!(text("x-b.js"), "import { a } from \"./x-a.js\"");
        assert_eq!(text("x-c.wasm"), "\0asm from \"./b.js\"");
    }
}
