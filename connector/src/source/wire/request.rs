//! The commands that make a connection a dump.
//!
//! Formats: MySQL source, "Replication Protocol" (`page_protocol_replication`), `sql/rpl_binlog_sender.cc` and
//! `sql/rpl_gtid_set.cc` (`Gtid_set::encode`); MariaDB source, `sql/sql_repl.cc`.

use binlog_bridge_core::position::{GtidSet, Interval};

const COM_BINLOG_DUMP: u8 = 0x12;
const COM_REGISTER_SLAVE: u8 = 0x15;
const COM_BINLOG_DUMP_GTID: u8 = 0x1e;
/// MariaDB: the texts of statements too, so that each event follows the one before it without a gap.
const SEND_ANNOTATE_ROWS: u16 = 2;
/// Where the first event of each file is.
const FIRST_OFFSET: u64 = 4;

/// Registers a replica by its id alone, so that the server can name it.
pub(super) fn register(server_id: u32) -> Vec<u8> {
    let mut command = vec![COM_REGISTER_SLAVE];
    command.extend(server_id.to_le_bytes());
    // Host, user and password: each its length, 0.
    command.extend([0; 3]);
    // Port, rank, and the id of the server, which it knows.
    command.extend([0; 2 + 4 + 4]);
    command
}

/// Asks for what is behind an offset of a file; for what the session names, if the file is empty.
pub(super) fn dump(server_id: u32, file: &str, offset: u32, is_mariadb: bool) -> Vec<u8> {
    let flags = if is_mariadb { SEND_ANNOTATE_ROWS } else { 0 };
    let mut command = vec![COM_BINLOG_DUMP];
    command.extend(offset.to_le_bytes());
    command.extend(flags.to_le_bytes());
    command.extend(server_id.to_le_bytes());
    command.extend(file.as_bytes());
    command
}

/// Asks for all transactions that are not in a set.
pub(super) fn dump_gtid(server_id: u32, set: &GtidSet) -> Vec<u8> {
    let set = encoded(set);
    let length = u32::try_from(set.len()).unwrap_or(u32::MAX);
    let mut command = vec![COM_BINLOG_DUMP_GTID];
    command.extend(0_u16.to_le_bytes());
    command.extend(server_id.to_le_bytes());
    // The length of the name of a file, which is found by the set.
    command.extend(0_u32.to_le_bytes());
    command.extend(FIRST_OFFSET.to_le_bytes());
    command.extend(length.to_le_bytes());
    command.extend(set);
    command
}

/// Without tags in the form that all servers know; with tags in that of MySQL 8.3 and later.
fn encoded(set: &GtidSet) -> Vec<u8> {
    const TAGGED: u64 = 1;
    let count = u64::try_from(set.sources().count()).unwrap_or(u64::MAX);
    let has_tags = set.has_tags();
    let head = match has_tags {
        false => count,
        true => (TAGGED << 56) | (count << 8) | TAGGED,
    };
    let mut bytes = head.to_le_bytes().to_vec();
    for (source, intervals) in set.sources() {
        bytes.extend(source.uuid.0);
        if has_tags {
            let tag = source.tag.as_deref().unwrap_or_default();
            // A number of below 64 in the form of `libs/mysql/serialization`: no further bytes. Tags have at most 32 letters.
            bytes.push(u8::try_from(tag.len()).unwrap_or(u8::MAX) << 1);
            bytes.extend(tag.as_bytes());
        }
        extend_intervals(&mut bytes, intervals);
    }
    bytes
}

/// How many, and of each its first number, and the one after its last.
fn extend_intervals(bytes: &mut Vec<u8>, intervals: &[Interval]) {
    let count = u64::try_from(intervals.len()).unwrap_or(u64::MAX);
    bytes.extend(count.to_le_bytes());
    for interval in intervals {
        bytes.extend(interval.first.to_le_bytes());
        bytes.extend(interval.last.saturating_add(1).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn a_set_is_encoded_as_servers_do() {
        let set: GtidSet = format!("{UUID}:1-5:7").parse().unwrap();
        let bytes = encoded(&set);
        assert_eq!(bytes.len(), 8 + 16 + 8 + 4 * 8);
        assert_eq!(bytes[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..11], [0x3e, 0x11, 0xfa]);
        assert_eq!(
            bytes[24..40],
            [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(bytes[40..48], [6, 0, 0, 0, 0, 0, 0, 0]);
        let tagged: GtidSet = format!("{UUID}:1-5:tag:1-2").parse().unwrap();
        let bytes = encoded(&tagged);
        assert_eq!(bytes[..8], [1, 2, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[24], 0);
        let second = 8 + 16 + 1 + 8 + 16;
        assert_eq!(bytes[second + 16..second + 20], [6, b't', b'a', b'g']);
        assert_eq!(encoded(&GtidSet::default()), [0; 8]);
    }
}
