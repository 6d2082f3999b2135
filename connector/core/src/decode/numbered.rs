//! Events that number a source transaction, and begin it.
//!
//! Formats: MySQL source, `libs/mysql/binlog/event/control_events.h` (`Gtid_event`), where tags are used in the form of
//! `libs/mysql/serialization/readme.md`; MariaDB source, `sql/log_event.h` (`Gtid_log_event`).

use super::error::DecodeErrorKind;
use super::{Decoder, Item, State, Transaction};
use crate::event::{EventHeader, EventType};
use crate::input::{Input, Truncated};
use crate::position::{Gtid, GtidSource, MariadbGtid, MysqlGtid, Uuid};

impl Decoder {
    /// GTID_LOG_EVENT and ANONYMOUS_GTID_LOG_EVENT of MySQL.
    pub(super) fn gtid<'a>(
        &mut self,
        header: &EventHeader,
        mut body: Input<'a>,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        self.outside("GTID_LOG_EVENT")?;
        let _flags = body.u8()?;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(body.take(16)?);
        let sequence = body.u64()?;
        let source = GtidSource {
            uuid: Uuid(uuid),
            tag: None,
        };
        let gtid = Gtid::Mysql(MysqlGtid { source, sequence });
        let gtid = (header.event_type == EventType::Gtid).then_some(gtid);
        let commit_time_us = commit_time_us(body)?;
        self.announced(header, gtid, commit_time_us);
        Ok(Item::Begin)
    }

    /// GTID_TAGGED_LOG_EVENT of MySQL 8.4 and later.
    pub(super) fn tagged_gtid<'a>(
        &mut self,
        header: &EventHeader,
        body: Input<'a>,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        self.outside("GTID_TAGGED_LOG_EVENT")?;
        let tagged = Tagged::read(body)?;
        let sequence = tagged.sequence;
        let source = GtidSource {
            uuid: Uuid(tagged.uuid),
            // A transaction without a tag may come in this form too.
            tag: Some(tagged.tag).filter(|tag| !tag.is_empty()),
        };
        let gtid = Gtid::Mysql(MysqlGtid { source, sequence });
        let micros = tagged.original.unwrap_or(tagged.immediate);
        let commit_time_us = i64::try_from(micros).ok().filter(|micros| *micros != 0);
        self.announced(header, Some(gtid), commit_time_us);
        Ok(Item::Begin)
    }

    fn announced(&mut self, header: &EventHeader, gtid: Option<Gtid>, commit_time_us: Option<i64>) {
        let transaction = Transaction {
            gtid,
            first: Some(self.at.clone()),
            commit_time_us: commit_time_us
                .unwrap_or_else(|| i64::from(header.timestamp) * 1_000_000),
            thread_id: None,
            is_xa: false,
        };
        self.begin(transaction, State::Announced);
    }

    /// GTID_EVENT of MariaDB, which is BEGIN too unless it stands before a statement alone.
    pub(super) fn mariadb_gtid<'a>(
        &mut self,
        header: &EventHeader,
        mut body: Input<'a>,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        self.outside("GTID_EVENT")?;
        let sequence = body.u64()?;
        let domain = body.u32()?;
        let flags = Flags::read(&mut body)?;
        let gtid = MariadbGtid {
            domain,
            server_id: header.server_id,
            sequence,
        };
        let transaction = Transaction {
            gtid: Some(Gtid::Mariadb(gtid)),
            first: Some(self.at.clone()),
            commit_time_us: i64::from(header.timestamp) * 1_000_000,
            thread_id: flags.thread_id,
            is_xa: flags.is_prepared_xa,
        };
        let next = match flags.is_alone {
            true => State::Announced,
            false => State::Inside,
        };
        self.is_part_of_alter = flags.is_part_of_alter;
        self.begin(transaction, next);
        Ok(Item::Begin)
    }
}

/// The rest of a GTID event since 5.7 and 8.0.1: the original commit time, which is that of the
/// immediate server unless its top bit says that another one follows. A replica writes 0 for a first server
/// before 8.0.1, which gave none.
fn commit_time_us(mut body: Input<'_>) -> Result<Option<i64>, Truncated> {
    const LOGICAL_TIMESTAMPS: u8 = 2;
    const OTHER_FOLLOWS: u64 = 1 << 55;
    if body.is_empty() || body.u8()? != LOGICAL_TIMESTAMPS {
        return Ok(None);
    }
    body.take(16)?;
    if body.is_empty() {
        return Ok(None);
    }
    let immediate = body.u56()?;
    let original = if immediate & OTHER_FOLLOWS == 0 {
        immediate
    } else {
        body.u56()?
    };
    Ok(i64::try_from(original).ok().filter(|micros| *micros != 0))
}

