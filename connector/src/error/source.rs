//! What follows from what a server says, or does not say.

use super::{Verdict, halt};
use crate::source::SourceError;

pub(super) const PURGED_REMEDY: &str = "Restore the missing binlog files on the server, or go on without them: run `binlog-bridge offsets set oldest` (with the oldest that the server has) or `newest`; consumers find a GAP record in the transactions topic. Keep binlogs longer (binlog_expire_logs_seconds; on older servers expire_logs_days).";

/// Server error numbers that matter here (MySQL manual, "Server Error Message Reference").
mod server_error {
    pub(super) const MASTER_FATAL_ERROR_READING_BINLOG: u16 = 1236;
}

pub(super) fn source(error: &SourceError) -> Verdict {
    match error {
        SourceError::Unreachable { .. }
        | SourceError::Timeout { .. }
        | SourceError::Protocol { .. }
        | SourceError::OtherServer { .. } => Verdict::Restart,
        SourceError::AccessDenied { .. } => Verdict::Credentials(
            "Check source.user and the password, and grant the account REPLICATION SLAVE, REPLICATION CLIENT and SELECT on the selected databases.".to_owned(),
        ),
        SourceError::Tls { .. } => Verdict::Credentials(
            "Give the server's CA in source.tls.ca_file (on the server: the file named by @@ssl_ca, often ca.pem in the data directory), or choose another source.tls.mode.".to_owned(),
        ),
        SourceError::Server { code, message } => server(*code, message),
    }
}

fn server(code: u16, message: &str) -> Verdict {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    if code != server_error::MASTER_FATAL_ERROR_READING_BINLOG {
        return Verdict::Restart;
    }
    // Another replica with our server id, or a server that is shutting down: the next attempt differs.
    if says("same server_uuid") || says("same server_id") || says("shutdown") {
        return Verdict::Restart;
    }
    if is_purged(code, message) {
        return halt(PURGED_REMEDY);
    }
    // MySQL 5.5 sends no event that is larger.
    if says("max_allowed_packet") {
        return halt(
            "Raise max_allowed_packet on the server above the largest event of its binlog (SET GLOBAL max_allowed_packet = 1073741824 is the most), and start the task again.",
        );
    }
    // Whatever it is asked by. (MySQL source, `sql/rpl_binlog_sender.cc`, `check_event_type`)
    if says("anonymous transaction") {
        return halt(
            "The binlog ahead has transactions without GTIDs, of when gtid_mode was not ON, which the server does not send while it is ON. Run SET GLOBAL gtid_mode = ON_PERMISSIVE on the server, start the task, and set gtid_mode = ON again once it has caught up.",
        );
    }
    if is_elsewhere(code, message) {
        return halt(
            "The server's binlog is shorter than the position: it lost its end in a crash, or is another server. Make sure that source.host is the right server. To go on without what is missing, run `binlog-bridge offsets set newest`, or `oldest` for all that the server has, even if published before; consumers find a GAP record in the transactions topic.",
        );
    }
    Verdict::Restart
}

/// True if the server says that it has deleted the binlog of a position.
pub(crate) fn is_purged(code: u16, message: &str) -> bool {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    code == server_error::MASTER_FATAL_ERROR_READING_BINLOG
        && (says("purged")
            || says("could not find first log file")
            || says("could not find gtid state requested by slave in any binlog"))
}

/// True if the server says that its binlog does not have a place: it is shorter, or another one.
pub(crate) fn is_elsewhere(code: u16, message: &str) -> bool {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    code == server_error::MASTER_FATAL_ERROR_READING_BINLOG
        && (says("impossible position")
            || says("position > file size")
            || says("bogus data")
            || says("more gtids than")
            || says("which is not in the master's binlog")
            || says("is missing the gtid"))
}

/// True if the server cannot make sense of the bytes at a place: there is no event, but the middle of one. It words
/// that in many ways (truncated, too large, wrong checksum), all of which name the last event that it read.
pub(crate) fn is_unreadable(code: u16, message: &str) -> bool {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    code == server_error::MASTER_FATAL_ERROR_READING_BINLOG
        && says("the last event read from")
        && !says("i/o error")
        && !says("memory")
}
