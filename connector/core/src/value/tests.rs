//! Every published type at its edges. The oracle is the Avro library: what is written must be read there.

use apache_avro::types::Value as Avro;

use super::{
    ColumnType, Identifier, InvalidText, Mask, Masked, TypeOptions, UnsupportedType, ValueError,
    Vector, Written,
};
use crate::decode::ColumnMetadata;
use crate::input::Input;
use crate::testing::{Random, oracle};

const UTF8MB4: u64 = 255;
const UTF8MB3: u64 = 33;
const ASCII: u64 = 11;
const BINARY: u64 = 63;

fn column(type_number: u8, metadata: [u8; 2]) -> ColumnMetadata {
    ColumnMetadata {
        type_number,
        metadata: u16::from_le_bytes(metadata),
        nullable: false,
        name: None,
        unsigned: None,
        collation: None,
        members: None,
        geometry_type: None,
        dimensions: None,
        visible: true,
    }
}

fn unsigned(column: ColumnMetadata) -> ColumnMetadata {
    ColumnMetadata {
        unsigned: Some(true),
        ..column
    }
}

fn collated(collation: u64, column: ColumnMetadata) -> ColumnMetadata {
    ColumnMetadata {
        collation: Some(collation),
        ..column
    }
}

fn members(real_type: u8, bytes: u8, names: &[&str]) -> ColumnMetadata {
    ColumnMetadata {
        members: Some(names.iter().map(|name| name.as_bytes().to_vec()).collect()),
        ..collated(UTF8MB4, column(254, [real_type, bytes]))
    }
}

/// Copies a value that other bytes follow: those stay.
fn copy(column: &ColumnMetadata, packed: &[u8]) -> Result<(Written, Vec<u8>), ValueError> {
    let column_type = ColumnType::from_metadata(column).unwrap();
    let followed = [packed, b"next"].concat();
    let mut input = Input::new(&followed);
    let mut out = Vec::new();
    let written = column_type.copy(&mut input, &mut out)?;
    assert_eq!(
        input.rest(),
        b"next",
        "{column:?} took too much or too little"
    );
    Ok((written, out))
}

/// A packed value must be read by the oracle as `expected`, `None` being a value that Avro cannot hold; and all
/// that is shorter must be refused.
fn check(column: &ColumnMetadata, packed: &[u8], expected: Option<&Avro>) {
    let (written, out) = copy(column, packed).unwrap();
    let column_type = ColumnType::from_metadata(column).unwrap();
    match expected {
        Some(expected) => {
            assert_eq!(written, Written::Value, "{column:?} {expected:?}");
            assert_eq!(&oracle(&column_type.avro(), &out), expected, "{column:?}");
        }
        None => {
            assert_eq!((written, out.len()), (Written::Invalid, 0), "{column:?}");
            assert!(column_type.may_be_invalid());
        }
    }
    for len in 0..packed.len() {
        let mut input = Input::new(&packed[..len]);
        let result = column_type.copy(&mut input, &mut Vec::new());
        assert_eq!(
            result,
            Err(ValueError::Truncated),
            "{column:?} cut to {len} bytes"
        );
    }
}

fn refused(column: &ColumnMetadata, packed: &[u8], error: ValueError) {
    assert_eq!(copy(column, packed).unwrap_err(), error, "{column:?}");
}

#[test]
fn integers_of_every_width_keep_sign_and_value() {
    let widths: [(u8, usize, u32); 5] = [(1, 1, 8), (2, 2, 16), (9, 3, 24), (3, 4, 32), (8, 8, 64)];
    for (type_number, size, bits) in widths {
        let signed = column(type_number, [0, 0]);
        let max = i64::MAX >> (64 - bits);
        for value in [
            0,
            1,
            -1,
            63,
            64,
            -64,
            -65,
            127,
            -128,
            max,
            max - 1,
            -max,
            -max - 1,
        ] {
            let expected = if size == 8 {
                Avro::Long(value)
            } else {
                Avro::Int(value.try_into().unwrap())
            };
            check(&signed, &value.to_le_bytes()[..size], Some(&expected));
        }
        if size == 8 {
            continue;
        }
        let max = (1_i64 << bits) - 1;
        for value in [0, 1, 127, 128, 255, max / 2, max / 2 + 1, max - 1, max] {
            let expected = if size == 4 {
                Avro::Long(value)
            } else {
                Avro::Int(value.try_into().unwrap())
            };
            let column = unsigned(column(type_number, [0, 0]));
            check(&column, &value.to_le_bytes()[..size], Some(&expected));
        }
    }
}

#[test]
fn mediumint_below_zero_is_not_taken_for_a_large_number() {
    let packed = &(-8_000_000_i32).to_le_bytes()[..3];
    check(&column(9, [0, 0]), packed, Some(&Avro::Int(-8_000_000)));
    check(
        &unsigned(column(9, [0, 0])),
        packed,
        Some(&Avro::Int(8_777_216)),
    );
}

#[test]
fn bigint_unsigned_never_wraps() {
    let column = unsigned(column(8, [0, 0]));
    let mut values = vec![
        0,
        u64::MAX,
        u64::MAX - 1,
        1 << 63,
        (1 << 63) - 1,
        4_000_000_000,
    ];
    values.extend((0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1]));
    for value in values {
        let (_, out) = copy(&column, &value.to_le_bytes()).unwrap();
        let avro = ColumnType::from_metadata(&column).unwrap().avro();
        assert_eq!(decimal_text(&oracle(&avro, &out), 0), value.to_string());
    }
}

