//! The bytes that the engine takes for each machine, by an allocator that counts.

use std::ops::ControlFlow;

use nelumbo_simulator::engine::{Context, Machine, Windowed};
use nelumbo_simulator::network::{Latency, NetworkModel};
use peak_alloc::PeakAlloc;

use crate::{LATENCY, PERIOD, engine};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Has a state as large as the workload's, and nothing to do.
struct Idle([u64; 2]);

impl Machine for Idle {
    type Observation = ();

    fn on_start(&mut self, _: &mut Context<'_, ()>) {}
    fn on_message(&mut self, _: &mut Context<'_, ()>, _: u32, _: &[u8]) {}
    fn on_timer(&mut self, _: &mut Context<'_, ()>, _: u64) {}
}

/// Of a machine to which nothing happens.
pub fn idle(nodes: u32) -> f64 {
    let before = HEAP.current_usage();
    let network = NetworkModel::new(nodes, Latency::Uniform { low: LATENCY.0, span: LATENCY.1 });
    let machines = (0..nodes).map(|node| Idle([node.into(), 0])).collect();
    let mut taken = 0;
    let (machines, _) = Windowed::new(network, 1, machines).run(PERIOD, |_, _| {
        taken = HEAP.current_usage() - before;
        ControlFlow::Continue(())
    });
    assert!(machines.iter().all(|machine| machine.0[1] == 0), "nothing happened to any");
    taken as f64 / f64::from(nodes)
}

/// Of a machine in the workload, with all that is under way, at the peak.
pub fn busy(nodes: u32) -> f64 {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    engine::run(nodes, 5 * PERIOD, 1);
    (HEAP.peak_usage() - before) as f64 / f64::from(nodes)
}
