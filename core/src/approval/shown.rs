//! Summaries in words.
//!
//! Owns the one line that a summary is as text, and how amounts are written. Invariant: the line has no line break and
//! no text that is not harmless. Command lines, events and logs drive it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::{LockUnit, Message, Recipient, SignedInputs, Signs, Summary, TransactionSummary, Unusual};

/// How many payments a line names.
const PAYMENTS: usize = 4;
/// How much of a message a line shows, in characters.
const EXCERPT: usize = 64;

/// An amount as people read it: `99,998,000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Satoshi(pub u64);

impl fmt::Display for Satoshi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let grouped: Vec<&str> = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|group| core::str::from_utf8(group).expect("digits are text"))
            .collect();
        f.pad(&grouped.join(","))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("a nibble is a digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Names, with commas between them.
pub fn names(unusual: impl IntoIterator<Item = Unusual>) -> String {
    unusual.into_iter().map(Unusual::as_str).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.unusual.is_empty() {
            write!(f, "UNUSUAL ({}): ", names(self.unusual.iter().copied()))?;
        }
        match &self.signs {
            Signs::Messages(messages) => {
                match messages.len() {
                    1 => {}
                    count => write!(f, "{count} messages, the first ")?,
                }
                messages.first().map_or(Ok(()), |message| message.fmt(f))
            }
            Signs::Transaction(transaction) => transaction.fmt(f),
            Signs::Statement { name, message } => write!(f, "the statement {name}, {message}"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let excerpt = |f: &mut fmt::Formatter<'_>, text: &str| {
            let end = text.char_indices().nth(EXCERPT).map_or(text.len(), |(end, _)| end);
            write!(f, "{}{}", &text[..end], if end < text.len() { "…" } else { "" })
        };
        write!(f, "a message of {} bytes: ", self.hex.len() / 2)?;
        if let Some(text) = &self.text {
            f.write_str("text ")?;
            excerpt(f, text)?;
            f.write_str(", ")?;
        }
        excerpt(f, &self.hex)
    }
}

impl fmt::Display for TransactionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payments = || self.outputs.iter().filter(|output| output.to != Recipient::Group);
        let is_open = |signed: &&SignedInputs| signed.sighash.is_open();
        for (place, signed) in self.signed.iter().filter(is_open).enumerate() {
            write!(f, "{}{}", if place == 0 { "leaves open " } else { ", and " }, signed.sighash.leaves_open)?;
        }
        f.write_str(if self.signed.iter().any(|signed| is_open(&signed)) { "; as shown it pays " } else { "pays " })?;
        for (place, output) in payments().take(PAYMENTS).enumerate() {
            let before = if place == 0 { "" } else { ", " };
            write!(f, "{before}{} to {}", Satoshi(output.value), output.recipient())?;
        }
        match payments().count() {
            0 => f.write_str("nobody else")?,
            count if count > PAYMENTS => write!(f, ", and {} more outputs", count - PAYMENTS)?,
            _ => {}
        }
        let back = Satoshi(self.to_group);
        let unit = self.unit();
        write!(f, "; {back} back to the group; fee {} ({} per {unit})", Satoshi(self.fee), self.fee_rate)?;
        if let Some(lock) = self.lock_time.filter(|lock| lock.effective) {
            match lock.unit {
                LockUnit::Height => write!(f, "; not before block {}", Satoshi(lock.value.into()))?,
                LockUnit::Time => write!(f, "; not before {} s after 1970", lock.value)?,
            }
        }
        for (place, SignedInputs { inputs, path, sighash }) in self.signed.iter().enumerate() {
            write!(f, "{}sighash {}, by {path}", if place == 0 { "; " } else { ", " }, sighash.name)?;
            if inputs.len() > 1 || self.signed.len() > 1 {
                write!(f, " ({} of {} inputs)", inputs.len(), self.inputs.len())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_thousands() {
        for (amount, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (99_998_000, "99,998,000")] {
            assert_eq!(Satoshi(amount).to_string(), text);
        }
        assert_eq!(Satoshi(u64::MAX).to_string(), "18,446,744,073,709,551,615");
        assert_eq!(alloc::format!("{:>7}|", Satoshi(1_000)), "  1,000|");
    }
}
