//! Holds what the compiler cannot: who may use which library, how long things get, and that the documents
//! speak of what exists. It reads the tree with a small lexer that knows comments, strings and braces, no more.
//!
//! long: one small check after another, each read by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which client library may be used where, from the root of the tree. The benchmark compares us with bare clients, and one
/// test of GTIDs asks the server by one.
const OWNERS: [(&str, &[&str]); 5] = [
    (
        "mysql_async",
        &[
            "connector/src/source/",
            "tests/bench/",
            "tests/contract/real/gtid_sets.rs",
        ],
    ),
    ("mysql_common", &["connector/src/source/wire/"]),
    ("rdkafka", &["connector/src/sink/", "tests/bench/"]),
    ("schema_registry_converter", &["connector/src/registry.rs"]),
    ("prometheus", &["connector/src/metrics.rs"]),
];

/// What would let the core wait, log, or differ from run to run.
const REFUSED_IN_CORE: [&str; 6] = [
    "tokio",
    "rdkafka",
    "mysql_async",
    "tracing",
    "rand",
    "schema_registry_converter",
];

const PIPELINE_LINES_MAX: usize = 300;
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const ARCHITECTURE_LINES_MAX: usize = 200;
const CONTRIBUTING_LINES_MAX: usize = 120;

/// In a comment above a function or at the head of a file, followed by the reason why it is one thing.
const LONG: &str = "long:";

#[test]
fn each_client_library_is_used_in_its_own_place_only() {
    let mut findings = Vec::new();
    for source in sources() {
        for (library, owners) in OWNERS {
            if owners.iter().any(|owner| source.path.starts_with(owner)) {
                continue;
            }
            for (number, line) in (1..).zip(source.code.lines()) {
                if has_word(line, library) {
                    findings.push(format!(
                        "{}:{number}: {library} belongs to {}",
                        source.path,
                        owners.join(" and ")
                    ));
                }
            }
        }
    }
    report(&findings);
}

#[test]
fn the_core_depends_on_nothing_that_waits_logs_or_rolls_dice() {
    let manifest = read("connector/core/Cargo.toml");
    let findings: Vec<_> = manifest
        .lines()
        .map(|line| line.split(['.', '=', ' ']).next().unwrap_or_default())
        .filter(|name| REFUSED_IN_CORE.contains(name))
        .map(|name| format!("connector/core/Cargo.toml depends on {name}"))
        .collect();
    report(&findings);
}

#[test]
fn the_pipeline_stays_short_enough_to_read_first() {
    lines_at_most("connector/src/pipeline.rs", PIPELINE_LINES_MAX);
}

#[test]
fn every_mutant_fits_the_tree() {
    let mut findings = Vec::new();
    let mut patches = 0;
    for entry in fs::read_dir(root().join("tests/mutants")).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path
            .extension()
            .is_none_or(|extension| extension != "patch")
        {
            continue;
        }
        patches += 1;
        let fits = Command::new("git")
            .args(["apply", "--check"])
            .arg(&path)
            .current_dir(root())
            .output()
            .expect("git can be run");
        if !fits.status.success() {
            let name = path.file_name().unwrap_or_default();
            findings.push(format!("{} does not fit any more", name.display()));
        }
    }
    assert!(patches > 0, "there is no mutant");
    report(&findings);
}

#[test]
fn architecture_md_stays_short() {
    lines_at_most("ARCHITECTURE.md", ARCHITECTURE_LINES_MAX);
}

#[test]
fn contributing_md_stays_short() {
    lines_at_most("CONTRIBUTING.md", CONTRIBUTING_LINES_MAX);
}

#[test]
fn no_file_is_longer_than_one_thing_needs() {
    let findings: Vec<_> = sources()
        .iter()
        .filter(|source| source.lines_without_tests() > FILE_LINES_MAX && !source.head_has_reason())
        .map(|source| {
            let lines = source.lines_without_tests();
            format!(
                "{}: {lines} lines without its tests, over {FILE_LINES_MAX}: split it along the data path, \
                 or begin it with a comment '{LONG} reason'",
                source.path
            )
        })
        .collect();
    report(&findings);
}

