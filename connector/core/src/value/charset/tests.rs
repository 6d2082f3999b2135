//! Character sets where libraries and peers go wrong. All tables are compared with a real server elsewhere.

use super::Charset;
use crate::value::ValueError;

fn text(charset: Charset, bytes: &[u8]) -> Result<String, ValueError> {
    let mut out = Vec::new();
    charset.write(bytes, &mut out)?;
    let decoded = charset.decode(bytes).unwrap();
    let mut expected = Vec::new();
    crate::avro::binary::write_bytes(&mut expected, decoded.as_bytes());
    assert_eq!(out, expected, "both ways are the same");
    Ok(decoded)
}

#[test]
fn text_of_each_character_set_becomes_utf_8() {
    let cases: &[(Charset, &[u8], &str)] = &[
        (Charset::Latin1, b"\x80\x81\xe4\xff", "€\u{81}äÿ"),
        (Charset::Latin2, b"\xb3\xf3d\xbc", "łódź"),
        (Charset::Cp1251, b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"),
        (Charset::Koi8r, b"\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"),
        (Charset::Swe7, b"[\\]", "ÄÖÅ"),
        (Charset::Gbk, b"a\xc4\xe3\xba\xc3", "a你好"),
        (Charset::Gb2312, b"\xc4\xe3\xba\xc3", "你好"),
        (Charset::Big5, b"\xa7A\xa6n", "你好"),
        (Charset::Euckr, b"\xbe\xc8\xb3\xe7", "안녕"),
        // A library would make it a full-width backslash, as Windows does.
        (Charset::Sjis, b"\x81\x5f\x5c\xb1\x82\xa0", "\\\\\u{ff71}あ"),
        (Charset::Cp932, b"\x81\x5f\x87\x40", "＼①"),
        (
            Charset::Ujis,
            b"a\xa4\xa2\x8e\xb1\x8f\xb0\xa1",
            "aあ\u{ff71}丂",
        ),
        (Charset::Eucjpms, b"\xa4\xa2\x8f\xf3\xf3\xad\xa1", "あⅰ①"),
        (
            Charset::Gb18030,
            b"a\xc4\xe3\x81\x30\x81\x30\x84\x31\xa4\x39\x90\x30\x81\x30\xe3\x32\x9a\x35",
            "a你\u{80}\u{ffff}\u{10000}\u{10ffff}",
        ),
        (Charset::Ucs2, b"\x00a\x20\xac", "a€"),
        (Charset::Utf16, b"\x00a\xd8\x3d\xdc\x0c", "a🐌"),
        (Charset::Utf16le, b"a\x00\x3d\xd8\x0c\xdc", "a🐌"),
        (Charset::Utf32, b"\x00\x00\x00a\x00\x01\xf4\x0c", "a🐌"),
    ];
    for (charset, bytes, expected) in cases {
        assert_eq!(
            text(*charset, bytes).as_deref(),
            Ok(*expected),
            "{charset:?}"
        );
        assert_eq!(text(*charset, b""), Ok(String::new()), "{charset:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_and_leave_nothing_behind() {
    let cases: &[(Charset, &[u8])] = &[
        (Charset::Ascii, b"\x80"),
        (Charset::Cp1250, b"\x81"),
        (Charset::Gbk, b"\x80"),
        (Charset::Gbk, b"\x81"),
        (Charset::Gbk, b"\xc4"),
        // Of the character set, but without a place in Unicode.
        (Charset::Gbk, b"\xa2\xa0"),
        (Charset::Sjis, b"\x81\x20"),
        (Charset::Ujis, b"\x8f\xb0"),
        (Charset::Ujis, b"\x8f\x20\x20"),
        (Charset::Gb18030, b"\x81\x30\x81"),
        (Charset::Gb18030, b"\x84\x31\xa5\x30"),
        (Charset::Gb18030, b"\xe3\x32\x9a\x36"),
        (Charset::Gb18030, b"\xff"),
        (Charset::Ucs2, b"\x00"),
        (Charset::Ucs2, b"\xd8\x3d\xdc\x0c"),
        (Charset::Utf16, b"\xd8\x3d"),
        (Charset::Utf16, b"\xdc\x0c\xd8\x3d"),
        (Charset::Utf16, b"\xd8\x3d\x00a"),
        (Charset::Utf16le, b"a\x00b"),
        (Charset::Utf32, b"\x00\x00a"),
        (Charset::Utf32, b"\x00\x11\x00\x00"),
        (Charset::Utf32, b"\x00\x00\xd8\x00"),
    ];
    for (charset, bytes) in cases {
        let mut out = vec![1];
        assert_eq!(
            charset.write(bytes, &mut out),
            Err(ValueError::Text),
            "{charset:?} {bytes:02x?}"
        );
        assert_eq!(out, [1], "{charset:?} {bytes:02x?}");
        assert_eq!(
            charset.decode(bytes),
            Err(ValueError::Text),
            "{charset:?} {bytes:02x?}"
        );
    }
}

#[test]
fn no_bytes_make_a_character_set_panic_or_hang() {
    let mut random = crate::testing::Random::new(11);
    for charset in Charset::ALL {
        for _ in 0..2_000 {
            let length = random.below(9);
            let bytes = random.bytes(length);
            let mut out = Vec::new();
            if charset.write(&bytes, &mut out).is_ok() {
                assert!(out.len() <= 4 * bytes.len() + 1);
            }
        }
    }
}

#[test]
fn collations_are_known_by_their_number() {
    for (collations, charset) in [
        (&[45, 46, 224, 247, 255, 309, 323][..], Charset::Utf8mb4),
        (&[33, 76, 83, 192, 215, 223], Charset::Utf8mb3),
        (&[11, 65], Charset::Ascii),
        (&[248, 249, 250], Charset::Gb18030),
        (&[8, 5, 94], Charset::Latin1),
        (&[159, 128], Charset::Ucs2),
    ] {
        for collation in collations {
            assert_eq!(
                Charset::of_collation(*collation),
                Some(charset),
                "{collation}"
            );
        }
    }
    for none in [0, 17, 63, 100, 125, 152, 184, 251, 324, 575, 3328, u64::MAX] {
        assert_eq!(Charset::of_collation(none), None, "{none}");
    }
}

#[test]
fn collations_of_mariadb_have_character_sets_too() {
    for (number, expected) in [
        (45, Some(Charset::Utf8mb4)),
        (608, Some(Charset::Utf8mb4)),
        (1025, Some(Charset::Big5)),
        (1052, Some(Charset::Gbk)),
        (1071, Some(Charset::Latin1)),
        (2048, Some(Charset::Utf8mb3)),
        (2304, Some(Charset::Utf8mb4)),
        (2560, Some(Charset::Ucs2)),
        (3327, Some(Charset::Utf32)),
        (63, None),
        (3328, None),
    ] {
        assert_eq!(Charset::of_collation(number), expected, "{number}");
    }
}
