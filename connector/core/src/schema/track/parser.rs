//! A cursor over the words of a statement.

use super::NotUnderstood;
use super::words::Word;

/// The words that are still to be understood.
pub(in crate::schema) struct Parser {
    words: Vec<Word>,
    at: usize,
}

type Understood<T> = Result<T, NotUnderstood>;

impl Parser {
    pub(in crate::schema) fn new(words: Vec<Word>) -> Self {
        Self { words, at: 0 }
    }

    /// Passes the settings that MariaDB lets a statement have: `SET STATEMENT variable = value, … FOR`.
    pub(in crate::schema) fn take_settings(&mut self) {
        if !self.is_all(&["SET", "STATEMENT"]) {
            return;
        }
        let begin = self.at;
        let mut depth = 0_usize;
        loop {
            if depth == 0 && self.take("FOR") {
                return;
            }
            match self.next() {
                Some(Word::Sign('(')) => depth += 1,
                Some(Word::Sign(')')) => depth = depth.saturating_sub(1),
                Some(_) => {}
                None => break,
            }
        }
        self.at = begin;
    }

    pub(in crate::schema) fn peek(&self) -> Option<&Word> {
        self.words.get(self.at)
    }

    pub(in crate::schema) fn peek_at(&self, ahead: usize) -> Option<&Word> {
        self.words.get(self.at + ahead)
    }

    pub(in crate::schema) fn next(&mut self) -> Option<Word> {
        let word = self.words.get(self.at).cloned();
        self.at += usize::from(word.is_some());
        word
    }

    /// True at the end, or at a semicolon that ends the statement.
    pub(in crate::schema) fn is_done(&self) -> bool {
        match self.peek() {
            None => true,
            Some(Word::Sign(';')) => self.peek_at(1).is_none(),
            Some(_) => false,
        }
    }

    pub(in crate::schema) fn is(&self, keyword: &str) -> bool {
        self.is_at(0, keyword)
    }

    pub(in crate::schema) fn is_at(&self, ahead: usize, keyword: &str) -> bool {
        matches!(self.peek_at(ahead), Some(Word::Bare(word)) if word.eq_ignore_ascii_case(keyword))
    }

    pub(in crate::schema) fn is_one_of(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    /// True where ALTER DATABASE goes on with an option, so that the database in use is meant. A database may be called
    /// `comment` on MySQL, which has no such option.
    pub(in crate::schema) fn is_database_option(&self, is_mariadb: bool) -> bool {
        const OPTIONS: [&str; 6] = [
            "DEFAULT",
            "CHARACTER",
            "CHARSET",
            "COLLATE",
            "ENCRYPTION",
            "READ",
        ];
        self.is_one_of(&OPTIONS) || (is_mariadb && self.is("COMMENT"))
    }

    /// Passes a keyword, if it is there.
    pub(in crate::schema) fn take(&mut self, keyword: &str) -> bool {
        let is_there = self.is(keyword);
        self.at += usize::from(is_there);
        is_there
    }

    /// Passes one of some keywords, if it is there.
    pub(in crate::schema) fn take_one(&mut self, keywords: &[&str]) -> bool {
        let is_there = self.is_one_of(keywords);
        self.at += usize::from(is_there);
        is_there
    }

    pub(in crate::schema) fn is_all(&self, keywords: &[&str]) -> bool {
        let mut keywords = keywords.iter().enumerate();
        keywords.all(|(ahead, keyword)| self.is_at(ahead, keyword))
    }

    /// Passes keywords that follow one another, if all are there.
    pub(in crate::schema) fn take_all(&mut self, keywords: &[&str]) -> bool {
        let are_there = self.is_all(keywords);
        if are_there {
            self.at += keywords.len();
        }
        are_there
    }

    /// True if the word that was passed last is this keyword.
    pub(in crate::schema) fn was(&self, keyword: &str) -> bool {
        let last = self.at.checked_sub(1).and_then(|at| self.words.get(at));
        matches!(last, Some(Word::Bare(word)) if word.eq_ignore_ascii_case(keyword))
    }

    pub(in crate::schema) fn is_sign(&self, sign: char) -> bool {
        self.peek() == Some(&Word::Sign(sign))
    }

    pub(in crate::schema) fn take_sign(&mut self, sign: char) -> bool {
        let is_there = self.is_sign(sign);
        self.at += usize::from(is_there);
        is_there
    }

    pub(in crate::schema) fn expect(&mut self, keyword: &str) -> Understood<()> {
        match self.take(keyword) {
            true => Ok(()),
            false => Err(NotUnderstood("a keyword is missing")),
        }
    }

    pub(in crate::schema) fn expect_sign(&mut self, sign: char) -> Understood<()> {
        match self.take_sign(sign) {
            true => Ok(()),
            false => Err(NotUnderstood("a sign is missing")),
        }
    }

    pub(in crate::schema) fn name(&mut self) -> Understood<String> {
        match self.next() {
            Some(Word::Bare(name) | Word::Quoted(name)) => Ok(name),
            _ => Err(NotUnderstood("a name is missing")),
        }
    }

    /// `name` or `qualifier.name`.
    pub(in crate::schema) fn qualified(&mut self) -> Understood<(Option<String>, String)> {
        // `.name` is a name in the database that is in use.
        if self.take_sign('.') {
            return Ok((None, self.name()?));
        }
        let first = self.name()?;
        match self.take_sign('.') {
            true => Ok((Some(first), self.name()?)),
            false => Ok((None, first)),
        }
    }

    /// The last part of a name of a column: `column`, `table.column`, `database.table.column`.
    pub(in crate::schema) fn column_name(&mut self) -> Understood<String> {
        let mut name = self.name()?;
        while self.take_sign('.') {
            name = self.name()?;
        }
        Ok(name)
    }

    pub(in crate::schema) fn text(&mut self) -> Understood<String> {
        match self.next() {
            Some(Word::Text(text)) => Ok(text),
            _ => Err(NotUnderstood("a text is missing")),
        }
    }

    pub(in crate::schema) fn number(&mut self) -> Understood<u64> {
        match self.next() {
            Some(Word::Number(number)) => number
                .parse()
                .map_err(|_| NotUnderstood("a number is no whole one")),
            _ => Err(NotUnderstood("a number is missing")),
        }
    }

    /// Passes what is in parentheses, and these.
    pub(in crate::schema) fn skip_parentheses(&mut self) -> Understood<()> {
        self.expect_sign('(')?;
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Some(Word::Sign('(')) => depth += 1,
                Some(Word::Sign(')')) => depth -= 1,
                Some(_) => {}
                None => return Err(NotUnderstood("a parenthesis does not close")),
            }
        }
        Ok(())
    }

    /// Passes one value: a word, a list in parentheses, or a signed number.
    pub(in crate::schema) fn skip_value(&mut self) -> Understood<()> {
        if self.is_sign('(') {
            return self.skip_parentheses();
        }
        if !self.take_sign('-') {
            self.take_sign('+');
        }
        match self.next() {
            Some(Word::Sign(_)) | None => Err(NotUnderstood("a value is missing")),
            Some(_) => Ok(()),
        }
    }
}
