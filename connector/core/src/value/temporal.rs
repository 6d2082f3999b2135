//! DATETIME(n) and TIMESTAMP(n) as packed since MySQL 5.6.4: whole part big-endian, then the fraction in
//! (n+1)/2 bytes, in units of 1, 100 or 10,000 microseconds.
//!
//! DATETIME is a date and time without zone: 1 bit sign, 17 bits year*13+month, 5 day, 5 hour, 6 minute,
//! 6 second (MySQL source, `sql-common/my_time.cc`, `my_datetime_packed_from_binary`). TIMESTAMP is seconds
//! since 1970 in UTC; 0 is the zero date. Zero and impossible dates have no place on Avro's time line.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{UnsupportedType, Written};
use crate::avro::binary::write_long;
use crate::decode::ColumnMetadata;
use crate::input::{Input, Truncated};

/// A type of a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Temporal {
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
}

const SECOND_MICROS: i64 = 1_000_000;

impl Temporal {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let [fraction, _] = column.metadata.to_le_bytes();
        match (column.type_number, fraction) {
            (18, 0..=6) => Ok(Self::DateTime { fraction }),
            (_, 0..=6) => Ok(Self::Timestamp { fraction }),
            (_, 7..) => Err(UnsupportedType(
                "DATETIME or TIMESTAMP of more than 6 fractional digits",
            )),
        }
    }

    pub(super) fn sql(self) -> String {
        let (name, fraction) = match self {
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
        let logical = match self {
            Self::DateTime { .. } => "local-timestamp-micros",
            Self::Timestamp { .. } => "timestamp-micros",
        };
        json!({"type": "long", "logicalType": logical})
    }

    #[inline]
    pub(super) fn copy(
        self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Written, Truncated> {
        let (seconds, fraction) = match self {
            Self::DateTime { fraction } => {
                let packed = input.big_endian(5)?;
                (datetime_seconds(packed), fraction_micros(input, fraction)?)
            }
            Self::Timestamp { fraction } => {
                let seconds = input.big_endian(4)?.cast_signed();
                let fraction = fraction_micros(input, fraction)?;
                ((seconds != 0 || fraction != 0).then_some(seconds), fraction)
            }
        };
        Ok(match seconds {
            // A fraction of a whole second or more would show as a later second, which nobody stored.
            Some(seconds) if fraction < SECOND_MICROS => {
                write_long(out, seconds * SECOND_MICROS + fraction);
                Written::Value
            }
            Some(_) | None => Written::Invalid,
        })
    }
}

#[inline]
fn fraction_micros(input: &mut Input<'_>, digits: u8) -> Result<i64, Truncated> {
    let bytes = usize::from(digits).div_ceil(2);
    let unit = match bytes {
        0 => return Ok(0),
        1 => 10_000,
        2 => 100,
        _ => 1,
    };
    Ok(input.big_endian(bytes)?.cast_signed() * unit)
}

/// Seconds since 1970 of a packed DATETIME; `None` if there is no such date.
#[inline]
fn datetime_seconds(packed: u64) -> Option<i64> {
    const POSITIVE: u64 = 1 << 39;
    let packed = packed.checked_sub(POSITIVE)?.cast_signed();
    let (date, time) = (packed >> 17, packed & 0x1_ffff);
    let (year_month, day) = (date >> 5, date & 0x1f);
    let (year, month) = (year_month / 13, year_month % 13);
    let (hour, minute, second) = (time >> 12, time >> 6 & 0x3f, time & 0x3f);
    let possible = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
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
