//! A MySQL server in memory: its binlog files, what it says of itself, and what becomes of its binlog.

use std::sync::Arc;

use binlog_bridge::source::{Description, SourceError, Survey};
use binlog_bridge_core::position::{FileOffset, GtidSet, GtidSource, MysqlGtid, Position, Uuid};
use binlog_bridge_core::schema::{DescribedColumn, DescribedKey, DescribedTable, KeyPart, PRIMARY};
use binlog_bridge_core::selection::TableName;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::simulated::events::{self, Metadata, event};
use crate::simulated::random::Random;
use crate::simulated::table::{Change, Table};

/// Tables that there are from the beginning.
pub const TABLES: [&str; 2] = ["t", "u"];
const FIRST_TABLE_ID: u64 = 10;

pub struct Server {
    pub gtid_on: bool,
    pub files: Vec<File>,
    /// Index of the oldest file that is not purged.
    pub first: usize,
    /// All that was executed since the binlog was begun.
    pub history: Vec<SourceTransaction>,
    /// Source transactions that a crash left without an end: they never happened.
    pub dead: Vec<SourceTransaction>,
    /// The history that was followed, once the binlog was begun anew.
    pub past: Option<Past>,
    /// How often it was begun anew.
    resets: u32,
    pub tables: Vec<Table>,
    pub metadata: Metadata,
    pub(super) random: Random,
    /// How often `grow` executes a statement that changes a definition.
    pub ddl_per_mille: u64,
    pub(super) changes: i32,
    /// Where the source transaction at hand begins.
    pub(super) begun: FileOffset,
    pub(super) clock_us: u64,
    pub(super) next_table_id: u64,
    pub grown: Arc<Notify>,
    /// Counts starts and resets: connections live for one.
    pub run: u32,
    /// It takes no connection before.
    pub down_until: Option<Instant>,
    /// Its uuid.
    pub uuid: String,
    /// Options that leave statements out of the binlog.
    pub binlog_filters: String,
    /// What it refuses the next dumps with.
    pub refusals: Vec<String>,
    /// How often it was asked who it is.
    pub surveys: u32,
    /// Source transactions in `gtid_executed` while others wait for a replica that acknowledges them: they are in the
    /// binlog, and were sent.
    acknowledged: Option<usize>,
}

/// A history, and where its binlog ended.
pub struct Past {
    pub history: Vec<SourceTransaction>,
    pub end: FileOffset,
}

pub struct File {
    pub name: String,
    pub events: Vec<Event>,
}

pub struct Event {
    pub start: u64,
    pub bytes: Vec<u8>,
    /// The source transaction that it belongs to, from 0.
    pub transaction: Option<usize>,
}

pub struct SourceTransaction {
    /// The records that its rows become.
    pub changes: Vec<Change>,
    /// Where its first event begins.
    pub first: FileOffset,
    pub end: FileOffset,
    /// No two transactions have the same, not even of two histories.
    pub commit_time_us: i64,
    /// What consumers are told, if it is a statement that changes the schema.
    pub statement: Option<String>,
}

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    Clean,
    Crash,
    /// A crash that leaves the beginning of a source transaction in the binlog.
    CrashInGroup,
}

impl File {
    /// Where it ends.
    pub fn size(&self) -> u64 {
        let end = |event: &Event| event.start + u64::try_from(event.bytes.len()).unwrap();
        self.events.last().map_or(4, end)
    }
}

impl Server {
    pub fn new(random: Random, gtid_on: bool) -> Self {
        let mut server = Self {
            gtid_on,
            files: Vec::new(),
            first: 0,
            history: Vec::new(),
            dead: Vec::new(),
            past: None,
            resets: 0,
            tables: TABLES.map(Table::new).into(),
            metadata: Metadata::Full,
            random,
            ddl_per_mille: 0,
            changes: 0,
            begun: FileOffset::default(),
            clock_us: 1_700_000_000_000_000,
            next_table_id: FIRST_TABLE_ID,
            grown: Arc::new(Notify::new()),
            run: 0,
            down_until: None,
            uuid: events::UUID_TEXT.to_owned(),
            binlog_filters: String::new(),
            refusals: Vec::new(),
            surveys: 0,
            acknowledged: None,
        };
        server.new_file(1);
        server
    }

    fn new_file(&mut self, created: u32) {
        let name = format!("binlog.{:06}", self.files.len() + 1);
        self.files.push(File {
            name,
            events: Vec::new(),
        });
        let body = events::format_description(created);
        self.write(events::FORMAT_DESCRIPTION, &body, None);
        self.write(events::PREVIOUS_GTIDS, &[0; 8], None);
    }

    pub(super) fn write(&mut self, event_type: u8, body: &[u8], transaction: Option<usize>) {
        let start = self.current().offset;
        let bytes = event(event_type, Some(start), body);
        let file = self.files.last_mut().unwrap();
        file.events.push(Event {
            start,
            bytes,
            transaction,
        });
    }

