//! What a command that moves the task tells consumers: from where to where, and why. Whatever is missing in the data lies
//! in a GAP, and whatever comes twice comes behind one that says so.
//!
//! Why it was moved is asked of the server, not of the connector.

use binlog_bridge::offsets::Target;
use binlog_bridge_core::position::Position;
use binlog_bridge_tests::simulated::server::Server;
use serde_json::Value;

use crate::check::Checker;
use crate::published::{Gap, TransactionMark};

/// What a command is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub target: Target,
    /// Source transactions that the server had executed by then.
    pub executed: usize,
}

impl Checker {
    /// True if the server no longer has what follows the last checkpoint; without numbers, the place itself.
    pub fn position_is_gone(&self, server: &Server) -> bool {
        let Some(covered) = self.covered else {
            return false;
        };
        match server.gtid_on {
            true => server.purged() > covered,
            false => !server.files[server.first..]
                .iter()
                .any(|file| file.name == self.file),
        }
    }

    /// The task goes on elsewhere, perhaps in another history.
    pub(crate) fn gap(
        &mut self,
        server: &mut Server,
        mark: &TransactionMark,
        checkpoint: &Value,
    ) -> Result<(), String> {
        let gap = mark.gap.as_ref().ok_or("it does not say what it is")?;
        let asked = self.asked.ok_or("nobody asked for it")?;
        let begin = self.covered.ok_or("there was no checkpoint")?;
        self.joins_checkpoints(mark, gap, checkpoint)?;
        self.has_reason(server, gap)?;
        let is_other = server.past.is_some();
        let rest = server.published().len() - begin;
        server.past = None;
        let end = server.covered(&gap.to)?;
        let has_part = !self.progress.is_empty() && !self.phantom;
        // Of another history nobody knows whether it is one.
        let repeats = match is_other {
            true => asked.target == Target::Oldest && gap.reason != PURGED,
            false => end < begin || (end == begin && has_part),
        };
        if gap.may_repeat != repeats {
            let said = gap.may_repeat;
            return Err(format!("rows may come twice: {said}, in fact {repeats}"));
        }
        let is_asked = match asked.target {
            Target::Newest => end >= asked.executed,
            Target::Oldest if is_other => end == server.purged(),
            Target::Oldest => end == server.purged().max(begin),
        };
        if !is_asked {
            return Err(format!("it goes to {end}, asked for was {asked:?}"));
        }
        self.gaps += 1;
        let left_out = if is_other {
            rest + end
        } else {
            end.saturating_sub(begin)
        };
        self.left_out += u64::try_from(left_out).map_err(|error| error.to_string())?;
        self.covered = Some(end);
        self.progress.clear();
        self.parts = 0;
        self.phantom = false;
        Ok(())
    }

    /// It leads from the checkpoint of before to the one that is committed with it.
    fn joins_checkpoints(
        &self,
        mark: &TransactionMark,
        gap: &Gap,
        checkpoint: &Value,
    ) -> Result<(), String> {
        let position = |checkpoint: &Value| {
            serde_json::from_value::<Position>(checkpoint["position"].clone())
                .map_err(|error| error.to_string())
        };
        let (from, to) = (position(&self.checkpoint)?, position(checkpoint)?);
        if (&gap.from, &gap.to) != (&from, &to) {
            let said = (gap.from.to_string(), gap.to.to_string());
            return Err(format!("{said:?}, but the checkpoints are {from} and {to}"));
        }
        let at = to.at();
        let expected = TransactionMark {
            status: "GAP".to_owned(),
            id: format!("file={},pos={}", at.file, at.offset),
            event_count: None,
            part: None,
            gap: Some(Gap {
                from_ts_ms: self.checkpoint["source_ts_ms"].as_i64().unwrap_or(0),
                ..gap.clone()
            }),
        };
        if *mark != expected {
            return Err(format!("{mark:?} instead of {expected:?}"));
        }
        match checkpoint["split"].is_null() && checkpoint["skip_rows"] == 0 {
            true => Ok(()),
            false => Err("behind it rows would be left out".to_owned()),
        }
    }

    fn has_reason(&self, server: &Server, gap: &Gap) -> Result<(), String> {
        let (is_other, is_gone) = (server.past.is_some(), self.position_is_gone(server));
        let is_true = match gap.reason.as_str() {
            "requested" => !is_other && !is_gone,
            PURGED => is_gone,
            "binlog-begun-anew"
            | "binlog-of-another-history"
            | "position-after-the-end"
            | "transactions-lost" => is_other,
            _ => false,
        };
        match is_true {
            true => Ok(()),
            false => Err(format!(
                "its reason is {}, but purged is {is_gone}, and begun anew {is_other}",
                gap.reason
            )),
        }
    }
}

const PURGED: &str = "position-purged";
