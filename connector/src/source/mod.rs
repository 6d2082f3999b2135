//! What did the server send next? Everything that talks to MySQL.

mod dump;

pub use dump::{Dump, Survey};
