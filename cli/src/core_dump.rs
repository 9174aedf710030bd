//! What a crash leaves on the disk.
//!
//! Invariant: no memory of this process is written out by the system, because a secret key may be in it.

/// Allows no core dump of this process. What the system does not grant is said in the log: a key is no less usable.
pub(crate) fn forbid() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
            tracing::warn!(%error, "a crash may leave a core dump, with the secret key in it");
        }
    }
    // A dump that goes to another program has no limit of size.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a crash may leave a core dump, with the secret key in it");
    }
}
