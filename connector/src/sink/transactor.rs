//! The exactly-once state machine: one Kafka transaction at a time, never a guess about its outcome.
//!
//! A commit is *certain* only if EndTxn was sent once. The client repeats it by itself after a time-out or a
//! broken connection, and a delayed first one can end the *next* transaction of the same producer. So a
//! producer is used again only after a certain commit. After any other it is dropped, a new one is made
//! (its epoch makes whatever is late harmless), and the state topic says what happened (I2, I3, I5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use binlog_bridge_core::encode::{ArenaFull, Batch, TopicPartition};
use binlog_bridge_core::state::{self, Owner, State, StateError};
use tokio::time::Instant;

use super::log::{CommitAnswer, Isolation, Log, LogError, LogErrorKind};

/// A commit slower than this may have been repeated by the client, whose first repetition comes after
/// `retry.backoff.ms` = 1000.
const COMMIT_CERTAIN_MAX: Duration = Duration::from_millis(500);
/// How much longer than brokers let a transaction be open one may hold back the state topic: they look every 10 s by
/// default, and the end has to reach the partition.
const STATE_HELD_MARGIN: Duration = Duration::from_secs(30);
/// How long to wait between looks at a state topic that is held back.
const STATE_READ_PAUSE: Duration = Duration::from_millis(100);
/// Commits between two looks at the end of the state topic, so that a read-back is short.
const COMMITS_BETWEEN_LOOKS: u32 = 1000;
/// How long a command may take that has borrowed the task's state; one that was killed never gives it back.
const COMMAND_MAX: Duration = Duration::from_secs(15);
/// How long to wait between looks whether it has.
const COMMAND_PAUSE: Duration = Duration::from_millis(200);
/// Between two looks whether topics are still those that they were. A topic that somebody makes anew takes no row that
/// is committed later than this.
const TOPICS_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Unknown commits in a row after which the broker is called slow.
const UNKNOWN_IN_A_ROW_WARN: u32 = 3;

/// Publishes batches, each Kafka transaction with the record that proves it.
#[derive(Debug)]
pub struct Transactor<L> {
    log: L,
    state: TopicPartition,
    instance: String,
    /// Everything of ours that is committed in the state topic lies before this offset or was read.
    next_offset: i64,
    is_open: bool,
    commits_since_look: u32,
    unknown_in_a_row: u32,
    /// Who owns the task by the state topic, if that is another instance, and was told after the start.
    rival: Option<Owner>,
    /// Who owned the task when the state was read, until this one does.
    before: Option<String>,
    /// The task was given back by whoever owned it meanwhile.
    was_given_back: bool,
    /// The last commit was found in the state topic, whoever has followed it there.
    was_read_back: bool,
    /// The id of each topic that is written to.
    watched: BTreeMap<String, String>,
    /// Topics that were written to since the last look at their ids.
    written: BTreeSet<Arc<str>>,
    looked_at_topics: Option<Instant>,
}

/// The record of the state topic whose presence proves that a transaction was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The record's key.
    pub key: String,
    /// Its value; never the same in two transactions of a run.
    pub value: Vec<u8>,
}

/// How a commit was found to have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// EndTxn was sent once and answered.
    Certain,
    /// The state topic had to be asked.
    ReadBack,
}

