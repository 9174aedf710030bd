//! What JSON looks like here.
//!
//! Objects that can be one of several have a field `type`, whose value is in kebab-case; fields are in snake_case.
//! Bytes are hexadecimal, peers base58, durations and times milliseconds with `_ms` in the name, times of the wall
//! clock since
//! 1970, amounts satoshi. Whatever is given may leave out what has a default, and may have nothing that is unknown.
//! Whoever reads what comes out ignores fields and types that it does not know: later versions have more.
//!
//! Invariant: shapes hold no rule; what they mean is the core's.

mod approval;
mod attempt;
mod command;
mod event;
mod input;
mod offer;
mod output;
mod policy;
mod session;
mod settings;
mod signing;
mod text;
mod view;
mod words;

pub use approval::{
    Approval, LockTime, Message, Recipient, Sighash, SignedInputs, Signs, SpentOutput, TransactionOutput,
};
pub use attempt::{AttemptCause, AttemptFailure, ItemFault};
pub use command::{Command, CreateSession};
pub use event::Event;
pub use input::{Identity, Input, Subnet};
pub use offer::{Advertisement, Offer, Resource, ResourceId};
pub use output::{Output, Verdict};
pub use policy::{Action, Policy, Rule};
pub use session::{Definition, Details, Item, SignedInput, Spending, Spent, Tweak};
pub use settings::{LimitSettings, Params, QuotaSetting, Settings};
pub use signing::{SignReply, SignRequest, Single, Slot};
pub use text::{
    AddressHex, Burned, Bytes32, Hex, Id, Key, MAX_ID, Name, NonceHex, PartialHex, Peer, Session, SignatureHex,
};
pub use view::{SessionView, SignerView, View};
pub use words::{Word, Words};

pub(crate) use command::Wish;
pub(crate) use text::To;
pub(crate) use words::word;
