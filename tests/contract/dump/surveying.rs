//! What the server says of itself and of its binlog.

use binlog_bridge::source::{Dump, Survey};
use binlog_bridge_core::position::{FileOffset, GtidSet};

use super::{Mark, Source, marks};

hold_against_both_halves!(
    Source: crate::real::MysqlSource,
    crate::simulated::SimSource,
    [
        a_server_says_what_a_stream_depends_on,
        the_end_moves_with_each_transaction,
        a_rotation_adds_a_file,
        a_purge_removes_files_and_remembers_their_gtids,
    ]
);

async fn a_server_says_what_a_stream_depends_on<S: Source>(source: &mut S) {
    source.execute().await;
    let mut dump = source.dump();
    let survey = dump.survey().await.unwrap();
    assert!(survey.version.starts_with("8."), "{}", survey.version);
    assert!(survey.log_bin && survey.gtid_on && !survey.lower_case_names);
    assert_eq!(survey.binlog_format, "ROW");
    assert_eq!(survey.binlog_row_image, "FULL");
    assert_eq!(survey.binlog_row_metadata.as_deref(), Some("FULL"));
    assert!(!survey.databases.is_empty());
    let executed: GtidSet = survey.gtid_executed.parse().unwrap();
    assert_eq!(
        executed.to_string(),
        survey.gtid_executed,
        "its one spelling"
    );
    let sources: Vec<_> = executed.sources().map(|(source, _)| source.uuid).collect();
    assert_eq!(sources, [survey.server_uuid.parse().unwrap()]);
    assert_eq!(dump.survey().await.unwrap(), survey, "nothing happened");
}

async fn the_end_moves_with_each_transaction<S: Source>(source: &mut S) {
    let marks = marks(source, 3).await;
    for pair in marks.windows(2) {
        assert!(pair[0].at < pair[1].at);
        assert!(pair[0].set.is_subset_of(&pair[1].set) && pair[0].set != pair[1].set);
    }
    check_files(&source.dump().survey().await.unwrap());
}

async fn a_rotation_adds_a_file<S: Source>(source: &mut S) {
    source.execute().await;
    let mut dump = source.dump();
    let before = dump.survey().await.unwrap();
    source.rotate().await;
    let after = dump.survey().await.unwrap();
    check_files(&after);
    assert_eq!(after.files.len(), before.files.len() + 1);
    assert_eq!(after.first_file, before.first_file);
    assert!(after.current.file > before.current.file);
    assert_eq!(after.gtid_executed, before.gtid_executed);
    let (name, size) = &after.files[before.files.len() - 1];
    assert_eq!(*name, before.current.file);
    assert!(*size > before.current.offset, "the rotation is in the file");
}

async fn a_purge_removes_files_and_remembers_their_gtids<S: Source>(source: &mut S) {
    source.execute().await;
    let mut dump = source.dump();
    source.rotate().await;
    let before = dump.survey().await.unwrap();
    let left = marks(source, 2).await;
    source.purge().await;
    let survey = dump.survey().await.unwrap();
    check_files(&survey);
    assert_eq!(survey.first_file, survey.current.file);
    assert_eq!(survey.first_file, before.current.file);
    assert_eq!(survey.gtid_purged, before.gtid_executed);
    assert_eq!(Mark::of(&survey), left[2]);
}

/// The list of files fits the first file and the end.
fn check_files(survey: &Survey) {
    let file = |(name, size): &(String, u64)| FileOffset {
        file: name.clone(),
        offset: *size,
    };
    assert_eq!(
        survey.files.first().map(|(name, _)| name),
        Some(&survey.first_file)
    );
    assert_eq!(survey.files.last().map(file), Some(survey.current.clone()));
    let files: Vec<_> = survey.files.iter().map(file).collect();
    assert!(files.is_sorted(), "{files:?}");
}