/// The decimal number that Avro bytes stand for, by long division; they must be as few as possible.
fn decimal_text(value: &Avro, scale: usize) -> String {
    let Avro::Decimal(decimal) = value else {
        panic!("{value:?} is not a decimal")
    };
    let mut bytes = Vec::try_from(decimal).unwrap();
    let shorter = bytes.len() > 1
        && (bytes[0] == 0 && bytes[1] < 0x80 || bytes[0] == 0xff && bytes[1] >= 0x80);
    assert!(!shorter, "{bytes:02x?} could be shorter");
    let negative = bytes[0] >= 0x80;
    if negative {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        for byte in bytes.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
    let mut digits = String::new();
    while bytes.iter().any(|byte| *byte != 0) || digits.len() <= scale {
        let mut rest = 0;
        for byte in &mut bytes {
            let number = rest * 256 + u32::from(*byte);
            *byte = u8::try_from(number / 10).unwrap();
            rest = number % 10;
        }
        digits.insert(0, char::from_digit(rest, 10).unwrap());
    }
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if negative {
        format!("-{digits}")
    } else {
        digits
    }
}

/// Packs a DECIMAL as the server does, digit by digit; `text` has all the digits of its type.
fn packed_decimal(text: &str) -> Vec<u8> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (odd, nines) = whole.split_at(whole.len() % 9);
    let mut groups = vec![odd];
    for part in [nines, fraction] {
        let mut rest = part;
        while !rest.is_empty() {
            let (group, after) = rest.split_at(rest.len().min(9));
            groups.push(group);
            rest = after;
        }
    }
    let mut bytes = Vec::new();
    for group in groups.iter().filter(|group| !group.is_empty()) {
        let number: u32 = group.parse().unwrap();
        let size = group.len().div_ceil(2).min(4);
        bytes.extend_from_slice(&number.to_be_bytes()[4 - size..]);
    }
    bytes[0] ^= 0x80;
    if negative {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    bytes
}

fn check_decimal(precision: usize, scale: usize, text: &str) {
    let metadata = [
        u8::try_from(precision).unwrap(),
        u8::try_from(scale).unwrap(),
    ];
    let packed = packed_decimal(text);
    let (written, out) = copy(&column(246, metadata), &packed).unwrap();
    assert_eq!(written, Written::Value);
    let avro = ColumnType::from_metadata(&column(246, metadata))
        .unwrap()
        .avro();
    let is = decimal_text(&oracle(&avro, &out), scale);
    // Avro has neither leading zeros nor a negative zero.
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text), |digits| ("-", digits));
    let digits = digits.trim_start_matches('0');
    let lead = if digits.is_empty() || digits.starts_with('.') {
        "0"
    } else {
        ""
    };
    let is_zero = digits.trim_matches(['0', '.']).is_empty();
    let sign = if is_zero { "" } else { sign };
    assert_eq!(
        is,
        format!("{sign}{lead}{digits}"),
        "decimal({precision},{scale})"
    );
    for len in 0..packed.len() {
        let column_type = ColumnType::from_metadata(&column(246, metadata)).unwrap();
        let result = column_type.copy(&mut Input::new(&packed[..len]), &mut Vec::new());
        assert_eq!(result, Err(ValueError::Truncated));
    }
}

fn decimal_of(sign: &str, digits: &str, scale: usize) -> String {
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction}")
}

#[test]
fn the_slow_packing_of_the_test_is_that_of_the_manual() {
    // The example in the server's own comment on decimal2bin, in both signs.
    assert_eq!(
        packed_decimal("1234567890.1234"),
        b"\x81\x0d\xfb\x38\xd2\x04\xd2"
    );
    assert_eq!(
        packed_decimal("-1234567890.1234"),
        b"\x7e\xf2\x04\xc7\x2d\xfb\x2d"
    );
}

#[test]
fn decimals_of_every_precision_and_scale_keep_every_digit() {
    let mut random = Random::new(1);
    for precision in 1..=65_usize {
        for scale in 0..=precision.min(30) {
            for sign in ["", "-"] {
                let zeros = "0".repeat(precision);
                let one = format!("{}1", "0".repeat(precision - 1));
                let top = format!("1{}", "0".repeat(precision - 1));
                let random: String = (0..precision)
                    .map(|_| char::from(b'0' + u8::try_from(random.below(10)).unwrap()))
                    .collect();
                for digits in [zeros, one, top, "9".repeat(precision), random] {
                    check_decimal(precision, scale, &decimal_of(sign, &digits, scale));
                }
            }
        }
    }
}

#[test]
fn digits_that_cannot_be_are_refused() {
    refused(
        &column(246, [9, 0]),
        &[0xff, 0xff, 0xff, 0xff],
        ValueError::Decimal,
    );
    refused(&column(246, [1, 0]), &[0x80 | 10], ValueError::Decimal);
    refused(
        &column(246, [10, 9]),
        &[0x80, 0x3b, 0x9a, 0xca, 0x00],
        ValueError::Decimal,
    );
}

fn text(value: &str) -> Avro {
    Avro::String(value.to_owned())
}

#[test]
fn the_length_of_text_takes_two_bytes_from_256_bytes_on() {
    for (bytes_max, prefix) in [(1_u16, 1), (255, 1), (256, 2), (1020, 2), (65_532, 2)] {
        let longest = usize::from(bytes_max);
        for len in [
            0,
            1,
            longest.min(127),
            longest.min(128),
            longest.min(255),
            longest,
        ] {
            let value = "x".repeat(len);
            let packed = [&len.to_le_bytes()[..prefix], value.as_bytes()].concat();
            for type_number in [15, 253] {
                let column = collated(UTF8MB4, column(type_number, bytes_max.to_le_bytes()));
                check(&column, &packed, Some(&text(&value)));
            }
        }
    }
}

