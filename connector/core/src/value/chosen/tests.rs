//! Each chosen type at its edges.

use apache_avro::types::Value as Avro;

use super::*;
use crate::testing::oracle;
use crate::value::Charset;

fn copied(chosen: Chosen, packed: &[u8]) -> Result<Avro, ValueError> {
    let column_type = ColumnType::Chosen(chosen);
    let mut input = Input::new(packed);
    let mut out = Vec::new();
    column_type.copy(&mut input, &mut out)?;
    assert_eq!(input.rest(), b"", "all of the value is taken");
    Ok(oracle(&column_type.avro(), &out))
}

#[test]
fn a_long_takes_what_fits() {
    for number in [0, 1, 1 << 62, i64::MAX.cast_unsigned()] {
        let found = copied(Chosen::Long, &number.to_le_bytes());
        assert_eq!(found, Ok(Avro::Long(number.cast_signed())));
    }
    for number in [1_u64 << 63, u64::MAX] {
        let found = copied(Chosen::Long, &number.to_le_bytes());
        assert_eq!(found, Err(ValueError::OverLong), "{number}");
    }
}

#[test]
fn a_boolean_is_0_or_1() {
    assert_eq!(copied(Chosen::Boolean, &[0]), Ok(Avro::Boolean(false)));
    assert_eq!(copied(Chosen::Boolean, &[1]), Ok(Avro::Boolean(true)));
    for other in [2, 127, 0x80, 0xff] {
        let found = copied(Chosen::Boolean, &[other]);
        assert_eq!(found, Err(ValueError::NoBoolean), "{other}");
    }
}

