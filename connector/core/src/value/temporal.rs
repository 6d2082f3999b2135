//! DATE, YEAR, and DATETIME(n), TIMESTAMP(n), TIME(n) as packed since MySQL 5.6.4: a whole part, big-endian, then the
//! fraction in (n+1)/2 bytes, in units of 1, 100 or 10,000 microseconds. Columns that are older than that keep what was
//! before: DATETIME is the number YYYYMMDDhhmmss in 8 bytes, TIME the number hhmmss, with a sign, in 3, TIMESTAMP the
//! seconds in 4, all little-endian (MySQL source, `sql/field.cc`: `Field_datetime`, `Field_time`, `Field_timestamp`).
//!
//! DATETIME is a date and time without zone: 1 bit sign, 17 bits year*13+month, 5 day, 5 hour, 6 minute,
//! 6 second. TIME is 1 bit sign, 1 unused, 10 hour, 6 minute, 6 second; a negative one is the two's complement of whole
//! and fraction together, plus 2^23 in its whole part. TIMESTAMP is seconds since 1970 in UTC; 0 is the zero date (MySQL
//! source, `mysys/my_time.cc`, `my_datetime_packed_from_binary`, `my_time_packed_from_binary`). DATE is 5 bits day, 4
//! month, 15 year, little-endian; YEAR counts from 1900, 0 being the year 0000 (`sql/field.cc`).
//!
//! Zero and impossible dates have no place on Avro's time line. A TIME is no time of day: it reaches from -838:59:59 to
//! 838:59:59, which Avro's own types for it cannot hold.

mod hires;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::hires::Hires;
use super::{UnsupportedType, ValueError, Written};
use crate::avro::binary::write_long;
use crate::decode::ColumnMetadata;
use crate::input::{Input, Truncated};

/// A type of a point in time, or of a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Temporal {
    /// DATE.
    Date,
    /// YEAR.
    Year,
    /// TIME(n).
    Time {
        /// Digits of the fraction of a second, 0 to 6.
        fraction: u8,
    },
    /// DATETIME(n).
    DateTime {
        /// Digits of the fraction of a second, 0 to 6.
        fraction: u8,
    },
    /// TIMESTAMP(n).
    Timestamp {
        /// Digits of the fraction of a second, 0 to 6.
        fraction: u8,
    },
    /// TIME of a column that is older than MySQL 5.6.4.
    OldTime,
    /// DATETIME of such a column.
    OldDateTime,
    /// TIMESTAMP of such a column.
    OldTimestamp,
    /// One with a fraction that is as old (MariaDB).
    Hires {
        /// Which of them.
        kind: Hires,
        /// Digits of the fraction of a second, 1 to 6.
        fraction: u8,
    },
}

const SECOND_MICROS: i64 = 1_000_000;

