//! What goes wrong, and when: by chance, or as a test has written it down.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::simulated::random::Random;

/// A step of one of the three seams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Init,
    Begin,
    Append,
    Commit,
    Abort,
    Read,
    Describe,
    Admin,
    Survey,
    Definition,
    Open,
    Next,
    Registry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An error, and nothing was done.
    Before,
    /// An error, though it was done.
    After,
    /// It was done, but the answer comes much later, or too late.
    Held,
    /// It takes long, and goes well.
    Lazy,
    /// The broker ended the transaction and the epoch before the step.
    TimedOut,
    /// The coordinator has moved or is loading: the client asks again after its back-off.
    Moved,
    /// End of transaction: an error at once; EndTxn arrives later.
    LateError,
    /// End of transaction: well, by a repetition; the first EndTxn arrives even later.
    Slow,
    /// End of transaction: it was made, the answer was lost, and the repetition is answered.
    AnswerLost,
    /// End of transaction: well, but a connection broke; EndTxn arrives once more later.
    Transport,
    /// The topic is not known for a moment.
    Missing,
    /// Append: nothing is acknowledged until the client gives up. Dump: a silent connection.
    Hang,
}

pub const ALL: [Fault; 12] = [
    Fault::Before,
    Fault::After,
    Fault::Held,
    Fault::Lazy,
    Fault::TimedOut,
    Fault::Moved,
    Fault::LateError,
    Fault::Slow,
    Fault::AnswerLost,
    Fault::Transport,
    Fault::Missing,
    Fault::Hang,
];

impl Fault {
    /// True if the fault can meet the step.
    fn fits(self, step: Step) -> bool {
        let is_end = matches!(step, Step::Commit | Step::Abort);
        let is_producer = is_end || matches!(step, Step::Init | Step::Append);
        match self {
            Self::Before => true,
            Self::After => !matches!(step, Step::Begin | Step::Next),
            Self::Held | Self::Lazy => step != Step::Begin && step != Step::Next,
            Self::TimedOut => matches!(step, Step::Append | Step::Commit),
            Self::Moved => is_producer,
            Self::LateError | Self::Slow | Self::AnswerLost | Self::Transport => is_end,
            Self::Missing => matches!(step, Step::Append | Step::Describe),
            Self::Hang => matches!(step, Step::Append | Step::Next),
        }
    }
}

pub struct Scripted {
    pub step: Step,
    /// How many such steps go well before.
    pub after: u32,
    pub fault: Fault,
}

/// The faults of one seam.
pub struct Faults {
    pub per_mille: u64,
    /// Which faults chance may make.
    pub kinds: Vec<Fault>,
    /// Which faults to make when, for tests that are directed.
    pub script: Vec<Scripted>,
    /// How often each fault was made.
    pub made: BTreeMap<Fault, u64>,
    random: Random,
}

impl Faults {
    pub fn new(random: Random, per_mille: u64) -> Self {
        Self {
            per_mille,
            kinds: ALL.to_vec(),
            script: Vec::new(),
            made: BTreeMap::new(),
            random,
        }
    }

    /// A step begins: which fault meets it?
    pub fn meet(&mut self, step: Step) -> Option<Fault> {
        let fault = self.scripted(step).or_else(|| self.roll(step))?;
        *self.made.entry(fault).or_default() += 1;
        Some(fault)
    }

    fn scripted(&mut self, step: Step) -> Option<Fault> {
        let index = self
            .script
            .iter()
            .position(|scripted| scripted.step == step)?;
        let scripted = &mut self.script[index];
        if scripted.after > 0 {
            scripted.after -= 1;
            return None;
        }
        Some(self.script.remove(index).fault)
    }

    fn roll(&mut self, step: Step) -> Option<Fault> {
        if !self.random.per_mille(self.per_mille) {
            return None;
        }
        let kinds: Vec<Fault> = self
            .kinds
            .iter()
            .copied()
            .filter(|kind| kind.fits(step))
            .collect();
        if kinds.is_empty() {
            return None;
        }
        let kind = self.random.one_of(&kinds);
        // A broker that ends transactions is rare, as it may end the task.
        (kind != Fault::TimedOut || self.random.per_mille(300)).then_some(kind)
    }

    /// How long an answer is held: mostly seconds, at times longer than anybody waits.
    pub fn hold(&mut self) -> Duration {
        let most = self.random.one_of(&[2_000, 2_000, 10_000, 100_000]);
        Duration::from_millis(self.random.below(500..most))
    }
}
