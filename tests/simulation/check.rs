//! What must hold of the cluster, whatever happened: every row change exactly once and in order (I1, I2), each
//! checkpoint with exactly the rows before it (I3), whole source transactions (I4).

use std::collections::{BTreeMap, VecDeque};

use binlog_bridge_core::state::{Checkpoint, checkpoint_key};

use binlog_bridge_tests::simulated::broker::{Broker, Entry};
use binlog_bridge_tests::simulated::events::Row;
use binlog_bridge_tests::simulated::server::{Change, Server, TABLES};

/// Records of a topic's partitions.
type Published = BTreeMap<(usize, usize), VecDeque<Change>>;

/// What one committed Kafka transaction holds.
#[derive(Default)]
struct Committed {
    checkpoints: Vec<Checkpoint>,
    published: Published,
    ends: usize,
}

/// Checks everything that is committed, and returns how many source transactions it covers.
pub fn check(broker: &Broker, server: &Server, task: &str) -> Result<usize, String> {
    let mut keys = BTreeMap::new();
    let mut covered: Option<usize> = None;
    for (index, transaction) in collect(broker, task)? {
        let Some(last) = transaction.checkpoints.last() else {
            let rows: usize = transaction.published.values().map(VecDeque::len).sum();
            match rows + transaction.ends {
                0 => continue,
                _ => return Err(format!("transaction {index} has rows, but no checkpoint")),
            }
        };
        let end = server.covered(&last.position);
        let begin = covered.unwrap_or(end);
        if end < begin {
            return Err(format!(
                "transaction {index} goes back from {begin} to {end}"
            ));
        }
        compare(server, begin..end, transaction, &mut keys)
            .map_err(|why| format!("transaction {index}, source {begin}..{end}: {why}"))?;
        covered = Some(end);
    }
    Ok(covered.unwrap_or(0))
}

/// The committed transactions in the order of their commits.
fn collect(broker: &Broker, task: &str) -> Result<Vec<(usize, Committed)>, String> {
    let order: BTreeMap<usize, usize> = broker
        .committed
        .iter()
        .enumerate()
        .map(|(order, index)| (*index, order))
        .collect();
    let mut all: Vec<(usize, Committed)> = broker
        .committed
        .iter()
        .map(|index| (*index, Committed::default()))
        .collect();
    for (topic, description) in &broker.topics {
        for (partition, entries) in description.partitions.iter().enumerate() {
            let mut previous = 0;
            for entry in entries {
                let Entry::Record {
                    transaction,
                    key,
                    value,
                } = entry
                else {
                    continue;
                };
                let Some(order) = order.get(transaction) else {
                    continue;
                };
                if *order < previous {
                    return Err(format!(
                        "{topic}-{partition} is not in the order of the commits"
                    ));
                }
                previous = *order;
                let record = (key.as_deref(), value.as_deref());
                take(&mut all[*order].1, (task, topic, partition), record);
            }
        }
    }
    Ok(all)
}

fn take(
    into: &mut Committed,
    (task, topic, partition): (&str, &str, usize),
    (key, value): (Option<&[u8]>, Option<&[u8]>),
) {
    if topic == format!("binlog-bridge.{task}.state") {
        if key == Some(checkpoint_key().as_bytes()) {
            into.checkpoints
                .push(serde_json::from_slice(value.unwrap()).unwrap());
        }
    } else if topic == format!("{task}.transactions") {
        into.ends += 1;
    } else {
        let name = topic.rsplit('.').next().unwrap();
        let table = TABLES
            .iter()
            .position(|table| *table == name)
            .expect("a table's topic");
        let change = decode(table, value.unwrap());
        into.published
            .entry((table, partition))
            .or_default()
            .push_back(change);
    }
}

/// The front of an envelope: the images before and after.
fn decode(table: usize, value: &[u8]) -> Change {
    let mut rest = &value[5..];
    let before = image(&mut rest);
    let after = image(&mut rest);
    Change {
        table,
        before,
        after,
    }
}

fn image(rest: &mut &[u8]) -> Option<Row> {
    match long(rest) {
        0 => None,
        _ => Some((long(rest), long(rest))),
    }
}

/// A number in Avro's zigzag form.
fn long(rest: &mut &[u8]) -> i32 {
    let mut number = 0_u64;
    for shift in (0..).step_by(7) {
        let (byte, left) = rest.split_first().unwrap();
        *rest = left;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let sign = (number & 1).cast_signed();
    i32::try_from((number >> 1).cast_signed() ^ -sign).unwrap()
}

fn compare(
    server: &Server,
    sources: std::ops::Range<usize>,
    mut transaction: Committed,
    keys: &mut BTreeMap<(usize, i32), usize>,
) -> Result<(), String> {
    let sources = &server.history[sources];
    for change in sources.iter().flat_map(|source| &source.changes) {
        let key = change.after.or(change.before).unwrap().0;
        let fronts = transaction.published.iter().find(|((table, _), records)| {
            *table == change.table && records.front() == Some(change)
        });
        let Some((place, _)) = fronts else {
            return Err(format!("{change:?} is missing or out of order"));
        };
        let place = *place;
        let partition = *keys.entry((change.table, key)).or_insert(place.1);
        if partition != place.1 {
            return Err(format!(
                "{change:?} is in another partition than its key was"
            ));
        }
        transaction.published.get_mut(&place).unwrap().pop_front();
    }
    if let Some(extra) = transaction.published.values().find_map(VecDeque::front) {
        return Err(format!(
            "{extra:?} was published twice, or is not of these transactions"
        ));
    }
    let with_rows = sources
        .iter()
        .filter(|source| !source.changes.is_empty())
        .count();
    if transaction.ends != with_rows {
        return Err(format!(
            "{} END records for {with_rows} transactions",
            transaction.ends
        ));
    }
    Ok(())
}
