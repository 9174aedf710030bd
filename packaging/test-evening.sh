#!/usr/bin/env bash
# The book's "The first evening", run as it stands, with a node to join through and two others who approve. Started by
# systemd inside test-package.sh; what it does is on its output, how it ends in the file `status` of the folder named.
set -Eeuo pipefail
folder=$1
book=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../docs/src/operating.md
ended() {
    local code=$?
    [ "$code" = 0 ] || systemctl status --no-pager nelumbo || true
    pkill -P $$ nelumbo || true
    echo "$code" >"$folder/status.new"
    mv "$folder/status.new" "$folder/status"
}
trap ended EXIT
export NELUMBO_PASSPHRASE='a passphrase of the evening'
cd "$folder"

# The program of the others comes from the archive.
mkdir -p others
tar -C others -xzf ./*.tar.gz --strip-components=1
other() { others/nelumbo "${@:2}" --data "$folder/others/$1"; }
for name in hub bob carol; do
    preset=wallet through=()
    if [ "$name" = hub ]; then preset=full; else through=(--bootstrap "$BOOTSTRAP"); fi
    other "$name" node init --preset "$preset" --listen /ip4/127.0.0.1/tcp/0 "${through[@]}" --json >/dev/null
    other "$name" node --json >"others/$name.log" 2>&1 &
    until other "$name" stats >/dev/null 2>&1; do sleep 0.1; done
    [ "$name" != hub ] || BOOTSTRAP=$(other hub stats --json | jq -r '.listening[0]')
done
BOB=$(other bob stats --json | jq -r .key)
CAROL=$(other carol stats --json | jq -r .key)
# They approve what comes, as people do.
for name in bob carol; do
    other "$name" events --follow --json | jq --unbuffered -r \
        'select(.event.event == "session-announced") | .event.session' | while read -r session; do
        other "$name" approve "$session" --allow opaque
    done &
done

# What the book has people type on their own machine, where it asks them for passphrases. All of this network is on
# loopback.
sudo() {
    case "$*" in *"node init"*) set -- "$@" --listen /ip4/127.0.0.1/tcp/0 ;; esac
    case $1 in
    -u) runuser -u "$2" -- env NELUMBO_PASSPHRASE="$NELUMBO_PASSPHRASE" "${@:3}" ;;
    apt) dpkg --install "$3" ;;
    install) printf '%s\n' "$NELUMBO_PASSPHRASE" | command "$@" ;;
    *) command "$@" ;;
    esac
}
lines=$(sed -n '/^## The first evening/,/^## As a service/{/^```sh/,/^```/{/^```/!p}}' "$book")
[ "$(wc -l <<<"$lines")" -ge 15 ] || { echo "the book has no first evening"; exit 1; }
set -x
eval "$lines"
set +x

# What the evening takes for granted.
for each in /usr/share/man/man1/nelumbo-node-init.1.gz /usr/share/bash-completion/completions/nelumbo \
    /usr/share/zsh/vendor-completions/_nelumbo /usr/share/fish/vendor_completions.d/nelumbo.fish; do
    [ -s "$each" ]
done
[ "$(stat -c '%U %a' /var/lib/nelumbo)" = "nelumbo 700" ]
curl -fsS http://127.0.0.1:7310/ | grep -q '<title>nelumbo</title>'
[ "$(systemctl is-active nelumbo)" = active ]
[ "$(systemctl show --property=NRestarts --value nelumbo)" = 0 ]
# A node that waits, with API and page, holds 30 MiB at most.
process=$(systemctl show --property=MainPID --value nelumbo)
held=$(awk '/^VmRSS/ { print $2 }' "/proc/$process/status")
echo "the idle node holds $held KiB"
[ "$held" -le 30720 ]
before=$(nel events --json | wc -l)
systemctl reload nelumbo
until nel events --json | grep -q configuration-reloaded; do sleep 0.1; done
[ "$before" -gt 0 ]
# A node that hangs is started again, and one that is stopped ends well.
kill -STOP "$process"
until [ "$(systemctl show --property=MainPID --value nelumbo)" != "$process" ] &&
    [ "$(systemctl is-active nelumbo)" = active ]; do sleep 0.5; done
systemctl stop nelumbo
[ "$(systemctl show --property=ExecMainStatus --value nelumbo)" = 0 ]
echo "an evening well spent"
