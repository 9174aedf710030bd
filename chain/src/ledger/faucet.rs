//! Money for tests and demonstrations.
//!
//! Owns a key that everybody knows, whose coins come out of blocks as anybody's do. It is worth nothing on any other
//! chain. The ledger drives it.

use nelumbo_crypto::lotus::{TxOutput, Txid};
use nelumbo_crypto::{SecretKey, Suite, schnorr, sha256};

use super::rules::{COINBASE_MATURITY, SUBSIDY};
use super::{Ledger, LedgerError};
use crate::ScriptPayload;
use crate::build::{Coin, Payment, Unlock, build, pay_to_key};

/// The most that is given at once, in satoshi: a hundred thousand XPI.
pub const MAX_FUNDING: u64 = 100_000 * 1_000_000;

fn secret_key() -> SecretKey {
    SecretKey::from_bytes(&sha256(&[b"nelumbo ledger faucet"])).expect("the hash is below the order of the group")
}

impl Ledger {
    /// The script that blocks pay when nobody else is named, and that [`Self::fund`] pays from.
    #[must_use]
    pub fn faucet_script() -> Vec<u8> {
        pay_to_key(&secret_key().public_key()).to_vec()
    }

    /// Pays `value` satoshi to a script and mines the payment. Where the faucet has too few coins that are mature, it
    /// mines them first, a hundred blocks and more.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; blocks may have been mined nevertheless.
    pub fn fund(&mut self, script: &[u8], value: u64, time: i64) -> Result<Txid, LedgerError> {
        if value > MAX_FUNDING {
            return Err(LedgerError::TooMuch { value });
        }
        let faucet = Self::faucet_script();
        let payment = Payment::new(vec![TxOutput { value, script_pubkey: script.to_vec() }], faucet.clone());
        let key = secret_key();
        let unsigned = match build(&self.faucet_coins(), &payment) {
            Ok(unsigned) => unsigned,
            Err(crate::build::BuildError::Insufficient { .. }) => {
                // One more for the fee.
                let needed = u32::try_from(value / SUBSIDY + 2).expect("the value was looked at");
                self.mine(needed + COINBASE_MATURITY, &faucet, time)?;
                build(&self.faucet_coins(), &payment)?
            }
            Err(error) => return Err(error.into()),
        };
        let digests = unsigned.digests(self.replay_protected());
        let sign = |digest: [u8; 32]| schnorr::sign(Suite::Lotus, &key, &digest, None).expect("a digest has 32 bytes");
        let signatures: Vec<schnorr::Signature> = digests.into_iter().map(sign).collect();
        let transaction = unsigned.finalize(&signatures)?;
        let txid = self.submit(&transaction.to_bytes(), time)?;
        self.mine(1, &faucet, time)?;
        Ok(txid)
    }

    /// What the faucet can spend in the next block.
    fn faucet_coins(&self) -> Vec<Coin> {
        let key = secret_key().public_key();
        let script = Self::faucet_script();
        let members = ScriptPayload::of(&script);
        let mature = |coin: &super::Unspent<'_>| {
            coin.height.is_some_and(|height| !coin.is_coinbase || self.height() + 1 - height >= COINBASE_MATURITY)
        };
        let coins = members.iter().flat_map(|member| self.unspent(member)).filter(mature);
        coins
            .map(|coin| Coin {
                outpoint: coin.outpoint,
                output: coin.output.clone(),
                unlock: Unlock::PublicKeyHash(key),
            })
            .collect()
    }
}
