//! Source transactions in more than one Kafka transaction.

use serde_json::{Value, json};

use super::{Case, order, orders, transaction, transactions_topic};
use crate::decode::RowsKind;
use crate::encode::{Batch, EncodeErrorKind, Gap, MarkError, SplitError, push_gap};
use crate::position::{FileOffset, Position};
use crate::selection::TableName;
use crate::state::{Split, SplitTable, TransactionIdentity};

const ID: &str = "11111111-1111-1111-1111-111111111111:5";

fn end() -> FileOffset {
    FileOffset {
        file: "binlog.000002".into(),
        offset: 700,
    }
}

fn end_part(case: &mut Case) -> Split {
    case.encoder
        .end_part(&transaction(Some(5)), &end(), &mut case.batch)
        .unwrap()
}

/// Three rows, the last of which changes its key, and thus makes four records.
fn first_part(case: &mut Case) {
    let two = [order(1, None, "a", None), order(2, None, "a", None)].concat();
    case.rows(RowsKind::Write, &two).unwrap();
    let moved = [order(1, None, "a", None), order(3, None, "a", None)].concat();
    case.rows(RowsKind::Update, &moved).unwrap();
}

fn second_part(case: &mut Case) {
    case.rows(RowsKind::Delete, &order(3, None, "a", None))
        .unwrap();
    case.end(&transaction(Some(5)));
}

fn split(rows: u64) -> Split {
    let name = TableName::new("shop", "t");
    Split {
        id: ID.into(),
        identity: TransactionIdentity::of(&transaction(Some(5))).unwrap(),
        parts: 1,
        tables: vec![SplitTable { name, rows }],
    }
}

#[test]
fn each_part_ends_with_a_mark_and_counts_go_on_over_all_parts() {
    let mut case = Case::new(orders(), 1);
    first_part(&mut case);
    assert_eq!(end_part(&mut case), split(3));
    second_part(&mut case);
    let marks: Vec<Value> = case
        .records()
        .into_iter()
        .filter_map(|(_, _, value)| value.get("status").is_some().then_some(value))
        .map(|mark| {
            json!([
                mark["status"],
                mark["id"],
                mark["event_count"],
                mark["part"],
                mark["pos"]
            ])
        })
        .collect();
    assert_eq!(
        marks,
        [
            json!(["SPLIT", ID, 4, 1, 700]),
            json!(["END", ID, 5, 2, 900])
        ]
    );
    case.batch.clear();
    case.rows(RowsKind::Write, &order(9, None, "a", None))
        .unwrap();
    case.end(&transaction(Some(5)));
    assert_eq!(
        case.records()[1].2["part"],
        Value::Null,
        "the next one is whole"
    );
}

#[test]
fn what_is_published_is_left_out_when_the_transaction_is_read_again_and_the_rest_has_the_same_bytes()
 {
    let mut whole = Case::new(orders(), 3);
    first_part(&mut whole);
    let published = end_part(&mut whole);
    whole.batch = Batch::default();
    second_part(&mut whole);

    let mut again = Case::new(orders(), 3);
    again.encoder = again.encoder.resume(Some(published));
    first_part(&mut again);
    assert!(again.batch.is_empty());
    second_part(&mut again);
    assert_eq!(again.batch, whole.batch);
}

#[test]
fn a_part_that_ends_before_the_published_rows_are_read_again_takes_nothing_back() {
    let mut case = Case::new(orders(), 1);
    case.encoder = case.encoder.resume(Some(split(3)));
    case.rows(RowsKind::Write, &order(1, None, "a", None))
        .unwrap();
    let split = end_part(&mut case);
    assert_eq!((split.rows(), split.parts), (3, 2));
}

#[test]
fn a_part_without_rows_has_a_mark_without_tables() {
    let mut case = Case::new(orders(), 1);
    assert_eq!(end_part(&mut case).tables, []);
    let mark = &case.records()[0].2;
    assert_eq!(
        (&mark["status"], &mark["data_collections"]),
        (&json!("SPLIT"), &json!([]))
    );
}

#[test]
fn a_rest_that_is_not_where_the_published_part_ends_is_refused() {
    let mut other = Case::new(orders(), 1);
    other.encoder = other.encoder.resume(Some(Split {
        id: "another:4".into(),
        ..split(1)
    }));
    let error = other
        .rows(RowsKind::Write, &order(1, None, "a", None))
        .unwrap_err();
    assert!(
        matches!(error, EncodeErrorKind::Split(SplitError::Other { .. })),
        "{error}"
    );
    assert!(other.batch.is_empty());

    let mut shorter = Case::new(orders(), 1);
    shorter.encoder = shorter.encoder.resume(Some(split(4)));
    first_part(&mut shorter);
    let result = shorter
        .encoder
        .end(&transaction(Some(5)), &end(), &mut shorter.batch);
    assert!(
        matches!(
            result,
            Err(MarkError::Split(SplitError::Shorter { left: 1, .. }))
        ),
        "{result:?}"
    );
}

#[test]
fn an_end_is_made_though_ends_are_not_asked_for_and_though_none_of_the_rest_is_selected() {
    let mut case = Case::new(orders(), 1);
    case.encoder = case.encoder.resume(Some(Split {
        tables: vec![],
        ..split(0)
    }));
    case.end(&transaction(Some(5)));
    assert_eq!(case.records()[0].2["part"], json!(2));
}

#[test]
fn a_gap_says_where_the_stream_ended_and_where_it_goes_on() {
    let mut case = Case::new(orders(), 1);
    let topic = transactions_topic();
    let at = |file: &str, offset| FileOffset {
        file: file.into(),
        offset,
    };
    let numbered = |numbers: &str, at| Position::Gtid {
        gtid_set: ID.replace(":5", numbers).parse().unwrap(),
        at,
    };
    let ends = [
        (
            Position::File { at: end() },
            None,
            Position::File {
                at: at("binlog.000007", 4),
            },
        ),
        (
            numbered(":1-5", end()),
            Some(1_700_000_000_123),
            numbered(":1-8", at("binlog.000007", 4)),
        ),
    ];
    for (from, from_ts_ms, to) in ends {
        case.batch.clear();
        let gap = Gap {
            reason: "position-purged".into(),
            from,
            from_ts_ms,
            to,
            may_repeat: from_ts_ms.is_none(),
        };
        push_gap(&topic, &gap, &mut case.batch).unwrap();
        let set = |position: &Position| position.gtid_set().map(ToString::to_string);
        let (_, key, value) = &case.records()[0];
        assert_eq!(*key, json!({"id": "file=binlog.000007,pos=4"}));
        let expected = json!({
            "status": "GAP", "id": "file=binlog.000007,pos=4", "event_count": null, "data_collections": null,
            "ts_ms": from_ts_ms.unwrap_or(0), "file": "binlog.000002", "pos": 700, "gtid": null, "part": null,
            "gap": {
                "reason": "position-purged", "from_gtid_set": set(&gap.from), "to_file": "binlog.000007",
                "to_pos": 4, "to_gtid_set": set(&gap.to), "may_repeat": from_ts_ms.is_none(),
            },
        });
        assert_eq!(*value, expected);
    }
}
