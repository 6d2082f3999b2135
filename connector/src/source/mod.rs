//! What did the server send next, and what does it say of itself? The only place that knows `mysql_async`.

pub mod client;
mod describe;
mod dump;
pub mod error;
pub mod file;
pub mod mysql;

pub use dump::{Description, Dump, Survey, check_uuid};
pub use error::SourceError;
