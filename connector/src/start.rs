//! Where does a run begin, and may it? Decided from what the server says and what the state remembers.

use binlog_bridge_core::position::{FileOffset, GtidPos, GtidSet, Position, PositionError};
use binlog_bridge_core::selection::Selection;
use binlog_bridge_core::state::{Checkpoint, Lineage, STATE_FORMAT, State};

use crate::source::Survey;

/// Where to begin if nothing was published yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the end of the binlog.
    Latest,
    /// At the beginning of the oldest binlog file.
    Earliest,
    /// After the transactions of a set.
    GtidSet(GtidSet),
    /// After a transaction of each domain of a MariaDB server.
    GtidPos(GtidPos),
    /// At an offset that an event begins at.
    File(FileOffset),
}

/// A run must not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// `log_bin=OFF`.
    #[error("the server writes no binlog (log_bin is OFF)")]
    NoBinlog,
    /// STATEMENT or MIXED.
    #[error("the server's binlog_format is {0}, which does not log rows")]
    Format(String),
    /// A selected database does not exist, or the account cannot see it.
    #[error("database {0} does not exist, or the account has no right on it")]
    UnknownDatabase(String),
    /// GTIDs were configured, but the server has none, or others.
    #[error("source.start names a GTID set, but the server's gtid_mode is not ON")]
    NoGtids,
    /// GTIDs of the other flavour.
    #[error(
        "source.start names GTIDs as {named} has them, and the server is another one ({version})"
    )]
    OtherGtids {
        /// MySQL or MariaDB.
        named: &'static str,
        /// The server's version.
        version: String,
    },
    /// A place was configured that the server does not have.
    #[error("source.start names a place that the server does not have: {0}")]
    FutureStart(String),
    /// The binlog was begun anew, and file names mean other content.
    #[error(
        "the server's binlog was begun anew: its oldest file is {found}, and was {recorded} before"
    )]
    BegunAnew {
        /// The oldest file when the stream was opened last.
        recorded: String,
        /// The oldest file now.
        found: String,
    },
    /// Where the last transaction was, there is another one.
    #[error(
        "the server's binlog is not the one that was followed: {recorded} was read last, and {found} is in its place now"
    )]
    OtherHistory {
        /// The transaction that was read, selected or not.
        recorded: String,
        /// What the server has there.
        found: String,
    },
    /// The position is after the end of the binlog.
    #[error("the position {position} is after the end of the server's binlog, {end}")]
    AfterTheEnd {
        /// The position.
        position: String,
        /// The end of the binlog.
        end: String,
    },
    /// Further into a file than a dump by file and offset can be opened.
    #[error(
        "the position {0} is beyond 4 GiB in its file, where a dump without GTIDs cannot be opened"
    )]
    BeyondRequest(String),
    /// The server wrote something that is not a GTID set.
    #[error(transparent)]
    Position(#[from] PositionError),
    /// Transactions after the position are gone.
    #[error(
        "the position is purged: the server has deleted the binlog of {missing}; the oldest that it has is {oldest}"
    )]
    Purged {
        /// What is gone: a GTID set or a file.
        missing: String,
        /// The oldest binlog file that is there.
        oldest: String,
    },
    /// Published transactions are unknown to the server.
    #[error("the server does not know transactions that were published: {lost}")]
    LostTransactions {
        /// Their GTID set.
        lost: String,
    },
    /// Another server, and no GTIDs to find the place by.
    #[error(
        "the server's uuid is {found}, the position is of server {recorded}, and without GTIDs a position of one server means nothing on another"
    )]
    OtherServer {
        /// The uuid in the checkpoint.
        recorded: String,
        /// The uuid of the server.
        found: String,
    },
    /// The server numbers transactions now, or does so no more.
    #[error("the position is one {recorded}, the server's gtid_mode is {found} now")]
    GtidMode {
        /// With or without GTIDs.
        recorded: &'static str,
        /// ON or not.
        found: &'static str,
    },
    /// There is no checkpoint that could be moved.
    #[error("the task has published nothing yet: it has no checkpoint")]
    NothingPublished,
    /// The stream can go on where it is.
    #[error(
        "nothing is missing: the server still has all that follows the checkpoint, and going back would publish rows twice"
    )]
    NothingMissing,
    /// The state of a task that runs is not there any more.
    #[error("the state topic {topic} was deleted or emptied while the task ran")]
    StateLost {
        /// The state topic.
        topic: String,
    },
    /// Topics with data, but no checkpoint.
    #[error(
        "topic {topic} holds data, but the state topic has no checkpoint: where to go on is unknown"
    )]
    NoCheckpoint {
        /// One such topic.
        topic: String,
    },
}

