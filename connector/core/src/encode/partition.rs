//! Which partition a key belongs to: Kafka's own rule for keyed records, over the Avro key without its header.
//!
//! The rule is that of `org.apache.kafka.common.utils.Utils.murmur2` and `toPositive`. The header is left out
//! since it holds a schema id, which may change while the key does not.

use crate::input::Input;

/// The partition of a key among `partitions`, at least 1.
#[must_use]
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let hash = murmur2(key).cast_signed() & i32::MAX;
    hash.checked_rem(partitions).unwrap_or(0)
}

/// MurmurHash2 by Austin Appleby, 32 bits, with the seed that Kafka uses.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MIX: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;
    // Kafka's lengths are 32 bits; keys are far below.
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut input = Input::new(data);
    while let Ok(word) = input.u32() {
        let word = word.wrapping_mul(MIX);
        let word = (word ^ (word >> SHIFT)).wrapping_mul(MIX);
        hash = hash.wrapping_mul(MIX) ^ word;
    }
    let tail = input.rest();
    if !tail.is_empty() {
        let word = tail.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ word).wrapping_mul(MIX);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_own_clients() {
        // From UtilsTest.testMurmur2 of Apache Kafka.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(partition_of(b"21", 7), (-973_932_308 & i32::MAX) % 7);
    }
}
