#!/usr/bin/env bash
# Builds the documentation as a site into out/site (open out/site/index.html); needs no network to
# read. Fails on links that lead nowhere.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
if ! .venv/bin/python -c 'import material, mkdocstrings' 2>/dev/null; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[docs]' >&2
fi
NO_MKDOCS_2_WARNING=1 exec .venv/bin/python -m mkdocs build --quiet "$@"
