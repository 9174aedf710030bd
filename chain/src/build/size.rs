//! How large a transaction becomes, what it has to pay for that, and what is too little to send.
//!
//! Owns the numbers that the relay rules of lotusd 11.4.14 are made of. Invariant: a size is exact before anything is
//! signed, because every input's script has one length. Coin selection and the ledger drive it.

/// The most bytes of a transaction that nodes relay and blocks hold (lotusd, `MAX_STANDARD_TX_SIZE`).
pub const MAX_STANDARD_BYTES: usize = 100_000;

/// The fewest bytes of a transaction (lotusd, `MIN_TX_SIZE`).
pub const MIN_BYTES: usize = 100;

/// The most bytes of an output script that begins with `OP_RETURN` (lotusd, `MAX_OP_RETURN_RELAY`).
pub const MAX_DATA_BYTES: usize = 223;

/// The most outputs of a transaction that begin with `OP_RETURN`.
pub const MAX_DATA_OUTPUTS: usize = 3;

/// The highest fee that Chronik lets a node take: 10 XPI a kilobyte, in satoshi a byte.
pub const MAX_FEE_PER_BYTE: u64 = 10_000;

/// Begins the script of an output that holds data and cannot be spent.
pub(crate) const OP_RETURN: u8 = 0x6a;

/// Whether an output with this script holds data and cannot be spent.
pub(crate) fn is_data(script_pubkey: &[u8]) -> bool {
    script_pubkey.first() == Some(&OP_RETURN)
}

/// What a transaction pays for its size, in satoshi a kilobyte of 1000 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeeRate(u64);

impl FeeRate {
    /// The least that nodes relay: one satoshi a byte (lotusd, `DEFAULT_MIN_RELAY_TX_FEE_PER_KB`).
    pub const RELAY: Self = Self(1_000);

    /// The most that Chronik passes on.
    pub const MAX: Self = Self(MAX_FEE_PER_BYTE * 1_000);

    /// A rate, in satoshi a kilobyte; one outside of what is relayed becomes the nearest that is.
    #[must_use]
    pub fn per_kilobyte(satoshi: u64) -> Self {
        Self(satoshi.clamp(Self::RELAY.0, Self::MAX.0))
    }

    /// The rate in satoshi a kilobyte.
    #[must_use]
    pub const fn to_satoshi_per_kilobyte(self) -> u64 {
        self.0
    }

    /// The fee of so many bytes, in satoshi, rounded up.
    #[must_use]
    pub const fn fee(self, bytes: usize) -> u64 {
        self.0.saturating_mul(bytes as u64).div_ceil(1_000)
    }
}

impl Default for FeeRate {
    fn default() -> Self {
        Self::RELAY
    }
}

/// The least value of an output with this script, in satoshi. Nodes do not relay less (lotusd, `GetDustThreshold`).
///
/// ```
/// use nelumbo_chain::build::dust;
/// use nelumbo_crypto::lotus::p2pkh_script;
///
/// assert_eq!(dust(&p2pkh_script(&[0; 20])), 546);
/// ```
#[must_use]
pub fn dust(script_pubkey: &[u8]) -> u64 {
    // The input that will spend it, as it was when the rule was made, and a third of the value for its fee.
    const INPUT: usize = 148;
    if is_data(script_pubkey) {
        return 0;
    }
    3 * (output_bytes(script_pubkey.len()) + INPUT) as u64
}

/// The bytes of an output whose script has so many.
#[must_use]
pub const fn output_bytes(script: usize) -> usize {
    8 + compact_size(script) + script
}

/// The bytes of an input whose script has so many.
#[must_use]
pub const fn input_bytes(script: usize) -> usize {
    36 + compact_size(script) + script + 4
}

/// The bytes of a transaction, given the number and the bytes of its inputs and of its outputs.
#[must_use]
pub const fn transaction_bytes(inputs: (usize, usize), outputs: (usize, usize)) -> usize {
    4 + compact_size(inputs.0) + inputs.1 + compact_size(outputs.0) + outputs.1 + 4
}

/// The bytes of the variable-length integer of serialisations.
const fn compact_size(value: usize) -> usize {
    match value {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use nelumbo_crypto::lotus::p2sh_script;

    use super::*;

    /// lotusd 11.4.14 on regtest: one below each of these is "dust".
    #[test]
    fn dust_is_what_the_node_says() {
        let taproot = [[0x62, 0x51, 0x21].as_slice(), &[2; 33]].concat();
        let with_state = [taproot.as_slice(), &[0x20], &[0; 32]].concat();
        assert_eq!(dust(&p2sh_script(&[0; 20])), 540);
        assert_eq!(dust(&taproot), 579);
        assert_eq!(dust(&with_state), 678);
        assert_eq!(dust(&[OP_RETURN]), 0);
    }

    /// The same: a key-path spend to one Taproot output has 162 bytes, to two 207, and 213 with a burn.
    #[test]
    fn sizes_are_what_the_node_says() {
        let spend = |outputs: &[usize]| {
            let bytes = outputs.iter().map(|script| output_bytes(*script)).sum();
            transaction_bytes((1, input_bytes(66)), (outputs.len(), bytes))
        };
        assert_eq!([spend(&[36]), spend(&[36, 36]), spend(&[36, 42])], [162, 207, 213]);
        assert_eq!((input_bytes(66), input_bytes(100)), (107, 141));
    }

    #[test]
    fn rates_stay_where_nodes_relay() {
        assert_eq!(FeeRate::per_kilobyte(0), FeeRate::RELAY);
        assert_eq!(FeeRate::per_kilobyte(u64::MAX), FeeRate::MAX);
        assert_eq!((FeeRate::RELAY.fee(162), FeeRate::per_kilobyte(1_001).fee(162)), (162, 163));
    }
}
