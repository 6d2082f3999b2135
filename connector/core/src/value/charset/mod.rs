//! The server's character sets, as a client that asks for UTF-8 sees them.
//!
//! The tables beside this file are the server's own answers: `latin1` is not ISO 8859-1, `sjis` maps 0x815F to a
//! backslash, and no library agrees with the server on all of them. They are recorded, and compared with a real server,
//! by `tests/end_to_end/test_charsets.py`, which tells their form. Collation numbers: `information_schema.COLLATIONS`.

use serde::{Deserialize, Serialize};

use super::ValueError;
use crate::avro::binary::{write_bytes, write_length};

macro_rules! charsets {
    (
        recorded { $($recorded:ident $table:literal $most:literal [$($number:pat),*],)* }
        computed { $($computed:ident $text:literal $longest:literal [$($collation:pat),*],)* }
    ) => {
        /// A character set of the server.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Charset {
            $(#[doc = concat!("`", $table, "`")] $recorded,)*
            $(#[doc = concat!("`", $text, "`")] $computed,)*
        }

        impl Charset {
            /// All of them.
            pub const ALL: &[Charset] = &[$(Self::$recorded,)* $(Self::$computed,)*];

            /// The character set of a collation of MySQL, by its number. None for `binary`.
            fn of_mysql(number: u64) -> Option<Self> {
                match number {
                    $($($number)|* => Some(Self::$recorded),)*
                    $($($collation)|* => Some(Self::$computed),)*
                    _ => None,
                }
            }

            /// Its name in SQL.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$recorded => $table,)*
                    $(Self::$computed => $text,)*
                }
            }

            /// Bytes of its longest character.
            #[must_use]
            pub fn longest(self) -> u16 {
                match self {
                    $(Self::$recorded => $most,)*
                    $(Self::$computed => $longest,)*
                }
            }

            /// The table that was recorded; none for those that are computed.
            fn table(self) -> Option<&'static [u8]> {
                match self {
                    $(Self::$recorded => Some(include_bytes!(concat!("tables/", $table, ".bin"))),)*
                    $(Self::$computed => None,)*
                }
            }
        }
    };
}

charsets! {
    recorded {
    Armscii8 "armscii8" 1 [32, 64],
    Big5 "big5" 2 [1, 84],
    Cp1250 "cp1250" 1 [26, 34, 44, 66, 99],
    Cp1251 "cp1251" 1 [14, 23, 50..=52],
    Cp1256 "cp1256" 1 [57, 67],
    Cp1257 "cp1257" 1 [29, 58, 59],
    Cp850 "cp850" 1 [4, 80],
    Cp852 "cp852" 1 [40, 81],
    Cp866 "cp866" 1 [36, 68],
    Cp932 "cp932" 2 [95, 96],
    Dec8 "dec8" 1 [3, 69],
    Eucjpms "eucjpms" 3 [97, 98],
    Euckr "euckr" 2 [19, 85],
    Gb18030 "gb18030" 4 [248..=250],
    Gb2312 "gb2312" 2 [24, 86],
    Gbk "gbk" 2 [28, 87],
    Geostd8 "geostd8" 1 [92, 93],
    Greek "greek" 1 [25, 70],
    Hebrew "hebrew" 1 [16, 71],
    Hp8 "hp8" 1 [6, 72],
    Keybcs2 "keybcs2" 1 [37, 73],
    Koi8r "koi8r" 1 [7, 74],
    Koi8u "koi8u" 1 [22, 75],
    Latin1 "latin1" 1 [5, 8, 15, 31, 47..=49, 94],
    Latin2 "latin2" 1 [2, 9, 21, 27, 77],
    Latin5 "latin5" 1 [30, 78],
    Latin7 "latin7" 1 [20, 41, 42, 79],
    Macce "macce" 1 [38, 43],
    Macroman "macroman" 1 [39, 53],
    Sjis "sjis" 2 [13, 88],
    Swe7 "swe7" 1 [10, 82],
    Tis620 "tis620" 1 [18, 89],
    Ujis "ujis" 3 [12, 91],
    }
    computed {
    Ascii "ascii" 1 [11, 65],
    Ucs2 "ucs2" 2 [35, 90, 128..=151, 159],
    Utf16 "utf16" 4 [54, 55, 101..=124],
    Utf16le "utf16le" 4 [56, 62],
    Utf32 "utf32" 4 [60, 61, 160..=183],
    Utf8mb3 "utf8mb3" 3 [33, 76, 83, 192..=215, 223],
    Utf8mb4 "utf8mb4" 4 [45, 46, 224..=247, 255..=323],
    }
}

/// The number of the collation `binary`, which stands for bytes without any character set.
pub(super) const BINARY_COLLATION: u64 = 63;

