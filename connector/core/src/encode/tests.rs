//! Whole envelopes, read back by the Avro library with the schemas that consumers get.

mod changes;
mod evolution;
mod keys;
mod kinds;
mod partial;
mod split;

use serde_json::{Value, json};

use super::{
    Batch, Destination, EncodeErrorKind, Encoder, RowsSource, TablePlan, TopicPartition,
    TransactionsTopic, partition_of,
};
use crate::avro::{SchemaNames, TRANSACTIONS_KEY, TRANSACTIONS_VALUE, key_schema, value_schema};
use crate::decode::{RowsEvent, RowsKind, Transaction};
use crate::position::{FileOffset, Gtid, GtidSource, MysqlGtid, Uuid};
use crate::schema::{Column, TableDefinition};
use crate::selection::TableName;
use crate::testing::{Random, oracle};
use crate::value::{Charset, ColumnType, Decimal, Integer, Temporal, Text, ValueError};

const INT: ColumnType = ColumnType::Integer(Integer {
    bytes: 4,
    unsigned: false,
});
const TEXT: ColumnType = ColumnType::Text(Text::VarChar {
    bytes_max: 80,
    charset: Charset::Utf8mb4,
});
const CODE: ColumnType = ColumnType::Text(Text::Char {
    bytes_max: 2,
    charset: Charset::Ascii,
});
const DATETIME: ColumnType = ColumnType::Temporal(Temporal::DateTime { fraction: 0 });
const PRICE: ColumnType = ColumnType::Decimal(Decimal {
    precision: 5,
    scale: 2,
    unsigned: false,
});

const KEY_ID: u32 = 7;
const VALUE_ID: u32 = 0x0102_0304;
const MICROS: i64 = 1_700_000_000_123_456;

fn definition(columns: &[(&str, ColumnType, bool)], primary_key: &[usize]) -> TableDefinition {
    TableDefinition {
        name: TableName::new("shop", "t"),
        columns: columns
            .iter()
            .map(|(name, column_type, nullable)| Column {
                name: (*name).to_owned(),
                column_type: column_type.clone(),
                nullable: *nullable,
                declared: None,
            })
            .collect(),
        primary_key: primary_key.to_vec(),
        message_key: Vec::new(),
        packing: String::new(),
    }
}

/// The key is (code, id), in another order than the columns.
fn orders() -> TableDefinition {
    definition(
        &[
            ("id", INT, false),
            ("note", TEXT, true),
            ("code", CODE, false),
            ("at", DATETIME, false),
            ("price", PRICE, true),
        ],
        &[2, 0],
    )
}

fn int(value: i32) -> Option<Vec<u8>> {
    Some(value.to_le_bytes().to_vec())
}

