"""YAML with places: as PyYAML reads it, and what it does not mind."""

from __future__ import annotations

from itertools import pairwise

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import ConfigError
from pipeline.describing.placed import placed_from_text

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(plain)
def test_values_are_those_of_pyyaml(value: object) -> None:
    text = yaml.safe_dump(value)
    assert placed_from_text(text, "x").plain() == yaml.safe_load(text)


def test_every_value_knows_its_place() -> None:
    tree = placed_from_text("a: 1\nb:\n  - c: [x, y]\n  - d: z\n", "f.yaml")
    assert tree.at(("b", 0, "c", 1)).where == "f.yaml:3:12"
    assert tree.at(("b", 1)).keys["d"] == "f.yaml:4:5"
    assert tree.at(("b", 1, "nothing")).where == "f.yaml:4:5"


def test_merged_keys_may_be_overridden_and_own_ones_may_not_stand_twice() -> None:
    text = "base: &base {link: usb, clock: virtual}\none: {<<: *base, link: pcie}\ntwo: *base\n"
    assert placed_from_text(text, "x").plain() == yaml.safe_load(text)
    with pytest.raises(ConfigError, match=r"x:1:13: the key 'a' stands here a second time"):
        placed_from_text("b: {a: 1,   a: 2}", "x")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "\n".join(f"{b}: &{b} [{','.join(['*' + a] * 10)}]" for a, b in pairwise("abcdefgh")),
        "[" * 200 + "]" * 200,
        "!!python/object/apply:os.system [x]",
        "{[1]: 2}",
        "? {a: 1}\n: 2",
        "2024-99-99",
        "a: \x00",
    ],
)
def test_what_cannot_be_meant_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        placed_from_text(text, "x.yaml")
    assert str(caught.value).startswith("x.yaml")
    assert "\n" not in str(caught.value)
