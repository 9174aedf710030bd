//! What signing a session does, as people read it.
//!
//! Owns the table of a summary and the question that a person is asked before something unusual is approved. Invariant:
//! warnings come first, and nothing but a typed yes is one. `sessions show`, `join` and the event log drive it.

use std::io::{self, BufRead, Write};

use clap::Args;
use nelumbo_core::approval::{
    Input, LockTime, LockUnit, Output, Recipient, Satoshi, SignedInputs, Signs, Summary, TransactionSummary, Unusual,
    names,
};

use crate::failure::Failure;
use crate::values;

/// What is allowed by name.
#[derive(Args, Debug)]
pub(crate) struct Allowed {
    /// Allows what is unusual, by name; may be given several times: opaque (a bare message), sighash-none,
    /// sighash-single, anyone-can-pay, script-path, pays-signer (money for one signer alone)
    #[arg(long = "allow", value_name = "NAME", value_parser = values::parsed::<Unusual>)]
    pub(crate) names: Vec<Unusual>,
}

/// The rows of a summary.
pub(crate) fn rows(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if !summary.unusual.is_empty() {
        let names = names(summary.unusual.iter().copied());
        rows.push(("UNUSUAL", format!("{names}: nobody signs this without allowing it by name")));
    }
    rows.extend(summary.warnings.iter().map(|warning| ("WARNING", warning.clone())));
    match &summary.signs {
        Signs::Messages(messages) => {
            for message in messages {
                rows.push(("signs", format!("a message of {} bytes", message.hex.len() / 2)));
                rows.extend(message.text.iter().map(|text| ("as text", text.clone())));
                rows.push(("as bytes", message.hex.clone()));
            }
        }
        Signs::Transaction(transaction) => spends(transaction, &mut rows),
        Signs::Statement { name, message } => {
            rows.push(("signs", format!("the statement {name} of {} bytes", message.hex.len() / 2)));
            rows.extend(message.text.iter().map(|text| ("as text", text.clone())));
            rows.push(("as bytes", message.hex.clone()));
        }
    }
    rows.push(("it is said", if summary.description.is_empty() { "nothing" } else { &summary.description }.to_owned()));
    rows
}

fn spends(transaction: &TransactionSummary, rows: &mut Vec<(&'static str, String)>) {
    for signed in &transaction.signed {
        let (count, sighash) = (signed.inputs.len(), &signed.sighash);
        let inputs = if count == 1 { "input" } else { "inputs" };
        rows.push((
            "signs",
            format!("{count} {inputs} of a transaction, sighash {}, by {}", sighash.name, signed.path),
        ));
        rows.push(("leaves open", sighash.leaves_open.clone()));
    }
    let paid = |output: &Output| {
        let open = if output.is_covered { "" } else { "NOT COVERED, " };
        format!("{open}{} satoshi to {}", Satoshi(output.value), output.recipient())
    };
    let (back, pays): (Vec<_>, Vec<_>) = transaction.outputs.iter().partition(|output| output.to == Recipient::Group);
    rows.extend(pays.into_iter().map(|output| ("pays", paid(output))));
    rows.extend(back.into_iter().map(|output| ("gives back", paid(output))));
    let (fee, size) = (Satoshi(transaction.fee), Satoshi(transaction.size));
    rows.push(("fee", format!("{fee} satoshi, {} per {} of {size}", transaction.fee_rate, transaction.unit())));
    rows.push(("lock time", transaction.lock_time.map_or_else(|| "none".to_owned(), lock)));
    for (place, input) in transaction.inputs.iter().enumerate() {
        let is_signed = |signed: &SignedInputs| signed.inputs.iter().any(|input| u32::try_from(place) == Ok(*input));
        let signed = if transaction.signed.iter().any(is_signed) { ", signed here" } else { "" };
        rows.push(("spends", spent(input) + signed));
    }
    rows.push(("transaction", transaction.txid.clone()));
}

fn spent(input: &Input) -> String {
    let owner = match (input.is_group, &input.address) {
        (true, _) => "the group".to_owned(),
        (false, Some(address)) => address.clone(),
        (false, None) => format!("script {}", input.script),
    };
    format!("{} satoshi of {owner}, {}", Satoshi(input.value), input.outpoint)
}

fn lock(lock: LockTime) -> String {
    let when = match lock.unit {
        LockUnit::Height => format!("block {}", Satoshi(lock.value.into())),
        LockUnit::Time => date(lock.value),
    };
    if lock.effective { format!("not before {when}") } else { format!("{when}, without effect: all inputs are final") }
}

/// A time as people write it (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn date(seconds: u32) -> String {
    let (days, time) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u32::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", time / 3_600, time / 60 % 60, time % 60)
}

/// Asks whether something is meant. Anything but the word is a no.
pub(crate) fn confirm(question: &str, mut answers: impl BufRead, mut questions: impl Write) -> Result<bool, Failure> {
    let broken = |error: io::Error| Failure::input(format_args!("cannot ask: {error}"), "give --allow");
    write!(questions, "{question} Type yes: ").and_then(|()| questions.flush()).map_err(broken)?;
    let mut answer = String::new();
    io::Read::take(&mut answers, 64).read_line(&mut answer).map_err(broken)?;
    Ok(answer.trim_end_matches(['\r', '\n']) == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        let asked = |answer: &str| {
            let mut question = Vec::new();
            let confirmed = confirm("Sign it?", answer.as_bytes(), &mut question).expect("it can be asked");
            assert!(String::from_utf8(question).expect("text").contains("Type yes"));
            confirmed
        };
        assert!(asked("yes\n") && asked("yes\r\n") && asked("yes"));
        for no in ["", "\n", "y\n", "YES\n", "no\n", "yes \n", " yes\n", "yes, but no\n", &"yes".repeat(99)] {
            assert!(!asked(no), "{no:?}");
        }
    }

    #[test]
    fn times_are_dates() {
        for (seconds, expected) in [
            (500_000_000, "1985-11-05 00:53:20 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_767_225_600, "2026-01-01 00:00:00 UTC"),
            (u32::MAX, "2106-02-07 06:28:15 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
