//! Is the binlog still the one that was followed?
//!
//! Names of files and numbers of transactions are given again after RESET, a restore from a backup, or a crash that
//! cost the end of the binlog. So each start reads the first event of the last transaction again that was read: one of
//! another commit time is another transaction, and whatever follows it is not what follows ours (I2).

use std::time::Duration;

use binlog_bridge_core::decode::{
    DeadTransaction, DecodeErrorKind, Decoder, Fed, Joined, Joiner, Transaction,
};
use binlog_bridge_core::encode::SplitError;
use binlog_bridge_core::event::{EventBlock, EventHeader};
use binlog_bridge_core::position::{GtidSet, Position, PositionError};
use binlog_bridge_core::state::{Checkpoint, Split, TransactionIdentity};

use crate::error::{Error, is_elsewhere, is_purged, is_unreadable};
use crate::source::{Dump, SourceError, Survey, check_uuid};
use crate::start::{StartError, check_lineage};

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
    let Some(position) = before(last, checkpoint, survey).map_err(StartError::from)? else {
        return Ok(());
    };
    let wanted = Wanted {
        identity: last,
        is_first: false,
        server_uuid: &survey.server_uuid,
    };
    let read = if is_executed(last, survey)? {
        first_transaction(dump, &position, &wanted).await
    } else {
        first_unless_lost(dump, checkpoint, &position, &wanted).await
    };
    let found = match read {
        Ok((found, _)) => found,
        // By now. If that of the checkpoint is gone too, opening it says so.
        Err(Error::Source(SourceError::Server { code, message })) if is_purged(code, &message) => {
            return Ok(());
        }
        Err(error) if is_no_place(&error) => {
            return Err(other(last, &format!("no transaction ({error})")).into());
        }
        Err(error) => return Err(error),
    };
    if last.is(&found) {
        return Ok(());
    }
    let gtid = found.gtid.as_ref().map(ToString::to_string);
    Err(other(last, &describe(gtid.as_deref(), found.commit_time_us)).into())
}

/// False while the transaction is owned only: it may still be rolled back, if it is another one of the same number.
fn is_executed(last: &TransactionIdentity, survey: &Survey) -> Result<bool, StartError> {
    let Some(gtid) = last.gtid.as_ref().filter(|_| survey.gtid_on) else {
        return Ok(true);
    };
    let (gtid, executed): (GtidSet, GtidSet) = (gtid.parse()?, survey.gtid_executed.parse()?);
    Ok(gtid.is_subset_of(&executed))
}

/// How long a transaction that is owned is waited for before the server is asked again what became of it.
const OWNED_LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// [`first_transaction`], unless the server does not have the wanted one any more.
async fn first_unless_lost<D: Dump>(
    dump: &mut D,
    checkpoint: &Checkpoint,
    position: &Position,
    wanted: &Wanted<'_>,
) -> Result<(Transaction, Vec<DeadTransaction>), Error> {
    loop {
        let read = first_transaction(dump, position, wanted);
        if let Ok(found) = tokio::time::timeout(OWNED_LOOK_INTERVAL, read).await {
            return found;
        }
        tracing::warn!(
            "the server has not executed the last transaction that was published; waiting for it"
        );
        let survey = dump.survey().await?;
        check_lineage(checkpoint, &survey)?;
        if is_executed(wanted.identity, &survey)? {
            return first_transaction(dump, position, wanted).await;
        }
    }
}

/// Looks for the transaction that is published in part, and returns those that lie before it and never happened: one
/// of them may have its GTID. Waits for it as long as the server has nothing in its place.
///
/// # Errors
/// [`SplitError::Other`] if another transaction comes first, or what the source failed with.
pub(crate) async fn find_split<D: Dump>(
    dump: &mut D,
    position: &Position,
    split: &Split,
    server_uuid: &str,
) -> Result<Vec<DeadTransaction>, Error> {
    let wanted = Wanted {
        identity: &split.identity,
        is_first: true,
        server_uuid,
    };
    tracing::info!(
        id = split.id,
        "looking for the source transaction that is published in part"
    );
    let (found, dead) = first_transaction(dump, position, &wanted).await?;
    if split.identity.is(&found) {
        return Ok(dead);
    }
    let gtid = found.gtid.as_ref().map(ToString::to_string);
    let expected = describe(
        split.identity.gtid.as_deref(),
        split.identity.commit_time_us,
    );
    let found = describe(gtid.as_deref(), found.commit_time_us);
    Err(SplitError::Other { expected, found }.into())
}