/// Checks the server's settings.
///
/// # Errors
/// [`StartError`]
pub fn check_server(survey: &Survey, selection: &Selection) -> Result<(), StartError> {
    let is = |value: &str, wanted: &str| value.eq_ignore_ascii_case(wanted);
    if !survey.log_bin {
        return Err(StartError::NoBinlog);
    }
    if !is(&survey.binlog_format, "ROW") {
        return Err(StartError::Format(survey.binlog_format.clone()));
    }
    match survey.binlog_row_metadata.as_deref() {
        Some(metadata) if is(metadata, "FULL") => {}
        Some(metadata) => tracing::warn!(
            binlog_row_metadata = metadata,
            "the binlog does not name columns: definitions are read from the server, and a statement that changes a table before its rows are read, and is not understood, ends the task; run SET PERSIST binlog_row_metadata=FULL (MariaDB: SET GLOBAL, and in its configuration)"
        ),
        None => tracing::warn!(
            version = survey.version,
            "the binlog of this server never names columns: definitions are read from the server, and a statement that changes a table before its rows are read, and is not understood, ends the task"
        ),
    }
    let exists = |name: &str| survey.databases.iter().any(|database| database == name);
    match selection.database_names().find(|name| !exists(name)) {
        Some(name) => Err(StartError::UnknownDatabase(name.to_owned())),
        None => Ok(()),
    }
}

/// The place to begin at when nothing was published yet.
///
/// # Errors
/// [`StartError`]
pub fn first_position(start: &Start, survey: &Survey) -> Result<Position, StartError> {
    let oldest = FileOffset {
        file: survey.first_file.clone(),
        offset: FIRST_EVENT,
    };
    let other = |named| StartError::OtherGtids {
        named,
        version: survey.version.clone(),
    };
    let current = || survey.current.clone();
    match (start, &survey.mariadb, survey.gtid_on) {
        (Start::Latest, Some(places), _) => Ok(Position::Mariadb {
            gtid_pos: places.current.clone(),
            at: current(),
        }),
        (Start::Latest, None, true) => Ok(Position::Gtid {
            gtid_set: survey.gtid_executed.parse()?,
            at: current(),
        }),
        (Start::Latest, None, false) => Ok(Position::File { at: current() }),
        (Start::Earliest, Some(places), _) => Ok(Position::Mariadb {
            gtid_pos: places.first.clone(),
            at: oldest,
        }),
        (Start::Earliest, None, true) => Ok(Position::Gtid {
            gtid_set: survey.gtid_purged.parse()?,
            at: oldest,
        }),
        (Start::Earliest, None, false) => Ok(Position::File { at: oldest }),
        (Start::GtidSet(_), Some(_), _) => Err(other("MySQL")),
        (Start::GtidSet(set), None, true) => {
            let unknown = set.subtract(&survey.gtid_executed.parse()?);
            if !unknown.is_empty() {
                return Err(StartError::FutureStart(unknown.to_string()));
            }
            let position = Position::Gtid {
                gtid_set: set.clone(),
                at: oldest,
            };
            check_not_purged(&position, survey).map(|()| position)
        }
        (Start::GtidSet(_), None, false) => Err(StartError::NoGtids),
        (Start::GtidPos(pos), Some(places), _) => {
            let unknown = pos.unknown_to(&places.state);
            if !unknown.is_empty() {
                return Err(StartError::FutureStart(unknown.to_string()));
            }
            Ok(Position::Mariadb {
                gtid_pos: pos.clone(),
                at: oldest,
            })
        }
        (Start::GtidPos(_), None, _) => Err(other("MariaDB")),
        (Start::File(at), _, _) => {
            let is_there = |(name, size): &(String, u64)| *name == at.file && at.offset <= *size;
            if !survey.files.iter().any(is_there) {
                return Err(StartError::FutureStart(at.to_string()));
            }
            Ok(Position::File { at: at.clone() })
        }
    }
}

