//! Every column type: a packed value and what it stands for, and the defaults that are promised, written out by hand.

use serde_json::{Value, json};

use crate::value::{
    Binary, Bit, Charset, ColumnType, Decimal, Float, Geometry, Integer, Members, Shape, Temporal,
    Text, Vector,
};

/// A column type with what is promised of it. Values are as [`super::plain`] shows them.
pub(super) struct Kind {
    /// The type in SQL.
    pub(super) sql: String,
    /// The type.
    pub(super) column_type: ColumnType,
    /// A value as the binlog packs it, and what it stands for.
    pub(super) packed: Vec<u8>,
    pub(super) value: Value,
    /// What a NOT NULL column without a default has in old rows.
    pub(super) implicit: Value,
    /// Literal defaults as the server writes them, and what they stand for; `None` where Avro has no such value, or
    /// the server does not show all of it.
    pub(super) literals: Vec<(&'static str, Option<Value>)>,
}

impl Kind {
    fn new(sql: &str, column_type: ColumnType, packed: &[u8], value: Value) -> Self {
        Self {
            sql: sql.to_owned(),
            column_type,
            packed: packed.to_vec(),
            value,
            implicit: Value::Null,
            literals: Vec::new(),
        }
    }

    fn implicit(mut self, implicit: Value) -> Self {
        self.implicit = implicit;
        self
    }

    fn literal(mut self, text: &'static str, value: Value) -> Self {
        self.literals.push((text, Some(value)));
        self
    }

