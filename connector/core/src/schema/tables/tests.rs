//! Which rows are read with which plan.

use std::sync::Arc;

use super::{Lookup, RowsError, Tables};
use crate::decode::{Decoder, Item, TableMapEvent};
use crate::encode::{Destination, TablePlan};
use crate::position::Position;
use crate::schema::{DefinitionError, TableDefinition};
use crate::selection::{Selection, TableName};
use crate::testing::{self, Stream};
use crate::value::{ColumnType, UnsupportedType};

/// Tables of the database `shop`, but for `shop.noise`.
fn tables() -> Tables {
    Tables::new(Selection {
        databases: ["shop".to_owned()].into(),
        excluded: [TableName::new("shop", "noise")].into(),
        ..Selection::default()
    })
}

/// Decodes a table map, as it comes inside of a transaction.
fn with_map<T>(body: &[u8], then: impl FnOnce(&TableMapEvent<'_>) -> T) -> T {
    let mut stream = Stream::new(false);
    let mut decoder = Decoder::new(Position::File {
        at: crate::position::FileOffset::default(),
    });
    decoder
        .event(&stream.event(15, &testing::format_description(0, false)))
        .unwrap();
    decoder
        .event(&stream.event(2, &testing::query("shop", "BEGIN")))
        .unwrap();
    let event = stream.event(19, body);
    let (_, Item::TableMap(map)) = decoder.event(&event).unwrap() else {
        panic!("a table map")
    };
    then(&map)
}

fn body(table_id: u64, database: &str, table: &str) -> Vec<u8> {
    testing::table_map(table_id, database, table, &testing::shape_of_one_int())
}

fn plan(definition: &TableDefinition) -> Arc<TablePlan> {
    let to = Destination {
        topic: definition.name.to_string(),
        partitions: 1,
        key_schema_id: None,
        value_schema_id: 1,
    };
    Arc::new(TablePlan::new(definition, false, &to).unwrap())
}

/// Shows a table map; true if a plan was asked for, which it then gets.
#[track_caller]
fn asks(tables: &mut Tables, body: &[u8]) -> bool {
    with_map(body, |map| match tables.table_map(map).unwrap() {
        Lookup::Ready | Lookup::Unnamed | Lookup::Helper(_) => false,
        Lookup::New(definition) => {
            assert_eq!(definition.name, TableName::new(map.database, map.table));
            tables.install(map, plan(&definition));
            true
        }
    })
}

/// The table that rows of an id are read with.
fn table_of(tables: &Tables, table_id: u64) -> Option<String> {
    tables
        .plan(table_id)
        .unwrap()
        .map(|plan| plan.name().to_string())
}

#[test]
fn a_table_map_that_is_known_asks_only_once() {
    let mut tables = tables();
    let orders = body(1, "shop", "orders");
    assert!(asks(&mut tables, &orders));
    for _ in 0..3 {
        assert!(!asks(&mut tables, &orders));
        assert_eq!(table_of(&tables, 1), Some("shop.orders".into()));
        tables.end_transaction();
    }
    // Another id is another map, though its table is the same.
    assert!(asks(&mut tables, &body(2, "shop", "orders")));
}

#[test]
fn a_ddl_ends_every_version_even_if_the_next_table_map_is_identical() {
    let mut tables = tables();
    let maps = [body(1, "shop", "orders"), body(2, "shop", "people")];
    for map in &maps {
        assert!(asks(&mut tables, map));
    }
    tables.end_transaction();
    tables.end_versions();
    for map in &maps {
        assert!(asks(&mut tables, map));
        assert!(!asks(&mut tables, map));
    }
}

#[test]
fn a_table_map_with_any_other_byte_asks_again() {
    let mut tables = tables();
    let first = body(1, "shop", "orders");
    assert!(asks(&mut tables, &first));
    let mut nullable = first.clone();
    let null_bits = nullable.len() - testing::shape_of_one_int().len() + 3;
    nullable[null_bits] = 1;
    assert!(asks(&mut tables, &nullable));
    assert!(asks(&mut tables, &first));
    assert!(asks(&mut tables, &body(1, "shop", "renamed")));
    assert_eq!(table_of(&tables, 1), Some("shop.renamed".into()));
}

#[test]
fn a_table_that_is_not_selected_never_asks() {
    let mut tables = tables();
    // Its map may even be one that could not be published.
    let damaged = testing::table_map(1, "shop", "noise", &[1]);
    for map in [body(1, "hr", "people"), body(1, "shop", "noise"), damaged] {
        for _ in 0..2 {
            assert!(!asks(&mut tables, &map));
            assert_eq!(table_of(&tables, 1), None);
            tables.end_transaction();
            tables.end_versions();
        }
    }
}

#[test]
fn an_id_that_is_given_to_another_table_is_that_table() {
    let mut tables = tables();
    assert!(asks(&mut tables, &body(1, "shop", "orders")));
    assert!(!asks(&mut tables, &body(1, "hr", "people")));
    assert_eq!(table_of(&tables, 1), None);
    assert!(asks(&mut tables, &body(1, "shop", "orders")));
}

#[test]
fn rows_without_a_table_map_in_their_own_transaction_are_refused() {
    let mut tables = tables();
    assert_eq!(tables.plan(1).unwrap_err(), RowsError { table_id: 1 });
    for map in [body(1, "shop", "orders"), body(2, "hr", "people")] {
        asks(&mut tables, &map);
    }
    tables.plan(1).unwrap();
    tables.plan(2).unwrap();
    tables.end_transaction();
    for table_id in [1, 2, 3] {
        assert_eq!(tables.plan(table_id).unwrap_err(), RowsError { table_id });
    }
    // A map of this transaction brings back its own table only.
    assert!(!asks(&mut tables, &body(1, "shop", "orders")));
    tables.plan(1).unwrap();
    assert_eq!(tables.plan(2).unwrap_err(), RowsError { table_id: 2 });
}

#[test]
fn a_new_file_forgets_every_id() {
    let mut tables = tables();
    let orders = body(1, "shop", "orders");
    assert!(asks(&mut tables, &orders));
    tables.new_file();
    assert_eq!(tables.plan(1).unwrap_err(), RowsError { table_id: 1 });
    assert!(asks(&mut tables, &orders));
}

#[test]
fn old_ids_are_forgotten_but_those_of_the_open_transaction_are_not() {
    let mut tables = tables();
    for table_id in 0..10_000 {
        asks(&mut tables, &body(table_id, "shop", "orders"));
    }
    tables.end_transaction();
    assert!(!asks(&mut tables, &body(17, "shop", "orders")));
    assert!(asks(&mut tables, &body(10_000, "shop", "orders")));
    assert_eq!(tables.by_id.len(), 2);
    assert!(table_of(&tables, 17).is_some() && table_of(&tables, 10_000).is_some());
}

#[test]
fn a_selected_table_that_cannot_be_published_is_refused_by_name() {
    let table = || TableName::new("shop", "t");
    let refused = |shape: &[u8]| {
        with_map(&testing::table_map(1, "shop", "t", shape), |map| {
            tables().table_map(map).unwrap_err()
        })
    };
    let old = refused(&[1, 99, 0, 0, 4, 2, 1, b'f']);
    let kind = UnsupportedType("of an unknown number");
    let expected = DefinitionError::Unsupported {
        table: table(),
        column: "f".into(),
        kind,
    };
    assert_eq!(old, expected);
    assert!(matches!(refused(&[2, 3]), DefinitionError::Damaged { .. }));
}

#[test]
fn a_table_map_without_names_asks_for_the_definition_until_it_gets_a_plan() {
    let mut tables = tables();
    let body = testing::table_map(1, "shop", "t", &[1, 3, 0, 0, 1, 1, 0]);
    let ask = |tables: &mut Tables| {
        with_map(&body, |map| {
            matches!(tables.table_map(map), Ok(Lookup::Unnamed))
        })
    };
    assert!(ask(&mut tables) && ask(&mut tables));
    let definition = with_map(&self::body(1, "shop", "t"), |map| {
        TableDefinition::from_table_map(map).unwrap()
    });
    with_map(&body, |map| tables.install(map, plan(&definition)));
    assert!(!ask(&mut tables));
    tables.end_versions();
    assert!(ask(&mut tables));
}

#[test]
fn a_definition_is_what_the_table_map_says() {
    // id BIGINT UNSIGNED, name VARCHAR(20) utf8mb4 NULL; the key is (name(5), id).
    let shape = [
        &[2, 8, 15, 2, 80, 0, 0b10][..],
        &[1, 1, 0x80, 2, 1, 255 - 210],
        &[4, 8, 2, b'i', b'd', 4, b'n', b'a', b'm', b'e'],
        &[9, 4, 1, 5, 0, 0],
    ]
    .concat();
    let definition = with_map(&testing::table_map(1, "shop", "t", &shape), |map| {
        TableDefinition::from_table_map(map).unwrap()
    });
    let columns: Vec<_> = definition
        .columns
        .iter()
        .map(|column| {
            (
                column.name.as_str(),
                column.column_type.sql(),
                column.nullable,
            )
        })
        .collect();
    let expected = [
        ("id", "bigint unsigned".to_owned(), false),
        ("name", "varchar(20)".to_owned(), true),
    ];
    assert_eq!(columns, expected);
    assert!(matches!(
        definition.columns[1].column_type,
        ColumnType::Text(_)
    ));
    let key: Vec<_> = definition
        .key_columns()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(key, ["name", "id"]);
}