/// Every binlog file begins with four bytes that are no event.
pub(crate) const FIRST_EVENT: u64 = 4;

/// Checks that a checkpoint is one of this server, and that the server can still go on from it.
///
/// # Errors
/// [`StartError`]
pub fn check_lineage(checkpoint: &Checkpoint, survey: &Survey) -> Result<(), StartError> {
    let recorded = &checkpoint.lineage.server_uuid;
    let position = &checkpoint.position;
    let other = || StartError::OtherServer {
        recorded: recorded.clone(),
        found: survey.server_uuid.clone(),
    };
    match (position, &survey.mariadb) {
        (Position::File { .. }, _) if *recorded != survey.server_uuid => Err(other()),
        (Position::Gtid { .. }, Some(_)) | (Position::Mariadb { .. }, None) => Err(other()),
        (Position::Gtid { .. }, None) if !survey.gtid_on => Err(StartError::GtidMode {
            recorded: "with GTIDs",
            found: "not ON",
        }),
        (Position::File { .. } | Position::Gtid { .. } | Position::Mariadb { .. }, _) => {
            let first_file = &checkpoint.lineage.first_file;
            // Numbers are given again behind a restore: of the same server names of files tell.
            let is_by_files = survey.mariadb.is_some() && is_followed(checkpoint, survey);
            if is_by_files {
                check_files(position, first_file, survey)?;
            }
            check_history(position, first_file, survey)?;
            check_not_purged(position, survey)
        }
    }
}

/// True if file and offset of a checkpoint are of the server.
fn is_followed(checkpoint: &Checkpoint, survey: &Survey) -> bool {
    let lineage = &checkpoint.lineage;
    lineage.server_uuid == survey.server_uuid && !lineage.passes_over
}

/// The checkpoint by file and offset, where the server takes no set of GTIDs: its `gtid_mode` is not ON any more. Both are of
/// one place.
#[must_use]
pub(crate) fn placed(checkpoint: &Checkpoint, survey: &Survey) -> Checkpoint {
    let mut placed = checkpoint.clone();
    if let Position::Gtid { at, .. } = &checkpoint.position
        && survey.mariadb.is_none()
        && is_followed(checkpoint, survey)
        && !survey.gtid_on
    {
        tracing::info!(%at, "the server is asked by file and offset instead of GTIDs");
        placed.position = Position::File { at: at.clone() };
    }
    placed
}

/// Checks that a binlog is still the one that was followed up to a position.
///
/// # Errors
/// [`StartError`]
pub(crate) fn check_history(
    position: &Position,
    first_file: &str,
    survey: &Survey,
) -> Result<(), StartError> {
    let lost = match (position, &survey.mariadb) {
        (Position::File { .. }, _) => return check_file(position, first_file, survey),
        (Position::Gtid { gtid_set, at }, _) => lost(gtid_set, at, survey)?.to_string(),
        (Position::Mariadb { gtid_pos, .. }, places) => {
            let state = places.as_ref().map(|places| places.state.as_slice());
            gtid_pos.unknown_to(state.unwrap_or_default()).to_string()
        }
    };
    match lost.is_empty() {
        true => Ok(()),
        false => Err(StartError::LostTransactions { lost }),
    }
}

