//! What was a table, at the place of its rows?
//!
//! Where table maps name no columns (`binlog_row_metadata=MINIMAL`) the server describes the table, as it is now. That
//! holds for rows of before only if no statement in between may have changed the table (I6): the rest of the binlog is
//! read for statements first, once for all tables. Else the stream halts; a definition is never guessed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge_core::decode::{
    DeadTransaction, Decoder, Fed, Item, Joined, Joiner, TableMapEvent,
};
use binlog_bridge_core::event::{EventBlock, EventHeader};
use binlog_bridge_core::position::{FileOffset, Position};
use binlog_bridge_core::schema::{
    DefinitionError, DescribedTable, Dialect, LookAhead, TableDefinition, may_define,
};
use binlog_bridge_core::selection::TableName;
use tokio::time::Instant;

use crate::error::Error;
use crate::shutdown::Shutdown;
use crate::source::{Description, Dump, SourceError, check_uuid};
use crate::start::FIRST_EVENT;

/// What was looked at ahead of the stream, and on which server; all runs of a task share it, as looking may take long.
pub type SharedLookAhead = Arc<Mutex<Option<(String, LookAhead)>>>;

/// The server that the stream comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) uuid: String,
    /// See [`crate::source::Survey::binlog_filters`].
    pub(crate) binlog_filters: String,
    /// What its statements and descriptions look like.
    pub(crate) dialect: Dialect,
    /// Whether it compares names without case.
    pub(crate) folds_names: bool,
}

/// Bounds of looking ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookAheadLimits {
    /// Words of statements that are kept.
    pub words_max: usize,
    /// Bytes of the largest statement.
    pub statement_bytes_max: usize,
}

/// Finds out what tables were.
pub(crate) struct Definitions<D> {
    /// A connection of its own: the stream stands still meanwhile.
    dump: D,
    server: Server,
    ahead: SharedLookAhead,
    limits: LookAheadLimits,
    shutdown: Shutdown,
}

/// What the server says of a table, and what that and a table map make together.
pub(crate) struct Proven {
    pub(crate) definition: TableDefinition,
    pub(crate) described: DescribedTable,
}

/// Where a table map is.
pub(crate) struct Place {
    /// Where it begins.
    pub(crate) at: FileOffset,
    /// Where its source transaction begins.
    pub(crate) first: FileOffset,
}

/// Of what is only a default in a schema nobody needs to know so much: no more bytes of the binlog are read for it.
const NEAR_BYTES: u64 = 16 << 20;
/// How often it is said how far the looking ahead is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// Source transactions without end that are passed over: a server leaves at most one for each crash.
const DEAD_MAX: usize = 64;

