//! The account servers run under. PostgreSQL refuses to run as root.

use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::chown;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgresx:x:9:9::/:/bin/sh\n\
                      postgres:x:107:114::/var/lib/postgresql:/bin/bash\nbroken\n";
        let found = find(passwd, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (107, 114));
        assert_eq!(find(passwd, "nobody"), None);
    }
}