/// What was published, and the server does not have. A transaction is in the binlog, and sent, before it is executed:
/// with semi-synchronous replication that may take as long as a replica does. Until then its GTID is owned, which is enough
/// for the server to open a dump behind it. (MySQL, `sql/rpl_binlog_sender.cc`, `check_start_file`)
fn lost(published: &GtidSet, at: &FileOffset, survey: &Survey) -> Result<GtidSet, PositionError> {
    let unfinished = published.subtract(&survey.gtid_executed.parse()?);
    if unfinished.is_empty() {
        return Ok(unfinished);
    }
    // The same number may be owned by another transaction, which is not in the binlog yet.
    if survey.current < *at {
        return Ok(unfinished);
    }
    Ok(unfinished.subtract(&survey.gtid_owned.parse()?))
}

/// Without GTIDs only names of files tell whether the binlog is still the one that was followed.
fn check_file(position: &Position, recorded: &str, survey: &Survey) -> Result<(), StartError> {
    check_files(position, recorded, survey)?;
    let at = position.at();
    if at.offset > u64::from(u32::MAX) {
        return Err(StartError::BeyondRequest(at.to_string()));
    }
    Ok(())
}

fn check_files(position: &Position, recorded: &str, survey: &Survey) -> Result<(), StartError> {
    let at = position.at();
    let first = |file: &str| FileOffset {
        file: file.to_owned(),
        offset: 0,
    };
    if first(&survey.first_file) < first(recorded) {
        let (recorded, found) = (recorded.to_owned(), survey.first_file.clone());
        return Err(StartError::BegunAnew { recorded, found });
    }
    // A file that a crash has cut may have another after it.
    let cut = survey.files.iter().find(|(name, _)| *name == at.file);
    let cut = cut.filter(|(_, size)| at.offset > *size);
    if *at > survey.current || cut.is_some() {
        let end = match cut {
            Some((file, size)) if *at <= survey.current => format!("{file}:{size}"),
            Some(_) | None => survey.current.to_string(),
        };
        let position = at.to_string();
        return Err(StartError::AfterTheEnd { position, end });
    }
    Ok(())
}

fn check_not_purged(position: &Position, survey: &Survey) -> Result<(), StartError> {
    let missing = match position {
        Position::Gtid { gtid_set, .. } => {
            let purged: GtidSet = survey.gtid_purged.parse()?;
            let missing = purged.subtract(gtid_set);
            if missing.is_empty() {
                None
            } else {
                Some(missing.to_string())
            }
        }
        // Numbers of a domain need not grow: where the file is there, the server itself finds out when the dump is opened.
        Position::Mariadb { gtid_pos, at } => {
            let is_there = survey.files.iter().any(|(file, _)| *file == at.file);
            let places = survey.mariadb.as_ref().filter(|_| !is_there);
            let purged = places.map(|places| gtid_pos.before(&places.first));
            purged
                .filter(|purged| !purged.is_empty())
                .map(|purged| purged.to_string())
        }
        Position::File { at } => {
            let oldest = FileOffset {
                file: survey.first_file.clone(),
                offset: 0,
            };
            (*at < oldest).then(|| at.file.clone())
        }
    };
    match missing {
        Some(missing) => Err(StartError::Purged {
            missing,
            oldest: survey.first_file.clone(),
        }),
        None => Ok(()),
    }
}

/// Who the source is, for the checkpoint.
#[must_use]
pub fn lineage(survey: &Survey) -> Lineage {
    Lineage {
        server_uuid: survey.server_uuid.clone(),
        first_file: survey.first_file.clone(),
        last: None,
        passes_over: false,
    }
}

