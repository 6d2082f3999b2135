//! Records of schema changes, read back by the Avro library.

use serde_json::{Value, json};

use super::{read, transaction};
use crate::avro::{SCHEMA_CHANGES_KEY, SCHEMA_CHANGES_VALUE};
use crate::decode::Statement;
use crate::encode::{ChangeSource, SchemaChangesTopic, TableChange, TopicPartition};
use crate::position::FileOffset;
use crate::schema::{DescribedColumn, DescribedKey, DescribedTable, KeyPart, Known, SchemaChange};
use crate::selection::TableName;

fn table() -> DescribedTable {
    DescribedTable {
        columns: vec![
            DescribedColumn {
                name: "id".into(),
                sql_type: "int".into(),
                extra: "auto_increment".into(),
                ..DescribedColumn::default()
            },
            DescribedColumn {
                name: "word".into(),
                sql_type: "varchar(9)".into(),
                nullable: true,
                collation: Some(8),
                default: Some("x".into()),
                expression: "1".into(),
                is_unproven: true,
                ..DescribedColumn::default()
            },
        ],
        keys: vec![DescribedKey {
            name: "PRIMARY".into(),
            is_unique: true,
            parts: vec![KeyPart {
                column: Some("id".into()),
                prefix: Some(7),
            }],
            is_declared: true,
        }],
        collation: Some(9999),
        is_versioned: false,
    }
}

/// Key and value of the record, as the library reads them.
fn record(text: &str, bytes_max: usize) -> (Value, Value) {
    let statement = Statement {
        database: b"shop",
        text: text.as_bytes(),
        has_escapes: true,
        ..Statement::default()
    };
    let change = SchemaChange::of(&statement, false, false).unwrap();
    let tables = [TableChange {
        name: TableName::new("shop", "t"),
        before: Known::Proven(Box::new(table())),
        after: Known::Gone,
    }];
    let topic = SchemaChangesTopic {
        target: TopicPartition {
            topic: "bridge.schema-changes".into(),
            partition: 0,
        },
        key_schema_id: 31,
        value_schema_id: 32,
    };
    let at = FileOffset {
        file: "binlog.000002".into(),
        offset: 77,
    };
    let source = ChangeSource {
        change: &change,
        tables: &tables,
        database: "shop",
        statement: text,
        server_id: 3,
        at: &at,
        transaction: &transaction(None),
    };
    let record = topic.record(&source, bytes_max);
    let schema = |text: &str| serde_json::from_str(text).unwrap();
    (
        read(&schema(SCHEMA_CHANGES_KEY), 31, &record.key),
        read(&schema(SCHEMA_CHANGES_VALUE), 32, &record.value),
    )
}

#[test]
fn a_change_is_told_with_all_that_is_known() {
    let (key, value) = record("DROP TABLE t", 10_000);
    assert_eq!(key, json!({"database": "shop"}));
    let column = |name: &str, sql_type: &str| {
        json!({"name": name, "type": sql_type, "nullable": false, "collation": null, "default": null,
            "extra": "auto_increment", "expression": null, "default_is_known": true})
    };
    let mut word = column("word", "varchar(9)");
    for (field, it) in [
        ("nullable", json!(true)),
        ("collation", json!("latin1_swedish_ci")),
        ("default", json!("x")),
        ("extra", json!("")),
        ("expression", json!("1")),
        ("default_is_known", json!(false)),
    ] {
        word[field] = it;
    }
    let before = json!({"collation": "9999", "columns": [column("id", "int"), word],
        "keys": [{"name": "PRIMARY", "unique": true, "parts": [{"column": "id", "prefix": 7}]}]});
    let expected = json!({
        "kind": "DROP", "database": "shop", "database_in_use": "shop", "statement": "DROP TABLE t",
        "objects": [{"type": "TABLE", "database": "shop", "name": "t"}],
        "tables": [{"database": "shop", "table": "t", "state_before": "KNOWN", "before": before,
            "state_after": "GONE", "after": null}],
        "left_out": [], "ts_ms": super::MICROS / 1000, "server_id": 3, "file": "binlog.000002", "pos": 77, "gtid": null,
    });
    assert_eq!(value, expected);
}

#[test]
fn what_is_too_large_is_left_out_one_after_the_other() {
    for (bytes_max, left_out) in [
        (240, json!(["definitions"])),
        (170, json!(["definitions", "tables"])),
        (150, json!(["definitions", "tables", "statement"])),
        (0, json!(["definitions", "tables", "statement", "objects"])),
    ] {
        let (_, value) = record("DROP TABLE t, a_table_of_another_name", bytes_max);
        assert_eq!(value["left_out"], left_out, "{bytes_max}");
        let has = |what: &str| !left_out.as_array().unwrap().contains(&json!(what));
        assert_eq!(value["statement"].is_string(), has("statement"));
        assert_eq!(
            value["objects"].as_array().unwrap().len() == 2,
            has("objects")
        );
        assert_eq!(
            value["tables"].as_array().unwrap().len() == 1,
            has("tables")
        );
    }
}

#[test]
fn a_statement_with_a_password_is_not_told() {
    let (_, value) = record(
        "CREATE TABLE t (id INT) CONNECTION='mysql://u:hush@h/d'",
        10_000,
    );
    assert_eq!(
        (&value["statement"], &value["kind"]),
        (&Value::Null, &json!("CREATE"))
    );
}
