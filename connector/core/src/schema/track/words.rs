//! The words of a statement that is understood: names, literals, numbers, signs.
//!
//! Rules: MySQL manual, "Language Structure" (literals, identifiers, comments). The text is UTF-8 here: of
//! others nothing is read, so that no byte of a character looks like a quote.

use super::NotUnderstood;

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::schema) enum Word {
    /// A keyword or a bare name.
    Bare(String),
    /// A name in backticks, or in double quotes with ANSI_QUOTES.
    Quoted(String),
    /// A literal in quotes, with its escapes resolved.
    Text(String),
    /// Digits, perhaps with a point and an exponent.
    Number(String),
    /// What is written in bits: `b'01'`, `0b01`, `x'0F'`, `0x0F`. As the bytes that it stands for.
    Bits(Vec<u8>),
    /// Any other character.
    Sign(char),
}

/// How a statement is read into words.
#[derive(Debug, Clone, Copy)]
pub(in crate::schema) struct Rules {
    pub(in crate::schema) has_escapes: bool,
    pub(in crate::schema) has_ansi_quotes: bool,
    /// What stands in `/*M! … */` counts.
    pub(in crate::schema) is_mariadb: bool,
}

struct Reader<'a> {
    rest: &'a str,
    rules: Rules,
}

/// The words of a statement, without its comments. Of comments for certain versions the content counts: of those whose
/// content the server does not run it makes ordinary comments before it logs the statement.
pub(in crate::schema) fn words(text: &str, rules: Rules) -> Result<Vec<Word>, NotUnderstood> {
    let mut reader = Reader { rest: text, rules };
    let mut words: Vec<Word> = Vec::new();
    while let Some(word) = reader.next(words.last())? {
        match (words.last_mut(), word) {
            // Literals side by side are one.
            (Some(Word::Text(text)), Word::Text(more)) => text.push_str(&more),
            (_, word) => words.push(word),
        }
    }
    Ok(words)
}

impl Reader<'_> {
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest;
            let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
            let bytes = rest.as_bytes();
            let count = match bytes {
                [byte, ..] if byte.is_ascii_whitespace() || *byte == 0x0b => 1,
                [b'#', ..] | [b'-', b'-', 0..=b' ', ..] => until("\n"),
                [b'-', b'-'] => 2,
                [b'/', b'*', b'!', ..] => version_mark(bytes, 3),
                [b'/', b'*', b'M', b'!', ..] if self.rules.is_mariadb => version_mark(bytes, 4),
                [b'/', b'*', ..] => {
                    2 + rest
                        .get(2..)
                        .and_then(|rest| rest.find("*/"))
                        .map_or(rest.len(), |at| at + 2)
                }
                [b'*', b'/', ..] => 2,
                _ => return,
            };
            self.skip(count);
        }
    }

    /// The next word, behind another: `.2t` behind a name is a name.
    fn next(&mut self, last: Option<&Word>) -> Result<Option<Word>, NotUnderstood> {
        self.skip_blank();
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let second = self.rest.chars().nth(1);
        let word = match (first, second) {
            ('`', _) => Word::Quoted(self.quoted('`')?),
            ('"', _) if self.rules.has_ansi_quotes => Word::Quoted(self.quoted('"')?),
            ('"' | '\'', _) => Word::Text(self.quoted(first)?),
            ('b' | 'B', Some('\'')) => {
                self.skip(1);
                Word::Bits(bits(&self.quoted('\'')?, 1)?)
            }
            ('x' | 'X', Some('\'')) => {
                self.skip(1);
                Word::Bits(bits(&self.quoted('\'')?, 4)?)
            }
            ('0'..='9', _) if last == Some(&Word::Sign('.')) => Word::Bare(self.bare()),
            ('.', Some('0'..='9')) if matches!(last, Some(Word::Bare(_) | Word::Quoted(_))) => {
                self.skip(1);
                Word::Sign('.')
            }
            ('0'..='9', _) | ('.', Some('0'..='9')) => self.number()?,
            _ if is_of_name(first) => Word::Bare(self.bare()),
            _ => {
                self.skip(first.len_utf8());
                Word::Sign(first)
            }
        };
        Ok(Some(word))
    }

    fn bare(&mut self) -> String {
        let end = self.rest.find(|c| !is_of_name(c));
        let word = self.rest.get(..end.unwrap_or(self.rest.len()));
        let word = word.unwrap_or_default().to_owned();
        self.skip(word.len());
        word
    }

    /// A number, or a name that begins with a digit.
    fn number(&mut self) -> Result<Word, NotUnderstood> {
        let digits =
            |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let whole = digits(self.rest);
        let behind = self.rest.get(whole..).unwrap_or_default();
        if !behind.starts_with('.') {
            let word = self.bare();
            let lower = word.to_ascii_lowercase();
            return Ok(match (lower.strip_prefix("0x"), lower.strip_prefix("0b")) {
                _ if whole == word.len() => Word::Number(word),
                (Some(digits), _) => Word::Bits(bits(digits, 4)?),
                (_, Some(digits)) => Word::Bits(bits(digits, 1)?),
                _ if lower.ends_with('e') && self.rest.starts_with(['+', '-']) => {
                    let sign = self.rest.get(..1).unwrap_or_default().to_owned();
                    self.skip(1);
                    Word::Number(word + &sign + &self.bare())
                }
                _ if is_exponential(&lower) => Word::Number(word),
                _ => Word::Bare(word),
            });
        }
        let fraction = digits(behind.get(1..).unwrap_or_default());
        let mut length = whole + 1 + fraction;
        let exponent = self.rest.get(length..).unwrap_or_default();
        if exponent.starts_with(['e', 'E']) {
            let signed = exponent.get(1..).unwrap_or_default();
            let sign = usize::from(signed.starts_with(['+', '-']));
            let power = digits(signed.get(sign..).unwrap_or_default());
            if power > 0 {
                length += 1 + sign + power;
            }
        }
        let number = self.rest.get(..length).unwrap_or_default().to_owned();
        self.skip(length);
        Ok(Word::Number(number))
    }

    /// The inside of what is quoted at the front.
    fn quoted(&mut self, quote: char) -> Result<String, NotUnderstood> {
        let is_name = quote == '`' || (quote == '"' && self.rules.has_ansi_quotes);
        let has_escapes = self.rules.has_escapes && !is_name;
        let mut inside = String::new();
        let mut rest = self
            .rest
            .get(1..)
            .unwrap_or_default()
            .char_indices()
            .peekable();
        while let Some((at, c)) = rest.next() {
            if c == quote {
                if rest.next_if(|(_, next)| *next == quote).is_none() {
                    self.skip(1 + at + 1);
                    return Ok(inside);
                }
                inside.push(quote);
            } else if c == '\\' && !has_escapes && !is_name {
                // What the server writes itself has escapes whatever the mode says.
                return Err(NotUnderstood("a backslash that may escape or not"));
            } else if c == '\\' && has_escapes {
                match rest.next().map(|(_, c)| c) {
                    None => break,
                    Some('0') => inside.push('\0'),
                    Some('b') => inside.push('\u{8}'),
                    Some('n') => inside.push('\n'),
                    Some('r') => inside.push('\r'),
                    Some('t') => inside.push('\t'),
                    Some('Z') => inside.push('\u{1a}'),
                    // Patterns keep their escapes.
                    Some(c @ ('%' | '_')) => inside.extend(['\\', c]),
                    Some(c) => inside.push(c),
                }
            } else {
                inside.push(c);
            }
        }
        Err(NotUnderstood("what is quoted does not end"))
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || c >= '\u{80}'
}

