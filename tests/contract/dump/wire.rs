//! Events as they come: whole again if they came in parts, and checked without the decoder.

use binlog_bridge::source::{Dump, SourceError};
use binlog_bridge_core::decode::{Fed, Joined, Joiner};
use binlog_bridge_core::event::{EventBlock, Part};
use binlog_bridge_core::position::FileOffset;

pub(super) const EVENT_ROTATE: u8 = 4;
pub(super) const EVENT_FORMAT_DESCRIPTION: u8 = 15;
pub(super) const EVENT_HEARTBEAT: u8 = 27;

const FLAG_ARTIFICIAL: u16 = 0x20;
const HEADER_LEN: usize = 19;
const CHECKSUM_LEN: usize = 4;

/// Far more than any event of these tests has.
const EVENT_BYTES_MAX: usize = 64 << 20;

/// An event whose length and checksum are right.
pub(super) struct WireEvent {
    pub(super) bytes: Vec<u8>,
    body: Vec<u8>,
    pub(super) number: u8,
    /// Offset just after it in its file; 0 if it is in none.
    pub(super) end: u32,
    pub(super) is_artificial: bool,
}

impl WireEvent {
    /// Only the first event of a dump has no checksum: no format description has announced it yet.
    fn read(bytes: &[u8], has_checksum: bool) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(usize::try_from(word(9)), Ok(bytes.len()), "its size");
        let mut rest = bytes;
        if has_checksum {
            let checksum;
            (rest, checksum) = bytes.split_at(bytes.len() - CHECKSUM_LEN);
            assert_eq!(
                crc32fast::hash(rest).to_le_bytes(),
                checksum,
                "its checksum"
            );
        }
        let flags = u16::from_le_bytes(bytes[17..19].try_into().unwrap());
        Self {
            bytes: bytes.to_vec(),
            body: rest[HEADER_LEN..].to_vec(),
            number: bytes[4],
            end: word(13),
            is_artificial: flags & FLAG_ARTIFICIAL != 0,
        }
    }

    /// Which file and offset a ROTATE names.
    pub(super) fn names(&self) -> FileOffset {
        assert_eq!(self.number, EVENT_ROTATE);
        let (offset, file) = self.body.split_at(8);
        FileOffset {
            file: String::from_utf8(file.to_vec()).unwrap(),
            offset: u64::from_le_bytes(offset.try_into().unwrap()),
        }
    }
}

/// What was read so far.
pub(super) struct Reader {
    pub(super) events: Vec<WireEvent>,
    /// How many of them came in parts.
    pub(super) in_parts: usize,
    at: FileOffset,
    joiner: Joiner,
    block: EventBlock,
}

impl Default for Reader {
    fn default() -> Self {
        let (file, offset) = (String::new(), 0);
        Self {
            events: Vec::new(),
            in_parts: 0,
            at: FileOffset { file, offset },
            joiner: Joiner::new(EVENT_BYTES_MAX),
            block: EventBlock::default(),
        }
    }
}

impl Reader {
    /// The end of what was read.
    pub(super) fn at(&self) -> FileOffset {
        self.at.clone()
    }

    /// Waits for the next block. Nothing of it is lost or taken if the future is dropped, if the dump keeps its
    /// promise.
    pub(super) async fn take(&mut self, dump: &mut impl Dump) -> Result<(), SourceError> {
        assert!(
            self.block.is_empty(),
            "a dropped future has taken something"
        );
        dump.next(&mut self.block).await?;
        let block = std::mem::take(&mut self.block);
        assert!(!block.is_empty(), "there is nothing in the block");
        for (part, bytes) in block.pieces() {
            let mut fed = Fed::new(part, bytes);
            let joined = match self.joiner.next(&mut fed, |_, _| true).unwrap() {
                Some(Joined::Event(event)) => event,
                Some(Joined::Pending) => continue,
                other => panic!("{other:?} was not expected"),
            };
            let event = WireEvent::read(joined, !self.events.is_empty());
            self.in_parts += usize::from(part == Part::Last);
            if event.number == EVENT_ROTATE {
                self.at = event.names();
            } else if event.end != 0 {
                self.at.offset = u64::from(event.end);
            }
            self.events.push(event);
        }
        Ok(())
    }
}
