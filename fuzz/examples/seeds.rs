//! Writes the seed corpora anew, for when the wire or the scripts' language has changed. Run in the repository:
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let _none_yet = fs::remove_dir_all(&folder);
    for (target, name, bytes) in nelumbo_fuzz::seeds() {
        let folder = folder.join(target.folder());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
