//! One seed: a world, what happens to it, and who may end because of it.

mod moves;

use std::time::Duration;

use binlog_bridge::error::Error;
use binlog_bridge::sink::transactor::SinkError;
use binlog_bridge::start::{Start, StartError};
use binlog_bridge::supervise::Halt;
use binlog_bridge_core::schema::DefinitionError;
use binlog_bridge_tests::simulated::events::Metadata;
use binlog_bridge_tests::simulated::faults::{ALL, Fault};
use binlog_bridge_tests::simulated::random::Random;
use binlog_bridge_tests::simulated::rewriting::Rewriting;
use binlog_bridge_tests::simulated::server::{Event, Shutdown};
use tokio::time::Instant;

use crate::instance::Instance;
use crate::world::{STATE, World};

/// What an episode was made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub source_transactions: u64,
    pub commits: u64,
    pub kills: u64,
    pub freezes: u64,
    pub starts: u64,
    pub late_ends: u64,
    pub held_answers: u64,
    pub faults: u64,
    pub server_restarts: u64,
    pub splits: u64,
    pub gaps: u64,
    pub left_out: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.source_transactions += other.source_transactions;
        self.commits += other.commits;
        self.kills += other.kills;
        self.freezes += other.freezes;
        self.starts += other.starts;
        self.late_ends += other.late_ends;
        self.held_answers += other.held_answers;
        self.faults += other.faults;
        self.server_restarts += other.server_restarts;
        self.splits += other.splits;
        self.gaps += other.gaps;
        self.left_out += other.left_out;
    }
}

/// Everything heals and is published within this time, however many of the broker's time-outs that takes.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(300);

struct Episode {
    world: World,
    random: Random,
    /// Moves of the task are drawn from here; `None` if nobody moves it.
    moves: Option<Random>,
    /// When all is well, transactions wait for a replica that acknowledges them.
    is_semi_synchronous: bool,
    instances: Vec<Instance>,
    counts: Counts,
    /// The binlog is purged, or holds what cannot be published.
    is_halted: bool,
    /// When each instance ended, for those that have.
    lives: Vec<(String, Instant, Option<Instant>)>,
}

/// Runs one seed. The trace of all that happened, and what it was made of.
pub fn simulate(seed: u64) -> Result<(u64, Counts), String> {
    crate::runtime().block_on(async {
        let mut random = Random::new(seed);
        let world = draw_world(&mut random);
        let mut episode = Episode {
            world,
            random,
            moves: None,
            is_semi_synchronous: false,
            instances: Vec::new(),
            counts: Counts::default(),
            is_halted: false,
            lives: Vec::new(),
        };
        draw_more(seed, &mut episode);
        episode.run().await?;
        Ok((episode.world.trace.sum(), episode.counts))
    })
}

fn draw_world(random: &mut Random) -> World {
    let gtid_on = random.one_of(&[true, false]);
    let rate = random.one_of(&[0, 10, 50, 150]);
    let mut world = World::new(random.fork(), gtid_on, rate);
    if random.one_of(&[true, false]) {
        // Calm but for one kind.
        let only = random.one_of(&ALL);
        world.faults(|faults| faults.kinds = vec![only]);
    }
    let limits = &mut world.task.limits;
    limits.batch_bytes_max = usize::try_from(random.below(200..3_000)).unwrap();
    limits.commit_interval_min = Duration::from_millis(random.one_of(&[0, 0, 30]));
    // Not drawn: what a seed tells stays the same.
    if limits.batch_bytes_max.is_multiple_of(3) {
        world.task.heartbeat_interval = Some(Duration::from_millis(700));
    }
    world.task.start = match random.one_of(&[true, false]) {
        true => Start::Latest,
        false => Start::Earliest,
    };
    let timeout = Duration::from_secs(random.one_of(&[60, 60, 15]));
    limits.transaction_time_max = timeout / 2;
    if random.per_mille(300) {
        limits.transaction_bytes_max = random.below(500..4_000);
    }
    {
        let mut server = world.server();
        server.ddl_per_mille = random.one_of(&[0, 50, 200]);
        if random.per_mille(300) {
            server.metadata = Metadata::Minimal;
        }
    }
    {
        let mut broker = world.broker();
        broker.transaction_timeout = timeout;
        broker.topic_appears_after = Duration::from_millis(random.one_of(&[0, 0, 100, 3_000]));
    }
    for _ in 0..random.below(0..20) {
        world.server().grow();
    }
    world
}

