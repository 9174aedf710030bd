//! The core's surface: what goes in, what comes out, and the limits between.

mod command;
mod config;
mod event;
mod identity;
mod input;
mod output;
mod refusal;
mod signing;
mod view;

pub use command::{Command, CommandError, CommandId, NewSession, SignerFilter};
pub use config::{Config, ConfigError, Limits, Quota};
pub use event::{AttemptCause, AttemptFailure, Event, ItemFault, Phase};
pub use identity::{Identity, IdentityId, Tier};
pub use input::{GossipId, Input, OperationId, PutId, Subnet};
pub use output::{Deadline, Output, RecordSequence, TimerReason, Topic, Verdict};
pub use refusal::{Blame, Layer, Refusal, RefusalCounts, Standing, Traffic};
pub use signing::{SignReply, SignRequest, SignerTask};
pub use view::{SessionView, View};
