//! Which changes of a schema new readers can follow.

use super::*;

/// `Ok("same")`, `Ok("compatible")`, or the cause of the refusal.
fn check(old: &str, new: &str, expected: &str) {
    let got = match compare("s", old, new) {
        Ok(Change::None) => "same".to_owned(),
        Ok(Change::Compatible) => "compatible".to_owned(),
        Err(SubjectError::Incompatible { cause, .. }) => cause,
        Err(error) => error.to_string(),
    };
    assert_eq!(got, expected, "\nold {old}\nnew {new}");
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"Value","namespace":"t.d.o","fields":[{fields}]}}"#)
}

/// Two records with one field each, whose types are given.
fn check_types(old: &str, new: &str, expected: &str) {
    let field = |kind| record(&format!(r#"{{"name":"a","type":{kind}}}"#));
    check(&field(old), &field(new), expected);
}

#[test]
fn a_registry_that_writes_schemas_anew_gives_back_the_same_schema() {
    let sent = r#"{"type":"record","name":"Envelope","namespace":"t.d","fields":[
        {"name":"before","type":["null",{"type":"record","name":"Value","namespace":"t.d","fields":[
            {"name":"id","type":{"type":"int","mysql.type":"int"},"default":0}]}],"default":null},
        {"name":"after","type":["null","t.d.Value"],"default":null}]}"#;
    let stored = r#"{"type":"record","name":"Envelope","namespace":"t.d","fields":[
        {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
            {"name":"id","type":{"type":"int","mysql.type":"int"},"default":0}]}],"default":null},
        {"name":"after","type":["null","Value"],"default":null}]}"#;
    assert!(decodes_alike(stored, sent));
    for other in [
        ("t.d", "t.e"),
        (r#""int""#, r#""long""#),
        ("\"id\"", "\"di\""),
    ] {
        assert!(
            !decodes_alike(&stored.replace(other.0, other.1), sent),
            "{other:?}"
        );
    }
}

