//! Which tables are published.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A table's full name, as the server writes it into its binlog.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// A name from its two halves.
    #[must_use]
    pub fn new(database: &str, table: &str) -> Self {
        Self {
            database: database.to_owned(),
            table: table.to_owned(),
        }
    }

    /// The name in lower case.
    #[must_use]
    pub fn in_lower_case(&self) -> Self {
        Self {
            database: lower_case(&self.database),
            table: lower_case(&self.table),
        }
    }
}

/// A name in lower case, as the server makes it: by a table of letters that is as old as Unicode 3. Each letter becomes one,
/// wherever it stands, and those that have come to Unicode since then stay as they are.
#[must_use]
pub fn lower_case(name: &str) -> String {
    name.chars().map(lower_case_of).collect()
}

fn lower_case_of(letter: char) -> char {
    match letter {
        '\u{130}' => 'i',
        // Greek, Cyrillic, Latin and others that came later, and all that is beyond 16 bits.
        '\u{220}'
        | '\u{23a}'..='\u{24f}'
        | '\u{370}'..='\u{377}'
        | '\u{37f}'
        | '\u{3cf}'
        | '\u{3d8}'
        | '\u{3f4}'..='\u{3ff}'
        | '\u{48a}'
        | '\u{4c0}'
        | '\u{4c5}'
        | '\u{4c9}'
        | '\u{4cd}'
        | '\u{4f6}'
        | '\u{4fa}'..='\u{52f}'
        | '\u{10a0}'..='\u{10ff}'
        | '\u{13a0}'..='\u{13ff}'
        | '\u{1c90}'..='\u{1cbf}'
        | '\u{1e9e}'
        | '\u{1efa}'..='\u{1eff}'
        | '\u{2132}'
        | '\u{2183}'
        | '\u{2c00}'..='\u{2cff}'
        | '\u{a640}'..='\u{a7ff}'
        | '\u{10000}'.. => letter,
        _ => letter.to_lowercase().next().unwrap_or(letter),
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.database, self.table)
    }
}

/// A name in which `*` stands for any characters, also none, and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern, as it is written.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The pattern, as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// True if a name holds one of the two signs.
    #[must_use]
    pub fn is_one(name: &str) -> bool {
        name.contains(['*', '?'])
    }

    /// True if the name is one of those that the pattern stands for.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) =
            (self.0.chars().collect(), name.chars().collect());
        let (mut at, mut in_name) = (0, 0);
        // Behind the last star, and what of the name it stood for at least.
        let mut star: Option<(usize, usize)> = None;
        while let Some(c) = name.get(in_name) {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at + 1, in_name));
                    at += 1;
                }
                Some(sign) if *sign == '?' || sign == c => {
                    at += 1;
                    in_name += 1;
                }
                Some(_) | None => {
                    let Some((behind, taken)) = star else {
                        return false;
                    };
                    // The star stands for one more.
                    star = Some((behind, taken + 1));
                    (at, in_name) = (behind, taken + 1);
                }
            }
        }
        pattern.iter().skip(at).all(|sign| *sign == '*')
    }

    /// The pattern of names in lower case.
    #[must_use]
    pub fn in_lower_case(&self) -> Self {
        Self(lower_case(&self.0))
    }
}

/// Patterns of a table's two names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TablePattern {
    /// Of the database.
    pub database: Pattern,
    /// Of the table.
    pub table: Pattern,
}

impl TablePattern {
    pub(crate) fn matches(&self, name: &TableName) -> bool {
        self.database.matches(&name.database) && self.table.matches(&name.table)
    }

    pub(crate) fn in_lower_case(&self) -> Self {
        Self {
            database: self.database.in_lower_case(),
            table: self.table.in_lower_case(),
        }
    }
}

/// The server's own databases: no pattern means them.
pub const SYSTEM_DATABASES: [&str; 4] =
    ["mysql", "sys", "performance_schema", "information_schema"];

/// Whole databases, single tables, and tables to leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Databases of which every table is selected, those that are made later too.
    pub databases: BTreeSet<String>,
    /// Tables selected one by one.
    pub tables: BTreeSet<TableName>,
    /// Tables that are never selected.
    pub excluded: BTreeSet<TableName>,
    /// The same by patterns; databases and tables that are made later are meant too.
    pub patterns: Patterns,
    /// Tables that tools for online schema changes make for themselves are not selected, unless they are in `tables`. See
    /// [`helped_table`].
    pub without_helpers: bool,
}

