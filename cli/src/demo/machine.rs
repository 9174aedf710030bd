//! What a demonstration needs of the machine.
//!
//! Owns the checks of ports and open files. Invariant: what is known to fail is refused before a node starts, with the
//! reason in one line. `perform` drives it.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use super::{Plan, Transport};
use crate::failure::Failure;

/// Files that a node has open beside its connections, generously.
const FILES_PER_NODE: u64 = 16;
/// The same of the process.
const FILES: u64 = 64;

/// Checks that the ports are free.
///
/// libp2p shares a port with another of its listeners of the same user, so that two demonstrations would get each
/// other's connections. This asks for the port alone, which the system refuses.
pub(super) fn check_ports(plan: &Plan) -> Result<(), Failure> {
    let Some(first) = plan.port else { return Ok(()) };
    for port in (first..=u16::MAX).take(plan.nodes()) {
        let address = (Ipv4Addr::LOCALHOST, port);
        let bound = match plan.transport {
            Transport::Tcp | Transport::Ws => TcpListener::bind(address).map(drop),
            Transport::Quic => UdpSocket::bind(address).map(drop),
        };
        bound.map_err(|error| {
            Failure::input(
                format_args!("cannot listen on port {port}: {error}"),
                "choose another --port, or leave it out to take any free ones",
            )
        })?;
    }
    Ok(())
}

/// Makes room for as many open files as the nodes in this process need.
pub(super) fn make_room(plan: &Plan) -> Result<(), Failure> {
    let nodes = plan.nodes() as u64;
    let needed = match (plan.processes, plan.transport) {
        (true, _) | (_, Transport::Quic) => nodes * FILES_PER_NODE + FILES,
        // Both ends of every connection are in this process, and some pairs connect twice.
        (false, Transport::Tcp | Transport::Ws) => nodes * nodes * 3 / 2 + nodes * FILES_PER_NODE + FILES,
    };
    raise_limit(needed).map_err(|limit| {
        Failure::input(
            format_args!("{nodes} nodes need up to {needed} open files, and the limit is {limit}"),
            "raise it with `ulimit -n`, use --processes, or lower --signers",
        )
    })
}

/// Raises the soft limit of open files to this number, if it is lower. The hard limit may be in the way.
#[cfg(unix)]
fn raise_limit(needed: u64) -> Result<(), u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No limit is none.
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })
        .map_err(|_| maximum.or(current).unwrap_or(u64::MAX))
}

#[cfg(not(unix))]
fn raise_limit(_: u64) -> Result<(), u64> {
    Ok(())
}
