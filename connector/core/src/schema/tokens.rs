//! The words of a statement: a tolerant tokenizer, which knows comments, quotes and comments for certain versions.

#[derive(Debug, PartialEq, Eq)]
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

/// A text, and how it is read.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) text: &'a [u8],
    /// See [`crate::decode::Statement::has_escapes`].
    pub(super) has_escapes: bool,
    /// Whether what stands in comments for certain versions counts.
    pub(super) runs_comments: bool,
}

impl<'a> Text<'a> {
    /// As it is read mostly.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            has_escapes: true,
            runs_comments: true,
        }
    }

    pub(super) fn tokens(self) -> Tokens<'a> {
        Tokens {
            rest: self.text,
            how: self,
        }
    }

    pub(super) fn has_version_comments(self) -> bool {
        find(self.text, b"/*!").is_some() || find(self.text, b"/*M!").is_some()
    }
}

pub(super) struct Tokens<'a> {
    rest: &'a [u8],
    how: Text<'a>,
}

impl<'a> Tokens<'a> {
    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Drops white space and comments; of those for certain versions only the marks, if their content counts.
    fn skip_blank(&mut self) {
        loop {
            let until =
                |end: &[u8]| find(self.rest, end).map_or(self.rest.len(), |i| i + end.len());
            let count = match self.rest {
                [byte, ..] if byte.is_ascii_whitespace() => 1,
                [b'#', ..] | [b'-', b'-', b' ' | b'\t' | b'\n' | b'\r', ..] => until(b"\n"),
                [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => {
                    match self.how.runs_comments {
                        true => version_mark(self.rest),
                        false => comment_within(self.rest),
                    }
                }
                [b'/', b'*', ..] => until(b"*/"),
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
            } else if *byte == b'\\' && quote != b'`' && self.how.has_escapes {
                index += 1;
            }
            index += 1;
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
                let length = self.rest.iter().take_while(|byte| is_word(**byte)).count();
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

/// Length of a comment for certain versions with all that is in it; one other comment may be (MySQL source,
/// `sql/sql_lex.cc`, `consume_comment`).
fn comment_within(text: &[u8]) -> usize {
    let mut index = 2;
    let mut is_inner = false;
    while let Some(rest) = text.get(index..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(b"*/") {
            index += 2;
            if !std::mem::take(&mut is_inner) {
                return index;
            }
        } else if rest.starts_with(b"/*") {
            is_inner = true;
            index += 2;
        } else {
            index += 1;
        }
    }
    text.len()
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
