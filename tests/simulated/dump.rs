//! The simulated half of [`Dump`]: one connection to the server in memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge::source::{Dump, SourceError, Survey};
use binlog_bridge_core::event::{EventBlock, Part};
use binlog_bridge_core::position::{GtidSet, Position};

use crate::simulated::events::{self, event};
use crate::simulated::random::Random;
use crate::simulated::server::{Server, gtid};

pub struct SimDump {
    server: Arc<Mutex<Server>>,
    random: Random,
    network: Arc<Mutex<Network>>,
    open: Option<Open>,
}

/// How well the connection is.
pub struct Network {
    pub cuts_per_mille: u64,
    /// Events that arrive together at most.
    pub block_events_max: u64,
}

struct Open {
    file: usize,
    event: usize,
    /// What the server makes up before the first event.
    preamble: Vec<Vec<u8>>,
    skip: GtidSet,
}

impl SimDump {
    pub fn new(server: Arc<Mutex<Server>>, random: Random, network: Arc<Mutex<Network>>) -> Self {
        Self {
            server,
            random,
            network,
            open: None,
        }
    }

    fn server<T>(&self, work: impl FnOnce(&mut Server) -> T) -> T {
        work(&mut self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn network(&self) -> (u64, u64) {
        let network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        (network.cuts_per_mille, network.block_events_max)
    }

    async fn request(&mut self) -> Result<(), SourceError> {
        tokio::time::sleep(Duration::from_millis(self.random.below(0..20))).await;
        let (cuts, _) = self.network();
        if self.random.per_mille(cuts) {
            Err(lost())
        } else {
            Ok(())
        }
    }

    /// Takes what has arrived: some events, cut anywhere.
    fn take(&mut self, block: &mut EventBlock) -> bool {
        let (_, most) = self.network();
        let count = self.random.below(1..most + 1);
        let Some(mut open) = self.open.take() else {
            return false;
        };
        for bytes in open.preamble.drain(..) {
            block.push(Part::Whole, &[&bytes]);
        }
        let mut left = count;
        while left > 0 {
            let next = self.server(|server| {
                let file = &server.files[open.file];
                let event = file.events.get(open.event)?;
                open.event += 1;
                if event.bytes[4] == events::ROTATE {
                    (open.file, open.event) = (open.file + 1, 0);
                }
                let is_skipped = event
                    .transaction
                    .is_some_and(|n| open.skip.contains(&gtid(n)));
                Some((!is_skipped).then(|| event.bytes.clone()))
            });
            match next {
                None => break,
                Some(None) => {}
                Some(Some(bytes)) => {
                    self.push(block, &bytes);
                    left -= 1;
                }
            }
        }
        self.open = Some(open);
        !block.is_empty()
    }

    /// Now and then an event comes in parts.
    fn push(&mut self, block: &mut EventBlock, bytes: &[u8]) {
        if bytes.len() < 60 || !self.random.per_mille(50) {
            return block.push(Part::Whole, &[bytes]);
        }
        let (first, rest) = bytes.split_at(30);
        let (middle, last) = rest.split_at(rest.len() / 2);
        block.push(Part::First, &[first]);
        block.push(Part::Middle, &[middle]);
        block.push(Part::Last, &[last]);
    }
}

fn lost() -> SourceError {
    let detail = "simulated".to_owned();
    SourceError::Unreachable {
        host: "sim".to_owned(),
        port: 3306,
        detail,
    }
}

impl Dump for SimDump {
    async fn survey(&mut self) -> Result<Survey, SourceError> {
        self.request().await?;
        Ok(self.server(Server::survey))
    }

    async fn open(&mut self, position: &Position) -> Result<(), SourceError> {
        self.open = None;
        self.request().await?;
        let open = self.server(|server| {
            let (file, mut event_number) = server.find(position);
            let name = &server.files[file].name;
            let start = server.files[file]
                .events
                .get(event_number)
                .map(|event| event.start);
            let start = start.unwrap_or(server.current().offset);
            let mut preamble = vec![event(events::ROTATE, None, &events::rotate(name, start))];
            if event_number > 0 {
                let body = events::format_description(0);
                preamble.push(event(events::FORMAT_DESCRIPTION, None, &body));
            }
            let last = server.files[file].events.last().unwrap();
            let is_past_end = event_number == server.files[file].events.len();
            let (mut file, is_over) = (file, last.bytes[4] == events::ROTATE);
            if is_past_end && is_over {
                (file, event_number) = (file + 1, 0);
            }
            let skip = position.gtid_set().cloned().unwrap_or_default();
            Open {
                file,
                event: event_number,
                preamble,
                skip,
            }
        });
        self.open = Some(open);
        Ok(())
    }

    async fn next(&mut self, block: &mut EventBlock) -> Result<(), SourceError> {
        let grown = self.server(|server| Arc::clone(&server.grown));
        tokio::time::sleep(Duration::from_millis(self.random.below(0..8))).await;
        loop {
            let notified = grown.notified();
            let (cuts, _) = self.network();
            if self.open.is_none() || self.random.per_mille(cuts) {
                self.open = None;
                return Err(lost());
            }
            if self.take(block) {
                return Ok(());
            }
            notified.await;
        }
    }
}
