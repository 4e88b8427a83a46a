#!/bin/sh
# Vernier beside llama.cpp on this machine; `bench/peers/llama.cpp --help` says how.
exec python3 -B "$(dirname "$0")/llama_cpp.py" "$@"
