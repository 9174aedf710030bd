//! Goods are offered as resources and swapped by messages. Invariant: an offer goes to one taker, whatever crashes,
//! because who has got it is durable before anybody is told. Its node drives it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nelumbo_core::crypto::PublicKey;
use nelumbo_core::protocol::{Protocol, ProtocolContext};
use nelumbo_core::wire::{Data, Label, PeerId, Resource, ResourceId};

const HOUR: Duration = Duration::from_secs(3_600);
const AGAIN: Duration = Duration::from_secs(1);

/// Swaps goods: whoever takes an offer first, at its price, gets it.
#[derive(Default)]
pub struct Barter {
    /// What this node offers: its price, and who has got it.
    offers: BTreeMap<Label, (Label, Option<PublicKey>)>,
    /// What it has asked of whom and not heard of yet.
    asked: BTreeSet<(PublicKey, Label, Label)>,
}

impl Protocol for Barter {
    fn name(&self) -> Label {
        "barter".parse().expect("a label")
    }

    /// What it has offered before: the record of a good is its price, and who has got it.
    fn on_registered(&mut self, context: &mut ProtocolContext) {
        for (good, record) in context.records() {
            let (price, buyer) = match words(record)[..] {
                [price] => (price.parse(), None),
                [price, buyer] => (price.parse(), buyer.parse().ok()),
                _ => continue,
            };
            self.offers.extend(price.map(|price| (good.clone(), (price, buyer))));
        }
    }

    /// The embedder's wishes: `offer apples for pears`, or `take apples for pears from <key>`.
    fn on_command(&mut self, context: &mut ProtocolContext, payload: &[u8]) {
        match words(payload)[..] {
            ["offer", good, "for", price] => {
                let (Ok(good), Ok(price)) = (good.parse::<Label>(), price.parse::<Label>()) else { return };
                if self.offers.get(&good).is_some_and(|(_, buyer)| buyer.is_some()) {
                    return context.event(format!("sold already: {good}").into());
                }
                if context.persist(good.clone(), price.as_str().into()).is_err() {
                    return context.event(format!("no room: {good}").into());
                }
                context.announce(good.clone(), Data::new(price.as_str().into()), HOUR);
                self.offers.insert(good, (price, None));
            }
            ["take", good, "for", price, "from", key] => {
                let (Ok(good), Ok(price), Ok(key)) = (good.parse(), price.parse(), key.parse()) else { return };
                self.asked.insert((key, good, price));
                self.ask(context);
            }
            _ => context.event(b"say: offer GOOD for PRICE, or: take GOOD for PRICE from KEY".to_vec()),
        }
    }

    /// Another signer's words: `take apples for pears`, and the answers `yours apples` and `gone apples`.
    fn on_message(&mut self, context: &mut ProtocolContext, from: &PublicKey, payload: &[u8]) {
        match words(payload)[..] {
            ["take", good, "for", price] => {
                let Ok(good) = good.parse::<Label>() else { return };
                let answer = self.sell(context, from, &good, price);
                context.send(*from, format!("{answer} {good}").into());
            }
            [answer @ ("yours" | "gone"), good] => {
                let count = self.asked.len();
                self.asked.retain(|(key, asked, _)| (key, asked.as_str()) != (from, good));
                // An answer that comes twice, or that nobody has asked for, is no news.
                if self.asked.len() < count {
                    context.event(format!("{answer} {good} {from}").into());
                }
            }
            _ => {}
        }
    }

    /// An offer, found in the DHT.
    fn on_resource(&mut self, context: &mut ProtocolContext, id: &ResourceId, resource: &Resource) {
        let price = resource
            .data
            .as_ref()
            .map_or("nothing any more".into(), |data| String::from_utf8_lossy(data.as_bytes()).into_owned());
        context.event(format!("offered {} {} {price}", id.author, id.name).into());
    }

    fn on_signer_connected(&mut self, context: &mut ProtocolContext, key: &PublicKey, _: &PeerId) {
        context.event(format!("here {key}").into());
    }

    fn on_signer_disconnected(&mut self, context: &mut ProtocolContext, key: &PublicKey, _: &PeerId) {
        context.event(format!("away {key}").into());
    }

    /// A message may be lost, and only an answer says that it was not: what has none is asked again.
    fn on_timer(&mut self, context: &mut ProtocolContext, _: &Label) {
        self.ask(context);
    }
}

impl Barter {
    fn ask(&self, context: &mut ProtocolContext) {
        for (key, good, price) in &self.asked {
            context.send(*key, format!("take {good} for {price}").into());
        }
        if !self.asked.is_empty() {
            context.set_timer("again".parse().expect("a label"), AGAIN).expect("one timer has room");
        }
    }

    /// The same answer to the same buyer, however often it asks. A new buyer is told once the record of it is durable.
    fn sell(&mut self, context: &mut ProtocolContext, to: &PublicKey, good: &Label, price: &str) -> &'static str {
        match self.offers.get_mut(good) {
            Some((wanted, Some(buyer))) if wanted.as_str() == price && buyer == to => "yours",
            Some((wanted, buyer @ None)) if wanted.as_str() == price => {
                if context.persist(good.clone(), format!("{price} {to}").into()).is_err() {
                    return "gone";
                }
                *buyer = Some(*to);
                context.announce(good.clone(), None, HOUR);
                context.event(format!("sold {good} {to}").into());
                "yours"
            }
            _ => "gone",
        }
    }
}

/// What somebody else has written may be anything.
fn words(payload: &[u8]) -> Vec<&str> {
    std::str::from_utf8(payload).unwrap_or_default().split(' ').collect()
}
