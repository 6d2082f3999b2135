//! Defaults, as `information_schema.COLUMNS.COLUMN_DEFAULT` has them.
//!
//! What the server would convert in a way that is not plain (a number for a text, a date without zeros) is not computed:
//! the default is unproven then.

use super::collations::Collation;
use super::parser::Parser;
use super::types::quoted;
use super::words::Word;
use super::{Environment, NotUnderstood};
use crate::schema::DescribedColumn;

/// What a statement says of a default.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Default {
    /// NULL, or nothing.
    None,
    Text(String),
    Number(String),
    Bits(Vec<u8>),
    /// The time at which a row is made, with a number of digits of a second.
    Now(u64),
    /// The same as `LOCALTIME` or `LOCALTIMESTAMP`, which to MariaDB are other functions.
    Local(u64),
    /// `UUID()`
    Uuid,
    /// What only the server can compute.
    Other,
}

/// A default as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Literal(String),
    Now(String),
    Unproven,
}

impl Default {
    /// Reads what follows DEFAULT.
    pub(super) fn read(p: &mut Parser) -> Result<Self, NotUnderstood> {
        if p.is_sign('(') {
            p.skip_parentheses()?;
            return Ok(Self::Other);
        }
        let is_local = p.is_one_of(&["LOCALTIME", "LOCALTIMESTAMP"]);
        match now(p)? {
            Some(fraction) if is_local => return Ok(Self::Local(fraction)),
            Some(fraction) => return Ok(Self::Now(fraction)),
            None => {}
        }
        // Of MariaDB.
        if p.take_all(&["NEXT", "VALUE", "FOR"]) {
            p.qualified()?;
            return Ok(Self::Other);
        }
        let is_negative = p.take_sign('-');
        if !is_negative {
            p.take_sign('+');
        }
        Ok(match p.next() {
            Some(Word::Number(number)) if is_negative => Self::Number(format!("-{number}")),
            Some(Word::Number(number)) => Self::Number(number),
            Some(Word::Text(text)) if !is_negative => Self::Text(text),
            Some(Word::Bits(bits)) if !is_negative => Self::Bits(bits),
            Some(Word::Bare(word)) => match word.to_ascii_uppercase().as_str() {
                "NULL" => Self::None,
                "TRUE" => Self::Number("1".to_owned()),
                "FALSE" => Self::Number("0".to_owned()),
                "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_USER" | "CURRENT_ROLE" | "UTC_DATE"
                | "UTC_TIME" | "UTC_TIMESTAMP"
                    if !p.is_sign('(') =>
                {
                    Self::Other
                }
                // `_latin1'x'`, `N'x'`, `DATE'2020-01-01'`
                word => match p.peek() {
                    Some(Word::Text(text)) if text.is_ascii() && is_introducer(word) => {
                        let text = text.clone();
                        p.next();
                        Self::Text(text)
                    }
                    Some(Word::Text(_) | Word::Bits(_)) => {
                        p.next();
                        Self::Other
                    }
                    // An expression, which MariaDB takes without parentheses.
                    Some(Word::Sign('(')) => {
                        let is_uuid = word == "UUID" && p.peek_at(1) == Some(&Word::Sign(')'));
                        p.skip_parentheses()?;
                        if is_uuid { Self::Uuid } else { Self::Other }
                    }
                    Some(_) | None => return Err(NotUnderstood("a default is not known")),
                },
            },
            Some(Word::Text(_) | Word::Bits(_) | Word::Quoted(_) | Word::Sign(_)) | None => {
                return Err(NotUnderstood("a default is not known"));
            }
        })
    }

