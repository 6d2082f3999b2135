//! Binary JSON made by hand, and what the server printed for the same values.

use super::text::{write_double, write_opaque, write_string};
use super::write_document;
use crate::input::Input;
use crate::testing::Random;
use crate::value::ValueError;

fn printed(document: &[u8]) -> Result<String, ValueError> {
    let mut out = Vec::new();
    write_document(document, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// A small container: its entries, and what they point to.
fn container(kind: u8, count: u16, body: &[u8]) -> Vec<u8> {
    let size = u16::try_from(4 + body.len()).unwrap();
    [&[kind][..], &count.to_le_bytes(), &size.to_le_bytes(), body].concat()
}

#[test]
fn numbers_look_as_the_server_prints_them() {
    for (number, text) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e14, "100000000000000.0"),
        (1e15, "1e15"),
        (123_456_789_012_345.0, "123456789012345.0"),
        (123_456_789_012_345.6, "123456789012345.6"),
        (1_234_567_890_123_456.0, "1.234567890123456e15"),
        (1_759_138_070_580_141.8, "1759138070580141.8"),
        // Between two, the even one.
        (2_076_184_635_133_167.0 + 0.25, "2076184635133167.2"),
        (1_803_558_564_159_295.0 + 0.75, "1803558564159295.8"),
        (1e23, "1e23"),
        (100.0, "100.0"),
        (0.001, "0.001"),
        (9_007_199_254_740_993.0, "9.007199254740992e15"),
        (1.5e300, "1.5e300"),
        (1e-5, "0.00001"),
        (1e-15, "0.000000000000001"),
        (1.25e-15, "0.00000000000000125"),
        (1.25e-16, "1.25e-16"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e308"),
        (-123_456.789, "-123456.789"),
    ] {
        let mut out = Vec::new();
        write_double(number, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
    assert_eq!(
        write_double(f64::NAN, &mut Vec::new()),
        Err(ValueError::Json)
    );
}

#[test]
fn text_is_escaped_as_little_as_the_server_does() {
    let mut out = Vec::new();
    write_string(
        "\"\\/\u{8}\t\n\u{c}\r\u{1}\u{1f}\u{7f}ä🐌".as_bytes(),
        &mut out,
    )
    .unwrap();
    let expected = "\"\\\"\\\\/\\b\\t\\n\\f\\r\\u0001\\u001f\u{7f}ä🐌\"";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!(
        write_string(b"\xff", &mut Vec::new()),
        Err(ValueError::Json)
    );
}

#[test]
fn opaque_values_are_dates_decimals_or_base64() {
    let opaque = |field_type, bytes: &[u8]| {
        let mut out = Vec::new();
        write_opaque(field_type, bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    let datetime =
        |year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64, micros: i64| {
            let date = (year * 13 + month) << 5 | day;
            (date << 17 | hour << 12 | minute << 6 | second) << 24 | micros
        };
    let at = datetime(2015, 1, 15, 23, 24, 25, 12);
    assert_eq!(
        opaque(12, &at.to_le_bytes()).unwrap(),
        "\"2015-01-15 23:24:25.000012\""
    );
    assert_eq!(
        opaque(7, &at.to_le_bytes()).unwrap(),
        "\"2015-01-15 23:24:25.000012\""
    );
    let day = datetime(2015, 1, 15, 0, 0, 0, 0);
    assert_eq!(opaque(10, &day.to_le_bytes()).unwrap(), "\"2015-01-15\"");
    let time = |hour: i64, minute: i64, second: i64, micros: i64| {
        (hour << 12 | minute << 6 | second) << 24 | micros
    };
    for (packed, text) in [
        (-time(12, 1, 2, 500_000), "\"-12:01:02.500000\""),
        (-time(0, 0, 0, 1), "\"-00:00:00.000001\""),
        (time(31, 0, 0, 0), "\"31:00:00.000000\""),
        (time(838, 59, 59, 0), "\"838:59:59.000000\""),
    ] {
        assert_eq!(opaque(11, &packed.to_le_bytes()).unwrap(), text);
    }
    assert_eq!(opaque(11, &[1, 2, 3]), Err(ValueError::Json));
    assert_eq!(opaque(246, b"\x03\x02\x81\x32").unwrap(), "1.50");
    assert_eq!(opaque(246, b"\x03\x02\x7f\xfa").unwrap(), "-0.05");
    assert_eq!(opaque(246, b"\x03"), Err(ValueError::Json));
    assert_eq!(opaque(246, b"\x00\x00"), Err(ValueError::Json));
    for (bytes, text) in [
        (&b""[..], ""),
        (b"\x01", "AQ=="),
        (b"\x01\x02", "AQI="),
        (b"\x01\x02\xff", "AQL/"),
    ] {
        assert_eq!(
            opaque(15, bytes).unwrap(),
            format!("\"base64:type15:{text}\"")
        );
    }
    // Lines of 76 characters, the break between them escaped.
    let long = opaque(252, &[0; 58]).unwrap();
    assert_eq!(
        long,
        format!("\"base64:type252:{}\\nAA==\"", "A".repeat(76))
    );
    assert!(!opaque(252, &[0; 57]).unwrap().contains('\\'));
}

#[test]
fn containers_hold_their_values_in_place_or_by_offset() {
    assert_eq!(printed(b"").unwrap(), "null");
    assert_eq!(printed(b"\x04\x01").unwrap(), "true");
    assert_eq!(printed(b"\x0c\x02hi").unwrap(), "\"hi\"");
    assert_eq!(printed(&container(2, 0, b"")).unwrap(), "[]");
    assert_eq!(printed(&container(0, 0, b"")).unwrap(), "{}");
    // [null, -2, 65535] in place.
    let body = b"\x04\0\0\x05\xfe\xff\x06\xff\xff";
    assert_eq!(
        printed(&container(2, 3, body)).unwrap(),
        "[null, -2, 65535]"
    );
    // {"a": 70000, "bb": "x"}: keys at 18 and 19, values behind them.
    let body = b"\x12\0\x01\0\x13\0\x02\0\x07\x15\0\x0c\x19\0abb\x70\x11\x01\0\x01x";
    assert_eq!(
        printed(&container(0, 2, body)).unwrap(),
        "{\"a\": 70000, \"bb\": \"x\"}"
    );
    // A large array holds 32 bits in place.
    let large = b"\x03\x02\0\0\0\x12\0\0\0\x07\xff\xff\xff\xff\x08\xff\xff\xff\xff";
    assert_eq!(printed(large).unwrap(), "[-1, 4294967295]");
    // [[]]: the inner one lies behind the entries.
    let body = b"\x02\x07\0\0\0\x04\0";
    assert_eq!(printed(&container(2, 1, body)).unwrap(), "[[]]");
}

#[test]
fn fault_99_damaged_documents_are_refused() {
    for document in [
        &b"\x04\x03"[..],
        b"\x04",
        b"\x05\x01",
        b"\x0e",
        b"\x0c\x05ab",
        b"\x0c\xff\xff\xff\xff\xff\x01",
        b"\x0c\x01\xff",
        b"\x02\x01\0\xff\0\x04\0\0",
        b"\x02\xff\xff\x04\0",
        b"\x02\x01\0\x07\0\x0c\xff\0",
        b"\x00\x01\0\x0b\0\x40\0\x01\0\x04\0\0",
    ] {
        assert_eq!(printed(document), Err(ValueError::Json), "{document:02x?}");
    }
}

#[test]
fn depth_and_length_have_a_limit() {
    // Each container's only value is the container itself.
    let body = b"\x02\0\0";
    assert_eq!(printed(&container(2, 1, body)), Err(ValueError::Json));
    // Ten levels of containers whose sixteen values are all the same one: 16^10 values.
    let mut document = b"\x0c\x01x".to_vec();
    for _ in 0..10 {
        let (kind, value) = document.split_first().unwrap();
        let entry = [&[*kind][..], &52_u16.to_le_bytes()].concat();
        let body = [&entry.repeat(16)[..], value].concat();
        document = container(2, 16, &body);
    }
    assert_eq!(printed(&document), Err(ValueError::Json));
    // The same of arrays without values, and of a long key.
    let mut document = container(2, 0, b"");
    for _ in 0..60 {
        let (kind, value) = document.split_first().unwrap();
        let entry = [&[*kind][..], &10_u16.to_le_bytes()].concat();
        document = container(2, 2, &[&entry.repeat(2)[..], value].concat());
    }
    assert_eq!(printed(&document), Err(ValueError::Json));
    let (members, key) = (1_000_u16, [b'k'; 1_000]);
    let keys = [(4 + 7 * members).to_le_bytes(), 1_000_u16.to_le_bytes()].concat();
    let value = [&[2][..], &(1_004 + 7 * members).to_le_bytes()].concat();
    let count = usize::from(members);
    let body = [
        &keys.repeat(count)[..],
        &value.repeat(count),
        &key,
        &container(2, 0, b"")[1..],
    ]
    .concat();
    let document = container(0, members, &body);
    assert_eq!(printed(&document), Err(ValueError::Json));
    // With two members it is a document.
    let keys = [&18_u16.to_le_bytes()[..], &1_u16.to_le_bytes()].concat();
    let value = b"\x02\x13\0";
    let body = [
        &keys.repeat(2)[..],
        &value.repeat(2),
        b"k",
        &container(2, 0, b"")[1..],
    ]
    .concat();
    assert_eq!(
        printed(&container(0, 2, &body)).unwrap(),
        r#"{"k": [], "k": []}"#
    );
}

#[test]
fn no_bytes_make_it_panic_or_print_without_limit() {
    let mut random = Random::new(5);
    for _ in 0..50_000 {
        let length = random.below(64);
        let mut bytes = random.bytes(length);
        if let Some(kind) = bytes.first_mut() {
            *kind %= 16;
        }
        let length = bytes.len();
        let packed = [&u32::try_from(length).unwrap().to_le_bytes()[..], &bytes].concat();
        let mut out = vec![7];
        match super::copy(&mut Input::new(&packed), &mut out) {
            Ok(()) => assert!(out.len() < 9 * length + 100),
            Err(_) => assert_eq!(out, [7], "nothing is left behind"),
        }
    }
}

/// {"a": 1, "b.c": [1, 2]}
fn object() -> Vec<u8> {
    let array = b"\x02\x00\x0a\x00\x05\x01\x00\x05\x02\x00";
    let body = [
        b"\x12\0\x01\0\x13\0\x03\0\x05\x01\0\x02\x16\0ab.c",
        &array[..],
    ]
    .concat();
    container(0, 2, &body)
}

fn changed(changes: &[(u8, &str, &[u8])]) -> Result<String, ValueError> {
    let mut packed = Vec::new();
    for (operation, path, value) in changes {
        packed.push(*operation);
        packed.push(u8::try_from(path.len()).unwrap());
        packed.extend_from_slice(path.as_bytes());
        if *operation != 2 {
            packed.push(u8::try_from(value.len()).unwrap());
            packed.extend_from_slice(value);
        }
    }
    let mut out = Vec::new();
    super::diff::write_changed(&object(), &packed, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn changes_are_applied_one_after_another() {
    let (seven, text): (&[u8], &[u8]) = (b"\x05\x07\0", b"\x0c\x01x");
    for (changes, expected) in [
        (&[][..], r#"{"a": 1, "b.c": [1, 2]}"#),
        (&[(0, "$.a", seven)], r#"{"a": 7, "b.c": [1, 2]}"#),
        (&[(0, "$.\"b.c\"[1]", text)], r#"{"a": 1, "b.c": [1, "x"]}"#),
        (&[(0, "$", text)], r#""x""#),
        (
            &[(1, "$.aa", text), (0, "$.aa", seven)],
            r#"{"a": 1, "aa": 7, "b.c": [1, 2]}"#,
        ),
        (&[(1, "$.\"\"", seven)], r#"{"": 7, "a": 1, "b.c": [1, 2]}"#),
        (
            &[(1, "$.\"b.c\"[0]", text)],
            r#"{"a": 1, "b.c": ["x", 1, 2]}"#,
        ),
        (
            &[(1, "$.\"b.c\"[9]", text)],
            r#"{"a": 1, "b.c": [1, 2, "x"]}"#,
        ),
        (&[(2, "$.a", b"")], r#"{"b.c": [1, 2]}"#),
        (
            &[
                (0, "$.\"b.c\"[last]", text),
                (0, "$.\"b.c\"[ last - 1 ]", seven),
            ],
            r#"{"a": 1, "b.c": [7, "x"]}"#,
        ),
        (&[(2, "$.\"b.c\"[last-1]", b"")], r#"{"a": 1, "b.c": [2]}"#),
        (
            &[
                (1, "$.\"b.c\"[last]", text),
                (1, "$.\"b.c\"[last-9]", seven),
            ],
            r#"{"a": 1, "b.c": [7, 1, "x", 2]}"#,
        ),
        (
            &[(2, "$.\"b.c\"[0]", b""), (2, "$.\"b.c\"[0]", b"")],
            r#"{"a": 1, "b.c": []}"#,
        ),
        (
            &[(1, "$.\"q\\\"\\\\\\u00e4\"", seven)],
            r#"{"a": 1, "b.c": [1, 2], "q\"\\ä": 7}"#,
        ),
    ] {
        assert_eq!(changed(changes).unwrap(), expected);
    }
}

#[test]
fn changes_that_do_not_fit_the_document_are_refused() {
    let seven: &[u8] = b"\x05\x07\0";
    for change in [
        (0, "$.none", seven),
        (0, "$.a.b", seven),
        (0, "$.a[0]", seven),
        (0, "$.\"b.c\"[2]", seven),
        (1, "$.a", seven),
        (1, "$.\"b.c\".x", seven),
        (1, "$", seven),
        (2, "$.none", b""),
        (2, "$", b""),
        (2, "$.\"b.c\"[2]", b""),
        (2, "$.\"b.c\"[last-2]", b""),
        (0, "$.\"b.c\"[last-2]", seven),
        (0, "$.\"b.c\"[last+1]", seven),
        (0, "$.\"b.c\"[last1]", seven),
        (3, "$.a", seven),
        (0, ".a", seven),
        (0, "$a", seven),
        (0, "$[x]", seven),
        (0, "$[0", seven),
        (0, "$.\"a", seven),
        (0, "$.a", b"\x05"),
    ] {
        assert_eq!(changed(&[change]), Err(ValueError::Json), "{change:?}");
    }
}

/// The changes of a document, in their packed form.
fn packed(operation: u8, path: &str, value: Option<&[u8]>) -> Vec<u8> {
    let length = |bytes: &[u8]| match u8::try_from(bytes.len()) {
        Ok(length @ ..251) => vec![length],
        Ok(_) | Err(_) => [
            &[252][..],
            &u16::try_from(bytes.len()).unwrap().to_le_bytes(),
        ]
        .concat(),
    };
    let mut all = [&[operation][..], &length(path.as_bytes()), path.as_bytes()].concat();
    if let Some(value) = value {
        all.extend([&length(value), value].concat());
    }
    all
}

#[test]
fn changes_have_limits() {
    let refused = |document: &[u8], changes: &[u8]| {
        let result = super::diff::write_changed(document, changes, &mut Vec::new());
        assert_eq!(result, Err(ValueError::Json));
    };
    // Arrays in one another, each put into the one before by a longer path.
    let inner = container(2, 1, b"\x04\x01\0");
    let depth = |levels: usize| {
        let mut changes = Vec::new();
        for level in 0..levels {
            let path = format!("${}", "[0]".repeat(level + 1));
            changes.extend(packed(0, &path, Some(&inner)));
        }
        let mut out = Vec::new();
        super::diff::write_changed(&inner, &changes, &mut out)?;
        Ok(out.len())
    };
    assert_eq!(depth(99), Ok(204));
    assert_eq!(depth(100), Err(ValueError::Json));
    assert_eq!(depth(120), Err(ValueError::Json));
    // Many removals from the front of a long array.
    let count = 20_000_u16;
    let document = container(2, count, &b"\x04\x01\0".repeat(usize::from(count)));
    let removals = packed(2, "$[0]", None).repeat(usize::from(count));
    let mut out = Vec::new();
    super::diff::write_changed(&document, &removals, &mut out).unwrap();
    assert_eq!(out, b"[]");
    // Cells that share a long array: each that a path goes through would be a copy of it.
    let shared = container(2, 1_000, &b"\x04\x01\0".repeat(1_000));
    let cells = 4 + 3 * 1_000_u16;
    let cell = [&[2][..], &cells.to_le_bytes()].concat();
    let document = container(2, 1_000, &[&cell.repeat(1_000)[..], &shared[1..]].concat());
    let changes: Vec<u8> = (0..1_000)
        .flat_map(|cell| packed(0, &format!("$[{cell}][0]"), Some(b"\x04\x02")))
        .collect();
    refused(&document, &changes);
}