/// The fields of a GTID_TAGGED_LOG_EVENT that matter here.
#[derive(Debug, Default)]
struct Tagged {
    uuid: [u8; 16],
    sequence: u64,
    tag: String,
    immediate: u64,
    original: Option<u64>,
}

impl Tagged {
    /// Version, size and the last field that must be known; then fields, each behind its number. All of them have a fixed
    /// order, but some may be missing.
    fn read(mut body: Input<'_>) -> Result<Self, DecodeErrorKind> {
        const VERSION: u64 = 1;
        if variable(&mut body)? != VERSION {
            return Err(DecodeErrorKind::TaggedGtid);
        }
        let _size = variable(&mut body)?;
        let _last_that_must_be_known = variable(&mut body)?;
        let mut tagged = Self::default();
        while !body.is_empty() {
            match variable(&mut body)? {
                1 => {
                    for byte in &mut tagged.uuid {
                        *byte = u8::try_from(variable(&mut body)?)
                            .map_err(|_| DecodeErrorKind::TaggedGtid)?;
                    }
                }
                // Signed: the lowest bit is the sign.
                2 => match variable(&mut body)? {
                    number if number & 1 == 0 => tagged.sequence = number >> 1,
                    _ => return Err(DecodeErrorKind::TaggedGtid),
                },
                3 => {
                    let length = variable(&mut body)?;
                    let length = usize::try_from(length).map_err(|_| Truncated)?;
                    let tag = std::str::from_utf8(body.take(length)?);
                    let tag = tag.map_err(|_| DecodeErrorKind::TaggedGtid)?;
                    tag.clone_into(&mut tagged.tag);
                }
                6 => tagged.immediate = variable(&mut body)?,
                7 => tagged.original = Some(variable(&mut body)?),
                0 | 4 | 5 => drop(variable(&mut body)?),
                // What follows the commit times tells of lengths and versions.
                _ => break,
            }
        }
        match tagged.sequence {
            0 => Err(DecodeErrorKind::TaggedGtid),
            _ => Ok(tagged),
        }
    }
}

/// A number of 1 to 9 bytes: as many as its first byte has low bits that are 1, and one more.
fn variable(input: &mut Input<'_>) -> Result<u64, Truncated> {
    let first = input.u8()?;
    let more = first.trailing_ones();
    if more == 8 {
        return input.u64();
    }
    let bytes = usize::try_from(more).map_err(|_| Truncated)?;
    let rest = match bytes {
        0 => 0,
        _ => input.little_endian(bytes)?,
    };
    // The first byte keeps what is above its ones and the zero behind them.
    let low = u64::from(first).checked_shr(more + 1).unwrap_or(0);
    Ok(low | rest << (7 - more))
}

/// What a GTID_EVENT of MariaDB says of the events behind it.
#[derive(Debug, Default)]
struct Flags {
    /// A statement is the whole transaction.
    is_alone: bool,
    is_prepared_xa: bool,
    /// The statement is the beginning of an ALTER, or the end of one that failed (`binlog_alter_two_phase`).
    is_part_of_alter: bool,
    thread_id: Option<u32>,
}

impl Flags {
    fn read(body: &mut Input<'_>) -> Result<Self, Truncated> {
        const STANDALONE: u8 = 1;
        const GROUP_COMMIT_ID: u8 = 2;
        const PREPARED_XA: u8 = 64;
        const COMPLETED_XA: u8 = 128;
        const SEVERAL_ENGINES: u8 = 1;
        const START_ALTER: u8 = 2;
        const COMMIT_ALTER: u8 = 4;
        const ROLLBACK_ALTER: u8 = 8;
        const THREAD_ID: u8 = 16;
        let flags = body.u8()?;
        if flags & GROUP_COMMIT_ID != 0 {
            body.u64()?;
        }
        if flags & (PREPARED_XA | COMPLETED_XA) != 0 {
            body.u32()?;
            let (one, other) = (body.u8()?, body.u8()?);
            body.take(usize::from(one) + usize::from(other))?;
        }
        let mut read = Self {
            is_alone: flags & (STANDALONE | COMPLETED_XA) != 0,
            is_prepared_xa: flags & PREPARED_XA != 0,
            ..Self::default()
        };
        // Zeros fill the event up to its smallest size.
        let more = if body.is_empty() { 0 } else { body.u8()? };
        if more & SEVERAL_ENGINES != 0 {
            body.u8()?;
        }
        if more & (COMMIT_ALTER | ROLLBACK_ALTER) != 0 {
            body.u64()?;
        }
        if more & THREAD_ID != 0 {
            read.thread_id = Some(body.u32()?);
        }
        read.is_part_of_alter = more & (START_ALTER | ROLLBACK_ALTER) != 0;
        Ok(read)
    }
}