    /// The default of a column, if what its text stands for does not depend on the session.
    pub(super) fn certainly_shown(
        &self,
        column: &DescribedColumn,
        environment: &Environment,
    ) -> Shown {
        const PAD_CHAR_TO_FULL_LENGTH: u64 = 1 << 31;
        let is_padded = column.sql_type.starts_with("char")
            && environment.sql_mode & PAD_CHAR_TO_FULL_LENGTH != 0;
        let is_utf8 = || {
            column
                .collation
                .and_then(Collation::of_number)
                .is_some_and(Collation::is_utf8)
        };
        let shown = match self {
            Self::Text(_) if is_padded => Shown::Unproven,
            Self::Local(_) if environment.dialect.is_mariadb => Shown::Unproven,
            Self::Text(text)
                if !(text.is_ascii() || (environment.has_utf8_literals && is_utf8())) =>
            {
                Shown::Unproven
            }
            Self::None
            | Self::Text(_)
            | Self::Number(_)
            | Self::Bits(_)
            | Self::Now(_)
            | Self::Local(_)
            | Self::Uuid
            | Self::Other => self.shown(&column.sql_type),
        };
        match (environment.dialect.is_mariadb, shown) {
            (true, shown) => shown.by_mariadb(column),
            (false, Shown::Literal(text)) if environment.dialect.has_old_names => {
                Shown::Literal(as_bytes(text, column))
            }
            (false, shown) => shown,
        }
    }

    /// The default of a column of a type.
    fn shown(&self, sql_type: &str) -> Shown {
        let family = sql_type.split(['(', ' ']).next().unwrap_or_default();
        let literal = |text: Option<String>| text.map_or(Shown::Unproven, Shown::Literal);
        match (self, family) {
            (Self::None, _) => Shown::Nothing,
            (Self::Now(0) | Self::Local(0), _) => Shown::Now("CURRENT_TIMESTAMP".to_owned()),
            (Self::Now(fraction) | Self::Local(fraction), _) => {
                Shown::Now(format!("CURRENT_TIMESTAMP({fraction})"))
            }
            // Elsewhere it stands in parentheses.
            (Self::Uuid, "uuid" | "char" | "varchar") => Shown::Now("uuid()".to_owned()),
            (Self::Other | Self::Uuid, _) => Shown::Unproven,
            (Self::Text(text), "char" | "varchar") => literal(fitting(text, sql_type)),
            // Only MariaDB has defaults of these.
            (Self::Text(text), "tinytext" | "text" | "mediumtext" | "longtext") => {
                let is_plain = text.len() <= 255 && text.chars().all(|c| matches!(c, ' '..='~'));
                literal(is_plain.then(|| text.clone()))
            }
            (Self::Number(number), "char" | "varchar") => {
                literal(whole(number, "").and_then(|number| fitting(&number, sql_type)))
            }
            (Self::Text(text), "binary" | "varbinary") => {
                literal(hexadecimal(text.as_bytes(), sql_type))
            }
            (Self::Bits(bytes), "binary" | "varbinary") => literal(hexadecimal(bytes, sql_type)),
            (Self::Text(text), "enum") => literal(member(text, sql_type)),
            (Self::Text(text), "set") => literal(some_members(text, sql_type)),
            (
                Self::Text(number) | Self::Number(number),
                "tinyint" | "smallint" | "mediumint" | "int" | "bigint",
            ) => literal(whole(number, sql_type)),
            (Self::Text(number) | Self::Number(number), "decimal") => {
                literal(decimal(number, sql_type))
            }
            (Self::Text(number) | Self::Number(number), "float" | "double") => {
                literal(real(number, sql_type))
            }
            (Self::Text(text), "date" | "datetime" | "timestamp" | "time") => {
                literal(time(text, family, sql_type))
            }
            (Self::Text(text) | Self::Number(text), "year") => literal(year(text)),
            (Self::Bits(bytes), "bit") => {
                literal(number_of(bytes).map(|number| format!("b'{number:b}'")))
            }
            (Self::Bits(bytes), "tinyint" | "smallint" | "mediumint" | "int" | "bigint") => {
                literal(number_of(bytes).and_then(|number| whole(&number.to_string(), sql_type)))
            }
            (Self::Bits(bytes), "char" | "varchar") if bytes.is_ascii() => literal(
                String::from_utf8(bytes.clone())
                    .ok()
                    .and_then(|text| fitting(&text, sql_type)),
            ),
            (Self::Number(number), "bit") => literal(
                number
                    .parse()
                    .ok()
                    .map(|number: u64| format!("b'{number:b}'")),
            ),
            (Self::Text(_) | Self::Number(_) | Self::Bits(_), _) => Shown::Unproven,
        }
    }
}