#[test]
fn no_function_is_longer_than_one_thing_needs() {
    let mut findings = Vec::new();
    for source in sources() {
        for function in functions(&source.code) {
            let in_tests = function.first_line >= source.lines_without_tests();
            if in_tests || function.lines() <= FUNCTION_LINES_MAX || source.has_reason(&function) {
                continue;
            }
            findings.push(format!(
                "{}:{}: {} has {} lines, over {FUNCTION_LINES_MAX}: split it, or put '// {LONG} reason' above it",
                source.path,
                function.first_line + 1,
                function.name,
                function.lines()
            ));
        }
    }
    report(&findings);
}

#[test]
fn each_dependency_says_in_a_sentence_why_it_is_here() {
    let manifest = read("Cargo.toml");
    let lines: Vec<_> = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .collect();
    assert!(
        !lines.is_empty(),
        "Cargo.toml has no [workspace.dependencies]"
    );
    let findings: Vec<_> = lines
        .windows(2)
        .filter_map(|pair| match pair {
            [above, line] => Some((*above, *line)),
            _ => None,
        })
        .filter(|(_, line)| {
            line.contains(" = ") && !line.starts_with('#') && !line.contains("path = ")
        })
        .filter(|(above, _)| !(above.starts_with("# ") && above.ends_with('.')))
        .map(|(_, line)| format!("Cargo.toml: no sentence above: {line}"))
        .collect();
    report(&findings);
}

#[test]
fn every_limit_is_on_its_page_and_the_test_that_holds_it_is_there() {
    let page = read("connector/LIMITS.md");
    let (_, keys) = read("connector/src/config/raw.rs")
        .split_once("pub struct RawLimits {")
        .map(|(before, after)| (before.to_owned(), after.to_owned()))
        .expect("raw.rs has the limits");
    let keys: Vec<_> = keys
        .lines()
        .take_while(|line| *line != "}")
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'))
        .map(|(key, _)| format!("`limits.{key}`"))
        .collect();
    assert!(keys.len() > 5, "{keys:?}");
    let tests: Vec<String> = tracked_files()
        .into_iter()
        .filter(|path| path.ends_with(".rs") || path.ends_with(".py"))
        .map(|path| read(&path))
        .collect();
    let is_test = |name: &str| {
        let (rust, python) = (format!("fn {name}("), format!("def test_{name}("));
        let generic = format!("fn {name}<");
        tests.iter().any(|text| {
            [&rust, &generic, &python]
                .iter()
                .any(|found| text.contains(*found))
        })
    };
    let missing = keys.iter().filter(|key| !page.contains(key.as_str()));
    let mut findings: Vec<_> = missing
        .map(|key| format!("{key} is not on the page"))
        .collect();
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(1);
    for row in rows.filter(|row| !row.contains("held by")) {
        let held_by = row
            .trim_end_matches([' ', '|'])
            .rsplit('|')
            .next()
            .unwrap_or_default();
        let name = held_by.trim().trim_matches('`');
        if !is_test(name) {
            findings.push(format!("no test {name}: {row}"));
        }
    }
    report(&findings);
}

#[test]
fn every_make_command_of_the_readme_is_a_target() {
    let makefile = read("Makefile");
    let findings: Vec<_> = commands(&read("README.md"))
        .iter()
        .filter(|command| command.first().is_some_and(|program| program == "make"))
        .flat_map(|command| command.iter().skip(1).take_while(|word| *word != "#"))
        .filter(|word| !word.starts_with('-') && !word.contains('='))
        .filter(|target| {
            !makefile
                .lines()
                .any(|line| line.starts_with(&format!("{target}:")))
        })
        .map(|target| format!("README.md says `make {target}`, the Makefile has no such target"))
        .collect();
    report(&findings);
}