impl Charset {
    /// The character set of a collation of MySQL or MariaDB, by its number. None for `binary`.
    #[must_use]
    pub fn of_collation(number: u64) -> Option<Self> {
        Self::of_mysql(of_mariadb(number).unwrap_or(number))
    }

    /// Appends text as an Avro string.
    ///
    /// # Errors
    /// [`ValueError::Text`] if bytes are not of the character set, or have no place in Unicode; nothing is appended
    /// then.
    #[inline]
    pub(crate) fn write(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
        match self.as_utf8(bytes) {
            Some(true) => write_bytes(out, bytes),
            Some(false) => return Err(ValueError::Text),
            None => self.convert(bytes, out)?,
        }
        Ok(())
    }

    /// Whether the bytes are text of the character set and so of UTF-8; none if its text is not UTF-8.
    #[inline]
    fn as_utf8(self, bytes: &[u8]) -> Option<bool> {
        if self == Self::Utf8mb4 {
            Some(std::str::from_utf8(bytes).is_ok())
        } else if self == Self::Utf8mb3 {
            // A character of four bytes begins with 0xf0 or more, which no other byte of UTF-8 has.
            let is_short = bytes.iter().all(|byte| *byte < 0xf0);
            Some(is_short && std::str::from_utf8(bytes).is_ok())
        } else if self == Self::Ascii {
            Some(bytes.is_ascii())
        } else {
            None
        }
    }

    /// Avro wants the length first: the characters are gone through twice.
    fn convert(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
        let mut length = 0;
        self.each(bytes, |character| length += character.len_utf8())?;
        write_length(out, length);
        self.each(bytes, |character| {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        })
    }

    /// The text in UTF-8, for what is no row: names of members.
    ///
    /// # Errors
    /// [`ValueError::Text`]
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<String, ValueError> {
        match self.as_utf8(bytes) {
            Some(true) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Some(false) => Err(ValueError::Text),
            None => {
                let mut text = String::new();
                self.each(bytes, |character| text.push(character))?;
                Ok(text)
            }
        }
    }

    /// The text in UTF-8, with U+FFFD in the place of each byte, or unit of a fixed size, that begins no character.
    pub(super) fn decode_replaced(self, mut bytes: &[u8]) -> String {
        let mut text = String::new();
        while let Some((character, length)) = self.first(bytes) {
            text.push(character);
            bytes = bytes.get(length..).unwrap_or_default();
        }
        text
    }

    /// The first character and its length in bytes; none at the end.
    fn first(self, bytes: &[u8]) -> Option<(char, usize)> {
        let unit = if self == Self::Utf32 {
            4
        } else if matches!(self, Self::Utf16 | Self::Utf16le | Self::Ucs2) {
            2
        } else {
            1
        };
        let longest = bytes.len().min(usize::from(self.longest()));
        let is_one = |length: &usize| {
            let mut count = 0;
            let whole = bytes.get(..*length).unwrap_or_default();
            let is_text = match self.as_utf8(whole) {
                Some(is_text) => {
                    count = std::str::from_utf8(whole).map_or(0, |text| text.chars().count());
                    is_text
                }
                None => self.each(whole, |_| count += 1).is_ok(),
            };
            is_text && count == 1
        };
        if bytes.is_empty() {
            return None;
        }
        let Some(length) = (1..=longest).find(is_one) else {
            return Some((char::REPLACEMENT_CHARACTER, unit));
        };
        let text = self.decode(bytes.get(..length)?).ok()?;
        text.chars().next().map(|character| (character, length))
    }

    /// Goes through the characters of text that is not UTF-8.
    fn each(self, bytes: &[u8], take: impl FnMut(char)) -> Result<(), ValueError> {
        match (self, self.table()) {
            (Self::Gb18030, Some(table)) => each(bytes, take, |bytes| gb18030(table, bytes)),
            (_, Some(table)) => each(bytes, take, |bytes| recorded(table, bytes)),
            (Self::Utf16, None) => each(bytes, take, |bytes| utf16(bytes, u16::from_be_bytes)),
            (Self::Utf16le, None) => each(bytes, take, |bytes| utf16(bytes, u16::from_le_bytes)),
            (Self::Utf32, None) => each(bytes, take, utf32),
            (_, None) => each(bytes, take, ucs2),
        }
    }
}

/// A collation of MySQL with the character set of one that only MariaDB has: numbers as its source (`strings/ctype-uca.c`,
/// `strings/ctype-*.c`) gives them, seen with 11.8.
fn of_mariadb(number: u64) -> Option<u64> {
    const UTF8MB3: u64 = 33;
    const UTF8MB4: u64 = 45;
    const UCS2: u64 = 35;
    const UTF16: u64 = 54;
    const UTF32: u64 = 60;
    Some(match number {
        // Those that do not pad have the number of the one that does.
        1025..=1300 => number - 1024,
        576..=579 | 2048..=2303 => UTF8MB3,
        608..=611 | 2304..=2559 => UTF8MB4,
        640..=642 | 2560..=2815 => UCS2,
        672..=674 | 2816..=3071 => UTF16,
        736..=738 | 3072..=3327 => UTF32,
        _ => return None,
    })
}

