"""The newcomer's walk takes the blocks it should, and stops where one fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.checks.newcomer import ROOT, blocks_of, walk

PAGE = """
```bash
export WORD=kept   # -m venv: no environment is needed here
```
```
not run
```
```python
import os
open("said", "w").write(os.environ["WORD"])
```
- indented:
  ```bash
  test "$(cat said)" = kept
  ```
"""


def test_blocks_of_a_page_share_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    assert [language for language, _ in blocks_of(tmp_path / "page.md")] == [
        "bash",
        "python",
        "bash",
    ]
    assert walk("page.md", tmp_path)
    (tmp_path / "page.md").write_text(PAGE.replace("= kept\n", "= lost\n"))
    assert not walk("page.md", tmp_path)
    assert "block 3 ended with 1" in capsys.readouterr().out


def test_the_tutorial_and_the_readme_have_blocks_to_run() -> None:
    assert len(blocks_of(ROOT / "docs" / "tutorial.md")) > 8
    assert {language for language, _ in blocks_of(ROOT / "README.md")} == {"bash", "python"}
