//! TIME(n), DATETIME(n) and TIMESTAMP(n) with a fraction as MariaDB 5.3 packed them, and still does with
//! `mysql56_temporal_format=OFF`. Table maps say of them what they say of columns without a fraction: how many digits it has
//! tells the definition alone.
//!
//! All are big-endian. A TIMESTAMP is the seconds in 4 bytes, then the fraction. The others are one number of the unit of the
//! last digit: DATETIME the fields, one after another with room for 13 months, 32 days, 24 hours, 60 minutes and seconds; TIME
//! the time itself, counted from just before the shortest one (MariaDB source, `sql/field.cc`: `Field_timestamp_hires`,
//! `Field_datetime_hires`, `Field_time_hires`; `sql-common/my_time.c`: `pack_time`).

use serde::{Deserialize, Serialize};

use super::{HOURS_MAX, SECOND_MICROS, Temporal};
use crate::input::{Input, Truncated};
use crate::value::ValueError;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hires {
    /// TIME(n).
    Time,
    /// DATETIME(n).
    DateTime,
    /// TIMESTAMP(n).
    Timestamp,
}

impl Hires {
    /// As the servers of today pack it.
    pub(super) fn modern(self, fraction: u8) -> Temporal {
        match self {
            Self::Time => Temporal::Time { fraction },
            Self::DateTime => Temporal::DateTime { fraction },
            Self::Timestamp => Temporal::Timestamp { fraction },
        }
    }
}

/// Microseconds that the last digit counts.
fn unit(digits: u8) -> i64 {
    10_i64.pow(u32::from(6_u8.saturating_sub(digits)))
}

/// Signed microseconds of a TIME(n).
pub(super) fn time_micros(input: &mut Input<'_>, digits: u8) -> Result<i64, ValueError> {
    let bytes = match digits {
        0 => 3,
        1 | 2 => 4,
        3..=5 => 5,
        _ => 6,
    };
    let unit = unit(digits);
    let zero = (HOURS_MAX + 1) * 3600 * SECOND_MICROS / unit;
    let packed = input.big_endian(bytes)?.cast_signed();
    let micros = (packed - zero) * unit;
    match micros.abs() < (HOURS_MAX + 1) * 3600 * SECOND_MICROS {
        true => Ok(micros),
        false => Err(ValueError::Time),
    }
}

/// Year, month, day, and hour, minute, second, and microseconds of a DATETIME(n).
pub(super) fn datetime_fields(
    input: &mut Input<'_>,
    digits: u8,
) -> Result<([i64; 3], [i64; 3], i64), Truncated> {
    let bytes = match digits {
        0 => 5,
        1 | 2 => 6,
        3..=5 => 7,
        _ => 8,
    };
    // More than there are years is no date either way.
    let packed = i128::from(input.big_endian(bytes)?) * i128::from(unit(digits));
    let packed = i64::try_from(packed).unwrap_or(i64::MAX);
    let (seconds, micros) = (packed / SECOND_MICROS, packed % SECOND_MICROS);
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    let (days, hour) = (hours / 24, hours % 24);
    let (months, day) = (days / 32, days % 32);
    let date = [months / 13, months % 13, day];
    Ok((date, [hour, minute, second], micros))
}

/// Seconds since 1970 and microseconds of a TIMESTAMP(n).
pub(super) fn timestamp(input: &mut Input<'_>, digits: u8) -> Result<(i64, i64), Truncated> {
    let bytes = usize::from(digits).div_ceil(2);
    let seconds = input.big_endian(4)?.cast_signed();
    let fraction = input.big_endian(bytes)?.cast_signed();
    Ok((seconds, fraction * unit(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the server packs them.
    fn big_endian(number: i64, bytes: usize) -> Vec<u8> {
        number.to_be_bytes()[8 - bytes..].to_vec()
    }

    const TIME_BYTES: [usize; 7] = [3, 4, 4, 5, 5, 5, 6];
    const DATETIME_BYTES: [usize; 7] = [5, 6, 6, 7, 7, 7, 8];

    #[test]
    fn times_of_every_fraction_are_read_to_the_shortest_and_the_longest() {
        for digits in 0..=6_u8 {
            let unit = unit(digits);
            let longest = 839 * 3_600_000_000 / unit - 1;
            let zero = 839 * 3_600_000_000 / unit;
            for time in [0, 1, -1, longest, -longest] {
                let packed = big_endian(time + zero, TIME_BYTES[usize::from(digits)]);
                let mut input = Input::new(&packed);
                assert_eq!(time_micros(&mut input, digits).unwrap(), time * unit);
                assert!(input.is_empty());
            }
            // Longer than any.
            let packed = vec![0xff; TIME_BYTES[usize::from(digits)]];
            let result = time_micros(&mut Input::new(&packed), digits);
            assert!(result.is_err() || digits == 0, "{digits}: {result:?}");
        }
    }

    #[test]
    fn dates_of_every_fraction_are_read_field_by_field() {
        for digits in 0..=6_u8 {
            let unit = unit(digits);
            for (date, time, micros) in [
                ([2026, 11, 30], [12, 34, 56], 999_999 / unit * unit),
                ([9999, 12, 31], [23, 59, 59], 0),
                ([0, 0, 0], [0, 0, 0], 0),
                ([2020, 2, 30], [1, 2, 3], unit % 1_000_000),
            ] {
                let [year, month, day] = date;
                let [hour, minute, second] = time;
                let days = (year * 13 + month) * 32 + day;
                let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
                let packed = (seconds * 1_000_000 + micros) / unit;
                let packed = big_endian(packed, DATETIME_BYTES[usize::from(digits)]);
                let mut input = Input::new(&packed);
                let read = datetime_fields(&mut input, digits).unwrap();
                assert_eq!(read, (date, time, micros), "{digits}");
                assert!(input.is_empty());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        for byte in [0, 0x7f, 0x80, 0xff] {
            for digits in 0..=6_u8 {
                let bytes = [byte; 8];
                time_micros(&mut Input::new(&bytes), digits).ok();
                datetime_fields(&mut Input::new(&bytes), digits).ok();
                timestamp(&mut Input::new(&bytes), digits).ok();
            }
        }
    }
}
