//! After an error: who fenced this instance, and what follows from that?

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Verdict};
use crate::sink::log::Log;
use crate::sink::transactor::{SinkError, Transactor};

/// How often a producer may be fenced by nobody, and within which time.
const FENCED_BY_NOBODY_MAX: usize = 3;
const FENCED_WINDOW: Duration = Duration::from_secs(600);
/// How long after it has fenced this one another instance may take to write its owner record.
const RIVAL_SHOWS_WITHIN: Duration = Duration::from_secs(3);
/// How long to wait between looks for it.
const RIVAL_PAUSE: Duration = Duration::from_millis(100);

/// An instance that has just begun fences first, and says who it is a moment later.
async fn look_for_rival<L: Log>(
    error: &Error,
    transactor: &mut Transactor<L>,
) -> Result<(), SinkError> {
    let deadline = Instant::now() + RIVAL_SHOWS_WITHIN;
    loop {
        transactor.look_for_rival().await?;
        let is_explained = !error.is_fenced_by_epoch() || transactor.was_given_back();
        if is_explained || Instant::now() >= deadline {
            return Ok(());
        }
        tokio::time::sleep(RIVAL_PAUSE).await;
    }
}

/// A command has moved the task, whatever else is wrong at the place of before.
pub(crate) fn moved() -> SinkError {
    SinkError::Borrowed {
        command: "offsets".to_owned(),
    }
}

/// The state is borrowed: the next run begins when it was given back.
async fn returned<L: Log>(error: Error, transactor: &mut Transactor<L>) -> Error {
    tracing::info!(%error, "waiting for its return");
    match transactor.await_return().await {
        Ok(()) => error,
        Err(other) => other.into(),
    }
}

/// A fenced producer, or an error that ends the task: was it another instance, or the broker that ended a slow
/// transaction?
pub(super) async fn judge_fencing<L: Log>(
    error: Error,
    mut transactor: Transactor<L>,
    fenced: &mut VecDeque<Instant>,
) -> Error {
    if matches!(error, Error::Sink(SinkError::Borrowed { .. })) {
        return returned(error, &mut transactor).await;
    }
    // What ends the task is looked at likewise: an instance that slept may see a server on which another has gone on.
    let is_final = matches!(error.verdict(), Verdict::Halt(_));
    if (!error.is_fenced() && !is_final) || error.is_of_state() {
        return error;
    }
    if is_final {
        tracing::warn!(%error, "looking whether another instance has taken over, before that counts");
    }
    match look_for_rival(&error, &mut transactor).await {
        // A command has come and gone.
        Ok(()) if transactor.was_given_back() => return moved().into(),
        Ok(()) => {}
        Err(rival @ SinkError::TakenOver { .. }) => return rival.into(),
        Err(borrowed @ SinkError::Borrowed { .. }) => {
            return returned(borrowed.into(), &mut transactor).await;
        }
        Err(back @ SinkError::CameBack { .. }) => return back.into(),
        // Only who is known to own the task may end it for good: the next run will find the same again.
        Err(unknown) if is_final && !matches!(unknown, SinkError::HangingTransaction { .. }) => {
            return unknown.into();
        }
        Err(_) => {}
    }
    // A client that gave up for another reason says nothing about who else writes.
    if !error.is_fenced_by_epoch() {
        return error;
    }
    fenced.push_back(Instant::now());
    fenced.retain(|at| at.elapsed() < FENCED_WINDOW);
    if fenced.len() >= FENCED_BY_NOBODY_MAX {
        Error::FencedByNobody
    } else {
        error
    }
}