/// The checkpoint to go on from, and whether it is new: then it is to be committed before anything else.
///
/// # Errors
/// [`StartError`]
pub fn resume(
    state: &State,
    start: &Start,
    survey: &Survey,
    selection: &Selection,
) -> Result<(Checkpoint, bool), StartError> {
    if let Some(checkpoint) = &state.checkpoint {
        let mut checkpoint = placed(checkpoint, survey);
        check_lineage(&checkpoint, survey)?;
        let is_other = checkpoint.lineage.server_uuid != survey.server_uuid;
        checkpoint.lineage = Lineage {
            last: checkpoint.lineage.last,
            passes_over: checkpoint.lineage.passes_over || is_other,
            ..lineage(survey)
        };
        checkpoint.selection = selection.fingerprint();
        return Ok((checkpoint, false));
    }
    let checkpoint = Checkpoint {
        format: STATE_FORMAT,
        position: first_position(start, survey)?,
        skip_rows: 0,
        split: None,
        lineage: Lineage {
            passes_over: matches!(start, Start::GtidSet(_) | Start::GtidPos(_)),
            ..lineage(survey)
        },
        selection: selection.fingerprint(),
        source_ts_ms: None,
        heartbeats: 0,
        gtid_base: None,
    };
    Ok((placed(&checkpoint, survey), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn survey() -> Survey {
        Survey {
            server_uuid: A.into(),
            log_bin: true,
            binlog_format: "ROW".into(),
            binlog_row_image: "FULL".into(),
            binlog_row_metadata: Some("FULL".into()),
            gtid_on: true,
            gtid_executed: format!("{A}:1-9"),
            gtid_purged: format!("{A}:1-3"),
            first_file: "binlog.000002".into(),
            current: FileOffset {
                file: "binlog.000003".into(),
                offset: 700,
            },
            databases: vec!["shop".into()],
            ..Survey::default()
        }
    }

    fn checkpoint(position: Position) -> Checkpoint {
        let mut checkpoint = resume(
            &State::default(),
            &Start::Latest,
            &survey(),
            &Selection::default(),
        )
        .unwrap()
        .0;
        checkpoint.position = position;
        checkpoint
    }

    fn gtid(set: &str) -> Position {
        let at = FileOffset {
            file: "binlog.000003".into(),
            offset: 4,
        };
        Position::Gtid {
            gtid_set: set.replace('A', A).parse().unwrap(),
            at,
        }
    }

    fn file(file: &str) -> Position {
        Position::File {
            at: FileOffset {
                file: file.into(),
                offset: 4,
            },
        }
    }

    #[test]
    fn each_setting_that_loses_rows_is_refused() {
        let check = |change: fn(&mut Survey), refused: &str| {
            let mut survey = survey();
            change(&mut survey);
            let selection = Selection {
                databases: ["shop".to_owned()].into(),
                ..Selection::default()
            };
            let error = check_server(&survey, &selection).unwrap_err().to_string();
            assert!(error.contains(refused), "{error}");
        };
        check(|s| s.log_bin = false, "log_bin");
        check(
            |s| s.binlog_format = "MIXED".into(),
            "binlog_format is MIXED",
        );
        check(|s| s.databases.clear(), "database shop");
        // Names may be missing: definitions come from the server then.
        for metadata in [None, Some("MINIMAL"), Some("NO_LOG")] {
            let mut survey = survey();
            survey.binlog_row_metadata = metadata.map(str::to_owned);
            assert_eq!(check_server(&survey, &Selection::default()), Ok(()));
        }
    }

    #[test]
    fn a_start_that_the_server_does_not_have_is_refused() {
        let mut survey = survey();
        survey.files = vec![("binlog.000002".into(), 900), ("binlog.000003".into(), 700)];
        let at = |offset| {
            Start::File(FileOffset {
                file: "binlog.000003".into(),
                offset,
            })
        };
        let set = |text: &str| Start::GtidSet(text.replace('A', A).parse().unwrap());
        assert!(first_position(&at(700), &survey).is_ok());
        assert!(first_position(&set("A:1-9"), &survey).is_ok());
        for wrong in [at(701), set("A:1-10")] {
            let error = first_position(&wrong, &survey).unwrap_err();
            assert!(matches!(error, StartError::FutureStart(_)), "{error}");
        }
    }

    #[test]
    fn a_position_that_the_server_cannot_serve_is_refused() {
        let mut other = survey();
        other.server_uuid = A.replace('3', "4");
        let check = |position: Position, survey: &Survey, refused: Option<&str>| match (
            check_lineage(&checkpoint(position), survey),
            refused,
        ) {
            (Ok(()), None) => {}
            (Err(error), Some(text)) => assert!(error.to_string().contains(text), "{error}"),
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        };
        check(gtid("A:1-5"), &survey(), None);
        check(gtid("A:1-5"), &other, None);
        check(gtid("A:1-2"), &survey(), Some(":3"));
        check(gtid("A:1-10"), &survey(), Some("does not know"));
        let mut unfinished = survey();
        unfinished.gtid_owned = format!("{A}:10");
        check(gtid("A:1-10"), &unfinished, None);
        check(gtid("A:1-11"), &unfinished, Some(":11"));
        unfinished.current.file = "binlog.000002".into();
        check(gtid("A:1-10"), &unfinished, Some(":10"));
        check(file("binlog.000002"), &survey(), None);
        check(file("binlog.000001"), &survey(), Some("purged"));
        check(file("binlog.000002"), &other, Some("another"));
        check(file("binlog.000004"), &survey(), Some("after the end"));
        let mut cut = survey();
        cut.files = vec![("binlog.000002".into(), 3), ("binlog.000003".into(), 700)];
        check(file("binlog.000002"), &cut, Some("binlog.000002:3"));
        let mut large = survey();
        large.current.offset = 5_000_000_000;
        let mut beyond = file("binlog.000003");
        beyond.observe(FileOffset {
            offset: 4_999_999_999,
            ..beyond.at().clone()
        });
        check(beyond, &large, Some("beyond 4 GiB"));
        let mut anew = survey();
        anew.first_file = "binlog.000001".into();
        check(file("binlog.000002"), &anew, Some("begun anew"));
        let mut off = survey();
        off.gtid_on = false;
        check(gtid("A:1-5"), &off, Some("gtid_mode"));
    }

    #[test]
    fn a_set_that_the_server_takes_no_more_gives_way_to_file_and_offset() {
        let recorded = checkpoint(gtid("A:1-5"));
        let at = recorded.position.at().clone();
        let by_file = Position::File { at };
        let off = Survey {
            gtid_on: false,
            ..survey()
        };
        assert_eq!(placed(&recorded, &survey()), recorded);
        assert_eq!(placed(&recorded, &off).position, by_file);
        // Of another server, file and offset say nothing.
        let other = Survey {
            server_uuid: "other".into(),
            ..off.clone()
        };
        assert_eq!(placed(&recorded, &other), recorded);
        let mut passes_over = recorded.clone();
        passes_over.lineage.passes_over = true;
        assert_eq!(placed(&passes_over, &off), passes_over);
    }

    #[test]
    fn a_mariadb_server_that_began_its_binlog_anew_is_found_by_its_files() {
        let mariadb = |first_file: &str, state: &str| Survey {
            gtid_on: false,
            first_file: first_file.to_owned(),
            mariadb: Some(crate::source::MariadbPlaces {
                state: binlog_bridge_core::position::gtids(state).unwrap(),
                ..Default::default()
            }),
            ..survey()
        };
        let at = FileOffset {
            file: "binlog.000003".into(),
            offset: 500,
        };
        let recorded = checkpoint(Position::Mariadb {
            gtid_pos: "0-1-7".parse().unwrap(),
            at,
        });
        let check = |survey: &Survey| check_lineage(&recorded, survey);
        assert_eq!(check(&mariadb("binlog.000002", "0-1-9")), Ok(()));
        // It has the number, but gave it again.
        let anew = check(&mariadb("binlog.000001", "0-1-9"));
        assert!(
            matches!(anew, Err(StartError::BegunAnew { .. })),
            "{anew:?}"
        );
        let lost = check(&mariadb("binlog.000002", "0-1-6"));
        assert!(
            matches!(lost, Err(StartError::LostTransactions { .. })),
            "{lost:?}"
        );
        let shorter = Survey {
            current: FileOffset {
                file: "binlog.000003".into(),
                offset: 400,
            },
            ..mariadb("binlog.000002", "0-1-9")
        };
        assert!(matches!(
            check(&shorter),
            Err(StartError::AfterTheEnd { .. })
        ));
        // On another server only numbers count.
        let other = Survey {
            server_uuid: "other".into(),
            ..mariadb("binlog.000001", "0-1-9")
        };
        assert_eq!(check(&other), Ok(()));
    }
}
