//! `decode`: the rows of binlog files as JSON lines, without any server. They go through the decoder and the encoder
//! that the stream uses, so that what is printed is what would be published.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use apache_avro::Schema;
use binlog_bridge_core::avro::{SchemaNames, key_schema, value_schema};
use binlog_bridge_core::decode::{
    Assembled, Assembler, CompressedRows, DecodeError, Decoder, Fed, Item, Joined, Joiner,
    RowsEvent, Statement, TableMapEvent,
};
use binlog_bridge_core::encode::{
    Batch, Destination, Encoder, RowsSource, TablePlan, TopicPartition, TransactionsTopic,
};
use binlog_bridge_core::event::{EventHeader, EventType, Part};
use binlog_bridge_core::position::{FileOffset, Position};
use binlog_bridge_core::schema::{
    DefinitionError, DescribedTable, Dialect, Known, Lookup, StatementEffect, TableDefinition,
    Tables, Tracker, effect,
};
use binlog_bridge_core::selection::{SYSTEM_DATABASES, Selection, TableName};
use serde_json::{Map, Value, json};

use super::{Failure, render};
use crate::source::file::BinlogFile;
use crate::subjects::parse_schema;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Binlog files, oldest first
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only tables of this database; may be given several times
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
}

pub(super) fn decode(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut followed = Followed::default();
    for file in &arguments.files {
        match print_next(file, &arguments.databases, &mut followed, &mut out) {
            Ok(()) => {}
            // Whoever read the lines has seen enough.
            Err(error) if is_closed(&error) => return Ok(()),
            Err(error) => {
                // What was decoded before is shown.
                let _unless_closed = out.flush();
                return Err(Failure::other(format!("{}: {error:#}", file.display())));
            }
        }
    }
    out.flush().map_err(Failure::other)
}

