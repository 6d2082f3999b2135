//! DECIMAL(p,s): groups of nine digits, each in four big-endian bytes, the odd groups at both ends in fewer.
//!
//! Format: MySQL source, `strings/decimal.cc` (`decimal2bin`): the sign is the inverted top bit of the first
//! byte, and all bytes of a negative number are inverted. Avro gets the unscaled number in two's
//! complement, as short as possible.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{UnsupportedType, ValueError};
use crate::avro::binary::write_bytes;
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// A DECIMAL type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decimal {
    /// Number of digits, 1 to 65.
    pub precision: u8,
    /// Digits after the point, 0 to 30.
    pub scale: u8,
    /// True for UNSIGNED; values are packed alike.
    pub unsigned: bool,
}

/// The servers allow no more digits, and `LIMBS` holds no more.
const PRECISION_MAX: u8 = 65;
/// Bytes of a group of 0 to 9 digits.
const GROUP_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
/// 65 digits are less than 2^216: seven 32-bit limbs, and one more for the sign.
const LIMBS: usize = 8;

impl Decimal {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let [precision, scale] = column.metadata.to_le_bytes();
        if !(1..=PRECISION_MAX).contains(&precision) || scale > precision {
            return Err(UnsupportedType(
                "DECIMAL of an impossible precision or scale",
            ));
        }
        Ok(Self {
            precision,
            scale,
            unsigned: column.unsigned == Some(true),
        })
    }

    pub(super) fn sql(self) -> String {
        let sign = if self.unsigned { " unsigned" } else { "" };
        format!("decimal({},{}){sign}", self.precision, self.scale)
    }

    pub(super) fn avro(self) -> Value {
        json!({
            "type": "bytes", "logicalType": "decimal",
            "precision": self.precision, "scale": self.scale,
        })
    }

    /// The number that a text such as `-1.50` stands for.
    pub(super) fn literal_default(self, text: &str) -> Option<Value> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let padding = usize::from(self.scale).checked_sub(fraction.len())?;
        let digits = whole.bytes().chain(fraction.bytes());
        let mut limbs = [0_u32; LIMBS];
        let mut count = 0;
        for digit in digits.chain(std::iter::repeat_n(b'0', padding)) {
            let digit = char::from(digit).to_digit(10)?;
            count += usize::from(count > 0 || digit > 0);
            multiply_add(&mut limbs, 10, u64::from(digit));
        }
        if count > usize::from(self.precision) {
            return None;
        }
        if negative {
            negate(&mut limbs);
        }
        let mut bytes = Vec::new();
        write_shortest(&mut bytes, &limbs);
        Some(default_of_number(&bytes, self.precision))
    }

    pub(super) fn implicit_default(self) -> Value {
        default_of_number(ZERO, self.precision)
    }

    #[inline]
    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let mut limbs = [0_u32; LIMBS];
        let negative = self.each_group(input, |group, digits| {
            multiply_add(&mut limbs, power_of_ten(digits), group);
        })?;
        if negative {
            negate(&mut limbs);
        }
        write_shortest(out, &limbs);
        Ok(())
    }

    /// The number as the server prints it: without leading zeros, with all digits of its scale.
    pub(super) fn text(self, input: &mut Input<'_>) -> Result<String, ValueError> {
        if !(1..=PRECISION_MAX).contains(&self.precision) {
            return Err(ValueError::Decimal);
        }
        let mut all = String::new();
        let negative = self.each_group(input, |group, digits| {
            all.push_str(&format!("{group:0digits$}"));
        })?;
        let (whole, fraction) = all
            .split_at_checked(all.len().saturating_sub(usize::from(self.scale)))
            .ok_or(ValueError::Decimal)?;
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        };
        let is_zero = all.bytes().all(|digit| digit == b'0');
        let sign = if negative && !is_zero { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        Ok(format!("{sign}{whole}{point}{fraction}"))
    }

    /// Goes through the groups of digits from the left, each with its number of digits. True if it is negative.
    #[inline]
    fn each_group(
        self,
        input: &mut Input<'_>,
        mut take: impl FnMut(u64, usize),
    ) -> Result<bool, ValueError> {
        let whole = usize::from(
            self.precision
                .checked_sub(self.scale)
                .ok_or(ValueError::Decimal)?,
        );
        let fraction = usize::from(self.scale);
        let groups = Groups::new(whole, fraction);
        let packed = input.take(groups.bytes())?;
        let first = packed.first().ok_or(ValueError::Decimal)?;
        let negative = first & 0x80 == 0;
        let invert = if negative { 0xff } else { 0 };
        let mut rest = Input::new(packed);
        let mut top = 0x80;
        for digits in groups {
            let size = group_bytes(digits);
            let mut group = 0_u64;
            for byte in rest.take(size)? {
                group = (group << 8) | u64::from(byte ^ invert ^ top);
                top = 0;
            }
            if group >= power_of_ten(digits) {
                return Err(ValueError::Decimal);
            }
            take(group, digits);
        }
        Ok(negative)
    }
}