#[test]
fn the_length_of_a_char_borrows_bits_of_its_type() {
    // CHAR(n) in utf8mb4: the metadata as the server writes it, the type xor the high bits of the length.
    for characters in [1_u16, 63, 64, 127, 128, 191, 192, 255] {
        let bytes_max = characters * 4;
        let [low, high] = bytes_max.to_le_bytes();
        let column = collated(UTF8MB4, column(254, [254 ^ high << 4, low]));
        let column_type = ColumnType::from_metadata(&column).unwrap();
        assert_eq!(column_type.sql(), format!("char({characters})"));
        let value = "\u{1f40c}".repeat(usize::from(characters));
        let prefix = if bytes_max > 255 { 2 } else { 1 };
        let packed = [&value.len().to_le_bytes()[..prefix], value.as_bytes()].concat();
        check(&column, &packed, Some(&text(&value)));
        let packed = [&[0, 0][..prefix], b""].concat();
        check(&column, &packed, Some(&text("")));
    }
}

#[test]
fn each_text_type_has_a_length_of_its_own_size() {
    for (length_bytes, name) in [
        (1_u8, "tinytext"),
        (2, "text"),
        (3, "mediumtext"),
        (4, "longtext"),
    ] {
        let column = collated(UTF8MB4, column(252, [length_bytes, 0]));
        assert_eq!(ColumnType::from_metadata(&column).unwrap().sql(), name);
        for len in [0_usize, 255, 256, 65_535, 65_536] {
            if len >> (8 * u32::from(length_bytes)) > 0 {
                continue;
            }
            let value = "y".repeat(len);
            let packed = [
                &len.to_le_bytes()[..usize::from(length_bytes)],
                value.as_bytes(),
            ]
            .concat();
            let (_, out) = copy(&column, &packed).unwrap();
            assert_eq!(oracle(&serde_json::json!("string"), &out), text(&value));
        }
    }
}