fn text(value: &str) -> Option<Vec<u8>> {
    Some([&[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat())
}

/// 2024-02-29 12:34:56
const LEAP_DAY: [u8; 5] = [0x99, 0xb2, 0xba, 0xc8, 0xb8];
const LEAP_DAY_MICROS: i64 = 1_709_210_096_000_000;

fn leap_day() -> Option<Vec<u8>> {
    Some(LEAP_DAY.to_vec())
}

fn zero_date() -> Option<Vec<u8>> {
    Some(vec![0x80, 0, 0, 0, 0])
}

/// A row as it is packed: which values are null, then those that are not.
fn image(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut nulls = vec![0_u8; values.len().div_ceil(8)];
    for (index, _) in values
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_none())
    {
        nulls[index / 8] |= 1 << (index % 8);
    }
    nulls.extend(values.iter().flatten().flatten());
    nulls
}

fn order(id: i32, note: Option<&str>, code: &str, price: Option<&[u8]>) -> Vec<u8> {
    let note = note.and_then(text);
    image(&[
        int(id),
        note,
        text(code),
        leap_day(),
        price.map(<[u8]>::to_vec),
    ])
}

fn order_json(id: i32, note: Option<&str>, code: &str, price: Option<i64>) -> Value {
    let price = price.map(|cents| {
        let bytes = cents.to_be_bytes();
        let sign_only = (0..7)
            .take_while(|at| bytes[*at..*at + 2] == [0, bytes[at + 1] & 0x7f])
            .count();
        json!(bytes[sign_only..])
    });
    json!({"id": id, "note": note, "code": code, "at": LEAP_DAY_MICROS, "price": price})
}

fn transaction(gtid: Option<u64>) -> Transaction {
    let source = GtidSource {
        uuid: Uuid([0x11; 16]),
        tag: None,
    };
    Transaction {
        gtid: gtid.map(|sequence| Gtid::Mysql(MysqlGtid { source, sequence })),
        first: Some(FileOffset {
            file: "binlog.000002".into(),
            offset: 157,
        }),
        commit_time_us: MICROS,
        thread_id: Some(9),
        is_xa: false,
    }
}

fn transactions_topic() -> TransactionsTopic {
    TransactionsTopic {
        target: TopicPartition {
            topic: "bridge.transactions".into(),
            partition: 0,
        },
        key_schema_id: 21,
        value_schema_id: 22,
        ends: true,
    }
}

/// An encoder with the plan of one table.
struct Case {
    definition: TableDefinition,
    plan: TablePlan,
    encoder: Encoder,
    batch: Batch,
    at: FileOffset,
}

impl Case {
    fn new(definition: TableDefinition, partitions: i32) -> Self {
        Self::with(definition, partitions, 1 << 20, transactions_topic())
    }

    fn with(
        definition: TableDefinition,
        partitions: i32,
        record_bytes_max: usize,
        transactions: TransactionsTopic,
    ) -> Self {
        let to = Destination {
            topic: format!("bridge.{}", definition.name),
            partitions,
            key_schema_id: (!definition.key().is_empty()).then_some(KEY_ID),
            value_schema_id: VALUE_ID,
        };
        Self {
            plan: TablePlan::new(&definition, false, &to).unwrap(),
            definition,
            encoder: Encoder::new("bridge", record_bytes_max, transactions),
            batch: Batch::default(),
            at: FileOffset {
                file: "binlog.000002".into(),
                offset: 400,
            },
        }
    }

    fn rows(&mut self, kind: RowsKind, images: &[u8]) -> Result<u64, EncodeErrorKind> {
        self.rows_of(kind, images, &transaction(Some(5)))
    }

    fn rows_of(
        &mut self,
        kind: RowsKind,
        images: &[u8],
        transaction: &Transaction,
    ) -> Result<u64, EncodeErrorKind> {
        let present = vec![0xff; self.definition.columns.len().div_ceil(8)];
        let event = RowsEvent {
            kind,
            table_id: 1,
            columns: self.definition.columns.len(),
            present: &present,
            present_after: (kind == RowsKind::Update).then_some(&present),
            has_changes: false,
            images,
        };
        let source = RowsSource {
            server_id: 3,
            at: &self.at,
            transaction,
        };
        let result = self
            .encoder
            .rows(&self.plan, &event, &source, &mut self.batch);
        result.map_err(|error| {
            assert_eq!((&error.table, &error.at), (&self.definition.name, &self.at));
            error.kind
        })
    }

    fn truncate(&mut self) {
        let transaction = transaction(None);
        let source = RowsSource {
            server_id: 3,
            at: &self.at,
            transaction: &transaction,
        };
        self.encoder
            .truncate(&self.plan, &source, &mut self.batch)
            .unwrap();
    }

    fn end(&mut self, transaction: &Transaction) {
        let end = FileOffset {
            file: "binlog.000002".into(),
            offset: 900,
        };
        self.encoder
            .end(transaction, &end, &mut self.batch)
            .unwrap();
    }

    /// All records, read by the oracle: (partition, key, value).
    fn records(&self) -> Vec<(i32, Value, Value)> {
        let names = SchemaNames::new("bridge", &self.definition.name);
        let key = key_schema(&names, &self.definition).unwrap_or_default();
        let value = value_schema(&names, &self.definition, self.plan.is_widened()).unwrap();
        let mut records = Vec::new();
        for (target, arena) in self.batch.arenas() {
            for record in arena.records() {
                let (key_bytes, value_bytes) = arena.get(*record).unwrap();
                if *target.topic == *"bridge.transactions" {
                    let schema = |text: &str| serde_json::from_str(text).unwrap();
                    let key = read(&schema(TRANSACTIONS_KEY), 21, key_bytes.unwrap());
                    let value = read(&schema(TRANSACTIONS_VALUE), 22, value_bytes.unwrap());
                    records.push((target.partition, key, value));
                    continue;
                }
                let key = key_bytes.map_or(Value::Null, |bytes| read(&key, KEY_ID, bytes));
                if let Some(bytes) = key_bytes {
                    let count = i32::try_from(self.plan.targets().len()).unwrap();
                    assert_eq!(target.partition, partition_of(&bytes[5..], count));
                }
                records.push((
                    target.partition,
                    key,
                    read(&value, VALUE_ID, value_bytes.unwrap()),
                ));
            }
        }
        records
    }

    /// The records without what is the same in all of them: [op, key, before, after].
    fn changes(&self) -> Vec<Value> {
        let records = self.records();
        let change = |(_, key, value): &(i32, Value, Value)| {
            json!([value["op"], key, value["before"], value["after"]])
        };
        records.iter().map(change).collect()
    }
}

/// Reads a record in the wire format of the registry.
fn read(schema: &Value, id: u32, bytes: &[u8]) -> Value {
    assert_eq!(bytes[0], 0);
    assert_eq!(bytes[1..5], id.to_be_bytes());
    Value::try_from(oracle(schema, &bytes[5..])).unwrap()
}

#[test]
fn a_whole_envelope_says_what_happened_where_and_when() {
    let mut case = Case::new(orders(), 1);
    let images = order(-5, Some("ä"), "x", Some(&[0x80, 0x0c, 0x22]));
    assert_eq!(case.rows(RowsKind::Write, &images), Ok(1));
    let gtid = "11111111-1111-1111-1111-111111111111:5";
    let expected = json!({
        "before": null,
        "after": {"id": -5, "note": "ä", "code": "x", "at": LEAP_DAY_MICROS, "price": [0x04, 0xd2]},
        "source": {
            "version": "1", "connector": "mysql", "name": "bridge",
            "ts_ms": MICROS / 1000, "snapshot": "false", "db": "shop", "sequence": null,
            "ts_us": MICROS, "ts_ns": MICROS * 1000, "table": "t", "server_id": 3, "gtid": gtid,
            "file": "binlog.000002", "pos": 400, "row": 0, "thread": 9, "query": null,
            "unset_before": [], "unset_after": [], "invalid_before": [], "invalid_after": [],
        },
        "transaction": {"id": gtid, "total_order": 1, "data_collection_order": 1},
        "op": "c", "ts_ms": MICROS / 1000, "ts_us": MICROS, "ts_ns": MICROS * 1000,
    });
    assert_eq!(
        case.records(),
        [(0, json!({"code": "x", "id": -5}), expected)]
    );
}

#[test]
fn inserts_updates_and_deletes_carry_the_images_that_they_have() {
    let (one, two) = (
        order(1, None, "a", None),
        order(2, Some(""), "b", Some(&[0x80, 0, 1])),
    );
    let (one_json, two_json) = (
        order_json(1, None, "a", None),
        order_json(2, Some(""), "b", Some(1)),
    );
    let changed = order(1, Some("new"), "a", None);
    let changed_json = order_json(1, Some("new"), "a", None);
    let key = json!({"code": "a", "id": 1});
    let other = json!({"code": "b", "id": 2});
    for (kind, images, expected) in [
        (
            RowsKind::Write,
            [one.clone(), two.clone()].concat(),
            vec![
                json!(["c", key, null, one_json]),
                json!(["c", other, null, two_json]),
            ],
        ),
        (
            RowsKind::Delete,
            [one.clone(), two.clone()].concat(),
            vec![
                json!(["d", key, one_json, null]),
                json!(["d", other, two_json, null]),
            ],
        ),
        (
            RowsKind::Update,
            [one.clone(), changed.clone()].concat(),
            vec![json!(["u", key, one_json, changed_json])],
        ),
        // Another key is another entity.
        (
            RowsKind::Update,
            [one.clone(), two.clone(), one.clone(), changed].concat(),
            vec![
                json!(["d", key, one_json, null]),
                json!(["c", other, null, two_json]),
                json!(["u", key, one_json, changed_json]),
            ],
        ),
    ] {
        let mut case = Case::new(orders(), 1);
        let count = u64::try_from(expected.len()).unwrap();
        assert_eq!(case.rows(kind, &images), Ok(count));
        assert_eq!(case.changes(), expected);
    }
}

#[test]
fn an_update_that_changes_only_the_case_of_a_key_changes_the_key() {
    let mut case = Case::new(orders(), 1);
    let images = [order(1, None, "a", None), order(1, None, "A", None)].concat();
    assert_eq!(case.rows(RowsKind::Update, &images), Ok(2));
}

#[test]
fn a_table_without_a_primary_key_has_null_keys_on_the_first_partition() {
    let definition = definition(&[("id", INT, true)], &[]);
    let mut case = Case::new(definition, 5);
    let images = [image(&[int(1)]), image(&[None])].concat();
    assert_eq!(case.rows(RowsKind::Update, &images), Ok(1));
    assert_eq!(case.rows(RowsKind::Write, &images), Ok(2));
    assert_eq!(
        case.changes(),
        [
            json!(["u", null, {"id": 1}, {"id": null}]),
            json!(["c", null, null, {"id": 1}]),
            json!(["c", null, null, {"id": null}]),
        ]
    );
    assert!(
        case.records()
            .iter()
            .all(|(partition, _, _)| *partition == 0)
    );
}

#[test]
fn a_date_in_the_key_is_no_union_there_but_one_in_the_value() {
    let definition = definition(&[("at", DATETIME, false), ("id", INT, false)], &[0, 1]);
    let mut case = Case::new(definition.clone(), 3);
    assert_eq!(
        case.rows(RowsKind::Write, &image(&[leap_day(), int(4)])),
        Ok(1)
    );
    let row = json!({"at": LEAP_DAY_MICROS, "id": 4});
    assert_eq!(case.changes(), [json!(["c", row, null, row])]);
    let mut case = Case::new(definition, 3);
    let column = "at".to_owned();
    let result = case.rows(RowsKind::Write, &image(&[zero_date(), int(4)]));
    assert_eq!(result, Err(EncodeErrorKind::InvalidKey { column }));
}

#[test]
fn invalid_dates_are_null_and_named_for_the_image_that_has_them() {
    let definition = definition(
        &[
            ("id", INT, false),
            ("born", DATETIME, true),
            ("died-at", DATETIME, false),
        ],
        &[0],
    );
    let row = |id, born: Option<Vec<u8>>, died: Option<Vec<u8>>| image(&[int(id), born, died]);
    let images = [
        row(1, zero_date(), zero_date()),
        row(1, leap_day(), zero_date()),
        row(1, leap_day(), zero_date()),
        row(2, zero_date(), leap_day()),
    ];
    let mut case = Case::new(definition, 1);
    assert_eq!(case.rows(RowsKind::Update, &images.concat()), Ok(3));
    let named: Vec<_> = case
        .records()
        .iter()
        .map(|(_, _, value)| {
            let source = &value["source"];
            json!([
                value["op"],
                source["row"],
                source["invalid_before"],
                source["invalid_after"]
            ])
        })
        .collect();
    assert_eq!(
        named,
        [
            json!(["u", 0, ["born", "died-at"], ["died-at"]]),
            json!(["d", 1, ["died-at"], []]),
            json!(["c", 1, [], ["born"]]),
        ]
    );
    let records = case.records();
    assert_eq!(
        records[0].2["before"],
        json!({"id": 1, "born": null, "died_at": null})
    );
    assert_eq!(
        records[2].2["after"],
        json!({"id": 2, "born": null, "died_at": LEAP_DAY_MICROS})
    );
}

#[test]
fn a_null_where_none_can_be_is_refused() {
    let mut case = Case::new(orders(), 1);
    for (values, expected) in [
        (
            [None, None, text("a"), leap_day(), None],
            EncodeErrorKind::NullKey {
                column: "id".into(),
            },
        ),
        (
            [int(1), None, None, leap_day(), None],
            EncodeErrorKind::NullKey {
                column: "code".into(),
            },
        ),
        (
            [int(1), None, text("a"), None, None],
            EncodeErrorKind::Null {
                column: "at".into(),
            },
        ),
    ] {
        assert_eq!(case.rows(RowsKind::Write, &image(&values)), Err(expected));
    }
}

#[test]
fn every_null_pattern_of_many_columns_is_read_right() {
    let names: Vec<String> = (0..17).map(|index| format!("c{index}")).collect();
    let columns: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), INT, true))
        .collect();
    let definition = definition(&columns, &[]);
    let mut random = Random::new(5);
    for round in 0..200_u64 {
        let bits = if round < 17 {
            1 << round
        } else {
            random.next()
        };
        let value = |index: usize| (bits >> index & 1 == 0).then(|| i32::try_from(index).unwrap());
        let values: Vec<_> = (0..17).map(|index| value(index).and_then(int)).collect();
        let mut case = Case::new(definition.clone(), 1);
        assert_eq!(case.rows(RowsKind::Write, &image(&values)), Ok(1));
        let after = &case.records()[0].2["after"];
        for (index, name) in names.iter().enumerate() {
            assert_eq!(after[name], json!(value(index)));
        }
    }
}

