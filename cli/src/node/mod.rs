//! A long-running node: its data folder, its life, and what it remembers of what has happened.
//!
//! Reading order: `folder` for what is where, `config` for what can be set and `reload` for when, `policy` and
//! `approver` for what is approved without asking, `life` for the order of things from start to stop, `event_log` for
//! the events that commands can ask for, `approvals` for those that are kept in a file, `payments` for what becomes of
//! what was signed, `identities` for the keys that money was burned for, `file_sessions` for what is signed without the
//! network, `mailbox` for what other programs say to each other, `pools` for those that swap coins.
//! Commands talk to the node through [`crate::control`].

mod approvals;
mod approver;
mod config;
mod event_log;
mod file_sessions;
mod folder;
mod identities;
mod life;
mod mailbox;
mod payments;
mod policy;
mod pools;
mod reload;

pub(crate) use approvals::Approvals;
pub(crate) use config::{Chain, Config, Destination, LogSettings, Preset, ReplayProtection, Rotation, Source, within};
pub(crate) use event_log::{Entry, EventLog, Follower, Next, missed_line};
pub(crate) use file_sessions::{FileSessions, Stage, Step, StepError};
pub(crate) use folder::{DataFolder, Folder};
pub(crate) use life::{Plan, Record, live, now};
pub(crate) use mailbox::{Errand, Mailbox};
pub(crate) use payments::PaymentCounts;
pub(crate) use pools::Pools;