fn is_closed(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Prints the rows of a file, one JSON object in a line. Without databases those of all but the server's own.
///
/// # Errors
/// What would stop the stream: damage, rows that cannot be published, changes that are logged as statements; and rows of
/// tables that the file neither names the columns of nor makes.
pub fn print_file(path: &Path, databases: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    print_next(path, databases, &mut Followed::default(), out)
}

/// The same for a file that follows others.
fn print_next(
    path: &Path,
    databases: &[String],
    followed: &mut Followed,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let at = FileOffset {
        file: name.into_owned(),
        offset: 4,
    };
    let databases = match databases {
        [] => databases_in(path, &at)?,
        some => some.iter().cloned().collect(),
    };
    followed.begin_file(&at.file);
    let mut printer = Printer::new(at, databases, followed);
    let mut joiner = Joiner::new(INFLATED_BYTES_MAX);
    for event in BinlogFile::open(path)? {
        let event = event?;
        let mut fed = Fed::new(Part::Whole, &event);
        while let Some(joined) = joiner
            .next(&mut fed, |_, _| true)
            .map_err(|kind| printer.decoder.failed(kind))?
        {
            match joined {
                Joined::Event(event) => printer.event(event, out)?,
                Joined::Skipped(header) => printer.decoder.skipped(&header)?,
                Joined::Payload(mark) => printer.decoder.payload(&mark)?,
                Joined::Pending => {}
            }
        }
    }
    if printer.decoder.in_transaction() {
        bail!("it ends inside of a transaction");
    }
    Ok(())
}

/// The databases that rows of the file are of.
fn databases_in(path: &Path, at: &FileOffset) -> anyhow::Result<BTreeSet<String>> {
    let mut decoder = Decoder::new(Position::File { at: at.clone() });
    let mut joiner = Joiner::new(INFLATED_BYTES_MAX);
    let mut found = BTreeSet::new();
    for event in BinlogFile::open(path)? {
        // What is wrong is said when the rows are printed up to there.
        let Ok(event) = event else { break };
        if note_databases(&event, &mut joiner, &mut decoder, &mut found).is_err() {
            break;
        }
    }
    Ok(found)
}

fn note_databases(
    event: &[u8],
    joiner: &mut Joiner,
    decoder: &mut Decoder,
    found: &mut BTreeSet<String>,
) -> Result<(), DecodeError> {
    let mut fed = Fed::new(Part::Whole, event);
    while let Some(joined) =
        (joiner.next(&mut fed, |_, _| true)).map_err(|kind| decoder.failed(kind))?
    {
        match joined {
            Joined::Event(event) => {
                if let (_, Item::TableMap(map)) = decoder.event(event)?
                    && !SYSTEM_DATABASES.contains(&map.database)
                {
                    found.insert(map.database.to_owned());
                }
            }
            Joined::Skipped(header) => decoder.skipped(&header)?,
            Joined::Payload(mark) => decoder.payload(&mark)?,
            Joined::Pending => {}
        }
    }
    Ok(())
}

/// What statements have made of tables, for rows whose columns have no names in the binlog: there is no server to ask.
#[derive(Default)]
struct Followed {
    tracker: Option<Tracker>,
    /// The file that was read last.
    last: Option<String>,
    /// The file that comes next, as that one says at its end; one that a server left when it stopped does not say it.
    next: Option<String>,
}

impl Followed {
    /// The tables of the server that wrote the file.
    fn tracker(&mut self, decoder: &Decoder) -> &mut Tracker {
        let dialect = Dialect::of_version(decoder.server_version());
        self.tracker
            .get_or_insert_with(|| Tracker::new(dialect, false))
    }

    /// Behind a gap, or in another order, nothing is known: statements may be missing.
    fn begin_file(&mut self, name: &str) {
        let last = self.last.replace(name.to_owned());
        let expected = self.next.take().or_else(|| successor(&last?));
        if expected.as_deref() != Some(name) {
            self.tracker = None;
        }
    }

    /// None if names in another case are known, too: whether the server takes them for the same its binlog does not say.
    fn table(&self, name: &TableName) -> Option<&DescribedTable> {
        let tracker = self.tracker.as_ref()?;
        let lower = name.in_lower_case();
        let mut others = tracker.tables().map(|(known, _)| known);
        if others.any(|known| known != name && known.in_lower_case() == lower) {
            return None;
        }
        match tracker.table(name) {
            Known::Proven(table) => Some(table),
            Known::Gone | Known::Unproven => None,
        }
    }

    /// The definition of a table map with names.
    fn named(
        &self,
        named: TableDefinition,
        map: &TableMapEvent<'_>,
        dialect: Dialect,
    ) -> anyhow::Result<TableDefinition> {
        if named.ambiguous_column(dialect).is_none() {
            return Ok(named);
        }
        let table = named.name.clone();
        let definition = match self.table(&table) {
            Some(followed) => named.declared(map, followed, dialect),
            None => named,
        };
        match definition.ambiguous_column(dialect) {
            None => Ok(definition),
            Some(column) => {
                let column = column.to_owned();
                let error = anyhow::Error::from(DefinitionError::Ambiguous { table, column });
                Err(error.context(NOT_MADE))
            }
        }
    }

    /// The definition of one without.
    fn unnamed(
        &self,
        map: &TableMapEvent<'_>,
        dialect: Dialect,
    ) -> anyhow::Result<TableDefinition> {
        let table = TableName::new(map.database, map.table);
        match self.table(&table) {
            Some(followed) => Ok(TableDefinition::from_described(map, followed, dialect)?),
            None => {
                let error = anyhow::Error::from(DefinitionError::NoMetadata { table });
                Err(error.context(NOT_MADE))
            }
        }
    }
}

/// The name of the binlog file with the next number.
fn successor(file: &str) -> Option<String> {
    let (base, number) = file.rsplit_once('.')?;
    let next = number.parse::<u64>().ok()?.checked_add(1)?;
    Some(format!("{base}.{next:06}"))
}

/// Said of a table whose rows are in the files given, and nothing else of it.
const NOT_MADE: &str = "the files given do not tell what columns a table has: give the older ones too, from where it was made";

struct Printer<'a> {
    followed: &'a mut Followed,
    decoder: Decoder,
    assembler: Assembler,
    tables: Tables,
    encoder: Encoder,
    batch: Batch,
    definitions: BTreeMap<TableName, TableDefinition>,
    plans: BTreeMap<TableName, Arc<TablePlan>>,
    /// A schema's id is its place.
    schemas: Vec<Schema>,
}

/// The protocol's own limit for an event.
const INFLATED_BYTES_MAX: usize = 1 << 30;
/// Stands for the task in the names of schemas.
const TASK: &str = "decode";

impl<'a> Printer<'a> {
    fn new(at: FileOffset, databases: BTreeSet<String>, followed: &'a mut Followed) -> Self {
        let selection = Selection {
            databases,
            ..Selection::default()
        };
        let no_marks = TransactionsTopic {
            target: TopicPartition {
                topic: "transactions".into(),
                partition: 0,
            },
            key_schema_id: 0,
            value_schema_id: 0,
            ends: false,
        };
        Self {
            followed,
            decoder: Decoder::new(Position::File { at }),
            assembler: Assembler::new(INFLATED_BYTES_MAX),
            tables: Tables::new(selection),
            encoder: Encoder::new(TASK, usize::MAX, no_marks),
            batch: Batch::default(),
            definitions: BTreeMap::new(),
            plans: BTreeMap::new(),
            schemas: Vec::new(),
        }
    }

