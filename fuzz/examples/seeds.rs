//! Writes seeds and findings anew, for when the wire or the language of a target has changed. Run in the repository:
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.

use std::fs;
use std::io::Result;
use std::path::Path;

use nelumbo_fuzz::{findings, seeds};

fn main() -> Result<()> {
    for (kind, inputs) in [("seeds", seeds()), ("findings", findings())] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind);
        let _none_yet = fs::remove_dir_all(&folder);
        for (target, name, bytes) in inputs {
            let folder = folder.join(target.folder());
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