#[test]
fn every_program_command_of_the_readme_is_a_subcommand() {
    let cli: String = sources()
        .iter()
        .filter(|source| source.path.starts_with("connector/src/cli"))
        .map(|source| source.code.as_str())
        .collect();
    assert!(!cli.is_empty(), "connector/src/cli has no Rust file");
    let findings: Vec<_> = commands(&read("README.md"))
        .iter()
        .filter(|command| {
            command
                .first()
                .is_some_and(|program| program.rsplit('/').next() == Some("binlog-bridge"))
        })
        .filter_map(|command| command.get(1))
        .filter(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase()))
        .filter(|word| *word != "help" && !has_word(&cli, &variant_name(word)))
        .map(|word| {
            let variant = variant_name(word);
            format!("README.md says `binlog-bridge {word}`, connector/src/cli has no {variant}")
        })
        .collect();
    report(&findings);
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    // In two pieces each, else this file would be the first finding.
    let folders = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
    ];
    let mut findings = Vec::new();
    for path in tracked_files() {
        let Ok(bytes) = fs::read(root().join(&path)) else {
            continue;
        }; // deleted, but not committed yet
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in (1..).zip(text.lines()) {
            for folder in folders {
                if line
                    .match_indices(folder)
                    .any(|(at, _)| starts_a_path(line, at))
                {
                    findings.push(format!("{path}:{number}: names {folder}"));
                }
            }
        }
    }
    report(&findings);
}

/// A Rust file, and its text with comments and the contents of strings blanked out, line for line.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    /// The unit tests of a file are its last module, or a file of their own.
    fn lines_without_tests(&self) -> usize {
        if self.path.ends_with("/tests.rs") {
            return 0;
        }
        let lines: Vec<_> = self.code.lines().collect();
        lines
            .windows(2)
            .position(|pair| {
                matches!(pair, ["#[cfg(test)]", module] if module.starts_with("mod ") && module.ends_with('{'))
            })
            .unwrap_or(lines.len())
    }

    fn head_has_reason(&self) -> bool {
        self.text
            .lines()
            .take_while(|line| line.starts_with("//"))
            .any(|line| line.contains(LONG))
    }

    /// Looks through the comments and attributes right above the function.
    fn has_reason(&self, function: &Function) -> bool {
        let above: Vec<_> = self.text.lines().take(function.first_line).collect();
        above
            .iter()
            .rev()
            .map(|line| line.trim_start())
            .take_while(|line| line.starts_with("//") || line.starts_with('#'))
            .any(|line| line.starts_with("//") && line.contains(LONG))
    }
}

/// A function with a body; lines count from 0.
struct Function {
    name: String,
    first_line: usize,
    last_line: usize,
}

impl Function {
    fn lines(&self) -> usize {
        self.last_line - self.first_line + 1
    }
}

/// All functions of a text that [`code_only`] has gone over.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let name: String = code[at + 3..]
            .trim_start()
            .chars()
            .take_while(|c| is_word_character(*c))
            .collect();
        let is_word = !code[..at].ends_with(is_word_character);
        if !is_word || name.is_empty() {
            continue;
        }
        if let Some(end) = end_of_body(&code[at..]) {
            let line_of = |offset: usize| code[..offset].matches('\n').count();
            found.push(Function {
                name,
                first_line: line_of(at),
                last_line: line_of(at + end),
            });
        }
    }
    found
}

/// Where the body that begins in this text ends; `None` for a signature without a body.
fn end_of_body(code: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0_u32, 0_u32);
    for (at, character) in code.char_indices() {
        match character {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The text with comments, and what stands in strings and characters, replaced by nothing; lines are kept.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_length(rest),
            '"' => string_length(rest),
            'r' | 'b' | 'c' if !code.ends_with(is_word_character) => prefixed_string_length(rest),
            '\'' => character_length(rest),
            _ => 0,
        };
        if length == 0 {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        } else {
            let (blanked, after) = rest.split_at(length);
            code.extend(blanked.chars().filter(|c| *c == '\n'));
            rest = after;
        }
    }
    code
}

fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`; 0 for what only begins with such a letter.
fn prefixed_string_length(text: &str) -> usize {
    let after_letters = text.trim_start_matches(['r', 'b', 'c']);
    let letters = text.len() - after_letters.len();
    if letters > 2 {
        return 0;
    }
    let after_hashes = after_letters.trim_start_matches('#');
    let hashes = after_letters.len() - after_hashes.len();
    if !after_hashes.starts_with('"') {
        return 0;
    }
    if !text[..letters].contains('r') {
        return if hashes == 0 {
            letters + string_length(after_hashes)
        } else {
            0
        };
    }
    let close = format!("\"{}", "#".repeat(hashes));
    match after_hashes[1..].find(&close) {
        Some(at) => letters + hashes + 1 + at + close.len(),
        None => text.len(),
    }
}

/// A character in quotes; 0 for a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            // The escaped character may itself be a quote.
            characters
                .nth(1)
                .and_then(|(at, _)| text[at..].find('\'').map(|close| at + close + 1))
                .unwrap_or(0)
        }
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// What a reader would type, word by word: lines of code blocks and spans that are code, split at `&&`, `;` and `|`.
fn commands(markdown: &str) -> Vec<Vec<String>> {
    let mut in_block = false;
    let mut texts = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            texts.push(line);
        } else {
            texts.extend(line.split('`').skip(1).step_by(2));
        }
    }
    texts
        .iter()
        .flat_map(|text| text.split("&&").flat_map(|part| part.split([';', '|'])))
        .map(|command| {
            command
                .trim()
                .trim_start_matches("$ ")
                .split_whitespace()
                .skip_while(|word| word.contains('=') || *word == "sudo")
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

/// `explain-ddl` as clap derives it from `ExplainDdl`.
fn variant_name(subcommand: &str) -> String {
    subcommand
        .split('-')
        .map(|part| {
            let mut characters = part.chars();
            characters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(characters)
                .collect::<String>()
        })
        .collect()
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_word_character)
            && !text[at + word.len()..].starts_with(is_word_character)
    })
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Not the middle of a longer path or of an address.
fn starts_a_path(line: &str, at: usize) -> bool {
    !line[..at].ends_with(|before: char| is_word_character(before) || "./-$}".contains(before))
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests lie in a folder of the tree")
        .to_owned()
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    assert!(text.is_ok(), "{path} is missing");
    text.unwrap_or_default()
}

/// Every Rust file of the tree that belongs to it, or will with the next commit.
fn sources() -> Vec<Source> {
    let sources: Vec<_> = git_files(&["--cached", "--others", "--exclude-standard"])
        .into_iter()
        .filter(|path| path.ends_with(".rs") && root().join(path).exists())
        .map(|path| {
            let text = read(&path);
            Source {
                code: code_only(&text),
                path,
                text,
            }
        })
        .collect();
    assert!(!sources.is_empty(), "the tree has no Rust file");
    sources
}

fn tracked_files() -> Vec<String> {
    git_files(&["--cached"])
}

fn git_files(options: &[&str]) -> Vec<String> {
    let output = Command::new("git")
        .arg("ls-files")
        .arg("-z")
        .args(options)
        .current_dir(root())
        .output();
    let output = output.expect("git is installed");
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .split_terminator('\0')
        .map(str::to_owned)
        .collect()
}

fn lines_at_most(path: &str, limit: usize) {
    let lines = read(path).lines().count();
    assert!(
        lines <= limit,
        "{path} has {lines} lines, {limit} are allowed"
    );
}

fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_lexer_tells_code_from_text() {
    let text = "fn a() { // fn b() {\n let c = '{'; let d = \"}\\\"{\"; /* { /* } */ { */ e(r#\"{\"}\"#); 'x: loop {} }\nfn f();";
    let code = code_only(text);
    assert_eq!(
        code,
        "fn a() { \n let c = ; let d = ;  e(); 'x: loop {} }\nfn f();"
    );
    let found = functions(&code);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found
            .first()
            .map(|function| (function.name.as_str(), function.lines())),
        Some(("a", 2))
    );
    assert_eq!(
        code_only(r"('\'', '\u{7d}', b'x', 'a', &'static str)"),
        "(, , b, , &'static str)"
    );
}

#[test]
fn the_commands_of_a_page_are_those_in_code() {
    let page =
        "make sure of `make x` and `a`\n```\n$ A=1 make y z && target/binlog-bridge run\n```\n";
    let found = commands(page);
    let expected: [&[&str]; 4] = [
        &["make", "x"],
        &["a"],
        &["make", "y", "z"],
        &["target/binlog-bridge", "run"],
    ];
    assert_eq!(found, expected);
    assert_eq!(variant_name("explain-ddl"), "ExplainDdl");
}