/// What was added when seeds had been kept already. It is drawn apart, and for a fifth of the seeds that has none of
/// those, so that they are what they were.
fn draw_more(seed: u64, episode: &mut Episode) {
    let Some(mut random) = (seed % 5 == 2).then(|| Random::new(!seed)) else {
        return;
    };
    episode.moves = random.one_of(&[true, false]).then(|| random.fork());
    episode.is_semi_synchronous = random.one_of(&[true, false]);
    if random.one_of(&[true, false]) {
        let rewriting = random.one_of(&Rewriting::ALL);
        episode.world.registry.rewrite(Some(rewriting));
    }
}

impl Episode {
    async fn run(&mut self) -> Result<(), String> {
        self.start();
        for _ in 0..self.random.below(5..40) {
            self.act().await;
            self.world.check()?;
            self.reap().await?;
            self.move_at_times().await?;
        }
        // Mostly the faults heal, and everything has to be published.
        match self.random.below(0..20) {
            0..3 => {}
            _ if self.is_over() => {}
            3 => self.purge_all().await?,
            // Before the first checkpoint a start may lie behind it.
            4 if self.world.checker().begun().is_some() => {
                self.world.server().statement_format();
                self.is_halted = true;
            }
            5 => self.reset_all().await,
            _ => self.heal().await?,
        }
        if self.is_over() {
            self.must_halt().await?;
            self.move_on().await?;
        }
        self.kill_all().await;
        self.world.check()?;
        self.count();
        Ok(())
    }

    async fn kill_all(&mut self) {
        for instance in std::mem::take(&mut self.instances) {
            self.has_died(&instance.name);
            instance.kill().await;
        }
    }

    /// True if the stream cannot go on: its binlog is gone or holds what cannot be published.
    fn is_over(&self) -> bool {
        self.is_halted || self.world.server().past.is_some() || self.world.checker().phantom
    }

    /// Whoever is there or comes has to end, with a cause that the episode made.
    async fn must_halt(&mut self) -> Result<(), String> {
        self.world.end_faults();
        self.world.broker().topic_appears_after = Duration::ZERO;
        tokio::time::sleep(Duration::from_secs(200)).await;
        self.reap().await?;
        self.start();
        // One that was fenced while it had nothing to do finds out by its next commit.
        self.world.server().grow();
        tokio::time::sleep(Duration::from_secs(200)).await;
        self.reap().await?;
        match self.instances.first() {
            None => Ok(()),
            Some(instance) => Err(format!("{} goes on", instance.name)),
        }
    }

    /// While nobody looks, all files but the last are deleted.
    async fn purge_all(&mut self) -> Result<(), String> {
        self.kill_all().await;
        // What they have sent arrives first.
        tokio::time::sleep(Duration::from_secs(70)).await;
        self.world.check()?;
        {
            let mut server = self.world.server();
            let last = server.files.len() - 1;
            server.purge(last);
        }
        self.is_halted = self.position_is_gone();
        if !self.is_halted {
            self.heal().await?;
        }
        Ok(())
    }

    fn position_is_gone(&self) -> bool {
        let checker = self.world.checker();
        checker.position_is_gone(&self.world.server())
    }

    /// While nobody looks, the binlog is begun anew, and soon holds more than was published.
    async fn reset_all(&mut self) {
        self.kill_all().await;
        self.reset();
    }

    fn reset(&mut self) {
        if !self.world.checker().is_recognisable {
            return;
        }
        self.world.trace.note("server", "begins its binlog anew");
        let mut server = self.world.server();
        server.reset();
        for _ in 0..self.random.one_of(&[0, 10, 100]) {
            server.grow();
        }
    }

    async fn heal(&mut self) -> Result<(), String> {
        if self.is_over() {
            return Ok(());
        }
        self.world.end_faults();
        self.world.broker().topic_appears_after = Duration::ZERO;
        // Long enough for every frozen process to wake up, and for every transaction to time out.
        tokio::time::sleep(Duration::from_secs(150)).await;
        self.reap().await?;
        // What was still on its way when the faults ended may have been the beginning of a dead transaction.
        if self.is_over() {
            return Ok(());
        }
        self.catch_up().await?;
        if self.is_over() {
            return Ok(());
        }
        // One that was fenced while it had nothing to do finds out by its next commit, and leaves.
        self.world.server().grow();
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.catch_up().await?;
        self.wait_for_replicas().await
    }

