//! What a host promises to the core, and that those promises are kept wherever a core runs here.
//!
//! A promise is one function, named as the promise. It speaks to nodes in the core's own words: it asks them for things
//! as [`Host`](nelumbo_core::host::Host)s and hears [`Input`](nelumbo_core::api::Input)s. The same functions run on
//! libp2p, in this process's memory and over TCP, on js-libp2p as far as a client of the DHT promises anything, and in
//! the simulator, with its ideal services and with its models of Kademlia and gossipsub. The book says the same in
//! words: "What a host promises", in the chapter on embedding.
//!
//! What is no promise is in no test: that a message arrives, that it arrives once, that what was stored is found at
//! once.

mod connections;
mod gossip;
#[cfg(feature = "js-host")]
mod js_libp2p;
mod libp2p;
mod nodes;
mod records;
mod simulated;

/// Runs promises on a network.
macro_rules! keeps {
    ($network:ty: $($family:ident::{$($promise:ident),+ $(,)?}),+ $(,)?) => {
        $($(#[test]
        fn $promise() {
            crate::$family::$promise::<$network>();
        })+)+
    };
}

/// What every host promises.
macro_rules! keeps_everything {
    ($network:ty) => {
        keeps! { $network:
            connections::{
                who_is_dialled_is_connected_at_both_ends,
                a_connection_is_told_once,
                a_message_arrives_whole_and_under_the_name_of_its_sender,
                the_largest_message_arrives,
                a_message_that_is_too_large_takes_nothing_with_it,
                a_message_to_nobody_harms_nobody,
                a_lost_connection_is_told_and_comes_back_by_itself,
            },
            gossip::{
                what_is_published_is_passed_on_to_all_subscribers,
                the_largest_publication_arrives,
                nobody_hears_its_own_publication,
                a_publication_is_told_once,
                what_has_no_verdict_goes_no_further,
                what_is_ignored_goes_no_further,
                what_is_rejected_goes_no_further,
                publishing_to_nobody_harms_nobody,
            },
            records::{
                what_is_stored_is_offered_and_then_found,
                a_lookup_for_nothing_ends,
                a_lookup_ends_once_after_all_it_has_found,
                a_lookup_tells_every_version,
                what_is_found_is_what_somebody_keeps_and_nobody_vouches_for_it,
                an_offer_comes_with_what_is_kept,
                what_is_discarded_is_not_kept,
                what_is_removed_is_not_kept,
                an_offer_says_which_subnet_it_comes_from,
                own_entries_join_the_list_that_is_kept,
                a_record_ends_with_its_lifetime,
            },
        }
    };
}

mod on_libp2p_in_memory {
    keeps_everything! { crate::libp2p::Libp2p<true> }
    keeps! { crate::libp2p::Libp2p<true>:
        connections::{ a_banned_peer_is_out_until_it_is_unbanned },
        gossip::{ who_has_not_subscribed_is_told_nothing, who_unsubscribes_is_told_nothing_more },
        records::{ what_a_node_has_stored_itself_is_not_removed },
    }
}

mod on_libp2p_over_tcp {
    keeps_everything! { crate::libp2p::Libp2p<false> }
    keeps! { crate::libp2p::Libp2p<false>:
        connections::{ a_banned_peer_is_out_until_it_is_unbanned },
        gossip::{ who_has_not_subscribed_is_told_nothing, who_unsubscribes_is_told_nothing_more },
        records::{ what_a_node_has_stored_itself_is_not_removed },
    }
}

/// A client of the DHT keeps no records.
#[cfg(feature = "js-host")]
mod on_js_libp2p {
    keeps! { crate::js_libp2p::JsLibp2p:
        connections::{
            who_is_dialled_is_connected_at_both_ends,
            a_connection_is_told_once,
            a_message_arrives_whole_and_under_the_name_of_its_sender,
            the_largest_message_arrives,
            a_message_that_is_too_large_takes_nothing_with_it,
            a_message_to_nobody_harms_nobody,
            a_lost_connection_is_told_and_comes_back_by_itself,
            a_banned_peer_is_out_until_it_is_unbanned,
        },
        gossip::{
            what_is_published_is_passed_on_to_all_subscribers,
            the_largest_publication_arrives,
            nobody_hears_its_own_publication,
            a_publication_is_told_once,
            what_has_no_verdict_goes_no_further,
            what_is_ignored_goes_no_further,
            what_is_rejected_goes_no_further,
            publishing_to_nobody_harms_nobody,
            who_has_not_subscribed_is_told_nothing,
            who_unsubscribes_is_told_nothing_more,
        },
    }
}

/// Simulated hosts ban nobody, which a host need not, and their nodes stay in every topic.
mod in_the_simulator_with_models_of_the_services {
    keeps_everything! { crate::simulated::Simulated<true> }
    keeps! { crate::simulated::Simulated<true>:
        gossip::{ who_has_not_subscribed_is_told_nothing },
        records::{ what_a_node_has_stored_itself_is_not_removed },
    }
}

/// Ideal gossip has one topic, which all are in, and in the ideal hash table a node keeps what it stores itself no
/// longer than what others store.
mod in_the_simulator_with_ideal_services {
    keeps_everything! { crate::simulated::Simulated<false> }
}