#[test]
fn rows_are_counted_over_the_transaction_and_over_each_table() {
    let mut case = Case::new(orders(), 1);
    let other = Case::new(definition(&[("id", INT, false)], &[0]), 1);
    let two = [order(1, None, "a", None), order(2, None, "a", None)].concat();
    case.rows(RowsKind::Write, &two).unwrap();
    // Another table of the same transaction.
    let renamed = TableDefinition {
        name: TableName::new("shop", "u"),
        ..other.definition
    };
    let to = Destination {
        topic: "bridge.shop.u".into(),
        partitions: 1,
        key_schema_id: Some(KEY_ID),
        value_schema_id: VALUE_ID,
    };
    let plan = TablePlan::new(&renamed, false, &to).unwrap();
    let event = RowsEvent {
        kind: RowsKind::Write,
        table_id: 2,
        columns: 1,
        present: &[1],
        present_after: None,
        has_changes: false,
        images: &image(&[int(1)]),
    };
    let transaction = transaction(Some(5));
    let source = RowsSource {
        server_id: 3,
        at: &case.at,
        transaction: &transaction,
    };
    assert_eq!(
        case.encoder
            .rows(&plan, &event, &source, &mut Batch::default()),
        Ok(1)
    );
    // The key changes: two events, in another event of the binlog.
    case.at.offset += 100;
    let update = [order(1, None, "a", None), order(3, None, "a", None)].concat();
    case.rows(RowsKind::Update, &update).unwrap();
    let counted: Vec<_> = case
        .records()
        .iter()
        .map(|(_, _, value)| {
            let block = &value["transaction"];
            json!([
                value["source"]["row"],
                block["total_order"],
                block["data_collection_order"]
            ])
        })
        .collect();
    assert_eq!(
        counted,
        [
            json!([0, 1, 1]),
            json!([1, 2, 2]),
            json!([0, 4, 3]),
            json!([0, 5, 4])
        ]
    );
    assert!(case.encoder.has_rows());
    case.end(&transaction);
    assert!(!case.encoder.has_rows());
    let gtid = "11111111-1111-1111-1111-111111111111:5";
    let end = json!({
        "status": "END", "id": gtid, "event_count": 5,
        "data_collections": [
            {"data_collection": "shop.t", "event_count": 4},
            {"data_collection": "shop.u", "event_count": 1},
        ],
        "ts_ms": MICROS / 1000, "file": "binlog.000002", "pos": 900, "gtid": gtid, "part": null,
        "gap": null,
    });
    assert_eq!(case.records().last(), Some(&(0, json!({"id": gtid}), end)));
}

