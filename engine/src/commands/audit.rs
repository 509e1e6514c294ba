use clap::Subcommand;
use fiber_engine::audit::{Expected, verify};
use std::io::Write as _;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no entry was changed, removed or inserted, and name those that were. Prints the
    /// last entry's number and hash: keep them elsewhere. Exits with 2 if anything is wrong.
    Verify {
        /// `<number>:<hash>` of an earlier run. The log must still hold that entry.
        #[arg(long)]
        expect: Option<Expected>,
    },
}

/// True when the log is whole.
pub(crate) async fn audit(
    database: &tokio_postgres::Config,
    command: AuditCommand,
) -> anyhow::Result<bool> {
    let AuditCommand::Verify { expect } = command;
    let found = verify(database, expect).await?;
    let mut out = std::io::stdout().lock();
    for fault in &found.faults {
        writeln!(out, "{fault}")?;
    }
    writeln!(
        out,
        "{} entries; the last is {}:{}",
        found.entries, found.last_id, found.last_hash
    )?;
    Ok(found.faults.is_empty())
}
