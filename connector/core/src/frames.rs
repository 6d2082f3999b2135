//! Packets of a dump, taken apart where they lie: which bytes of a buffer are an event, or a part of one.
//!
//! Format: MySQL source, "Client/Server Protocol" (`page_protocol_basic_packets`), and `sql/rpl_binlog_sender.cc`: three bytes
//! length, one byte sequence number; then a byte 0 and an event, or an error, or the end. An event that does not fit into a
//! packet goes on in the next ones, which have no such byte.

use std::ops::Range;

use crate::event::{EventHeader, HEADER_LEN, Part};

/// Bytes in front of each packet.
pub const PACKET_HEADER_LEN: usize = 4;
/// A packet of so many bytes goes on in the next one.
pub const PACKET_BYTES_MAX: usize = 0xff_ffff;
/// Largest packet with an error that is taken.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Packets shorter than this that begin with [`END`] say that nothing follows.
const END_BYTES: usize = 9;

const OK: u8 = 0;
/// What a packet begins with that says that nothing follows.
pub const END: u8 = 0xfe;
/// What a packet with an error begins with.
pub const ERROR: u8 = 0xff;
/// What a server puts before an event for a replica that has asked for semi-synchronous replication.
const SEMI_SYNC: u8 = 0xef;

/// What a buffer holds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// An event, or a part of a large one.
    Piece(Part, Range<usize>),
    /// An error of the server; the bytes of the packet.
    Error(Range<usize>),
    /// The server has nothing more to say.
    End,
}

/// What the server sends is no dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Packets are numbered from 1 on, modulo 256.
    #[error("a packet is missing or came twice: its number is {is} instead of {should}")]
    Sequence {
        /// The packet's number.
        is: u8,
        /// The one that follows the last.
        should: u8,
    },
    /// It has no room for the header of an event.
    #[error("a packet of {bytes} bytes holds no event")]
    Short {
        /// Its length.
        bytes: usize,
    },
    /// It begins with something else than 0, an error or an end.
    #[error("a packet that begins with the byte {first:#04x} is none of a dump")]
    Unknown {
        /// Its first byte.
        first: u8,
    },
    /// Errors are texts of at most some hundred letters.
    #[error("an error of {bytes} bytes is too long to be one")]
    Error {
        /// The packet's length.
        bytes: usize,
    },
    /// The header of an event and the packets that hold it do not agree.
    #[error("an event says that it has {said} bytes, and its packets have others")]
    Length {
        /// Size by the header.
        said: u32,
    },
    /// Two bytes stand before the event.
    #[error(
        "it sends events as if they were to be acknowledged (semi-synchronous replication), which was not asked for"
    )]
    SemiSync,
}

/// Where in a dump a buffer begins.
#[derive(Debug)]
pub struct Frames {
    /// Larger events are handed on in parts of at most so many bytes.
    part_bytes_max: usize,
    /// Number of the next packet.
    sequence: u8,
    /// The event that is handed on in parts.
    large: Option<Large>,
}

#[derive(Debug)]
struct Large {
    /// Size of the event, by its header.
    size: u32,
    /// Bytes of it that are still to come.
    left: usize,
    /// Those of them in the packet at hand.
    in_packet: usize,
    /// Another packet follows, be it empty.
    goes_on: bool,
    is_begun: bool,
}

impl Frames {
    /// The number of the first packet follows that of the last packet of the command that it answers.
    #[must_use]
    pub fn new(part_bytes_max: usize, sequence: u8) -> Self {
        Self {
            part_bytes_max: part_bytes_max.max(HEADER_LEN),
            sequence,
            large: None,
        }
    }

    /// Bytes that a buffer must be able to hold.
    #[must_use]
    pub fn buffer_bytes_min(&self) -> usize {
        // Behind the end of an event that filled its packets an empty one may stand before the next.
        self.part_bytes_max.max(ERROR_BYTES_MAX) + 2 * PACKET_HEADER_LEN + 1
    }

    /// The next piece that is whole in the buffer from `at` on, which is moved behind it; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`]
    pub fn next(&mut self, buffer: &[u8], at: &mut usize) -> Result<Option<Frame>, FrameError> {
        loop {
            if self.large.is_some() {
                match self.part(buffer, at)? {
                    Some(frame) => return Ok(frame),
                    // Its last packet was empty.
                    None => continue,
                }
            }
            match self.packet(buffer, at)? {
                Some(frame) => return Ok(Some(frame)),
                None if self.large.is_some() => {}
                None => return Ok(None),
            }
        }
    }

