//! `schemas/types.md` and the example schemas are what the code does: this test makes them.
//! BINLOG_BRIDGE_REWRITE=1 writes them anew.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::{key_schema, value_schema};
use crate::avro::SchemaNames;
use crate::schema::{Column, Declared, DeclaredDefault, TableDefinition};
use crate::selection::TableName;
use crate::value::{
    BigintUnsigned, Binary, Bit, Charset, ColumnType, Decimal, Float, Geometry, Identifier,
    Integer, InvalidText, KeyDates, Members, Shape, Temporal, Text, Tinyint1, TypeOptions, Vector,
};

const INTRODUCTION: &str = "\
# Column types

What each column type is in Avro, and the default of its field if the column is NOT NULL and has no literal DEFAULT of
its own: MySQL's implicit value. A test makes this page from the code.

- A literal DEFAULT that is known is the field's default instead. It is known where the server's definition is proven to
  be that of the rows; else, and for an expression, the implicit value stands, and the expression is in `mysql.default`.
- A nullable column is `[\"null\", type]` with default null, or `[type, \"null\"]` with its literal DEFAULT.
- DATE, DATETIME and TIMESTAMP are always nullable: zero and impossible dates are null, and named in
  `source.invalid_before` or `source.invalid_after`.
- Every field has its SQL type in `mysql.type`, the expression of a generated column in `mysql.generated`, and the
  column's name in `mysql.name` where Avro does not take it.

| MySQL | Avro | default of NOT NULL |
|---|---|---|
";

const OPTIONS: &str = "
## Chosen types

`events.types` chooses others. A value that the chosen type cannot hold halts the stream before anything of it is
published. To change an option of a table that is published already makes an incompatible schema: give the table another
topic (`kafka.tables`).

| option | MySQL | Avro | default of NOT NULL | halts at |
|---|---|---|---|---|
";

fn charset_of(length: u16) -> (u16, Charset) {
    (length * Charset::Utf8mb4.longest(), Charset::Utf8mb4)
}

fn texts() -> Vec<ColumnType> {
    let (bytes_max, charset) = charset_of(20);
    let blob = |length_bytes| Text::Blob {
        length_bytes,
        charset,
    };
    [
        Text::Char { bytes_max, charset },
        Text::VarChar { bytes_max, charset },
        blob(1),
        blob(2),
        blob(3),
        blob(4),
    ]
    .map(ColumnType::Text)
    .to_vec()
}

fn binaries() -> Vec<ColumnType> {
    let blob = |length_bytes| Binary::Blob { length_bytes };
    [
        Binary::Fixed { bytes: 3 },
        Binary::Variable { bytes_max: 20 },
        blob(1),
        blob(2),
        blob(3),
        blob(4),
    ]
    .map(ColumnType::Binary)
    .to_vec()
}

fn every_type() -> Vec<ColumnType> {
    let mut types = Vec::new();
    for bytes in [1, 2, 3, 4, 8] {
        for unsigned in [false, true] {
            types.push(ColumnType::Integer(Integer { bytes, unsigned }));
        }
    }
    types.push(ColumnType::Decimal(Decimal {
        precision: 10,
        scale: 2,
        unsigned: false,
    }));
    for bytes in [4, 8] {
        let unsigned = false;
        types.push(ColumnType::Float(Float { bytes, unsigned }));
    }
    types.extend([1, 12].map(|bits| ColumnType::Bit(Bit { bits })));
    types.extend(texts());
    types.extend(binaries());
    let temporals = [
        Temporal::Date,
        Temporal::DateTime { fraction: 6 },
        Temporal::Timestamp { fraction: 6 },
        Temporal::Time { fraction: 6 },
        Temporal::Year,
    ];
    types.extend(temporals.map(ColumnType::Temporal));
    let members = || vec!["a".to_owned().into(), "b".to_owned().into()];
    types.push(ColumnType::Members(Members::Enum {
        bytes: 1,
        members: members(),
    }));
    types.push(ColumnType::Members(Members::Set {
        bytes: 1,
        members: members(),
    }));
    types.push(ColumnType::Json);
    for shape in [Shape::Any, Shape::Point] {
        types.push(ColumnType::Geometry(Geometry { shape }));
    }
    types.push(ColumnType::Vector(Vector {
        dimensions: 3,
        bytes_max: None,
    }));
    let identifiers = [Identifier::Uuid, Identifier::Inet4, Identifier::Inet6];
    types.extend(identifiers.map(ColumnType::Identifier));
    types
}

fn default_of(column_type: &ColumnType) -> String {
    if column_type.may_be_invalid() {
        return "null".to_owned();
    }
    // Bytes are written as characters: those that do not show are escaped.
    let default = column_type.implicit_default().to_string();
    default
        .chars()
        .flat_map(|c| match c.is_control() {
            true => c.escape_unicode().collect::<Vec<_>>(),
            false => vec![c],
        })
        .collect()
}

