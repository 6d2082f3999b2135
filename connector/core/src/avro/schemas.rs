//! The schemas of keys and values: the Debezium envelope with standard Avro logical types.

use serde_json::{Map, Value, json};

use super::names::{SchemaNames, field_name};
use crate::schema::{Column, TableDefinition};
use crate::value::GEOMETRY_RECORD;

/// Key of `<task>.transactions`.
pub const TRANSACTIONS_KEY: &str = include_str!("../../../../schemas/transactions-key.avsc");
/// Value of `<task>.transactions`.
pub const TRANSACTIONS_VALUE: &str = include_str!("../../../../schemas/transactions-value.avsc");

const SOURCE: &str = include_str!("../../../../schemas/source.avsc");
const TRANSACTION_BLOCK: &str = include_str!("../../../../schemas/transaction-block.avsc");

/// The schema of a table's keys: bare, so that a change which does not touch the key keeps its id. `None`
/// without a primary key.
#[must_use]
pub fn key_schema(names: &SchemaNames, definition: &TableDefinition) -> Option<Value> {
    if definition.primary_key.is_empty() {
        return None;
    }
    let mut fields: Vec<Value> = definition
        .key_columns()
        .map(|column| json!({"name": field_name(&column.name), "type": column.column_type.avro()}))
        .collect();
    name_again(&mut fields);
    Some(json!({
        "type": "record", "name": "Key", "namespace": names.namespace, "fields": fields,
    }))
}

/// The schema of a table's values: the envelope.
///
/// # Errors
/// If the schemas in the tree are not JSON, which their test excludes.
pub fn value_schema(
    names: &SchemaNames,
    definition: &TableDefinition,
) -> Result<Value, serde_json::Error> {
    let mut columns: Vec<Value> = definition.columns.iter().map(value_field).collect();
    name_again(&mut columns);
    let row = json!({
        "type": "record", "name": "Value", "namespace": names.namespace, "fields": columns,
    });
    let row_again = format!("{}.Value", names.namespace);
    let source: Value = serde_json::from_str(SOURCE)?;
    let transaction: Value = serde_json::from_str(TRANSACTION_BLOCK)?;
    Ok(json!({
        "type": "record", "name": "Envelope", "namespace": names.namespace, "fields": [
            {"name": "before", "type": ["null", row], "default": null},
            {"name": "after", "type": ["null", row_again], "default": null},
            {"name": "source", "type": source},
            {"name": "transaction", "type": ["null", transaction], "default": null},
            {"name": "op", "type": "string"},
            {"name": "ts_ms", "type": ["null", "long"], "default": null},
            {"name": "ts_us", "type": ["null", "long"], "default": null},
            {"name": "ts_ns", "type": ["null", "long"], "default": null},
        ],
    }))
}

/// One column of a row. Every field has a default, so that a column may be added or dropped later.
fn value_field(column: &Column) -> Value {
    let name = field_name(&column.name);
    let mut field = Map::new();
    let avro = column.column_type.avro();
    if is_union(column) {
        field.insert("name".into(), name.clone().into());
        field.insert("type".into(), json!(["null", avro]));
        field.insert("default".into(), Value::Null);
    } else {
        field.insert("name".into(), name.clone().into());
        field.insert("type".into(), avro);
        field.insert("default".into(), column.column_type.implicit_default());
    }
    field.insert("mysql.type".into(), column.column_type.sql().into());
    if name != column.name {
        field.insert("mysql.name".into(), column.name.clone().into());
    }
    Value::Object(field)
}

/// A schema may define a record once: the geometries after the first are of a type that has a name.
fn name_again(fields: &mut [Value]) {
    let mut is_defined = false;
    for field in fields {
        let Some(field_type) = field.get_mut("type") else {
            continue;
        };
        let place = match field_type {
            Value::Array(branches) => branches.last_mut(),
            single => Some(single),
        };
        if let Some(record) = place.filter(|place| place["name"] == GEOMETRY_RECORD) {
            if is_defined {
                *record = Value::from(GEOMETRY_RECORD);
            }
            is_defined = true;
        }
    }
}

/// True if the column's field is `["null", type]`.
pub(crate) fn is_union(column: &Column) -> bool {
    column.nullable || column.column_type.may_be_invalid()
}

#[cfg(test)]
mod tests;