    fn event(&mut self, event: &[u8], out: &mut dyn Write) -> anyhow::Result<()> {
        let (header, item) = self.decoder.event(event)?;
        match item {
            Item::TableMap(map) => self.table_map(&map)?,
            Item::Rows(event) => self.rows(&header, &event)?,
            Item::CompressedRows(event) => self.compressed_rows(&header, &event)?,
            Item::RowsFragment(fragment) => {
                let mut assembler =
                    std::mem::replace(&mut self.assembler, Assembler::new(INFLATED_BYTES_MAX));
                let whole = assembler.take(&fragment, |_| true);
                match whole.map_err(|kind| self.decoder.failed(kind))? {
                    None => {}
                    Some(Assembled::Rows(rows)) => self.rows(&header, &rows)?,
                    Some(Assembled::Compressed(rows)) => self.compressed_rows(&header, &rows)?,
                }
                self.assembler = assembler;
            }
            Item::Statement(statement) => self.statement(&header, &statement)?,
            Item::CompressedStatement(statement) => {
                let mut buffer = Vec::new();
                let inflated = statement.inflate(&mut buffer, INFLATED_BYTES_MAX);
                let statement = inflated.map_err(|kind| self.decoder.failed(kind))?;
                self.statement(&header, &statement)?;
            }
            Item::End(_) => self.end()?,
            Item::NewFile => {
                self.tables.new_file();
                if header.event_type == EventType::Rotate && !header.is_artificial() {
                    self.followed.next = Some(self.decoder.at().file.clone());
                }
            }
            Item::Begin | Item::Nothing => {}
        }
        self.print(out)
    }

    fn compressed_rows(
        &mut self,
        header: &EventHeader,
        event: &CompressedRows<'_>,
    ) -> anyhow::Result<()> {
        let mut buffer = Vec::new();
        let inflated = event.inflate(&mut buffer, INFLATED_BYTES_MAX);
        let event = inflated.map_err(|kind| self.decoder.failed(kind))?;
        self.rows(header, &event)
    }

    fn table_map(&mut self, map: &TableMapEvent<'_>) -> anyhow::Result<()> {
        let dialect = Dialect::of_version(self.decoder.server_version());
        let definition = match self.tables.table_map(map)? {
            Lookup::Ready | Lookup::Helper(_) => return Ok(()),
            Lookup::New(named) => self.followed.named(named, map, dialect)?,
            Lookup::Unnamed => self.followed.unnamed(map, dialect)?,
        };
        let plan = self.plan(&definition, false)?;
        self.tables.install(map, plan);
        self.definitions.insert(definition.name.clone(), definition);
        Ok(())
    }

    fn rows(&mut self, header: &EventHeader, event: &RowsEvent<'_>) -> anyhow::Result<()> {
        let Some(plan) = self.tables.plan(event.table_id)?.map(Arc::clone) else {
            return Ok(());
        };
        let plan = match (
            event.is_full() || plan.is_widened(),
            self.definitions.get(plan.name()),
        ) {
            (false, Some(definition)) => {
                let definition = definition.clone();
                let widened = self.plan(&definition, true)?;
                self.tables.replace(event.table_id, Arc::clone(&widened));
                widened
            }
            (true, _) | (_, None) => plan,
        };
        let source = RowsSource {
            server_id: header.server_id,
            at: self.decoder.at(),
            transaction: self.decoder.transaction(),
        };
        self.encoder.rows(&plan, event, &source, &mut self.batch)?;
        Ok(())
    }

    fn statement(&mut self, header: &EventHeader, statement: &Statement<'_>) -> anyhow::Result<()> {
        match effect(statement, self.tables.selection()) {
            StatementEffect::None | StatementEffect::RollbackToSavepoint => {}
            StatementEffect::Definition => {
                self.tables.end_versions();
                // What it does not understand is told by the rows that need it.
                self.followed.tracker(&self.decoder).follow(statement).ok();
            }
            StatementEffect::Truncate(table) => {
                self.tables.end_versions();
                if let Some(plan) = self.plans.get(&table) {
                    let source = RowsSource {
                        server_id: header.server_id,
                        at: self.decoder.at(),
                        transaction: self.decoder.transaction(),
                    };
                    self.encoder.truncate(plan, &source, &mut self.batch)?;
                }
            }
            StatementEffect::Rows(table) => bail!(
                "the event at {} changes rows of {table} by a statement (binlog_format is not ROW)",
                self.decoder.at()
            ),
        }
        match statement.ends_transaction {
            true => self.end(),
            false => Ok(()),
        }
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let transaction = self.decoder.transaction();
        let end = self.decoder.position().at();
        self.encoder.end(transaction, end, &mut self.batch)?;
        self.tables.end_transaction();
        Ok(())
    }

