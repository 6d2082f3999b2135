//! Events as people read them: Avro bytes to JSON, for `tail` and `demo`.
//!
//! The order of fields is kept, unions are unwrapped, and no digit is lost: what JSON's numbers cannot
//! hold is a string. An error shows no value (I9): only the output does.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::RecordSchema;
use apache_avro::types::Value as Avro;
use serde_json::{Number, Value as Json, json};

/// Bytes that could not be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The bytes are not of this schema.
    #[error("the {length} bytes do not decode with the schema")]
    Undecodable {
        /// Length of the datum.
        length: usize,
    },
    /// The schema ends before the bytes do: it is not the one that wrote them.
    #[error("{rest} of {length} bytes are left after decoding: another schema wrote them")]
    BytesLeft {
        /// Bytes that were not read.
        rest: usize,
        /// Length of the datum.
        length: usize,
    },
}

/// Splits the registry's frame off: a zero byte, and the schema's id in 4 bytes.
///
/// `None` if the bytes do not begin with one.
pub fn split_frame(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (magic, rest) = bytes.split_first()?;
    let (id, datum) = rest.split_first_chunk::<4>()?;
    (*magic == 0).then(|| (u32::from_be_bytes(*id), datum))
}

/// Decodes one datum, without its frame, and renders it.
///
/// # Errors
/// See [`RenderError`].
pub fn to_json(schema: &Schema, datum: &[u8]) -> Result<Json, RenderError> {
    let length = datum.len();
    let undecodable = |_| RenderError::Undecodable { length };
    let mut rest = datum;
    let value = GenericDatumReader::builder(schema)
        .build()
        .and_then(|reader| reader.read_value(&mut rest))
        .map_err(undecodable)?;
    if !rest.is_empty() {
        return Err(RenderError::BytesLeft {
            rest: rest.len(),
            length,
        });
    }
    let mut names = BTreeMap::new();
    collect_records(schema, &mut names);
    render(&names, schema, value).ok_or(RenderError::Undecodable { length })
}

type Names<'s> = BTreeMap<String, &'s Schema>;

/// Where a later reference leads.
fn collect_records<'s>(schema: &'s Schema, names: &mut Names<'s>) {
    if let (Some(name), false) = (schema.name(), matches!(schema, Schema::Ref { .. })) {
        names.insert(name.fullname(None), schema);
    }
    match schema {
        Schema::Record(record) => {
            record
                .fields
                .iter()
                .for_each(|field| collect_records(&field.schema, names));
        }
        Schema::Union(union) => union
            .variants()
            .iter()
            .for_each(|v| collect_records(v, names)),
        Schema::Array(array) => collect_records(&array.items, names),
        Schema::Map(map) => collect_records(&map.types, names),
        _ => {}
    }
}

/// Value and schema go side by side, as only the schema knows a decimal's scale.
///
/// `None` if they do not fit: the library decodes a string or boolean that is cut short as null.
fn render(names: &Names<'_>, schema: &Schema, value: Avro) -> Option<Json> {
    let schema = match schema {
        Schema::Ref { name } => *names.get(&name.fullname(None))?,
        _ => schema,
    };
    match (schema, value) {
        (Schema::Null, Avro::Null) => Some(Json::Null),
        (Schema::Union(union), Avro::Union(index, value)) => {
            let variant = union.variants().get(usize::try_from(index).ok()?)?;
            render(names, variant, *value)
        }
        (Schema::Record(record), Avro::Record(fields)) => render_record(names, record, fields),
        (Schema::Array(array), Avro::Array(items)) => {
            let rendered = items
                .into_iter()
                .map(|item| render(names, &array.items, item));
            rendered.collect::<Option<Vec<Json>>>().map(Json::Array)
        }
        (Schema::Map(map), Avro::Map(entries)) => {
            let sorted: BTreeMap<String, Avro> = entries.into_iter().collect();
            let rendered = sorted
                .into_iter()
                .map(|(key, value)| Some((key, render(names, &map.types, value)?)));
            rendered.collect::<Option<_>>().map(Json::Object)
        }
        (Schema::Decimal(schema), Avro::Decimal(decimal)) => {
            let bytes = Vec::<u8>::try_from(&decimal).ok()?;
            Some(Json::String(decimal_text(&bytes, schema.scale)))
        }
        (_, value) => render_scalar(value),
    }
}

fn render_record(
    names: &Names<'_>,
    record: &RecordSchema,
    fields: Vec<(String, Avro)>,
) -> Option<Json> {
    let pairs = record.fields.iter().zip(fields);
    let rendered =
        pairs.map(|(field, (name, value))| Some((name, render(names, &field.schema, value)?)));
    rendered.collect::<Option<_>>().map(Json::Object)
}

