//! A signing session, from announcement to signature.
//!
//! Reading order: `attempt` holds what one attempt collects, `machine` decides what happens, `resync` lets signers who
//! missed something catch up, `sessions` is the table of all of them.
//!
//! A machine never touches the network, the journal or the embedder: it returns [`News`], and `Node` routes them.

mod attempt;
mod machine;
mod resync;
mod sessions;

use alloc::vec::Vec;

use crate::api::{Config, Event};
use crate::base::Bytes;
use crate::crypto::{Signer, Verifier};
use crate::journal::SessionRecord;

pub(crate) use machine::Session;
pub(crate) use sessions::Sessions;

/// What a session wants to happen, in order. Sends and events after a record wait until it is durable.
#[derive(Debug)]
pub(crate) enum News {
    /// Remember this.
    Record(SessionRecord),
    /// Remember nothing of this session any more.
    Erase,
    /// Send a message to the signer with this index.
    Send(usize, Bytes),
    /// Tell the embedder.
    Event(Event),
    /// Ask again when nothing has happened for a while; counts how often in a row.
    Watch { stalls: u32 },
    /// Nothing more to ask for.
    Rest,
}

/// What a session needs of its node to take a step.
pub(crate) struct Context<'a, V: Verifier> {
    pub(crate) config: &'a Config,
    pub(crate) signer: &'a mut (dyn Signer<V> + Send),
    pub(crate) verifier: &'a V,
    pub(crate) news: Vec<News>,
}

impl<V: Verifier> Context<'_, V> {
    fn event(&mut self, event: Event) {
        self.news.push(News::Event(event));
    }
}
