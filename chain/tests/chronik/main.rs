//! What the client promises, against servers that are down, behind, silent, huge or liars.

mod bad_servers;
mod broadcast;
mod burn;
mod ledger;
mod lies;
mod monitor;
mod server;
mod watch;
mod world;
