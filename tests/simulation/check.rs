//! What must hold of the cluster, whatever happened: every row change exactly once and in order (I1, I2), each
//! checkpoint and definition with exactly the rows that rely on it (I3), whole source transactions (I4), each row
//! by the definition at its position (I6).
//!
//! It looks at each Kafka transaction when the decision to commit it falls, and remembers only how far it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge_core::position::Position;
use binlog_bridge_core::state::checkpoint_key;
use serde_json::Value;

use crate::gaps::Asked;
use crate::published::{
    Event, Heartbeat, Reader, TransactionMark, heartbeat, key, schema_change, transaction_mark,
};
use binlog_bridge_tests::simulated::broker::Transaction;
use binlog_bridge_tests::simulated::registry::SimRegistry;
use binlog_bridge_tests::simulated::server::{Server, SourceTransaction};
use binlog_bridge_tests::simulated::table::{Change, Column, Columns, What};

/// Partitions of each table's topic.
const PARTITIONS: usize = 3;

/// How a source transaction may be split.
#[derive(Debug, Clone, Copy)]
pub struct SplitLimits {
    /// Bytes of a Kafka transaction.
    pub bytes: u64,
    /// Time that a Kafka transaction may be open.
    pub open: Duration,
    /// How much of it may have passed before the transaction was begun: only a process that is frozen waits.
    pub slack: Duration,
}

pub struct Checker {
    task: String,
    server: Arc<Mutex<Server>>,
    reader: Reader,
    pub split_limits: SplitLimits,
    /// The last checkpoint.
    pub(crate) checkpoint: Value,
    /// Source transactions that are covered by it.
    pub(crate) covered: Option<usize>,
    /// Of the source transaction after them: how many records of each table are published.
    pub(crate) progress: BTreeMap<usize, usize>,
    /// Parts of it that are published.
    pub(crate) parts: i64,
    /// The partition of each key.
    places: BTreeMap<(usize, i32), usize>,
    /// The last offset of each partition.
    offsets: BTreeMap<(String, usize), i64>,
    /// The definition of each table that is committed.
    definitions: BTreeMap<String, Columns>,
    /// Tables of which anything was published.
    known: BTreeSet<usize>,
    pub commits: u64,
    pub splits: u64,
    /// Heartbeats that were published.
    pub heartbeats: i64,
    /// What the last command was asked for.
    pub asked: Option<Asked>,
    /// Moves to another place.
    pub gaps: u64,
    /// Source transactions that they left out.
    pub left_out: u64,
    /// The binlog file that the last checkpoint lies in.
    pub file: String,
    /// The last checkpoint names a transaction by which its history can be told from another.
    pub is_recognisable: bool,
    /// A part of a source transaction was published that never happened, as its server crashed in it.
    pub phantom: bool,
    /// What did not hold first.
    pub violation: Option<String>,
}

/// What one committed Kafka transaction holds.
#[derive(Default)]
struct Committed {
    checkpoints: Vec<Value>,
    /// Records of tables' topics, by table and partition.
    published: BTreeMap<(usize, usize), VecDeque<Published>>,
    marks: VecDeque<TransactionMark>,
    /// Statements that changed the schema.
    statements: VecDeque<String>,
    heartbeats: Vec<Heartbeat>,
    definitions: BTreeMap<String, Vec<Columns>>,
    bytes: u64,
}

struct Published {
    key: Option<i32>,
    event: Event,
}

impl Checker {
    pub fn new(
        task: &str,
        server: Arc<Mutex<Server>>,
        registry: SimRegistry,
        split_limits: SplitLimits,
    ) -> Self {
        Self {
            task: task.to_owned(),
            server,
            reader: Reader::new(registry),
            split_limits,
            checkpoint: Value::Null,
            covered: None,
            progress: BTreeMap::new(),
            parts: 0,
            places: BTreeMap::new(),
            offsets: BTreeMap::new(),
            definitions: BTreeMap::new(),
            known: BTreeSet::new(),
            commits: 0,
            splits: 0,
            heartbeats: 0,
            asked: None,
            gaps: 0,
            left_out: 0,
            file: String::new(),
            is_recognisable: false,
            phantom: false,
            violation: None,
        }
    }

