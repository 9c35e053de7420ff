//! The one generator of random numbers that host and device must reproduce: xorshift32.

/// Marsaglia's xorshift with a 32-bit state and the shifts 13, 17, 5: every value but 0 comes once
/// in 2^32 - 1 draws.
///
/// Three shifts and three XORs a draw. For encoding, not for secrets.
///
/// ```
/// use bitspike_core::random::Xorshift32;
/// let mut random = Xorshift32::new(1);
/// assert_eq!([random.draw(), random.draw()], [270_369, 67_634_689]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xorshift32 {
    /// Never 0: it would stay 0.
    state: u32,
}

impl Xorshift32 {
    /// A generator that starts from `seed`; seed 0 is replaced by 0x9E3779B9.
    pub const fn new(seed: u32) -> Self {
        Self {
            state: if seed == 0 { 0x9E37_79B9 } else { seed },
        }
    }

    /// The next draw, `1 ..= u32::MAX`.
    #[inline]
    pub const fn draw(&mut self) -> u32 {
        let mut r = self.state;
        r ^= r << 13;
        r ^= r >> 17;
        r ^= r << 5;
        self.state = r;
        r
    }

    /// The last draw, or the seed before the first: a generator that starts from it goes on with
    /// the same draws, on this machine or another.
    pub const fn state(&self) -> u32 {
        self.state
    }
}
