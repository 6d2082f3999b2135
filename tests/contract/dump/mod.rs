//! What [`Dump`] promises.

mod describing;
mod opening;
mod reading;
mod surveying;
mod wire;

use binlog_bridge::source::{Dump, SourceError, Survey};
use binlog_bridge_core::decode::{Decoder, Ending, Item};
use binlog_bridge_core::position::{FileOffset, Gtid, GtidSet, MysqlGtid, Position};
use binlog_bridge_core::selection::TableName;
use tokio::time::timeout;

use self::wire::{EVENT_HEARTBEAT, Reader, WireEvent};
use crate::wait::PATIENCE;

/// A MySQL server that numbers transactions, alone for the test.
pub(crate) trait Source {
    type Dump: Dump;

    async fn new() -> Self;

    /// A dump with frequent heartbeats, that hands on most events whole.
    fn dump(&self) -> Self::Dump;

    /// A dump that hands on many events in parts.
    fn dump_in_parts(&self) -> Self::Dump;

    /// The table whose rows are changed. Its primary key is `id`.
    fn table(&self) -> TableName;

    /// Changes the columns of that table.
    async fn alter(&mut self);

    /// Executes a transaction that changes rows.
    async fn execute(&mut self);

    /// Begins another binlog file.
    async fn rotate(&mut self);

    /// Removes all binlog files but the one that is written to.
    async fn purge(&mut self);
}

/// A place in the binlog, named in both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    set: GtidSet,
    at: FileOffset,
}

impl Mark {
    fn of(survey: &Survey) -> Self {
        Self {
            set: survey.gtid_executed.parse().unwrap(),
            at: survey.current.clone(),
        }
    }

    fn by_gtid(&self) -> Position {
        Position::Gtid {
            gtid_set: self.set.clone(),
            at: self.at.clone(),
        }
    }

    fn by_file(&self) -> Position {
        Position::File {
            at: self.at.clone(),
        }
    }
}

/// A source transaction as the decoder sees it.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    gtid: Gtid,
    end: FileOffset,
}

/// The end of the binlog now.
async fn mark(dump: &mut impl Dump) -> Mark {
    Mark::of(&dump.survey().await.unwrap())
}

/// Executes so many transactions: the place before them, and after each.
async fn marks<S: Source>(source: &mut S, count: usize) -> Vec<Mark> {
    let mut dump = source.dump();
    let mut marks = vec![mark(&mut dump).await];
    for _ in 0..count {
        source.execute().await;
        marks.push(mark(&mut dump).await);
    }
    marks
}

/// The groups that lie between neighbouring marks. Some may hold none.
fn groups_between(marks: &[Mark]) -> Vec<Group> {
    let mut groups = Vec::new();
    for pair in marks.windows(2) {
        let new = pair[1].set.subtract(&pair[0].set);
        for (source, intervals) in new.sources() {
            assert!(intervals.len() == 1 && intervals[0].first == intervals[0].last);
            let (source, sequence) = (source.clone(), intervals[0].first);
            groups.push(Group {
                gtid: Gtid::Mysql(MysqlGtid { source, sequence }),
                end: pair[1].at.clone(),
            });
        }
    }
    groups
}

/// Opens the dump and reads up to a mark: all events but heartbeats, checked byte by byte.
async fn events(dump: &mut impl Dump, from: &Position, to: &Mark) -> Vec<WireEvent> {
    dump.open(from).await.unwrap();
    events_up_to(dump, to).await
}

/// Reads an open dump from its beginning.
async fn events_up_to(dump: &mut impl Dump, to: &Mark) -> Vec<WireEvent> {
    let mut reader = Reader::default();
    let reading = async {
        while reader.at() < to.at {
            reader.take(dump).await.unwrap();
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
    let mut events = reader.events;
    events.retain(|event| event.number != EVENT_HEARTBEAT);
    events
}

/// The groups that the decoder finds in events, and the place where it is then.
fn groups(events: &[WireEvent], from: &Position) -> (Vec<Group>, FileOffset) {
    let mut decoder = Decoder::new(from.clone());
    let mut groups = Vec::new();
    let mut has_begun = false;
    for event in events {
        let (_, item) = decoder.event(&event.bytes).unwrap();
        match item {
            Item::Begin => has_begun = true,
            Item::End(Ending::Commit) => {
                assert!(has_begun, "an end without a beginning");
                has_begun = false;
                groups.push(Group {
                    gtid: decoder.transaction().gtid.clone().unwrap(),
                    end: decoder.position().at().clone(),
                });
            }
            Item::End(ending) => panic!("{ending:?}"),
            Item::TableMap(_) | Item::Rows(_) => assert!(has_begun),
            Item::Statement(_)
            | Item::CompressedStatement(_)
            | Item::CompressedRows(_)
            | Item::RowsFragment(_) => {
                panic!("not executed")
            }
            Item::NewFile | Item::Nothing => {}
        }
    }
    assert!(!has_begun, "a group without an end");
    (groups, decoder.position().at().clone())
}

/// What a dump says that is opened where it cannot be: a server may say so a moment after.
async fn refusal(dump: &mut impl Dump, from: &Position) -> SourceError {
    let reading = async {
        dump.open(from).await?;
        let mut reader = Reader::default();
        loop {
            reader.take(dump).await?;
        }
    };
    let refused: Result<(), SourceError> = timeout(PATIENCE, reading).await.unwrap();
    refused.unwrap_err()
}
