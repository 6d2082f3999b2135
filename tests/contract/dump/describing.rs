//! What the server says of a table, and up to where that holds.

use binlog_bridge::source::Dump;
use binlog_bridge_core::event::EventBlock;
use binlog_bridge_core::selection::TableName;
use tokio::time::timeout;

use super::{Source, mark};
use crate::wait::PATIENCE;

hold_against_both_halves!(
    Source: crate::real::MysqlSource,
    crate::simulated::SimSource,
    [
        a_table_is_described_as_it_is_at_the_end_of_the_binlog,
        a_statement_that_changes_it_lies_behind_what_was_said_before,
        a_table_that_is_not_there_is_none,
        an_open_dump_goes_on_while_a_table_is_described,
        every_answer_says_which_server_gives_it,
    ]
);

async fn a_table_is_described_as_it_is_at_the_end_of_the_binlog<S: Source>(source: &mut S) {
    source.execute().await;
    let mut dump = source.dump();
    let description = dump.describe(&source.table()).await.unwrap().unwrap();
    assert_eq!(description.end, mark(&mut dump).await.at);
    assert_eq!(description.table.primary_key(), ["id"]);
    let first = &description.table.columns[0];
    assert_eq!((first.name.as_str(), first.nullable), ("id", false));
    assert!(first.sql_type.starts_with("int"), "{}", first.sql_type);
    assert!(description.table.columns.len() > 1);
    let again = dump.describe(&source.table()).await.unwrap().unwrap();
    assert_eq!(again, description, "nothing happened");
}

async fn a_statement_that_changes_it_lies_behind_what_was_said_before<S: Source>(source: &mut S) {
    let mut dump = source.dump();
    let before = dump.describe(&source.table()).await.unwrap().unwrap();
    source.alter().await;
    let after = dump.describe(&source.table()).await.unwrap().unwrap();
    assert_ne!(before.table, after.table);
    assert!(before.end < after.end);
}

async fn a_table_that_is_not_there_is_none<S: Source>(source: &mut S) {
    let mut dump = source.dump();
    let database = source.table().database;
    for missing in [
        TableName::new(&database, "missing"),
        TableName::new("nowhere", "t"),
    ] {
        assert_eq!(dump.describe(&missing).await.unwrap(), None);
    }
    assert!(dump.describe(&source.table()).await.unwrap().is_some());
}

async fn every_answer_says_which_server_gives_it<S: Source>(source: &mut S) {
    let mut dump = source.dump();
    let survey = dump.survey().await.unwrap();
    assert!(!survey.server_uuid.is_empty() && survey.binlog_filters.is_empty());
    let description = dump.describe(&source.table()).await.unwrap().unwrap();
    assert_eq!(description.server_uuid, survey.server_uuid);
    let start = mark(&mut dump).await;
    let of_dump = dump.open(&start.by_gtid()).await.unwrap();
    assert_eq!(of_dump, survey.server_uuid);
}

async fn an_open_dump_goes_on_while_a_table_is_described<S: Source>(source: &mut S) {
    let mut dump = source.dump();
    let start = mark(&mut dump).await;
    dump.open(&start.by_gtid()).await.unwrap();
    dump.describe(&source.table()).await.unwrap().unwrap();
    source.execute().await;
    let mut block = EventBlock::default();
    let read = async {
        while block.is_empty() {
            dump.next(&mut block).await.unwrap();
        }
    };
    timeout(PATIENCE, read).await.unwrap();
}
