//! How the server prints the scalars of a JSON document.

use std::fmt::Display;
use std::io::Write;

use super::super::{Decimal, ValueError};
use crate::input::Input;

/// Field types of opaque values that have a text of their own.
mod field {
    pub(super) const TIMESTAMP: u8 = 7;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const DECIMAL: u8 = 246;
}

pub(super) fn write_display(value: impl Display, out: &mut Vec<u8>) {
    // A Vec takes all that is written to it.
    let _always_ok = write!(out, "{value}");
}

/// Text in quotes: only quotes, backslashes and control characters are escaped.
pub(super) fn write_string(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    std::str::from_utf8(bytes).map_err(|_| ValueError::Json)?;
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..0x20 => write_display(format_args!("\\u{byte:04x}"), out),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
    Ok(())
}

/// Beyond so many digits before the point, or zeros behind it, the server writes an exponent.
const PLAIN_DIGITS_MAX: i32 = 15;
const PLAIN_ZEROS_MAX: i32 = 14;

/// The shortest digits that stand for the number, and a point, so that it does not look like an integer.
pub(super) fn write_double(number: f64, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !number.is_finite() {
        return Err(ValueError::Json);
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    let (digits, point) = shortest(number.abs())?;
    let count = i32::try_from(digits.len()).map_err(|_| ValueError::Json)?;
    // One digit behind the point is shown, however many there are before it.
    let is_plain = point >= -PLAIN_ZEROS_MAX && (point <= PLAIN_DIGITS_MAX || count > point);
    if !is_plain {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        write_display(format_args!("{first}{dot}{rest}e{}", point - 1), out);
        return Ok(());
    }
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    if point <= 0 {
        write_display(format_args!("0.{}{digits}", zeros(-point)), out);
    } else if point >= count {
        write_display(format_args!("{digits}{}.0", zeros(point - count)), out);
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        write_display(format_args!("{whole}.{fraction}"), out);
    }
    Ok(())
}

/// The fewest digits that stand for a number, and how many of them are before the point. Where two are as near, the
/// even one is taken, as the server does; the standard library takes the other.
fn shortest(number: f64) -> Result<(String, i32), ValueError> {
    let text = serde_json::to_string(&number).map_err(|_| ValueError::Json)?;
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().map_err(|_| ValueError::Json)?;
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let zeros = i32::try_from(all.len() - significant.len()).map_err(|_| ValueError::Json)?;
    let before = i32::try_from(whole.len()).map_err(|_| ValueError::Json)?;
    match significant.trim_end_matches('0') {
        "" => Ok(("0".to_owned(), 1)),
        digits => Ok((digits.to_owned(), before - zeros + exponent)),
    }
}

/// A value of a type that JSON does not have.
pub(super) fn write_opaque(
    field_type: u8,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    match field_type {
        field::DECIMAL => write_decimal(bytes, out),
        field::DATE | field::TIME | field::DATETIME | field::TIMESTAMP => {
            let packed: [u8; 8] = bytes.try_into().map_err(|_| ValueError::Json)?;
            write_temporal(field_type, i64::from_le_bytes(packed), out);
            Ok(())
        }
        _ => {
            write_display(format_args!("\"base64:type{field_type}:"), out);
            write_base64(bytes, out);
            out.push(b'"');
            Ok(())
        }
    }
}

/// Precision and scale, then the digits as in a column.
fn write_decimal(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let [precision, scale, packed @ ..] = bytes else {
        return Err(ValueError::Json);
    };
    let decimal = Decimal {
        precision: *precision,
        scale: *scale,
        unsigned: false,
    };
    let mut input = Input::new(packed);
    let text = decimal.text(&mut input).map_err(|_| ValueError::Json)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// A point in time packed in 64 bits: 24 for microseconds, below 17 for the time of day and above them for the date.
fn write_temporal(field_type: u8, packed: i64, out: &mut Vec<u8>) {
    let sign = if packed < 0 { "-" } else { "" };
    let packed = packed.unsigned_abs();
    let (whole, micros) = (packed >> 24, packed & 0xff_ffff);
    let (date, time) = (whole >> 17, whole & 0x1_ffff);
    let (months, day) = (date >> 5, date & 0x1f);
    let (year, month) = (months / 13, months % 13);
    let (minute, second) = (time >> 6 & 0x3f, time & 0x3f);
    match field_type {
        field::DATE => write_display(format_args!("\"{year:04}-{month:02}-{day:02}\""), out),
        field::TIME => {
            let hour = whole >> 12 & 0x3ff;
            let text = format_args!("\"{sign}{hour:02}:{minute:02}:{second:02}.{micros:06}\"");
            write_display(text, out);
        }
        _ => {
            let hour = time >> 12;
            write_display(
                format_args!(
                    "\"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}\""
                ),
                out,
            );
        }
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The server breaks the lines of base64 after so many characters, also within JSON.
const BASE64_LINE: usize = 76;

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    for chunk in bytes.chunks(3) {
        if column == BASE64_LINE {
            out.extend_from_slice(b"\\n");
            column = 0;
        }
        let mut three = [0; 3];
        three
            .iter_mut()
            .zip(chunk)
            .for_each(|(to, from)| *to = *from);
        let [a, b, c] = three;
        let bits = u32::from_be_bytes([0, a, b, c]);
        for place in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * place) & 0x3f).unwrap_or_default();
            let is_padding = place > chunk.len();
            let character = BASE64.get(index).filter(|_| !is_padding);
            out.push(character.copied().unwrap_or(b'='));
        }
        column += 4;
    }
}
