//! The workload through the engine and its network model, every fault path compiled in and asked.

use std::ops::ControlFlow;

use nelumbo_simulator::Random;
use nelumbo_simulator::engine::{Context, Machine, Windowed};
use nelumbo_simulator::network::{Direction, Latency, LinkConditions, LinkWindow, NetworkModel, NodeSet, Partition};

use crate::{LATENCY, PAYLOAD, PERIOD};

struct Node {
    random: Random,
    received: u64,
}

impl Machine for Node {
    type Observation = ();

    fn on_start(&mut self, context: &mut Context<'_, ()>) {
        context.set_timer(self.random.below(PERIOD), 0);
    }

    fn on_message(&mut self, context: &mut Context<'_, ()>, from: u32, payload: &[u8]) {
        self.received += 1;
        if payload[0] == 0 {
            let mut answer: [u8; PAYLOAD] = payload.try_into().expect("messages of one size");
            answer[0] = 1;
            context.send(from, &answer);
        }
    }

    fn on_timer(&mut self, context: &mut Context<'_, ()>, _: u64) {
        let to = self.random.below(u64::from(context.network().nodes())) as u32;
        let mut payload = [0; PAYLOAD];
        payload[8..16].copy_from_slice(&self.random.draw().to_le_bytes());
        context.send(to, &payload);
        context.set_timer(PERIOD, 0);
    }
}

pub fn run(nodes: u32, until: u64, threads: usize) -> u64 {
    let machines =
        (0..nodes).map(|node| Node { random: Random::stream(1, "node", u64::from(node)), received: 0 }).collect();
    // A light rain and a partition that has healed: each message asks for both.
    let conditions = LinkConditions { loss: 10, duplication: 10, reordering: 10, reorder_delay: 1000 };
    let members = NodeSet::collect((0..nodes).filter(|node| node % 100 == 0));
    let network = NetworkModel::new(nodes, Latency::Uniform { low: LATENCY.0, span: LATENCY.1 })
        .with_link_window(LinkWindow { from: 0, until: u64::MAX, conditions })
        .with_partition(Partition { from: 0, until: until / 10, members, way: Direction::Both, flapping: 0 });
    let (_, stats) = Windowed::new(network, 1, machines).threads(threads).run(until, |_, _| ControlFlow::Continue(()));
    stats.events
}