#[test]
fn a_transaction_without_rows_has_no_end_record_and_the_next_begins_at_one() {
    let mut case = Case::new(orders(), 1);
    case.end(&transaction(Some(4)));
    assert!(case.batch.is_empty());
    let row = order(1, None, "a", None);
    for sequence in [5, 6] {
        case.rows_of(RowsKind::Write, &row, &transaction(Some(sequence)))
            .unwrap();
        case.end(&transaction(Some(sequence)));
    }
    // Without GTIDs a transaction is named by where it begins.
    case.rows_of(RowsKind::Write, &row, &transaction(None))
        .unwrap();
    let ids: Vec<_> = case
        .records()
        .iter()
        .filter(|(_, _, value)| value["op"] == "c")
        .map(|(_, _, value)| {
            json!([
                value["transaction"]["id"],
                value["transaction"]["total_order"],
                value["source"]["gtid"]
            ])
        })
        .collect();
    let gtid = |sequence| format!("11111111-1111-1111-1111-111111111111:{sequence}");
    assert_eq!(
        ids,
        [
            json!([gtid(5), 1, gtid(5)]),
            json!([gtid(6), 1, gtid(6)]),
            json!(["file=binlog.000002,pos=157", 1, null]),
        ]
    );
}

#[test]
fn without_transaction_marks_there_is_no_block_and_no_end() {
    let topic = TransactionsTopic {
        ends: false,
        ..transactions_topic()
    };
    let mut case = Case::with(orders(), 1, 1 << 20, topic);
    case.rows(RowsKind::Write, &order(1, None, "a", None))
        .unwrap();
    case.end(&transaction(Some(5)));
    let records = case.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].2["transaction"], Value::Null);
}

