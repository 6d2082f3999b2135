//! What happened in a simulation, line by line: as one number, and with `SIM_TRACE=1` as text.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Shared by everything in one simulated world.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    sum: u64,
    line: String,
    is_loud: bool,
    started: Instant,
}

impl Default for Trace {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            sum: 0xcbf2_9ce4_8422_2325,
            line: String::new(),
            is_loud: std::env::var_os("SIM_TRACE").is_some(),
            started: Instant::now(),
        })))
    }
}

impl Trace {
    /// Everything that was noted so far, as one number: equal runs have equal ones.
    pub fn sum(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sum
    }

    /// Takes note of what happened now.
    pub fn note(&self, who: &str, what: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = std::mem::take(&mut inner.line);
        line.clear();
        let now = inner.started.elapsed().as_micros();
        write!(line, "{now} {who} {what}").unwrap();
        // FNV-1a.
        for byte in line.bytes() {
            inner.sum = (inner.sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if inner.is_loud {
            eprintln!("{line}");
        }
        inner.line = line;
    }
}
