//! The process that a simulated half belongs to: it can be killed exactly before and after each of its effects.

use std::sync::{Arc, Mutex, PoisonError};

use crate::simulated::trace::Trace;

/// One process of the connector, as the simulated halves see it.
#[derive(Clone)]
pub struct Process {
    pub name: Arc<str>,
    pub trace: Trace,
    life: Arc<Mutex<Life>>,
}

#[derive(Default)]
struct Life {
    /// Points that it has passed: one before and one after each effect.
    passed: u64,
    dies_at: Option<u64>,
    is_dead: bool,
    /// What happens at a point that is still to come.
    planned: Option<(u64, Box<dyn FnOnce() + Send>)>,
}

impl Process {
    pub fn new(name: &str, trace: Trace) -> Self {
        Self {
            name: name.into(),
            trace,
            life: Arc::default(),
        }
    }

    fn life<T>(&self, work: impl FnOnce(&mut Life) -> T) -> T {
        work(&mut self.life.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on, unless the process dies here: then nothing of it goes on.
    pub async fn point(&self, what: &str) {
        self.trace.note(&self.name, what);
        let (is_dead, happens) = self.life(|life| {
            life.passed += 1;
            life.is_dead |= life.dies_at.is_some_and(|at| life.passed > at);
            let passed = life.passed;
            let happens = life.planned.take_if(|(at, _)| passed > *at);
            (life.is_dead, happens)
        });
        if let Some((_, work)) = happens {
            work();
        }
        if is_dead {
            std::future::pending::<()>().await;
        }
    }

    /// How many points it has passed.
    pub fn passed(&self) -> u64 {
        self.life(|life| life.passed)
    }

    /// Lets it die after so many more points.
    pub fn die_after(&self, points: u64) {
        self.life(|life| life.dies_at = Some(life.passed + points));
    }

    /// Lets something happen to it after so many more points.
    pub fn meet_after(&self, points: u64, work: impl FnOnce() + Send + 'static) {
        self.life(|life| life.planned = Some((life.passed + points, Box::new(work))));
    }

    /// True once it has died at a point.
    pub fn is_dead(&self) -> bool {
        self.life(|life| life.is_dead)
    }
}