#[test]
fn bytes_that_are_no_text_are_replaced_one_by_one() {
    for (charset, bytes, text) in [
        (
            Charset::Utf8mb4,
            &b"a\xe4\xf0\x9f\x90\x8cb"[..],
            "a\u{fffd}\u{1f40c}b",
        ),
        (
            Charset::Utf8mb4,
            b"\xf0\x9f\x90",
            "\u{fffd}\u{fffd}\u{fffd}",
        ),
        (
            Charset::Utf8mb3,
            b"a\xf0\x9f\x90\x8c",
            "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
        ),
        (Charset::Ascii, b"a\x80b", "a\u{fffd}b"),
        (Charset::Latin1, b"a\xe4", "aä"),
        (Charset::Sjis, b"a\xfd\x82\xa0", "a\u{fffd}あ"),
        (Charset::Gbk, b"\xff\xc4\xe3", "\u{fffd}你"),
        (Charset::Utf16, b"\0a\xd8\x3d\0b", "a\u{fffd}b"),
        (Charset::Utf16, b"\0a\0", "a\u{fffd}"),
        (Charset::Utf32, b"\0\0\0a\0\x11\0\0\0\0\0b", "a\u{fffd}b"),
        (Charset::Ucs2, b"", ""),
    ] {
        let chosen = Chosen::Replaced(Text::Blob {
            length_bytes: 1,
            charset,
        });
        let packed = [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
        assert_eq!(
            copied(chosen, &packed),
            Ok(Avro::String(text.to_owned())),
            "{charset:?}"
        );
    }
}

fn packed_datetime([year, month, day, hour, minute, second]: [u64; 6], fraction: &[u8]) -> Vec<u8> {
    let date = (year * 13 + month) << 5 | day;
    let time = hour << 12 | minute << 6 | second;
    let packed = 1 << 39 | date << 17 | time;
    [&packed.to_be_bytes()[3..], fraction].concat()
}

#[test]
fn dates_of_keys_are_text_as_the_server_shows_it() {
    let date = |year: u32, month: u32, day: u32| {
        (year << 9 | month << 5 | day).to_le_bytes()[..3].to_vec()
    };
    let seconds = |seconds: u32, fraction: &[u8]| [&seconds.to_be_bytes(), fraction].concat();
    let datetime = |fraction| Temporal::DateTime { fraction };
    let timestamp = |fraction| Temporal::Timestamp { fraction };
    for (temporal, packed, text) in [
        (Temporal::Date, date(0, 0, 0), "0000-00-00"),
        (Temporal::Date, date(2021, 2, 30), "2021-02-30"),
        (Temporal::Date, date(9999, 12, 31), "9999-12-31"),
        (
            datetime(0),
            packed_datetime([0; 6], &[]),
            "0000-00-00 00:00:00",
        ),
        (
            datetime(1),
            packed_datetime([2021, 0, 10, 23, 59, 58], &[50]),
            "2021-00-10 23:59:58.5",
        ),
        (
            datetime(4),
            packed_datetime([1, 1, 1, 0, 0, 0], &[0x27, 0x0f]),
            "0001-01-01 00:00:00.9999",
        ),
        (timestamp(0), seconds(0, &[]), "0000-00-00 00:00:00"),
        (
            timestamp(6),
            seconds(0, &[0, 0, 0]),
            "0000-00-00 00:00:00.000000",
        ),
        (timestamp(0), seconds(1, &[]), "1970-01-01 00:00:01"),
        (
            timestamp(0),
            seconds(1_709_164_800 - 1, &[]),
            "2024-02-28 23:59:59",
        ),
        (
            timestamp(3),
            seconds(1_709_164_800, &[0x03, 0xe8]),
            "2024-02-29 00:00:00.100",
        ),
        (
            timestamp(0),
            seconds(1_735_689_599, &[]),
            "2024-12-31 23:59:59",
        ),
        (
            timestamp(0),
            seconds(i32::MAX.cast_unsigned(), &[]),
            "2038-01-19 03:14:07",
        ),
    ] {
        let found = copied(Chosen::DateText(temporal), &packed);
        assert_eq!(found, Ok(Avro::String(text.to_owned())));
    }
}

#[test]
fn only_what_was_chosen_is_another_type() {
    let all = TypeOptions {
        bigint_unsigned: BigintUnsigned::Long,
        tinyint1: Tinyint1::Boolean,
        invalid_text: InvalidText::Replace,
        key_dates: KeyDates::String,
    };
    let integer = |bytes, unsigned| ColumnType::Integer(Integer { bytes, unsigned });
    let date = ColumnType::Temporal(Temporal::Date);
    let year = ColumnType::Temporal(Temporal::Year);
    let long = Some(ColumnType::Chosen(Chosen::Long));
    for (column_type, sql_type, is_key, chosen) in [
        (integer(8, true), None, false, long),
        (integer(8, false), None, false, Some(integer(8, false))),
        (integer(1, false), None, false, None),
        (
            integer(1, false),
            Some("tinyint"),
            false,
            Some(integer(1, false)),
        ),
        (
            integer(1, false),
            Some("tinyint(1)"),
            true,
            Some(ColumnType::Chosen(Chosen::Boolean)),
        ),
        (integer(1, true), None, false, Some(integer(1, true))),
        (date.clone(), None, false, Some(date.clone())),
        (
            date.clone(),
            None,
            true,
            Some(ColumnType::Chosen(Chosen::DateText(Temporal::Date))),
        ),
        (year.clone(), None, true, Some(year)),
        (ColumnType::Json, None, false, Some(ColumnType::Json)),
    ] {
        assert_eq!(
            all.choose(&column_type, sql_type, is_key),
            chosen,
            "{column_type:?}"
        );
        let usual = TypeOptions::default().choose(&column_type, sql_type, is_key);
        assert_eq!(usual, Some(column_type));
    }
}

#[test]
fn defaults_are_of_the_chosen_type() {
    let zero = |fraction| Chosen::DateText(Temporal::DateTime { fraction }).implicit_default();
    assert_eq!(zero(0), "0000-00-00 00:00:00");
    assert_eq!(zero(2), "0000-00-00 00:00:00.00");
    assert_eq!(
        Chosen::DateText(Temporal::Date).implicit_default(),
        "0000-00-00"
    );
    assert_eq!(
        Chosen::Boolean.literal_default("1"),
        Some(Value::from(true))
    );
    assert_eq!(Chosen::Boolean.literal_default("7"), None);
    assert_eq!(Chosen::Long.literal_default("7"), Some(Value::from(7)));
    assert_eq!(Chosen::Long.literal_default("9223372036854775808"), None);
}
