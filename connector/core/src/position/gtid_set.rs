//! GTIDs of MySQL and sets of them.
//!
//! Text forms are those of the server: `uuid:1-5:7`, with tags `uuid:1-5:tag:1-2` (MySQL manual, "GTID Format and
//! Storage"). Set arithmetic is exact; nothing is ever compared as text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{PositionError, Uuid};

/// Who numbered a transaction: a server, and since MySQL 8.3 a tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GtidSource {
    /// The server's uuid.
    pub uuid: Uuid,
    /// The tag, in lower case; `None` for untagged transactions.
    pub tag: Option<String>,
}

/// The identity of one transaction of MySQL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MysqlGtid {
    /// Who numbered it.
    pub source: GtidSource,
    /// Its number, from 1.
    pub sequence: u64,
}

impl fmt::Display for MysqlGtid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.source.uuid)?;
        if let Some(tag) = &self.source.tag {
            write!(out, "{tag}:")?;
        }
        write!(out, "{}", self.sequence)
    }
}

/// First and last number of a run, both in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The first number.
    pub first: u64,
    /// The last number, not below the first.
    pub last: u64,
}

/// A set of GTIDs. Intervals of one source are sorted, disjoint and not adjacent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GtidSet {
    sources: BTreeMap<GtidSource, Vec<Interval>>,
}

impl GtidSet {
    /// Adds one transaction.
    pub fn add(&mut self, gtid: &MysqlGtid) {
        let interval = Interval {
            first: gtid.sequence,
            last: gtid.sequence,
        };
        match self.sources.get_mut(&gtid.source) {
            Some(intervals) => add_interval(intervals, interval),
            None => {
                self.sources.insert(gtid.source.clone(), vec![interval]);
            }
        }
    }

    /// True if the transaction is in the set.
    #[must_use]
    pub fn contains(&self, gtid: &MysqlGtid) -> bool {
        self.sources.get(&gtid.source).is_some_and(|intervals| {
            let next = intervals.partition_point(|interval| interval.last < gtid.sequence);
            let interval = intervals.get(next);
            interval.is_some_and(|interval| interval.first <= gtid.sequence)
        })
    }

    /// True if every transaction of this set is in the other too.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.subtract(other).is_empty()
    }

    /// The transactions of this set that are not in the other.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let mut sources = BTreeMap::new();
        for (source, intervals) in &self.sources {
            let gone = other.sources.get(source).map_or(&[][..], Vec::as_slice);
            let left = subtract_intervals(intervals, gone);
            if !left.is_empty() {
                sources.insert(source.clone(), left);
            }
        }
        Self { sources }
    }

    /// The transactions of both sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut sources = self.sources.clone();
        for (source, intervals) in &other.sources {
            let all = sources.entry(source.clone()).or_default();
            for interval in intervals {
                add_interval(all, *interval);
            }
        }
        Self { sources }
    }

    /// True if transactions of the set have a tag.
    #[must_use]
    pub fn has_tags(&self) -> bool {
        self.sources.keys().any(|source| source.tag.is_some())
    }

    /// How many intervals it has, of all sources together.
    #[must_use]
    pub fn intervals(&self) -> usize {
        self.sources.values().map(Vec::len).sum()
    }

    /// True if there is no transaction in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The intervals of each source, in order.
    pub fn sources(&self) -> impl Iterator<Item = (&GtidSource, &[Interval])> {
        self.sources
            .iter()
            .map(|(source, intervals)| (source, intervals.as_slice()))
    }
}

fn add_interval(intervals: &mut Vec<Interval>, new: Interval) {
    // The ordinary case: the next number of the last run.
    if let Some(last) = intervals.last_mut()
        && new.first == last.last.saturating_add(1)
    {
        last.last = new.last;
        return;
    }
    // Texts are in order: a set with thousands of intervals is read at once.
    let is_behind = |last: &Interval| new.first > last.last.saturating_add(1);
    if intervals.last().is_none_or(is_behind) {
        intervals.push(new);
        return;
    }
    intervals.push(new);
    intervals.sort_unstable_by_key(|interval| interval.first);
    let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals.drain(..) {
        match merged.last_mut() {
            Some(last) if interval.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(interval.last);
            }
            Some(_) | None => merged.push(interval),
        }
    }
    *intervals = merged;
}