#[test]
fn a_time_is_no_other_number() {
    let field = |kind: &str, sql_type: &str| {
        record(&format!(
            r#"{{"name":"a","type":{kind},"mysql.type":"{sql_type}"}}"#
        ))
    };
    let (time, micros) = (field(r#""long""#, "time"), field(r#""long""#, "time(6)"));
    let number = field(r#""long""#, "bigint");
    check(&time, &micros, "compatible");
    check(&time, &field(r#"["null","long"]"#, "time"), "compatible");
    let became = "field a: microseconds of a TIME became another number";
    check(&time, &number, became);
    check(&micros, &field(r#""double""#, "double"), became);
    let became = "field a: a number became the microseconds of a TIME";
    check(&number, &time, became);
    check(&field(r#""int""#, "int(8) unsigned"), &micros, became);
    check(&field(r#""int""#, "year"), &number, "compatible");
}

#[test]
fn types_change_only_where_old_bytes_keep_their_meaning() {
    let decimal = |precision, scale| {
        format!(
            r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#
        )
    };
    let logical = |kind, name| format!(r#"{{"type":"{kind}","logicalType":"{name}"}}"#);
    let micros = &logical("long", "timestamp-micros");
    let local = &logical("long", "local-timestamp-micros");
    for (old, new, expected) in [
        (r#""int""#, r#"{"type":"int"}"#, "same"),
        (
            r#""int""#,
            r#"{"type":"int","mysql.type":"INT"}"#,
            "compatible",
        ),
        (r#""int""#, r#""long""#, "compatible"),
        (r#""int""#, r#"["null","int"]"#, "compatible"),
        (r#""int""#, r#"["null","long"]"#, "compatible"),
        (r#"["null","int"]"#, r#"["int","null"]"#, "compatible"),
        (r#""string""#, r#""bytes""#, "compatible"),
        (r#""long""#, r#""int""#, "field a: long became int"),
        (r#""int""#, r#""string""#, "field a: int became string"),
        (r#""bytes""#, r#""string""#, "field a: bytes became string"),
        (r#"["null","int"]"#, r#""int""#, "field a: null became int"),
        (
            r#"["null","int"]"#,
            r#"["null","string"]"#,
            "field a: int is not among its types null, string",
        ),
        (
            &decimal(10, 2),
            &decimal(10, 2).replace(",\"scale", ", \"scale"),
            "same",
        ),
        (
            &decimal(10, 2),
            &decimal(12, 2),
            "field a: decimal(10,2) became decimal(12,2)",
        ),
        (
            &decimal(10, 2),
            &decimal(10, 3),
            "field a: decimal(10,2) became decimal(10,3)",
        ),
        (
            &decimal(10, 2),
            r#""bytes""#,
            "field a: decimal(10,2) became bytes",
        ),
        (
            &decimal(20, 0),
            r#""string""#,
            "field a: decimal(20,0) became string",
        ),
        (r#""long""#, micros, "field a: long became timestamp-micros"),
        (micros, r#""long""#, "field a: timestamp-micros became long"),
        (
            micros,
            local,
            "field a: timestamp-micros became local-timestamp-micros",
        ),
        (
            &logical("int", "date"),
            micros,
            "field a: date became timestamp-micros",
        ),
        (
            r#"{"type":"array","items":"int"}"#,
            r#"{"type":"array","items":"string"}"#,
            "field a.[]: int became string",
        ),
    ] {
        check_types(old, new, expected);
    }
}

#[test]
fn fields_come_with_a_default_and_go_at_will() {
    let a = r#"{"name":"a","type":"int"}"#;
    let b = r#"{"name":"b","type":"int","default":7}"#;
    let bare = r#"{"name":"b","type":"int"}"#;
    check(&record(a), &record(&format!("{a},{b}")), "compatible");
    check(&record(&format!("{a},{b}")), &record(a), "compatible");
    check(
        &record(&format!("{a},{bare}")),
        &record(&format!("{bare},{a}")),
        "compatible",
    );
    check(
        &record(a),
        &record(&format!("{a},{bare}")),
        "field b: it is new and has no default",
    );
    let other = record(a).replace("t.d.o", "t.d.p");
    check(
        &record(a),
        &other,
        "the type's name t.d.o.Value became t.d.p.Value",
    );
}

#[test]
fn the_envelope_is_judged_through_its_references() {
    let envelope = |field: &str| {
        format!(
            r#"{{"type":"record","name":"Envelope","namespace":"t.d.o","fields":[
            {{"name":"before","type":["null",{}],"default":null}},
            {{"name":"after","type":["null","Value"],"default":null}},
            {{"name":"op","type":"string"}}]}}"#,
            record(field)
        )
    };
    let int = envelope(r#"{"name":"a","type":"int"}"#);
    check(&int, &envelope(r#"{"type":"int","name":"a"}"#), "same");
    check(
        &int,
        &envelope(r#"{"name":"a","type":"long"}"#),
        "compatible",
    );
    check(
        &int,
        &envelope(r#"{"name":"a","type":"string"}"#),
        "field before.a: int became string",
    );
}

#[test]
fn what_is_no_schema_is_refused_without_quoting_it() {
    let bad =
        r#"{"type":"record","name":"V","fields":[{"name":"a","type":"int","default":"x'y"}]}"#;
    check(
        r#""int""#,
        bad,
        "subject s: the new schema is not a valid Avro schema (81 bytes)",
    );
    check(
        r#"{"#,
        r#""int""#,
        "subject s: the newest registered schema is not a valid Avro schema (1 bytes)",
    );
    let large = format!("\"{}\"", "x".repeat(SCHEMA_BYTES_MAX));
    check(
        &large,
        r#""int""#,
        "subject s: the newest registered schema has 4194306 bytes, the limit is 4194304",
    );
    let deep = format!(
        "{}\"int\"{}",
        r#"{"type":"array","items":"#.repeat(200),
        "}".repeat(200)
    );
    check(
        &deep,
        r#""int""#,
        "subject s: the newest registered schema is not a valid Avro schema (5005 bytes)",
    );
}