#[test]
fn bytes_that_are_not_of_the_character_set_are_refused() {
    let of = |collation, bytes: &[u8]| {
        let column = collated(collation, column(15, [100, 0]));
        let packed = [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
        copy(&column, &packed).map(|(_, out)| oracle(&serde_json::json!("string"), &out))
    };
    assert_eq!(
        of(UTF8MB4, "ä€\u{1f40c}\0".as_bytes()),
        Ok(text("ä€\u{1f40c}\0"))
    );
    assert_eq!(of(UTF8MB3, "ä€".as_bytes()), Ok(text("ä€")));
    assert_eq!(of(ASCII, b"a\x7f"), Ok(text("a\u{7f}")));
    let wrong: [&[u8]; 6] = [
        b"\xff",
        b"a\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
    ];
    for bytes in wrong {
        for collation in [UTF8MB4, UTF8MB3, ASCII] {
            assert_eq!(of(collation, bytes), Err(ValueError::Text), "{bytes:02x?}");
        }
    }
    assert_eq!(of(UTF8MB3, "\u{1f40c}".as_bytes()), Err(ValueError::Text));
    assert_eq!(of(ASCII, "ä".as_bytes()), Err(ValueError::Text));
}

#[test]
fn a_type_that_is_not_published_is_named() {
    for (column, name) in [
        (
            collated(575, column(15, [10, 0])),
            "CHAR, VARCHAR or TEXT in a character set that is not known",
        ),
        (
            column(15, [10, 0]),
            "CHAR, VARCHAR or TEXT of a character set that the binlog does not name",
        ),
        (
            column(254, [247, 1]),
            "ENUM of members that the binlog does not name",
        ),
        (
            column(254, [248, 1]),
            "SET of members that the binlog does not name",
        ),
        (column(99, [0, 0]), "of an unknown number"),
    ] {
        assert_eq!(
            ColumnType::from_metadata(&column),
            Err(UnsupportedType(name))
        );
    }
}

#[test]
fn a_type_with_metadata_that_cannot_be_is_refused() {
    let damaged = [
        column(246, [0, 0]),
        column(246, [66, 0]),
        column(246, [5, 6]),
        column(18, [7, 0]),
        column(17, [255, 0]),
        column(19, [7, 0]),
        collated(UTF8MB4, column(252, [0, 0])),
        collated(UTF8MB4, column(252, [5, 0])),
        collated(BINARY, column(252, [5, 0])),
        column(16, [0, 0]),
        column(16, [1, 8]),
        column(16, [8, 0]),
        column(16, [0, 32]),
        members(247, 3, &["a"]),
        members(248, 0, &["a"]),
        members(248, 1, &["a"; 9]),
        members(247, 1, &["a"; 256]),
    ];
    for column in damaged {
        assert!(ColumnType::from_metadata(&column).is_err(), "{column:?}");
    }
}

/// Days from 1970-01-01, counted year by year and month by month.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let is_leap = |year: i64| year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    let of_year = |year| if is_leap(year) { 366 } else { 365 };
    let months = [
        31,
        if is_leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let years: i64 = if year >= 1970 {
        (1970..year).map(of_year).sum()
    } else {
        -(year..1970).map(of_year).sum::<i64>()
    };
    years
        + months[..usize::try_from(month - 1).unwrap()]
            .iter()
            .sum::<i64>()
        + day
        - 1
}

/// The fraction of a second as packed, cut to the digits of its type.
fn packed_fraction(digits: u8, micros: i64) -> (Vec<u8>, i64) {
    let size = usize::from(digits.div_ceil(2));
    let kept = micros - micros % 10_i64.pow(6 - u32::from(digits));
    let unit = [1_000_000, 10_000, 100, 1][size];
    let packed = (kept / unit).to_be_bytes()[8 - size..].to_vec();
    (packed, kept)
}

type Civil = (i64, i64, i64, i64, i64, i64);

fn packed_datetime((year, month, day, hour, minute, second): Civil) -> Vec<u8> {
    let date = (year * 13 + month) << 5 | day;
    let packed = 0x80_0000_0000 | date << 17 | hour << 12 | minute << 6 | second;
    packed.to_be_bytes()[3..].to_vec()
}

#[test]
fn a_datetime_is_the_same_day_and_second() {
    let mut moments: Vec<Civil> = vec![
        (9999, 12, 31, 23, 59, 59),
        (1969, 12, 31, 23, 59, 59),
        (1970, 1, 1, 0, 0, 0),
        (1970, 1, 1, 0, 0, 1),
        (2038, 1, 19, 3, 14, 8),
        (1000, 1, 1, 0, 0, 0),
        (1, 1, 1, 0, 0, 0),
        (0, 1, 1, 0, 0, 0),
        (0, 12, 31, 23, 59, 59),
    ];
    for year in (0..=9999).step_by(4).chain([1900, 2000, 2100, 9999]) {
        moments.extend([(year, 2, 28, 12, 0, 0), (year, 3, 1, 0, 0, 0)]);
        if year % 4 == 0 && year % 100 != 0 || year % 400 == 0 {
            moments.push((year, 2, 29, 23, 59, 59));
        }
    }
    let mut random = Random::new(2);
    let mut up_to = |limit| i64::try_from(random.below(limit)).unwrap();
    for _ in 0..2000 {
        let date = (up_to(10_000), up_to(12) + 1, up_to(28) + 1);
        moments.push((date.0, date.1, date.2, up_to(24), up_to(60), up_to(60)));
    }
    for moment in moments {
        let (year, month, day, hour, minute, second) = moment;
        let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        for (digits, micros) in [
            (0, 999_999),
            (1, 100_000),
            (2, 999_999),
            (3, 1000),
            (4, 999_999),
            (5, 10),
            (6, 999_999),
        ] {
            let (fraction, kept) = packed_fraction(digits, micros);
            let packed = [packed_datetime(moment), fraction].concat();
            let expected = Avro::LocalTimestampMicros(seconds * 1_000_000 + kept);
            check(&column(18, [digits, 0]), &packed, Some(&expected));
        }
    }
}

#[test]
fn a_datetime_that_is_no_date_is_invalid() {
    for moment in [
        (0, 0, 0, 0, 0, 0),
        (2024, 0, 0, 0, 0, 0),
        (2024, 1, 0, 0, 0, 0),
        (2024, 0, 1, 0, 0, 0),
        (2023, 2, 29, 0, 0, 0),
        (1900, 2, 29, 0, 0, 0),
        (2024, 2, 30, 0, 0, 0),
        (2024, 2, 31, 0, 0, 0),
        (2024, 4, 31, 0, 0, 0),
        (2024, 12, 31, 24, 0, 0),
        (2024, 12, 31, 0, 60, 0),
        (2024, 12, 31, 0, 0, 60),
    ] {
        for digits in 0..=6_u8 {
            let packed = [packed_datetime(moment), packed_fraction(digits, 999_999).0].concat();
            check(&column(18, [digits, 0]), &packed, None);
        }
    }
    // The sign bit is never clear in a DATETIME.
    check(&column(18, [0, 0]), &[0, 0, 0, 0, 0], None);
    check(&column(18, [0, 0]), &[0x7f, 0xff, 0xff, 0xff, 0xff], None);
}

#[test]
fn a_timestamp_is_seconds_in_utc() {
    let first_and_last = [1_u32, 1_700_000_000, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    for seconds in first_and_last {
        for (digits, micros) in [
            (0, 0),
            (1, 900_000),
            (2, 999_999),
            (3, 1000),
            (4, 999_999),
            (5, 10),
            (6, 999_999),
        ] {
            let (fraction, kept) = packed_fraction(digits, micros);
            let packed = [&seconds.to_be_bytes()[..], &fraction].concat();
            let expected = Avro::TimestampMicros(i64::from(seconds) * 1_000_000 + kept);
            check(&column(17, [digits, 0]), &packed, Some(&expected));
        }
    }
    for digits in 0..=6_u8 {
        check(
            &column(17, [digits, 0]),
            &[&[0; 4][..], &packed_fraction(digits, 0).0].concat(),
            None,
        );
    }
}

#[test]
fn a_fraction_of_a_second_or_more_is_no_value() {
    for (digits, fraction) in [
        (2, &[100][..]),
        (4, &[0x27, 0x10]),
        (6, &[0x0f, 0x42, 0x40]),
    ] {
        let datetime = [&packed_datetime((2024, 1, 1, 0, 0, 0)), fraction].concat();
        check(&column(18, [digits, 0]), &datetime, None);
        check(
            &column(17, [digits, 0]),
            &[&[1; 4], fraction].concat(),
            None,
        );
    }
}

#[test]
fn fault_99_random_bytes_never_panic_and_what_is_accepted_is_read_by_the_oracle() {
    let mut random = Random::new(3);
    for _ in 0..20_000 {
        let type_number = *random.pick(&[
            1, 2, 3, 4, 5, 8, 9, 10, 13, 15, 16, 17, 18, 19, 242, 245, 246, 252, 253, 254, 255,
        ]);
        let mut column = column(type_number, [random.byte() % 80, random.byte() % 80]);
        column.unsigned = Some(random.below(2) == 0);
        column.collation =
            Some(*random.pick(&[UTF8MB4, UTF8MB3, ASCII, BINARY, 8, 13, 28, 54, 249]));
        column.members = Some(vec![b"a".to_vec(), b"b".to_vec()]);
        let Ok(column_type) = ColumnType::from_metadata(&column) else {
            continue;
        };
        let len = random.below(40);
        let bytes = random.bytes(len);
        let mut out = Vec::new();
        if column_type.copy(&mut Input::new(&bytes), &mut out) == Ok(Written::Value) {
            oracle(&column_type.avro(), &out);
        }
    }
}

#[test]
fn floating_point_numbers_keep_every_bit() {
    for value in [
        0.0,
        -0.0,
        1.5,
        -1.1,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-45,
    ] {
        check(
            &column(4, [4, 0]),
            &value.to_le_bytes(),
            Some(&Avro::Float(value)),
        );
    }
    for value in [
        0.0,
        -0.0,
        0.1,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
    ] {
        check(
            &column(5, [8, 0]),
            &value.to_le_bytes(),
            Some(&Avro::Double(value)),
        );
    }
    refused(
        &column(4, [4, 0]),
        &f32::NAN.to_le_bytes(),
        ValueError::NotFinite,
    );
    refused(
        &column(5, [8, 0]),
        &f64::INFINITY.to_le_bytes(),
        ValueError::NotFinite,
    );
    assert_eq!(
        ColumnType::from_metadata(&unsigned(column(4, [4, 0])))
            .unwrap()
            .sql(),
        "float unsigned"
    );
    assert_eq!(
        ColumnType::from_metadata(&column(5, [8, 0])).unwrap().sql(),
        "double"
    );
}

#[test]
fn bits_are_a_boolean_or_bytes() {
    check(&column(16, [1, 0]), &[0], Some(&Avro::Boolean(false)));
    check(&column(16, [1, 0]), &[1], Some(&Avro::Boolean(true)));
    refused(&column(16, [1, 0]), &[2], ValueError::Bits);
    for (bits, metadata, packed) in [
        (2, [2, 0], &[3][..]),
        (8, [0, 1], &[0xff]),
        (9, [1, 1], &[1, 0xff]),
        (63, [7, 7], &[0x7f, 1, 2, 3, 4, 5, 6, 7]),
        (64, [0, 8], &[0xff, 1, 2, 3, 4, 5, 6, 7]),
    ] {
        let column = column(16, metadata);
        assert_eq!(
            ColumnType::from_metadata(&column).unwrap().sql(),
            format!("bit({bits})")
        );
        check(&column, packed, Some(&Avro::Bytes(packed.to_vec())));
    }
    refused(
        &column(16, [7, 7]),
        &[0x80, 0, 0, 0, 0, 0, 0, 0],
        ValueError::Bits,
    );
}

#[test]
fn binary_is_padded_back_to_its_length() {
    let fixed = collated(BINARY, column(254, [254, 4]));
    assert_eq!(
        ColumnType::from_metadata(&fixed).unwrap().sql(),
        "binary(4)"
    );
    check(&fixed, b"\x00", Some(&Avro::Bytes(vec![0; 4])));
    check(
        &fixed,
        b"\x02a\xff",
        Some(&Avro::Bytes(b"a\xff\0\0".to_vec())),
    );
    check(&fixed, b"\x04abcd", Some(&Avro::Bytes(b"abcd".to_vec())));
    refused(&fixed, b"\x05abcde", ValueError::TooLong);
    let variable = collated(BINARY, column(15, [0, 1]));
    assert_eq!(
        ColumnType::from_metadata(&variable).unwrap().sql(),
        "varbinary(256)"
    );
    check(
        &variable,
        b"\x02\x00a\0",
        Some(&Avro::Bytes(b"a\0".to_vec())),
    );
    for (length_bytes, name) in [
        (1, "tinyblob"),
        (2, "blob"),
        (3, "mediumblob"),
        (4, "longblob"),
    ] {
        let blob = collated(BINARY, column(252, [length_bytes, 0]));
        assert_eq!(ColumnType::from_metadata(&blob).unwrap().sql(), name);
        let packed = [
            &3_u32.to_le_bytes()[..usize::from(length_bytes)],
            b"\xff\0a",
        ]
        .concat();
        check(&blob, &packed, Some(&Avro::Bytes(b"\xff\0a".to_vec())));
    }
}

#[test]
fn dates_and_years_have_their_edges() {
    let date = |year: u32, month: u32, day: u32| (year << 9 | month << 5 | day).to_le_bytes();
    for (year, month, day, expected) in [
        (1970_u16, 1, 1, Some(0)),
        (1969, 12, 31, Some(-1)),
        (2000, 2, 29, Some(11_016)),
        (9999, 12, 31, Some(2_932_896)),
        (1, 1, 1, Some(-719_162)),
        (0, 0, 0, None),
        (2021, 2, 29, None),
        (1900, 2, 29, None),
        (2020, 0, 10, None),
        (2020, 10, 0, None),
        (2020, 13, 1, None),
    ] {
        let packed = date(u32::from(year), month, day);
        let expected = expected.map(Avro::Date);
        check(&column(10, [0, 0]), &packed[..3], expected.as_ref());
        if let Some(Avro::Date(found)) = expected {
            let (month, day) = (i64::from(month), i64::from(day));
            assert_eq!(i64::from(found), days(i64::from(year), month, day));
        }
    }
    for (packed, year) in [(0, 0), (1, 1901), (70, 1970), (255, 2155)] {
        check(&column(13, [0, 0]), &[packed], Some(&Avro::Int(year)));
    }
}

#[test]
fn times_go_beyond_a_day_in_both_directions() {
    // Packed as the server packs: hours, minutes and seconds, then the fraction, as one number with a sign.
    let packed =
        |negative: bool, hour: i64, minute: i64, second: i64, fraction: i64, bytes: u32| {
            let whole = hour << 12 | minute << 6 | second;
            let number = whole << (8 * bytes) | fraction;
            let number = if negative { -number } else { number };
            let biased = number + (1 << (23 + 8 * bytes));
            biased.to_be_bytes()[8 - 3 - usize::try_from(bytes).unwrap()..].to_vec()
        };
    for digits in 0..=6_u8 {
        let bytes = u32::from(digits).div_ceil(2);
        let unit = [0, 10_000, 100, 1][usize::try_from(bytes).unwrap()];
        for (hour, minute, second) in [
            (0, 0, 0),
            (0, 0, 1),
            (23, 59, 59),
            (24, 0, 0),
            (838, 59, 59),
        ] {
            for fraction in [0, 1, 99] {
                let fraction = if unit == 0 { 0 } else { fraction };
                for negative in [false, true] {
                    let micros = (hour * 3600 + minute * 60 + second) * 1_000_000 + fraction * unit;
                    let expected = if negative { -micros } else { micros };
                    let packed = packed(negative, hour, minute, second, fraction, bytes);
                    check(
                        &column(19, [digits, 0]),
                        &packed,
                        Some(&Avro::Long(expected)),
                    );
                }
            }
        }
    }
    // As the server wrote them: -00:00:00.5 and -838:59:59.999999.
    check(
        &column(19, [1, 0]),
        b"\x7f\xff\xff\xce",
        Some(&Avro::Long(-500_000)),
    );
    let lowest = b"\x4b\x91\x04\xf0\xbd\xc1";
    check(
        &column(19, [6, 0]),
        lowest,
        Some(&Avro::Long(-3_020_399_999_999)),
    );
    for wrong in [
        packed(false, 839, 0, 0, 0, 0),
        packed(false, 1, 60, 0, 0, 0),
        packed(true, 1, 0, 60, 0, 0),
    ] {
        refused(&column(19, [0, 0]), &wrong, ValueError::Time);
    }
    refused(
        &column(19, [2, 0]),
        &packed(false, 0, 0, 0, 100, 1),
        ValueError::Time,
    );
}

#[test]
fn members_are_named() {
    let few = members(247, 1, &["small", "", "it's ä"]);
    let column_type = ColumnType::from_metadata(&few).unwrap();
    assert_eq!(column_type.sql(), "enum('small','','it''s ä')");
    assert_eq!(column_type.implicit_default(), "small");
    for (number, name) in [(0, ""), (1, "small"), (2, ""), (3, "it's ä")] {
        check(&few, &[number], Some(&text(name)));
    }
    refused(&few, &[4], ValueError::Member);
    let names: Vec<String> = (1..=300).map(|number| format!("m{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = members(247, 2, &names);
    check(&many, &300_u16.to_le_bytes(), Some(&text("m300")));
    refused(&many, &301_u16.to_le_bytes(), ValueError::Member);
    let array = |items: &[&str]| Avro::Array(items.iter().map(|item| text(item)).collect());
    let three = members(248, 1, &["a", "b", "c"]);
    assert_eq!(
        ColumnType::from_metadata(&three).unwrap().sql(),
        "set('a','b','c')"
    );
    check(&three, &[0], Some(&array(&[])));
    check(&three, &[5], Some(&array(&["a", "c"])));
    refused(&three, &[8], ValueError::Member);
    let all = members(248, 8, &names[..64]);
    check(&all, &[0xff; 8], Some(&array(&names[..64])));
    check(&all, &[0, 0, 0, 0, 0, 0, 0, 0x80], Some(&array(&["m64"])));
}

/// Values of other members are not concerned.
#[test]
fn a_member_that_is_not_text_is_invalid_text() {
    let named = |real_type| ColumnMetadata {
        members: Some([&b"a\xe9"[..], b"b", b"c?"].map(<[u8]>::to_vec).to_vec()),
        ..collated(UTF8MB4, column(254, [real_type, 1]))
    };
    let array = |items: &[&str]| Avro::Array(items.iter().map(|item| text(item)).collect());
    check(&named(247), &[0], Some(&text("")));
    check(&named(247), &[2], Some(&text("b")));
    refused(&named(247), &[1], ValueError::Text);
    check(&named(248), &[0b110], Some(&array(&["b", "c?"])));
    refused(&named(248), &[0b11], ValueError::Text);

    let column_type = |real_type| ColumnType::from_metadata(&named(real_type)).unwrap();
    assert_eq!(column_type(247).sql(), "enum('a\u{fffd}','b','c?')");
    assert_eq!(column_type(247).implicit_default(), "");
    assert_eq!(column_type(247).literal_default("a\u{fffd}"), None);
    let replace = TypeOptions {
        invalid_text: InvalidText::Replace,
        ..TypeOptions::default()
    };
    let replaced = |real_type| {
        replace
            .choose(&column_type(real_type), None, false)
            .unwrap()
    };
    let copied = |column_type: ColumnType, number: u8| {
        let mut out = Vec::new();
        let written = column_type.copy(&mut Input::new(&[number]), &mut out);
        written.map(|_| out)
    };
    assert_eq!(
        copied(replaced(247), 1).unwrap(),
        "\u{8}a\u{fffd}".as_bytes()
    );
    assert_eq!(
        copied(replaced(248), 3).unwrap(),
        "\u{4}\u{8}a\u{fffd}\u{2}b\0".as_bytes()
    );

    // What the server may not have been able to show is not replaced, unless nobody will see it.
    let ColumnType::Members(members) = column_type(247) else {
        panic!("an ENUM");
    };
    let shown = ColumnType::Members(members.shown_by_the_server());
    assert_eq!(copied(shown.clone(), 3), Err(ValueError::LostMember));
    assert_eq!(copied(shown.clone(), 2).unwrap(), b"\x02b");
    assert_eq!(shown.implicit_default(), "");
    let chosen = replace.choose(&shown, None, false).unwrap();
    assert_eq!(copied(chosen, 3), Err(ValueError::LostMember));
    for number in [1, 3] {
        let fixed = Masked::new(shown.clone(), Mask::Fixed("x".into())).unwrap();
        assert_eq!(
            copied(ColumnType::Masked(Box::new(fixed)), number).unwrap(),
            b"\x02x"
        );
    }
}

/// Which of them was cut off cannot be told.
#[test]
fn names_that_the_server_shows_twice_are_none() {
    let named = members(247, 1, &["caf", "b", "caf", ""]);
    let ColumnType::Members(members) = ColumnType::from_metadata(&named).unwrap() else {
        panic!("an ENUM");
    };
    let shown = ColumnType::Members(members.shown_by_the_server());
    let copied = |number: u8| {
        let mut out = Vec::new();
        shown
            .copy(&mut Input::new(&[number]), &mut out)
            .map(|_| out)
    };
    assert_eq!(copied(1), Err(ValueError::LostMember));
    assert_eq!(copied(3), Err(ValueError::LostMember));
    assert_eq!(copied(2).unwrap(), b"\x02b");
    assert_eq!(copied(4).unwrap(), b"\0");
}

#[test]
fn members_are_in_the_columns_character_set() {
    let latin = ColumnMetadata {
        members: Some(vec![b"\xe4".to_vec()]),
        ..collated(8, column(254, [247, 1]))
    };
    check(&latin, &[1], Some(&text("ä")));
    let gbk = ColumnMetadata {
        members: Some(vec![b"\xc4\xe3".to_vec()]),
        ..collated(28, column(254, [248, 1]))
    };
    check(&gbk, &[1], Some(&Avro::Array(vec![text("你")])));
}

#[test]
fn a_geometry_is_an_srid_and_wkb() {
    let point = ColumnMetadata {
        geometry_type: Some(1),
        ..column(255, [4, 0])
    };
    assert_eq!(ColumnType::from_metadata(&point).unwrap().sql(), "point");
    assert_eq!(
        ColumnType::from_metadata(&column(255, [4, 0]))
            .unwrap()
            .sql(),
        "geometry"
    );
    let wkb = b"\x01\x01\0\0\0\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x40";
    let packed = [&25_u32.to_le_bytes()[..], &4326_u32.to_le_bytes(), wkb].concat();
    let expected = Avro::Record(vec![
        ("srid".to_owned(), Avro::Long(4326)),
        ("wkb".to_owned(), Avro::Bytes(wkb.to_vec())),
    ]);
    check(&point, &packed, Some(&expected));
    refused(&point, b"\x03\0\0\0abc", ValueError::Geometry);
}

#[test]
fn a_vector_is_an_array_of_numbers() {
    let vector = ColumnMetadata {
        dimensions: Some(3),
        ..column(242, [4, 0])
    };
    assert_eq!(
        ColumnType::from_metadata(&vector).unwrap().sql(),
        "vector(3)"
    );
    let numbers = [1.5_f32, -2.0, 0.0];
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let packed = [&12_u32.to_le_bytes()[..], &bytes].concat();
    check(
        &vector,
        &packed,
        Some(&Avro::Array(numbers.map(Avro::Float).to_vec())),
    );
    check(&vector, &[0; 4], Some(&Avro::Array(Vec::new())));
    refused(&vector, b"\x03\0\0\0abc", ValueError::NotFinite);
}

#[test]
fn times_in_the_format_before_mysql_5_6_are_what_they_were() {
    let read = |number: u8, bytes: &[u8]| {
        let column_type = ColumnType::from_metadata(&column(number, [0, 0])).unwrap();
        let mut out = Vec::new();
        let mut input = Input::new(bytes);
        let written = column_type.copy(&mut input, &mut out);
        assert!(input.is_empty() || written.is_err());
        written.map(|written| {
            (written == Written::Value).then(|| {
                let found = oracle(&column_type.avro(), &out);
                let (Avro::Long(micros)
                | Avro::TimestampMicros(micros)
                | Avro::LocalTimestampMicros(micros)) = found
                else {
                    panic!("{found:?}");
                };
                micros
            })
        })
    };
    let datetime = |number: u64| read(12, &number.to_le_bytes());
    let time = |number: i32| read(11, &number.to_le_bytes()[..3]);
    let timestamp = |seconds: u32| read(7, &seconds.to_le_bytes());
    const SECOND: i64 = 1_000_000;
    assert_eq!(datetime(20_000_102_030_405), Ok(Some(946_782_245 * SECOND)));
    assert_eq!(datetime(19_691_231_235_959), Ok(Some(-SECOND)));
    for none in [
        0,
        20_000_100_000_000,
        20_000_230_000_000,
        20_000_101_250_000,
        u64::MAX,
    ] {
        assert_eq!(datetime(none), Ok(None), "{none}");
    }
    assert_eq!(time(8_385_959), Ok(Some(3_020_399 * SECOND)));
    assert_eq!(time(-8_385_959), Ok(Some(-3_020_399 * SECOND)));
    assert_eq!(time(-1), Ok(Some(-SECOND)));
    assert_eq!(time(0), Ok(Some(0)));
    for wrong in [8_390_000 - 1, 60, 6000, -8_388_608] {
        assert_eq!(time(wrong), Err(ValueError::Time), "{wrong}");
    }
    assert_eq!(timestamp(0), Ok(None));
    assert_eq!(timestamp(1), Ok(Some(SECOND)));
    assert_eq!(timestamp(u32::MAX), Ok(Some(4_294_967_295 * SECOND)));
    assert_eq!(read(12, &[0; 7]), Err(ValueError::Truncated));
}

/// What a column type makes of bytes, as the oracle reads it; all of them must be taken.
fn made(column_type: &ColumnType, bytes: &[u8]) -> Result<Avro, ValueError> {
    let mut out = Vec::new();
    let mut input = Input::new(bytes);
    assert_eq!(column_type.copy(&mut input, &mut out)?, Written::Value);
    assert!(input.is_empty());
    Ok(oracle(&column_type.avro(), &out))
}

#[test]
fn identifiers_of_mariadb_are_text() {
    let of = |identifier, bytes: &[u8]| {
        let packed = [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
        made(&ColumnType::Identifier(identifier), &packed)
    };
    let text = |text: &str| Ok(Avro::String(text.to_owned()));
    // As 11.8 packs them: zero bytes at the end are left out.
    let uuid = b"\x12\x34\x56\x78\x9a\xbc\x1d\xef\x81\x23\x45\x67\x89\xab\xcd\xef";
    let shown = "12345678-9abc-1def-8123-456789abcdef";
    assert_eq!(of(Identifier::Uuid, uuid), text(shown));
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(of(Identifier::Uuid, b""), text(nil));
    assert_eq!(of(Identifier::Inet4, &[1, 2, 3, 4]), text("1.2.3.4"));
    assert_eq!(of(Identifier::Inet4, &[10]), text("10.0.0.0"));
    assert_eq!(of(Identifier::Inet6, &[0x20, 1]), text("2001::"));
    assert_eq!(of(Identifier::Inet4, &[1; 5]), Err(ValueError::TooLong));
    assert_eq!(of(Identifier::Uuid, &[1; 17]), Err(ValueError::TooLong));
    assert_eq!(
        made(&ColumnType::Identifier(Identifier::Uuid), b"\x10a"),
        Err(ValueError::Truncated)
    );
}

#[test]
fn a_vector_of_mariadb_is_packed_like_bytes() {
    let vector = ColumnType::Vector(Vector::of_mariadb(8));
    assert_eq!(vector.sql(), "vector(2)");
    let packed = [&[8_u8][..], &1.5_f32.to_le_bytes(), &(-2_f32).to_le_bytes()].concat();
    let expected = Avro::Array(vec![Avro::Float(1.5), Avro::Float(-2.0)]);
    assert_eq!(made(&vector, &packed), Ok(expected));
    assert_eq!(made(&vector, &[3, 0, 0, 0]), Err(ValueError::NotFinite));
}

#[test]
fn compressed_columns_of_mariadb_are_what_they_were() {
    let of = |number: u8, metadata: u16, collation: u64, bytes: &[u8]| {
        let column = collated(collation, column(number, metadata.to_le_bytes()));
        made(&ColumnType::from_metadata(&column).unwrap(), bytes)
    };
    let text = |text: String| Ok(Avro::String(text));
    // As 11.8 packs them, without the frame of zlib.
    let squeezed = b"\x0a\x00\x8a\x01\x2c\xab\xaa\x1a\x05\xc4\x02\x00";
    assert_eq!(of(140, 2, 8, squeezed), text("z".repeat(300)));
    let bytes = b"\x08\x00\x89\xc8\xab\xac\x1c\x1e\x00\x00";
    assert_eq!(of(140, 2, BINARY, bytes), Ok(Avro::Bytes(b"y".repeat(200))));
    // What is short stays as it is, and what is empty has no byte for that.
    assert_eq!(
        of(141, 401, UTF8MB4, b"\x05\x00\x00four"),
        text("four".to_owned())
    );
    assert_eq!(of(141, 401, UTF8MB4, b"\x00\x00"), text(String::new()));
    assert_eq!(
        of(141, 11, BINARY, b"\x03\x00vb"),
        Ok(Avro::Bytes(b"vb".to_vec()))
    );
    for (damaged, error) in [
        (&b"\x02\x00\x70x"[..], ValueError::Compressed),
        (
            b"\x0a\x00\x8a\x01\x2d\xab\xaa\x1a\x05\xc4\x02\x00",
            ValueError::Compressed,
        ),
        (
            b"\x0a\x00\x8a\x01\x2b\xab\xaa\x1a\x05\xc4\x02\x00",
            ValueError::Compressed,
        ),
        (b"\x05\x00\x8a\x01\x2c\xab\xaa", ValueError::Compressed),
        (b"\x02\x00\x8c\xff", ValueError::Truncated),
        (b"\x06\x00\x8c\xff\xff\xff\xff\x00", ValueError::TooLong),
    ] {
        assert_eq!(of(140, 2, 8, damaged), Err(error), "{damaged:02x?}");
    }
    // A VARCHAR says how long its values are.
    let column = collated(8, column(141, 21_u16.to_le_bytes()));
    let short = ColumnType::from_metadata(&column).unwrap();
    assert_eq!(short.sql(), "varchar(20) compressed");
    let long = made(
        &short,
        &[&[u8::try_from(squeezed.len() - 2).unwrap()], &squeezed[2..]].concat(),
    );
    assert_eq!(long, Err(ValueError::TooLong));
}
