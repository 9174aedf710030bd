#!/usr/bin/env bash
# Puts the C library where compilers find it: header, libraries and pkg-config's description below a prefix.
#
#   bindings/c/install.sh PREFIX [FOLDER]     FOLDER has the built libraries; by default target/release
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=${1:?the prefix, such as /usr/local}
built=${2:-$here/../../target/release}
version=$(sed -n '/^\[workspace.package\]/,/^$/ s/^version = "\(.*\)"$/\1/p' "$here/../../Cargo.toml")
mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
cp "$here/include/nelumbo.h" "$prefix/include/"
cp "$built/libnelumbo.a" "$prefix/lib/"
for shared in "$built"/libnelumbo.so "$built"/libnelumbo.dylib; do
    if [ -e "$shared" ]; then cp "$shared" "$prefix/lib/"; fi
done
cat >"$prefix/lib/pkgconfig/nelumbo.pc" <<PC
prefix=$(cd "$prefix" && pwd)
Name: nelumbo
Description: MuSig2 signing sessions between peers, without I/O
Version: $version
Cflags: -I\${prefix}/include
Libs: -L\${prefix}/lib -lnelumbo
Libs.private: -lpthread -ldl -lm
PC
