//! Watching the configuration file: what of it may change while a task runs takes effect, the rest needs a start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use binlog_bridge_core::state::Owner;
use serde_json::Value;

use super::run::task;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::modify::Modifier;

/// Between two looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What may change while the task runs; all else of the file must stay as it is.
const MODIFIABLE: [&str; 4] = ["select", "events", "kafka.tables", "registry.incompatible"];

/// Looks at the file until the program ends. `text` is what runs.
pub(super) async fn watch(
    path: PathBuf,
    mut text: String,
    owner: Owner,
    modifier: Modifier,
    metrics: Metrics,
) -> ! {
    // What was looked at last, in force or not, and what is as it was at the look before.
    let (mut seen, mut before) = (text.clone(), text.clone());
    let mut is_unreadable = false;
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let found = match std::fs::read_to_string(&path) {
            Ok(found) => found,
            // One that is being replaced is there again at the next look.
            Err(error) => {
                if !std::mem::replace(&mut is_unreadable, true) {
                    tracing::warn!(%error, "the configuration file cannot be read; what it said stays in force");
                }
                continue;
            }
        };
        is_unreadable = false;
        // One that is being written may end anywhere: it counts once it stays.
        if std::mem::replace(&mut before, found.clone()) != found || found == seen {
            continue;
        }
        seen.clone_from(&found);
        let modified = modified(&path.display().to_string(), &text, &found);
        metrics.configuration_refused(modified.is_err());
        match modified {
            Ok(config) => {
                text = found;
                let mut task = task(&config);
                task.owner = owner.clone();
                tracing::info!("the configuration file has changed");
                // Nobody listens any more once the task ends.
                let _is_heard = modifier.send(Some(Arc::new(task)));
            }
            Err(why) => {
                tracing::error!(
                    error = why,
                    "the changed configuration file is not used; the one before stays in force"
                );
            }
        }
    }
}

/// The configuration of a file that has changed in what may change.
fn modified(name: &str, old: &str, new: &str) -> Result<Config, String> {
    let config = Config::parse(name, new, &|name| std::env::var(name).ok());
    let config = config.map_err(|error| error.to_string())?;
    let tree = |text| {
        serde_saphyr::from_str::<Value>(text).map_err(|error| error.without_snippet().to_string())
    };
    let (mut old, mut new) = (tree(old)?, tree(new)?);
    for key in MODIFIABLE {
        remove(&mut old, key);
        remove(&mut new, key);
    }
    match differing(&old, &new) {
        None => Ok(config),
        Some(key) => Err(format!(
            "{key}: takes effect at the next start only; while a task runs, {} may change",
            MODIFIABLE.join(", ")
        )),
    }
}

fn remove(tree: &mut Value, key: &str) {
    let (section, key) = match key.split_once('.') {
        Some((section, key)) => (tree.get_mut(section), key),
        None => (Some(tree), key),
    };
    if let Some(section) = section.and_then(Value::as_object_mut) {
        section.remove(key);
    }
}

/// The first section or key that is not the same in both.
fn differing(old: &Value, new: &Value) -> Option<String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return (old != new).then(String::new);
    };
    let mut keys = old.keys().chain(new.keys());
    let key = keys.find(|key| old.get(*key) != new.get(*key))?;
    let null = Value::Null;
    let both = (old.get(key).unwrap_or(&null), new.get(key).unwrap_or(&null));
    let inner = match both {
        (Value::Object(_), Value::Object(_)) => differing(both.0, both.1),
        _ => None,
    };
    Some(match inner {
        Some(inner) => format!("{key}.{inner}"),
        None => key.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "task: a\nsource: {host: h, user: u}\nselect: {databases: [shop]}\n\
        kafka: {bootstrap_servers: 'k:1'}\nregistry: {url: 'http://r:1'}\n";

    fn refused(new: &str) -> Option<String> {
        modified("file", FILE, new).err()
    }

    #[test]
    fn what_may_change_is_taken_and_the_rest_is_named() {
        let select = FILE.replace("[shop]", "[shop, hr]");
        let config = modified("file", FILE, &select).unwrap();
        assert!(config.selection.databases.contains("hr"));
        for added in ["events: {tombstones: true}\n", "# a comment\n"] {
            assert_eq!(refused(&format!("{FILE}{added}")), None, "{added}");
        }
        for (from, to, key) in [
            ("host: h", "host: other", "source.host"),
            ("task: a", "task: b", "task"),
            ("'k:1'", "'k:1', partitions: 3", "kafka.partitions"),
            ("{url:", "{timeout_ms: 5000, url:", "registry.timeout_ms"),
        ] {
            let why = refused(&FILE.replace(from, to)).unwrap();
            assert!(why.starts_with(&format!("{key}: takes effect")), "{why}");
        }
        let topic = FILE.replace("'k:1'}", "'k:1', tables: {shop.t: {topic_name: x}}}");
        let policy = FILE.replace("{url:", "{incompatible: new_topic, url:");
        assert_eq!((refused(&topic), refused(&policy)), (None, None));
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        for new in ["", "task: [", &FILE.replace("select", "selekt")] {
            assert!(refused(new).is_some(), "{new}");
        }
    }
}
