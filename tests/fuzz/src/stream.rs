//! A stream of hand-made events through decoder, definitions and encoder, as the connector joins them.

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use binlog_bridge_core::avro::{SchemaNames, value_schema};
use binlog_bridge_core::decode::{
    Assembled, Assembler, Decoder, Fed, Item, Joined, Joiner, RowsEvent, Statement, TableMapEvent,
};
use binlog_bridge_core::encode::{
    Batch, Destination, Encoder, RowsSource, TablePlan, TopicPartition, TransactionsTopic,
};
use binlog_bridge_core::event::{EventHeader, Part};
use binlog_bridge_core::position::{FileOffset, Position};
use binlog_bridge_core::schema::{Lookup, TableDefinition, Tables, effect};
use binlog_bridge_core::selection::{Selection, TableName};
use binlog_bridge_core::value::TypeOptions;

pub(crate) const QUERY: u8 = 2;
pub(crate) const FORMAT_DESCRIPTION: u8 = 15;
pub(crate) const TABLE_MAP: u8 = 19;
pub(crate) const WRITE_ROWS: u8 = 30;
pub(crate) const ANONYMOUS_GTID: u8 = 34;
pub(crate) const PARTIAL_UPDATE_ROWS: u8 = 39;

/// That of the tables made here, and those of the recorded binlogs.
const DATABASES: [&str; 10] = [
    "shop",
    "definitions",
    "geometries",
    "golden",
    "images",
    "json",
    "members",
    "numbers",
    "temporals",
    "texts",
];
/// Bytes of the largest event that is kept, and of the largest record.
const EVENT_BYTES_MAX: usize = 1 << 16;
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Bytes in front of a value: those of the registry.
const REGISTRY_HEADER_LEN: usize = 5;