fn render_scalar(value: Avro) -> Option<Json> {
    Some(match value {
        Avro::Boolean(value) => Json::Bool(value),
        Avro::Int(value) | Avro::TimeMillis(value) => json!(value),
        Avro::Long(value) | Avro::TimeMicros(value) => json!(value),
        // By way of its text: 0.1 as a float is 0.10000000149011612 as a double.
        Avro::Float(value) => float(value.to_string().parse().unwrap_or(f64::from(value))),
        Avro::Double(value) => float(value),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => Json::String(hex(&bytes)),
        Avro::String(text) | Avro::Enum(_, text) => Json::String(text),
        Avro::Date(days) => Json::String(date_text(i64::from(days))),
        Avro::TimestampMillis(units) => Json::String(time_text(units, 3) + "Z"),
        Avro::TimestampMicros(units) => Json::String(time_text(units, 6) + "Z"),
        Avro::TimestampNanos(units) => Json::String(time_text(units, 9) + "Z"),
        Avro::LocalTimestampMillis(units) => Json::String(time_text(units, 3)),
        Avro::LocalTimestampMicros(units) => Json::String(time_text(units, 6)),
        Avro::LocalTimestampNanos(units) => Json::String(time_text(units, 9)),
        Avro::BigDecimal(value) => Json::String(value.to_string()),
        Avro::Uuid(value) => Json::String(value.to_string()),
        Avro::Duration(value) => json!({
            "months": u32::from(value.months()),
            "days": u32::from(value.days()),
            "milliseconds": u32::from(value.millis()),
        }),
        Avro::Null
        | Avro::Union(..)
        | Avro::Record(_)
        | Avro::Array(_)
        | Avro::Map(_)
        | Avro::Decimal(_) => return None,
    })
}

/// JSON has no number for these three.
fn float(value: f64) -> Json {
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => json!("NaN"),
        None if value > 0.0 => json!("Infinity"),
        None => json!("-Infinity"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a decimal up to which it is written out; MySQL's longest has 28.
const DECIMAL_BYTES_MAX: usize = 64;

/// Big-endian two's complement to an exact text with `scale` digits after the point.
fn decimal_text(bytes: &[u8], scale: usize) -> String {
    if bytes.len() > DECIMAL_BYTES_MAX || scale > 1000 {
        return hex(bytes);
    }
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        negate(&mut magnitude);
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        digits.push(char::from(b'0' + divide_by_ten(&mut magnitude)));
    }
    while digits.len() <= scale {
        digits.push('0');
    }
    if scale > 0 {
        digits.insert(scale, '.');
    }
    if negative {
        digits.push('-');
    }
    digits.iter().rev().collect()
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
    }
}

/// Divides in place and returns the remainder.
fn divide_by_ten(bytes: &mut [u8]) -> u8 {
    let mut remainder = 0_u16;
    for byte in bytes {
        let value = remainder << 8 | u16::from(*byte);
        *byte = u8::try_from(value / 10).expect("a remainder below 10 leaves at most 255");
        remainder = value % 10;
    }
    u8::try_from(remainder).expect("a remainder is below 10")
}

/// `2026-01-02T03:04:05.000006` from a count of units since 1970, `digits` of them after the point.
fn time_text(units: i64, digits: u32) -> String {
    let per_second = 10_i64.pow(digits);
    let (seconds, fraction) = (units.div_euclid(per_second), units.rem_euclid(per_second));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let width = usize::try_from(digits).unwrap_or_default();
    format!(
        "{}T{hour:02}:{minute:02}:{second:02}.{fraction:0width$}",
        date_text(days)
    )
}

