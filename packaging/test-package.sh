#!/usr/bin/env bash
# Does with the Debian package in the folder that is named what the book's "The first evening" says, line by line:
# installs it, starts the service under a systemd of its own, signs with two others, reads the metrics, upgrades; and
# removes it. Needs root, systemd, jq and curl, and a machine to throw away.
#
#   packaging/test-package.sh DIR
set -euo pipefail
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

if [ "${2:-}" = --inside ]; then
    # In namespaces of its own: systemd is process 1, knows no units but the package's and these, and sees nothing of
    # the machine's services.
    # As systemd has it, which hands over credentials by mounting them.
    mount --make-rshared /
    mount -t tmpfs tmpfs /run
    mkdir /run/lock
    mount -t cgroup2 none /sys/fs/cgroup
    mount -t tmpfs tmpfs /etc/systemd/system
    mount -t tmpfs tmpfs "$(realpath /lib/systemd/system)"
    units=/etc/systemd/system
    for each in sysinit basic network-online multi-user shutdown evening; do
        printf '[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n' >"$units/$each.target"
    done
    echo Wants=evening.service >>"$units/evening.target"
    cat >"$units/evening.service" <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=$here/test-evening.sh $1
Environment=PATH=$PATH HOME=/root
StandardOutput=append:$1/evening.log
StandardError=append:$1/evening.log
UNIT
    mkdir "$units/nelumbo.service.d"
    printf '[Service]\nStandardError=append:%s/service.log\n' "$1" >"$units/nelumbo.service.d/log.conf"
    exec env -i container=other PATH="$PATH" /lib/systemd/systemd --system --unit=evening.target --show-status=0 \
        --log-target=console </dev/null >"$1/systemd.log" 2>&1
fi

folder=$(realpath "${1:?the folder with the package}")
for each in /var/lib/nelumbo /etc/nelumbo /usr/bin/nelumbo; do
    [ ! -e "$each" ] || { echo "$each exists: this is no machine to throw away"; exit 1; }
done
(cd "$folder" && sha256sum --check --quiet SHA256SUMS)
rm -rf "$folder"/{status,others,evening.log,service.log,systemd.log}
unshare --mount --pid --fork --ipc --uts --kill-child --mount-proc "${BASH_SOURCE[0]}" "$folder" --inside &
systemd=$!
for _ in $(seq 1800); do
    [ ! -e "$folder/status" ] || break
    sleep 0.1
done
kill -KILL "$systemd" 2>/dev/null || true
cat "$folder/evening.log"
[ "$(cat "$folder/status" 2>/dev/null)" = 0 ] || { cat "$folder"/{systemd,service}.log; exit 1; }

dpkg --remove nelumbo
[ ! -e /usr/bin/nelumbo ]
[ -e /var/lib/nelumbo/signer.key ] # What belongs to the node is nobody's to remove.
rm -r /var/lib/nelumbo /etc/nelumbo
echo "installed, started, signed, measured, upgraded and removed"
