//! What does an event mean for the stream? Rows are encoded, definitions are found, and what cannot be published is
//! refused (I7).

use std::sync::Arc;

use binlog_bridge_core::decode::{
    Assembled, Assembler, CompressedRows, DecodeError, DecodeErrorKind, Ending, Item, RowsEvent,
    RowsFragment, Statement, TableMapEvent,
};
use binlog_bridge_core::encode::{RowsSource, TablePlan};
use binlog_bridge_core::event::{EventHeader, EventType};
use binlog_bridge_core::position::FileOffset;
use binlog_bridge_core::schema::{
    DefinitionError, DescribedTable, Lookup, Mentions, StatementEffect, TableDefinition, effect,
};
use binlog_bridge_core::selection::TableName;

use super::Pipeline;
use super::rollback::UnknownSavepoint;
use crate::definitions::Place;
use crate::error::Error;
use crate::registry::Registry;
use crate::sink::log::Log;
use crate::source::Dump;

/// Memory that is kept for rows that are compressed one by one.
const INFLATED_KEEP_BYTES_MAX: usize = 64 * 1024;
/// Helper tables that are remembered; beyond, it is said again that they are not published.
const HELPERS_MAX: usize = 1000;

impl<D: Dump, L: Log, R: Registry> Pipeline<D, L, R> {
    pub(super) async fn event(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (header, item) = match self.decoder.event(bytes) {
            Ok(decoded) => decoded,
            Err(error) => return Err(self.rolled_back(error)),
        };
        match item {
            Item::TableMap(event) => self.table_map(&event).await,
            Item::Rows(event) if self.is_taken_back(event.table_id)? => Ok(()),
            Item::Rows(event) => self.rows(&header, &event).await,
            Item::CompressedRows(event) if self.is_taken_back(event.table_id())? => Ok(()),
            Item::CompressedRows(event) => self.compressed_rows(&header, &event).await,
            Item::RowsFragment(fragment) => self.fragment(&header, &fragment).await,
            Item::Statement(statement) => self.statement(&header, &statement).await,
            Item::CompressedStatement(statement) => {
                let mut buffer = Vec::new();
                let inflated = statement.inflate(&mut buffer, self.event_bytes_max);
                let statement = inflated.map_err(|kind| self.decoder.failed(kind))?;
                self.statement(&header, &statement).await
            }
            Item::End(ending) => self.end(ending).await,
            Item::NewFile => {
                self.tables.new_file();
                Ok(())
            }
            Item::Begin | Item::Nothing => Ok(()),
        }
    }

    /// Takes note of an event that nobody wants.
    pub(super) fn skipped(&mut self, header: &EventHeader) -> Result<(), Error> {
        if let EventType::Rows(_) = header.event_type {
            self.rollbacks.passed_over(self.decoder.transaction());
        }
        Ok(self.decoder.skipped(header)?)
    }

    /// True for rows that the transaction takes back later.
    fn is_taken_back(&mut self, table_id: u64) -> Result<bool, Error> {
        let is_selected = self.plan(table_id)?.is_some();
        let transaction = self.decoder.transaction();
        Ok(self.rollbacks.next_rows(transaction, is_selected))
    }

    /// Rows that the transaction has taken back, and that are in the batch, must not be published.
    pub(super) fn leave_out(&self) -> Result<(), Error> {
        let Some(taken) = self.rollbacks.taken_back() else {
            return Ok(());
        };
        match &self.checkpoint.split {
            Some(split) => Err(Error::PublishedAndRolledBack {
                id: split.id.clone(),
                first: split.identity.first.clone(),
            }),
            None => Err(Error::TakenBack(taken)),
        }
    }

