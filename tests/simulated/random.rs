//! All chance of a simulation comes from here: the same seed, the same run.

use std::ops::Range;

/// Marsaglia's xorshift64*, seeded through one step of splitmix64, so that near seeds give far runs.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number of the range.
    pub fn below(&mut self, range: Range<u64>) -> u64 {
        range.start + (self.draw() >> 16) % (range.end - range.start)
    }

    /// True so many times out of a thousand.
    pub fn per_mille(&mut self, chance: u64) -> bool {
        self.below(0..1000) < chance
    }

    /// One of several.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let index = self.below(0..u64::try_from(all.len()).unwrap());
        all[usize::try_from(index).unwrap()]
    }

    /// A generator of its own, so that one part's draws do not move another's.
    pub fn fork(&mut self) -> Self {
        Self::new(self.draw())
    }
}
