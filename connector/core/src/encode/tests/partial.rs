//! Images that lack columns, and documents that are given by their changes.

use super::*;

/// Encodes an event whose images have these columns.
pub(super) fn rows(
    case: &mut Case,
    kind: RowsKind,
    (before, after): (u8, u8),
    has_changes: bool,
    images: &[u8],
) -> Result<u64, EncodeErrorKind> {
    let after = [after];
    let first = [if kind == RowsKind::Write {
        after[0]
    } else {
        before
    }];
    let event = RowsEvent {
        kind,
        table_id: 1,
        columns: case.definition.columns.len(),
        present: &first,
        present_after: (kind == RowsKind::Update).then_some(&after),
        has_changes,
        images,
    };
    let transaction = transaction(Some(5));
    let source = RowsSource {
        server_id: 3,
        at: &case.at,
        transaction: &transaction,
    };
    let result = case
        .encoder
        .rows(&case.plan, &event, &source, &mut case.batch);
    result.map_err(|error| error.kind)
}

pub(super) fn widened(definition: TableDefinition) -> Case {
    let mut case = Case::new(definition, 1);
    let to = Destination {
        topic: "bridge.shop.t".into(),
        partitions: 1,
        key_schema_id: (!case.definition.key().is_empty()).then_some(KEY_ID),
        value_schema_id: VALUE_ID,
    };
    case.plan = TablePlan::new(&case.definition, true, &to).unwrap();
    case
}

/// [op, key, before, after, unset before, unset after]
pub(super) fn changes(case: &Case) -> Vec<Value> {
    let records = case.records();
    let change = |(_, key, value): &(i32, Value, Value)| {
        let unset = |image: &str| value["source"][format!("unset_{image}")].clone();
        let images = [value["before"].clone(), value["after"].clone()];
        json!([
            value["op"],
            key,
            images[0],
            images[1],
            unset("before"),
            unset("after")
        ])
    };
    records.iter().map(change).collect()
}

// Columns of `orders`: id, note, code, at, price; the key is (code, id).
const KEY: u8 = 0b0_0101;
const ALL: u8 = 0b1_1111;

#[test]
fn columns_that_are_not_in_an_image_are_null_and_named() {
    let mut case = widened(orders());
    // An insert that named id, code and price.
    let inserted = image(&[int(1), text("a"), None]);
    assert_eq!(
        rows(&mut case, RowsKind::Write, (0, 0b1_0101), false, &inserted),
        Ok(1)
    );
    // An update of the note, by the key.
    let updated = [image(&[int(1), text("a")]), image(&[text("new")])].concat();
    assert_eq!(
        rows(
            &mut case,
            RowsKind::Update,
            (KEY, 0b0_0010),
            false,
            &updated
        ),
        Ok(1)
    );
    let deleted = image(&[int(1), text("a")]);
    assert_eq!(
        rows(&mut case, RowsKind::Delete, (KEY, 0), false, &deleted),
        Ok(1)
    );
    let key = json!({"code": "a", "id": 1});
    let row = |note: Value| json!({"id": 1, "note": note, "code": "a", "at": null, "price": null});
    let (bare, noted) = (row(json!(null)), row(json!("new")));
    let others = json!(["note", "at", "price"]);
    let expected = [
        json!(["c", key, null, bare, [], ["note", "at"]]),
        json!(["u", key, bare, noted, others, ["at", "price"]]),
        json!(["d", key, bare, null, others, []]),
    ];
    assert_eq!(changes(&case), expected);
}