    /// Of a table that is not selected nothing is inflated.
    async fn compressed_rows(
        &mut self,
        header: &EventHeader,
        event: &CompressedRows<'_>,
    ) -> Result<(), Error> {
        if self.plan(event.table_id())?.is_none() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.inflated);
        let result = match event.inflate(&mut buffer, self.event_bytes_max) {
            Ok(rows) => self.rows(header, &rows).await,
            Err(kind) => Err(self.decoder.failed(kind).into()),
        };
        buffer.clear();
        buffer.shrink_to(INFLATED_KEEP_BYTES_MAX);
        self.inflated = buffer;
        result
    }

    /// A piece of an event with rows; the last one gives the rows, at its own place.
    async fn fragment(
        &mut self,
        header: &EventHeader,
        fragment: &RowsFragment<'_>,
    ) -> Result<(), Error> {
        // Taken out, so that the rows may borrow from it while the rest of `self` changes.
        let limit = self.event_bytes_max;
        let mut assembler = std::mem::replace(&mut self.assembler, Assembler::new(limit));
        // An unknown id is an error that is found with the rows.
        let wanted = |id| self.tables.plan(id).map_or(true, |plan| plan.is_some());
        let result = match assembler.take(fragment, wanted) {
            Ok(None) => Ok(()),
            Ok(Some(Assembled::Rows(rows))) => match self.is_taken_back(rows.table_id) {
                Ok(false) => self.rows(header, &rows).await,
                taken => taken.map(drop),
            },
            Ok(Some(Assembled::Compressed(rows))) => match self.is_taken_back(rows.table_id()) {
                Ok(false) => self.compressed_rows(header, &rows).await,
                taken => taken.map(drop),
            },
            Err(kind) => Err(self.decoder.failed(kind).into()),
        };
        // What was given is done with.
        if fragment.is_last() {
            assembler = Assembler::new(limit);
        }
        self.assembler = assembler;
        result
    }

    async fn rows(&mut self, header: &EventHeader, event: &RowsEvent<'_>) -> Result<(), Error> {
        let Some(plan) = self.plan(event.table_id)? else {
            return Ok(());
        };
        let plan = match event.is_full() || plan.is_widened() {
            true => plan,
            false => self.widen(event.table_id, plan).await?,
        };
        let at = self.decoder.at();
        let transaction = self.decoder.transaction();
        let source = RowsSource {
            server_id: header.server_id,
            at,
            transaction,
        };
        let rows = self.encoder.rows(&plan, event, &source, &mut self.batch)?;
        self.metrics.encoded(event.kind, rows);
        Ok(())
    }

    /// The plan for rows of a table id; `None` if the table is not selected.
    fn plan(&self, table_id: u64) -> Result<Option<Arc<TablePlan>>, Error> {
        let plan = self.tables.plan(table_id).map_err(|source| Error::Rows {
            at: self.decoder.at().clone(),
            source,
        })?;
        Ok(plan.map(Arc::clone))
    }

    /// A plan that takes images which lack columns, from here on.
    async fn widen(
        &mut self,
        table_id: u64,
        plan: Arc<TablePlan>,
    ) -> Result<Arc<TablePlan>, Error> {
        let transactor = self.sink.idle().await?;
        let target = transactor.state_target().clone();
        let into = (&target, &mut self.batch);
        let Some(widened) = self.catalog.widen(plan.name(), transactor, into).await? else {
            return Ok(plan);
        };
        self.tables.replace(table_id, Arc::clone(&widened));
        Ok(widened)
    }

    async fn table_map(&mut self, event: &TableMapEvent<'_>) -> Result<(), Error> {
        let at = || self.decoder.at().clone();
        let lookup = self
            .tables
            .table_map(event)
            .map_err(|source| Error::Definition { at: at(), source })?;
        let first = self.decoder.transaction().first.clone().unwrap_or_else(at);
        // What follows may take long: not during a step of the sink.
        let definition = match lookup {
            Lookup::Ready => return Ok(()),
            Lookup::Helper(table) => {
                if self.helpers.len() >= HELPERS_MAX {
                    self.helpers.clear();
                }
                if self.helpers.insert(table.clone()) {
                    tracing::info!(%table, "its rows are not published: by its name it helps to change another table; if it does not, name it in select.tables");
                }
                return Ok(());
            }
            Lookup::New(named) => {
                self.sink.idle().await?;
                self.named(named, event, &first).await?
            }
            Lookup::Unnamed => {
                self.sink.idle().await?;
                self.unnamed(event, &first).await?
            }
        };
        let transactor = self.sink.idle().await?;
        let target = transactor.state_target().clone();
        let into = (&target, &mut self.batch);
        let plan = self
            .catalog
            .prepare(&definition, &first, transactor, into)
            .await?;
        self.metrics
            .unused_partitions(self.catalog.unused_partitions());
        self.tables.install(event, plan);
        Ok(())
    }

    /// The definition of a table map with names, and what was or can be known beyond those.
    async fn named(
        &mut self,
        named: TableDefinition,
        event: &TableMapEvent<'_>,
        first: &FileOffset,
    ) -> Result<TableDefinition, Error> {
        let types = self.catalog.types();
        let dialect = self.definitions.dialect();
        let lacks = |definition: &TableDefinition| {
            definition.lacks_widths(types) || definition.ambiguous_column(dialect).is_some()
        };
        match self.catalog.holding(&named.name) {
            Some(known) if known.is_but_for_declared(&named) && !lacks(known) => Ok(known.clone()),
            Some(_) | None => {
                let must = lacks(&named);
                let place = self.place(first);
                let declared = self.definitions.declare(named, event, &place, must);
                let (definition, described) = declared.await?;
                // A statement that is not in the binlog may have changed what the server describes.
                let is_of_it = |described: &DescribedTable| {
                    let names = described.columns.iter().map(|column| &column.name);
                    names.eq(definition.columns.iter().map(|column| &column.name))
                };
                let described = described.filter(|described| is_of_it(described));
                if let Some(described) = described.filter(|_| must || self.schema_changes.is_some())
                {
                    self.learn(definition.name.clone(), described)?;
                }
                self.unambiguous(definition, event)
            }
        }
    }

    /// The definition, whose types are certain: what statements have made of the table tells, if the server does not.
    fn unambiguous(
        &self,
        definition: TableDefinition,
        event: &TableMapEvent<'_>,
    ) -> Result<TableDefinition, Error> {
        let dialect = self.definitions.dialect();
        if definition.ambiguous_column(dialect).is_none() {
            return Ok(definition);
        }
        let definition = match self.tracked(&definition.name) {
            Some(tracked) => definition.declared(event, tracked, dialect),
            None => definition,
        };
        match definition.ambiguous_column(dialect) {
            None => Ok(definition),
            Some(column) => Err(Error::Definition {
                at: self.decoder.at().clone(),
                source: DefinitionError::Ambiguous {
                    table: definition.name.clone(),
                    column: column.to_owned(),
                },
            }),
        }
    }

    /// The definition of a table map without names (I6).
    async fn unnamed(
        &mut self,
        event: &TableMapEvent<'_>,
        first: &FileOffset,
    ) -> Result<TableDefinition, Error> {
        let table = TableName::new(event.database, event.table);
        let damaged = |kind| self.decoder.failed(kind);
        let wrong = |source| Error::Definition {
            at: self.decoder.at().clone(),
            source,
        };
        self.definitions.refuse_filters(&table).map_err(wrong)?;
        let packing = event.packing().map_err(damaged)?;
        match self.catalog.holding(&table) {
            Some(known)
                if known.packing == packing && !known.lacks_widths(self.catalog.types()) =>
            {
                match known.contradicted_by(event).map_err(damaged)? {
                    None => Ok(known.clone()),
                    Some(column) => Err(wrong(DefinitionError::Unlogged {
                        column: column.to_owned(),
                        table,
                    })),
                }
            }
            Some(_) | None => {
                let place = self.place(first);
                let proven = self.definitions.prove(event, &place).await;
                self.described(event, proven)
            }
        }
    }

    /// The place of the event at hand, in a source transaction that begins at `first`.
    fn place(&self, first: &FileOffset) -> Place {
        Place {
            at: self.decoder.at().clone(),
            first: first.clone(),
        }
    }

    /// A statement may have changed definitions: none that it may touch is relied on behind it.
    fn end_definitions(&mut self, statement: &Statement<'_>) -> Result<(), Error> {
        self.tables.end_versions();
        self.has_new_names = true;
        let into = (self.sink.state_target(), &mut self.batch);
        let at = self.decoder.at();
        let mentions = Mentions::of(statement, self.has_lower_case_names);
        self.catalog.end_definitions(&mentions, at, into)?;
        self.follow(statement)
    }

    async fn statement(
        &mut self,
        header: &EventHeader,
        statement: &Statement<'_>,
    ) -> Result<(), Error> {
        let announced = self.announce(statement);
        match effect(statement, self.tables.selection()) {
            StatementEffect::None => self.savepoint(statement, false)?,
            StatementEffect::Definition => self.end_definitions(statement)?,
            StatementEffect::Truncate(table) => {
                self.tables.end_versions();
                self.truncate(header, &table).await?;
            }
            StatementEffect::Rows(table) => {
                return Err(Error::StatementFormat {
                    table,
                    at: self.decoder.at().clone(),
                });
            }
            StatementEffect::RollbackToSavepoint => self.savepoint(statement, true)?,
        }
        if let Some(announced) = announced {
            self.note_change(announced, header, statement);
        }
        if statement.ends_transaction {
            self.end(Ending::Commit).await
        } else {
            Ok(())
        }
    }

    /// A savepoint is set, or what follows it is taken back.
    fn savepoint(&mut self, statement: &Statement<'_>, is_rollback: bool) -> Result<(), Error> {
        let text = String::from_utf8_lossy(statement.text);
        let transaction = self.decoder.transaction();
        let noted = self.rollbacks.statement(transaction, &text, is_rollback);
        noted.map_err(|UnknownSavepoint| {
            let remedy = "The savepoint is not in the binlog, or its name was not understood. Report this with the position; to go on, exclude the tables with select.exclude_tables.";
            self.not_publishable("ROLLBACK TO SAVEPOINT", remedy)
        })
    }

    /// Publishes a TRUNCATE, unless nothing of the table was ever published.
    async fn truncate(&mut self, header: &EventHeader, table: &TableName) -> Result<(), Error> {
        let lowered = self.has_lower_case_names.then(|| table.in_lower_case());
        let table = lowered.as_ref().unwrap_or(table);
        if !self.tables.selection().selects(table) {
            return Ok(());
        }
        let transactor = self.sink.idle().await?;
        let target = transactor.state_target().clone();
        let into = (&target, &mut self.batch);
        let Some(plan) = self.catalog.truncated(table, transactor, into).await? else {
            return Ok(());
        };
        let at = self.decoder.at();
        let transaction = self.decoder.transaction();
        let source = RowsSource {
            server_id: header.server_id,
            at,
            transaction,
        };
        self.encoder.truncate(&plan, &source, &mut self.batch)?;
        Ok(())
    }

    /// XA transactions that are prepared are decided upon later, perhaps in another file: not published. Whether one is, its end
    /// says: until then nothing of it may be committed.
    pub(super) fn prepared(&self) -> Error {
        let remedy = "Use ordinary transactions for the selected tables, or exclude the tables with select.exclude_tables.";
        self.not_publishable("an XA transaction", remedy)
    }

    /// A transaction that never happened is dropped by the next run, unless consumers have seen a part of it. Whether
    /// a part that this run has handed over was committed, the next run knows.
    fn rolled_back(&self, error: DecodeError) -> Error {
        match (&self.resumed, error.kind) {
            (Some(split), DecodeErrorKind::DeadTransaction { first, .. })
                if split.identity.is(self.decoder.transaction()) =>
            {
                let id = split.id.clone();
                Error::PublishedAndRolledBack { id, first }
            }
            (_, kind) => DecodeError { kind, ..error }.into(),
        }
    }

    pub(super) fn not_publishable(&self, what: &'static str, remedy: &'static str) -> Error {
        Error::NotPublishable {
            what,
            at: self.decoder.at().clone(),
            remedy,
        }
    }
}
