"""The same content as the standard library's text, on fewer lines."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.drawing.json_text import json_text

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_what_is_read_is_what_was_written(content: dict[str, object]) -> None:
    text = json_text(content)
    assert json.loads(text) == json.loads(json.dumps(content))
    assert text.endswith("\n")


def test_lists_of_plain_values_stay_on_one_line() -> None:
    content = {
        "cuts": [1, 2],
        "none": [],
        "measured": [(0, 1, 5), (1, 2, None)],
        "rounds": [{"cuts": [3]}, {}],
    }
    assert json_text(content).splitlines() == [
        "{",
        '  "cuts": [1, 2],',
        '  "none": [],',
        '  "measured": [',
        "    [0, 1, 5],",
        "    [1, 2, null]",
        "  ],",
        '  "rounds": [',
        "    {",
        '      "cuts": [3]',
        "    },",
        "    {}",
        "  ]",
        "}",
    ]
