#!/usr/bin/env bash
# Builds what is handed out: the program with its manual pages and completions as an archive, a Debian package, and the
# checksums of both, in the folder that is named. Needs cargo-deb.
#
#   packaging/package.sh DIR
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(realpath -m "${1:?the folder for what is built}")
target=${CARGO_TARGET_DIR:-target}
# Where the manifest says that it is, wherever cargo builds.
made=target/packaging
mkdir -p "$out"

profile=${NELUMBO_PROFILE:-dist} folder=${NELUMBO_PROFILE:-dist} link=()
[ "$profile" != dev ] || folder=debug
[ "$profile" != dist ] || link=(--config packaging/link.toml)
cargo build --locked --profile "$profile" "${link[@]}" -p nelumbo
program=$target/$folder/nelumbo

rm -rf "$made"
mkdir -p "$made/completions"
"$program" manual "$made/man"
gzip -9n "$made"/man/*.1
"$program" completions bash >"$made/completions/nelumbo.bash"
"$program" completions zsh >"$made/completions/_nelumbo"
"$program" completions fish >"$made/completions/nelumbo.fish"

version=$(cargo metadata --locked --no-deps --format-version 1 |
    sed -n 's/.*"name":"nelumbo","version":"\([^"]*\)".*/\1/p')
name=nelumbo-$version-$(rustc -vV | sed -n 's/^host: //p')
rm -rf "${made:?}/$name"
mkdir -p "$made/$name"
cp -r "$program" "$made/man" "$made/completions" packaging/nelumbo.service README.md LICENSE-* "$made/$name"
tar -C "$made" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -czf \
    "$out/$name.tar.gz" "$name"

# What stands in the manifest is where cargo-deb finds all of it.
cargo deb --no-build --no-strip -p nelumbo --profile "$profile" --output "$out"
(cd "$out" && sha256sum -- *.tar.gz *.deb >SHA256SUMS && cat SHA256SUMS)