/// Both in order: each is looked at once.
fn subtract_intervals(from: &[Interval], gone: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::new();
    let mut holes = gone;
    for interval in from {
        let before = holes.partition_point(|hole| hole.last < interval.first);
        holes = holes.get(before..).unwrap_or_default();
        let mut first = interval.first;
        for hole in holes.iter().take_while(|hole| hole.first <= interval.last) {
            if hole.first > first {
                left.push(Interval {
                    first,
                    last: hole.first - 1,
                });
            }
            first = hole.last.saturating_add(1).max(first);
        }
        if first <= interval.last {
            left.push(Interval {
                first,
                last: interval.last,
            });
        }
    }
    left
}

impl fmt::Display for GtidSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous: Option<Uuid> = None;
        for (source, intervals) in &self.sources {
            match previous {
                Some(uuid) if uuid == source.uuid => {}
                Some(_) => write!(out, ",{}", source.uuid)?,
                None => write!(out, "{}", source.uuid)?,
            }
            previous = Some(source.uuid);
            if let Some(tag) = &source.tag {
                write!(out, ":{tag}")?;
            }
            for Interval { first, last } in intervals {
                write!(out, ":{first}")?;
                if last > first {
                    write!(out, "-{last}")?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for GtidSet {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let mut set = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let mut pieces = part.split(':').map(str::trim);
            let uuid: Uuid = pieces.next().unwrap_or_default().parse()?;
            let mut tag = None;
            let mut found = false;
            for piece in pieces {
                if let Some(interval) = parse_interval(piece) {
                    let source = GtidSource {
                        uuid,
                        tag: tag.clone(),
                    };
                    add_interval(set.sources.entry(source).or_default(), interval);
                    found = true;
                } else if is_tag(piece) {
                    tag = Some(piece.to_ascii_lowercase());
                } else {
                    return Err(PositionError::GtidSet(text.to_owned()));
                }
            }
            if !found {
                return Err(PositionError::GtidSet(text.to_owned()));
            }
        }
        Ok(set)
    }
}

fn parse_interval(text: &str) -> Option<Interval> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first: u64 = first.trim().parse().ok()?;
    let last: u64 = last.trim().parse().ok()?;
    (first >= 1 && last >= first).then_some(Interval { first, last })
}

fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && text.len() <= 32
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Serialize for GtidSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GtidSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::Random;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        text.replace('A', A).replace('B', B).parse().unwrap()
    }

    #[test]
    fn sets_print_as_the_server_prints_them() {
        for (given, printed) in [
            ("", ""),
            ("A:1", "A:1"),
            ("A:1-5:7", "A:1-5:7"),
            ("A:7:1-5:6", "A:1-7"),
            ("B:1,\nA:1-2", "A:1-2,B:1"),
            ("A:1-3:Red:1-2:9,A:5", "A:1-3:5:red:1-2:9"),
        ] {
            assert_eq!(
                set(given).to_string(),
                printed.replace('A', A).replace('B', B)
            );
        }
        for wrong in ["x", A, "A:0", "A:5-4", "A:1-2-3", "A:a b:1"] {
            assert!(wrong.replace('A', A).parse::<GtidSet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_set_knows_whether_it_has_tags() {
        assert!(!set("A:1-5,B:1").has_tags());
        assert!(set("A:1-5,B:x:1").has_tags());
    }

    #[test]
    fn subtraction_is_exact() {
        for (from, gone, left) in [
            ("A:1-10", "A:3-4", "A:1-2:5-10"),
            ("A:1-10", "A:1-10", ""),
            ("A:1-10", "B:1-10", "A:1-10"),
            ("A:1-10:20-30", "A:5-25", "A:1-4:26-30"),
            ("A:1-3:x:1-3", "A:1-3", "A:x:1-3"),
            ("A:2", "A:1:3", "A:2"),
        ] {
            assert_eq!(
                set(from).subtract(&set(gone)),
                set(left),
                "{from} minus {gone}"
            );
        }
        assert!(set("A:2-3").is_subset_of(&set("A:1-5")));
        assert!(!set("A:2-6").is_subset_of(&set("A:1-5")));
    }

    #[test]
    fn adding_in_any_order_gives_the_same_set() {
        let uuid = A.parse().unwrap();
        let mut grown = GtidSet::default();
        for sequence in [5, 1, 2, 9, 3, 4, 7, 8, 6, 6] {
            grown.add(&MysqlGtid {
                source: GtidSource { uuid, tag: None },
                sequence,
            });
        }
        assert_eq!(grown, set("A:1-9"));
    }

    #[test]
    fn a_uuid_is_made_of_hexadecimal_digits_only() {
        for wrong in [
            "",
            "3e",
            &A.replace("3e", "+e"),
            &A.replace('e', "g"),
            &A.replace('e', "é"),
            &format!("{A}0"),
        ] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
        assert_eq!(A.to_uppercase().parse::<Uuid>().unwrap().to_string(), A);
    }

    const NUMBERS: u64 = 40;

    type Naive = HashSet<(u8, Option<bool>, u64)>;

    /// A random set, as runs that were added one by one, and the same set number by number.
    fn random_set(random: &mut Random) -> (GtidSet, Naive) {
        let (mut set, mut naive) = (GtidSet::default(), Naive::new());
        for _ in 0..random.below(20) {
            let uuid = u8::try_from(random.below(2)).unwrap();
            let tag = *random.pick(&[None, None, Some(false), Some(true)]);
            let first = random.below(NUMBERS) + 1;
            for sequence in first..=first + random.below(6) {
                set.add(&gtid((uuid, tag, sequence)));
                naive.insert((uuid, tag, sequence));
            }
        }
        (set, naive)
    }

    fn gtid((uuid, tag, sequence): (u8, Option<bool>, u64)) -> MysqlGtid {
        let tag = tag.map(|tag| tag.to_string());
        MysqlGtid {
            source: GtidSource {
                uuid: Uuid([uuid; 16]),
                tag,
            },
            sequence,
        }
    }

    /// The set must have exactly the members of the naive one, in the one form that it can have.
    fn check_set(set: &GtidSet, naive: &Naive) {
        let mut count = 0;
        for (_, intervals) in set.sources() {
            assert!(!intervals.is_empty());
            assert!(
                intervals
                    .iter()
                    .all(|interval| 1 <= interval.first && interval.first <= interval.last)
            );
            let apart = intervals
                .windows(2)
                .all(|pair| pair[0].last + 1 < pair[1].first);
            assert!(apart, "{set} is not in its shortest form");
            count += intervals
                .iter()
                .map(|interval| interval.last - interval.first + 1)
                .sum::<u64>();
        }
        assert_eq!(usize::try_from(count).unwrap(), naive.len());
        assert!(naive.iter().all(|member| set.contains(&gtid(*member))));
        assert_eq!(set.is_empty(), naive.is_empty());
        assert_eq!(&set.to_string().parse::<GtidSet>().unwrap(), set);
    }

    #[test]
    fn sets_do_what_a_slow_and_simple_set_does() {
        for seed in 0..3000 {
            let mut random = Random::new(seed);
            let ((one, one_naive), (two, two_naive)) =
                (random_set(&mut random), random_set(&mut random));
            check_set(&one, &one_naive);
            let left = one.subtract(&two);
            check_set(&left, &one_naive.difference(&two_naive).copied().collect());
            assert_eq!(
                one.is_subset_of(&two),
                one_naive.is_subset(&two_naive),
                "{one} in {two}"
            );
            assert!(left.is_subset_of(&one) && one.subtract(&one).is_empty());
            check_set(
                &one.union(&two),
                &one_naive.union(&two_naive).copied().collect(),
            );
            // Text in another order, with runs that touch or overlap, is the same set.
            let shuffled: Vec<_> = one_naive
                .iter()
                .map(|member| gtid(*member).to_string())
                .collect();
            assert_eq!(shuffled.join(",").parse::<GtidSet>().unwrap(), one);
        }
    }
}