#[test]
fn a_truncate_reaches_every_partition_once() {
    let mut case = Case::new(orders(), 4);
    case.truncate();
    let records = case.records();
    let partitions: Vec<_> = records.iter().map(|(partition, _, _)| *partition).collect();
    assert_eq!(partitions, [0, 1, 2, 3]);
    for (_, key, value) in &records {
        assert_eq!(
            json!([value["op"], key, value["before"], value["after"]]),
            json!(["t", null, null, null])
        );
        assert_eq!(value, &records[0].2);
    }
}

#[test]
fn the_partition_depends_on_the_key_but_not_on_its_schema_id() {
    let mut random = Random::new(6);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let mut case = Case::new(orders(), 7);
        let id = i32::try_from(random.below(1 << 31)).unwrap();
        // `records` compares each partition with that of the bare key.
        case.rows(RowsKind::Write, &order(id, None, "a", None))
            .unwrap();
        seen.insert(case.records()[0].0);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_record_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let row = order(1, Some("a note"), "a", None);
    let mut case = Case::new(orders(), 1);
    case.rows(RowsKind::Write, &row).unwrap();
    let size = case.batch.bytes();
    let mut case = Case::with(orders(), 1, size, transactions_topic());
    assert_eq!(case.rows(RowsKind::Write, &row), Ok(1));
    let mut case = Case::with(orders(), 1, size - 1, transactions_topic());
    let expected = EncodeErrorKind::TooLarge {
        size,
        limit: size - 1,
    };
    assert_eq!(case.rows(RowsKind::Write, &row), Err(expected));
}

