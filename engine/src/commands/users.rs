use super::complain;
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use fiber_contract::access::{NewUser, Role, UserView};
use fiber_contract::limits::PASSWORD_BYTES_MAX;
use fiber_engine::audit::Actor;
use fiber_engine::auth::people::{Change, Error, Users};
use std::io::{IsTerminal as _, Read, Write as _};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add somebody. The password comes from standard input or a file, never as an argument, where
    /// everybody on the machine could read it: at least 12 characters.
    Add {
        /// 1 to 64 of a-z 0-9 . _ @ + -
        name: String,
        /// What the user may do; the first one should be an admin.
        #[arg(long, value_enum, default_value_t = RoleName::Viewer)]
        role: RoleName,
        /// Change nothing, and succeed, if somebody has the name already.
        #[arg(long)]
        if_absent: bool,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// One line for each user: name, role, made, last sign-in.
    List,
    /// Give a new password; it ends the user's sessions.
    Passwd {
        name: String,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Give another role.
    Role {
        name: String,
        #[arg(value_enum)]
        role: RoleName,
    },
    /// Let nobody sign in by this name, and end its sessions.
    Disable { name: String },
    /// Undo `disable`.
    Enable { name: String },
    /// Remove a user.
    Remove { name: String },
}

#[derive(Debug, Args)]
pub(crate) struct PasswordFrom {
    /// Read the password from this file in place of standard input; a line end is left out.
    #[arg(long)]
    password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum RoleName {
    #[value(alias = "viewer")]
    Viewer,
    #[value(alias = "operator")]
    Operator,
    #[value(alias = "admin")]
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

impl PasswordFrom {
    fn read(&self) -> anyhow::Result<String> {
        // One byte more than a password may have, and a line end.
        let limit = PASSWORD_BYTES_MAX as u64 + 3;
        let mut text = String::new();
        match &self.password_file {
            Some(path) => std::fs::File::open(path)
                .and_then(|file| file.take(limit).read_to_string(&mut text))
                .with_context(|| format!("read the password from {}", path.display()))?,
            None => {
                if std::io::stdin().is_terminal() {
                    complain("type the password (it will be seen), then Enter and Ctrl-D:");
                }
                std::io::stdin()
                    .take(limit)
                    .read_to_string(&mut text)
                    .context("read the password from standard input")?
            }
        };
        let password = text.trim_end_matches(['\r', '\n']);
        anyhow::ensure!(
            !password.is_empty(),
            "there is no password on standard input"
        );
        anyhow::ensure!(
            !password.contains('\n'),
            "the password has more than one line"
        );
        Ok(password.to_owned())
    }
}

pub(crate) async fn user(users: &Users, command: UserCommand) -> anyhow::Result<()> {
    let actor = &Actor::Command;
    let changed = |change: Change, name: String| async move {
        let written = users.change(actor, &name, &change).await?;
        tell(&[written.view])
    };
    match command {
        UserCommand::Add {
            name,
            role,
            if_absent,
            password,
        } => {
            let new = NewUser {
                name,
                password: password.read()?,
                role: role.into(),
            };
            match users.add(actor, &new).await {
                Err(Error::Exists(name)) if if_absent => {
                    complain(&format!("{name} is there already"));
                    Ok(())
                }
                added => tell(&[added?.view]),
            }
        }
        UserCommand::List => tell(&users.list().await?),
        UserCommand::Passwd { name, password } => {
            let change = Change {
                password: Some(password.read()?),
                ..Change::default()
            };
            changed(change, name).await
        }
        UserCommand::Role { name, role } => {
            let change = Change {
                role: Some(role.into()),
                ..Change::default()
            };
            changed(change, name).await
        }
        UserCommand::Disable { name } => changed(disabled(true), name).await,
        UserCommand::Enable { name } => changed(disabled(false), name).await,
        UserCommand::Remove { name } => {
            users.remove(actor, &name).await?;
            complain(&format!("{name} is removed"));
            Ok(())
        }
    }
}

fn disabled(disabled: bool) -> Change {
    Change {
        disabled: Some(disabled),
        ..Change::default()
    }
}

fn tell(views: &[UserView]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for view in views {
        let last = view
            .last_login_at
            .map_or("never".to_owned(), |at| at.to_string());
        let disabled = if view.disabled { "  disabled" } else { "" };
        writeln!(
            out,
            "{}  {}  made {}  signed in {last}{disabled}",
            view.name,
            view.role.as_str(),
            view.created_at
        )?;
    }
    Ok(())
}
