//! What [`Registry`] promises, and with it `ensure_subject`.

use binlog_bridge::registry::{Registry, RegistryErrorKind};
use binlog_bridge::subjects::{
    SubjectError, ensure_subject, find_subject, reads_as, register_regardless,
};

/// A schema registry, with a subject that is this test's own.
pub(crate) trait Catalog {
    type Registry: Registry;

    async fn new() -> Self;

    fn registry(&self) -> &Self::Registry;

    /// The same name each time.
    fn subject(&self) -> String;
}

hold_against_both_halves!(
    Catalog: crate::real::HttpCatalog,
    crate::simulated::SimCatalog,
    [
        the_same_schema_twice_gives_the_same_id,
        the_same_schema_in_another_spelling_is_not_registered_again,
        another_subject_with_the_same_schema_has_an_id_that_reads_as_that_schema,
        an_unknown_subject_has_no_latest_and_no_level,
        an_unknown_id_is_an_error,
        a_subject_we_made_is_backward,
        a_level_that_was_never_set_is_set_later,
        a_level_somebody_else_set_stays,
        a_level_that_is_none_is_invalid,
        a_column_added_with_a_default_is_registered_as_the_newest_version,
        an_older_version_registered_again_gives_its_old_id,
        an_incompatible_schema_is_refused_before_anything_is_registered,
        the_registry_refuses_an_incompatible_schema_by_itself_in_a_subject_we_made,
        without_a_level_anything_is_registered,
        what_is_registered_regardless_is_the_newest_and_the_level_stays,
        a_text_that_is_no_schema_is_invalid,
        what_is_looked_up_is_found_in_whatever_version_and_never_registered,
        an_id_that_was_kept_is_used_only_if_it_still_reads_as_that_record,
    ]
);

const ID: &str = r#"{"name":"id","type":"int"}"#;
const NAME: &str = r#"{"name":"name","type":"string"}"#;
const NAME_WITH_DEFAULT: &str = r#"{"name":"name","type":"string","default":""}"#;
const NAME_WITHOUT_DEFAULT: &str = r#"{"name":"name","type":["string","null"]}"#;

