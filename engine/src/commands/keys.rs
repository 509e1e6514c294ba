use super::complain;
use clap::Subcommand;
use fiber_contract::UnixMicros;
use fiber_contract::access::{KeyView, NewKey};
use fiber_engine::audit::Actor;
use fiber_engine::auth::keys::KeyStore;
use std::io::Write as _;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print a new key on standard output, the only time that it is told. A node has at most two
    /// live keys: the one in use, and the one that replaces it.
    Issue {
        /// The one node for which the key may push.
        node_id: String,
        /// Days until it expires; never when not given.
        #[arg(long)]
        days: Option<u32>,
    },
    /// One line for each key: id, node, made, expires, revoked.
    List {
        /// Of this node only.
        node_id: Option<String>,
    },
    /// Make a key good no more.
    Revoke {
        /// As `issue` and `list` tell it.
        key_id: uuid::Uuid,
    },
}

pub(crate) async fn key(store: &KeyStore, command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Issue { node_id, days } => {
            let new = NewKey {
                node_id,
                expires_in_days: days,
            };
            let issued = store.issue(&Actor::Command, &new).await?;
            complain(&line(&issued.view));
            writeln!(std::io::stdout(), "{}", issued.key)?;
        }
        KeyCommand::List { node_id } => {
            let views = store.list(node_id.as_deref()).await?;
            let mut out = std::io::stdout().lock();
            for view in views {
                writeln!(out, "{}", line(&view))?;
            }
        }
        KeyCommand::Revoke { key_id } => {
            let view = store.revoke(&Actor::Command, key_id).await?;
            writeln!(std::io::stdout(), "{}", line(&view))?;
        }
    }
    Ok(())
}

fn line(view: &KeyView) -> String {
    let at = |instant: Option<UnixMicros>, never| instant.map_or(never, |at| at.to_string());
    format!(
        "{}  {}  made {}  expires {}  revoked {}",
        view.key_id,
        view.node_id,
        view.created_at,
        at(view.expires_at, "never".to_owned()),
        at(view.revoked_at, "no".to_owned()),
    )
}