    /// The end of the binlog.
    pub fn current(&self) -> FileOffset {
        let file = self.files.last().unwrap();
        FileOffset {
            file: file.name.clone(),
            offset: file.size(),
        }
    }

    /// FLUSH LOGS
    pub fn rotate(&mut self) {
        let next = format!("binlog.{:06}", self.files.len() + 1);
        self.write(events::ROTATE, &events::rotate(&next, 4), None);
        self.new_file(0);
        self.grown.notify_waiters();
    }

    /// With semi-synchronous replication: from now on no replica acknowledges anything, or all have done so.
    pub fn acknowledge(&mut self, is_on: bool) {
        self.acknowledged = (!is_on).then_some(self.history.len());
    }

    /// Only the first transactions are acknowledged.
    pub fn acknowledge_only(&mut self, count: usize) {
        self.acknowledged = Some(count);
    }

    /// Ends all connections, and begins another run of the server.
    pub fn restart(&mut self, how: Shutdown) {
        match how {
            Shutdown::Clean => self.write(events::STOP, &[], None),
            Shutdown::Crash => {}
            Shutdown::CrashInGroup => self.dead_group(),
        }
        self.acknowledged = None;
        self.new_file(1_700_000_000);
        self.next_table_id = FIRST_TABLE_ID;
        self.tables.iter_mut().for_each(|table| table.id = None);
        self.cut();
    }

    /// How a source transaction is called: by its number in the history, or by its place.
    pub fn name_of(&self, number: usize, source: &SourceTransaction) -> String {
        match self.gtid_on {
            true => gtid(number).to_string(),
            false => format!("file={},pos={}", source.first.file, source.first.offset),
        }
    }

    /// RESET MASTER: the binlog begins anew, with the same names and numbers.
    pub fn reset(&mut self) {
        let end = self.current();
        let history = std::mem::take(&mut self.history);
        self.past.get_or_insert(Past { history, end });
        self.resets += 1;
        self.acknowledged = None;
        self.files.clear();
        self.first = 0;
        self.new_file(0);
        self.cut();
    }

    /// Ends all connections.
    pub fn cut(&mut self) {
        self.run += 1;
        self.grown.notify_waiters();
    }

    /// PURGE BINARY LOGS TO: deletes the files before that index.
    pub fn purge(&mut self, first: usize) {
        self.first = self.first.max(first.min(self.files.len() - 1));
    }

    /// The number of source transactions in `gtid_executed`.
    fn committed(&self) -> usize {
        self.acknowledged.unwrap_or(self.history.len())
    }

    /// The GTIDs of those that are not, but in the binlog.
    fn owned(&self) -> String {
        let mut owned = GtidSet::default();
        (self.committed()..self.history.len()).for_each(|number| owned.add(&gtid(number)));
        owned.to_string()
    }

    /// The number of source transactions whose binlog is gone.
    pub fn purged(&self) -> usize {
        // By their ends: what a crash has left without one never happened.
        let oldest = &self.files[self.first].name;
        self.history
            .iter()
            .take_while(|source| source.end.file < *oldest)
            .count()
    }

    /// Whose binlog it is, and where it ends.
    pub fn end(&mut self) -> (String, Option<FileOffset>) {
        self.surveys += 1;
        (self.uuid.clone(), Some(self.current()))
    }

    pub fn survey(&mut self) -> Survey {
        self.surveys += 1;
        let set = |count: usize| match count {
            0 => String::new(),
            _ if !self.gtid_on => String::new(),
            1 => format!("{}:1", events::UUID_TEXT),
            last => format!("{}:1-{last}", events::UUID_TEXT),
        };
        let files = &self.files[self.first..];
        Survey {
            version: "8.0.31".to_owned(),
            server_uuid: self.uuid.clone(),
            binlog_filters: self.binlog_filters.clone(),
            log_bin: true,
            binlog_format: "ROW".to_owned(),
            binlog_row_image: "FULL".to_owned(),
            binlog_row_metadata: Some(format!("{:?}", self.metadata).to_uppercase()),
            gtid_on: self.gtid_on,
            gtid_owned: self.owned(),
            gtid_executed: set(self.committed()),
            gtid_purged: set(self.purged()),
            mariadb: None,
            lower_case_names: false,
            first_file: files[0].name.clone(),
            files: files
                .iter()
                .map(|file| (file.name.clone(), file.size()))
                .collect(),
            current: self.current(),
            databases: vec!["shop".to_owned()],
        }
    }

