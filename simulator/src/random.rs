//! Random numbers that depend on a seed and a label alone: a counter, mixed (SplitMix64, Steele, Lea and Flood 2014).

/// A stream of random numbers in eight bytes.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The stream of `seed` with this label and number.
    pub(crate) fn stream(seed: u64, label: &str, number: u64) -> Self {
        let labelled = label.bytes().fold(seed, |state, byte| mix(state.wrapping_mul(31) ^ u64::from(byte)));
        Self(mix(labelled ^ number.wrapping_mul(Self::STEP)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        mix(self.0)
    }

    /// A number below `bound`, even enough for bounds far below 2⁶⁴; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(crate) fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_le_bytes()));
        bytes
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