/// The table that a helper table is made for, by its name: `_t_gho`, `_t_ghc` and `_t_del`, also with a time, are gh-ost's
/// for `t`, `_t_new` and `_t_old`, also with more underscores in front, those of pt-online-schema-change (the manuals of both).
#[must_use]
pub fn helped_table(helper: &str) -> Option<&str> {
    const ENDS: [&str; 5] = ["_gho", "_ghc", "_del", "_new", "_old"];
    const TIME_DIGITS: usize = 14;
    let name = helper.strip_prefix('_')?.trim_start_matches('_');
    let name = ENDS.iter().find_map(|end| name.strip_suffix(end))?;
    let is_time =
        |text: &str| text.len() == TIME_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    let table = match name.rsplit_once('_') {
        Some((table, time)) if is_time(time) => table,
        Some(_) | None => name,
    };
    Some(table).filter(|table| !table.is_empty())
}

/// What is selected by patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Of databases of which every table is selected.
    pub databases: BTreeSet<Pattern>,
    /// Of tables.
    pub tables: BTreeSet<TablePattern>,
    /// Of tables that are never selected.
    pub excluded: BTreeSet<TablePattern>,
}

impl Selection {
    /// True if nothing can be selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.tables.is_empty() && !self.has_patterns()
    }

    /// True if databases or tables are selected by patterns.
    #[must_use]
    pub fn has_patterns(&self) -> bool {
        !(self.patterns.databases.is_empty() && self.patterns.tables.is_empty())
    }

    /// True if the table is published.
    #[must_use]
    pub fn selects(&self, name: &TableName) -> bool {
        let is_excluded = || {
            let mut patterns = self.patterns.excluded.iter();
            self.excluded.contains(name) || patterns.any(|pattern| pattern.matches(name))
        };
        let is_selected = self.databases.contains(&name.database)
            || self.tables.contains(name)
            || self.matches(name);
        is_selected && !is_excluded() && !self.passes_over(name)
    }

    /// True if the table is not selected only because it is a helper table of an online schema change.
    #[must_use]
    pub fn passes_over(&self, name: &TableName) -> bool {
        self.without_helpers
            && helped_table(&name.table).is_some()
            && !self.tables.contains(name)
            && (self.databases.contains(&name.database) || self.matches(name))
    }

    fn matches(&self, name: &TableName) -> bool {
        let (mut databases, mut tables) =
            (self.patterns.databases.iter(), self.patterns.tables.iter());
        !is_system(&name.database)
            && (databases.any(|pattern| pattern.matches(&name.database))
                || tables.any(|pattern| pattern.matches(name)))
    }

    /// The selection on a server that writes all names in lower case (`lower_case_table_names=1`).
    #[must_use]
    pub fn in_lower_case(&self) -> Self {
        let names =
            |names: &BTreeSet<TableName>| names.iter().map(TableName::in_lower_case).collect();
        let patterns = |patterns: &BTreeSet<TablePattern>| {
            patterns.iter().map(TablePattern::in_lower_case).collect()
        };
        Self {
            databases: self.databases.iter().map(|name| lower_case(name)).collect(),
            tables: names(&self.tables),
            excluded: names(&self.excluded),
            patterns: Patterns {
                databases: (self.patterns.databases.iter())
                    .map(Pattern::in_lower_case)
                    .collect(),
                tables: patterns(&self.patterns.tables),
                excluded: patterns(&self.patterns.excluded),
            },
            without_helpers: self.without_helpers,
        }
    }

    /// True if a table of this database could be selected. Databases are compared without case, since the
    /// text of a statement may be written in any.
    #[must_use]
    pub fn may_select_in(&self, database: &str) -> bool {
        let of_tables = self.patterns.tables.iter().map(|pattern| &pattern.database);
        let mut patterns = self.patterns.databases.iter().chain(of_tables);
        let lowered = lower_case(database);
        self.database_names()
            .any(|selected| lower_case(selected) == lowered)
            || (!is_system(&lowered)
                && patterns.any(|pattern| pattern.in_lower_case().matches(&lowered)))
    }

    /// All databases that are named, in no particular order and perhaps repeated; patterns are no names.
    pub fn database_names(&self) -> impl Iterator<Item = &str> {
        let of_tables = self.tables.iter().map(|name| name.database.as_str());
        self.databases.iter().map(String::as_str).chain(of_tables)
    }

    /// A short text that is the same for the same selection: kept in the checkpoint, for whoever looks at it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut feed = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        self.databases.iter().for_each(|name| feed(name));
        for (mark, names) in [("+", &self.tables), ("-", &self.excluded)] {
            feed(mark);
            for name in names {
                feed(&name.database);
                feed(&name.table);
            }
        }
        if self.without_helpers {
            feed("without helpers");
        }
        let patterns = &self.patterns;
        patterns
            .databases
            .iter()
            .for_each(|pattern| feed(&pattern.0));
        for (mark, patterns) in [("*+", &patterns.tables), ("*-", &patterns.excluded)] {
            // Without any the text is that of before there were patterns.
            for pattern in patterns {
                feed(mark);
                feed(&pattern.database.0);
                feed(&pattern.table.0);
            }
        }
        format!("{hash:016x}")
    }
}