    /// A packet that is whole, or the beginning of a large event.
    fn packet(&mut self, buffer: &[u8], at: &mut usize) -> Result<Option<Frame>, FrameError> {
        let rest = buffer.get(*at..).unwrap_or_default();
        let Some(length) = self.packet_length(rest)? else {
            return Ok(None);
        };
        let payload = rest.get(PACKET_HEADER_LEN..).unwrap_or_default();
        let start = *at + PACKET_HEADER_LEN;
        let range = start..start + length;
        let is_there = payload.len() >= length;
        match (payload.first(), length) {
            (_, 0) => Err(FrameError::Short { bytes: 0 }),
            (None, _) => Ok(None),
            (Some(&ERROR), _) if length > ERROR_BYTES_MAX => {
                Err(FrameError::Error { bytes: length })
            }
            (Some(&ERROR), _) => {
                Ok(is_there.then(|| self.take(at, range.clone(), Frame::Error(range))))
            }
            (Some(&END), _) if length < END_BYTES => {
                Ok(is_there.then(|| self.take(at, range, Frame::End)))
            }
            (Some(&OK), _) => self.event(payload, length, at),
            (Some(&first), _) => Err(FrameError::Unknown { first }),
        }
    }

    fn take(&mut self, at: &mut usize, range: Range<usize>, frame: Frame) -> Frame {
        *at = range.end;
        self.sequence = self.sequence.wrapping_add(1);
        frame
    }

    fn event(
        &mut self,
        payload: &[u8],
        length: usize,
        at: &mut usize,
    ) -> Result<Option<Frame>, FrameError> {
        let bytes = length - 1;
        if bytes < HEADER_LEN {
            return Err(FrameError::Short { bytes: length });
        }
        let event = payload.get(1..).unwrap_or_default();
        let Some(header) = EventHeader::of(event) else {
            return Ok(None);
        };
        let said = header.size;
        let goes_on = length == PACKET_BYTES_MAX;
        let size = usize::try_from(said).unwrap_or(usize::MAX);
        let is_right = if goes_on {
            size >= bytes
        } else {
            size == bytes
        };
        if !is_right {
            return Err(match event.first() {
                Some(&SEMI_SYNC) => FrameError::SemiSync,
                _ => FrameError::Length { said },
            });
        }
        let start = *at + PACKET_HEADER_LEN + 1;
        if size > self.part_bytes_max || goes_on {
            self.sequence = self.sequence.wrapping_add(1);
            self.large = Some(Large {
                size: said,
                left: size,
                in_packet: bytes,
                goes_on,
                is_begun: false,
            });
            *at = start;
            return Ok(None);
        }
        if event.len() < bytes {
            return Ok(None);
        }
        let range = start..start + bytes;
        let frame = Frame::Piece(Part::Whole, range.clone());
        Ok(Some(self.take(at, range, frame)))
    }

    /// The next part of a large event; the outer `None` at its end.
    fn part(&mut self, buffer: &[u8], at: &mut usize) -> Result<Option<Option<Frame>>, FrameError> {
        let rest = buffer.get(*at..).unwrap_or_default();
        let Some(large) = &self.large else {
            return Ok(None);
        };
        if large.in_packet == 0 {
            if !large.goes_on {
                self.large = None;
                return Ok(None);
            }
            return self.next_packet(rest, at);
        }
        let count = large.in_packet.min(self.part_bytes_max);
        if rest.len() < count {
            return Ok(Some(None));
        }
        let part = match (large.is_begun, large.left == count) {
            (false, true) => Part::Whole,
            (false, false) => Part::First,
            (true, false) => Part::Middle,
            (true, true) => Part::Last,
        };
        let range = *at..*at + count;
        *at = range.end;
        if let Some(large) = &mut self.large {
            large.left -= count;
            large.in_packet -= count;
            large.is_begun = true;
        }
        Ok(Some(Some(Frame::Piece(part, range))))
    }

    /// A packet in which a large event goes on.
    fn next_packet(
        &mut self,
        rest: &[u8],
        at: &mut usize,
    ) -> Result<Option<Option<Frame>>, FrameError> {
        let Some(length) = self.packet_length(rest)? else {
            return Ok(Some(None));
        };
        let Some(large) = &mut self.large else {
            return Ok(None);
        };
        let goes_on = length == PACKET_BYTES_MAX;
        let is_right = if goes_on {
            length <= large.left
        } else {
            length == large.left
        };
        if !is_right {
            return Err(FrameError::Length { said: large.size });
        }
        large.in_packet = length;
        large.goes_on = goes_on;
        self.sequence = self.sequence.wrapping_add(1);
        *at += PACKET_HEADER_LEN;
        Ok(None)
    }

    /// The length of the packet that begins here, once its header is there.
    fn packet_length(&self, rest: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some([first, second, third, sequence]) = rest.first_chunk() else {
            return Ok(None);
        };
        if *sequence != self.sequence {
            return Err(FrameError::Sequence {
                is: *sequence,
                should: self.sequence,
            });
        }
        let length = u32::from_le_bytes([*first, *second, *third, 0]);
        Ok(Some(usize::try_from(length).unwrap_or(usize::MAX)))
    }
}

#[cfg(test)]
mod tests;
