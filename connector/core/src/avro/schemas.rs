//! The schemas of keys and values: the Debezium envelope with standard Avro logical types.

use serde_json::{Map, Value, json};

use super::binary::{BRANCH_0, BRANCH_1};
use super::names::{SchemaNames, field_name};
use crate::schema::{Column, DeclaredDefault, TableDefinition};
use crate::value::{ColumnType, GEOMETRY_RECORD};

/// Key of `<task>.transactions`.
pub const TRANSACTIONS_KEY: &str = include_str!("../../../../schemas/transactions-key.avsc");
/// Value of `<task>.transactions`.
pub const TRANSACTIONS_VALUE: &str = include_str!("../../../../schemas/transactions-value.avsc");
/// Key of `<task>.schema-changes`.
pub const SCHEMA_CHANGES_KEY: &str = include_str!("../../../../schemas/schema-changes-key.avsc");
/// Value of `<task>.schema-changes`.
pub const SCHEMA_CHANGES_VALUE: &str =
    include_str!("../../../../schemas/schema-changes-value.avsc");

/// Key of `<task>.heartbeats`.
pub const HEARTBEATS_KEY: &str = include_str!("../../../../schemas/heartbeats-key.avsc");
/// Value of `<task>.heartbeats`.
pub const HEARTBEATS_VALUE: &str = include_str!("../../../../schemas/heartbeats-value.avsc");

const SOURCE: &str = include_str!("../../../../schemas/source.avsc");
const TRANSACTION_BLOCK: &str = include_str!("../../../../schemas/transaction-block.avsc");

/// The schema of a table's keys: bare, so that a change which does not touch the key keeps its id. `None`
/// if records have none.
#[must_use]
pub fn key_schema(names: &SchemaNames, definition: &TableDefinition) -> Option<Value> {
    if definition.key().is_empty() {
        return None;
    }
    let mut fields: Vec<Value> = definition
        .key_columns()
        .map(|column| {
            let avro = column.column_type.avro();
            // Of a key that was chosen, whether it may be null or not: else the bytes of its values, and with them their
            // partition, would change with that.
            let avro = match definition.message_key.is_empty() {
                true => avro,
                false => json!(["null", avro]),
            };
            json!({"name": field_name(&column.name), "type": avro})
        })
        .collect();
    name_again(&mut fields);
    Some(json!({
        "type": "record", "name": "Key", "namespace": names.namespace, "fields": fields,
    }))
}

/// The schema of a table's values: the envelope. Widened, columns outside of the key may be left out of an image.
///
/// # Errors
/// If the schemas in the tree are not JSON, which their test excludes.
pub fn value_schema(
    names: &SchemaNames,
    definition: &TableDefinition,
    is_widened: bool,
) -> Result<Value, serde_json::Error> {
    let mut columns: Vec<Value> = (0..)
        .zip(&definition.columns)
        .filter(|(_, column)| !column.column_type.is_left_out())
        .map(|(index, column)| value_field(column, branches(definition, index, is_widened)))
        .collect();
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
fn value_field(column: &Column, branches: Branches) -> Value {
    let name = field_name(&column.name);
    let mut field = Map::new();
    let avro = column.column_type.avro();
    let not_null =
        || literal_default(column).unwrap_or_else(|| column.column_type.implicit_default());
    let (field_type, default) = match branches {
        Branches::None => (avro, not_null()),
        Branches::NullFirst => (json!(["null", avro]), Value::Null),
        Branches::NullLast => (json!([avro, "null"]), not_null()),
    };
    field.insert("name".into(), name.clone().into());
    field.insert("type".into(), field_type);
    field.insert("default".into(), default);
    field.insert("mysql.type".into(), sql_type(column).into());
    if name != column.name {
        field.insert("mysql.name".into(), column.name.clone().into());
    }
    if let Some(declared) = &column.declared {
        let text = match &declared.default {
            Some(DeclaredDefault::Expression(text)) => Some(text),
            Some(DeclaredDefault::Literal(text)) if literal_default(column).is_none() => Some(text),
            Some(DeclaredDefault::Literal(_)) | None => None,
        };
        if let Some(text) = text {
            field.insert("mysql.default".into(), text.clone().into());
        }
        if let Some(text) = &declared.expression {
            field.insert("mysql.generated".into(), text.clone().into());
        }
    }
    Value::Object(field)
}

/// The column's type in SQL. The names of members are those of the binlog: the server cannot show all of them.
fn sql_type(column: &Column) -> String {
    match (&column.declared, &column.column_type) {
        (Some(declared), column_type) if !matches!(column_type, ColumnType::Members(_)) => {
            declared.sql_type.clone()
        }
        (Some(_) | None, column_type) => column_type.sql(),
    }
}

/// The column's literal default, if it is known and Avro can hold it.
fn literal_default(column: &Column) -> Option<Value> {
    match column.declared.as_ref()?.default.as_ref()? {
        DeclaredDefault::Literal(text) => column.column_type.literal_default(text),
        DeclaredDefault::Expression(_) => None,
    }
}

/// A schema may define a record once: the geometries after the first are of a type that has a name.
fn name_again(fields: &mut [Value]) {
    let mut is_defined = false;
    for field in fields {
        let Some(field_type) = field.get_mut("type") else {
            continue;
        };
        let place = if field_type.is_array() {
            let branches = field_type.as_array_mut();
            branches.and_then(|branches| branches.iter_mut().find(|branch| branch.is_object()))
        } else {
            Some(field_type)
        };
        if let Some(record) = place.filter(|place| place["name"] == GEOMETRY_RECORD) {
            if is_defined {
                *record = Value::from(GEOMETRY_RECORD);
            }
            is_defined = true;
        }
    }
}

/// How a column's field may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Branches {
    /// It may not: its type is no union.
    None,
    /// `["null", type]`
    NullFirst,
    /// `[type, "null"]`
    NullLast,
}

impl Branches {
    /// What stands before a value, if anything does.
    pub(crate) fn value(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::NullFirst => Some(BRANCH_1),
            Self::NullLast => Some(BRANCH_0),
        }
    }

    /// What stands for null, if the field may be null.
    pub(crate) fn null(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::NullFirst => Some(BRANCH_0),
            Self::NullLast => Some(BRANCH_1),
        }
    }
}

/// The field of a column, by its index. Columns of a key are in every image.
pub(crate) fn branches(definition: &TableDefinition, index: usize, is_widened: bool) -> Branches {
    let column = definition.columns.get(index);
    let may_be_null =
        column.is_none_or(|column| column.nullable || column.column_type.may_be_invalid());
    // The default of a union is of its first branch.
    let has_literal = column.is_some_and(|column| literal_default(column).is_some());
    if may_be_null && has_literal {
        Branches::NullLast
    } else if may_be_null {
        Branches::NullFirst
    } else if is_widened && !definition.primary_key.contains(&index) {
        Branches::NullLast
    } else {
        Branches::None
    }
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