fn is_system(database: &str) -> bool {
    SYSTEM_DATABASES.contains(&database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_small_ones_as_the_server_makes_them() {
        for (name, expected) in [
            ("Orders", "orders"),
            (
                "\u{39f}\u{394}\u{39f}\u{3a3}",
                "\u{3bf}\u{3b4}\u{3bf}\u{3c3}",
            ),
            ("\u{130}L", "il"),
            ("\u{212a}", "k"),
            ("\u{c4}\u{410}", "\u{e4}\u{430}"),
            ("\u{1e9e}\u{23a}\u{2c60}", "\u{1e9e}\u{23a}\u{2c60}"),
            ("\u{10400}", "\u{10400}"),
        ] {
            assert_eq!(lower_case(name), expected);
        }
    }

    #[test]
    fn an_exclusion_beats_a_selection() {
        let selection = Selection {
            databases: ["shop".to_owned()].into(),
            tables: [TableName::new("crm", "people")].into(),
            excluded: [TableName::new("shop", "noise")].into(),
            ..Selection::default()
        };
        for (database, table, selected) in [
            ("shop", "orders", true),
            ("shop", "noise", false),
            ("crm", "people", true),
            ("crm", "notes", false),
            ("Shop", "orders", false),
        ] {
            assert_eq!(
                selection.selects(&TableName::new(database, table)),
                selected
            );
        }
        assert!(selection.may_select_in("CRM") && !selection.may_select_in("hr"));
    }

    #[test]
    fn helper_tables_are_known_by_their_names() {
        for (helper, table) in [
            ("_orders_gho", Some("orders")),
            ("_orders_ghc", Some("orders")),
            ("_orders_20260228235959_del", Some("orders")),
            ("_orders_new", Some("orders")),
            ("___orders_old", Some("orders")),
            ("_a_b_new", Some("a_b")),
            ("orders_new", None),
            ("__new", None),
            ("_new", None),
            ("_orders_news", None),
        ] {
            assert_eq!(helped_table(helper), table, "{helper}");
        }
        let selection = Selection {
            databases: ["shop".to_owned()].into(),
            tables: [TableName::new("shop", "_kept_old")].into(),
            without_helpers: true,
            ..Selection::default()
        };
        for (table, selected) in [
            ("orders", true),
            ("_orders_new", false),
            ("_kept_old", true),
        ] {
            let name = TableName::new("shop", table);
            assert_eq!(selection.selects(&name), selected, "{table}");
            assert_eq!(selection.passes_over(&name), !selected, "{table}");
        }
        let with_them = Selection {
            without_helpers: false,
            ..selection
        };
        assert!(with_them.selects(&TableName::new("shop", "_orders_new")));
    }

    #[test]
    fn patterns_mean_names_that_are_like_them() {
        for (pattern, name, matches) in [
            ("*", "", true),
            ("*", "orders", true),
            ("order*", "orders", true),
            ("order*", "an_order", false),
            ("*_log", "a_log_log", true),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "a_b_b_cd", false),
            ("o?der", "order", true),
            ("o?der", "oder", false),
            ("?\u{fc}*", "m\u{fc}ll", true),
            ("", "", true),
            ("a", "A", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                matches,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_pattern_selects_what_is_made_later_and_never_the_servers_own() {
        let pattern = |database: &str, table: &str| TablePattern {
            database: Pattern::new(database),
            table: Pattern::new(table),
        };
        let selection = Selection {
            patterns: Patterns {
                databases: [Pattern::new("shop_*"), Pattern::new("*sys")].into(),
                tables: [pattern("crm", "*_2026")].into(),
                excluded: [pattern("*", "_*_gho")].into(),
            },
            ..Selection::default()
        };
        for (database, table, selected) in [
            ("shop_1", "orders", true),
            ("shop", "orders", false),
            ("shop_1", "_orders_gho", false),
            ("crm", "calls_2026", true),
            ("crm", "calls", false),
            ("sys", "version", false),
        ] {
            assert_eq!(
                selection.selects(&TableName::new(database, table)),
                selected,
                "{database}.{table}"
            );
        }
        assert!(selection.may_select_in("SHOP_2") && selection.may_select_in("crm"));
        assert!(!selection.may_select_in("mysql") && !selection.may_select_in("sys"));
        let plain = Selection::default();
        assert!(plain.is_empty() && !selection.is_empty());
        assert_ne!(plain.fingerprint(), selection.fingerprint());
    }
}