/// Reads bytes character by character; `next` returns the first one and its length, if there is one.
#[inline]
fn each(
    mut bytes: &[u8],
    mut take: impl FnMut(char),
    next: impl Fn(&[u8]) -> Option<(char, usize)>,
) -> Result<(), ValueError> {
    while !bytes.is_empty() {
        let (character, length) = next(bytes).ok_or(ValueError::Text)?;
        take(character);
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(())
}

fn unit(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Option<u32> {
    bytes.first_chunk().map(|unit| u32::from(read(*unit)))
}

fn ucs2(bytes: &[u8]) -> Option<(char, usize)> {
    Some((char::from_u32(unit(bytes, u16::from_be_bytes)?)?, 2))
}

fn utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Option<(char, usize)> {
    let high = unit(bytes, read)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, 2));
    }
    let low = unit(bytes.get(2..)?, read)?;
    let is_pair = high < 0xdc00 && (0xdc00..0xe000).contains(&low);
    let number = 0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff);
    char::from_u32(number)
        .filter(|_| is_pair)
        .map(|character| (character, 4))
}

fn utf32(bytes: &[u8]) -> Option<(char, usize)> {
    let number = u32::from_be_bytes(*bytes.first_chunk()?);
    Some((char::from_u32(number)?, 4))
}

/// Bytes of the first part of a table: a character for each byte.
const SINGLES: usize = 512;
/// Bytes that tell the extent of a part with pairs.
const EXTENT: usize = 4;
/// What comes before the last two of three bytes.
const THREE_BYTES_LEAD: u8 = 0x8f;

/// The character that a table has at an index; the surrogate that stands for none is no `char`.
#[inline]
fn at(table: &[u8], index: usize) -> Option<char> {
    let code = table.get(2 * index..)?.first_chunk()?;
    char::from_u32(u32::from(u16::from_le_bytes(*code)))
}

/// The character of a pair of bytes.
#[inline]
fn pair(part: &[u8], lead: u8, trail: u8) -> Option<char> {
    let [low, high, first, last] = *part.first_chunk()?;
    if !(low..=high).contains(&lead) || !(first..=last).contains(&trail) {
        return None;
    }
    let width = usize::from(last - first) + 1;
    let index = usize::from(lead - low) * width + usize::from(trail - first);
    at(part.get(EXTENT..)?, index)
}

/// What follows a part with pairs.
fn after_pairs(part: &[u8]) -> Option<&[u8]> {
    let [low, high, first, last] = *part.first_chunk()?;
    let count = (usize::from(high - low) + 1) * (usize::from(last - first) + 1);
    part.get(EXTENT + 2 * count..)
}

#[inline]
fn recorded(table: &[u8], bytes: &[u8]) -> Option<(char, usize)> {
    let [lead, rest @ ..] = bytes else {
        return None;
    };
    if let Some(character) = at(table, usize::from(*lead)) {
        return Some((character, 1));
    }
    let pairs = table.get(SINGLES..)?;
    let (trail, rest) = rest.split_first()?;
    if let Some(character) = pair(pairs, *lead, *trail) {
        return Some((character, 2));
    }
    let triples = after_pairs(pairs)?;
    let character = pair(triples, *trail, *rest.first()?)?;
    (*lead == THREE_BYTES_LEAD).then_some((character, 3))
}

/// Sequences of four bytes count on in turns of 10 and 126; U+10000 is the first of those led by 0x90.
fn gb18030(table: &[u8], bytes: &[u8]) -> Option<(char, usize)> {
    let Some(
        [
            lead @ 0x81..=0xfe,
            second @ b'0'..=b'9',
            third @ 0x81..=0xfe,
            last @ b'0'..=b'9',
        ],
    ) = bytes.first_chunk()
    else {
        let character = recorded(table, bytes)?;
        return (character.1 < 3).then_some(character);
    };
    let number = |lead: u8| {
        let tens = usize::from(lead) * 10 + usize::from(second - b'0');
        (tens * 126 + usize::from(third - 0x81)) * 10 + usize::from(last - b'0')
    };
    let character = match lead.checked_sub(0x90) {
        None => at(after_pairs(table.get(SINGLES..)?)?, number(lead - 0x81)),
        Some(lead) => char::from_u32(u32::try_from(number(lead) + 0x1_0000).ok()?),
    };
    Some((character?, 4))
}

#[cfg(test)]
mod tests;
