//! What did the server send next, and what does it say of itself? The only place that knows `mysql_async` and `mysql_common`.

pub mod client;
mod describe;
mod dump;
pub mod error;
pub mod file;
pub mod mysql;
pub mod places;
mod wire;

pub use dump::{Description, Dump, MariadbPlaces, Survey, check_uuid};
pub use error::SourceError;