#[test]
fn bits_behind_the_last_column_stand_for_nothing() {
    let mut case = widened(definition(
        &[("id", INT, false), ("a", INT, true), ("note", TEXT, true)],
        &[0],
    ));
    // Seven of eight bits are set, for two of three columns.
    let deleted = image(&[int(1), int(2)]);
    assert_eq!(
        rows(&mut case, RowsKind::Delete, (!0b100, 0), false, &deleted),
        Ok(1)
    );
    let row = json!({"id": 1, "a": 2, "note": null});
    let expected = json!(["d", {"id": 1}, row, null, ["note"], []]);
    assert_eq!(changes(&case), [expected]);
    // Nine columns: of eight in the image the nulls take one byte, not two.
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| (name, INT, true));
    let columns = [&names[..], &[("note", TEXT, true)]].concat();
    let mut case = widened(definition(&columns, &[]));
    let present = [0xff, 0xfe];
    let values = (0..8).map(int).collect::<Vec<_>>();
    let images = image(&values);
    let event = RowsEvent {
        kind: RowsKind::Write,
        table_id: 1,
        columns: 9,
        present: &present,
        present_after: None,
        has_changes: false,
        images: &images,
    };
    let transaction = transaction(None);
    let source = RowsSource {
        server_id: 3,
        at: &case.at,
        transaction: &transaction,
    };
    let made = case
        .encoder
        .rows(&case.plan, &event, &source, &mut case.batch);
    assert_eq!(made, Ok(1));
    assert_eq!(changes(&case)[0][3]["h"], json!(7));
}

#[test]
fn a_row_without_a_column_is_one_row() {
    let mut case = widened(definition(&[("a", INT, true), ("b", INT, true)], &[]));
    assert_eq!(rows(&mut case, RowsKind::Write, (0, 0), false, &[]), Ok(1));
    let row = json!({"a": null, "b": null});
    let expected = json!(["c", null, null, row, [], ["a", "b"]]);
    assert_eq!(changes(&case), [expected]);
    // Set bits are none of a column.
    assert_eq!(
        rows(&mut case, RowsKind::Write, (0, 0xfc), false, &[]),
        Ok(1)
    );
    let bytes = rows(&mut case, RowsKind::Write, (0, 0), false, &[0]);
    assert_eq!(bytes, Err(EncodeErrorKind::BytesOfNothing));
    let update = rows(&mut case, RowsKind::Update, (0, 0), false, &[0]);
    assert_eq!(update, Err(EncodeErrorKind::BytesOfNothing));
}

#[test]
fn a_full_image_of_a_table_that_was_widened_names_nothing() {
    let mut case = widened(orders());
    let full = order(1, Some("n"), "a", None);
    assert_eq!(
        rows(&mut case, RowsKind::Write, (0, ALL), false, &full),
        Ok(1)
    );
    let key = json!({"code": "a", "id": 1});
    let expected = json!(["c", key, null, order_json(1, Some("n"), "a", None), [], []]);
    assert_eq!(changes(&case), [expected]);
}

#[test]
fn a_key_that_is_changed_in_part_takes_the_rest_from_before() {
    let mut case = widened(orders());
    let images = [image(&[int(1), text("a")]), image(&[int(2)])].concat();
    assert_eq!(
        rows(&mut case, RowsKind::Update, (KEY, 0b1), false, &images),
        Ok(2)
    );
    let row = |id| json!({"id": id, "note": null, "code": "a", "at": null, "price": null});
    let others = json!(["note", "at", "price"]);
    let expected = [
        json!(["d", {"code": "a", "id": 1}, row(1), null, others, []]),
        json!(["c", {"code": "a", "id": 2}, null, row(2), [], others]),
    ];
    assert_eq!(changes(&case), expected);
}

#[test]
fn a_key_whose_field_may_be_null_is_taken_from_before_as_a_whole() {
    // A date in the key: its field is a union, for dates that are none.
    let mut case = widened(definition(
        &[("at", DATETIME, false), ("n", INT, false)],
        &[0],
    ));
    let images = [image(&[leap_day()]), image(&[int(5)])].concat();
    assert_eq!(
        rows(&mut case, RowsKind::Update, (0b01, 0b10), false, &images),
        Ok(1)
    );
    let row = |n: Value| json!({"at": LEAP_DAY_MICROS, "n": n});
    let expected = json!([
        "u", {"at": LEAP_DAY_MICROS}, row(json!(null)), row(json!(5)), ["n"], []
    ]);
    assert_eq!(changes(&case), [expected]);
}