    /// Source transactions that are covered by the last checkpoint.
    pub fn covered(&self) -> usize {
        self.covered.unwrap_or(0)
    }

    /// The same, once there is a checkpoint.
    pub fn begun(&self) -> Option<usize> {
        self.covered
    }

    /// Looks at the next Kafka transaction that is committed.
    pub fn committed(&mut self, index: usize, transaction: &Transaction) {
        self.commits += 1;
        let result = self.look_at(transaction);
        if let Err(why) = result {
            self.violation
                .get_or_insert(format!("transaction {index}: {why}"));
        }
    }

    fn look_at(&mut self, transaction: &Transaction) -> Result<(), String> {
        let mut found = self.collect(transaction)?;
        let Some(last) = found.checkpoints.last() else {
            let is_empty = found.marks.is_empty()
                && found.statements.is_empty()
                && found.heartbeats.is_empty();
            return match (found.published.is_empty(), is_empty) {
                (true, true) => self.define(found),
                _ => Err("it has rows, but no checkpoint".to_owned()),
            };
        };
        let position: Position =
            serde_json::from_value(last["position"].clone()).map_err(|error| error.to_string())?;
        let last = last.clone();
        self.beat(&found, &last, &position)?;
        let server = Arc::clone(&self.server);
        let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
        if found.marks.front().is_some_and(|mark| mark.status == "GAP") {
            let mark = found.marks.pop_front().ok_or("no mark")?;
            self.gap(&mut server, &mark, &last)
                .map_err(|why| format!("the GAP to {}: {why}", mark.id))?;
        }
        self.file.clone_from(&position.at().file);
        self.is_recognisable = !last["lineage"]["last"].is_null();
        let end = server.covered(&position)?;
        let begin = self.covered.unwrap_or(end);
        if end < begin {
            return Err(format!("it goes back from {begin} to {end}"));
        }
        let history = server.published();
        for (number, source) in (begin..end).zip(&history[begin..end]) {
            self.whole(&server, number, source, &mut found)
                .map_err(|why| format!("source transaction {number}: {why}"))?;
        }
        let split = &last["split"];
        // A heartbeat may come before the source transaction is read again that is split.
        if !split.is_null() && *split != self.checkpoint["split"] {
            self.part(&server, end, split, &mut found, transaction)
                .map_err(|why| format!("a part of source transaction {end}: {why}"))?;
        }
        self.covered = Some(end);
        self.checkpoint = last;
        self.nothing_left(&found)?;
        self.define(found)
    }

    /// One at most, which is the next, and tells of the place of its checkpoint.
    fn beat(
        &mut self,
        found: &Committed,
        checkpoint: &Value,
        position: &Position,
    ) -> Result<(), String> {
        self.heartbeats +=
            i64::try_from(found.heartbeats.len()).map_err(|error| error.to_string())?;
        if checkpoint["heartbeats"].as_i64().unwrap_or(0) != self.heartbeats {
            return Err(format!(
                "the checkpoint is not after heartbeat {}",
                self.heartbeats
            ));
        }
        let expected = Heartbeat {
            position: position.clone(),
            number: self.heartbeats,
        };
        match &*found.heartbeats {
            [] => Ok(()),
            [found] if *found == expected => Ok(()),
            found => Err(format!("{found:?} instead of {expected:?}")),
        }
    }

