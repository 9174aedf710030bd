//! Addresses as people see them.
//!
//! Owns the choice of the address that belongs to a key: the output that a signature under this very key can spend.
//! Commands about keys and the demo drive it.

use nelumbo_core::crypto::bitcoin;
use nelumbo_core::crypto::lotus::{Address, Payload};
use nelumbo_core::crypto::{Network, PublicKey, Suite};

/// The address of the Taproot output whose key is `key`: a Lotus address whose commitment it is (Lotus scheme,
/// section 8), or pay-to-taproot as BIP350 writes it, which keeps x alone.
pub(crate) fn of_output_key(suite: Suite, network: Network, key: &PublicKey) -> String {
    match suite {
        Suite::Lotus => Address { network, payload: Payload::Taproot(*key) }.to_string(),
        Suite::Bip340 => bitcoin::Address::taproot(network, key).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use nelumbo_core::crypto::taproot;

    use super::*;

    /// BIP86, first receiving address of its test vector.
    #[test]
    fn the_key_path_address_is_that_of_bip86() {
        let internal = "02cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115".parse().unwrap();
        let key = taproot::output_key(Suite::Bip340, &internal, None).unwrap();
        assert_eq!(
            of_output_key(Suite::Bip340, Network::Mainnet, &key),
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"
        );
    }

    /// Lotus scheme, section 8, the example.
    #[test]
    fn a_lotus_address_holds_the_commitment() {
        let key = "026b3f12efe06ed28a87ec0cd5304cec2cdd21fdae4869dbaf5f1061610c29a002".parse().unwrap();
        assert_eq!(
            of_output_key(Suite::Lotus, Network::Mainnet, &key),
            "lotus_JExs99eDv4eSYqeZqeM7gqGWYn9UPQQd9oQ4YLHdaoz7faYtPDa"
        );
    }
}
