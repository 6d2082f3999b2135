//! Schemas that the Avro library takes, and defaults that it can use.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};

use super::{
    SCHEMA_CHANGES_KEY, SCHEMA_CHANGES_VALUE, TRANSACTIONS_KEY, TRANSACTIONS_VALUE, key_schema,
    value_schema,
};
use crate::avro::{SchemaNames, TopicNames, field_name};
use crate::schema::{Column, TableDefinition};
use crate::selection::TableName;
use crate::value::{
    Binary, Bit, Charset, ColumnType, Decimal, Float, GEOMETRY_RECORD, Geometry, Integer, Members,
    Shape, Temporal, Text, Vector,
};

fn every_type() -> Vec<ColumnType> {
    let mut types = Vec::new();
    for bytes in [1, 2, 3, 4, 8] {
        for unsigned in [false, true] {
            types.push(ColumnType::Integer(Integer { bytes, unsigned }));
        }
    }
    for (precision, scale) in [(1, 0), (1, 1), (10, 2), (30, 30), (65, 0), (65, 30)] {
        types.push(ColumnType::Decimal(Decimal {
            precision,
            scale,
            unsigned: false,
        }));
    }
    for charset in [Charset::Utf8mb4, Charset::Utf8mb3, Charset::Ascii] {
        types.push(ColumnType::Text(Text::Char {
            bytes_max: 12,
            charset,
        }));
        types.push(ColumnType::Text(Text::VarChar {
            bytes_max: 12,
            charset,
        }));
        types.push(ColumnType::Text(Text::Blob {
            length_bytes: 4,
            charset,
        }));
    }
    for fraction in 0..=6 {
        types.push(ColumnType::Temporal(Temporal::DateTime { fraction }));
        types.push(ColumnType::Temporal(Temporal::Timestamp { fraction }));
    }
    for fraction in [0, 6] {
        types.push(ColumnType::Temporal(Temporal::Time { fraction }));
    }
    types.push(ColumnType::Temporal(Temporal::Date));
    types.push(ColumnType::Temporal(Temporal::Year));
    for (bytes, bits) in [(4, 1), (8, 64)] {
        types.push(ColumnType::Float(Float {
            bytes,
            unsigned: false,
        }));
        types.push(ColumnType::Bit(Bit { bits }));
    }
    types.push(ColumnType::Binary(Binary::Fixed { bytes: 3 }));
    types.push(ColumnType::Binary(Binary::Variable { bytes_max: 3 }));
    types.push(ColumnType::Binary(Binary::Blob { length_bytes: 2 }));
    let members = vec!["it's".to_owned().into(), "b".to_owned().into()];
    types.push(ColumnType::Members(Members::Set {
        bytes: 1,
        members: members.clone(),
    }));
    types.push(ColumnType::Members(Members::Enum { bytes: 1, members }));
    types.push(ColumnType::Json);
    for shape in [Shape::Any, Shape::Point] {
        types.push(ColumnType::Geometry(Geometry { shape }));
    }
    types.push(ColumnType::Vector(Vector {
        dimensions: 3,
        bytes_max: None,
    }));
    types
}

fn definition(
    name: TableName,
    columns: Vec<(String, ColumnType, bool)>,
    key: &[usize],
) -> TableDefinition {
    let columns = columns
        .into_iter()
        .map(|(name, column_type, nullable)| Column {
            name,
            column_type,
            nullable,
            declared: None,
        })
        .collect();
    TableDefinition {
        name,
        columns,
        primary_key: key.to_vec(),
        message_key: Vec::new(),
        packing: String::new(),
    }
}

fn table_of_every_type() -> TableDefinition {
    let mut columns = Vec::new();
    for (index, column_type) in every_type().into_iter().enumerate() {
        columns.push((format!("n{index}"), column_type.clone(), true));
        columns.push((format!("c{index}"), column_type, false));
    }
    let key: Vec<_> = (0..columns.len())
        .filter(|index| index % 2 == 1)
        .rev()
        .collect();
    definition(TableName::new("shop", "t"), columns, &key)
}

fn schemas(definition: &TableDefinition) -> (Option<Value>, Value) {
    let names = SchemaNames::new("bridge", &definition.name);
    (
        key_schema(&names, definition),
        value_schema(&names, definition, false).unwrap(),
    )
}

fn parse(schema: &Value) -> Schema {
    Schema::parse_str(&schema.to_string()).unwrap()
}

#[test]
fn every_type_makes_a_schema_that_the_library_takes() {
    let (key, value) = schemas(&table_of_every_type());
    parse(&key.unwrap());
    parse(&value);
    for text in [
        TRANSACTIONS_KEY,
        TRANSACTIONS_VALUE,
        SCHEMA_CHANGES_KEY,
        SCHEMA_CHANGES_VALUE,
    ] {
        Schema::parse_str(text).unwrap();
    }
}