    fn nothing_left(&self, found: &Committed) -> Result<(), String> {
        if let Some(extra) = found.published.values().find_map(VecDeque::front) {
            let event = &extra.event;
            return Err(format!(
                "{event:?} was published twice, or is not of its source transactions"
            ));
        }
        if let Some(extra) = found.statements.front() {
            return Err(format!("{extra} was told twice, or has not run"));
        }
        match found.marks.front() {
            Some(mark) => Err(format!("{mark:?} belongs to nothing")),
            None => Ok(()),
        }
    }

    fn define(&mut self, found: Committed) -> Result<(), String> {
        for (table, mut versions) in found.definitions {
            let last = versions.pop().ok_or("no definition")?;
            self.definitions.insert(table, last);
        }
        Ok(())
    }

    fn collect(&mut self, transaction: &Transaction) -> Result<Committed, String> {
        let mut into = Committed::default();
        for record in &transaction.records {
            let place = (record.topic.clone(), record.partition);
            let last = self.offsets.insert(place, record.offset);
            if last.is_some_and(|last| last >= record.offset) {
                let topic = &record.topic;
                return Err(format!("{topic} is not in the order of the commits"));
            }
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
            into.bytes += u64::try_from(bytes).map_err(|error| error.to_string())?;
            self.take(&mut into, &record.topic, record.partition, key, value)?;
        }
        Ok(into)
    }

    fn take(
        &mut self,
        into: &mut Committed,
        topic: &str,
        partition: usize,
        record_key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), String> {
        if *topic == format!("binlog-bridge.{}.state", self.task) {
            return take_state(into, record_key, value);
        }
        let value = value.ok_or("a record without a value")?;
        if *topic == format!("{}.transactions", self.task) {
            into.marks.push_back(transaction_mark(value)?);
            return Ok(());
        }
        if *topic == format!("{}.schema-changes", self.task) {
            into.statements.push_back(schema_change(value)?);
            return Ok(());
        }
        if *topic == format!("{}.heartbeats", self.task) {
            into.heartbeats.push(heartbeat(value)?);
            return Ok(());
        }
        let name = topic.rsplit('.').next().unwrap_or_default();
        let table = {
            let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
            server.tables.iter().position(|table| table.name == name)
        };
        let table = table.ok_or_else(|| format!("topic {topic} is of no table"))?;
        let event = self.reader.event(value)?;
        if event.table != name {
            return Err(format!("topic {topic} holds a row of {}", event.table));
        }
        let published = Published {
            key: record_key.map(key).transpose()?,
            event,
        };
        into.published
            .entry((table, partition))
            .or_default()
            .push_back(published);
        Ok(())
    }

    /// A source transaction, or what is left of it.
    fn whole(
        &mut self,
        server: &Server,
        number: usize,
        source: &SourceTransaction,
        found: &mut Committed,
    ) -> Result<(), String> {
        if let Some(expected) = &source.statement {
            let found = found.statements.pop_front();
            if found.as_ref() != Some(expected) {
                return Err(format!("{found:?} was told instead of {expected}"));
            }
        }
        let done = std::mem::take(&mut self.progress);
        let mut count = 0;
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for change in &source.changes {
            if change.what == What::Truncate && !self.known.contains(&change.table) {
                continue;
            }
            count += 1;
            let nth = seen.entry(change.table).or_default();
            *nth += 1;
            if *nth > done.get(&change.table).copied().unwrap_or(0) {
                self.consume(change, source, found)?;
            }
        }
        let parts = std::mem::take(&mut self.parts);
        if count > 0 || parts > 0 {
            let mark = found.marks.pop_front().ok_or("its END record is missing")?;
            let expected = TransactionMark {
                status: "END".to_owned(),
                id: server.name_of(number, source),
                event_count: Some(count),
                part: (parts > 0).then_some(parts + 1),
                gap: None,
            };
            if mark != expected {
                return Err(format!("{mark:?} instead of {expected:?}"));
            }
        }
        Ok(())
    }

