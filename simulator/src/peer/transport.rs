//! The frames that arrive at a peer: connections that come up and go down, messages of nodes and of services.
//!
//! Invariant: each frame is handled by the part that it is for, and its effects are performed in order. Driven by the
//! engine.

use nelumbo_core::api::Input;

use super::connections::Change;
use super::frame::Frame;
use super::lifecycle::{REDIAL, TimerKind};
use super::observation::Observation;
use super::{Peer, PeerContext, peer_id};
use crate::crypto::Crypto;

impl<C: Crypto> Peer<C> {
    pub(super) fn disconnect(&mut self, context: PeerContext<'_, '_>, from: u32) {
        let changes = self.connections.disconnect(from);
        self.on_changes(context, changes);
    }

    /// Sends a hello to every contact that is not connected, and again until all are.
    pub(super) fn dial(&mut self, context: PeerContext<'_, '_>) {
        self.send_frames(context, self.connections.greetings(self.incarnation));
        self.redial(context);
    }

    fn redial(&mut self, context: PeerContext<'_, '_>) {
        if !self.connections.redials && self.connections.is_lacking() {
            self.connections.redials = true;
            self.timer(context, REDIAL, TimerKind::Redial, 0);
        }
    }

    pub(super) fn on_frame(&mut self, context: PeerContext<'_, '_>, from: u32, frame: &Frame<'_>) {
        match *frame {
            Frame::Gossip { bytes } => self.in_gossip(context, |pubsub, now| pubsub.on_message(now, from, bytes)),
            Frame::Dht { bytes } => self.in_table(context, |dht, now| dht.on_message(now, from, bytes)),
            Frame::Circuit { peer, bytes } => self.on_circuit(context, from, peer, bytes),
            _ => {
                let changes = self.connections.on_frame(self.incarnation, from, frame);
                self.on_changes(context, changes);
            }
        }
    }

    fn on_changes(&mut self, context: PeerContext<'_, '_>, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            match change {
                Change::Send(to, frame) => self.send_frames(context, vec![(to, frame)]),
                Change::Up(peer) => {
                    context.emit(Observation::Connected(peer));
                    self.input(context, Input::Connected(peer_id(peer)));
                }
                Change::Down(peer) => {
                    context.emit(Observation::Disconnected(peer));
                    self.redial(context);
                    self.input(context, Input::Disconnected(peer_id(peer)));
                }
                Change::Received(from, bytes) => {
                    if let Some(adversary) = &mut self.adversary {
                        adversary.remember(&bytes);
                        if adversary.is_deaf_to(&bytes) {
                            continue;
                        }
                    }
                    self.input(context, Input::Received { from: peer_id(from), bytes });
                }
            }
        }
    }
}