/// What a group of so many digits stays below.
const POWERS_OF_TEN: [u64; 10] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

fn power_of_ten(digits: usize) -> u64 {
    POWERS_OF_TEN.get(digits).copied().unwrap_or(1_000_000_000)
}

fn group_bytes(digits: usize) -> usize {
    GROUP_BYTES.get(digits).copied().unwrap_or(4)
}

/// The digits of each group, from the left.
#[derive(Clone)]
struct Groups {
    head: usize,
    full: usize,
    tail: usize,
}

impl Groups {
    fn new(whole: usize, fraction: usize) -> Self {
        Self {
            head: whole % 9,
            full: whole / 9 + fraction / 9,
            tail: fraction % 9,
        }
    }

    fn bytes(&self) -> usize {
        group_bytes(self.head) + self.full * 4 + group_bytes(self.tail)
    }
}

impl Iterator for Groups {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.head > 0 {
            return Some(std::mem::take(&mut self.head));
        }
        if self.full > 0 {
            self.full -= 1;
            return Some(9);
        }
        (self.tail > 0).then(|| std::mem::take(&mut self.tail))
    }
}

/// `limbs = limbs * factor + addend`, lowest limb first; 65 digits cannot overflow.
fn multiply_add(limbs: &mut [u32; LIMBS], factor: u64, addend: u64) {
    let mut carry = addend;
    for limb in limbs {
        let sum = u64::from(*limb) * factor + carry;
        *limb = low_half(sum);
        carry = sum >> 32;
    }
}

fn negate(limbs: &mut [u32; LIMBS]) {
    let mut carry = 1;
    for limb in limbs {
        let sum = u64::from(!*limb) + carry;
        *limb = low_half(sum);
        carry = sum >> 32;
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the low half is what is wanted"
)]
fn low_half(value: u64) -> u32 {
    value as u32
}

/// Zero in Avro binary.
pub(super) const ZERO: &[u8] = &[2, 0];

/// A number in Avro binary as the default of a decimal field. It has as many bytes as any number of so many digits may
/// need: the Avro library for Rust takes no shorter one for a decimal in a union, and others do not mind.
pub(super) fn default_of_number(avro: &[u8], precision: u8) -> Value {
    // The next whole number of bits above precision * log2(10), and one for the sign.
    let bits = usize::from(precision) * 33_219_281 / 10_000_000 + 2;
    let bytes = super::without_length(avro);
    let sign = match bytes.first() {
        Some(first) if first & 0x80 != 0 => 0xff,
        Some(_) | None => 0,
    };
    let mut all = vec![sign; bits.div_ceil(8).saturating_sub(bytes.len())];
    all.extend_from_slice(bytes);
    super::bytes_default(&all)
}

fn write_shortest(out: &mut Vec<u8>, limbs: &[u32; LIMBS]) {
    let mut bytes = [0; LIMBS * 4];
    for (chunk, limb) in bytes.rchunks_exact_mut(4).zip(limbs) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    // A leading byte is needless if it only repeats the sign of the one after it.
    let needless = bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .take_while(|(lead, next)| {
            (**lead == 0 && **next & 0x80 == 0) || (**lead == 0xff && **next & 0x80 != 0)
        })
        .count();
    write_bytes(out, bytes.get(needless..).unwrap_or_default());
}