fn record(fields: &[&str]) -> String {
    let fields = fields.join(",");
    format!(r#"{{"type":"record","name":"Value","namespace":"t.d.o","fields":[{fields}]}}"#)
}

async fn level(registry: &impl Registry, subject: &str) -> Option<String> {
    registry.compatibility(subject).await.unwrap()
}

async fn latest(registry: &impl Registry, subject: &str) -> (u32, String) {
    let newest = registry.latest(subject).await.unwrap().unwrap();
    (newest.id, newest.schema)
}

async fn the_same_schema_twice_gives_the_same_id<C: Catalog>(catalog: &mut C) {
    let (registry, subject, schema) = (catalog.registry(), catalog.subject(), record(&[ID]));
    let first = ensure_subject(registry, &subject, &schema).await.unwrap();
    let again = ensure_subject(registry, &subject, &schema).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(registry.register(&subject, &schema).await.unwrap(), first);
    assert_eq!(registry.schema_by_id(first).await.unwrap(), schema);
    assert_eq!(latest(registry, &subject).await, (first, schema));
}

async fn the_same_schema_in_another_spelling_is_not_registered_again<C: Catalog>(catalog: &mut C) {
    let (registry, subject, schema) = (catalog.registry(), catalog.subject(), record(&[ID]));
    let first = ensure_subject(registry, &subject, &schema).await.unwrap();
    let other = record(&[r#"{"type": {"type": "int"}, "name": "id"}"#]);
    let again = ensure_subject(registry, &subject, &other).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(latest(registry, &subject).await, (first, schema));
}

async fn another_subject_with_the_same_schema_has_an_id_that_reads_as_that_schema<C: Catalog>(
    catalog: &mut C,
) {
    let (registry, subject, schema) = (catalog.registry(), catalog.subject(), record(&[ID]));
    for subject in [&subject, &format!("{subject}-other")] {
        let id = registry.register(subject, &schema).await.unwrap();
        assert_eq!(registry.schema_by_id(id).await.unwrap(), schema);
        assert_eq!(latest(registry, subject).await, (id, schema.clone()));
    }
}

async fn an_unknown_subject_has_no_latest_and_no_level<C: Catalog>(catalog: &mut C) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    assert_eq!(registry.latest(&subject).await.unwrap(), None);
    assert_eq!(level(registry, &subject).await, None);
}

async fn an_unknown_id_is_an_error<C: Catalog>(catalog: &mut C) {
    let error = catalog.registry().schema_by_id(987_654_321).await;
    assert_eq!(error.unwrap_err().kind, RegistryErrorKind::Other);
}

async fn a_subject_we_made_is_backward<C: Catalog>(catalog: &mut C) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    ensure_subject(registry, &subject, &record(&[ID]))
        .await
        .unwrap();
    assert_eq!(level(registry, &subject).await.as_deref(), Some("BACKWARD"));
}

async fn a_level_that_was_never_set_is_set_later<C: Catalog>(catalog: &mut C) {
    let (registry, subject, schema) = (catalog.registry(), catalog.subject(), record(&[ID]));
    let id = registry.register(&subject, &schema).await.unwrap();
    assert_eq!(level(registry, &subject).await, None);
    let again = ensure_subject(registry, &subject, &schema).await.unwrap();
    assert_eq!(again, id);
    assert_eq!(level(registry, &subject).await.as_deref(), Some("BACKWARD"));
}

async fn a_level_somebody_else_set_stays<C: Catalog>(catalog: &mut C) {
    let (registry, subject, schema) = (catalog.registry(), catalog.subject(), record(&[ID]));
    ensure_subject(registry, &subject, &schema).await.unwrap();
    registry.set_compatibility(&subject, "FULL").await.unwrap();
    ensure_subject(registry, &subject, &schema).await.unwrap();
    assert_eq!(level(registry, &subject).await.as_deref(), Some("FULL"));
    // Compatible for us; the registry knows that FULL also asks for the other direction.
    let dropped = ensure_subject(registry, &subject, &record(&[NAME_WITH_DEFAULT])).await;
    assert!(
        matches!(dropped, Err(SubjectError::Incompatible { .. })),
        "{dropped:?}"
    );
}

async fn a_level_that_is_none_is_invalid<C: Catalog>(catalog: &mut C) {
    let (registry, subject, schema) = (catalog.registry(), catalog.subject(), record(&[ID]));
    registry.register(&subject, &schema).await.unwrap();
    let error = registry.set_compatibility(&subject, "SIDEWARD").await;
    assert_eq!(error.unwrap_err().kind, RegistryErrorKind::Invalid);
    assert_eq!(level(registry, &subject).await, None);
}

async fn a_column_added_with_a_default_is_registered_as_the_newest_version<C: Catalog>(
    catalog: &mut C,
) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    let first = ensure_subject(registry, &subject, &record(&[ID]))
        .await
        .unwrap();
    let schema = record(&[ID, NAME_WITH_DEFAULT]);
    let second = ensure_subject(registry, &subject, &schema).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(latest(registry, &subject).await, (second, schema));
    let old = registry.schema_by_id(first).await.unwrap();
    assert_eq!(old, record(&[ID]));
}

async fn an_older_version_registered_again_gives_its_old_id<C: Catalog>(catalog: &mut C) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    let (old, new) = (record(&[ID]), record(&[ID, NAME_WITH_DEFAULT]));
    let first = registry.register(&subject, &old).await.unwrap();
    registry.register(&subject, &new).await.unwrap();
    assert_eq!(registry.register(&subject, &old).await.unwrap(), first);
}

async fn an_incompatible_schema_is_refused_before_anything_is_registered<C: Catalog>(
    catalog: &mut C,
) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    let first = ensure_subject(registry, &subject, &record(&[ID]))
        .await
        .unwrap();
    // The registry would take anything now: the refusal is ours.
    registry.set_compatibility(&subject, "NONE").await.unwrap();
    let refused = ensure_subject(registry, &subject, &record(&[ID, NAME])).await;
    let SubjectError::Incompatible { cause, .. } = refused.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(cause, "field name: it is new and has no default");
    assert_eq!(latest(registry, &subject).await, (first, record(&[ID])));
}

