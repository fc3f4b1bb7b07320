#!/usr/bin/env bash
# Sets up (first time), then does the main job on a real 24 MB network: cut Inception v3 into
# four segments, profile them on four simulated Edge TPUs, re-cut until balanced, run the
# pipeline and compare its outputs with the uncut model.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec .venv/bin/partition-with-profiling \
    --model_path zoo:inception_v3_299 \
    --num_segments 4 \
    --output_dir out/demo \
    --first_cut parameter-count \
    "$@"
