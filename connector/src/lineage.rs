//! Is the binlog still the one that was followed?
//!
//! Names of files and numbers of transactions are given again after RESET, a restore from a backup, or a crash that
//! cost the end of the binlog. So each start reads the last published transaction's first event again: one of
//! another commit time is another transaction, and whatever follows it is not what follows ours (I2).

use binlog_bridge_core::decode::{Decoder, Joined, Joiner, Transaction};
use binlog_bridge_core::event::EventBlock;
use binlog_bridge_core::position::{GtidSet, Position, PositionError};
use binlog_bridge_core::state::{Checkpoint, LastTransaction};

use crate::error::{Error, server_error};
use crate::source::{Dump, SourceError, Survey};
use crate::start::StartError;

/// Compares what the server has in the place of the last transaction before the checkpoint. Where its binlog is
/// purged there is nothing to compare.
///
/// # Errors
/// [`StartError::OtherHistory`], or what the source failed with.
pub(crate) async fn verify<D: Dump>(
    dump: &mut D,
    checkpoint: &Checkpoint,
    survey: &Survey,
) -> Result<(), Error> {
    let Some(last) = &checkpoint.lineage.last else {
        return Ok(());
    };
    let Some(position) = before(last, &checkpoint.position, survey).map_err(StartError::from)?
    else {
        return Ok(());
    };
    let found = match first_transaction(dump, &position).await {
        Ok(found) => found,
        Err(error) if is_no_place(&error) => return Err(other(last, "no transaction").into()),
        Err(error) => return Err(error),
    };
    let gtid = found.gtid.as_ref().map(ToString::to_string);
    if gtid == last.gtid && found.commit_time_us == last.commit_time_us {
        return Ok(());
    }
    Err(other(last, &describe(gtid.as_deref(), found.commit_time_us)).into())
}

/// The place just before a transaction; `None` if the server does not have it any more.
fn before(
    last: &LastTransaction,
    position: &Position,
    survey: &Survey,
) -> Result<Option<Position>, PositionError> {
    let (Position::Gtid { gtid_set, at }, Some(gtid)) = (position, &last.gtid) else {
        let is_there = survey
            .files
            .iter()
            .any(|(file, _)| *file == last.first.file);
        let at = last.first.clone();
        return Ok(is_there.then_some(Position::File { at }));
    };
    let gtid: GtidSet = gtid.parse()?;
    let purged: GtidSet = survey.gtid_purged.parse()?;
    if gtid.is_subset_of(&purged) {
        return Ok(None);
    }
    let (gtid_set, at) = (gtid_set.subtract(&gtid), at.clone());
    Ok(Some(Position::Gtid { gtid_set, at }))
}

async fn first_transaction<D: Dump>(
    dump: &mut D,
    position: &Position,
) -> Result<Transaction, Error> {
    dump.open(position).await?;
    let mut decoder = Decoder::new(position.clone());
    // Only small events come before a transaction, but for the set of those before: nobody wants that.
    let mut joiner = Joiner::new(0);
    let mut block = EventBlock::default();
    loop {
        block.clear();
        dump.next(&mut block).await?;
        for (part, bytes) in block.pieces() {
            match joiner.piece(part, bytes, |_, _| false) {
                Ok(Joined::Event(event)) => {
                    decoder.event(event)?;
                }
                Ok(Joined::Skipped(header)) => decoder.skipped(&header),
                Ok(Joined::Pending) => {}
                Err(kind) => return Err(decoder.failed(kind).into()),
            }
            if decoder.transaction().first.is_some() {
                return Ok(decoder.transaction().clone());
            }
        }
    }
}

/// In another binlog the place may lie behind the end, or inside of an event.
fn is_no_place(error: &Error) -> bool {
    match error {
        Error::Source(SourceError::Server { code, .. }) => {
            *code == server_error::MASTER_FATAL_ERROR_READING_BINLOG
        }
        Error::Decode(_) => true,
        _ => false,
    }
}

fn other(last: &LastTransaction, found: &str) -> StartError {
    StartError::OtherHistory {
        recorded: format!(
            "{} at {}",
            describe(last.gtid.as_deref(), last.commit_time_us),
            last.first
        ),
        found: found.to_owned(),
    }
}

fn describe(gtid: Option<&str>, commit_time_us: i64) -> String {
    let name = gtid.unwrap_or("the transaction");
    format!("{name} of {commit_time_us} µs since 1970")
}
