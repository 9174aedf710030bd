//! What arrives at a peer: connections that come up and go down, messages of nodes and of services.
//!
//! Invariant: a message reaches the node only over a connection that both ends know, in the life it was sent to. Driven
//! by the engine.

use nelumbo_core::api::Input;

use super::frame::{self, Frame};
use super::life::{Purpose, REDIAL};
use super::{Peer, Port, peer_id};
use crate::crypto::Crypto;

impl<C: Crypto> Peer<C> {
    fn on_connected(&mut self, context: Port<'_, '_>, from: u32, life: u32) {
        match self.connections.up.insert(from, life) {
            Some(before) if before == life => return,
            Some(_) => self.input(context, Input::Disconnected(peer_id(from))),
            None => {}
        }
        self.input(context, Input::Connected(peer_id(from)));
    }

    /// The greeting has been answered and the answer has arrived: both ends are connected.
    fn on_thanks(&mut self, context: Port<'_, '_>, from: u32, life: u32) {
        if self.connections.greeted.get(&from) == Some(&life) {
            self.connections.greeted.remove(&from);
            self.on_connected(context, from, life);
        }
    }

    pub(super) fn disconnect(&mut self, context: Port<'_, '_>, from: u32) {
        if self.connections.up.remove(&from).is_some() {
            self.redial(context);
            self.input(context, Input::Disconnected(peer_id(from)));
        }
    }

    /// Greets everyone who should be connected and is not, and does so again until nobody is lacking.
    pub(super) fn dial(&mut self, context: Port<'_, '_>) {
        self.send_frames(context, self.connections.greetings(self.life));
        self.redial(context);
    }

    fn redial(&mut self, context: Port<'_, '_>) {
        if !self.connections.redials && self.connections.is_lacking() {
            self.connections.redials = true;
            self.timer(context, REDIAL, Purpose::Redial, 0);
        }
    }

    pub(super) fn on_frame(&mut self, context: Port<'_, '_>, from: u32, frame: &Frame<'_>) {
        match *frame {
            Frame::Hello { life } => {
                self.connections.greeted.insert(from, life);
                self.send_frame(context, from, &Frame::Welcome { life: self.life });
            }
            Frame::Welcome { life } => {
                self.send_frame(context, from, &Frame::Thanks { life: self.life });
                self.on_connected(context, from, life);
            }
            Frame::Thanks { life } => self.on_thanks(context, from, life),
            Frame::Bye => self.disconnect(context, from),
            Frame::Direct { life, bytes } => {
                // It can overtake the thanks: who knows this life has been welcomed.
                if life == self.life
                    && let Some(greeted) = self.connections.greeted.get(&from)
                {
                    self.on_thanks(context, from, *greeted);
                }
                if life == self.life && self.connections.up.contains_key(&from) {
                    let bytes = frame::shared(bytes);
                    if let Some(deeds) = &mut self.deeds {
                        deeds.remember(&bytes);
                    }
                    self.input(context, Input::Received { from: peer_id(from), bytes });
                } else {
                    self.send_frame(context, from, &Frame::Bye);
                }
            }
            Frame::Gossip { bytes } => self.in_gossip(context, |pubsub, now| pubsub.on_message(now, from, bytes)),
            Frame::Dht { bytes } => self.in_table(context, |dht, now| dht.on_message(now, from, bytes)),
            Frame::Snapshot { .. } => {}
        }
    }
}
