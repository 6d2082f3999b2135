use super::*;
use crate::value::{Binary, Charset, Integer, Text};

const TEXT: ColumnType = ColumnType::Text(Text::VarChar {
    bytes_max: 80,
    charset: Charset::Utf8mb4,
});

fn integer(bytes: u8, unsigned: bool) -> ColumnType {
    ColumnType::Integer(Integer { bytes, unsigned })
}

fn salt() -> Mask {
    Mask::Hash(Salt((*b"salt").into()))
}

/// The Avro text that a packed value becomes.
fn masked(inner: ColumnType, mask: Mask, packed: &[u8]) -> String {
    let masked = Masked::new(inner, mask).unwrap();
    let mut input = Input::new(packed);
    let mut out = b"before".to_vec();
    assert_eq!(masked.copy(&mut input, &mut out), Ok(Written::Value));
    assert!(input.is_empty() && out.starts_with(b"before"));
    let (length, text) = read_long(&out[6..]);
    assert_eq!(usize::try_from(length).unwrap(), text.len());
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn a_hash_is_that_of_sql() {
    // SELECT SHA2(CONCAT('salt', 'ä'), 256), SHA2(CONCAT('salt', -5), 256), SHA2(CONCAT('salt', ''), 256)
    for (inner, packed, expected) in [
        (TEXT, &b"\x02\xc3\xa4"[..], "84d52592"),
        (integer(4, false), &(-5_i32).to_le_bytes()[..], "ae63f1cf"),
        (TEXT, b"\x00", "63479ad6"),
    ] {
        let found = masked(inner, salt(), packed);
        assert_eq!(found.len(), 64);
        assert!(found.starts_with(expected), "{found}");
    }
    let other = Mask::Hash(Salt((*b"other").into()));
    assert_ne!(masked(TEXT, other, b"\x00"), masked(TEXT, salt(), b"\x00"));
}

#[test]
fn a_text_is_cut_at_characters() {
    for (characters, expected) in [(0, ""), (1, "ä"), (2, "äb"), (3, "äbc"), (9, "äbc")] {
        let found = masked(TEXT, Mask::Truncate(characters), "\u{4}äbc".as_bytes());
        assert_eq!(found, expected);
    }
}

#[test]
fn a_fixed_text_takes_the_place_of_anything() {
    let fixed = || Mask::Fixed("***".into());
    assert_eq!(masked(TEXT, fixed(), b"\x01x"), "***");
    assert_eq!(masked(integer(8, true), fixed(), &[0xff; 8]), "***");
    // What is not text of its character set is not seen.
    assert_eq!(masked(TEXT, fixed(), b"\x01\xff"), "***");
}

#[test]
fn a_rule_is_for_a_column_however_it_is_written() {
    let rule = |database: &str, table: &str, column: &str| ColumnRule {
        database: Pattern::new(database),
        table: Pattern::new(table),
        column: Pattern::new(column),
        mask: Mask::LeaveOut,
    };
    for (rule, is_for) in [
        (rule("shop", "users", "E-Mail"), true),
        (rule("*", "user?", "*mail"), true),
        (rule("shop", "Users", "e-mail"), false),
        (rule("shop", "Users", "e-mail").in_lower_case(), true),
        (rule("hr", "users", "e-mail"), false),
    ] {
        assert_eq!(rule.is_for(("shop", "users", "e-Mail")), is_for, "{rule:?}");
    }
    assert!(rule("shop", "users", "*").names("shop", "users"));
    assert!(!rule("shop", "*", "*").names("shop", "users"));
}

#[test]
fn masks_are_for_the_values_that_they_can_be_made_of() {
    let blob = || ColumnType::Binary(Binary::Variable { bytes_max: 9 });
    assert!(Masked::new(integer(4, false), Mask::Truncate(1)).is_none());
    assert!(Masked::new(integer(8, true), salt()).is_none());
    assert!(Masked::new(blob(), Mask::Truncate(1)).is_none());
    assert!(Masked::new(blob(), salt()).is_some());
    assert!(!format!("{:?}", salt()).contains("salt\""));
}