    /// The next part of a source transaction that is split: of each table exactly its next records.
    fn part(
        &mut self,
        server: &Server,
        number: usize,
        split: &Value,
        found: &mut Committed,
        transaction: &Transaction,
    ) -> Result<(), String> {
        let time = found.published.values().flatten().next();
        let time = time.and_then(|published| published.event.ts_us);
        let dead = server
            .dead
            .iter()
            .find(|dead| Some(dead.commit_time_us) == time);
        self.phantom |= dead.is_some();
        let source = dead.or_else(|| server.published().get(number));
        let source = source.ok_or("nothing is there to be split")?;
        let counts: Vec<(usize, usize)> = found
            .published
            .iter()
            .map(|((table, _), all)| (*table, all.len()))
            .collect();
        let mut sums: BTreeMap<usize, usize> = BTreeMap::new();
        counts
            .iter()
            .for_each(|(table, count)| *sums.entry(*table).or_default() += count);
        for (table, count) in sums.into_iter().filter(|(_, count)| *count > 0) {
            let done = self.progress.get(&table).copied().unwrap_or(0);
            let of_table = source.changes.iter().filter(|one| one.table == table);
            for change in of_table.skip(done).take(count) {
                self.consume(change, source, found)?;
            }
            self.progress.insert(table, done + count);
        }
        self.parts += 1;
        self.splits += 1;
        self.split_mark(server.name_of(number, source), found)?;
        self.compare_split(server, source, split)?;
        self.was_due(found, transaction)
    }

    fn split_mark(&self, id: String, found: &mut Committed) -> Result<(), String> {
        let records: usize = self.progress.values().sum();
        let expected = TransactionMark {
            status: "SPLIT".to_owned(),
            id,
            event_count: i64::try_from(records).ok(),
            part: Some(self.parts),
            gap: None,
        };
        match found.marks.pop_front() {
            Some(mark) if mark == expected => Ok(()),
            other => Err(format!("{other:?} instead of {expected:?}")),
        }
    }

    /// A Kafka transaction ends in the middle of a source transaction only where it must.
    fn was_due(&self, found: &Committed, transaction: &Transaction) -> Result<(), String> {
        let decided = transaction.decided.unwrap_or(transaction.asked_for);
        let open = decided.duration_since(transaction.asked_for);
        let limits = self.split_limits;
        if found.bytes < limits.bytes && open + limits.slack < limits.open {
            let bytes = found.bytes;
            return Err(format!("it was split after {bytes} bytes and {open:?}"));
        }
        Ok(())
    }

    fn compare_split(
        &self,
        server: &Server,
        source: &SourceTransaction,
        split: &Value,
    ) -> Result<(), String> {
        let tables = split["tables"].as_array().ok_or("no tables in the split")?;
        let mut said: BTreeMap<usize, u64> = BTreeMap::new();
        for table in tables {
            let name = table["table"].as_str().unwrap_or_default();
            let index = server.tables.iter().position(|table| table.name == name);
            let rows = table["rows"].as_u64().unwrap_or_default();
            said.insert(index.ok_or("a table that is not there")?, rows);
        }
        let mut published: BTreeMap<usize, u64> = BTreeMap::new();
        for (table, records) in &self.progress {
            let mut of_table = source.changes.iter().filter(|one| one.table == *table);
            let rows = of_table
                .by_ref()
                .take(*records)
                .filter(|one| !one.is_rest)
                .count();
            published.insert(
                *table,
                u64::try_from(rows).map_err(|error| error.to_string())?,
            );
            if of_table.next().is_some_and(|next| next.is_rest) {
                return Err("it was split within a row".to_owned());
            }
        }
        if said != published || split["parts"].as_i64() != Some(self.parts) {
            let count = self.parts;
            return Err(format!(
                "the checkpoint says {split}, but {count} parts hold {published:?}"
            ));
        }
        Ok(())
    }

