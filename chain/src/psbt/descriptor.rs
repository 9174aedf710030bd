//! Descriptors of Taproot outputs with `musig()` (BIP380, BIP386, BIP390), and what they stand for.
//!
//! Read are `tr(KEY)`, `tr(KEY,TREE)` with leaves `pk(KEY)`, and `rawtr(KEY)`. A KEY is a public key, an extended one
//! with steps below it, a secret key in wallet import format, or `musig()` of such. A range is `/*`; several paths at
//! once (`<0;1>`) are not read: write two descriptors.
//!
//! Owns the grammar, the expansion and the checksum. Invariant: whoever reads the same descriptor gets the same script,
//! in whatever order the keys of a `musig()` are written.

use bitcoin::bip32::{ChildNumber, Xpub};
use bitcoin::secp256k1::Secp256k1;
use nelumbo_crypto::bitcoin::taproot_script;
use nelumbo_crypto::lotus::wif;
use nelumbo_crypto::{KeyAggContext, Network, PublicKey, PublicKeyError, Suite, sort_keys, taproot};

use super::MAX_PARTICIPANTS;
use super::synthetic::{DerivationError, SyntheticXpub};
use super::task::lift;

/// The longest descriptor that is read.
const MAX_LENGTH: usize = 32 * 1024;
/// The last index of a range, and of a step that is not hardened.
const MAX_INDEX: u32 = (1 << 31) - 1;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    key: Key,
    /// With `tr()`; a `rawtr()` has the key as it is.
    taproot: Option<Option<Tree>>,
}

/// What a descriptor stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// The script of the output.
    pub script_pubkey: Vec<u8>,
    /// The key of the output, as it is computed.
    pub output_key: PublicKey,
    /// The key before scripts are committed to; none for `rawtr()`.
    pub internal_key: Option<PublicKey>,
    /// The root of the script tree, if there is one.
    pub merkle_root: Option<[u8; 32]>,
    /// Each `musig()`, the one of the output first.
    pub aggregates: Vec<Aggregate>,
}

/// A `musig()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// The participants, sorted as they are aggregated.
    pub participants: Vec<PublicKey>,
    /// Their aggregate, before any step.
    pub aggregate: PublicKey,
    /// The steps from it to the key that stands in the output or the script.
    pub path: Vec<u32>,
}