/// The place just before a transaction; `None` if the server does not have it any more.
fn before(
    last: &TransactionIdentity,
    checkpoint: &Checkpoint,
    survey: &Survey,
) -> Result<Option<Position>, PositionError> {
    let (gtid_set, at, gtid) = match (&checkpoint.position, &last.gtid) {
        (Position::Gtid { gtid_set, at }, Some(gtid)) => (gtid_set, at, gtid),
        // Which transaction of its domain came before it is known by its place only, and that is one of another server.
        (Position::Mariadb { .. }, _) if checkpoint.lineage.passes_over => return Ok(None),
        (Position::Gtid { .. } | Position::Mariadb { .. } | Position::File { .. }, _) => {
            let files = &survey.files;
            let is_there = files.iter().any(|(file, _)| *file == last.first.file);
            let at = last.first.clone();
            let is_there = is_there && at.offset <= u64::from(u32::MAX);
            return Ok(is_there.then_some(Position::File { at }));
        }
    };
    let gtid: GtidSet = gtid.parse()?;
    let purged: GtidSet = survey.gtid_purged.parse()?;
    if gtid.is_subset_of(&purged) {
        return Ok(None);
    }
    let (gtid_set, at) = (gtid_set.subtract(&gtid), at.clone());
    Ok(Some(Position::Gtid { gtid_set, at }))
}

/// No event that begins or ends a transaction is larger.
const SMALL_EVENT_BYTES_MAX: usize = 64 * 1024;
/// Transactions without end that are passed over: a server leaves at most one for each crash.
const DEAD_MAX: usize = 64;

/// The transaction that is looked for.
struct Wanted<'a> {
    identity: &'a TransactionIdentity,
    /// No other may come before it.
    is_first: bool,
    /// On which server.
    server_uuid: &'a str,
}

impl Wanted<'_> {
    /// True if it may come after that one: another server may have executed others before it.
    fn may_follow(&self, found: &Transaction) -> bool {
        let gtid = found.gtid.as_ref().map(ToString::to_string);
        !self.is_first && gtid.is_some() && gtid != self.identity.gtid
    }
}

/// Reads the first source transaction that happened, or only its beginning if it is the one looked for; and those
/// before it that never happened.
async fn first_transaction<D: Dump>(
    dump: &mut D,
    position: &Position,
    wanted: &Wanted<'_>,
) -> Result<(Transaction, Vec<DeadTransaction>), Error> {
    let mut dead = Vec::new();
    loop {
        let error = match read_transaction(dump, position, wanted, &dead).await {
            Ok(found) => return Ok((found, dead)),
            Err(error) => error,
        };
        // Its number was given again to the one that follows.
        match error.dead_transaction() {
            Some(found) if dead.len() < DEAD_MAX => dead.push(found),
            Some(_) | None => return Err(error),
        }
    }
}

async fn read_transaction<D: Dump>(
    dump: &mut D,
    position: &Position,
    wanted: &Wanted<'_>,
    dead: &[DeadTransaction],
) -> Result<Transaction, Error> {
    check_uuid(wanted.server_uuid, &dump.open(position).await?)?;
    let mut decoder = Decoder::new(position.clone()).without(dead.to_vec());
    // What matters is small: rows are not looked at, nor is the set of all transactions before.
    let mut joiner = Joiner::new(SMALL_EVENT_BYTES_MAX);
    let is_small = |header: &EventHeader, _| {
        usize::try_from(header.size).is_ok_and(|size| size <= SMALL_EVENT_BYTES_MAX)
    };
    let mut block = EventBlock::default();
    loop {
        block.clear();
        dump.next(&mut block).await?;
        for (part, bytes) in block.pieces() {
            let mut fed = Fed::new(part, bytes);
            while let Some(joined) =
                (joiner.next(&mut fed, is_small)).map_err(|kind| decoder.failed(kind))?
            {
                match joined {
                    Joined::Event(event) => {
                        decoder.event(event)?;
                    }
                    Joined::Skipped(header) => decoder.skipped(&header)?,
                    Joined::Payload(mark) => decoder.payload(&mark)?,
                    Joined::Pending => {}
                }
                if decoder.in_transaction() && wanted.identity.is(decoder.transaction()) {
                    return Ok(decoder.transaction().clone());
                }
                let last = decoder.last_complete();
                if last.first.is_some() && !wanted.may_follow(last) {
                    return Ok(last.clone());
                }
            }
        }
    }
}

/// In another binlog the place may lie behind the end, or inside of an event.
fn is_no_place(error: &Error) -> bool {
    match error {
        Error::Source(SourceError::Server { code, message }) => {
            is_elsewhere(*code, message) || is_unreadable(*code, message)
        }
        Error::Decode(error) => matches!(
            error.kind,
            DecodeErrorKind::RowsOutsideTransaction
                | DecodeErrorKind::Length { .. }
                | DecodeErrorKind::Truncated
        ),
        _ => false,
    }
}

fn other(last: &TransactionIdentity, found: &str) -> StartError {
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