/// Why nothing more can be published for now.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A step failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The transaction is not in Kafka.
    #[error(
        "kafka: the outcome of a commit was unknown, and the state topic shows that it was not made"
    )]
    NotCommitted,
    /// Somebody's transaction is open and does not end.
    #[error(
        "kafka: a transaction that does not end holds back topic {topic} from offset {offset} on"
    )]
    HangingTransaction {
        /// The state topic.
        topic: String,
        /// Where the transaction begins there.
        offset: i64,
    },
    /// Another instance of the task has taken over.
    #[error(
        "kafka: instance {instance} of the same task has taken over, started at {started_ts_ms} ms since 1970"
    )]
    TakenOver {
        /// The other instance's id.
        instance: String,
        /// When it started.
        started_ts_ms: i64,
    },
    /// The instance that is being followed has fenced this one, which has not said yet that it takes over.
    #[error(
        "kafka: instance {instance}, which owned the task before, has fenced this one, which is about to take over"
    )]
    CameBack {
        /// The other instance's id.
        instance: String,
    },
    /// A topic was deleted while it was written to.
    #[error("kafka: topic {topic} is gone")]
    TopicMissing {
        /// The topic.
        topic: String,
    },
    /// A topic was deleted and made again while it was written to.
    #[error(
        "topic {topic} is not the one that was published to: its id was {recorded} and is {found}"
    )]
    TopicReplaced {
        /// The topic.
        topic: String,
        /// Its id before.
        recorded: String,
        /// Its id now.
        found: String,
    },
    /// Records of the state were deleted.
    #[error("the beginning of the state topic {topic} was deleted")]
    StateCut {
        /// The state topic.
        topic: String,
    },
    /// A command changes the state, and gives the task back.
    #[error("kafka: `binlog-bridge {command}` has borrowed the state of the task")]
    Borrowed {
        /// The command.
        command: String,
    },
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A batch is too large.
    #[error(transparent)]
    Batch(#[from] ArenaFull),
}

impl<L: Log> Transactor<L> {
    /// Fences every older instance, and only then reads the state (I5). The state topic exists.
    ///
    /// # Errors
    /// [`SinkError`]
    pub async fn start(
        mut log: L,
        state_topic: &str,
        instance: &str,
    ) -> Result<(Self, State), SinkError> {
        log.init().await?;
        let mut this = Self::new(log, state_topic, instance);
        let found = this.read_all().await?;
        let before = found.owner.as_ref().map(|owner| owner.instance.clone());
        this.before = before.filter(|before| before != instance);
        Ok((this, found))
    }

    /// As [`Self::start`], but makes its owner the task's before the state is read: an instance that is fenced by this
    /// looks for who did it at once.
    ///
    /// # Errors
    /// [`SinkError`]
    pub async fn borrow(
        mut log: L,
        state_topic: &str,
        owner: &Owner,
    ) -> Result<(Self, State), SinkError> {
        log.init().await?;
        let mut this = Self::new(log, state_topic, &owner.instance);
        let mark = Mark {
            key: state::owner_key(),
            value: serde_json::to_vec(owner).expect("an owner is plain JSON"),
        };
        // Who owned the task before is none of this.
        this.next_offset = this
            .log
            .end_offset(state_topic, Isolation::ReadUncommitted)
            .await?;
        this.commit(Batch::default(), &mark).await?;
        let found = this.read_all().await?;
        Ok((this, found))
    }

    fn new(log: L, state_topic: &str, instance: &str) -> Self {
        let state = TopicPartition {
            topic: state_topic.into(),
            partition: 0,
        };
        Self {
            log,
            state,
            instance: instance.to_owned(),
            next_offset: 0,
            is_open: false,
            commits_since_look: 0,
            unknown_in_a_row: 0,
            rival: None,
            before: None,
            was_given_back: false,
            was_read_back: false,
            watched: BTreeMap::new(),
            written: BTreeSet::new(),
            looked_at_topics: None,
        }
    }

    /// The state from its beginning. Whoever owned the task before is fenced.
    async fn read_all(&mut self) -> Result<State, SinkError> {
        self.next_offset = 0;
        let topic = self.state.topic.to_string();
        if self.log.begin_offset(&topic).await? > 0 {
            return Err(SinkError::StateCut { topic });
        }
        let mut found = State::default();
        for (key, value) in self.read_state().await? {
            found.apply(&key, value.as_deref())?;
        }
        self.rival = None;
        self.was_given_back = false;
        Ok(found.checked()?)
    }

    /// True if the topic was given to [`Self::watch`].
    pub fn is_watched(&self, topic: &str) -> bool {
        self.watched.contains_key(topic)
    }

    /// From now on the topic must have this id whenever a transaction with records for it is committed.
    pub fn watch(&mut self, topic: &str, id: &str) {
        self.watched.insert(topic.to_owned(), id.to_owned());
    }

