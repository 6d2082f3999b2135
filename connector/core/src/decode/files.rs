//! Where one binlog file ends and the next begins, and what a new run of the server says of a transaction without an end.

use super::checksum::Layout;
use super::error::DecodeErrorKind;
use super::{Decoder, Item, State};
use crate::event::{EventHeader, EventType, HEADER_LEN};
use crate::input::Input;
use crate::position::FileOffset;

impl Decoder {
    /// Of a transaction without end only its end is looked for: the server's next start, perhaps in another file.
    pub(super) fn dead<'a>(
        &mut self,
        header: &EventHeader,
        body: Input<'a>,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        if header.event_type == EventType::Rotate {
            self.rotate(header, body)
        } else if header.event_type == EventType::FormatDescription {
            self.format_description(body)
        } else {
            Ok(Item::Nothing)
        }
    }

    pub(super) fn rotate<'a>(
        &mut self,
        header: &EventHeader,
        mut body: Input<'a>,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        // A file that ends inside of a transaction is left without a rotation: the server makes one up.
        if !header.is_artificial() {
            self.outside("ROTATE_EVENT")?;
        }
        let offset = body.u64()?;
        let file = std::str::from_utf8(body.rest())
            .map_err(|_| DecodeErrorKind::FileName)?
            .trim_end_matches('\0')
            .to_owned();
        let next = FileOffset { file, offset };
        self.at = next.clone();
        self.size = 0;
        // The made-up rotation at the start of a stream says where it begins: that is no progress.
        if !header.is_artificial() {
            self.position.observe(next);
        }
        Ok(Item::NewFile)
    }

    pub(super) fn format_description<'a>(
        &mut self,
        mut body: Input<'a>,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        let version = body.u16()?;
        if version != 4 {
            return Err(DecodeErrorKind::BinlogVersion { version });
        }
        let server_version = body.take(50)?;
        self.layout = Layout::of(server_version);
        let name = server_version.split(|byte| *byte == 0).next();
        self.server_version = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
        let created = body.u32()?;
        let header_len = body.u8()?;
        if usize::from(header_len) != HEADER_LEN {
            return Err(DecodeErrorKind::BinlogVersion { version });
        }
        // Set in the first file of a server's run only: what it had not finished before, it has rolled back.
        match (created, self.state) {
            (_, State::Outside) | (0, State::Dead) => {}
            (0, State::Announced | State::Inside) => self.outside("FORMAT_DESCRIPTION_EVENT")?,
            (_, State::Dead) => {
                self.state = State::Outside;
                self.transaction = std::mem::take(&mut self.previous);
            }
            (_, State::Announced | State::Inside) => {
                let first = self.transaction.first.clone();
                return Err(DecodeErrorKind::DeadTransaction {
                    first: first.unwrap_or_else(|| self.at.clone()),
                    commit_time_us: self.transaction.commit_time_us,
                });
            }
        }
        Ok(Item::NewFile)
    }
}