    /// Nothing ends while the server's set of GTIDs is behind what it has sent.
    async fn wait_for_replicas(&mut self) -> Result<(), String> {
        if !self.is_semi_synchronous || self.is_over() {
            return Ok(());
        }
        self.world.server().acknowledge(false);
        (0..3).for_each(|_| self.world.server().grow());
        tokio::time::sleep(Duration::from_secs(5)).await;
        // What is published by now is ahead of what the server says that it has committed.
        match self.random.below(0..3) {
            0 => self.world.server().cut(),
            1 => self.kill_all().await,
            _ => {}
        }
        self.reap().await?;
        self.start_if_none();
        // Idle instances look around.
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.reap().await?;
        self.world.server().acknowledge(true);
        self.catch_up().await
    }

    /// Waits until everything is published, or cannot be; whoever dies is started again, as an orchestrator would.
    async fn catch_up(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + CAUGHT_UP_WITHIN;
        loop {
            // What does not hold stays so: time would not pass.
            self.world.check()?;
            self.reap().await?;
            self.start_if_none();
            let within = Duration::from_secs(1);
            let caught_up = self.world.caught_up(within).await;
            if self.is_over() || caught_up.is_ok() {
                return self.world.check().map(drop);
            }
            if Instant::now() >= deadline {
                return caught_up;
            }
        }
    }

    fn count(&mut self) {
        let made = self.world.faults_made();
        let of = |faults: &[Fault]| faults.iter().filter_map(|fault| made.get(fault)).sum();
        let checker = self.world.checker();
        let transactions = self.world.server().published().len();
        self.counts.source_transactions = u64::try_from(transactions).unwrap();
        self.counts.commits = checker.commits;
        self.counts.splits = checker.splits;
        self.counts.gaps = checker.gaps;
        self.counts.left_out = checker.left_out;
        self.counts.starts = self.world.started;
        self.counts.late_ends = of(&[
            Fault::LateError,
            Fault::Slow,
            Fault::AnswerLost,
            Fault::Transport,
        ]);
        self.counts.held_answers = of(&[Fault::Held]);
        self.counts.faults = made.values().sum();
    }

    fn start(&mut self) {
        let instance = self.world.start();
        self.lives
            .push((instance.name.clone(), Instant::now(), None));
        self.instances.push(instance);
    }

    fn start_if_none(&mut self) {
        if self.instances.is_empty() {
            self.start();
        }
    }

    fn has_died(&mut self, name: &str) {
        for (of, _, end) in &mut self.lives {
            if *of == name {
                end.get_or_insert(Instant::now());
            }
        }
    }

    async fn kill_last(&mut self) {
        if let Some(instance) = self.instances.pop() {
            self.world.trace.note(&instance.name, "is killed");
            self.has_died(&instance.name);
            instance.kill().await;
            self.counts.kills += 1;
        }
    }

    fn freeze_last(&mut self, ms_max: u64) {
        let time = Duration::from_millis(self.random.below(1..ms_max));
        if let Some(instance) = self.instances.last() {
            self.world.freeze(instance, time);
            self.counts.freezes += 1;
        }
    }