    /// The log, for topic requests between transactions.
    pub fn log(&mut self) -> &mut L {
        &mut self.log
    }

    /// Where records of the state go.
    pub fn state_target(&self) -> &TopicPartition {
        &self.state
    }

    /// True if a part of a source transaction was appended and its commit is still to come.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Appends a part of a source transaction. Its records are acknowledged on return, not committed.
    ///
    /// # Errors
    /// [`SinkError`]; the transaction is lost then.
    pub async fn append(&mut self, batch: Batch) -> Result<Batch, SinkError> {
        self.look_at_topics(&batch).await?;
        if !self.is_open {
            self.log.begin().await?;
            self.is_open = true;
        }
        Ok(self.log.append(batch).await?)
    }

    /// Now and then, before records are sent: a topic that was deleted and made again takes records like the one of before, and
    /// nobody would know what is missing in it.
    async fn look_at_topics(&mut self, batch: &Batch) -> Result<(), SinkError> {
        for (to, arena) in batch.arenas() {
            if !arena.records().is_empty() && !self.written.contains(&to.topic) {
                self.written.insert(Arc::clone(&to.topic));
            }
        }
        let is_fresh = |at: Instant| at.elapsed() < TOPICS_LOOK_INTERVAL;
        if self.looked_at_topics.is_some_and(is_fresh) {
            return Ok(());
        }
        let written = std::mem::take(&mut self.written);
        let is_watched = |topic: &&Arc<str>| self.watched.contains_key(&***topic);
        let topics: Vec<String> = written
            .iter()
            .filter(is_watched)
            .map(ToString::to_string)
            .collect();
        if topics.is_empty() {
            return Ok(());
        }
        let described = match self.log.describe_topics(&topics).await {
            // Any broker may have been asked, also one that is needed for nothing else.
            Err(error) if error.kind == LogErrorKind::Unreachable => {
                tracing::debug!(%error, "the ids of topics are not known");
                self.looked_at_topics = Some(Instant::now());
                return Ok(());
            }
            described => described?,
        };
        for (topic, found) in topics.into_iter().zip(described) {
            let Some(found) = found else {
                // A broker that has just begun may not know it for a moment: the next run looks again.
                return Err(SinkError::TopicMissing { topic });
            };
            if let Some(recorded) = self.watched.get(&topic)
                && *recorded != found.id
            {
                let recorded = recorded.clone();
                return Err(SinkError::TopicReplaced {
                    topic,
                    recorded,
                    found: found.id,
                });
            }
        }
        self.looked_at_topics = Some(Instant::now());
        Ok(())
    }

    /// Appends the last part, with the mark as its last record, and commits.
    ///
    /// # Errors
    /// [`SinkError`]; the transaction is then not in Kafka, or cannot be proven to be.
    pub async fn commit(
        &mut self,
        mut batch: Batch,
        mark: &Mark,
    ) -> Result<(Batch, Committed), SinkError> {
        self.was_read_back = false;
        let end = self.look_at_end().await?;
        batch.push(&self.state, Some(mark.key.as_bytes()), Some(&mark.value))?;
        let batch = self.append(batch).await?;
        let answer = self.log.commit().await;
        self.is_open = false;
        // A new producer would fence the one that fenced this one: first the owner record has its say.
        let answer = match answer.result {
            Err(error) if error.kind.is_fenced() => return Err(error.into()),
            result => CommitAnswer { result, ..answer },
        };
        if is_certain(&answer) {
            self.unknown_in_a_row = 0;
            if let Some(end) = end {
                self.next_offset = end;
            }
            self.was_committed(mark);
            return Ok((batch, Committed::Certain));
        }
        if let Err(error) = &answer.result {
            tracing::warn!(%error, elapsed_ms = answer.elapsed.as_millis(), "commit outcome unknown");
        }
        self.unknown_in_a_row += 1;
        if self.unknown_in_a_row == UNKNOWN_IN_A_ROW_WARN {
            tracing::warn!("three commits in a row were slow or broken: the broker is slow");
        }
        self.read_back(mark).await?;
        self.was_committed(mark);
        Ok((batch, Committed::ReadBack))
    }