    /// What `information_schema` says of a table, and the end of the binlog.
    pub fn describe(&self, name: &TableName) -> Option<Description> {
        let is_it = |table: &&Table| name.database == "shop" && table.name == name.table;
        let table = self.tables.iter().find(is_it)?;
        let columns = table.columns.iter().map(|column| DescribedColumn {
            name: column.name.clone(),
            sql_type: "int".to_owned(),
            nullable: column.nullable,
            ..DescribedColumn::default()
        });
        Some(Description {
            table: DescribedTable {
                columns: columns.collect(),
                keys: vec![DescribedKey {
                    name: PRIMARY.to_owned(),
                    is_unique: true,
                    is_declared: false,
                    parts: vec![KeyPart {
                        column: Some(table.columns[0].name.clone()),
                        prefix: None,
                    }],
                }],
                collation: None,
                is_versioned: false,
            },
            server_uuid: self.uuid.clone(),
            end: self.current(),
        })
    }

    /// The history that is to be published: nothing of a binlog that was begun anew, until the task is moved there.
    pub fn published(&self) -> &[SourceTransaction] {
        self.past
            .as_ref()
            .map_or(&self.history, |past| &past.history)
    }

    /// How many source transactions of it lie before the position.
    ///
    /// # Errors
    /// If the position is none of this history.
    pub fn covered(&self, position: &Position) -> Result<usize, String> {
        let history = self.published();
        let at = position.at();
        if let Some(past) = &self.past
            && *at > past.end
        {
            return Err(format!("{at} is after the end of the history"));
        }
        let by_place = || history.iter().take_while(|one| one.end <= *at).count();
        let Some(set) = position.gtid_set() else {
            return Ok(by_place());
        };
        let count = (0..).find(|number| !set.contains(&gtid(*number))).unwrap();
        let mut expected = GtidSet::default();
        (0..count).for_each(|number| expected.add(&gtid(number)));
        if *set != expected || count > history.len() {
            let all = history.len();
            return Err(format!("{set} is no beginning of the {all} transactions"));
        }
        Ok(count)
    }

    /// File and event that a dump begins with.
    ///
    /// # Errors
    /// What a server answers to a position that it cannot serve.
    pub fn find(&self, position: &Position) -> Result<(usize, usize), SourceError> {
        match position.gtid_set() {
            Some(set) => {
                if (0..self.purged()).any(|number| !set.contains(&gtid(number))) {
                    return Err(refusal(
                        "Cannot replicate because the source purged required binary logs. Replicate the \
                         missing transactions from elsewhere, or provision a new replica from backup.",
                    ));
                }
                if set.contains(&gtid(self.history.len())) {
                    return Err(refusal(
                        "Replica has more GTIDs than the source has, using the source's SERVER_UUID.",
                    ));
                }
                Ok((self.file_for(set), 0))
            }
            None => self.find_offset(position.at()),
        }
    }

    fn find_offset(&self, at: &FileOffset) -> Result<(usize, usize), SourceError> {
        let file = (self.first..self.files.len()).find(|file| self.files[*file].name == at.file);
        let file = file.ok_or_else(|| {
            refusal("Could not find first log file name in binary log index file")
        })?;
        let events = &self.files[file].events;
        let size = self.files[file].size();
        if at.offset > size {
            return Err(refusal(
                "Client requested source to start replication from position > file size",
            ));
        }
        let event = if at.offset == size {
            Some(events.len())
        } else {
            events.iter().position(|event| event.start == at.offset)
        };
        // Every file begins with four bytes that are no event.
        let event = event.ok_or_else(|| {
            let name = &at.file;
            let offset = at.offset;
            let what = [
                "bogus data in log event",
                "binlog truncated in the middle of event; consider out of disk space on source",
                "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source",
            ][usize::try_from(offset % 3).unwrap()];
            refusal(&format!(
                "{what}; the first event '{name}' at {offset}, the last event read from \
                 './{name}' at 123, the last byte read from './{name}' at {offset}."
            ))
        })?;
        let first = if self.gtid_on {
            events::GTID
        } else {
            events::ANONYMOUS_GTID
        };
        let inside = events
            .get(event)
            .is_some_and(|event| event.transaction.is_some() && event.bytes[4] != first);
        // A position of another history may lie anywhere.
        let is_ours = self.resets == 0;
        assert!(
            !inside || !is_ours,
            "{at} is inside of a source transaction"
        );
        Ok((file, event))
    }

    fn file_for(&self, set: &GtidSet) -> usize {
        let wanted = |event: &Event| event.transaction.is_some_and(|n| !set.contains(&gtid(n)));
        let mut files = self.first..self.files.len();
        files
            .find(|file| self.files[*file].events.iter().any(wanted))
            .unwrap_or(self.files.len() - 1)
    }
}

/// The server's number for a dump that it does not begin.
pub(super) fn refusal(message: &str) -> SourceError {
    SourceError::Server {
        code: 1236,
        message: message.to_owned(),
    }
}

/// The GTID of a source transaction, given its number from 0.
pub fn gtid(number: usize) -> MysqlGtid {
    let source = GtidSource {
        uuid: Uuid(events::UUID),
        tag: None,
    };
    MysqlGtid {
        source,
        sequence: u64::try_from(number).unwrap() + 1,
    }
}
