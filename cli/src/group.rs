//! Groups: several keys that hold money together, under one address.
//!
//! Owns what a group is, how it is written to a file that others import, and what follows from it: its id, the tweak
//! that it signs with, its output and its address. Invariant: the same members, suite, network and recovery make the
//! same id and the same address, in whatever order the keys were given, whatever the name is. The commands about
//! contacts, groups and payments drive it.

use std::fmt;

use nelumbo_chain::ScriptPayload;
use nelumbo_chain::build::{Delay, Recovery};
use nelumbo_chain::psbt::{Descriptor, with_checksum};
use nelumbo_core::crypto::lotus::{self, Payload, TaprootOutput};
use nelumbo_core::crypto::{KeyAggContext, Network, PublicKey, Suite, Tweak, bitcoin, tagged_hash};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::values;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) network: Network,
    pub(crate) suite: Suite,
    /// Ascending and distinct.
    pub(crate) keys: Vec<PublicKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recovery: Option<RecoveryKey>,
}

/// Who may take the group's money alone, and after how long: counted from when each output was confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecoveryKey {
    pub(crate) key: PublicKey,
    pub(crate) blocks: u16,
}

/// A group as one member gives it to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exported {
    /// The format's version.
    pub(crate) nelumbo_group: u32,
    pub(crate) name: Name,
    pub(crate) id: String,
    pub(crate) address: String,
    #[serde(flatten)]
    pub(crate) group: ExportedGroup,
}

/// The fields of a group beside others: `flatten` and `deny_unknown_fields` exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportedGroup {
    network: Network,
    suite: Suite,
    keys: Vec<PublicKey>,
    recovery: Option<RecoveryKey>,
}

const FORMAT: u32 = 1;

/// What a contact or a group is called: 1 to 32 letters, digits, dots, hyphens and underscores, beginning with a
/// letter, so that it is never taken for a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name(String);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let sound = text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.len() <= 32
            && text.chars().all(|char| char.is_ascii_alphanumeric() || ".-_".contains(char));
        if sound {
            Ok(Self(text))
        } else {
            Err("a name has 1 to 32 letters, digits, dots, hyphens and underscores, and begins with a letter"
                .to_owned())
        }
    }
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl Group {
    /// A group of these keys, in any order.
    pub(crate) fn new(
        network: Network,
        suite: Suite,
        keys: Vec<PublicKey>,
        recovery: Option<RecoveryKey>,
    ) -> Result<Self, Failure> {
        let keys = values::sorted(keys)?;
        if keys.len() < 2 {
            return Err(Failure::input("a group has two keys at least", "give the keys or names of the others"));
        }
        if recovery.is_some() && suite != Suite::Lotus {
            return Err(Failure::input("recovery is there for the suite lotus only", "leave out --recovery"));
        }
        if recovery.is_some_and(|recovery| recovery.blocks == 0) {
            return Err(Failure::input("a recovery without a delay is no group", "give --delay 1 or more"));
        }
        let group = Self { network, suite, keys, recovery };
        group.aggregate().map_err(|error| Failure::input(error, "check the keys; each belongs to one signer"))?;
        Ok(group)
    }

    /// By whom and when the money can be taken alone.
    pub(crate) fn leaf(&self) -> Option<Recovery> {
        self.recovery.map(|RecoveryKey { key, blocks }| Recovery { key, delay: Delay::Blocks(blocks) })
    }

    /// What the aggregate key is changed by before it signs.
    pub(crate) fn tweak(&self) -> Tweak {
        Tweak::Taproot { merkle_root: self.leaf().map(|leaf| leaf.merkle_root()) }
    }

    fn aggregate(&self) -> Result<KeyAggContext, nelumbo_core::crypto::KeyAggError> {
        KeyAggContext::new(self.suite, &self.keys)?.with_tweak(&self.tweak())
    }

    /// The key of the group's outputs.
    pub(crate) fn output_key(&self) -> PublicKey {
        self.aggregate().expect("the keys were aggregated when the group was made").challenge_key()
    }

    /// The script of the group's outputs.
    pub(crate) fn script(&self) -> Vec<u8> {
        let key = self.output_key();
        match self.suite {
            Suite::Lotus => TaprootOutput { commitment: key, state: None }.script_pubkey(),
            Suite::Bip340 => bitcoin::taproot_script(&key).to_vec(),
        }
    }

    /// What servers of Lotus find the group's outputs by.
    pub(crate) fn payload(&self) -> ScriptPayload {
        ScriptPayload::TaprootCommitment(self.output_key().to_bytes())
    }

    /// Where the group is paid.
    pub(crate) fn address(&self) -> String {
        let key = self.output_key();
        match self.suite {
            Suite::Lotus => {
                let payload = Payload::Taproot(key);
                lotus::Address { network: self.network, payload }.to_string()
            }
            Suite::Bip340 => bitcoin::Address::taproot(self.network, &key).to_string(),
        }
    }

    /// As wallets of Bitcoin write what the group's outputs are (BIP390), with its checksum.
    pub(crate) fn descriptor(&self) -> Option<String> {
        let text = (self.suite == Suite::Bip340).then(|| Descriptor::text_of_group(&self.keys))?;
        with_checksum(&text).ok()
    }

    /// What the group is recognised by: a hash of everything that it is.
    pub(crate) fn id(&self) -> String {
        let (network, suite) = (self.network.to_string(), self.suite.to_string());
        let recovery = self.leaf().map(|leaf| leaf.script()).unwrap_or_default();
        let keys: Vec<u8> = self.keys.iter().flat_map(|key| *key.as_bytes()).collect();
        let parts: [&[u8]; 4] = [network.as_bytes(), suite.as_bytes(), &keys, &recovery];
        // The length before each part, so that two groups never share their bytes.
        let bytes: Vec<u8> =
            parts.iter().flat_map(|part| [&(part.len() as u32).to_le_bytes()[..], part].concat()).collect();
        hex::encode(tagged_hash("nelumbo/group/1", &[&bytes]))
    }

    /// As it is given to the others.
    pub(crate) fn export(&self, name: Name) -> Exported {
        let Self { network, suite, keys, recovery } = self.clone();
        let (id, address) = (self.id(), self.address());
        let group = ExportedGroup { network, suite, keys, recovery };
        Exported { nelumbo_group: FORMAT, name, id, address, group }
    }
}