/// Every `name` of a field with a `default`, and all that lies in it.
fn fields<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("default") {
                found.push(schema);
            }
            object.values().for_each(|value| fields(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Reads a record of no fields with a schema that has this one: the library must use the default.
fn default_by_the_library(field: &Value) -> Avro {
    let record = |fields: Value| json!({"type": "record", "name": "r", "fields": fields});
    let writer = parse(&record(json!([])));
    let reader = parse(&record(json!([field])));
    let datum = GenericDatumReader::builder(&writer)
        .reader_schema(&reader)
        .build()
        .unwrap();
    let Avro::Record(mut fields) = datum.read_value(&mut &b""[..]).unwrap() else {
        panic!()
    };
    fields.pop().unwrap().1
}

/// What the default of a field stands for.
fn expected_default(field: &Value) -> Avro {
    let bytes = |text: &str| text.bytes().collect::<Vec<u8>>();
    match (&field["default"], &field["type"]) {
        (Value::Null, _) => Avro::Union(0, Box::new(Avro::Null)),
        (Value::Number(_), Value::String(name)) => match name.as_str() {
            "int" => Avro::Int(0),
            "float" => Avro::Float(0.0),
            "double" => Avro::Double(0.0),
            _ => Avro::Long(0),
        },
        (Value::Bool(is_set), _) => Avro::Boolean(*is_set),
        (Value::Array(_), _) => Avro::Array(Vec::new()),
        (Value::String(text), Value::Object(decimal)) if decimal["logicalType"] == "decimal" => {
            Avro::Decimal(bytes(text).into())
        }
        (Value::String(text), Value::String(name)) if name == "bytes" => Avro::Bytes(bytes(text)),
        (Value::String(text), Value::Array(_)) => {
            Avro::Union(0, Box::new(Avro::String(text.clone())))
        }
        (Value::String(text), _) => Avro::String(text.clone()),
        (Value::Object(_), _) => Avro::Record(vec![
            ("srid".to_owned(), Avro::Long(0)),
            ("wkb".to_owned(), Avro::Bytes(Vec::new())),
        ]),
        _ => panic!("{field}"),
    }
}

#[test]
fn every_default_is_one_that_a_reader_can_use() {
    let (_, value) = schemas(&table_of_every_type());
    let sources = [value, serde_json::from_str(TRANSACTIONS_VALUE).unwrap()];
    let mut found = Vec::new();
    sources.iter().for_each(|schema| fields(schema, &mut found));
    assert!(found.len() > 2 * every_type().len());
    for field in found {
        // Nested records are named elsewhere; a null default does not look into them.
        let is_row = field["name"] == "before" || field["name"] == "after";
        let field = if is_row {
            assert_eq!(
                (&field["type"][0], &field["default"]),
                (&json!("null"), &json!(null))
            );
            continue;
        } else {
            field
        };
        let mut field = field.clone();
        let by_name = |field_type: &Value| field_type == GEOMETRY_RECORD;
        if by_name(&field["type"]) || by_name(&field["type"][1]) {
            let shape = Shape::Any;
            let record = ColumnType::Geometry(Geometry { shape }).avro();
            let is_union = field["type"].is_array();
            field["type"] = if is_union {
                json!(["null", record])
            } else {
                record
            };
        }
        let value = default_by_the_library(&field);
        assert_eq!(value, expected_default(&field), "{field}");
    }
}

#[test]
fn every_column_of_a_row_has_a_default_so_that_it_may_come_and_go() {
    let (_, value) = schemas(&table_of_every_type());
    let row = &value["fields"][0]["type"][1];
    let columns = row["fields"].as_array().unwrap();
    assert_eq!(columns.len(), 2 * every_type().len());
    for column in columns {
        let object = column.as_object().unwrap();
        assert!(
            object.contains_key("default") && object["mysql.type"].is_string(),
            "{column}"
        );
    }
}

#[test]
fn a_key_schema_is_bare_and_in_the_order_of_the_key() {
    let table = table_of_every_type();
    let (key, _) = schemas(&table);
    let key = key.unwrap();
    let text = key.to_string();
    for word in ["mysql", "doc", "default", "null"] {
        assert!(!text.contains(word), "{word}");
    }
    let names: Vec<_> = key["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| &field["name"])
        .collect();
    let expected: Vec<_> = table
        .key_columns()
        .map(|column| json!(column.name))
        .collect();
    assert_eq!(names, expected.iter().collect::<Vec<_>>());
    let keyless = definition(
        TableName::new("shop", "t"),
        vec![("a".into(), every_type().swap_remove(0), true)],
        &[],
    );
    assert_eq!(schemas(&keyless).0, None);
}

#[test]
fn a_change_outside_of_the_key_leaves_its_schema_as_it_was() {
    let column = |name: &str| (name.to_owned(), every_type().swap_remove(0), false);
    let name = TableName::new("shop", "t");
    let before = definition(name.clone(), vec![column("id"), column("a")], &[0]);
    let after = definition(name, vec![column("b"), column("id")], &[1]);
    assert_eq!(schemas(&before).0, schemas(&after).0);
}

#[test]
fn names_are_brought_into_the_alphabet_of_avro() {
    for (name, expected) in [
        ("plain_Name9", "plain_Name9"),
        ("with-dash", "with_dash"),
        ("with.dot", "with_dot"),
        ("9lives", "_9lives"),
        ("größe", "gr__e"),
        ("日本", "__"),
        ("🐌", "_"),
        ("", "_"),
        ("a b\"c`d\\", "a_b_c_d_"),
    ] {
        assert_eq!(field_name(name), expected);
        let column = (name.to_owned(), every_type().swap_remove(0), false);
        let table = definition(TableName::new(name, name), vec![column], &[0]);
        let (key, value) = schemas(&table);
        parse(&key.unwrap());
        parse(&value);
        let field = &value["fields"][0]["type"][1]["fields"][0];
        assert_eq!(field["name"], expected);
        let original = if name == expected {
            Value::Null
        } else {
            json!(name)
        };
        assert_eq!(field["mysql.name"], original);
        assert_eq!(value["namespace"], format!("bridge.{expected}.{expected}"));
    }
    let names = SchemaNames::new("my-task", &TableName::new("1-db", "t"));
    assert_eq!(names.namespace, "my_task._1_db.t");
}

#[test]
fn topics_are_named_in_the_alphabet_of_kafka_and_not_too_long() {
    let topics = TopicNames::new("my-task");
    let topic = |database: &str, table: &str| topics.table(&TableName::new(database, table));
    assert_eq!(topic("shop", "orders"), Some("my-task.shop.orders".into()));
    assert_eq!(
        topic("a-b.c", "größe $1"),
        Some("my-task.a-b.c.gr__e__1".into())
    );
    let longest = 249 - "my-task.d.".len();
    assert_eq!(
        topic("d", &"t".repeat(longest)).map(|name| name.len()),
        Some(249)
    );
    assert_eq!(topic("d", &"t".repeat(longest + 1)), None);
}

/// The record of a row in the envelope.
fn row_of(table: &TableDefinition, is_widened: bool) -> Value {
    let names = SchemaNames::new("bridge", &table.name);
    let schema = value_schema(&names, table, is_widened).unwrap();
    schema["fields"][0]["type"][1].clone()
}

#[test]
fn widened_fields_keep_their_default_and_may_be_null() {
    let columns = every_type()
        .into_iter()
        .enumerate()
        .map(|(index, column_type)| (format!("c{index}"), column_type, false))
        .collect();
    let table = definition(TableName::new("shop", "t"), columns, &[1, 0]);
    let (narrow, wide) = (row_of(&table, false), row_of(&table, true));
    let fields = |row: &Value| row["fields"].as_array().unwrap().clone();
    for (index, (before, after)) in fields(&narrow).iter().zip(fields(&wide)).enumerate() {
        assert_eq!(before["default"], after["default"]);
        let expected = match before["type"].is_array() || index < 2 {
            // Null already, or of the key, which is in every image.
            true => before["type"].clone(),
            false => json!([before["type"], "null"]),
        };
        assert_eq!(after["type"], expected, "{index}");
    }
}

#[test]
fn rows_of_before_are_read_with_a_schema_that_was_widened() {
    // The library does not take a decimal over to another schema if it has fewer bytes than its precision could need,
    // which nearly all have: as others write them too.
    let is_decimal =
        |column_type: &ColumnType| column_type.avro()["logicalType"] == json!("decimal");
    let columns = every_type()
        .into_iter()
        .filter(|column_type| !is_decimal(column_type))
        .enumerate()
        .flat_map(|(index, column_type)| {
            let of = |name, nullable| (format!("{name}{index}"), column_type.clone(), nullable);
            [of("c", false), of("n", true)]
        })
        .collect();
    let table = definition(TableName::new("shop", "t"), columns, &[]);
    let (narrow, wide) = (row_of(&table, false), row_of(&table, true));
    let empty = json!({
        "type": "record", "name": "Value", "namespace": narrow["namespace"], "fields": [],
    });
    let (narrow, wide, empty) = (parse(&narrow), parse(&wide), parse(&empty));
    let read = |writer: &Schema, reader: &Schema, mut bytes: &[u8]| {
        let datum = GenericDatumReader::builder(writer)
            .reader_schema(reader)
            .build()
            .unwrap();
        let Avro::Record(fields) = datum.read_value(&mut bytes).unwrap() else {
            panic!("no record");
        };
        fields
    };
    // A row of defaults, as the library fills them in.
    let row = read(&empty, &narrow, b"");
    let bytes = GenericDatumWriter::builder(&narrow)
        .build()
        .unwrap()
        .write_value_to_vec(Avro::Record(row.clone()))
        .unwrap();
    for ((name, before), (_, after)) in row.into_iter().zip(read(&narrow, &wide, &bytes)) {
        let expected = match matches!(before, Avro::Union(_, _)) {
            true => before,
            false => Avro::Union(0, Box::new(before)),
        };
        assert_eq!(after, expected, "{name}");
    }
}
