//! Records of `<task>.schema-changes`: what statements do to the schema.

use super::batch::TopicPartition;
use super::transaction::write_count;
use crate::avro::binary::{
    BRANCH_0, BRANCH_1, begin_record, write_bytes, write_length, write_long, write_optional_string,
    write_strings,
};
use crate::decode::Transaction;
use crate::position::FileOffset;
use crate::schema::{
    DescribedColumn, DescribedKey, DescribedTable, Known, SchemaChange, collation_name,
};
use crate::selection::TableName;

/// The topic of schema changes and the registry ids of its schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChangesTopic {
    /// Its only partition.
    pub target: TopicPartition,
    /// Registry id of the key's schema.
    pub key_schema_id: u32,
    /// Registry id of the value's schema.
    pub value_schema_id: u32,
}

/// A table whose definition a statement may change.
#[derive(Debug, Clone)]
pub struct TableChange {
    /// The table.
    pub name: TableName,
    /// What was known of it before the statement.
    pub before: Known,
    /// What is known of it behind the statement.
    pub after: Known,
}

/// A statement that changes the schema, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct ChangeSource<'a> {
    /// What it does.
    pub change: &'a SchemaChange,
    /// The selected tables among those that it may change.
    pub tables: &'a [TableChange],
    /// The database in use.
    pub database: &'a str,
    /// Its text.
    pub statement: &'a str,
    /// The server that ran it first.
    pub server_id: u32,
    /// Where its event begins.
    pub at: &'a FileOffset,
    /// Its source transaction.
    pub transaction: &'a Transaction,
}

/// A record that is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its key, with the registry's header.
    pub key: Vec<u8>,
    /// Its value, likewise.
    pub value: Vec<u8>,
}

/// What is left out of a record that would be too large, one after the other.
const LEFT_OUT: [&str; 4] = ["definitions", "tables", "statement", "objects"];

impl SchemaChangesTopic {
    /// The record of a statement, of at most so many bytes if that can be: first the definitions are left out, then the
    /// tables, the statement, and the objects.
    #[must_use]
    pub fn record(&self, source: &ChangeSource<'_>, bytes_max: usize) -> ChangeRecord {
        let database = source.change.database(source.database);
        let mut record = ChangeRecord {
            key: Vec::new(),
            value: Vec::new(),
        };
        begin_record(&mut record.key, self.key_schema_id);
        write_bytes(&mut record.key, database.as_bytes());
        for count in 0..=LEFT_OUT.len() {
            begin_record(&mut record.value, self.value_schema_id);
            let left_out = LEFT_OUT.get(..count).unwrap_or_default();
            write(&mut record.value, source, &database, left_out);
            if record.key.len() + record.value.len() <= bytes_max {
                break;
            }
        }
        record
    }
}

/// The fields of `schemas/schema-changes-value.avsc`.
fn write(out: &mut Vec<u8>, source: &ChangeSource<'_>, database: &str, left_out: &[&str]) {
    let has = |what: &str| !left_out.contains(&what);
    let change = source.change;
    write_bytes(out, change.kind.as_bytes());
    write_bytes(out, database.as_bytes());
    write_bytes(out, source.database.as_bytes());
    let is_told = has("statement") && !change.holds_password;
    write_optional_string(out, is_told.then_some(source.statement));
    let objects: &[_] = if has("objects") { &change.objects } else { &[] };
    write_array(out, objects, |out, object| {
        write_bytes(out, object.kind.as_bytes());
        write_bytes(out, object.database.as_bytes());
        write_bytes(out, object.name.as_bytes());
    });
    let tables: &[_] = if has("tables") { source.tables } else { &[] };
    write_array(out, tables, |out, table| {
        write_bytes(out, table.name.database.as_bytes());
        write_bytes(out, table.name.table.as_bytes());
        for known in [&table.before, &table.after] {
            write_known(out, known, has("definitions"));
        }
    });
    write_strings(out, left_out.iter().copied());
    write_long(out, source.transaction.commit_time_us.div_euclid(1000));
    write_long(out, i64::from(source.server_id));
    write_bytes(out, source.at.file.as_bytes());
    write_count(out, source.at.offset);
    let gtid = source.transaction.gtid.as_ref().map(ToString::to_string);
    write_optional_string(out, gtid.as_deref());
}

fn write_known(out: &mut Vec<u8>, known: &Known, is_told: bool) {
    let (state, table) = match known {
        Known::Gone => ("GONE", None),
        Known::Unproven => ("UNKNOWN", None),
        Known::Proven(table) => ("KNOWN", Some(table).filter(|_| is_told)),
    };
    write_bytes(out, state.as_bytes());
    match table {
        None => out.push(BRANCH_0),
        Some(table) => {
            out.push(BRANCH_1);
            write_definition(out, table);
        }
    }
}

fn write_definition(out: &mut Vec<u8>, table: &DescribedTable) {
    write_collation(out, table.collation);
    write_array(out, &table.columns, write_column);
    write_array(out, &table.keys, write_key);
}

fn write_column(out: &mut Vec<u8>, column: &DescribedColumn) {
    write_bytes(out, column.name.as_bytes());
    write_bytes(out, column.sql_type.as_bytes());
    out.push(u8::from(column.nullable));
    write_collation(out, column.collation);
    write_optional_string(out, column.default.as_deref());
    write_bytes(out, column.extra.as_bytes());
    let expression = Some(column.expression.as_str()).filter(|text| !text.is_empty());
    write_optional_string(out, expression);
    out.push(u8::from(!column.is_unproven));
}

fn write_key(out: &mut Vec<u8>, key: &DescribedKey) {
    write_bytes(out, key.name.as_bytes());
    out.push(u8::from(key.is_unique));
    write_array(out, &key.parts, |out, part| {
        write_optional_string(out, part.column.as_deref());
        match part.prefix {
            None => out.push(BRANCH_0),
            Some(prefix) => {
                out.push(BRANCH_1);
                write_count(out, prefix);
            }
        }
    });
}

/// By name; one that only its server knows by its number.
fn write_collation(out: &mut Vec<u8>, number: Option<u64>) {
    match number.map(|number| (number, collation_name(number))) {
        None => out.push(BRANCH_0),
        Some((_, Some(name))) => write_optional_string(out, Some(&name)),
        Some((number, None)) => write_optional_string(out, Some(&number.to_string())),
    }
}

fn write_array<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    if !items.is_empty() {
        write_length(out, items.len());
        for item in items {
            write(out, item);
        }
    }
    out.push(0);
}
