//! Makes programs of another Debian release run in place.
//!
//! The kernel starts an ELF program with the loader at the absolute path that is written in it,
//! which is the host's, and the host's C library may be older. So each program `x` is renamed to
//! `x.elf`, and `x` becomes a script that calls the tree's own loader with the tree's own
//! libraries. `--argv0` keeps the program's name, from which PostgreSQL derives where its shared
//! files and its sister programs are; those it starts through the shell, and so through the
//! scripts as well. Paths are relative to the script: the tree may be moved.

use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are, and which; none are all.
const PROGRAMS: [(&str, &[&str]); 3] = [
    ("usr/lib/postgresql/17/bin", &[]),
    ("usr/bin", &["redis-server", "redis-cli", "redis-check-rdb"]),
    ("usr/sbin", &["nginx"]),
];

/// A program and the file that holds its code; several names may share one file.
#[derive(Debug)]
struct Program {
    name: PathBuf,
    code: PathBuf,
}

pub(super) fn write_all(tree: &Path) -> Result<()> {
    let (loader, library_dir) = find_loader(tree)?;
    let programs = find_programs(tree)?;
    for program in &programs {
        let code_elf = with_elf(&program.code);
        if !code_elf.exists() {
            fs::rename(&program.code, &code_elf)
                .with_context(|| format!("set {} aside", program.code.display()))?;
        }
    }
    for program in &programs {
        let script = script(tree, program, &loader, &library_dir)?;
        if program.name.is_symlink() {
            fs::remove_file(&program.name).context("replace a link by its script")?;
        }
        fs::write(&program.name, script)
            .with_context(|| format!("write {}", program.name.display()))?;
        fs::set_permissions(&program.name, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn with_elf(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".elf");
    name.into()
}

/// The loader is in the library folder, which is named after the architecture.
fn find_loader(tree: &Path) -> Result<(PathBuf, PathBuf)> {
    for entry in fs::read_dir(tree.join("usr/lib")).context("list the unpacked libraries")? {
        let library_dir = entry?.path();
        let Ok(files) = fs::read_dir(&library_dir) else {
            continue;
        };
        for file in files.flatten() {
            if file.file_name().to_string_lossy().starts_with("ld-linux") {
                return Ok((file.path(), library_dir));
            }
        }
    }
    bail!("the unpacked packages hold no dynamic loader")
}

fn find_programs(tree: &Path) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for (dir, wanted) in PROGRAMS {
        // A tree has only some of them.
        let Ok(entries) = fs::read_dir(tree.join(dir)) else {
            continue;
        };
        for entry in entries {
            let name = entry?.path();
            let file_name = name.file_name().unwrap_or_default().to_string_lossy();
            if !wanted.is_empty() && !wanted.contains(&file_name.as_ref()) {
                continue;
            }
            let Ok(code) = fs::canonicalize(&name) else {
                continue;
            };
            if is_elf(&code)? {
                programs.push(Program { name, code });
            }
        }
    }
    Ok(programs)
}

fn is_elf(path: &Path) -> Result<bool> {
    let mut magic = Vec::with_capacity(4);
    fs::File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut magic))
        .with_context(|| format!("read {}", path.display()))?;
    Ok(magic == b"\x7fELF")
}

fn script(tree: &Path, program: &Program, loader: &Path, library_dir: &Path) -> Result<String> {
    let dir = program
        .name
        .parent()
        .context("a program lies in a folder")?;
    let up = "/..".repeat(dir.strip_prefix(tree)?.components().count());
    let root = fs::canonicalize(tree)?;
    let code = with_elf(&program.code);
    let relative = |path: &Path| -> Result<String> {
        let inside = path
            .strip_prefix(tree)
            .or_else(|_| path.strip_prefix(&root))?;
        Ok(inside.display().to_string())
    };
    let mut text = String::from("#!/bin/sh\n");
    writeln!(text, "root=\"${{0%/*}}{up}\"")?;
    // A host's OpenSSL configuration may name modules that this OpenSSL cannot load.
    writeln!(text, "OPENSSL_CONF=/dev/null; export OPENSSL_CONF")?;
    writeln!(
        text,
        "exec \"$root/{}\" --argv0 \"$0\" --library-path \"$root/{}\" \"$root/{}\" \"$@\"",
        relative(loader)?,
        relative(library_dir)?,
        relative(&code)?,
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_program_and_its_second_name_become_scripts_over_one_file() {
        let tree = tempfile::tempdir().unwrap();
        for dir in ["usr/lib/some-arch", "usr/lib/postgresql/17/bin", "usr/bin"] {
            fs::create_dir_all(tree.path().join(dir)).unwrap();
        }
        fs::write(
            tree.path().join("usr/lib/some-arch/ld-linux-x.so.2"),
            b"\x7fELF",
        )
        .unwrap();
        let bin = tree.path().join("usr/bin");
        fs::write(bin.join("redis-check-rdb"), b"\x7fELF code").unwrap();
        fs::write(bin.join("other"), b"\x7fELF").unwrap();
        symlink("redis-check-rdb", bin.join("redis-server")).unwrap();
        let postgres = tree.path().join("usr/lib/postgresql/17/bin/postgres");
        fs::write(&postgres, b"\x7fELF").unwrap();

        write_all(tree.path()).unwrap();

        assert_eq!(
            fs::read(bin.join("redis-check-rdb.elf")).unwrap(),
            b"\x7fELF code"
        );
        let server = fs::read_to_string(bin.join("redis-server")).unwrap();
        assert!(
            server.contains("\"$root/usr/bin/redis-check-rdb.elf\""),
            "{server}"
        );
        assert!(server.contains("${0%/*}/../..\""), "{server}");
        let script = fs::read_to_string(&postgres).unwrap();
        assert!(script.contains("${0%/*}/../../../../..\""), "{script}");
        assert_eq!(
            fs::read(bin.join("other")).unwrap(),
            b"\x7fELF",
            "left alone"
        );
    }
}