    /// Once its owner record is there, whoever comes is newer.
    fn was_committed(&mut self, mark: &Mark) {
        if mark.key == state::owner_key() {
            self.before = None;
        }
    }

    /// Takes the owner record back, unless a transaction is open: a producer that has aborted is of no use.
    ///
    /// # Errors
    /// [`SinkError`], such as that another one owns the task by now.
    pub async fn disown(&mut self) -> Result<(), SinkError> {
        if self.is_open {
            self.abandon().await;
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.push(&self.state, Some(state::owner_key().as_bytes()), None)?;
        self.append(batch).await?;
        self.is_open = false;
        self.log.commit().await.result?;
        Ok(())
    }

    /// Gives up the open transaction. The producer is of no use after it: its EndTxn may be late too.
    pub async fn abandon(&mut self) {
        if std::mem::take(&mut self.is_open)
            && let Err(error) = self.log.abort().await
        {
            tracing::debug!(%error, "abort failed; the next start ends the transaction");
        }
    }

    /// A new producer first: once it is initialised, the old transaction is over, whatever is still on its way.
    async fn read_back(&mut self, mark: &Mark) -> Result<(), SinkError> {
        self.log.init().await?;
        let records = self.read_state().await?;
        let last = last_of(&records, &mark.key);
        let is_there = last == Some(Some(mark.value.as_slice()));
        self.was_read_back = records.iter().any(|record| is_mark(record, mark));
        self.refuse_rival()?;
        if is_there {
            Ok(())
        } else {
            Err(SinkError::NotCommitted)
        }
    }

    /// Whether the last commit, which had this mark, is in Kafka. Asked after one that was answered by fencing, or that
    /// another instance followed, which may have been made; nobody is fenced by it.
    ///
    /// # Errors
    /// [`SinkError`]
    pub async fn has(&mut self, mark: &Mark) -> Result<bool, SinkError> {
        if self.was_read_back {
            return Ok(true);
        }
        let records = self.read_state().await?;
        Ok(records.iter().any(|record| is_mark(record, mark)))
    }

    fn refuse_rival(&self) -> Result<(), SinkError> {
        match self.rival.clone() {
            None => Ok(()),
            Some(Owner {
                command: Some(command),
                ..
            }) => Err(SinkError::Borrowed { command }),
            // It made a new producer, as it had no answer to a commit, and knows nothing of this one yet.
            Some(owner) if self.before.as_ref() == Some(&owner.instance) => {
                let instance = owner.instance;
                Err(SinkError::CameBack { instance })
            }
            Some(owner) => Err(SinkError::TakenOver {
                instance: owner.instance,
                started_ts_ms: owner.started_ts_ms,
            }),
        }
    }

    /// The last owner record decides: one that was taken back names nobody.
    fn note_owner(&mut self, records: &Records) -> Result<(), StateError> {
        let is_owner = |key: &[u8]| key == state::owner_key().as_bytes();
        let owners = || records.iter().filter(|(key, _)| is_owner(key));
        let mut found = State::default();
        for (key, owner) in owners() {
            found.apply(key, owner.as_deref())?;
            // From here on whoever owns the task is newer, whatever was answered to our commit.
            if found
                .owner
                .as_ref()
                .is_some_and(|owner| owner.instance == self.instance)
            {
                self.before = None;
            }
        }
        if owners().next().is_some() {
            self.was_given_back |= found.owner.is_none();
            self.rival = found.owner.filter(|owner| owner.instance != self.instance);
        }
        Ok(())
    }

    /// After fencing: who did it? A transaction that timed out looks the same, with our own owner record.
    ///
    /// # Errors
    /// [`SinkError::TakenOver`] or [`SinkError::Borrowed`] if another one owns the task by now.
    pub async fn look_for_rival(&mut self) -> Result<(), SinkError> {
        self.read_state().await?;
        self.refuse_rival()
    }

    /// The same for an idle instance: what is committed by now, without waiting for open transactions.
    ///
    /// # Errors
    /// [`SinkError::TakenOver`] or [`SinkError::Borrowed`] if another one owns the task by now.
    pub async fn glance_for_rival(&mut self) -> Result<(), SinkError> {
        let topic = self.state.topic.to_string();
        let read = self.log.read_committed(&topic, self.next_offset).await?;
        self.note_owner(&read.records)?;
        self.next_offset = self.next_offset.max(read.next_offset);
        self.refuse_rival()
    }

    /// True if a command had borrowed the state, and has given it back by now: that explains why we were fenced.
    pub fn was_given_back(&self) -> bool {
        self.was_given_back
    }

    /// After a command has borrowed the state: waits until it has given it back, or is taken for dead.
    ///
    /// # Errors
    /// [`SinkError`], if another instance owns the task by then, too.
    pub async fn await_return(&mut self) -> Result<(), SinkError> {
        let deadline = Instant::now() + COMMAND_MAX;
        loop {
            match self.look_for_rival().await {
                Err(SinkError::Borrowed { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(COMMAND_PAUSE).await;
                }
                Err(SinkError::Borrowed { command }) => {
                    tracing::warn!(command, "it has not given the task back; taking it");
                    return Ok(());
                }
                other => return other,
            }
        }
    }

    /// Reads all committed records of the state topic from the last offset known. The end is taken once, by a
    /// client that sees uncommitted records: one that does not would report the last stable offset.
    async fn read_state(&mut self) -> Result<Records, SinkError> {
        let topic = self.state.topic.to_string();
        let end = self
            .log
            .end_offset(&topic, Isolation::ReadUncommitted)
            .await?;
        if self.next_offset >= end {
            return Ok(Vec::new());
        }
        let held_max = self.log.transaction_timeout() + STATE_HELD_MARGIN;
        let mut deadline = Instant::now() + held_max;
        let mut records = Vec::new();
        let mut is_told = false;
        loop {
            let read = self.log.read_committed(&topic, self.next_offset).await?;
            records.extend(read.records);
            if read.next_offset > self.next_offset {
                deadline = Instant::now() + held_max;
            }
            self.next_offset = read.next_offset;
            if self.next_offset >= end {
                self.note_owner(&records)?;
                return Ok(records);
            }
            if Instant::now() >= deadline
                && let Some((_, offset)) = self.log.held_back(&topic, 1).await?.pop()
            {
                return Err(SinkError::HangingTransaction { topic, offset });
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::info!(
                    topic,
                    end,
                    "an open transaction holds back the state; waiting for its end"
                );
            }
            tokio::time::sleep(STATE_READ_PAUSE).await;
        }
    }

    /// Now and then, before a commit: the end of the state topic. If the commit is certain, nobody had taken
    /// over by then, so that no other owner's record lies before it.
    async fn look_at_end(&mut self) -> Result<Option<i64>, SinkError> {
        self.commits_since_look += 1;
        if self.commits_since_look < COMMITS_BETWEEN_LOOKS {
            return Ok(None);
        }
        self.commits_since_look = 0;
        let topic = self.state.topic.to_string();
        Ok(Some(
            self.log
                .end_offset(&topic, Isolation::ReadUncommitted)
                .await?,
        ))
    }
}

fn is_mark((key, value): &(Vec<u8>, Option<Vec<u8>>), mark: &Mark) -> bool {
    key == mark.key.as_bytes() && value.as_deref() == Some(mark.value.as_slice())
}

/// Keys and values in order; a null value is a deletion.
type Records = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The value of the last record with the key.
fn last_of<'a>(records: &'a Records, key: &str) -> Option<Option<&'a [u8]>> {
    let last = records
        .iter()
        .rev()
        .find(|(found, _)| found == key.as_bytes());
    last.map(|(_, value)| value.as_deref())
}

fn is_certain(answer: &CommitAnswer) -> bool {
    answer.result.is_ok() && !answer.transport_error && answer.elapsed < COMMIT_CERTAIN_MAX
}
