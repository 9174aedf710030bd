//! The examples for readers do what they say.

mod nodes;
#[path = "../examples/sign.rs"]
#[allow(dead_code, reason = "its `main` prints")]
mod sign;

use nelumbo_tokio::core::crypto::Suite;
use nodes::{verify, within};

#[tokio::test]
async fn three_nodes_sign_what_is_on_their_lists_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let signed = within(sign::sign(folder.path())).await.expect("they sign");
    assert_eq!((signed.keys.len(), signed.signatures.len()), (3, 3));
    for signature in &signed.signatures {
        verify(Suite::Lotus, signed.keys.clone(), &signed.message, signature);
    }
    assert_eq!(signed.declined, "a signer has aborted the session");
}
