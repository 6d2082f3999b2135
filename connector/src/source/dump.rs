//! The seam between the pipeline and the source server.

use std::future::Future;

use binlog_bridge_core::event::EventBlock;
use binlog_bridge_core::position::{FileOffset, GtidPos, MariadbGtid, Position};
use binlog_bridge_core::schema::DescribedTable;
use binlog_bridge_core::selection::TableName;

use super::SourceError;

/// A server's binlog, from a position on.
pub trait Dump: Send + 'static {
    /// What the server says of itself now. Works whether or not the dump is open.
    fn survey(&mut self) -> impl Future<Output = Result<Survey, SourceError>> + Send;

    /// The server's uuid, and where its binlog ends; `None` if it writes none. Made to be asked often.
    fn end(
        &mut self,
    ) -> impl Future<Output = Result<(String, Option<FileOffset>), SourceError>> + Send;

    /// The tables of databases, without views. Works whether or not the dump is open.
    fn tables(
        &mut self,
        databases: &[String],
    ) -> impl Future<Output = Result<Vec<TableName>, SourceError>> + Send;

    /// A table as it is now, and where the binlog ended after that was asked; `None` if there is no such table. Works
    /// whether or not the dump is open.
    fn describe(
        &mut self,
        table: &TableName,
    ) -> impl Future<Output = Result<Option<Description>, SourceError>> + Send;

    /// Opens the dump at a position, and returns the uuid of the server that it is of; one that is open is dropped.
    fn open(
        &mut self,
        position: &Position,
    ) -> impl Future<Output = Result<String, SourceError>> + Send;

    /// Waits for events and appends all that have arrived, up to a limit, to the block.
    ///
    /// Cancel-safe: a future that is dropped has taken nothing.
    ///
    /// # Errors
    /// If the connection broke, the server refused the position, or nothing came for too long: heartbeats
    /// make a silent connection a broken one.
    fn next(
        &mut self,
        block: &mut EventBlock,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// Refuses an answer of another server than expected: a name may lead elsewhere at any time.
///
/// # Errors
/// [`SourceError::OtherServer`]
pub fn check_uuid(expected: &str, found: &str) -> Result<(), SourceError> {
    if expected == found {
        return Ok(());
    }
    Err(SourceError::OtherServer {
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

/// What a server says of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its definition.
    pub table: DescribedTable,
    /// The uuid of the server that says it.
    pub server_uuid: String,
    /// An end of the binlog: whatever changed the table before the definition was read lies before it.
    pub end: FileOffset,
}

/// Places in the binlog of a MariaDB server, by GTIDs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MariadbPlaces {
    /// The beginning of its oldest binlog file.
    pub first: GtidPos,
    /// The end of its binlog.
    pub current: GtidPos,
    /// The last transaction of each server in each domain, its binlog of before included (`gtid_binlog_state`).
    pub state: Vec<MariadbGtid>,
}

/// A server's identity and settings, as far as a stream depends on them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The server's version.
    pub version: String,
    /// Its uuid; of servers without one, what tells it from others.
    pub server_uuid: String,
    /// True if it writes a binlog.
    pub log_bin: bool,
    /// `binlog_format`.
    pub binlog_format: String,
    /// `binlog_row_image`.
    pub binlog_row_image: String,
    /// `binlog_row_metadata`; `None` on servers that do not have it.
    pub binlog_row_metadata: Option<String>,
    /// True if it numbers every transaction (`gtid_mode=ON`).
    pub gtid_on: bool,
    /// Transactions that it is executing, as a GTID set: they may be in the binlog already. Asked before the next.
    pub gtid_owned: String,
    /// All transactions it has executed, as a GTID set.
    pub gtid_executed: String,
    /// Those of them whose binlog is gone.
    pub gtid_purged: String,
    /// MariaDB's places by GTIDs, which it has always.
    pub mariadb: Option<MariadbPlaces>,
    /// True if it writes all names in lower case into its binlog (`lower_case_table_names` 1 and 2).
    pub lower_case_names: bool,
    /// The options that leave statements out of its binlog (`binlog_do_db`, `binlog_ignore_db`); empty without them.
    pub binlog_filters: String,
    /// Its oldest binlog file.
    pub first_file: String,
    /// All its binlog files with their sizes in bytes, oldest first.
    pub files: Vec<(String, u64)>,
    /// The end of its binlog.
    pub current: FileOffset,
    /// The databases that the account can see.
    pub databases: Vec<String>,
}
