//! Where does an event lie in the binlog, and is it whole? Events of a compressed transaction have no place of their own.

use super::checksum::{Checksum, checked, format_checksum};
use super::{DecodeError, DecodeErrorKind, Decoder, State};
use crate::event::{EventHeader, EventType, HEADER_LEN};
use crate::position::FileOffset;

impl Decoder {
    /// Tells the events of a compressed transaction from the one that follows it, before which all must have come.
    pub(super) fn unpack(&mut self, header: &EventHeader) -> Result<(), DecodeErrorKind> {
        let is_dead = self.state == State::Dead;
        let is_between = is_dead || self.state == State::Outside;
        match &mut self.payload {
            None => Ok(()),
            Some(payload) if !payload.is_read() => match payload.take(header) {
                true => Ok(()),
                false => Err(DecodeErrorKind::CompressedTransaction),
            },
            Some(_) if is_between => {
                self.payload = None;
                Ok(())
            }
            Some(_) => Err(DecodeErrorKind::CompressedTransaction),
        }
    }

    /// Sets `at` to the beginning of the event, and returns its end. The header has the low 32 bits of the end;
    /// files may be larger.
    pub(super) fn locate(&mut self, header: &EventHeader) -> FileOffset {
        let file = self.at.file.clone();
        let is_heartbeat = header.event_type == EventType::Heartbeat;
        if let Some(payload) = &self.payload {
            return payload.end.clone();
        }
        // MariaDB 11 says no place of what is inside of a transaction: one event follows another.
        if header.end == 0
            && self.layout.is_mariadb
            && self.state != State::Outside
            && !is_heartbeat
        {
            self.at.offset = self.at.offset.saturating_add(u64::from(self.size));
            self.size = header.size;
            return self.end();
        }
        if header.is_artificial() || is_heartbeat || header.end == 0 {
            return FileOffset {
                file,
                offset: self.at.offset,
            };
        }
        let known = self.at.offset;
        let mut end = (known & !u64::from(u32::MAX)) | u64::from(header.end);
        if end < known {
            end = end.saturating_add(1 << 32);
        }
        self.at.offset = end.saturating_sub(u64::from(header.size));
        self.size = header.size;
        FileOffset { file, offset: end }
    }

    pub(super) fn verified_body<'a>(
        &mut self,
        header: &EventHeader,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], DecodeError> {
        let whole = bytes.get(HEADER_LEN..).unwrap_or_default();
        if self.payload.is_some() {
            return Ok(whole);
        }
        if header.event_type == EventType::FormatDescription {
            self.checksum = format_checksum(whole).map_err(|kind| self.error(kind))?;
            // A format description always carries a checksum, whatever the algorithm (WL#2540).
            if self.checksum == Checksum::Off {
                return Ok(whole);
            }
        }
        match self.checksum {
            Checksum::Off => Ok(whole),
            Checksum::Crc32 => checked(bytes).ok_or_else(|| self.error(DecodeErrorKind::Checksum)),
            // Before the format description the server sends one made-up ROTATE, with or without a
            // checksum: one that is right is one.
            Checksum::Unknown => Ok(checked(bytes).unwrap_or(whole)),
        }
    }
}
