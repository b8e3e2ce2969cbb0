//! Random numbers from a seed that can be given again.

/// A small generator (splitmix64); good enough to choose moments and names.
pub struct Random(u64);

impl Random {
    /// From this seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// From `PROJECTIONIST_TEST_SEED`, else from a new seed; prints it, so that
    /// a failure can be repeated.
    pub fn printed() -> Self {
        let given = std::env::var("PROJECTIONIST_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        // The address of a local and the process differ from run to run, which is all that is asked.
        let local = 0_u8;
        let seed = given.unwrap_or_else(|| {
            Self((&raw const local) as u64 ^ (u64::from(std::process::id()) << 32)).next()
        });
        println!("seed: PROJECTIONIST_TEST_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "an endless source is handier without options")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}
