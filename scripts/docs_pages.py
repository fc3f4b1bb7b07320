"""Pages of the documentation's site that are made, not written (a hook of mkdocs.yml).

The start page is the README, every command has a page with what its `--help` says, every package
one with what it hands on; nothing of it has to be kept in step by hand.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent

ROOMS = {
    "devices": "simulated and real Edge TPUs, and pools of them",
    "compiler": "from `.tflite` to executables",
    "pipeline": "running executables over several devices",
    "partitioner": "where to cut",
    "zoo": "real architectures built from scratch",
}


def on_config(config: Any) -> Any:
    """Put the pages that are made in their places."""
    for section in config.nav:
        for entries in section.values() if isinstance(section, dict) else ():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and entry.get("Commands"):
                    entry["Commands"] = [f"commands/{name}.md" for name in commands()]
                elif isinstance(entry, dict) and entry.get("Python"):
                    entry["Python"] = [f"api/{room}.md" for room in ROOMS]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    pages = {
        "index.md": at_home((ROOT / "README.md").read_text(encoding="utf-8")),
        "changelog.md": at_home((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        "contributing.md": at_home((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")),
    }
    for name, function in commands().items():
        pages[f"commands/{name}.md"] = f"# {name}\n\n```\n{help_of(name, function)}\n```\n"
    for room, what in ROOMS.items():
        pages[f"api/{room}.md"] = api_page(room, what)
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Docstrings are reStructuredText; of that, Markdown leaves the roles of names standing."""
    return re.sub(r":(?:class|func|meth|data|mod|exc|attr):<code>~?", "<code>", html)


def at_home(text: str) -> str:
    """Links of a page at the top of the repository as they are from the site's start."""
    text = text.replace("](docs/", "](").replace("](CHANGELOG.md)", "](changelog.md)")
    text = text.replace("](CONTRIBUTING.md)", "](contributing.md)")
    elsewhere = re.compile(r"\[([^]]+)\]\(((?:pipeline/|scripts/|tests/|CITATION)[^)]*)\)")
    return elsewhere.sub(r"`\2`", text)


def commands() -> dict[str, str]:
    """The commands of pyproject.toml, and the functions they start."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.scripts]\n")[2].partition("\n[")[0]
    return dict(re.findall(r'^(\S+) = "edgetpu_pipeline:(\w+)"$', section, re.MULTILINE))


def help_of(name: str, function: str) -> str:
    """What the command says of itself."""
    program = (
        f"import sys, edgetpu_pipeline; sys.argv = [{name!r}, '--help']; "
        f"sys.exit(edgetpu_pipeline.{function}())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if run.returncode or not run.stdout.strip():
        raise SystemExit(f"{name} --help ended with {run.returncode}: {run.stderr}")
    return run.stdout.strip()


def api_page(room: str, what: str) -> str:
    """What a package hands on, in the order of its `.pyi`."""
    stub = ROOT / room / "__init__.pyi"
    source = stub if stub.exists() else stub.with_suffix(".py")
    parts = [f"# {room}\n\n{what[0].upper()}{what[1:]}.\n"]
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.level or str(node.module).startswith(room)):
            module = f"{room}.{node.module}" if node.level else node.module
            parts += [
                f"::: {module}.{alias.name}\n"
                for alias in sorted(node.names, key=lambda alias: alias.name)
                if not alias.name.startswith("_")
            ]
    return "\n".join(parts)
