//! Reads small decisions from the fuzzer's bytes.
//!
//! Invariant: total. Past the end everything is zero, so that every prefix of an input is an input, and a shorter input
//! makes a shorter run. Driven by all targets that draw values.

pub(crate) struct Source<'a> {
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `limit`, which is at most 256 and not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// An index into a list of this length; none if it is empty.
    pub(crate) fn place(&mut self, length: usize) -> Option<usize> {
        let drawn = usize::from(self.byte());
        (length > 0).then(|| drawn % length)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// At most `most` bytes, their number first.
    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let length = usize::from(u16::from_le_bytes(self.array()));
        self.take(length.min(most))
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// A number of any size: small, anything, or near one of the ends.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => u64::from(self.byte()),
            1 => u64::from_le_bytes(self.array()),
            2 => u64::MAX - u64::from(self.byte()),
            _ => 1u64.rotate_left(u32::from(self.byte())).wrapping_sub(1),
        }
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}
