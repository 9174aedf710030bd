# What the gate and the campaigns share: where things are, the tools, and how steps are run. Sourced, never run.
#
# A step is a function `step_NAME`, whose dashes are underscores; its comment says what it protects. It fails when
# anything in it does, or when something that it needs is missing; none is skipped.

set -euo pipefail

# What a step says on either stream belongs to the same account.
exec 2>&1

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
tools=${NELUMBO_CI_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/nelumbo-ci}
target=${CARGO_TARGET_DIR:-$root/target}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cargo_deny_version=0.20.2
cargo_fuzz_version=0.13.2
cargo_audit_version=0.22.2
cargo_mutants_version=27.1.0
cbindgen_version=0.29.4
cargo_deb_version=3.8.0
hadolint_version=2.15.1
mdbook_version=0.5.4

# Nothing here is built twice with changes in between.
export CARGO_INCREMENTAL=0

fail() {
    printf 'error: %s\n' "$*"
    exit 1
}

# --- Tools ------------------------------------------------------------------------------------------------------------

# Where tool $1 is in version $2: on the path when it is that version, otherwise in our own folder.
tool() {
    local name=$1 version=$2
    if [ "$("$name" --version 2>/dev/null | awk '{ sub(/^v/, "", $NF); print $NF }')" = "$version" ]; then
        command -v "$name"
    else
        printf '%s\n' "$tools/$name-$version/bin/$name"
    fi
}

# Tools run for seconds, so they are built quickly rather than well.
install_tool() {
    local name=$1 version=$2
    shift 2
    [ -x "$(tool "$name" "$version")" ] && return
    CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install --locked --debug --quiet --root "$tools/$name-$version" --version "=$version" "$@" "$name"
}

# The packages that the lock file in folder $1 names.
npm_ci() {
    [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] || npm --prefix "$1" ci --no-progress
}

# The Python package in an environment of its own, with these packages beside it.
python_with() {
    local package=$root/bindings/python python=$tools/python/bin
    [ -x "$python/pip" ] || python3 -m venv "$tools/python"
    "$python/pip" install --quiet --requirement "$package/requirements.txt"
    (cd "$package" && CARGO_TARGET_DIR=$target "$python/maturin" build --release --locked --out "$scratch/wheels")
    python3 -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" install --quiet --no-index --no-deps "$scratch"/wheels/nelumbo-*-cp310-abi3-*.whl
    "$scratch/venv/bin/pip" install --quiet --requirement "$package/tests/requirements.txt" "$@"
}

# --- Fuzzing ----------------------------------------------------------------------------------------------------------

# Builds every target. No target has unsafe code of ours, so no sanitizer and no other toolchain.
fuzz_build() {
    "$(tool cargo-fuzz "$cargo_fuzz_version")" build --fuzz-dir fuzz --sanitizer none --target-dir "$target/fuzz"
}

# Target $1 over its seeds and $2 inputs that grow out of them, the same ones each time, none longer than $3 bytes. The
# corpus grows in folder $4, and what is found comes to lie beside it.
fuzz_run() {
    local name=$1 runs=$2 longest=$3 corpus=$4 log=$scratch/fuzz.log host
    host=$(rustc -vV | sed -n 's/^host: //p')
    mkdir -p "$corpus"
    "$target/fuzz/$host/release/$name" -seed=1 -runs="$runs" -max_len="$longest" -timeout=10 -dict=fuzz/dictionary \
        -artifact_prefix="$corpus/../found-$name-" -close_fd_mask=1 "$corpus" "fuzz/seeds/${name%_curve}" \
        >"$log" 2>&1 || {
        grep -aE -A3 'panicked|ERROR|SUMMARY|Base64' "$log" || tail -n 20 "$log"
        fail "$name found something: keep it as docs/src/fuzzing.md says"
    }
    grep -a 'DONE' "$log"
}

# --- Running steps ----------------------------------------------------------------------------------------------------

# Runs the steps that the arguments name, tells what each came to and how long it took, and fails if one did. Ends with
# the line `N passed, N failed`.
run_steps() {
    local step began status took passed=0 failed=0 summary=()
    for step in "$@"; do
        [[ " ${steps[*]} " == *" $step "* ]] || fail "no such step: $step; there are: ${steps[*]}"
    done
    for step in "$@"; do
        printf '\n==> %s\n' "$step"
        began=$SECONDS
        # Not in a condition: that would switch `set -e` off inside the step.
        set +e
        (
            set -e
            "step_${step//-/_}"
        )
        status=$?
        set -e
        took=$((SECONDS - began))
        if [ "$status" = 0 ]; then
            passed=$((passed + 1))
            summary+=("ok      ${took}s	$step")
        else
            failed=$((failed + 1))
            summary+=("FAILED  ${took}s	$step")
        fi
        printf '<== %s\n' "${summary[-1]}"
    done
    printf '\n'
    printf '%s\n' "${summary[@]}"
    printf 'in %d min %d s\n' $((SECONDS / 60)) $((SECONDS % 60))
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}
