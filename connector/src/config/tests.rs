//! Tests of the configuration.

use super::*;

const GOOD: &str = "
task: shop
source: {host: db, user: bridge, password: canary}
select: {databases: [shop]}
kafka: {bootstrap_servers: 'kafka:9092'}
registry: {url: 'http://registry'}
";

fn load(yaml: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::parse("config.yaml", yaml, &|name| {
        environment
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn a_short_file_is_enough() {
    let config = load(GOOD, &[]).unwrap();
    assert_eq!(config.dump.source.port, 3306);
    assert_eq!(config.dump.source.tls.mode, TlsMode::VerifyIdentity);
    assert_eq!(config.topics.retention_ms, 86_400_000);
    assert_eq!(config.start, Start::Latest);
    assert!(config.transactions);
}

#[test]
fn a_secret_comes_from_the_environment_first_and_is_never_printed() {
    let config = load(GOOD, &[("BINLOG_BRIDGE_SOURCE__PASSWORD", "other")]).unwrap();
    assert_eq!(config.dump.source.password.expose(), "other");
    let config = load(GOOD, &[]).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn what_cannot_be_is_refused_with_its_key() {
    let check = |from: &str, to: &str, said: &str| {
        assert!(GOOD.contains(from), "{from}");
        let error = load(&GOOD.replace(from, to), &[]).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("canary"), "{error}");
    };
    check("task: shop", "task: Shop", "task: 'Shop'");
    check(
        "databases: [shop]",
        "databases: []",
        "select: name at least one",
    );
    check(
        "databases: [shop]",
        "tables: [shop]",
        "select.tables: 'shop' is not of the form",
    );
    check("databases:", "databasse:", "did you mean `databases`?");
    // What follows the list is none of its words.
    assert_eq!(
        explain("unknown field `columns`, expected one of names, mask at line 21, column 14"),
        "unknown field `columns`, expected one of names, mask at line 21, column 14"
    );
    check(
        "user: bridge",
        "user: bridge, start: {gtid_set: x}",
        "source.start.gtid_set: 'x'",
    );
    check(
        "user: bridge",
        "user: bridge, password_file: a",
        "source.password: is given",
    );
    check(
        "user: bridge",
        "user: bridge, silence_timeout_ms: 5",
        "source.silence_timeout_ms",
    );
    check(
        "'kafka:9092'",
        "'kafka:9092', client: {acks: 1}",
        "kafka.client.acks: is set by",
    );
    check(
        "'kafka:9092'",
        "'kafka:9092', partitions: 0",
        "kafka.partitions: must be",
    );
    check(
        "'kafka:9092'",
        "'k:1', tables: {a.b: {topic_name: 'a b'}}",
        "kafka.tables.a.b: 'a b'",
    );
}

#[test]
fn a_password_of_digits_is_a_password() {
    let config = load(&GOOD.replace("canary", "0123"), &[]).unwrap();
    assert_eq!(config.dump.source.password.expose(), "0123");
}

#[test]
fn every_form_of_start_is_read() {
    let check = |text: &str, expected: Start| {
        let yaml = GOOD.replace("user: bridge", &format!("user: bridge, start: {text}"));
        assert_eq!(load(&yaml, &[]).unwrap().start, expected);
    };
    check("latest", Start::Latest);
    check("earliest", Start::Earliest);
    let at = FileOffset {
        file: "binlog.000001".into(),
        offset: 157,
    };
    check("{file: binlog.000001, offset: 157}", Start::File(at));
    let set = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5";
    check(
        &format!("{{gtid_set: '{set}'}}"),
        Start::GtidSet(set.parse().unwrap()),
    );
}

#[test]
fn the_configuration_in_the_readme_is_valid() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("```yaml\n").unwrap();
    let (yaml, _) = rest.split_once("```").unwrap();
    let config = load(yaml, &[("BINLOG_BRIDGE_SOURCE__PASSWORD", "canary")]).unwrap();
    assert_eq!(config.task, "shop");
    assert!(config.health.is_some());
}