#[test]
fn a_key_that_is_nowhere_is_refused() {
    let mut case = widened(orders());
    let error = EncodeErrorKind::KeyNotInImage {
        column: "code".into(),
    };
    let inserted = image(&[int(1)]);
    let result = rows(&mut case, RowsKind::Write, (0, 0b1), false, &inserted);
    assert_eq!(result, Err(error.clone()));
    let result = rows(&mut case, RowsKind::Delete, (0b1, 0), false, &inserted);
    assert_eq!(result, Err(error));
}

#[test]
fn nulls_are_counted_over_the_columns_that_are_there() {
    let mut case = widened(orders());
    // note and price, both NULL, then only price, which is not.
    let key = image(&[int(1), text("a")]);
    let images = [key.clone(), image(&[None, None])].concat();
    assert_eq!(
        rows(&mut case, RowsKind::Update, (KEY, 0b1_0010), false, &images),
        Ok(1)
    );
    let images = [key, image(&[Some(vec![0x80, 0x0c, 0x22])])].concat();
    assert_eq!(
        rows(&mut case, RowsKind::Update, (KEY, 0b1_0000), false, &images),
        Ok(1)
    );
    let found = changes(&case);
    assert_eq!(found[0][5], json!(["at"]));
    assert_eq!(
        (&found[0][3]["note"], &found[0][3]["price"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(found[1][3]["price"], json!([4, 0xd2]));
}

fn document(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(
        [
            &u32::try_from(bytes.len()).unwrap().to_le_bytes()[..],
            bytes,
        ]
        .concat(),
    )
}

/// id, a, b: two documents.
fn documents() -> TableDefinition {
    definition(
        &[
            ("id", INT, false),
            ("a", ColumnType::Json, true),
            ("b", ColumnType::Json, true),
        ],
        &[0],
    )
}

#[test]
fn a_document_is_made_of_the_one_before_and_its_changes() {
    let mut case = widened(documents());
    // [1, 2] and true before; the first cell of b is nothing that changes.
    let array = b"\x02\x02\x00\x0a\x00\x05\x01\x00\x05\x02\x00";
    let before = image(&[int(1), document(array), document(b"\x04\x01")]);
    // $[1] becomes "x".
    let changed = document(b"\x00\x04$[1]\x03\x0c\x01x");
    let after = [
        &[1, 0b01][..],
        &image(&[int(1), changed.clone(), document(b"\x04\x02")]),
    ];
    let images = [before.clone(), after.concat()].concat();
    assert_eq!(
        rows(&mut case, RowsKind::Update, (7, 7), true, &images),
        Ok(1)
    );
    // Only b is in the after image; the bit of a is there all the same. No changes at all.
    let after = [&[1, 0b10][..], &image(&[document(b"")])].concat();
    let images = [before.clone(), after].concat();
    assert_eq!(
        rows(&mut case, RowsKind::Update, (7, 0b100), true, &images),
        Ok(1)
    );
    // A row of the event whose documents are whole.
    let images = [before, [&[0][..], &image(&[int(1), None, None])].concat()].concat();
    assert_eq!(
        rows(&mut case, RowsKind::Update, (7, 7), true, &images),
        Ok(1)
    );
    let found = changes(&case);
    assert_eq!(found[0][2], json!({"id": 1, "a": "[1, 2]", "b": "true"}));
    assert_eq!(
        found[0][3],
        json!({"id": 1, "a": "[1, \"x\"]", "b": "false"})
    );
    assert_eq!(found[1][3], json!({"id": 1, "a": null, "b": "true"}));
    assert_eq!(found[1][5], json!(["a"]));
    assert_eq!(found[2][3], json!({"id": 1, "a": null, "b": null}));
    // Without the document before there is nothing to change.
    let key = image(&[int(1)]);
    let images = [key, [&[1, 1][..], &image(&[changed])].concat()].concat();
    let result = rows(&mut case, RowsKind::Update, (1, 0b10), true, &images);
    let error = EncodeErrorKind::ChangeOfUnknown { column: "a".into() };
    assert_eq!(result, Err(error));
    let images = [image(&[int(1), None, None]), vec![2]].concat();
    let result = rows(&mut case, RowsKind::Update, (7, 7), true, &images);
    assert_eq!(result, Err(EncodeErrorKind::RowOptions));
}
