//! The words of a statement: a tolerant tokenizer, which knows comments and quotes.
//!
//! Of comments for certain versions (`/*!80000 … */`) the content counts: of those whose content the server does not run,
//! it makes ordinary comments before it logs the statement. `/*M!100100 … */` is such a comment for MariaDB alone.

use crate::decode::{Pairs, Statement};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a bare name.
    Word(&'a [u8]),
    /// A name in backticks, or in double quotes, which are names with ANSI_QUOTES.
    Quoted(&'a [u8]),
    /// A literal in single quotes.
    Text,
    /// Any other byte.
    Other(u8),
}

#[derive(Clone)]
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
    has_escapes: bool,
    pairs: Pairs,
    is_mariadb: bool,
}

impl<'a> Tokens<'a> {
    /// The words of a statement, behind the settings that MariaDB lets it have: `SET STATEMENT variable = value, … FOR`.
    pub(super) fn of(statement: &Statement<'a>) -> Self {
        Self::of_all(statement).behind_settings()
    }

    fn of_all(statement: &Statement<'a>) -> Self {
        Self {
            rest: statement.text,
            has_escapes: statement.has_escapes,
            pairs: statement.pairs,
            is_mariadb: statement.is_mariadb,
        }
    }

    fn behind_settings(self) -> Self {
        let is = |token: Option<Token<'a>>, word: &str| matches!(token, Some(Token::Word(found)) if found.eq_ignore_ascii_case(word.as_bytes()));
        let mut settings = self.clone();
        if !is(settings.next(), "SET") || !is(settings.next(), "STATEMENT") {
            return self;
        }
        let mut depth = 0_usize;
        while let Some(token) = settings.next() {
            match token {
                Token::Other(b'(') => depth += 1,
                Token::Other(b')') => depth = depth.saturating_sub(1),
                token @ Token::Word(_) if depth == 0 && is(Some(token.clone()), "FOR") => {
                    return settings;
                }
                Token::Word(_) | Token::Quoted(_) | Token::Text | Token::Other(_) => {}
            }
        }
        self
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Drops white space and comments; of those for certain versions only the marks.
    fn skip_blank(&mut self) {
        loop {
            let until =
                |end: &[u8]| find(self.rest, end).map_or(self.rest.len(), |i| i + end.len());
            let count = match self.rest {
                [byte, ..] if byte.is_ascii_whitespace() => 1,
                [b'#', ..] | [b'-', b'-', b' ' | b'\t' | b'\n' | b'\r', ..] => until(b"\n"),
                [b'/', b'*', b'!', ..] => version_mark(self.rest),
                [b'/', b'*', b'M', b'!', ..] if self.is_mariadb => version_mark(self.rest),
                // `/*/` does not end itself.
                [b'/', b'*', inside @ ..] => {
                    find(inside, b"*/").map_or(self.rest.len(), |end| 2 + end + 2)
                }
                [b'*', b'/', ..] => 2,
                _ => return,
            };
            self.skip(count);
        }
    }

    /// The inside of a quoted token that begins at the front; a doubled quote is one, a backslash escapes
    /// in texts.
    fn quoted(&mut self, quote: u8) -> &'a [u8] {
        let inside = self.rest.get(1..).unwrap_or_default();
        let mut index = 0;
        while let Some(byte) = inside.get(index) {
            if *byte == quote {
                if inside.get(index + 1) != Some(&quote) {
                    break;
                }
                index += 1;
            } else if *byte == b'\\' && quote != b'`' && self.has_escapes {
                index += 1;
            }
            index += self.pairs.length(*byte);
        }
        self.skip(index + 2);
        inside.get(..index).unwrap_or(inside)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let first = *self.rest.first()?;
        Some(match first {
            b'`' | b'"' => Token::Quoted(self.quoted(first)),
            b'\'' => {
                self.quoted(first);
                Token::Text
            }
            _ if is_word(first) => {
                let mut length = 0;
                while let Some(byte) = self.rest.get(length).filter(|byte| is_word(**byte)) {
                    length += self.pairs.length(*byte);
                }
                let length = length.min(self.rest.len());
                let word = self.rest.get(..length).unwrap_or_default();
                self.skip(length);
                Token::Word(word)
            }
            _ => {
                self.skip(1);
                Token::Other(first)
            }
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// Length of `/*!`, `/*!80000` or `/*M!100100`.
fn version_mark(text: &[u8]) -> usize {
    let mark = match text {
        [b'/', b'*', b'M', b'!', ..] => 4,
        _ => 3,
    };
    let digits = text
        .iter()
        .skip(mark)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    mark + digits.min(6)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
