#!/bin/bash -eu
# Builds every fuzz target where OSS-Fuzz and ClusterFuzzLite look for it, with what it begins with: seeds and findings.
#
# Both call it in the repository, with the folder for what is built in OUT, and the flags of the sanitizer set.

cargo fuzz build -O --debug-assertions
built=fuzz/target/x86_64-unknown-linux-gnu/release

for source in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    cp "$built/$name" "$OUT/"
    cp fuzz/dictionary "$OUT/$name.dict"
    # What is found with one cryptography is played with the other as well.
    inputs=$(mktemp -d)
    for kind in seeds findings; do
        for input in fuzz/"$kind/${name%_curve}"/*; do
            if [ -f "$input" ]; then
                cp "$input" "$inputs/$kind-$(basename "$input")"
            fi
        done
    done
    (cd "$inputs" && zip --quiet --recurse-paths - .) >"$OUT/${name}_seed_corpus.zip"
    rm -r "$inputs"
done