impl Exported {
    /// The group, if everything that the file says of it is true.
    pub(crate) fn import(self) -> Result<(Name, Group), Failure> {
        let ExportedGroup { network, suite, keys, recovery } = self.group;
        if self.nelumbo_group != FORMAT {
            return Err(Failure::input(
                format_args!("the group has format {}, and this version reads {FORMAT}", self.nelumbo_group),
                "use the version of nelumbo that wrote it",
            ));
        }
        let group = Group::new(network, suite, keys, recovery)?;
        let (id, address) = (group.id(), group.address());
        if (&id, &address) != (&self.id, &self.address) {
            return Err(Failure::input(
                format_args!("the file says address {}, and its keys make {address}", self.address),
                "it was altered or written by something else: ask for it again, on another way",
            ));
        }
        Ok((self.name, group))
    }
}

#[cfg(test)]
mod tests {
    use nelumbo_core::crypto::SecretKey;

    use super::*;

    fn keys(numbers: &[u8]) -> Vec<PublicKey> {
        numbers.iter().map(|number| SecretKey::from_bytes(&[*number; 32]).expect("a key").public_key()).collect()
    }

    fn group(suite: Suite, numbers: &[u8], recovery: Option<RecoveryKey>) -> Group {
        Group::new(Network::Regtest, suite, keys(numbers), recovery).expect("a group")
    }

    #[test]
    fn the_same_members_are_the_same_group_in_any_order() {
        for suite in [Suite::Lotus, Suite::Bip340] {
            let one = group(suite, &[1, 2, 3], None);
            assert_eq!(one, group(suite, &[3, 1, 2], None));
            assert_eq!((one.id(), one.address()), (group(suite, &[2, 1, 3], None).id(), one.address()));
            assert_ne!(one.id(), group(suite, &[1, 2], None).id());
        }
        let recovery = RecoveryKey { key: keys(&[1])[0], blocks: 144 };
        let with = group(Suite::Lotus, &[1, 2], Some(recovery));
        let without = group(Suite::Lotus, &[1, 2], None);
        assert_ne!((with.id(), with.address()), (without.id(), without.address()));
        assert_ne!(with.tweak(), without.tweak());
    }

    #[test]
    fn a_group_survives_its_file_and_an_altered_one_is_refused() {
        let recovery = RecoveryKey { key: keys(&[1])[0], blocks: 144 };
        let group = group(Suite::Lotus, &[1, 2, 3], Some(recovery));
        let name: Name = "family".parse().expect("a name");
        let text = serde_json::to_string(&group.export(name.clone())).expect("it can be written");
        let read = |text: &str| serde_json::from_str::<Exported>(text).expect("it can be read").import();
        assert_eq!(read(&text).expect("it is sound"), (name, group));
        for (was, is) in [("144", "143"), ("regtest", "testnet"), ("\"nelumbo_group\":1", "\"nelumbo_group\":2")] {
            assert!(text.contains(was), "{text}");
            assert!(read(&text.replacen(was, is, 1)).is_err(), "{was}");
        }
    }

    #[test]
    fn a_descriptor_stands_for_the_output_of_the_group() {
        let group = group(Suite::Bip340, &[3, 1, 2], None);
        let text = group.descriptor().expect("it is on Bitcoin");
        let descriptor = Descriptor::parse(&text).expect("the checksum is right");
        assert_eq!(descriptor.expand(0).expect("keys").script_pubkey, group.script());
        assert_eq!(descriptor.group(), Some(group.keys));
        assert_eq!(
            super::Group::new(Network::Regtest, Suite::Lotus, keys(&[1, 2]), None).expect("a group").descriptor(),
            None
        );
    }

    #[test]
    fn what_is_no_group_is_refused() {
        let make = |suite, numbers: &[u8], recovery| Group::new(Network::Regtest, suite, keys(numbers), recovery);
        assert!(make(Suite::Lotus, &[1], None).is_err());
        assert!(make(Suite::Lotus, &[1, 1], None).is_err());
        let recovery = |blocks| Some(RecoveryKey { key: keys(&[1])[0], blocks });
        assert!(make(Suite::Lotus, &[1, 2], recovery(0)).is_err());
        assert!(make(Suite::Bip340, &[1, 2], recovery(1)).is_err());
        for name in ["", "1st", "-x", "a b", "a/b", &"x".repeat(33), "\u{202e}a"] {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
    }
}