/// The proleptic Gregorian date of a day since 1970-01-01.
///
/// Counted in eras of 400 years (146,097 days) that begin on 1 March, so that the leap day is a year's last.
fn date_text(days: i64) -> String {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use apache_avro::writer::datum::GenericDatumWriter;

    use super::*;

    fn check(schema: &str, value: Avro, expected: &str) {
        let schema = Schema::parse_str(schema).unwrap();
        let datum = GenericDatumWriter::builder(&schema)
            .build()
            .unwrap()
            .write_value_to_vec(value)
            .unwrap();
        assert_eq!(to_json(&schema, &datum).unwrap().to_string(), expected);
    }

    fn check_logical(kind: &str, logical: &str, value: Avro, expected: &str) {
        let schema = format!(r#"{{"type":"{kind}","logicalType":"{logical}"}}"#);
        check(&schema, value, &format!("\"{expected}\""));
    }

    #[test]
    fn plain_values() {
        for (schema, value, expected) in [
            (r#""null""#, Avro::Null, "null"),
            (r#""boolean""#, Avro::Boolean(true), "true"),
            (r#""int""#, Avro::Int(-7), "-7"),
            (r#""long""#, Avro::Long(i64::MIN), "-9223372036854775808"),
            (r#""float""#, Avro::Float(0.1), "0.1"),
            (r#""float""#, Avro::Float(f32::NAN), r#""NaN""#),
            (r#""double""#, Avro::Double(0.1), "0.1"),
            (r#""double""#, Avro::Double(1e300), "1e+300"),
            (
                r#""double""#,
                Avro::Double(f64::NEG_INFINITY),
                r#""-Infinity""#,
            ),
            (r#""bytes""#, Avro::Bytes(vec![0, 0xab]), r#""00ab""#),
            (r#""string""#, Avro::String("a\"é".into()), r#""a\"é""#),
            (
                r#"["null","int"]"#,
                Avro::Union(0, Box::new(Avro::Null)),
                "null",
            ),
            (
                r#"["null","int"]"#,
                Avro::Union(1, Box::new(Avro::Int(3))),
                "3",
            ),
            (
                r#"{"type":"array","items":"string"}"#,
                Avro::Array(vec![Avro::String("b".into()), Avro::String("a".into())]),
                r#"["b","a"]"#,
            ),
        ] {
            check(schema, value, expected);
        }
    }

    #[test]
    fn dates_and_times() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (20_455, "2026-01-02"),
            (19_782, "2024-02-29"),
            (11_016, "2000-02-29"),
            (-25_508, "1900-03-01"),
            (2_932_896, "9999-12-31"),
            (-354_285, "1000-01-01"),
        ] {
            check_logical("int", "date", Avro::Date(days), expected);
        }
        let micros = 1_767_323_045_000_006;
        let before = -1;
        for (logical, value, expected) in [
            (
                "timestamp-micros",
                Avro::TimestampMicros(micros),
                "2026-01-02T03:04:05.000006Z",
            ),
            (
                "timestamp-micros",
                Avro::TimestampMicros(before),
                "1969-12-31T23:59:59.999999Z",
            ),
            (
                "timestamp-millis",
                Avro::TimestampMillis(before),
                "1969-12-31T23:59:59.999Z",
            ),
            (
                "local-timestamp-micros",
                Avro::LocalTimestampMicros(micros),
                "2026-01-02T03:04:05.000006",
            ),
            (
                "local-timestamp-micros",
                Avro::LocalTimestampMicros(i64::MAX),
                "294247-01-10T04:00:54.775807",
            ),
        ] {
            check_logical("long", logical, value, expected);
        }
    }

    #[test]
    fn decimals_keep_every_digit() {
        for (bytes, scale, expected) in [
            (vec![0x04, 0xe2], 2, "12.50"),
            (vec![0xfb, 0x1e], 2, "-12.50"),
            (vec![0x00], 2, "0.00"),
            (vec![0x05], 2, "0.05"),
            (vec![0xff], 3, "-0.001"),
            (vec![0x80], 0, "-128"),
            (
                vec![0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                0,
                "18446744073709551615",
            ),
        ] {
            let schema = format!(
                r#"{{"type":"bytes","logicalType":"decimal","precision":20,"scale":{scale}}}"#
            );
            check(
                &schema,
                Avro::Decimal(bytes.into()),
                &format!("\"{expected}\""),
            );
        }
    }

    const ENVELOPE: &str = r#"{"type":"record","name":"Envelope","namespace":"t.d.o","fields":[
        {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
            {"name":"z","type":"int"},
            {"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}}]}]},
        {"name":"after","type":["null","Value"]},
        {"name":"op","type":"string"}]}"#;

    #[test]
    fn fields_keep_their_order_and_references_are_followed() {
        let row = Avro::Record(vec![
            ("z".into(), Avro::Int(1)),
            ("a".into(), Avro::Decimal(vec![0x04, 0xe2].into())),
        ]);
        let event = Avro::Record(vec![
            ("before".into(), Avro::Union(0, Box::new(Avro::Null))),
            ("after".into(), Avro::Union(1, Box::new(row))),
            ("op".into(), Avro::String("c".into())),
        ]);
        check(
            ENVELOPE,
            event,
            r#"{"before":null,"after":{"z":1,"a":"12.50"},"op":"c"}"#,
        );
    }

    #[test]
    fn bytes_of_another_schema_are_refused_without_showing_them() {
        let schema = Schema::parse_str(r#""string""#).unwrap();
        let render = |datum: &[u8]| to_json(&schema, datum).unwrap_err();
        assert_eq!(render(b"\x08abc"), RenderError::Undecodable { length: 4 });
        assert_eq!(render(b""), RenderError::Undecodable { length: 0 });
        assert_eq!(render(b"\x02\xff"), RenderError::Undecodable { length: 2 });
        assert_eq!(
            render(b"\x02abc"),
            RenderError::BytesLeft { rest: 2, length: 4 }
        );
    }

    #[test]
    fn a_frame_is_a_zero_and_an_id() {
        assert_eq!(split_frame(&[0, 0, 0, 1, 2, 9]), Some((258, &[9][..])));
        assert_eq!(split_frame(&[0, 0, 0, 0, 7]), Some((7, &[][..])));
        assert_eq!(split_frame(&[1, 0, 0, 0, 7]), None);
        assert_eq!(split_frame(&[0, 0, 0, 7]), None);
        assert_eq!(split_frame(&[]), None);
    }
}
