//! The account servers run under. PostgreSQL refuses to run as root.

use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

/// An account of this machine that a server is switched to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whom to become before starting PostgreSQL: nobody in particular when not root.
pub fn for_database() -> Result<Option<Account>> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
    // initdb looks its own user up by number, so the account must be one that has a name.
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| find(&passwd, name))
        .map(Some)
        .context("no account `postgres` or `nobody` in /etc/passwd; `adduser --system postgres`")
}

fn find(passwd: &str, wanted: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (name == wanted).then(|| Account {
            name: name.to_owned(),
            uid,
            gid,
        })
    })
}

/// Gives `path` to the account; does nothing when no switch takes place.
pub fn give_to(account: Option<&Account>, path: &Path) -> Result<()> {
    let Some(account) = account else {
        return Ok(());
    };
    chown(path, Some(account.uid), Some(account.gid))
        .with_context(|| format!("give {} to {}", path.display(), account.name))
}

/// Says which folder above `path` the account may not enter. Without it a server ends with
/// "Permission denied" and names something else.
pub fn check_reach(account: Option<&Account>, path: &Path) -> Result<()> {
    let Some(account) = account else {
        return Ok(());
    };
    for folder in path.ancestors().skip(1) {
        let Ok(meta) = fs::metadata(folder) else {
            continue;
        };
        let search = if meta.uid() == account.uid {
            0o100
        } else if meta.gid() == account.gid {
            0o010
        } else {
            0o001
        };
        if meta.mode() & search == 0 {
            bail!(
                "the account `{}`, which runs the database, may not enter {}: `chmod o+x {}`, or choose another place with FIBER_CACHE",
                account.name,
                folder.display(),
                folder.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_closed_folder_is_named() {
        let home = tempfile::tempdir().unwrap();
        let closed = home.path().join("closed");
        fs::create_dir_all(closed.join("cache")).unwrap();
        let stranger = Account {
            name: "stranger".to_owned(),
            uid: 4_000_000,
            gid: 4_000_000,
        };
        for path in [home.path(), &closed] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let below = closed.join("cache/initdb");
        check_reach(Some(&stranger), &below).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let error = check_reach(Some(&stranger), &below).unwrap_err();
        assert!(error.to_string().contains(&closed.display().to_string()));
        check_reach(None, &below).unwrap();
    }

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgresx:x:9:9::/:/bin/sh\n\
                      postgres:x:107:114::/var/lib/postgresql:/bin/bash\nbroken\n";
        let found = find(passwd, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (107, 114));
        assert_eq!(find(passwd, "nobody"), None);
    }
}