#[test]
fn an_image_that_ends_too_early_is_refused_at_every_byte() {
    for (kind, images) in [
        (
            RowsKind::Write,
            order(1, Some("a note"), "ab", Some(&[0x80, 0, 1])),
        ),
        (
            RowsKind::Delete,
            order(1, Some("a note"), "ab", Some(&[0x80, 0, 1])),
        ),
        (
            RowsKind::Update,
            order(1, Some("a note"), "ab", Some(&[0x80, 0, 1])).repeat(2),
        ),
    ] {
        for len in 1..images.len() {
            let mut case = Case::new(orders(), 1);
            let error = case.rows(kind, &images[..len]).unwrap_err();
            let is_cut = matches!(
                error,
                EncodeErrorKind::Truncated
                    | EncodeErrorKind::Value {
                        kind: ValueError::Truncated,
                        ..
                    }
            );
            assert!(is_cut, "{kind:?} cut to {len}: {error:?}");
            assert!(case.batch.is_empty());
        }
        // An event without rows is none.
        assert_eq!(Case::new(orders(), 1).rows(kind, &[]), Ok(0));
    }
}

#[test]
fn an_event_that_does_not_fit_the_definition_is_refused() {
    let case = Case::new(orders(), 1);
    for (columns, present, expected) in [
        (4, 0xff, EncodeErrorKind::ColumnCount { event: 4, table: 5 }),
        (6, 0xff, EncodeErrorKind::ColumnCount { event: 6, table: 5 }),
        (5, 0b0000_1111, EncodeErrorKind::PartialImage),
        (5, 0b0001_1110, EncodeErrorKind::PartialImage),
    ] {
        for kind in [RowsKind::Write, RowsKind::Update] {
            let event = RowsEvent {
                kind,
                table_id: 1,
                columns,
                present: &[0xff],
                present_after: Some(&[present]),
                has_changes: false,
                images: &[],
            };
            let event = if kind == RowsKind::Write {
                RowsEvent {
                    present: &[present],
                    present_after: None,
                    ..event
                }
            } else {
                event
            };
            assert_eq!(case.plan.check(&event), Err(expected.clone()));
        }
    }
}

