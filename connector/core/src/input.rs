//! Reading of packed bytes without a panic: every read says whether the bytes were there.

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

/// The input ended before the value did, or a length in it is impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes end before the value does")]
pub struct Truncated;

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u24(&mut self) -> Result<u32, Truncated> {
        let [a, b, c] = self.array::<3>()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u48(&mut self) -> Result<u64, Truncated> {
        let [a, b, c, d, e, f] = self.array::<6>()?;
        Ok(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    pub(crate) fn u56(&mut self) -> Result<u64, Truncated> {
        let [a, b, c, d, e, f, g] = self.array::<7>()?;
        Ok(u64::from_le_bytes([a, b, c, d, e, f, g, 0]))
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_le_bytes)
    }

    /// A big-endian unsigned number of 1 to 8 bytes.
    #[inline]
    pub(crate) fn big_endian(&mut self, bytes: usize) -> Result<u64, Truncated> {
        Ok(self.take(bytes)?.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    /// A little-endian unsigned number of 1 to 8 bytes.
    #[inline]
    pub(crate) fn little_endian(&mut self, bytes: usize) -> Result<u64, Truncated> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    /// A length-encoded integer (MySQL manual, "Protocol::LengthEncodedInteger").
    pub(crate) fn length_encoded(&mut self) -> Result<u64, Truncated> {
        match self.u8()? {
            small @ 0..=250 => Ok(u64::from(small)),
            252 => self.u16().map(u64::from),
            253 => self.u24().map(u64::from),
            254 => self.u64(),
            251 | 255 => Err(Truncated),
        }
    }

    /// Bytes after their length-encoded length.
    pub(crate) fn length_encoded_bytes(&mut self) -> Result<&'a [u8], Truncated> {
        let length = usize::try_from(self.length_encoded()?).map_err(|_| Truncated)?;
        self.take(length)
    }
}
