//! Binlog files as the server writes them, read without a server.
//!
//! Format: MySQL source, `libs/mysql/binlog/event/binlog_event.h`: four bytes, then events.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use binlog_bridge_core::event::{EventHeader, EventType, HEADER_LEN};

/// What a binlog file begins with.
const MAGIC: [u8; 4] = *b"\xfebin";
/// The protocol's own limit for an event.
const EVENT_BYTES_MAX: u32 = 1 << 30;
/// In the flags of a format description: the file was not closed. Not part of what its checksum is over.
const IN_USE: u8 = 1;
/// Where the flags of an event are.
const FLAGS_AT: usize = 17;

/// A binlog file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is something else.
    #[error("it is no binlog file: it does not begin with the bytes FE 62 69 6E")]
    NoBinlog,
    /// An event has a size that cannot be.
    #[error("it is damaged at offset {offset}: an event of {size} bytes")]
    Size {
        /// Where the event begins.
        offset: u64,
        /// What its header says.
        size: u32,
    },
    /// It ends inside of an event.
    #[error("it ends inside of the event at offset {offset}")]
    Truncated {
        /// Where the event begins.
        offset: u64,
    },
}

/// The events of a file, compressed transactions as they are.
pub struct BinlogFile {
    reader: BufReader<File>,
    offset: u64,
}

impl BinlogFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let mut reader = BufReader::new(File::open(path)?);
        let mut magic = [0; MAGIC.len()];
        match reader.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => {}
            Ok(()) => return Err(FileError::NoBinlog),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(FileError::NoBinlog);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self { reader, offset: 4 })
    }

    fn read(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let offset = self.offset;
        let Some((header, mut event)) = read_event(&mut self.reader, offset)? else {
            return Ok(None);
        };
        self.offset += u64::from(header.size);
        if header.event_type == EventType::FormatDescription
            && let Some(flags) = event.get_mut(FLAGS_AT)
        {
            *flags &= !IN_USE;
        }
        Ok(Some(event))
    }
}

impl Iterator for BinlogFile {
    type Item = Result<Vec<u8>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The next event and its header; `None` at the end.
fn read_event(
    reader: &mut dyn Read,
    offset: u64,
) -> Result<Option<(EventHeader, Vec<u8>)>, FileError> {
    let mut event = Vec::new();
    let header_len = u64::try_from(HEADER_LEN).unwrap_or(u64::MAX);
    reader.take(header_len).read_to_end(&mut event)?;
    if event.is_empty() {
        return Ok(None);
    }
    let Some(header) = EventHeader::of(&event) else {
        return Err(FileError::Truncated { offset });
    };
    let size = header.size;
    let rest = u64::from(size).checked_sub(header_len);
    let Some(rest) = rest.filter(|_| size <= EVENT_BYTES_MAX) else {
        return Err(FileError::Size { offset, size });
    };
    reader.take(rest).read_to_end(&mut event)?;
    match u32::try_from(event.len()) == Ok(size) {
        true => Ok(Some((header, event))),
        false => Err(FileError::Truncated { offset }),
    }
}