impl<D: Dump> Definitions<D> {
    pub(crate) fn new(
        dump: D,
        server: Server,
        ahead: SharedLookAhead,
        limits: LookAheadLimits,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            dump,
            server,
            ahead,
            limits,
            shutdown,
        }
    }

    /// What statements and descriptions of the server look like.
    pub(crate) fn dialect(&self) -> Dialect {
        self.server.dialect
    }

    /// Refuses to rely on statements that the server may leave out of the binlog: by which database is in use, not by
    /// that of the table (MySQL manual, "Replication and Binary Logging Options", `--binlog-do-db`).
    pub(crate) fn refuse_filters(&self, table: &TableName) -> Result<(), DefinitionError> {
        if self.server.binlog_filters.is_empty() {
            return Ok(());
        }
        Err(DefinitionError::Filtered {
            table: table.clone(),
            filters: self.server.binlog_filters.clone(),
        })
    }

    /// The definition of a table whose table map does not name its columns.
    pub(crate) async fn prove(
        &mut self,
        event: &TableMapEvent<'_>,
        place: &Place,
    ) -> Result<Proven, Error> {
        let table = TableName::new(event.database, event.table);
        let wrong = |source| Error::Definition {
            at: place.at.clone(),
            source,
        };
        let description = match self.dump.describe(&table).await {
            Ok(Some(description)) => description,
            Ok(None) => return Err(wrong(DefinitionError::Gone { table })),
            Err(SourceError::AccessDenied { detail, .. }) => {
                let reason = detail;
                return Err(wrong(DefinitionError::NotReadable { table, reason }));
            }
            Err(error) => return Err(error.into()),
        };
        check_uuid(&self.server.uuid, &description.server_uuid)?;
        if let Some(statement) = self.last_touch(&table, place, &description).await? {
            return Err(wrong(DefinitionError::Changed { table, statement }));
        }
        tracing::debug!(%table, "its definition is that of the server");
        let described = description.table;
        let definition = TableDefinition::from_described(event, &described, self.server.dialect)
            .map_err(wrong)?;
        Ok(Proven {
            definition,
            described,
        })
    }

    /// Adds to a definition what table maps do not have. It is left as it is if that cannot be known, or not without
    /// reading much of the binlog, unless that `must` be. What the server says of the table is returned too, if it is proven.
    pub(crate) async fn declare(
        &mut self,
        definition: TableDefinition,
        event: &TableMapEvent<'_>,
        place: &Place,
        must: bool,
    ) -> Result<(TableDefinition, Option<DescribedTable>), Error> {
        let description = match self.dump.describe(&definition.name).await {
            Ok(Some(description)) => description,
            Ok(None) | Err(SourceError::AccessDenied { .. } | SourceError::Server { .. }) => {
                return Ok((definition, None));
            }
            Err(error) => return Err(error.into()),
        };
        let is_of_ours = check_uuid(&self.server.uuid, &description.server_uuid);
        if must {
            is_of_ours?;
        } else if is_of_ours.is_err() {
            return Ok((definition, None));
        }
        if self.refuse_filters(&definition.name).is_err() {
            return Ok((definition, None));
        }
        let first = &place.first;
        let is_near = first.file == description.end.file
            && description.end.offset.saturating_sub(first.offset) <= NEAR_BYTES;
        if !(is_near || must) {
            return Ok((definition, None));
        }
        match self.last_touch(&definition.name, place, &description).await {
            Ok(None) => {
                let definition =
                    definition.declared(event, &description.table, self.server.dialect);
                Ok((definition, Some(description.table)))
            }
            Ok(Some(_)) => Ok((definition, None)),
            Err(Error::Source(SourceError::OtherServer { .. })) if !must => Ok((definition, None)),
            Err(error) => Err(error),
        }
    }

    /// The last statement between a table map and the end of the binlog at the description that may have changed the
    /// table.
    async fn last_touch(
        &mut self,
        table: &TableName,
        place: &Place,
        description: &Description,
    ) -> Result<Option<FileOffset>, Error> {
        let is_known = |(server, known): &(String, LookAhead)| {
            *server == self.server.uuid && known.covers(&place.first)
        };
        let known = self.shared().take().filter(is_known);
        let was_known = known.is_some();
        let (words_max, folds) = (self.limits.words_max, self.server.folds_names);
        let from = || LookAhead::new(place.first.clone(), words_max, folds);
        let mut ahead = known.map_or_else(from, |(_, known)| known);
        let mut read = self.read_on(&mut ahead, &description.end).await;
        if was_known && matches!(read, Err(Error::Source(SourceError::Server { .. }))) {
            // The end of a file that was read may have been lost in a crash.
            ahead = from();
            read = self.read_on(&mut ahead, &description.end).await;
        }
        let touch = ahead.last_touch(table).filter(|touch| **touch > place.at);
        let touch = touch.cloned();
        *self.shared() = Some((self.server.uuid.clone(), ahead));
        read.map(|()| touch)
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Option<(String, LookAhead)>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_on(&mut self, ahead: &mut LookAhead, end: &FileOffset) -> Result<(), Error> {
        let mut dead = Vec::new();
        while ahead.place() < end {
            if let Err(error) = self.read(ahead, end, &dead).await {
                match error.dead_transaction() {
                    Some(found) if dead.len() < DEAD_MAX => dead.push(found),
                    Some(_) | None => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn read(
        &mut self,
        ahead: &mut LookAhead,
        end: &FileOffset,
        dead: &[DeadTransaction],
    ) -> Result<(), Error> {
        let position = request(ahead.place());
        let server_uuid = self.dump.open(&position).await?;
        check_uuid(&self.server.uuid, &server_uuid)?;
        let mut decoder = Decoder::new(position).without(dead.to_vec());
        let mut joiner = Joiner::new(self.limits.statement_bytes_max);
        let mut block = EventBlock::default();
        let mut said = Instant::now();
        loop {
            block.clear();
            tokio::select! {
                biased;
                // 1. A shutdown must not wait for the end of the binlog.
                () = self.shutdown.asked() => return Err(Error::Stopped),
                // 2. Cancel-safe by contract.
                read = self.dump.next(&mut block) => read?,
            }
            for (part, bytes) in block.pieces() {
                // Of what is large, rows are not needed.
                let wanted = |_: &EventHeader, table_id: Option<u64>| table_id.is_none();
                let mut fed = Fed::new(part, bytes);
                while let Some(joined) =
                    (joiner.next(&mut fed, wanted)).map_err(|kind| decoder.failed(kind))?
                {
                    match joined {
                        Joined::Event(event) => {
                            let (_, item) = decoder.event(event)?;
                            let limit = self.limits.statement_bytes_max;
                            note(ahead, &decoder, &item, limit)?;
                        }
                        Joined::Skipped(header) => decoder.skipped(&header)?,
                        Joined::Payload(mark) => decoder.payload(&mark)?,
                        Joined::Pending => {}
                    }
                }
                // What follows is behind the description.
                if decoder.position().at() >= end {
                    ahead.reached(decoder.position().at());
                    return Ok(());
                }
            }
            ahead.reached(decoder.position().at());
            if said.elapsed() >= PROGRESS_INTERVAL {
                let at = decoder.at();
                tracing::info!(%at, %end, "reading ahead for statements that change tables");
                said = Instant::now();
            }
        }
    }
}

/// Keeps what a statement mentions.
fn note(
    ahead: &mut LookAhead,
    decoder: &Decoder,
    item: &Item<'_>,
    statement_bytes_max: usize,
) -> Result<(), Error> {
    let mut buffer = Vec::new();
    let statement = match item {
        Item::Statement(statement) => *statement,
        Item::CompressedStatement(statement) => {
            let inflated = statement.inflate(&mut buffer, statement_bytes_max);
            inflated.map_err(|kind| decoder.failed(kind))?
        }
        _ => return Ok(()),
    };
    if may_define(&statement) {
        ahead.note(decoder.at(), &statement);
    }
    Ok(())
}

/// The request for what follows a place. By a set of GTIDs the server would pass over what is in the set, wherever it is
/// in this binlog. A place that no request can name is read to from the beginning of its file.
fn request(place: &FileOffset) -> Position {
    let mut at = place.clone();
    if at.offset > u64::from(u32::MAX) {
        at.offset = FIRST_EVENT;
    }
    Position::File { at }
}
