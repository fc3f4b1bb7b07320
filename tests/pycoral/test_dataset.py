"""``pycoral.utils.dataset``."""

from __future__ import annotations

import pytest

from pycoral.utils.dataset import read_label_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:cat\n1:dog\n", {0: "cat", 1: "dog"}),
        ("0 cat\n7  \t dog: brown\n", {0: "cat", 7: "dog: brown"}),
        ("cat\nbig dog\n", {0: "cat", 1: "big dog"}),
        # Mixed: an unnumbered line takes its row, and an empty line is a nameless class.
        ("5: five\nplain\n\n 3 : three \n", {5: "five", 1: "plain", 2: "", 3: "three"}),
        ("42\n", {0: "42"}),
        (":cat\n", {0: ":cat"}),
        ("²: square\n", {0: "²: square"}),
        ("0:Café\n", {0: "Café"}),
        ("", {}),
    ],
)
def test_label_lines(tmp_path, text, expected):
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    assert read_label_file(str(path)) == expected


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_label_file(tmp_path / "none.txt")


def test_a_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"0:caf\xe9\n")
    with pytest.raises(UnicodeDecodeError):
        read_label_file(path)