    fn plan(
        &mut self,
        definition: &TableDefinition,
        is_widened: bool,
    ) -> anyhow::Result<Arc<TablePlan>> {
        TablePlan::check_names(definition)?;
        let names = SchemaNames::new(TASK, &definition.name);
        let key_schema_id = match key_schema(&names, definition) {
            None => None,
            Some(key) => Some(self.schema(&key)?),
        };
        let value_schema_id = self.schema(&value_schema(&names, definition, is_widened)?)?;
        let to = Destination {
            topic: definition.name.to_string(),
            partitions: 1,
            key_schema_id,
            value_schema_id,
        };
        let plan = Arc::new(TablePlan::new(definition, is_widened, &to)?);
        self.plans
            .insert(definition.name.clone(), Arc::clone(&plan));
        Ok(plan)
    }

    fn schema(&mut self, schema: &Value) -> anyhow::Result<u32> {
        let schema = parse_schema(&schema.to_string()).map_err(anyhow::Error::msg)?;
        self.schemas.push(schema);
        Ok(u32::try_from(self.schemas.len() - 1)?)
    }

    fn print(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        for (target, arena) in self.batch.arenas() {
            for record in arena.records() {
                let (key, value) = arena.get(*record).context("a record without bytes")?;
                let key = key.map(|key| self.json(key)).transpose()?;
                let value = self.json(value.unwrap_or_default())?;
                let line = line(&target.topic, key, &value);
                writeln!(out, "{line}")?;
            }
        }
        self.batch.clear();
        Ok(())
    }

    fn json(&self, bytes: &[u8]) -> anyhow::Result<Value> {
        let (id, datum) = render::split_frame(bytes).context("a record without a schema id")?;
        let schema = self.schemas.get(usize::try_from(id)?);
        Ok(render::to_json(
            schema.context("an unknown schema")?,
            datum,
        )?)
    }
}

/// What a reader looks for first stands first; lists that are empty are left out.
fn line(table: &str, key: Option<Value>, value: &Value) -> Value {
    let source = &value["source"];
    let mut line = Map::new();
    line.insert("op".to_owned(), value["op"].clone());
    line.insert("table".to_owned(), table.into());
    line.insert("key".to_owned(), key.unwrap_or_default());
    for image in ["before", "after"] {
        line.insert(image.to_owned(), value[image].clone());
        for list in ["unset", "invalid"] {
            let name = format!("{list}_{image}");
            if source[&name] != json!([]) {
                line.insert(name.clone(), source[&name].clone());
            }
        }
    }
    let at = format!(
        "{}:{}",
        source["file"].as_str().unwrap_or_default(),
        source["pos"]
    );
    line.insert("at".to_owned(), at.into());
    for name in ["row", "gtid", "ts_us"] {
        line.insert(name.to_owned(), source[name].clone());
    }
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Statement<'_> {
        Statement {
            database: b"shop",
            text: text.as_bytes(),
            has_escapes: true,
            ends_transaction: true,
            ..Statement::default()
        }
    }

    fn followed(files: &[(&str, &str)]) -> Followed {
        let mut followed = Followed::default();
        for (file, text) in files {
            followed.begin_file(file);
            let decoder = Decoder::new(Position::File {
                at: FileOffset::default(),
            });
            let tracker = followed.tracker(&decoder);
            tracker.follow(&statement(text)).unwrap();
        }
        followed
    }

    #[test]
    fn tables_are_followed_from_one_file_to_the_next_and_forgotten_behind_a_gap() {
        let create = "CREATE TABLE t (a INT, b INT)";
        let other = "CREATE TABLE u (a INT)";
        let t = TableName::new("shop", "t");
        for (files, is_known) in [
            (&["binlog.000009", "binlog.000010"], true),
            (&["binlog.999999", "binlog.1000000"], true),
            (&["binlog.000001", "binlog.000003"], false),
            (&["binlog.000002", "binlog.000001"], false),
            (&["binlog.000001", "binlog.000001"], false),
            (&["binlog.000001", "mysql-bin.000002"], false),
        ] {
            let followed = followed(&[(files[0], create), (files[1], other)]);
            assert_eq!(followed.table(&t).is_some(), is_known, "{files:?}");
            assert!(followed.table(&TableName::new("shop", "u")).is_some());
        }
    }

    /// The server may take both names for the same, and then the columns of one may be those of before.
    #[test]
    fn a_table_that_another_name_may_mean_is_not_known() {
        let both = followed(&[
            ("binlog.000001", "CREATE TABLE t (a INT)"),
            ("binlog.000002", "CREATE TABLE T (b INT)"),
        ]);
        assert!(both.table(&TableName::new("shop", "t")).is_none());
        assert!(both.table(&TableName::new("shop", "T")).is_none());
    }
}
