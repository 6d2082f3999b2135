//! What happened? Raw events become begin, table map, rows (still raw images), statement and end.
//!
//! The decoder checks length and CRC32 of every event, follows files and offsets, and knows where a source
//! transaction (a *group* of events) begins and ends. It looks into no row and knows no selection.
//! Formats: MySQL source, `libs/mysql/binlog/event/control_events.h` and `statement_events.h`.

mod checksum;
mod compressed;
mod error;
mod files;
mod fragments;
mod inflate;
mod join;
mod numbered;
mod payload;
mod place;
mod rows;
mod statement;
mod table_map;

pub use compressed::{CompressedRows, CompressedStatement};
pub use error::{DeadTransaction, DecodeError, DecodeErrorKind};
pub use fragments::{Assembled, Assembler, RowsFragment};
pub use inflate::Fed;
pub use join::{Joined, Joiner};
pub use payload::PayloadMark;
pub use rows::RowsEvent;
pub use statement::{CharsetCollations, Pairs, Session, Statement};
pub use table_map::{ColumnMetadata, TableMapEvent};

use self::checksum::{Checksum, Layout};
use self::fragments::Expected;
use self::payload::Payload;
pub use crate::event::RowsKind;
use crate::event::{EventHeader, EventType, RowsFormat};
use crate::input::{Input, Truncated};
use crate::position::{FileOffset, Gtid, Position};