impl Temporal {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let [fraction, _] = column.metadata.to_le_bytes();
        match (column.type_number, fraction) {
            (10 | 14, _) => Ok(Self::Date),
            (7, _) => Ok(Self::OldTimestamp),
            (11, _) => Ok(Self::OldTime),
            (12, _) => Ok(Self::OldDateTime),
            (13, _) => Ok(Self::Year),
            (18, 0..=6) => Ok(Self::DateTime { fraction }),
            (19, 0..=6) => Ok(Self::Time { fraction }),
            (_, 0..=6) => Ok(Self::Timestamp { fraction }),
            (_, 7..) => Err(UnsupportedType(
                "DATETIME, TIMESTAMP or TIME of more than 6 fractional digits",
            )),
        }
    }

    /// The type of a column whose definition says that it has a fraction; `None` if its packing would say so.
    pub(crate) fn with_old_fraction(self, fraction: u8) -> Option<Self> {
        let kind = match self {
            Self::OldTime => Hires::Time,
            Self::OldDateTime => Hires::DateTime,
            Self::OldTimestamp => Hires::Timestamp,
            Self::Date
            | Self::Year
            | Self::Time { .. }
            | Self::DateTime { .. }
            | Self::Timestamp { .. }
            | Self::Hires { .. } => return None,
        };
        (1..=6)
            .contains(&fraction)
            .then_some(Self::Hires { kind, fraction })
    }

    /// The type of which a table map says the same.
    pub(super) fn without_old_fraction(self) -> Self {
        let Self::Hires { kind, .. } = self else {
            return self;
        };
        match kind {
            Hires::Time => Self::OldTime,
            Hires::DateTime => Self::OldDateTime,
            Hires::Timestamp => Self::OldTimestamp,
        }
    }

    pub(super) fn sql(self) -> String {
        let (name, fraction) = match self {
            Self::Hires { kind, fraction } => return kind.modern(fraction).sql(),
            Self::Date => ("date", 0),
            Self::Year => ("year", 0),
            Self::OldTime => ("time", 0),
            Self::OldDateTime => ("datetime", 0),
            Self::OldTimestamp => ("timestamp", 0),
            Self::Time { fraction } => ("time", fraction),
            Self::DateTime { fraction } => ("datetime", fraction),
            Self::Timestamp { fraction } => ("timestamp", fraction),
        };
        if fraction == 0 {
            name.to_owned()
        } else {
            format!("{name}({fraction})")
        }
    }

    pub(super) fn avro(self) -> Value {
        match self {
            Self::Hires { kind, fraction } => kind.modern(fraction).avro(),
            Self::Date => json!({"type": "int", "logicalType": "date"}),
            Self::Year => Value::from("int"),
            Self::Time { .. } | Self::OldTime => Value::from("long"),
            Self::DateTime { .. } | Self::OldDateTime => {
                json!({"type": "long", "logicalType": "local-timestamp-micros"})
            }
            Self::Timestamp { .. } | Self::OldTimestamp => {
                json!({"type": "long", "logicalType": "timestamp-micros"})
            }
        }
    }

    /// True for the types that have zero and impossible dates.
    pub(super) fn may_be_invalid(self) -> bool {
        match self {
            Self::Hires { kind, fraction } => kind.modern(fraction).may_be_invalid(),
            Self::Year | Self::Time { .. } | Self::OldTime => false,
            Self::Date
            | Self::DateTime { .. }
            | Self::Timestamp { .. }
            | Self::OldDateTime
            | Self::OldTimestamp => true,
        }
    }

    /// The implicit default of a date is the zero date.
    pub(super) fn implicit_default(self) -> Value {
        match self.may_be_invalid() {
            true => Value::Null,
            false => Value::from(0),
        }
    }

    /// The number that a text such as `2020-02-02 12:00:00.5` stands for; a TIMESTAMP is given in UTC. None for a date
    /// that is none.
    pub(super) fn literal_default(self, text: &str) -> Option<Value> {
        let number = match self {
            Self::Hires { kind, fraction } => return kind.modern(fraction).literal_default(text),
            Self::Year => text.parse().ok()?,
            Self::Date => days_of_text(text)?,
            Self::DateTime { .. }
            | Self::Timestamp { .. }
            | Self::OldDateTime
            | Self::OldTimestamp => {
                let (date, time) = text.split_once(' ')?;
                let time = time_of_text(time)?;
                days_of_text(date)? * 86_400 * SECOND_MICROS + time
            }
            Self::Time { .. } | Self::OldTime => match text.strip_prefix('-') {
                Some(text) => -time_of_text(text)?,
                None => time_of_text(text)?,
            },
        };
        Some(Value::from(number))
    }

    /// A date as the server shows it, in UTC, whether it is one or not: `2020-02-30 12:00:00.5`.
    pub(super) fn text(self, input: &mut Input<'_>) -> Result<String, ValueError> {
        let (date, time, fraction) = match self {
            Self::Date => {
                let packed = input.little_endian(3)?.cast_signed();
                return Ok(date_text([packed >> 9, packed >> 5 & 0xf, packed & 0x1f]));
            }
            Self::DateTime { fraction } => {
                let packed = input.big_endian(5)?;
                let packed = packed.checked_sub(POSITIVE).ok_or(ValueError::Time)?;
                let (date, time) = datetime_fields(packed.cast_signed());
                (date, time, fraction)
            }
            Self::Timestamp { fraction } => {
                let (date, time) = timestamp_fields(input.big_endian(4)?.cast_signed());
                (date, time, fraction)
            }
            Self::OldTimestamp => {
                let (date, time) = timestamp_fields(input.little_endian(4)?.cast_signed());
                (date, time, 0)
            }
            Self::OldDateTime => {
                let (date, time) = old_datetime_fields(input.u64()?);
                (date, time, 0)
            }
            Self::Hires { kind, fraction } => {
                let (date, time, micros) = match kind {
                    Hires::Time => return Err(ValueError::Time),
                    Hires::DateTime => hires::datetime_fields(input, fraction)?,
                    Hires::Timestamp => {
                        let (seconds, micros) = hires::timestamp(input, fraction)?;
                        let (date, time) = timestamp_fields(seconds);
                        (date, time, micros)
                    }
                };
                return Ok(datetime_text(date, time, micros, fraction));
            }
            Self::Year | Self::Time { .. } | Self::OldTime => return Err(ValueError::Time),
        };
        let micros = fraction_micros(input, fraction)?;
        Ok(datetime_text(date, time, micros, fraction))
    }

    /// The zero date as text.
    pub(super) fn zero_text(self) -> String {
        match self {
            Self::Hires { kind, fraction } => kind.modern(fraction).zero_text(),
            Self::OldDateTime | Self::OldTimestamp => "0000-00-00 00:00:00".to_owned(),
            Self::DateTime { fraction } | Self::Timestamp { fraction } => {
                with_fraction("0000-00-00 00:00:00".to_owned(), 0, fraction)
            }
            Self::Date | Self::Year | Self::Time { .. } | Self::OldTime => "0000-00-00".to_owned(),
        }
    }

    #[inline]
    pub(super) fn copy(
        self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Written, ValueError> {
        let number = match self {
            Self::Date => date_days(input.little_endian(3)?),
            Self::Year => match input.u8()? {
                0 => Some(0),
                year => Some(1900 + i64::from(year)),
            },
            Self::Time { fraction } => Some(time_micros(input, fraction)?),
            Self::DateTime { fraction } => {
                let seconds = datetime_seconds(input.big_endian(5)?);
                micros(seconds, fraction_micros(input, fraction)?)
            }
            Self::Timestamp { fraction } => {
                let seconds = input.big_endian(4)?.cast_signed();
                let fraction = fraction_micros(input, fraction)?;
                micros((seconds != 0 || fraction != 0).then_some(seconds), fraction)
            }
            Self::Hires { kind, fraction } => match kind {
                Hires::Time => Some(hires::time_micros(input, fraction)?),
                Hires::DateTime => {
                    let (date, time, fraction) = hires::datetime_fields(input, fraction)?;
                    micros(seconds_of(date, time), fraction)
                }
                Hires::Timestamp => {
                    let (seconds, fraction) = hires::timestamp(input, fraction)?;
                    micros((seconds != 0 || fraction != 0).then_some(seconds), fraction)
                }
            },
            Self::OldTime => Some(old_time_micros(input.u24()?)?),
            Self::OldDateTime => {
                let (date, time) = old_datetime_fields(input.u64()?);
                micros(seconds_of(date, time), 0)
            }
            Self::OldTimestamp => {
                let seconds = input.little_endian(4)?.cast_signed();
                micros((seconds != 0).then_some(seconds), 0)
            }
        };
        Ok(match number {
            Some(number) => {
                write_long(out, number);
                Written::Value
            }
            None => Written::Invalid,
        })
    }
}

