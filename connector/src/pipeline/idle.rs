//! What is looked at while nothing comes: whether that is because nothing happens, or because somebody else runs the
//! task, or because the server has begun its binlog anew and waits until that is as long as it was.

use std::collections::BTreeSet;
use std::time::Duration;

use binlog_bridge_core::selection::{Selection, TableName};
use tokio::time::Instant;

use super::Pipeline;
use crate::catalog::Catalog;
use crate::error::Error;
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::sink::log::Log;
use crate::source::Dump;
use crate::start::check_history;
use crate::supervise::fencing::moved;

/// So long nothing has come before a look, and between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long the source may take to answer; that it is away, the dump will tell.
const ANSWER_MAX: Duration = Duration::from_secs(2);

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
    /// What ends the run; that Kafka does not answer, too, so that no questions pile up.
    pub(super) async fn look_around(&mut self, shutdown: &Shutdown) -> Result<(), Error> {
        self.look_at = Instant::now() + LOOK_INTERVAL;
        tokio::select! {
            biased;
            // 1. A shutdown must not wait for it.
            () = shutdown.asked() => Ok(()),
            // 2. Nothing is lost with a look that is dropped.
            looked = self.look() => looked,
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let transactor = self.sink.idle().await?;
        self.health.asked();
        let glance = transactor.glance_for_rival().await;
        self.health.answered();
        glance?;
        if transactor.was_given_back() {
            return Err(moved().into());
        }
        self.refuse_lost_history().await?;
        if self.has_new_names {
            refuse_shared_topics(&mut self.dump, &self.catalog, self.tables.selection()).await?;
            self.has_new_names = false;
        }
        Ok(())
    }

    /// A binlog that ends before our place is not the one that was followed. What it has up to our place is not lost,
    /// whatever the set of GTIDs says by now: with semi-synchronous replication that comes later.
    async fn refuse_lost_history(&mut self) -> Result<(), Error> {
        let (position, lineage) = (self.decoder.position(), &self.checkpoint.lineage);
        let Ok(Ok((uuid, Some(end)))) = tokio::time::timeout(ANSWER_MAX, self.dump.end()).await
        else {
            return Ok(());
        };
        if uuid != lineage.server_uuid || end >= *position.at() {
            return Ok(());
        }
        let Ok(Ok(survey)) = tokio::time::timeout(ANSWER_MAX, self.dump.survey()).await else {
            return Ok(());
        };
        if survey.server_uuid == lineage.server_uuid && survey.current < *position.at() {
            check_history(position, &lineage.first_file, &survey)?;
        }
        Ok(())
    }
}

/// Looks for tables that would share a topic, before one of them has rows.
///
/// # Errors
/// If there are some, or the server cannot be asked.
pub(crate) async fn refuse_shared_topics<D: Dump, R: Registry>(
    dump: &mut D,
    catalog: &Catalog<R>,
    selection: &Selection,
) -> Result<(), Error> {
    let mut databases: BTreeSet<String> = selection.database_names().map(str::to_owned).collect();
    if selection.has_patterns() {
        let all = dump.survey().await?.databases.into_iter();
        databases.extend(all.filter(|database| selection.may_select_in(database)));
    }
    let databases: Vec<String> = databases.into_iter().collect();
    let mut tables = dump.tables(&databases).await?;
    tables.retain(|table: &TableName| selection.selects(table));
    Ok(catalog.refuse_shared_topics(&tables)?)
}
