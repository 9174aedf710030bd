#!/usr/bin/env bash
# Installs the Debian package in the folder that is named, runs a node as its user, upgrades it, and removes it. Needs
# root, and a machine to throw away.
set -euo pipefail
package=$(echo "${1:?the folder with the package}"/*.deb)
(cd "$1" && sha256sum --check --quiet SHA256SUMS)

dpkg --install "$package"
[ "$(stat -c '%U %a' /var/lib/nelumbo)" = "nelumbo 700" ]
nelumbo --version
for each in /usr/share/man/man1/nelumbo-node-init.1.gz /usr/share/bash-completion/completions/nelumbo \
    /usr/share/zsh/vendor-completions/_nelumbo /usr/share/fish/vendor_completions.d/nelumbo.fish \
    /usr/lib/systemd/system/nelumbo.service; do
    [ -s "$each" ]
done

as() { runuser -u nelumbo -- env NELUMBO_DATA=/var/lib/nelumbo NELUMBO_PASSPHRASE=test "$@"; }
[ -e /var/lib/nelumbo/signer.key ] ||
    as nelumbo node init --network regtest --listen /ip4/127.0.0.1/tcp/0 --json
as nelumbo node --json >/tmp/nelumbo-package.log 2>&1 &
for _ in $(seq 100); do as nelumbo stats >/dev/null 2>&1 && break; sleep 0.1; done
key=$(as nelumbo stats --json | sed -n 's/.*"key":"\([0-9a-f]*\)".*/\1/p')
as nelumbo doctor || true

# An upgrade keeps what the node is.
dpkg --install "$package"
as nelumbo stop
as nelumbo node --json >>/tmp/nelumbo-package.log 2>&1 &
for _ in $(seq 100); do as nelumbo stats >/dev/null 2>&1 && break; sleep 0.1; done
[ "$(as nelumbo stats --json | sed -n 's/.*"key":"\([0-9a-f]*\)".*/\1/p')" = "$key" ]
as nelumbo stop

dpkg --remove nelumbo
[ ! -e /usr/bin/nelumbo ]
[ -e /var/lib/nelumbo/signer.key ] # What belongs to the node is nobody's to remove.
echo "installed, started, upgraded and removed"
