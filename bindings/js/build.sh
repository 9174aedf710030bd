#!/usr/bin/env bash
# Makes src/nelumbo.wasm and dist/nelumbo.js, which the package needs and the repository does not keep. Needs the Rust
# target wasm32-unknown-unknown, and what `npm ci` installs here.
#
#   bindings/js/build.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
target=${CARGO_TARGET_DIR:-$root/target}
# Nothing draws random numbers in there: they come in. The crate that would is told so.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='--cfg getrandom_backend="unsupported"'
cargo rustc --quiet --locked --manifest-path "$root/Cargo.toml" --target-dir "$target" -p nelumbo-c --lib \
    --profile wasm --target wasm32-unknown-unknown --crate-type cdylib
# The features by name: with all of them Node.js 20 would not take the module.
"$here/node_modules/.bin/wasm-opt" -Oz --strip-debug --strip-producers --enable-bulk-memory --enable-sign-ext \
    --enable-mutable-globals --enable-nontrapping-float-to-int --enable-multivalue --enable-reference-types \
    "$target/wasm32-unknown-unknown/wasm/nelumbo.wasm" -o "$here/src/nelumbo.wasm"
# For pages: the host with js-libp2p in one file, beside the module that it loads.
"$here/node_modules/.bin/esbuild" "$here/src/libp2p.js" --bundle --format=esm --platform=browser --minify \
    --target=es2022 --log-level=warning --external:node:* --outfile="$here/dist/nelumbo.js"
cp "$here/src/nelumbo.wasm" "$here/dist/"
for each in src/nelumbo.wasm dist/nelumbo.js; do
    printf '%s: %s bytes, %s gzipped\n' "$each" "$(wc -c <"$here/$each")" "$(gzip -9 -c "$here/$each" | wc -c)"
done