/// A default of bytes as MySQL 5.7 shows it: all of them, where 8.0 writes their digits.
fn as_bytes(shown: String, column: &DescribedColumn) -> String {
    let (family, most) = (family(column), length(column));
    match (family, shown.strip_prefix("0x"), most) {
        ("binary", Some(digits), most) => format!("{:\0<most$}", text_of(digits)),
        ("varbinary", Some(digits), _) => text_of(digits),
        (_, _, _) => shown,
    }
}

/// The ASCII text whose bytes are given in hexadecimal digits.
fn text_of(digits: &str) -> String {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.filter_map(byte).map(char::from).collect()
}

/// The type's first word.
fn family(column: &DescribedColumn) -> &str {
    column.sql_type.split(['(', ' ']).next().unwrap_or_default()
}

/// The first number in the type's parentheses.
fn length(column: &DescribedColumn) -> usize {
    let first = numbers(&column.sql_type).and_then(|numbers| numbers.first().copied());
    first
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0)
}

impl Shown {
    /// The same as MariaDB shows it, which quotes literals and says NULL.
    fn by_mariadb(self, column: &DescribedColumn) -> Self {
        match (self, family(column)) {
            (Self::Nothing, _) if column.nullable => Self::Literal(NULL.to_owned()),
            (Self::Now(text), _) => {
                let text = text.to_ascii_lowercase();
                let parentheses = if text.ends_with(')') { "" } else { "()" };
                Self::Now(format!("{text}{parentheses}"))
            }
            (Self::Literal(text), "binary" | "varbinary") => {
                let digits = text.strip_prefix("0x").unwrap_or_default();
                let width = match family(column) {
                    "binary" => length(column) * 2,
                    _ => 0,
                };
                Self::Literal(format!("x'{digits:0<width$}'"))
            }
            (
                Self::Literal(text),
                "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float"
                | "double" | "year" | "bit",
            ) => Self::Literal(text),
            // To MariaDB these are expressions, whose texts it writes with backslashes.
            (Self::Literal(text), "tinytext" | "text" | "mediumtext" | "longtext") => {
                let text = text.replace('\\', "\\\\").replace('\'', "\\'");
                Self::Literal(format!("'{text}'"))
            }
            (Self::Literal(text), _) => Self::Literal(quoted(&text)),
            (shown @ (Self::Nothing | Self::Unproven), _) => shown,
        }
    }
}

/// What MariaDB shows where a column has no other default and may be NULL.
pub(super) const NULL: &str = "NULL";

/// True for what makes ASCII text of a literal behind it.
fn is_introducer(word: &str) -> bool {
    matches!(
        word,
        "N" | "_UTF8" | "_UTF8MB3" | "_UTF8MB4" | "_LATIN1" | "_ASCII" | "_BINARY"
    )
}

/// `CURRENT_TIMESTAMP`, `NOW(6)` and their kin: the digits of a second.
pub(super) fn now(p: &mut Parser) -> Result<Option<u64>, NotUnderstood> {
    if p.is("NOW") && p.peek_at(1) != Some(&Word::Sign('(')) {
        return Ok(None);
    }
    if !p.take_one(&["CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"]) {
        return Ok(None);
    }
    if !p.take_sign('(') {
        return Ok(Some(0));
    }
    let fraction = if p.is_sign(')') { 0 } else { p.number()? };
    p.expect_sign(')')?;
    Ok(Some(fraction))
}