fn is_exponential(word: &str) -> bool {
    word.split_once('e').is_some_and(|(base, power)| {
        let are_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        are_digits(base) && are_digits(power)
    })
}

/// The bytes of digits that stand for so many bits each.
fn bits(digits: &str, each: usize) -> Result<Vec<u8>, NotUnderstood> {
    let mut bytes = Vec::new();
    let per_byte = 8 / each;
    let digits: Vec<char> = digits.chars().collect();
    for chunk in digits.rchunks(per_byte) {
        let mut byte = 0;
        for digit in chunk {
            let value = digit
                .to_digit(1 << each)
                .and_then(|value| u8::try_from(value).ok());
            byte = (byte << each)
                | value.ok_or(NotUnderstood("a literal in bits has other digits"))?;
        }
        bytes.push(byte);
    }
    bytes.reverse();
    Ok(bytes)
}

/// Length of `/*!`, `/*!80000` or `/*M!100100`.
fn version_mark(text: &[u8], mark: usize) -> usize {
    let digits = text
        .iter()
        .skip(mark)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    mark + if digits >= 5 { digits.min(6) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Word> {
        let rules = Rules {
            has_escapes: true,
            has_ansi_quotes: false,
            is_mariadb: true,
        };
        words(text, rules).unwrap()
    }

    fn bare(text: &str) -> Word {
        Word::Bare(text.to_owned())
    }

    #[test]
    fn comments_are_left_out_and_their_versions_too() {
        let expected = [bare("ALTER"), bare("TABLE"), bare("t")];
        for text in [
            "ALTER TABLE t",
            "/* a */ALTER/**/TABLE -- x\n t # y",
            "/*!50100 ALTER */ /*!TABLE*/ t --",
            "/*M!100100 ALTER */ TABLE t -- ",
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(
            of("a--1"),
            [
                bare("a"),
                Word::Sign('-'),
                Word::Sign('-'),
                Word::Number("1".to_owned())
            ]
        );
    }

    #[test]
    fn literals_are_what_they_stand_for() {
        let text = |text: &str| Word::Text(text.to_owned());
        assert_eq!(of(r"'it''s' '\n\\'"), [text("it's\n\\")]);
        assert_eq!(
            of(r#""a""b" `c``d`"#),
            [text("a\"b"), Word::Quoted("c`d".to_owned())]
        );
        assert_eq!(
            of("b'101' 0x0f x'1234'"),
            [
                Word::Bits(vec![5]),
                Word::Bits(vec![15]),
                Word::Bits(vec![0x12, 0x34])
            ]
        );
        let number = |text: &str| Word::Number(text.to_owned());
        assert_eq!(
            of("1 1.50 .5 1e3 1.5e-3 1e-3 2."),
            ["1", "1.50", ".5", "1e3", "1.5e-3", "1e-3", "2."].map(number)
        );
        assert_eq!(of("1a 2e ümlaut"), [bare("1a"), bare("2e"), bare("ümlaut")]);
        let rules = Rules {
            has_escapes: false,
            has_ansi_quotes: true,
            is_mariadb: false,
        };
        assert_eq!(
            words(r#"'a' "x""#, rules).unwrap(),
            [text("a"), Word::Quoted("x".to_owned())]
        );
        assert!(words("'a", rules).is_err() && words("`", rules).is_err());
    }
}