/// Days since 1970 of a text such as `2020-02-02`; `None` if there is no such date.
fn days_of_text(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    is_date(year, month, day).then(|| days_from_civil(year, month, day))
}

/// Microseconds of a text such as `12:00:00.5`.
fn time_of_text(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let micros = format!("{fraction:0<6}").parse::<i64>().ok()?;
    let is_time = hour <= HOURS_MAX && minute < 60 && second < 60 && micros < SECOND_MICROS;
    is_time.then(|| (hour * 3600 + minute * 60 + second) * SECOND_MICROS + micros)
}

/// A fraction of a whole second or more would show as a later second, which nobody stored.
#[inline]
fn micros(seconds: Option<i64>, fraction: i64) -> Option<i64> {
    seconds
        .filter(|_| fraction < SECOND_MICROS)
        .map(|seconds| seconds * SECOND_MICROS + fraction)
}

/// Signed microseconds of a packed TIME.
#[inline]
fn time_micros(input: &mut Input<'_>, digits: u8) -> Result<i64, ValueError> {
    let bytes = usize::from(digits).div_ceil(2);
    let packed = input.big_endian(3 + bytes)?.cast_signed();
    let fraction_bits = 8 * bytes;
    let number = packed - (1 << (23 + fraction_bits));
    let (whole, fraction) = (
        number.abs() >> fraction_bits,
        number.abs() & ((1 << fraction_bits) - 1),
    );
    let (hour, minute, second) = (whole >> 12, whole >> 6 & 0x3f, whole & 0x3f);
    let fraction = fraction * fraction_unit(bytes);
    if hour > HOURS_MAX || minute > 59 || second > 59 || fraction >= SECOND_MICROS {
        return Err(ValueError::Time);
    }
    let micros = (hour * 3600 + minute * 60 + second) * SECOND_MICROS + fraction;
    Ok(micros * number.signum())
}

/// Signed microseconds of a TIME in the old format.
fn old_time_micros(packed: u32) -> Result<i64, ValueError> {
    const SIGN: u32 = 1 << 23;
    let (number, sign) = match packed & SIGN {
        0 => (packed, 1),
        // The two's complement in 24 bits.
        _ => ((1 << 24) - packed, -1),
    };
    let number = i64::from(number);
    let (hour, minute, second) = (number / 10_000, number / 100 % 100, number % 100);
    if hour > HOURS_MAX || minute > 59 || second > 59 {
        return Err(ValueError::Time);
    }
    Ok(sign * (hour * 3600 + minute * 60 + second) * SECOND_MICROS)
}

