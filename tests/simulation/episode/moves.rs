//! Somebody moves the task, whether it could go on or not.

use std::time::Duration;

use binlog_bridge::error::{Error, Verdict};
use binlog_bridge::offsets::Target;
use binlog_bridge::sink::transactor::SinkError;
use binlog_bridge::start::StartError;
use binlog_bridge_tests::simulated::faults::Fault;

use super::Episode;
use crate::offsets::command;
use crate::world::World;

impl Episode {
    /// Now and then somebody moves the task though it could go on.
    pub(super) async fn move_at_times(&mut self) -> Result<(), String> {
        let is_over = self.is_over();
        let Some(random) = self.moves.as_mut().filter(|_| !is_over) else {
            return Ok(());
        };
        if !random.per_mille(100) {
            return Ok(());
        }
        let target = random.one_of(&[Target::Newest, Target::Newest, Target::Oldest]);
        let dies = random.per_mille(300);
        let dies_after = dies.then(|| random.below(0..60));
        // A broker may not know the state topic for a moment.
        let unknown = |world: &World| world.faults_made().get(&Fault::Missing).copied();
        let (before, begun) = (unknown(&self.world), self.world.checker().begun());
        let (moved, _) = command(&mut self.world, target, dies_after).await;
        // What it has sent arrives before the binlog is another one.
        tokio::time::sleep(Duration::from_secs(70)).await;
        self.world.check()?;
        let Some(Err(error)) = moved else {
            return Ok(());
        };
        let is_allowed = match &error {
            Error::Start(StartError::NothingPublished) => {
                begun.is_none() || unknown(&self.world) != before
            }
            Error::Start(StartError::NothingMissing) => target == Target::Oldest,
            Error::Sink(SinkError::TakenOver { .. }) => true,
            _ => error.verdict() == Verdict::Restart,
        };
        match is_allowed {
            true => Ok(()),
            false => Err(format!("the task cannot be moved: {error}")),
        }
    }

    /// A task that cannot go on is moved, and goes on.
    pub(super) async fn move_on(&mut self) -> Result<(), String> {
        let Some(random) = &mut self.moves else {
            return Ok(());
        };
        let mut target = random.one_of(&[Target::Oldest, Target::Newest]);
        let is_missing = self.position_is_gone() || self.world.server().past.is_some();
        if target == Target::Oldest && !is_missing {
            let (moved, _) = command(&mut self.world, target, None).await;
            let is_refused = matches!(moved, Some(Err(Error::Start(StartError::NothingMissing))));
            if !is_refused {
                return Err("the task goes back though nothing is missing".to_owned());
            }
            target = Target::Newest;
        }
        let gaps = self.world.checker().gaps;
        let (moved, _) = command(&mut self.world, target, None).await;
        let moved = moved.ok_or("nobody killed the command")?;
        moved.map_err(|error| format!("the task cannot be moved: {error}"))?;
        self.world.check()?;
        if self.world.checker().gaps != gaps + 1 {
            return Err("consumers are not told of the move".to_owned());
        }
        self.is_halted = false;
        self.heal().await
    }
}