/// Why a text is no descriptor that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The grammar.
    #[error("this is no descriptor of Taproot that can be read: {0}")]
    Syntax(String),
    /// `musig()` in a place where BIP390 does not allow it.
    #[error("musig() may stand in tr() and rawtr() only, not in {0}")]
    Place(String),
    /// A `musig()` with steps behind it has participants that are no extended keys, or with a range of their own.
    #[error("a musig() with steps of its own has extended keys without ranges as participants")]
    Participants,
    /// A step behind a `musig()` or an extended public key is hardened.
    #[error("a step below a public key cannot be hardened")]
    Hardened,
    /// The checksum (BIP380) is that of another text.
    #[error("the checksum of the descriptor is wrong: a character is missing or was changed")]
    Checksum,
    /// A key.
    #[error("{0}")]
    Key(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tree {
    Leaf(Key),
    Branch(Box<Tree>, Box<Tree>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Single(Single),
    Musig { participants: Vec<Single>, steps: Steps },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Single {
    Plain(PublicKey),
    Extended(Box<Xpub>, Steps),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Steps {
    fixed: Vec<u32>,
    is_range: bool,
}

impl Steps {
    fn is_empty(&self) -> bool {
        self.fixed.is_empty() && !self.is_range
    }

    fn at(&self, index: u32) -> Vec<u32> {
        self.fixed.iter().copied().chain(self.is_range.then_some(index)).collect()
    }
}

impl Descriptor {
    /// The descriptor of the output that these keys own together: `tr(musig(…))`, without a checksum.
    #[must_use]
    pub fn text_of_group(keys: &[PublicKey]) -> String {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        format!("tr(musig({}))", keys.join(","))
    }

    /// Reads a descriptor, with its checksum or without.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`].
    pub fn parse(text: &str) -> Result<Self, DescriptorError> {
        if text.len() > MAX_LENGTH {
            return Err(syntax("it is too long"));
        }
        let body = match text.split_once('#') {
            Some((body, found)) if checksum(body).as_deref() == Some(found) => body,
            Some(_) => return Err(DescriptorError::Checksum),
            None => text,
        };
        let (name, inside) = call(body)?;
        match name {
            "rawtr" => Ok(Self { key: key(inside)?, taproot: None }),
            "tr" => {
                let mut parts = split(inside)?.into_iter();
                let internal = key(parts.next().unwrap_or_default())?;
                let tree = parts.next().map(|text| tree(text, 0)).transpose()?;
                match parts.next() {
                    None => Ok(Self { key: internal, taproot: Some(tree) }),
                    Some(_) => Err(syntax("tr() has a key and perhaps a tree")),
                }
            }
            _ if body.contains("musig(") => Err(DescriptorError::Place(format!("{name}()"))),
            _ => Err(syntax("it is neither tr() nor rawtr()")),
        }
    }

    /// Whether it stands for many outputs, one for each index.
    #[must_use]
    pub fn is_range(&self) -> bool {
        fn of_key(key: &Key) -> bool {
            let of_single = |single: &Single| matches!(single, Single::Extended(_, steps) if steps.is_range);
            match key {
                Key::Single(single) => of_single(single),
                Key::Musig { participants, steps } => steps.is_range || participants.iter().any(of_single),
            }
        }
        fn of_tree(tree: &Tree) -> bool {
            match tree {
                Tree::Leaf(key) => of_key(key),
                Tree::Branch(one, other) => of_tree(one) || of_tree(other),
            }
        }
        of_key(&self.key) || self.taproot.iter().flatten().any(of_tree)
    }

    /// What it stands for at an index, which only matters for a range.
    ///
    /// # Errors
    ///
    /// [`DescriptorError::Key`] where the keys make none, [`DescriptorError::Hardened`] for an index of 2³¹ or more.
    pub fn expand(&self, index: u32) -> Result<Expansion, DescriptorError> {
        if index > MAX_INDEX {
            return Err(DescriptorError::Hardened);
        }
        let mut aggregates = Vec::new();
        let key = expand_key(&self.key, index, &mut aggregates)?;
        let Some(tree) = &self.taproot else {
            let (internal_key, merkle_root) = (None, None);
            let script_pubkey = taproot_script(&key).to_vec();
            return Ok(Expansion { script_pubkey, output_key: key, internal_key, merkle_root, aggregates });
        };
        let merkle_root = tree.as_ref().map(|tree| expand_tree(tree, index, &mut aggregates)).transpose()?;
        let output_key = taproot::output_key(Suite::Bip340, &key, merkle_root.as_ref()).map_err(unusable)?;
        let script_pubkey = taproot_script(&output_key).to_vec();
        Ok(Expansion { script_pubkey, output_key, internal_key: Some(key), merkle_root, aggregates })
    }

    /// The keys of `tr(musig(…))` where nothing is derived and no script is committed to: a group as nelumbo has them.
    #[must_use]
    pub fn group(&self) -> Option<Vec<PublicKey>> {
        let Self { key: Key::Musig { participants, steps }, taproot: Some(None) } = self else { return None };
        let plain = |single: &Single| match single {
            Single::Plain(key) => Some(*key),
            Single::Extended(..) => None,
        };
        participants.iter().map(plain).collect::<Option<_>>().filter(|_| steps.is_empty())
    }
}

fn syntax(problem: &str) -> DescriptorError {
    DescriptorError::Syntax(problem.to_owned())
}

fn unusable(error: impl std::fmt::Display) -> DescriptorError {
    DescriptorError::Key(error.to_string())
}

/// Takes `name(inside)` apart.
fn call(text: &str) -> Result<(&str, &str), DescriptorError> {
    let inside = text.split_once('(').and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)));
    inside.ok_or_else(|| syntax("a name with parentheses is missing"))
}

/// Splits at the commas that are in no parentheses, braces or brackets.
fn split(text: &str) -> Result<Vec<&str>, DescriptorError> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
    for (place, char) in text.char_indices() {
        match char {
            '(' | '{' | '[' | '<' => depth += 1,
            ')' | '}' | ']' | '>' => depth = depth.checked_sub(1).ok_or_else(|| syntax("a parenthesis is missing"))?,
            ',' if depth == 0 => {
                parts.push(&text[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    if depth == 0 { Ok(parts) } else { Err(syntax("a parenthesis is missing")) }
}

fn tree(text: &str, depth: usize) -> Result<Tree, DescriptorError> {
    if depth > taproot::MAX_DEPTH {
        return Err(syntax("the tree is too deep"));
    }
    if let Some(inside) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let [one, other] = split(inside)?[..] else { return Err(syntax("a branch has two sides")) };
        return Ok(Tree::Branch(Box::new(tree(one, depth + 1)?), Box::new(tree(other, depth + 1)?)));
    }
    match call(text)? {
        ("pk", inside) => Ok(Tree::Leaf(key(inside)?)),
        _ => Err(syntax("the leaves of its tree are not all pk()")),
    }
}

fn key(text: &str) -> Result<Key, DescriptorError> {
    let Some(rest) = text.strip_prefix("musig(") else { return single(text).map(Key::Single) };
    let (inside, path) = rest.rsplit_once(')').ok_or_else(|| syntax("a parenthesis is missing"))?;
    if inside.contains("musig(") {
        return Err(DescriptorError::Place("musig()".to_owned()));
    }
    let participants = split(inside)?.into_iter().map(single).collect::<Result<Vec<_>, _>>()?;
    if participants.len() > MAX_PARTICIPANTS {
        return Err(syntax("a musig() has at most 128 participants"));
    }
    let steps = steps(path)?;
    let derives = |single: &Single| matches!(single, Single::Extended(_, steps) if !steps.is_range);
    if !steps.is_empty() && !participants.iter().all(derives) {
        return Err(DescriptorError::Participants);
    }
    Ok(Key::Musig { participants, steps })
}

fn single(text: &str) -> Result<Single, DescriptorError> {
    // Where a key comes from is of no use here.
    let text = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(|| syntax("the origin of a key does not end"))?.1,
        None => text,
    };
    let (text, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let steps = steps(path)?;
    if let Ok(xpub) = text.parse::<Xpub>() {
        return Ok(Single::Extended(Box::new(xpub), steps));
    }
    if !steps.is_empty() {
        return Err(syntax("only extended public keys have steps below them"));
    }
    let key = match hex::decode(text) {
        Ok(bytes) if bytes.len() == 32 => lift(bytes.try_into().expect("its length was checked")),
        Ok(bytes) => PublicKey::from_slice(&bytes).map_err(unusable)?,
        // What kind of text it was is not told: it may be a secret.
        Err(_) => wif::decode(text).map_err(|_| unusable("a key is none that can be read"))?.key.public_key(),
    };
    key.validate().map_err(|error: PublicKeyError| unusable(error))?;
    Ok(Single::Plain(key))
}

/// `/1/2/*`, or nothing.
fn steps(text: &str) -> Result<Steps, DescriptorError> {
    let mut steps = Steps::default();
    let Some(text) = text.strip_prefix('/') else {
        return if text.is_empty() { Ok(steps) } else { Err(syntax("something stands behind a key")) };
    };
    for step in text.split('/') {
        if steps.is_range {
            return Err(syntax("a range is the last step"));
        }
        if step.ends_with(['h', 'H', '\'']) {
            return Err(DescriptorError::Hardened);
        }
        if step == "*" {
            steps.is_range = true;
        } else if step.starts_with('<') {
            return Err(syntax("several paths at once are not read: write one descriptor for each"));
        } else {
            let number = step.parse().ok().filter(|number| *number <= MAX_INDEX && !step.starts_with('+'));
            steps.fixed.push(number.ok_or_else(|| syntax("a step is no number"))?);
        }
    }
    Ok(steps)
}

fn expand_key(key: &Key, index: u32, aggregates: &mut Vec<Aggregate>) -> Result<PublicKey, DescriptorError> {
    let (participants, steps) = match key {
        Key::Single(single) => return expand_single(single, index),
        Key::Musig { participants, steps } => (participants, steps),
    };
    let mut keys = participants.iter().map(|single| expand_single(single, index)).collect::<Result<Vec<_>, _>>()?;
    sort_keys(&mut keys);
    let plain = KeyAggContext::new(Suite::Bip340, &keys).map_err(unusable)?;
    let (aggregate, path) = (plain.aggregate_key(), steps.at(index));
    // Which network does not matter: only the key is of use.
    let synthetic = SyntheticXpub::new(Network::Mainnet, &aggregate);
    let derived = synthetic.and_then(|synthetic| synthetic.derive(plain, &path));
    let derived = derived.map_err(|error: DerivationError| unusable(error))?;
    aggregates.push(Aggregate { participants: keys, aggregate, path });
    Ok(derived.challenge_key())
}

fn expand_single(single: &Single, index: u32) -> Result<PublicKey, DescriptorError> {
    match single {
        Single::Plain(key) => Ok(*key),
        Single::Extended(xpub, steps) => {
            let child = |number| ChildNumber::from_normal_idx(number).map_err(|_| DescriptorError::Hardened);
            let path = steps.at(index).into_iter().map(child).collect::<Result<Vec<_>, _>>()?;
            let derived = xpub.derive_pub(&Secp256k1::verification_only(), &path).map_err(unusable)?;
            PublicKey::from_slice(&derived.public_key.serialize()).map_err(unusable)
        }
    }
}

fn expand_tree(tree: &Tree, index: u32, aggregates: &mut Vec<Aggregate>) -> Result<[u8; 32], DescriptorError> {
    Ok(match tree {
        Tree::Leaf(key) => {
            let key = expand_key(key, index, aggregates)?;
            let script = [&[32][..], &key.x_only(), &[super::CHECKSIG]].concat();
            taproot::leaf_hash(taproot::LEAF_VERSION, &script)
        }
        Tree::Branch(one, other) => {
            let one = expand_tree(one, index, aggregates)?;
            taproot::branch_hash(&one, &expand_tree(other, index, aggregates)?)
        }
    })
}

/// The characters of a descriptor, and those of its checksum (BIP380, Checksum).
const CHARACTERS: &str =
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
const OF_CHECKSUM: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn checksum(text: &str) -> Option<String> {
    const GENERATORS: [u64; 5] = [0xf5_dee5_1989, 0xa9_fdca_3312, 0x1b_ab10_e32d, 0x37_06b1_677a, 0x64_4d62_6ffd];
    let step = |sum: u64, value: u64| {
        let next = ((sum & 0x7_ffff_ffff) << 5) ^ value;
        let terms = GENERATORS.iter().enumerate().filter(|(bit, _)| (sum >> 35) >> bit & 1 == 1);
        terms.fold(next, |sum, (_, generator)| sum ^ generator)
    };
    let (mut sum, mut class, mut count) = (1, 0, 0);
    for char in text.chars() {
        let position = CHARACTERS.find(char)? as u64;
        sum = step(sum, position & 31);
        (class, count) = (class * 3 + (position >> 5), count + 1);
        if count == 3 {
            (sum, class, count) = (step(sum, class), 0, 0);
        }
    }
    if count > 0 {
        sum = step(sum, class);
    }
    sum = (0..8).fold(sum, |sum, _| step(sum, 0)) ^ 1;
    Some((0..8).map(|place| char::from(OF_CHECKSUM[(sum >> (5 * (7 - place)) & 31) as usize])).collect())
}

/// The text of a descriptor with its checksum behind it, as wallets want it.
///
/// # Errors
///
/// [`DescriptorError::Syntax`] for characters that no descriptor has.
pub fn with_checksum(text: &str) -> Result<String, DescriptorError> {
    let checksum = checksum(text).ok_or_else(|| syntax("it has characters that no descriptor has"))?;
    Ok(format!("{text}#{checksum}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_bip380() {
        assert_eq!(with_checksum("raw(deadbeef)").as_deref(), Ok("raw(deadbeef)#89f8spxm"));
        assert!(with_checksum("raw(Ü)").is_err());
    }

    #[test]
    fn a_group_is_read_back_and_nothing_else_is_taken_for_one() {
        let key = |byte| nelumbo_crypto::SecretKey::from_bytes(&[byte; 32]).expect("a key").public_key();
        let keys = [key(1), key(2), key(3)];
        let text = with_checksum(&Descriptor::text_of_group(&keys)).expect("plain characters");
        assert_eq!(Descriptor::parse(&text).expect("it is one").group().as_deref(), Some(&keys[..]));
        let altered = text.replacen("tr(", "rawtr(", 1);
        assert_eq!(Descriptor::parse(&altered), Err(DescriptorError::Checksum));
        let raw = altered.split_once('#').expect("a checksum").0;
        let raw = Descriptor::parse(raw).expect("it is one");
        assert!(raw.group().is_none() && !raw.is_range());
        for wrong in
            ["", "tr", "tr()", "tr(musig())", "tr(musig(", "tr({)", "tr(,)", "rawtr(02)", "tr(musig(musig(02)))"]
        {
            assert!(Descriptor::parse(wrong).is_err(), "{wrong}");
        }
    }
}
