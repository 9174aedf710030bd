//! Nodes as processes in a laboratory of network namespaces: behind routers of several classes, with faults, in private
//! networks. `tests/nat/scenarios.py` has the laboratory and what is done in it.
//!
//! Takes Python, and iproute2, nftables and miniupnpd, therefore the feature `nat`; no root.

mod cli_support;

use std::{path::Path, process::Command};

/// Runs a scenario, which says what is wrong.
#[track_caller]
fn run(scenario: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("nat/scenarios.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(scenario).env("NELUMBO", cli_support::binary());
    let done = command.output().expect("Python is installed");
    let (said, wrong) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{scenario}: {}\n{said}{wrong}", done.status);
}

#[test]
fn two_wallets_and_one_server_in_a_private_network_sign() {
    run("private-server");
}

#[test]
fn wallets_with_one_neighbour_in_common_sign_through_it() {
    run("private-wallets");
}

#[test]
fn where_nobody_relays_nodes_say_what_is_missing() {
    run("private-without-relay");
}

#[test]
fn two_wallets_on_one_link_need_no_server() {
    run("link");
}

#[test]
fn a_flood_of_neighbours_that_do_not_exist_is_called_in_part_and_ends_mdns() {
    run("link-flooded");
}

#[test]
fn eight_pairs_behind_routers_sign_over_tcp() {
    run("pairs-tcp");
}

#[test]
fn eight_pairs_behind_routers_sign_over_quic() {
    run("pairs-quic");
}

#[test]
fn a_router_without_upnp_forwards_a_port_all_the_same() {
    run("nat-pmp");
}

#[test]
fn a_session_survives_the_restart_of_its_relay() {
    run("relay-restarts");
}

#[test]
fn a_session_survives_another_address_of_a_router() {
    run("address-changes");
}

#[test]
fn a_session_survives_a_link_that_is_cut() {
    run("link-is-cut");
}