fn cells(column_type: &ColumnType) -> String {
    let (sql, avro) = (column_type.sql(), column_type.avro());
    format!("`{sql}` | `{avro}` | `{}`", default_of(column_type))
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for column_type in every_type() {
        writeln!(page, "| {} |", cells(&column_type)).unwrap();
    }
    page.push_str(OPTIONS);
    let all = TypeOptions {
        bigint_unsigned: BigintUnsigned::Long,
        tinyint1: Tinyint1::Boolean,
        invalid_text: InvalidText::Replace,
        key_dates: KeyDates::String,
    };
    let integer = |bytes, unsigned| ColumnType::Integer(Integer { bytes, unsigned });
    let text = texts().swap_remove(1);
    let datetime = ColumnType::Temporal(Temporal::DateTime { fraction: 3 });
    for (option, column_type, halts_at) in [
        (
            "bigint_unsigned: long",
            integer(8, true),
            "numbers over 9223372036854775807",
        ),
        (
            "tinyint1: boolean",
            integer(1, false),
            "others than 0 and 1; a display width that is not known",
        ),
        (
            "invalid_text: replace",
            text,
            "nothing: U+FFFD stands for what is no text",
        ),
        (
            "key_dates: string",
            datetime,
            "nothing: the server's text, TIMESTAMP in UTC",
        ),
    ] {
        let chosen = all.choose(&column_type, Some("tinyint(1)"), true).unwrap();
        writeln!(page, "| `{option}` | {} | {halts_at} |", cells(&chosen)).unwrap();
    }
    page
}

// long: a list of columns.
fn example() -> TableDefinition {
    let integer = |bytes| {
        ColumnType::Integer(Integer {
            bytes,
            unsigned: true,
        })
    };
    let decimal = Decimal {
        precision: 10,
        scale: 2,
        unsigned: false,
    };
    let literal = |text: &str| Some(DeclaredDefault::Literal(text.to_owned()));
    let now = Some(DeclaredDefault::Expression(
        "CURRENT_TIMESTAMP(6)".to_owned(),
    ));
    let timestamp = Temporal::Timestamp { fraction: 6 };
    let states = vec!["new".to_owned().into(), "paid".to_owned().into()];
    let columns = [
        ("id", "bigint unsigned", integer(8), false, None),
        (
            "customer-no",
            "int(10) unsigned zerofill",
            integer(4),
            false,
            None,
        ),
        (
            "amount",
            "decimal(10,2)",
            ColumnType::Decimal(decimal),
            false,
            literal("9.90"),
        ),
        (
            "note",
            "varchar(20)",
            texts().swap_remove(1),
            true,
            literal("none"),
        ),
        (
            "state",
            "enum('new','paid')",
            ColumnType::Members(Members::Enum {
                bytes: 1,
                members: states,
            }),
            false,
            None,
        ),
        (
            "changed",
            "timestamp(6)",
            ColumnType::Temporal(timestamp),
            false,
            now,
        ),
        ("document", "json", ColumnType::Json, true, None),
        (
            "place",
            "point",
            ColumnType::Geometry(Geometry {
                shape: Shape::Point,
            }),
            true,
            None,
        ),
    ];
    TableDefinition {
        name: TableName::new("shop", "orders"),
        columns: columns
            .into_iter()
            .map(|(name, sql_type, column_type, nullable, default)| Column {
                name: name.to_owned(),
                column_type,
                nullable,
                declared: Some(Declared {
                    sql_type: sql_type.to_owned(),
                    default,
                    expression: None,
                }),
            })
            .collect(),
        primary_key: vec![0],
        message_key: Vec::new(),
        packing: String::new(),
    }
}

/// Compares a file of the contract with what it should be, or writes it.
fn check(name: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../schemas")
        .join(name);
    if std::env::var_os("BINLOG_BRIDGE_REWRITE").is_some() {
        std::fs::write(&path, content).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == content,
        "schemas/{name} is not what the code does: BINLOG_BRIDGE_REWRITE=1 writes it anew"
    );
}

/// What follows is written by the tests of servers.
const SERVERS: &str = "\n## Servers\n";

#[test]
fn the_page_of_types_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/types.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let servers = found.find(SERVERS).and_then(|at| found.get(at..));
    check(
        "types.md",
        &format!("{}{}", page(), servers.unwrap_or_default()),
    );
}

#[test]
fn the_example_schemas_are_what_the_code_makes() {
    let text = |schema: &Value| format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
    let table = example();
    let names = SchemaNames::new("demo", &table.name);
    check(
        "example-key.avsc",
        &text(&key_schema(&names, &table).unwrap()),
    );
    let value = value_schema(&names, &table, false).unwrap();
    apache_avro::Schema::parse_str(&value.to_string()).unwrap();
    check("example-value.avsc", &text(&value));
}