/// A whole event with its size and checksum.
pub(crate) fn event(number: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(19 + body.len() + 4).unwrap();
    let mut bytes = 1_700_000_000_u32.to_le_bytes().to_vec();
    bytes.push(number);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(1_000_000_u32.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(body);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// What a server of a version says of its files.
pub(crate) fn format(version: &str) -> Vec<u8> {
    let mut format = 4_u16.to_le_bytes().to_vec();
    format.extend(version.as_bytes());
    format.resize(2 + 50, 0);
    format.extend([0; 4]);
    format.push(19);
    format.extend([0; 41]);
    // The algorithm of the checksums: CRC32.
    format.push(1);
    event(FORMAT_DESCRIPTION, &format)
}

/// The events that a source transaction begins with, after the one that describes the format.
pub(crate) fn beginning() -> [Vec<u8>; 3] {
    let format = format("");
    let gtid = [
        vec![1],
        vec![0; 16],
        1_u64.to_le_bytes().to_vec(),
        vec![2],
        vec![0; 16],
    ]
    .concat();
    let mut begin = vec![0; 8];
    begin.push(4);
    begin.extend([0; 4]);
    begin.extend(b"shop\0BEGIN");
    [format, event(ANONYMOUS_GTID, &gtid), event(QUERY, &begin)]
}

pub(crate) struct Stream {
    decoder: Decoder,
    joiner: Joiner,
    assembler: Assembler,
    tables: Tables,
    encoder: Encoder,
    known: BTreeMap<TableName, TableDefinition>,
    is_widened: bool,
    types: TypeOptions,
    /// The values that were read back.
    pub(crate) values: Vec<Avro>,
}

impl Stream {
    pub(crate) fn new(is_widened: bool, types: TypeOptions) -> Self {
        let at = FileOffset {
            file: "binlog.000001".into(),
            offset: 4,
        };
        let marks = TransactionsTopic {
            target: target("marks"),
            key_schema_id: 1,
            value_schema_id: 1,
            ends: false,
        };
        let selection = Selection {
            databases: DATABASES.map(str::to_owned).into(),
            ..Selection::default()
        };
        Self {
            decoder: Decoder::new(Position::File { at }),
            joiner: Joiner::new(EVENT_BYTES_MAX),
            assembler: Assembler::new(EVENT_BYTES_MAX),
            tables: Tables::new(selection),
            encoder: Encoder::new("task", RECORD_BYTES_MAX, marks),
            known: BTreeMap::new(),
            is_widened,
            types,
            values: Vec::new(),
        }
    }

    /// Takes a piece of an event; false once the stream has halted.
    pub(crate) fn piece(&mut self, part: Part, bytes: &[u8]) -> bool {
        let mut joiner = std::mem::replace(&mut self.joiner, Joiner::new(0));
        let wanted = |_: &EventHeader, table_id: Option<u64>| table_id.is_none_or(|id| id % 2 == 0);
        let mut fed = Fed::new(part, bytes);
        let goes_on = loop {
            let goes_on = match joiner.next(&mut fed, wanted) {
                Ok(None) => break true,
                Ok(Some(Joined::Event(event))) => self.event(event),
                Ok(Some(Joined::Skipped(header))) => self.decoder.skipped(&header).is_ok(),
                Ok(Some(Joined::Payload(mark))) => self.decoder.payload(&mark).is_ok(),
                Ok(Some(Joined::Pending)) => true,
                Err(_) => false,
            };
            if !goes_on {
                break false;
            }
        };
        self.joiner = joiner;
        goes_on
    }

    pub(crate) fn event(&mut self, bytes: &[u8]) -> bool {
        let Ok((header, item)) = self.decoder.event(bytes) else {
            return false;
        };
        match item {
            Item::TableMap(event) => self.table_map(&event),
            Item::Rows(event) => self.rows(&header, &event),
            Item::CompressedRows(event) => {
                let mut buffer = Vec::new();
                match event.inflate(&mut buffer, EVENT_BYTES_MAX) {
                    Ok(event) => self.rows(&header, &event),
                    Err(_) => false,
                }
            }
            Item::RowsFragment(fragment) => {
                let mut assembler = std::mem::replace(&mut self.assembler, Assembler::new(0));
                let goes_on = match assembler.take(&fragment, |id| id % 2 == 0) {
                    Ok(Some(Assembled::Rows(event))) => self.rows(&header, &event),
                    Ok(None | Some(Assembled::Compressed(_))) => true,
                    Err(_) => false,
                };
                self.assembler = assembler;
                goes_on
            }
            Item::Statement(statement) => self.statement(&statement),
            Item::CompressedStatement(statement) => {
                let mut buffer = Vec::new();
                match statement.inflate(&mut buffer, EVENT_BYTES_MAX) {
                    Ok(statement) => self.statement(&statement),
                    Err(_) => false,
                }
            }
            Item::End(_) => {
                self.tables.end_transaction();
                true
            }
            Item::NewFile => {
                self.tables.new_file();
                true
            }
            Item::Begin | Item::Nothing => true,
        }
    }

    fn statement(&mut self, statement: &Statement<'_>) -> bool {
        let _ = effect(statement, self.tables.selection());
        self.tables.end_versions();
        true
    }

    fn table_map(&mut self, event: &TableMapEvent<'_>) -> bool {
        let definition = match self.tables.table_map(event) {
            Ok(Lookup::Ready | Lookup::Helper(_)) => return true,
            Ok(Lookup::New(definition)) => definition.shown(&self.types, &[], &[]).ok(),
            Ok(Lookup::Unnamed) | Err(_) => return false,
        };
        let Some(definition) = definition else {
            return false;
        };
        let to = Destination {
            topic: "topic".to_owned(),
            partitions: 3,
            key_schema_id: (!definition.primary_key.is_empty()).then_some(1),
            value_schema_id: 2,
        };
        let Ok(plan) = TablePlan::new(&definition, self.is_widened, &to) else {
            return false;
        };
        self.known.insert(definition.name.clone(), definition);
        self.tables.install(event, Arc::new(plan));
        true
    }

    fn rows(&mut self, header: &EventHeader, event: &RowsEvent<'_>) -> bool {
        let plan = match self.tables.plan(event.table_id) {
            Ok(Some(plan)) => Arc::clone(plan),
            Ok(None) => return true,
            Err(_) => return false,
        };
        let source = RowsSource {
            server_id: header.server_id,
            at: self.decoder.at(),
            transaction: self.decoder.transaction(),
        };
        let mut batch = Batch::default();
        if self
            .encoder
            .rows(&plan, event, &source, &mut batch)
            .is_err()
        {
            return false;
        }
        if let Some(definition) = self.known.get(plan.name()) {
            self.values
                .extend(read(definition, self.is_widened, &batch));
        }
        true
    }
}

fn target(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

/// What the Avro library makes of the values of a batch: it must take each whole.
fn read(definition: &TableDefinition, is_widened: bool, batch: &Batch) -> Vec<Avro> {
    let names = SchemaNames::new("task", &definition.name);
    let schema = value_schema(&names, definition, is_widened).unwrap();
    let schema = Schema::parse_str(&schema.to_string()).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let mut values = Vec::new();
    for (_, arena) in batch.arenas() {
        for record in arena.records() {
            let (_, value) = arena.get(*record).unwrap();
            let mut bytes = &value.unwrap()[REGISTRY_HEADER_LEN..];
            values.push(reader.read_value(&mut bytes).unwrap());
            assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
        }
    }
    values
}