/// The numbers in a type's parentheses.
fn numbers(sql_type: &str) -> Option<Vec<u64>> {
    let inside = sql_type.split(['(', ')']).nth(1)?;
    inside
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect()
}

/// A text that the column takes as it is.
fn fitting(text: &str, sql_type: &str) -> Option<String> {
    let length = usize::try_from(*numbers(sql_type)?.first()?).ok()?;
    // Of a CHAR blanks at the end are cut off.
    let is_plain =
        text.chars().count() <= length && !(sql_type.starts_with("char") && text.ends_with(' '));
    (is_plain && !text.contains('\0')).then(|| text.to_owned())
}

/// Bytes as the server shows them. What they are of a text that is not ASCII depends on the client.
fn hexadecimal(bytes: &[u8], sql_type: &str) -> Option<String> {
    let length = usize::try_from(*numbers(sql_type)?.first()?).ok()?;
    let is_plain = bytes.len() <= length && !bytes.contains(&0) && bytes.is_ascii();
    let digits = bytes
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<String>();
    (is_plain && !bytes.is_empty()).then(|| format!("0x{digits}"))
}

fn members(sql_type: &str) -> Option<Vec<String>> {
    let inside = sql_type.split_once('(')?.1.strip_suffix(')')?;
    // Names with what has to be escaped are left to the server.
    if inside.contains('\\') || inside.contains("''") {
        return None;
    }
    let names = inside.split("','");
    Some(
        names
            .map(|name| name.trim_matches('\'').to_owned())
            .collect(),
    )
}

fn member(text: &str, sql_type: &str) -> Option<String> {
    let members = members(sql_type)?;
    // Which of two that are alike is meant depends on the mode.
    let alike = members
        .iter()
        .filter(|member| member.eq_ignore_ascii_case(text));
    let is_only = alike.count() == 1 && text.is_ascii();
    members.into_iter().find(|member| is_only && member == text)
}

fn some_members(text: &str, sql_type: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let wanted: Vec<&str> = text.split(',').collect();
    let members = members(sql_type)?;
    if !wanted
        .iter()
        .all(|name| members.iter().any(|member| member == name))
    {
        return None;
    }
    // In the order of the type, each once.
    let found: Vec<String> = members
        .into_iter()
        .filter(|member| wanted.contains(&member.as_str()))
        .collect();
    Some(found.join(","))
}

/// Sign and digits of a plain whole number.
fn digits(number: &str) -> Option<(&str, &str)> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then_some((sign, digits))
}

fn whole(number: &str, sql_type: &str) -> Option<String> {
    let (sign, digits) = digits(number)?;
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let sign = if digits == "0" { "" } else { sign };
    if !is_within(&format!("{sign}{digits}"), sql_type) {
        return None;
    }
    if sql_type.contains("zerofill") {
        let width = usize::try_from(*numbers(sql_type)?.first()?).ok()?;
        return Some(format!("{digits:0>width$}"));
    }
    Some(format!("{sign}{digits}"))
}

/// True if the type holds the number.
fn is_within(number: &str, sql_type: &str) -> bool {
    let bits = match sql_type.split(['(', ' ']).next().unwrap_or_default() {
        "tinyint" => 8,
        "smallint" => 16,
        "mediumint" => 24,
        "int" => 32,
        _ => 64,
    };
    let bounds = match sql_type.contains("unsigned") {
        true => 0..1_i128 << bits,
        false => -(1_i128 << (bits - 1))..1_i128 << (bits - 1),
    };
    number
        .parse()
        .is_ok_and(|number: i128| bounds.contains(&number))
}