#[test]
fn rows_of_no_columns_are_refused_instead_of_being_read_for_ever() {
    let definition = definition(&[], &[]);
    for kind in [RowsKind::Write, RowsKind::Delete, RowsKind::Update] {
        let result = Case::new(definition.clone(), 1).rows(kind, b"left");
        assert_eq!(
            result,
            Err(EncodeErrorKind::ColumnCount { event: 0, table: 0 })
        );
    }
}

#[test]
fn columns_that_share_a_name_in_avro_are_refused() {
    let definition = definition(&[("a-b", INT, false), ("a_b", INT, false)], &[]);
    let to = Destination {
        topic: "x".into(),
        partitions: 1,
        key_schema_id: None,
        value_schema_id: 1,
    };
    let error = TablePlan::new(&definition, false, &to).unwrap_err();
    assert_eq!(
        (&*error.first, &*error.second, &*error.field),
        ("a-b", "a_b", "a_b")
    );
}

fn random_type(random: &mut Random) -> ColumnType {
    let fraction = u8::try_from(random.below(7)).unwrap();
    let charset = *random.pick(&[Charset::Utf8mb4, Charset::Utf8mb3, Charset::Ascii]);
    let bytes_max = *random.pick(&[1, 255, 256, 1020]);
    match random.below(8) {
        0 | 1 => {
            let bytes = *random.pick(&[1, 2, 3, 4, 8]);
            ColumnType::Integer(Integer {
                bytes,
                unsigned: random.below(2) == 0,
            })
        }
        2 => {
            let precision = u8::try_from(random.below(65) + 1).unwrap();
            let scale = u8::try_from(random.below(31)).unwrap().min(precision);
            ColumnType::Decimal(Decimal {
                precision,
                scale,
                unsigned: false,
            })
        }
        3 => ColumnType::Text(Text::Char { bytes_max, charset }),
        4 => ColumnType::Text(Text::VarChar { bytes_max, charset }),
        5 => ColumnType::Text(Text::Blob {
            length_bytes: *random.pick(&[1, 2, 3, 4]),
            charset,
        }),
        6 => ColumnType::Temporal(Temporal::DateTime { fraction }),
        _ => ColumnType::Temporal(Temporal::Timestamp { fraction }),
    }
}

#[test]
fn random_images_never_panic_and_what_is_accepted_is_read_by_the_oracle() {
    let mut random = Random::new(7);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..4000 {
        let count = random.below(10) + 1;
        let names: Vec<String> = (0..count).map(|index| format!("c{index}")).collect();
        let columns: Vec<_> = names
            .iter()
            .map(|name| {
                (
                    name.as_str(),
                    random_type(&mut random),
                    random.below(2) == 0,
                )
            })
            .collect();
        let key: Vec<_> = (0..columns.len())
            .filter(|_| random.below(3) == 0)
            .rev()
            .collect();
        let partitions = i32::try_from(random.below(4) + 1).unwrap();
        let mut case = Case::with(
            definition(&columns, &key),
            partitions,
            1 << 20,
            transactions_topic(),
        );
        let kind = *random.pick(&[RowsKind::Write, RowsKind::Update, RowsKind::Delete]);
        let len = random.below(200);
        // Small bytes make short texts and real digits, of which more is accepted.
        let top = *random.pick(&[2, 4, 16, 256]);
        let images: Vec<u8> = random
            .bytes(len)
            .into_iter()
            .map(|byte| u8::try_from(u64::from(byte) % top).unwrap())
            .collect();
        match case.rows(kind, &images) {
            Ok(count) => {
                accepted += count;
                case.end(&transaction(Some(5)));
            }
            Err(_) => refused += 1,
        }
        // What came before a refused row is thrown away, but is well formed.
        case.records();
    }
    assert!(
        accepted > 500 && refused > 500,
        "{accepted} accepted, {refused} refused"
    );
}
