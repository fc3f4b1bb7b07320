#!/usr/bin/env bash
# Makes the project's own virtual environment in .venv and installs the project into it.
# Sourced by demo.sh and test.sh; runs again only when pyproject.toml changed.
# Needs nothing but Python 3.10 or newer; PYTHON=/path/to/python picks a particular one.
set -euo pipefail

project_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$project_root"

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    echo "error: no Python 3.10 or newer found; install one or set PYTHON=/path/to/python" >&2
    return 2
}

install_project() {
    local python stamp wanted
    stamp=.venv/.installed
    wanted="$(cksum pyproject.toml)"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
        return 0
    fi
    python="$(find_python)"
    echo "Setting up .venv with $("$python" --version) ..." >&2
    if ! "$python" -m venv .venv; then
        echo "error: '$python -m venv' failed; on Debian and Ubuntu install python3-venv" >&2
        return 2
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' >&2
    echo "$wanted" > "$stamp"
}

install_project
