"""The random numbers are SplitMix64's, whatever way they are asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.randomness import Stream, bell, seed_of, words

MASK = (1 << 64) - 1


def splitmix64(seed: int, count: int) -> list[int]:
    """The generator as published, one number at a time, in unbounded integers."""
    out = []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out.append(z ^ (z >> 31))
    return out


def test_words_are_the_known_outputs_for_seed_1234567() -> None:
    assert words(1234567, 5).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@settings(deadline=None)
@given(st.integers(0, MASK), st.integers(0, 50))
def test_words_are_splitmix64(seed: int, count: int) -> None:
    assert words(seed, count).tolist() == splitmix64(seed, count)


def test_words_go_on_over_the_chunks_they_are_made_in() -> None:
    assert words(99, 70_000)[-3:].tolist() == splitmix64(99, 70_000)[-3:]


def test_bell_is_four_bytes_summed() -> None:
    expected = []
    for word in splitmix64(5, 500):
        octets = word.to_bytes(8, "little")
        for half in (octets[:4], octets[4:]):
            expected.append(max((sum(half) - 510) >> 2, -127))
    assert bell(5, 999).tolist() == expected[:999]


def test_bell_is_bell_shaped() -> None:
    values = bell(1, 200_000).astype(np.float64)
    assert -127 <= values.min() < -110
    assert 110 < values.max() <= 127
    assert abs(values.mean()) < 0.5
    assert abs(values.std() - np.sqrt(4 * (256**2 - 1) / 12) / 4) < 0.5
    # Gaussian: 68 of 100 within one deviation.
    assert abs((np.abs(values) < values.std()).mean() - 0.68) < 0.03


def test_a_stream_draws_the_same_numbers() -> None:
    stream = Stream(77)
    assert [stream.below(1 << 64) for _ in range(20)] == splitmix64(77, 20)


def test_names_give_different_seeds() -> None:
    assert seed_of("a", "b") != seed_of("ab")
    assert seed_of("a", "b") == seed_of("a", "b")
