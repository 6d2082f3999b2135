//! What is looked at while nothing comes: whether that is because nothing happens, or because somebody else runs the
//! task, or because the server has begun its binlog anew and waits until that is as long as it was.

use std::collections::BTreeSet;
use std::time::Duration;

use binlog_bridge_core::selection::TableName;
use tokio::time::Instant;

use super::Pipeline;
use crate::error::Error;
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::source::Dump;
use crate::start::check_history;

/// So long nothing has come before a look, and between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

impl<D: Dump, L: Log, R: Registry> Pipeline<D, L, R> {
    /// Something has come.
    pub(super) fn heard(&mut self) {
        self.look_at = Instant::now() + LOOK_INTERVAL;
    }

    /// True if there is nothing that would tell by itself.
    pub(super) fn may_look(&self) -> bool {
        !self.sink.is_busy()
            && !self.sink.has_open_transaction()
            && !self.decoder.in_transaction()
            && self.batch.is_empty()
    }

    /// Looks who owns the task and what became of the binlog.
    ///
    /// # Errors
    /// What ends the run.
    pub(super) async fn look_around(&mut self) -> Result<(), Error> {
        self.look_at = Instant::now() + LOOK_INTERVAL;
        self.sink.idle().await?.look_for_rival().await?;
        // That a server is away, the dump will tell.
        if let Ok(survey) = self.dump.survey().await
            && survey.server_uuid == self.checkpoint.lineage.server_uuid
        {
            check_history(
                self.decoder.position(),
                &self.checkpoint.lineage.first_file,
                &survey,
            )?;
        }
        if std::mem::take(&mut self.has_new_names) {
            self.refuse_shared_topics().await?;
        }
        Ok(())
    }

    /// Looks for tables that would share a topic, before one of them has rows.
    ///
    /// # Errors
    /// If there are some, or the server cannot be asked.
    pub(crate) async fn refuse_shared_topics(&mut self) -> Result<(), Error> {
        let selection = self.tables.selection();
        let databases: BTreeSet<&str> = selection.database_names().collect();
        let databases: Vec<String> = databases.into_iter().map(str::to_owned).collect();
        let mut tables = self.dump.tables(&databases).await?;
        tables.retain(|table: &TableName| selection.selects(table));
        Ok(self.catalog.refuse_shared_topics(&tables)?)
    }
}