fn decimal(number: &str, sql_type: &str) -> Option<String> {
    let [_, scale] = *numbers(sql_type)?.as_slice() else {
        return None;
    };
    if sql_type.contains("zerofill") {
        return None;
    }
    let scale = usize::try_from(scale).ok()?;
    let (base, fraction) = number.split_once('.').unwrap_or((number, ""));
    let base = if base.is_empty() || base == "-" {
        format!("{base}0")
    } else {
        base.to_owned()
    };
    let (sign, base) = digits(&base)?;
    let is_plain = fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || fraction.len() > scale {
        return None;
    }
    let base = base.trim_start_matches('0');
    let base = if base.is_empty() { "0" } else { base };
    let is_zero = base == "0" && fraction.bytes().all(|byte| byte == b'0');
    let sign = if is_zero { "" } else { sign };
    let point = if scale == 0 { "" } else { "." };
    Some(format!("{sign}{base}{point}{fraction:0<scale$}"))
}

/// A number that is short enough to be shown as it is read.
fn real(number: &str, sql_type: &str) -> Option<String> {
    if number.len() > 6 || sql_type.contains("zerofill") {
        return None;
    }
    let value: f64 = number.parse().ok()?;
    let value = if value == 0.0 { 0.0 } else { value };
    let is_short = value == 0.0 || (1e-4..1e6).contains(&value.abs());
    let fraction = number
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    match numbers(sql_type).as_deref() {
        Some([_, scale]) => {
            let scale = usize::try_from(*scale).ok()?;
            let is_exact = is_short && fraction <= scale && !number.contains(['e', 'E']);
            is_exact.then(|| format!("{value:.scale$}"))
        }
        Some(_) | None => is_short.then(|| format!("{value}")),
    }
}

/// Dates and times in their full form, with as many digits of a second as the type has.
fn time(text: &str, family: &str, sql_type: &str) -> Option<String> {
    let fraction = numbers(sql_type).and_then(|numbers| numbers.first().copied());
    let fraction = usize::try_from(fraction.unwrap_or(0)).ok()?;
    let (date, time) = match family {
        "date" => (Some(text), None),
        "time" => (None, Some(text)),
        _ => match text.split_once(' ') {
            Some((date, time)) => (Some(date), Some(time)),
            None => (Some(text), Some("00:00:00")),
        },
    };
    let is_form = |text: &str, form: &[usize], sign: char| {
        let parts: Vec<&str> = text.split(sign).collect();
        parts.len() == form.len()
            && parts.iter().zip(form).all(|(part, length)| {
                part.len() == *length && digits(part).is_some_and(|(sign, _)| sign.is_empty())
            })
    };
    let mut shown = String::new();
    if let Some(date) = date {
        // Of month and day a zero in front may be missing.
        let parts: Vec<&str> = date.split('-').collect();
        let [year, month, day] = parts.as_slice() else {
            return None;
        };
        let date = format!("{year}-{month:0>2}-{day:0>2}");
        if !is_form(&date, &[4, 2, 2], '-') {
            return None;
        }
        shown.push_str(&date);
    }
    if let Some(time) = time {
        let (seconds, digits) = time.split_once('.').unwrap_or((time, ""));
        let is_plain = digits.len() <= fraction && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_form(seconds, &[2, 2, 2], ':') || !is_plain {
            return None;
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(seconds);
        if fraction > 0 {
            shown.push_str(&format!(".{digits:0<fraction$}"));
        }
    }
    // Of a TIMESTAMP the text depends on a time zone, but for the zero.
    let is_shown = family != "timestamp" || shown.starts_with("0000-00-00 00:00:00");
    is_shown.then_some(shown)
}

fn year(text: &str) -> Option<String> {
    let (sign, digits) = digits(text)?;
    let is_plain = sign.is_empty() && digits.len() == 4;
    is_plain.then(|| digits.to_owned())
}

/// The number that bytes are, the first of which counts most.
fn number_of(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0_u64, |number, byte| {
        Some(number.checked_mul(256)? + u64::from(*byte))
    })
}