    fn no_literal(mut self, text: &'static str) -> Self {
        self.literals.push((text, None));
        self
    }
}

pub(super) fn every_kind() -> Vec<Kind> {
    [
        integers(),
        decimals(),
        floats(),
        bits(),
        texts(),
        binaries(),
        dates(),
        times(),
        members(),
        others(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn integers() -> Vec<Kind> {
    let signed = |sql, bytes, lowest: i64, text, highest: &'static str| {
        let kind = ColumnType::Integer(Integer {
            bytes,
            unsigned: false,
        });
        let packed = &lowest.to_le_bytes()[..usize::from(bytes)];
        Kind::new(sql, kind, packed, json!(lowest))
            .implicit(json!(0))
            .literal(highest, json!(highest.parse::<i64>().unwrap()))
            .literal(text, json!(lowest))
            .literal("1", json!(1))
    };
    let unsigned = |sql, bytes, highest: u64, text| {
        let kind = ColumnType::Integer(Integer {
            bytes,
            unsigned: true,
        });
        let packed = &highest.to_le_bytes()[..usize::from(bytes)];
        Kind::new(sql, kind, packed, json!(highest))
            .implicit(json!(0))
            .literal(text, json!(highest))
            .literal("1", json!(1))
    };
    // Decimals are text, so that no digit is lost.
    let big = |sql, number: u64| {
        let kind = ColumnType::Integer(Integer {
            bytes: 8,
            unsigned: true,
        });
        Kind::new(sql, kind, &number.to_le_bytes(), json!(number.to_string()))
            .implicit(json!("0"))
            .literal("18446744073709551615", json!("18446744073709551615"))
            .literal("200", json!("200"))
    };
    vec![
        signed("tinyint", 1, -128, "-128", "127"),
        unsigned("tinyint unsigned", 1, 255, "255"),
        signed("smallint", 2, -32_768, "-32768", "32767"),
        unsigned("smallint unsigned", 2, 65_535, "65535"),
        signed("mediumint", 3, -8_388_608, "-8388608", "8388607"),
        unsigned("mediumint unsigned", 3, 16_777_215, "16777215"),
        signed("int", 4, i64::from(i32::MIN), "-2147483648", "2147483647"),
        // With ZEROFILL, the server writes a default with its zeros.
        unsigned("int unsigned", 4, 4_294_967_295, "4294967295").literal("0000000042", json!(42)),
        signed(
            "bigint",
            8,
            i64::MIN,
            "-9223372036854775808",
            "9223372036854775807",
        ),
        big("bigint unsigned", u64::MAX),
    ]
}

/// Values that need all the bytes of their precision: see [`super::SHORT`].
fn decimals() -> Vec<Kind> {
    const NINE_NINES: [u8; 4] = [0x3b, 0x9a, 0xc9, 0xff];
    const EIGHT_NINES: [u8; 4] = [0x05, 0xf5, 0xe0, 0xff];
    const THREE_NINES: [u8; 2] = [0x03, 0xe7];
    const TWO_NINES: [u8; 1] = [99];
    let decimal = |precision: u8, scale: u8, groups: &[&[u8]]| {
        let kind = ColumnType::Decimal(Decimal {
            precision,
            scale,
            unsigned: false,
        });
        let sql = format!("decimal({precision},{scale})");
        let mut packed = groups.concat();
        packed[0] ^= 0x80;
        let digits = |digit: &str, count: u8| digit.repeat(usize::from(count));
        let of = |whole: &str, digit: &str| match scale {
            0 => json!(whole),
            _ => json!(format!("{whole}.{}", digits(digit, scale))),
        };
        let whole = match precision - scale {
            0 => "0".to_owned(),
            count => digits("9", count),
        };
        Kind::new(&sql, kind, &packed, of(&whole, "9")).implicit(of("0", "0"))
    };
    let tiny = "0.000000000000000000000000000001";
    let nines = "99999999999999999999999999999999999999999999999999999999999999999";
    let wide = "-12345678901234567890123456789012345.000000000000000000000000000001";
    let nine = &NINE_NINES[..];
    vec![
        decimal(1, 0, &[&[9]])
            .literal("-9", json!("-9"))
            .literal("5", json!("5")),
        decimal(1, 1, &[&[9]]).literal("0.9", json!("0.9")),
        decimal(5, 2, &[&THREE_NINES, &TWO_NINES])
            .literal("-1.50", json!("-1.50"))
            .literal("999.99", json!("999.99")),
        decimal(10, 2, &[&EIGHT_NINES, &TWO_NINES])
            .literal("1.28", json!("1.28"))
            .literal("-99999999.99", json!("-99999999.99")),
        decimal(30, 30, &[nine, nine, nine, &THREE_NINES]).literal(tiny, json!(tiny)),
        decimal(65, 0, &[&TWO_NINES, &nine.repeat(7)]).literal(nines, json!(nines)),
        decimal(65, 30, &[&EIGHT_NINES, &nine.repeat(6), &THREE_NINES]).literal(wide, json!(wide)),
    ]
}

fn floats() -> Vec<Kind> {
    let float = |sql, bytes, packed: &[u8], value: f64| {
        let kind = ColumnType::Float(Float {
            bytes,
            unsigned: false,
        });
        Kind::new(sql, kind, packed, json!(value)).implicit(json!(0.0))
    };
    vec![
        float("float", 4, &(-2.5_f32).to_le_bytes(), -2.5)
            .literal("0.1", json!(0.1))
            .literal("3", json!(3.0)),
        float("double", 8, &1e300_f64.to_le_bytes(), 1e300)
            .literal("0.1", json!(0.1))
            .literal("-3", json!(-3.0))
            .literal("1.7976931348623157e308", json!(f64::MAX)),
    ]
}

/// Defaults without bytes above 0x7f: see [`super::HIGH`].
fn bits() -> Vec<Kind> {
    let bit = |bits: u8, packed: &[u8], value| {
        let kind = ColumnType::Bit(Bit { bits });
        Kind::new(&format!("bit({bits})"), kind, packed, value)
    };
    vec![
        bit(1, &[1], json!(true))
            .implicit(json!(false))
            .literal("b'1'", json!(true))
            .literal("b'0'", json!(false)),
        bit(8, &[0xa5], json!("0xa5"))
            .implicit(json!("0x00"))
            .literal("b'1111111'", json!("0x7f")),
        bit(12, &[0x0f, 0x80], json!("0x0f80"))
            .implicit(json!("0x0000"))
            .literal("b'1'", json!("0x0001"))
            .literal("b'100001111111'", json!("0x087f")),
        bit(64, &[0xff; 8], json!("0xffffffffffffffff"))
            .implicit(json!("0x0000000000000000"))
            .literal("b'101'", json!("0x0000000000000005")),
    ]
}

fn texts() -> Vec<Kind> {
    let charset = Charset::Utf8mb4;
    let short = [&[6][..], "größ".as_bytes()].concat();
    let long = [&[6, 0][..], "größ".as_bytes()].concat();
    let text = |sql, text, packed: &[u8]| {
        Kind::new(sql, ColumnType::Text(text), packed, json!("größ")).implicit(json!(""))
    };
    let char_text = Text::Char {
        bytes_max: 40,
        charset,
    };
    let varchar = Text::VarChar {
        bytes_max: 40,
        charset,
    };
    let blob = Text::Blob {
        length_bytes: 2,
        charset,
    };
    vec![
        text("char(10)", char_text, &short)
            .literal("x", json!("x"))
            .literal("", json!("")),
        text("varchar(10)", varchar, &short)
            .literal("größe", json!("größe"))
            .literal("it's \"\\🐌", json!("it's \"\\🐌"))
            .literal("null", json!("null")),
        // The server takes no literal default for it.
        text("text", blob, &long),
    ]
}

fn binaries() -> Vec<Kind> {
    let binary = |sql, binary, packed: &[u8], value: &str, implicit: &str| {
        Kind::new(sql, ColumnType::Binary(binary), packed, json!(value)).implicit(json!(implicit))
    };
    vec![
        // The binlog leaves zeros at the end out.
        binary(
            "binary(3)",
            Binary::Fixed { bytes: 3 },
            &[2, b'a', 0xff],
            "0x61ff00",
            "0x000000",
        )
        .no_literal("abc"),
        binary(
            "varbinary(3)",
            Binary::Variable { bytes_max: 3 },
            &[2, b'a', 0xff],
            "0x61ff",
            "0x",
        )
        .no_literal("abc"),
        binary(
            "blob",
            Binary::Blob { length_bytes: 2 },
            &[2, 0, b'a', 0xff],
            "0x61ff",
            "0x",
        ),
    ]
}

/// What may be a zero date is null without a literal.
fn dates() -> Vec<Kind> {
    const LEAP_DAY: [u8; 5] = [0x99, 0xb2, 0xba, 0xc8, 0xb8];
    const LEAP_SECONDS: i64 = 1_709_210_096;
    const MICROS: [u8; 3] = [0x01, 0xe2, 0x40];
    let temporal = |sql: &str, temporal, packed: &[u8], value: i64| {
        Kind::new(sql, ColumnType::Temporal(temporal), packed, json!(value))
    };
    let leap_micros = LEAP_SECONDS * 1_000_000;
    let mut kinds = vec![
        temporal("date", Temporal::Date, &[0x5d, 0xd0, 0x0f], 19_782)
            .literal("2024-02-29", json!(19_782))
            .literal("1969-12-31", json!(-1))
            .no_literal("0000-00-00"),
    ];
    let packed_seconds = &u32::try_from(LEAP_SECONDS).unwrap().to_be_bytes()[..];
    for (fraction, packed, micros) in [
        (0, &[][..], 0),
        (3, &[0x04, 0xce], 123_000),
        (6, &MICROS, 123_456),
    ] {
        let sql = |name: &str| match fraction {
            0 => name.to_owned(),
            _ => format!("{name}({fraction})"),
        };
        let text = match fraction {
            0 => "2024-02-29 12:34:56",
            3 => "2024-02-29 12:34:56.123",
            _ => "2024-02-29 12:34:56.123456",
        };
        let value = leap_micros + micros;
        kinds.push(
            temporal(
                &sql("datetime"),
                Temporal::DateTime { fraction },
                &[&LEAP_DAY, packed].concat(),
                value,
            )
            .literal(text, json!(value))
            .literal("1000-01-01 00:00:00", json!(-30_610_224_000_000_000_i64))
            .no_literal("0000-00-00 00:00:00"),
        );
        kinds.push(
            temporal(
                &sql("timestamp"),
                Temporal::Timestamp { fraction },
                &[packed_seconds, packed].concat(),
                value,
            )
            .literal(text, json!(value))
            .literal("1970-01-01 00:00:01", json!(1_000_000))
            .no_literal("0000-00-00 00:00:00"),
        );
    }
    kinds
}

fn times() -> Vec<Kind> {
    let noon = 45_296_000_000_i64;
    let time = |sql, fraction, packed: &[u8], value: i64| {
        let kind = ColumnType::Temporal(Temporal::Time { fraction });
        Kind::new(sql, kind, packed, json!(value)).implicit(json!(0))
    };
    vec![
        time("time", 0, &[0x80, 0xc8, 0xb8], noon)
            .literal("-838:59:59", json!(-3_020_399_000_000_i64))
            .literal("00:00:01", json!(1_000_000)),
        time(
            "time(6)",
            6,
            &[0x80, 0xc8, 0xb8, 0x01, 0xe2, 0x40],
            noon + 123_456,
        )
        .literal("12:34:56.123456", json!(noon + 123_456)),
        Kind::new(
            "year",
            ColumnType::Temporal(Temporal::Year),
            &[124],
            json!(2024),
        )
        .implicit(json!(0))
        .literal("1999", json!(1999))
        .literal("0000", json!(0)),
    ]
}

fn members() -> Vec<Kind> {
    let members = ["größer", "it's", "c"]
        .map(|name| name.to_owned().into())
        .to_vec();
    let one = ColumnType::Members(Members::Enum {
        bytes: 1,
        members: members.clone(),
    });
    let some = ColumnType::Members(Members::Set { bytes: 1, members });
    vec![
        Kind::new("enum", one, &[3], json!("c"))
            .implicit(json!("größer"))
            .literal("it's", json!("it's")),
        Kind::new("set", some, &[0b101], json!(["größer", "c"]))
            .implicit(json!([]))
            .literal("it's,c", json!(["it's", "c"]))
            .literal("", json!([])),
    ]
}

/// The server takes no literal default for these.
fn others() -> Vec<Kind> {
    let geometry = ColumnType::Geometry(Geometry { shape: Shape::Any });
    let point = [
        &[9, 0, 0, 0][..],
        &4326_u32.to_le_bytes(),
        &[1, 1, 0, 0, 0xff],
    ]
    .concat();
    let vector = [
        &[8, 0, 0, 0][..],
        &0.5_f32.to_le_bytes(),
        &(-2.0_f32).to_le_bytes(),
    ]
    .concat();
    let dimensions = 3;
    vec![
        Kind::new("json", ColumnType::Json, &[2, 0, 0, 0, 4, 1], json!("true"))
            .implicit(json!("null")),
        Kind::new(
            "geometry",
            geometry,
            &point,
            json!({"srid": 4326, "wkb": "0x01010000ff"}),
        )
        .implicit(json!({"srid": 0, "wkb": "0x"})),
        Kind::new(
            "vector(3)",
            ColumnType::Vector(Vector {
                dimensions,
                bytes_max: None,
            }),
            &vector,
            json!([0.5, -2.0]),
        )
        .implicit(json!([])),
    ]
}