async fn the_registry_refuses_an_incompatible_schema_by_itself_in_a_subject_we_made<C: Catalog>(
    catalog: &mut C,
) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    ensure_subject(registry, &subject, &record(&[ID]))
        .await
        .unwrap();
    let schema = record(&[ID, NAME_WITHOUT_DEFAULT]);
    let error = registry.register(&subject, &schema).await.unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::Incompatible, "{error}");
}

async fn without_a_level_anything_is_registered<C: Catalog>(catalog: &mut C) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    registry.register(&subject, &record(&[ID])).await.unwrap();
    registry.set_compatibility(&subject, "NONE").await.unwrap();
    let schema = record(&[NAME]);
    let id = registry.register(&subject, &schema).await.unwrap();
    assert_eq!(latest(registry, &subject).await, (id, schema));
}

async fn what_is_registered_regardless_is_the_newest_and_the_level_stays<C: Catalog>(
    catalog: &mut C,
) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    let (old, new) = (record(&[ID]), record(&[ID, NAME]));
    let first = ensure_subject(registry, &subject, &old).await.unwrap();
    for (before, after) in [("FULL", "FULL"), ("NONE", "BACKWARD")] {
        registry.set_compatibility(&subject, before).await.unwrap();
        let id = register_regardless(registry, &subject, &new).await.unwrap();
        assert_eq!(latest(registry, &subject).await, (id, new.clone()));
        assert_eq!(level(registry, &subject).await.as_deref(), Some(after));
    }
    // As a run that reads again what was read before does it.
    let again = register_regardless(registry, &subject, &old).await.unwrap();
    assert_eq!(again, first);
    // A schema that is refused leaves the level as it was.
    let refused = register_regardless(registry, &subject, "{}").await;
    assert!(
        matches!(refused, Err(SubjectError::Registry(_))),
        "{refused:?}"
    );
    assert_eq!(level(registry, &subject).await.as_deref(), Some("BACKWARD"));
}

async fn a_text_that_is_no_schema_is_invalid<C: Catalog>(catalog: &mut C) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    let error = registry.register(&subject, r#"{"type":"nonsense"}"#).await;
    assert_eq!(error.unwrap_err().kind, RegistryErrorKind::Invalid);
    assert_eq!(registry.latest(&subject).await.unwrap(), None);
}

async fn what_is_looked_up_is_found_in_whatever_version_and_never_registered<C: Catalog>(
    catalog: &mut C,
) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    let (old, new, other) = (
        record(&[ID]),
        record(&[ID, NAME_WITH_DEFAULT]),
        record(&[NAME_WITH_DEFAULT]),
    );
    let missing = Err(SubjectError::NotRegistered {
        subject: subject.clone(),
    });
    assert_eq!(find_subject(registry, &subject, &old).await, missing);
    assert_eq!(registry.latest(&subject).await.unwrap(), None);
    let first = registry.register(&subject, &old).await.unwrap();
    let second = registry.register(&subject, &new).await.unwrap();
    assert_eq!(find_subject(registry, &subject, &old).await, Ok(first));
    assert_eq!(find_subject(registry, &subject, &new).await, Ok(second));
    assert_eq!(find_subject(registry, &subject, &other).await, missing);
    assert_eq!(latest(registry, &subject).await, (second, new));
    assert_eq!(level(registry, &subject).await, None);
}

async fn an_id_that_was_kept_is_used_only_if_it_still_reads_as_that_record<C: Catalog>(
    catalog: &mut C,
) {
    let (registry, subject) = (catalog.registry(), catalog.subject());
    let id = ensure_subject(registry, &subject, &record(&[ID]))
        .await
        .unwrap();
    for (id, name, expected) in [
        (id, "t.d.o.Value", true),
        (id, "t.d.other.Value", false),
        (id, "Value", false),
        (id, "t.d.o.Envelope", false),
        (987_654_321, "t.d.o.Value", false),
    ] {
        let found = reads_as(registry, id, name).await;
        assert_eq!(found, Ok(expected), "{id} {name}");
    }
}