    /// Takes the records of a change away from those that were published.
    fn consume(
        &mut self,
        change: &Change,
        source: &SourceTransaction,
        found: &mut Committed,
    ) -> Result<(), String> {
        self.known.insert(change.table);
        let What::Row { before, after } = &change.what else {
            for partition in 0..PARTITIONS {
                self.take_front(change, source, found, partition, None)?;
            }
            return Ok(());
        };
        let image = after.as_ref().or(before.as_ref()).ok_or("no image")?;
        let key = image[0].ok_or("no key")?;
        let place = (change.table, key);
        let fits = |records: &VecDeque<Published>| {
            records.front().is_some_and(|front| {
                front.key == Some(key)
                    && (&front.event.before, &front.event.after) == (before, after)
            })
        };
        let partition = (0..PARTITIONS).find(|partition| {
            let records = found.published.get(&(change.table, *partition));
            records.is_some_and(fits)
        });
        let partition = partition.ok_or_else(|| {
            let what = &change.what;
            let table = change.table;
            format!("{what:?} of table {table} is missing or out of order")
        })?;
        let known = *self.places.entry(place).or_insert(partition);
        if known != partition {
            return Err(format!(
                "key {key} was in partition {known}, is in {partition}"
            ));
        }
        self.take_front(change, source, found, partition, Some(key))
    }

    fn take_front(
        &mut self,
        change: &Change,
        source: &SourceTransaction,
        found: &mut Committed,
        partition: usize,
        key: Option<i32>,
    ) -> Result<(), String> {
        let records = found.published.get_mut(&(change.table, partition));
        let front = records.and_then(VecDeque::pop_front);
        let front = front.ok_or_else(|| format!("{:?} is missing", change.what))?;
        if found
            .published
            .get(&(change.table, partition))
            .is_some_and(VecDeque::is_empty)
        {
            found.published.remove(&(change.table, partition));
        }
        if front.key != key {
            return Err(format!("key {:?} instead of {key:?}", front.key));
        }
        let event = &front.event;
        if key.is_none() && (event.before.is_some() || event.after.is_some()) {
            return Err(format!("{event:?} instead of a truncation"));
        }
        if event.ts_us != Some(source.commit_time_us) {
            return Err(format!("{event:?} is of another source transaction"));
        }
        // A truncation tells nothing of columns.
        if key.is_some() && event.columns != change.columns {
            let (found, expected) = (&event.columns, &change.columns);
            return Err(format!("columns {found:?} instead of {expected:?}"));
        }
        self.is_defined(&event.table, &event.columns, found)
    }

    /// The definition that a row relies on is committed before it, or with it.
    fn is_defined(&self, table: &str, columns: &Columns, found: &Committed) -> Result<(), String> {
        let new = found.definitions.get(table).into_iter().flatten();
        let mut all = new.chain(self.definitions.get(table));
        match all.any(|known| known == columns) {
            true => Ok(()),
            false => Err(format!("{columns:?} of table {table} is not in the state")),
        }
    }
}

fn take_state(
    into: &mut Committed,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(), String> {
    let wrong = |error: serde_json::Error| error.to_string();
    let (Some(key), Some(value)) = (key, value) else {
        return Ok(());
    };
    if key == checkpoint_key().as_bytes() {
        into.checkpoints
            .push(serde_json::from_slice(value).map_err(wrong)?);
        return Ok(());
    }
    let parts: Vec<String> = serde_json::from_slice(key).map_err(wrong)?;
    if let [kind, _, table] = parts.as_slice()
        && kind == "table"
    {
        let state: Value = serde_json::from_slice(value).map_err(wrong)?;
        let columns = state["definition"]["columns"].as_array();
        let columns: Columns = columns
            .ok_or("a table without columns")?
            .iter()
            .map(|column| Column {
                name: column["name"].as_str().unwrap_or_default().to_owned(),
                nullable: column["nullable"].as_bool().unwrap_or_default(),
            })
            .collect();
        into.definitions
            .entry(table.clone())
            .or_default()
            .push(columns);
    }
    Ok(())
}
