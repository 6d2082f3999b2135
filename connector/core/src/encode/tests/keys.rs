//! Keys that a configuration chooses.

use super::partial::{changes, rows, widened};
use super::*;
use crate::schema::{DefinitionError, KeyRule};
use crate::selection::{Pattern, TablePattern};
use crate::value::TypeOptions;

fn rule(database: &str, table: &str, columns: &[&str]) -> KeyRule {
    let (database, table) = (Pattern::new(database), Pattern::new(table));
    KeyRule {
        tables: vec![TablePattern { database, table }],
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// `orders` with another key.
fn keyed(columns: &[&str]) -> TableDefinition {
    let rules = [rule("shop", "t", columns)];
    let shown = orders().shown(&TypeOptions::default(), &[], &rules);
    shown.unwrap()
}

#[test]
fn the_first_rule_that_names_the_table_gives_the_key() {
    let rules = [
        rule("crm", "t", &["price"]),
        rule("shop", "?", &["NOTE", "id"]),
        rule("*", "*", &["code"]),
    ];
    let shown = |rules: &[KeyRule]| orders().shown(&TypeOptions::default(), &[], rules);
    let found = shown(&rules).unwrap();
    assert_eq!(
        (found.key(), &*found.primary_key),
        (&[1, 0][..], &[2, 0][..])
    );
    assert_eq!(shown(&rules[..1]).unwrap().key(), [2, 0]);
    let missing = DefinitionError::MessageKey {
        table: TableName::new("shop", "t"),
        column: "customer".into(),
    };
    assert_eq!(shown(&[rule("*", "*", &["customer"])]), Err(missing));
}

#[test]
fn each_column_of_it_is_a_union_whether_it_may_be_null_or_not() {
    let mut case = Case::new(keyed(&["note", "id"]), 3);
    let rows = [order(1, Some("n"), "a", None), order(2, None, "a", None)].concat();
    assert_eq!(case.rows(RowsKind::Write, &rows), Ok(2));
    let key = |id: i32, note: Option<&str>| json!({"note": note, "id": id});
    let row = |id, note| order_json(id, note, "a", None);
    let mut made = case.changes();
    made.sort_by_key(|change| change[1]["id"].as_i64());
    let expected = [
        json!(["c", key(1, Some("n")), null, row(1, Some("n"))]),
        json!(["c", key(2, None), null, row(2, None)]),
    ];
    assert_eq!(made, expected);
    let names = SchemaNames::new("bridge", &case.definition.name);
    let fields = key_schema(&names, &case.definition).unwrap()["fields"].clone();
    let expected = json!([{"name": "note", "type": ["null", "string"]}, {"name": "id", "type": ["null", "int"]}]);
    assert_eq!(fields, expected);
}

#[test]
fn a_change_of_it_is_a_delete_and_a_create_and_one_of_the_primary_key_is_not() {
    let mut case = Case::new(keyed(&["note"]), 1);
    let [old, new] = [order(1, Some("n"), "a", None), order(1, None, "a", None)];
    let images = [&old[..], &new[..]].concat();
    assert_eq!(case.rows(RowsKind::Update, &images), Ok(2));
    let images = [new, order(2, None, "a", None)].concat();
    assert_eq!(case.rows(RowsKind::Update, &images), Ok(1));
    let row = |id, note| order_json(id, note, "a", None);
    let expected = [
        json!(["d", {"note": "n"}, row(1, Some("n")), null]),
        json!(["c", {"note": null}, null, row(1, None)]),
        json!(["u", {"note": null}, row(1, None), row(2, None)]),
    ];
    assert_eq!(case.changes(), expected);
}

#[test]
fn what_is_of_the_primary_key_is_there_in_images_that_lack_it() {
    // The key is `id`; `code` is of the primary key, too.
    let mut case = widened(keyed(&["id"]));
    let images = [image(&[int(1), text("a")]), image(&[text("new")])].concat();
    let made = rows(&mut case, RowsKind::Update, (0b101, 0b10), false, &images);
    assert_eq!(made, Ok(1));
    let row = |note: Value| json!({"id": 1, "note": note, "code": "a", "at": null, "price": null});
    let others = json!(["note", "at", "price"]);
    let expected =
        json!(["u", {"id": 1}, row(json!(null)), row(json!("new")), others, ["at", "price"]]);
    assert_eq!(changes(&case), [expected]);
}

#[test]
fn a_key_that_is_not_in_the_image_is_refused() {
    let mut case = widened(keyed(&["note"]));
    let images = [image(&[int(1), text("a")]), image(&[text("new")])].concat();
    let made = rows(&mut case, RowsKind::Update, (0b101, 0b10), false, &images);
    let column = "note".into();
    assert_eq!(made, Err(EncodeErrorKind::KeyNotInImage { column }));
    // Nothing of it has changed: both images have it from before.
    let images = [image(&[int(1), None, text("a")]), image(&[int(2)])].concat();
    let made = rows(&mut case, RowsKind::Update, (0b111, 0b1), false, &images);
    assert_eq!(made, Ok(1));
}

#[test]
fn a_date_that_is_none_is_refused_in_the_key_only() {
    let mut case = Case::new(keyed(&["at"]), 1);
    let row = |at| image(&[int(1), None, text("a"), at, None]);
    assert_eq!(case.rows(RowsKind::Write, &row(leap_day())), Ok(1));
    let refused = case.rows(RowsKind::Write, &row(zero_date()));
    let column = "at".into();
    assert_eq!(refused, Err(EncodeErrorKind::InvalidKey { column }));
    let mut case = Case::new(keyed(&["id"]), 1);
    assert_eq!(case.rows(RowsKind::Write, &row(zero_date())), Ok(1));
}