    async fn act(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.random.below(0..400))).await;
        match self.random.below(0..24) {
            0 => {
                self.kill_last().await;
                self.start();
            }
            1 | 2 => {
                // It dies somewhere in what it does next.
                let points = self.random.below(0..60);
                if let Some(instance) = self.instances.last() {
                    instance.process.die_after(points);
                }
            }
            3 | 4 => {
                self.freeze_last(90_000);
                self.start();
            }
            5 if self.instances.len() < 3 => self.start(),
            6 => tokio::time::sleep(Duration::from_millis(self.random.below(0..20_000))).await,
            7 => self.freeze_last(3_000),
            8 if self.instances.len() == 1 => self.instances[0].trigger.ask(),
            9 => self.server_ends(),
            10 => self.purge(),
            11 => self.compact(),
            12 => self.brokers_are_away(),
            13 if self.random.per_mille(50)
                && self.instances.iter().all(|one| one.health.is_ready()) =>
            {
                self.reset();
            }
            _ => {
                for _ in 0..self.random.below(1..8) {
                    self.world.server().grow();
                }
            }
        }
        self.start_if_none();
    }

    fn server_ends(&mut self) {
        let how = self
            .random
            .one_of(&[Shutdown::Clean, Shutdown::Crash, Shutdown::CrashInGroup]);
        let away = Duration::from_millis(self.random.one_of(&[0, 500, 8_000]));
        self.world.trace.note("server", "begins again");
        let mut server = self.world.server();
        server.restart(how);
        server.down_until = Some(Instant::now() + away);
        drop(server);
        self.counts.server_restarts += 1;
    }

    /// Deletes binlog files that nobody reads or may begin with.
    fn purge(&mut self) {
        let Some(covered) = self.world.checker().begun() else {
            return;
        };
        let at = self.world.checker().file.clone();
        let network = self.world.network();
        let read = network.read_from.iter().map(|(_, file)| *file).min();
        drop(network);
        let mut server = self.world.server();
        let is_new = |event: &Event| {
            event
                .transaction
                .is_some_and(|number| number + 1 >= covered)
        };
        let wanted = |file: usize| {
            let file = &server.files[file];
            file.name == at || file.events.iter().any(is_new)
        };
        let needed = (server.first..server.files.len()).find(|file| wanted(*file));
        let first = needed
            .unwrap_or(server.first)
            .min(read.unwrap_or(usize::MAX));
        server.purge(first);
    }

    fn compact(&mut self) {
        let keep = self.random.one_of(&[0_i64, 3, 20]);
        let drop_tombstones = self.random.one_of(&[true, false]);
        self.world.broker().compact(STATE, keep, drop_tombstones);
    }

    fn brokers_are_away(&mut self) {
        let away = Duration::from_millis(self.random.one_of(&[300, 3_000, 20_000, 100_000]));
        self.world.trace.note("broker", "all are away");
        self.world.broker().away_until = Some(Instant::now() + away);
    }

    /// Takes away what has ended. Nothing may end but for a cause that the episode made.
    async fn reap(&mut self) -> Result<(), String> {
        for instance in std::mem::take(&mut self.instances) {
            if !instance.has_ended() {
                self.instances.push(instance);
                continue;
            }
            let name = instance.name.clone();
            match instance.end().await {
                None => self.counts.kills += 1,
                Some(Ok(())) => {}
                Some(Err(halt)) => {
                    // A late EndTxn may bring a checkpoint whose place was purged meanwhile.
                    self.is_halted |= self.position_is_gone() || self.is_unproven(&halt);
                    self.may_end(&name, &halt)?;
                }
            }
            self.has_died(&name);
        }
        Ok(())
    }

    fn may_end(&self, name: &str, halt: &Halt) -> Result<(), String> {
        let is_allowed = match &halt.error {
            Error::Sink(SinkError::TakenOver { instance, .. }) => self.overlap(name, instance),
            Error::FencedByNobody => self.was_fenced(name),
            Error::PublishedAndRolledBack { .. } => self.world.checker().phantom,
            Error::Start(
                StartError::BegunAnew { .. }
                | StartError::AfterTheEnd { .. }
                | StartError::LostTransactions { .. }
                | StartError::OtherHistory { .. },
            ) => self.world.server().past.is_some(),
            Error::Start(StartError::Purged { .. })
            | Error::StatementFormat { .. }
            | Error::Definition { .. } => self.is_halted,
            _ => false,
        };
        match is_allowed {
            true => Ok(()),
            false => Err(format!("{name} ended: {}", halt.error)),
        }
    }

    /// True if a table was changed behind rows whose table maps do not name columns. It will never be known what they are.
    fn is_unproven(&self, halt: &Halt) -> bool {
        let is_changed = matches!(
            &halt.error,
            Error::Definition {
                source: DefinitionError::Changed { .. },
                ..
            }
        );
        is_changed && self.world.server().metadata == Metadata::Minimal
    }

    /// True if both lived at one time.
    fn overlap(&self, name: &str, other: &str) -> bool {
        let life = |name: &str| self.lives.iter().find(|(of, _, _)| of == name);
        match (life(name), life(other)) {
            (Some((_, begin, _)), Some((_, _, end))) => {
                name != other && end.is_none_or(|end| end >= *begin)
            }
            _ => false,
        }
    }

    /// True if others ended its epoch three times in ten minutes.
    fn was_fenced(&self, name: &str) -> bool {
        let broker = self.world.broker();
        let recent = broker.fences.iter().filter(|fence| {
            fence.at.elapsed() < Duration::from_secs(700) && fence.by.as_deref() != Some(name)
        });
        recent.count() >= 3
    }
}