/// The server stores no longer times.
const HOURS_MAX: i64 = 838;

/// Days since 1970 of a packed DATE; `None` if there is no such date.
#[inline]
fn date_days(packed: u64) -> Option<i64> {
    let packed = packed.cast_signed();
    let (year, month, day) = (packed >> 9, packed >> 5 & 0xf, packed & 0x1f);
    is_date(year, month, day).then(|| days_from_civil(year, month, day))
}

fn is_date(year: i64, month: i64, day: i64) -> bool {
    (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
}

#[inline]
fn fraction_micros(input: &mut Input<'_>, digits: u8) -> Result<i64, Truncated> {
    let bytes = usize::from(digits).div_ceil(2);
    Ok(input.big_endian(bytes)?.cast_signed() * fraction_unit(bytes))
}

/// Microseconds that a fraction of so many bytes counts.
fn fraction_unit(bytes: usize) -> i64 {
    match bytes {
        0 | 1 => 10_000,
        2 => 100,
        _ => 1,
    }
}

/// The sign bit of a packed DATETIME; the server stores no negative ones.
const POSITIVE: u64 = 1 << 39;

/// Year, month, day, and hour, minute, second of a packed DATETIME without its sign bit.
#[inline]
fn datetime_fields(packed: i64) -> ([i64; 3], [i64; 3]) {
    let (date, time) = (packed >> 17, packed & 0x1_ffff);
    let (year_month, day) = (date >> 5, date & 0x1f);
    (
        [year_month / 13, year_month % 13, day],
        [time >> 12, time >> 6 & 0x3f, time & 0x3f],
    )
}

/// Year, month, day, and hour, minute, second of a DATETIME in the old format.
fn old_datetime_fields(packed: u64) -> ([i64; 3], [i64; 3]) {
    // More than there are years is no date either way.
    let (date, time) = (packed / 1_000_000, packed % 1_000_000);
    let (date, time) = (date.cast_signed(), time.cast_signed());
    (
        [date / 10_000, date / 100 % 100, date % 100],
        [time / 10_000, time / 100 % 100, time % 100],
    )
}

/// The same of a TIMESTAMP.
fn timestamp_fields(seconds: i64) -> ([i64; 3], [i64; 3]) {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let time = [of_day / 3600, of_day / 60 % 60, of_day % 60];
    // No TIMESTAMP is of the first second of 1970: that is the zero date.
    let date = if seconds == 0 {
        [0; 3]
    } else {
        civil_from_days(days)
    };
    (date, time)
}

fn datetime_text(date: [i64; 3], time: [i64; 3], micros: i64, digits: u8) -> String {
    let [hour, minute, second] = time;
    let whole = format!("{} {hour:02}:{minute:02}:{second:02}", date_text(date));
    with_fraction(whole, micros, digits)
}

fn date_text([year, month, day]: [i64; 3]) -> String {
    format!("{year:04}-{month:02}-{day:02}")
}

/// A text with so many digits of a fraction, given in microseconds.
fn with_fraction(mut whole: String, micros: i64, digits: u8) -> String {
    if digits > 0 {
        let fraction = format!("{micros:06}");
        whole.push('.');
        whole.extend(fraction.chars().take(usize::from(digits)));
    }
    whole
}

/// Year, month and day of days since 1970.
fn civil_from_days(days: i64) -> [i64; 3] {
    // No year is longer: the estimate is not too late.
    let mut year = 1970 + days.div_euclid(366);
    while days_from_civil(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days_from_civil(year, month + 1, 1) <= days {
        month += 1;
    }
    [year, month, days - days_from_civil(year, month, 1) + 1]
}

/// Seconds since 1970 of a packed DATETIME; `None` if there is no such date.
#[inline]
fn datetime_seconds(packed: u64) -> Option<i64> {
    let packed = packed.checked_sub(POSITIVE)?.cast_signed();
    let (date, time) = datetime_fields(packed);
    seconds_of(date, time)
}

/// Seconds since 1970 of a date and time; `None` if there is no such date.
#[inline]
fn seconds_of([year, month, day]: [i64; 3], [hour, minute, second]: [i64; 3]) -> Option<i64> {
    let possible = is_date(year, month, day) && hour < 24 && minute < 60 && second < 60;
    possible
        .then(|| days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March, so
/// that the leap day is the last one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_TO_1970: i64 = 719_468;
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - DAYS_TO_1970
}