/// One thing that happened.
#[derive(Debug)]
pub enum Item<'a> {
    /// A source transaction begins; [`Decoder::transaction`] describes it.
    Begin,
    /// The rows that follow may be of this table.
    TableMap(TableMapEvent<'a>),
    /// Rows were inserted, updated or deleted.
    Rows(RowsEvent<'a>),
    /// The same, compressed.
    CompressedRows(CompressedRows<'a>),
    /// A piece of an event with rows, for an [`Assembler`].
    RowsFragment(RowsFragment<'a>),
    /// A statement was logged as text.
    Statement(Statement<'a>),
    /// The same, compressed.
    CompressedStatement(CompressedStatement<'a>),
    /// The source transaction is complete; [`Decoder::position`] is just after it.
    End(Ending),
    /// Another binlog file or another run of the server begins: table ids may be given anew.
    NewFile,
    /// Nothing that matters: a heartbeat or an event that carries no change.
    Nothing,
}

/// How a source transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its changes hold.
    Commit,
    /// It was rolled back; it is in the binlog since it changed tables of an engine without transactions.
    Rollback,
    /// It was prepared (XA); whether its changes hold is decided later.
    Prepared,
}

/// The source transaction that is being read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Its GTID, where the server numbers transactions.
    pub gtid: Option<Gtid>,
    /// Where its first event begins.
    pub first: Option<FileOffset>,
    /// When it was committed at the server that ran it first, in microseconds since 1970. Before MySQL 8.0.1
    /// only seconds are known.
    pub commit_time_us: i64,
    /// The connection that ran it.
    pub thread_id: Option<u32>,
    /// True between XA START and its end.
    pub is_xa: bool,
}

/// Where the decoder is between events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between source transactions.
    Outside,
    /// After the GTID event, before BEGIN or the only statement.
    Announced,
    /// After BEGIN.
    Inside,
    /// In a transaction that is known to have no end: nothing of it is told.
    Dead,
}

/// Follows a stream of events from a position.
#[derive(Debug)]
pub struct Decoder {
    position: Position,
    /// Where the event at hand begins.
    at: FileOffset,
    /// Its size in bytes.
    size: u32,
    state: State,
    transaction: Transaction,
    /// The last complete one, while another is read.
    previous: Transaction,
    /// Transactions that are known to have no end.
    dead: Vec<DeadTransaction>,
    checksum: Checksum,
    /// The version of the server that wrote the file; empty before the first format description.
    server_version: String,
    /// What follows from it.
    layout: Layout,
    /// The statement of the transaction at hand is only a part of an ALTER of MariaDB: it changes nothing by itself.
    is_part_of_alter: bool,
    /// The compressed transaction whose events are being read.
    payload: Option<Payload>,
    /// The fragment of rows that comes next.
    fragments: Expected,
    /// Events of unknown types that the server marks as ignorable.
    ignored: u64,
}

impl Decoder {
    /// A decoder for a stream that was opened at `position`.
    #[must_use]
    pub fn new(position: Position) -> Self {
        let at = position.at().clone();
        Self {
            position,
            at,
            size: 0,
            state: State::Outside,
            transaction: Transaction::default(),
            previous: Transaction::default(),
            dead: Vec::new(),
            checksum: Checksum::Unknown,
            server_version: String::new(),
            layout: Layout::of(b""),
            is_part_of_alter: false,
            payload: None,
            fragments: Expected::First,
            ignored: 0,
        }
    }

    /// Drops these transactions: each was found to have no end, as the server crashed while it wrote it, and rolled
    /// it back when it started anew.
    #[must_use]
    pub fn without(mut self, dead: Vec<DeadTransaction>) -> Self {
        self.dead = dead;
        self
    }

    /// The place after the last complete source transaction.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The version of the server that wrote the file, such as `8.0.31`; empty before the first format description.
    #[must_use]
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// Where the event that was decoded last begins.
    #[must_use]
    pub fn at(&self) -> &FileOffset {
        &self.at
    }

    /// Where the event that was decoded last ends.
    #[must_use]
    pub fn end(&self) -> FileOffset {
        FileOffset {
            file: self.at.file.clone(),
            offset: self.at.offset.saturating_add(u64::from(self.size)),
        }
    }

    /// The source transaction that is being read, or was read last.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The last source transaction that was read to its end; its `first` is `None` if there was none.
    #[must_use]
    pub fn last_complete(&self) -> &Transaction {
        match self.state {
            State::Outside => &self.transaction,
            State::Announced | State::Inside | State::Dead => &self.previous,
        }
    }

    /// How many events of unknown types, which the server marks as such that may be passed over, came since this was asked.
    pub fn take_ignored(&mut self) -> u64 {
        std::mem::take(&mut self.ignored)
    }

    /// True inside of a transaction that is dropped.
    #[must_use]
    pub fn is_dropping(&self) -> bool {
        self.state == State::Dead
    }

    /// True between the first event of a source transaction and its end.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        match self.state {
            State::Announced | State::Inside => true,
            State::Outside | State::Dead => false,
        }
    }

    /// Decodes the next event, given whole.
    ///
    /// # Errors
    /// A [`DecodeError`] with the event's place, if the event is damaged, unknown, or out of order. The decoder
    /// is not to be used after it.
    pub fn event<'a>(&mut self, bytes: &'a [u8]) -> Result<(EventHeader, Item<'a>), DecodeError> {
        let mut input = Input::new(bytes);
        let header = EventHeader::read(&mut input).map_err(|Truncated| {
            self.error(DecodeErrorKind::Length {
                said: 0,
                is: bytes.len(),
            })
        })?;
        if usize::try_from(header.size) != Ok(bytes.len()) {
            let said = header.size;
            return Err(self.error(DecodeErrorKind::Length {
                said,
                is: bytes.len(),
            }));
        }
        self.unpack(&header).map_err(|kind| self.error(kind))?;
        let end = self.locate(&header);
        let body = self.verified_body(&header, bytes)?;
        let item = self
            .item(&header, body, &end)
            .map_err(|kind| self.error(kind))?;
        self.settle(&header, end);
        Ok((header, item))
    }

    /// Takes note of an event of which only the header was kept: see [`Joined::Skipped`].
    ///
    /// # Errors
    /// A [`DecodeError`] if it is out of order.
    pub fn skipped(&mut self, header: &EventHeader) -> Result<(), DecodeError> {
        self.unpack(header).map_err(|kind| self.error(kind))?;
        let end = self.locate(header);
        if header.event_type == EventType::PartialRows {
            self.fragments = Expected::Rest;
        }
        self.settle(header, end);
        Ok(())
    }

    /// Takes note of a compressed transaction, whose events follow, and of its checksum, before its last event.
    ///
    /// # Errors
    /// A [`DecodeError`] if it is out of order, or damaged.
    pub fn payload(&mut self, mark: &PayloadMark) -> Result<(), DecodeError> {
        match *mark {
            PayloadMark::Begins {
                header,
                size,
                trailer,
            } => {
                self.unpack(&header).map_err(|kind| self.error(kind))?;
                let end = self.locate(&header);
                if trailer != self.checksum.len() {
                    return Err(self.error(DecodeErrorKind::CompressedTransaction));
                }
                self.payload = Some(Payload::new(end, size));
            }
            PayloadMark::Arrived { crc32, stored } => {
                if self.checksum == Checksum::Crc32 && crc32 != stored {
                    return Err(self.error(DecodeErrorKind::Checksum));
                }
            }
        }
        Ok(())
    }

    /// Outside of a transaction each event in the file moves the place from which one can resume.
    fn settle(&mut self, header: &EventHeader, end: FileOffset) {
        let is_in_file = !header.is_artificial()
            && header.event_type != EventType::Heartbeat
            && header.event_type != EventType::Rotate;
        if self.state == State::Outside && is_in_file && header.end != 0 {
            self.position.observe(end);
        }
    }

    /// An error at the event at hand, found outside of the decoder.
    #[must_use]
    pub fn failed(&self, kind: DecodeErrorKind) -> DecodeError {
        self.error(kind)
    }

    fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError {
            at: self.at.clone(),
            kind,
        }
    }

    fn item<'a>(
        &mut self,
        header: &EventHeader,
        body: &'a [u8],
        end: &FileOffset,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        let body = Input::new(body);
        if self.state == State::Dead {
            return self.dead(header, body);
        }
        let is_missing = matches!(self.fragments, Expected::Next { .. });
        // A new run of the server may follow the ruins of a crash.
        let is_between = matches!(
            header.event_type,
            EventType::Heartbeat | EventType::FormatDescription
        ) || header.is_artificial();
        if is_missing && header.event_type != EventType::PartialRows && !is_between {
            return Err(DecodeErrorKind::Fragments);
        }
        match header.event_type {
            EventType::Gtid | EventType::AnonymousGtid => self.gtid(header, body),
            EventType::TaggedGtid => self.tagged_gtid(header, body),
            EventType::MariadbGtid => self.mariadb_gtid(header, body),
            EventType::Query => self.query(header, body, end),
            EventType::CompressedQuery => self.query(header, body, end).map(compressed::statement),
            EventType::ExecuteLoadQuery => self.load_query(body),
            EventType::Xid => self
                .inside()
                .and_then(|()| self.finish(Ending::Commit, end)),
            EventType::XaPrepare => self.xa_prepare(body, end),
            EventType::TableMap => self
                .inside()
                .and(TableMapEvent::read(body, self.layout).map(Item::TableMap)),
            EventType::Rows(format) => self.rows(body, format),
            EventType::PartialRows => self.fragment(body),
            EventType::Rotate => self.rotate(header, body),
            EventType::FormatDescription => self.format_description(body),
            // The joiner inflates it: its events come one by one.
            EventType::TransactionPayload => Err(DecodeErrorKind::CompressedTransaction),
            EventType::Incident => Err(DecodeErrorKind::Incident),
            EventType::Unknown(number) => Err(DecodeErrorKind::UnknownEvent { number }),
            EventType::Stop => self.outside("STOP_EVENT").map(|()| Item::NewFile),
            // These prepare a statement in STATEMENT format, whose text follows and is judged then, or
            // carry no change.
            EventType::IntVar
            | EventType::Rand
            | EventType::UserVar
            | EventType::AppendBlock
            | EventType::DeleteFile
            | EventType::BeginLoadQuery
            | EventType::RowsQuery
            | EventType::Heartbeat
            | EventType::PreviousGtids
            | EventType::TransactionContext
            | EventType::ViewChange
            | EventType::AnnotateRows
            | EventType::BinlogCheckpoint
            | EventType::GtidList
            | EventType::StartEncryption => Ok(Item::Nothing),
            EventType::Ignorable(_) => {
                self.ignored += 1;
                Ok(Item::Nothing)
            }
        }
    }

    /// `XA PREPARE`, or of MySQL `XA COMMIT … ONE PHASE`, which is a commit. (MySQL source, `control_events.h`,
    /// `XA_prepare_event`) MariaDB logs that as any other transaction.
    fn xa_prepare<'a>(
        &mut self,
        mut body: Input<'a>,
        end: &FileOffset,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        self.inside()?;
        let is_one_phase = body.u8()? != 0;
        let ending = match is_one_phase && !self.layout.is_mariadb {
            true => Ending::Commit,
            false => Ending::Prepared,
        };
        self.finish(ending, end)
    }

    fn inside(&self) -> Result<(), DecodeErrorKind> {
        match self.state {
            State::Inside => Ok(()),
            State::Outside | State::Announced | State::Dead => {
                Err(DecodeErrorKind::RowsOutsideTransaction)
            }
        }
    }

    /// The transaction that begins with the event at hand, in the state that follows.
    fn begin(&mut self, transaction: Transaction, next: State) {
        let is_it = |dead: &DeadTransaction| {
            dead.first == self.at && dead.commit_time_us == transaction.commit_time_us
        };
        let is_dead = self.dead.iter().any(is_it);
        self.state = if is_dead { State::Dead } else { next };
        let last = std::mem::replace(&mut self.transaction, transaction);
        if last.first.is_some() {
            self.previous = last;
        }
    }

    fn outside(&self, event: &'static str) -> Result<(), DecodeErrorKind> {
        match self.state {
            State::Outside => Ok(()),
            State::Announced | State::Inside | State::Dead => {
                Err(DecodeErrorKind::UnfinishedTransaction { event })
            }
        }
    }

    fn rows<'a>(&self, body: Input<'a>, format: RowsFormat) -> Result<Item<'a>, DecodeErrorKind> {
        self.inside()?;
        let event = RowsEvent::read(body, format)?;
        Ok(match format.is_compressed {
            true => Item::CompressedRows(CompressedRows(event)),
            false => Item::Rows(event),
        })
    }

    fn fragment<'a>(&mut self, body: Input<'a>) -> Result<Item<'a>, DecodeErrorKind> {
        self.inside()?;
        let fragment = RowsFragment::read(body)?;
        let is_passed_over = self.fragments == Expected::Rest && fragment.sequence > 1;
        let next = self.fragments.after(&fragment);
        self.fragments = next.ok_or(DecodeErrorKind::Fragments)?;
        Ok(match is_passed_over {
            true => Item::Nothing,
            false => Item::RowsFragment(fragment),
        })
    }

    fn query<'a>(
        &mut self,
        header: &EventHeader,
        mut body: Input<'a>,
        end: &FileOffset,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        let thread_id = body.u32()?;
        let _seconds = body.u32()?;
        let database_len = usize::from(body.u8()?);
        let _error_code = body.u16()?;
        let status_len = usize::from(body.u16()?);
        let status = body.take(status_len)?;
        let database = body.take(database_len)?;
        body.u8()?;
        let text = body.rest();
        if self.state != State::Inside {
            self.begin_unannounced(header);
            self.transaction.thread_id = Some(thread_id);
        }
        match (self.state, text) {
            (State::Dead, _) => Ok(Item::Nothing),
            (State::Inside, b"COMMIT") => self.finish(Ending::Commit, end),
            (State::Inside, b"ROLLBACK") => self.finish(Ending::Rollback, end),
            (State::Inside, b"BEGIN") => self.outside("BEGIN").map(|()| Item::Nothing),
            (State::Inside, _) if text.starts_with(XA_START) => {
                self.outside("XA START").map(|()| Item::Nothing)
            }
            (State::Inside, _) => Ok(self.statement(status, database, text, false)),
            (State::Outside | State::Announced, b"BEGIN") => {
                self.state = State::Inside;
                Ok(Item::Nothing)
            }
            (State::Outside | State::Announced, _) if text.starts_with(XA_START) => {
                self.state = State::Inside;
                self.transaction.is_xa = true;
                Ok(Item::Nothing)
            }
            (State::Announced, _) if self.is_part_of_alter => self.finish(Ending::Commit, end),
            (State::Outside | State::Announced, _) => {
                self.finish(Ending::Commit, end)?;
                Ok(self.statement(status, database, text, true))
            }
        }
    }

    fn statement<'a>(
        &self,
        status: &[u8],
        database: &'a [u8],
        text: &'a [u8],
        ends_transaction: bool,
    ) -> Item<'a> {
        statement::statement(
            status,
            database,
            text,
            ends_transaction,
            self.layout.is_mariadb,
        )
    }

    /// Servers before 5.7 announce nothing where GTIDs are off.
    fn begin_unannounced(&mut self, header: &EventHeader) {
        if self.state == State::Outside {
            let transaction = Transaction {
                first: Some(self.at.clone()),
                commit_time_us: i64::from(header.timestamp) * 1_000_000,
                ..Transaction::default()
            };
            self.begin(transaction, State::Announced);
        }
    }

    /// LOAD DATA in STATEMENT format: the fixed part of a query event, with 13 bytes more.
    fn load_query<'a>(&mut self, mut body: Input<'a>) -> Result<Item<'a>, DecodeErrorKind> {
        body.take(8)?;
        let database_len = usize::from(body.u8()?);
        body.take(2)?;
        let status_len = usize::from(body.u16()?);
        body.take(13)?;
        let status = body.take(status_len)?;
        let database = body.take(database_len)?;
        body.u8()?;
        Ok(self.statement(status, database, body.rest(), false))
    }

    fn finish<'a>(
        &mut self,
        ending: Ending,
        end: &FileOffset,
    ) -> Result<Item<'a>, DecodeErrorKind> {
        // A compressed transaction ends with its last event.
        if self
            .payload
            .as_ref()
            .is_some_and(|payload| !payload.is_read())
        {
            return Err(DecodeErrorKind::CompressedTransaction);
        }
        self.state = State::Outside;
        self.is_part_of_alter = false;
        self.position
            .advance(end.clone(), self.transaction.gtid.as_ref());
        Ok(Item::End(ending))
    }
}

/// As the server itself writes the statement that opens an XA group.
const XA_START: &[u8] = b"XA START";

#[cfg(test)]
mod tests;
