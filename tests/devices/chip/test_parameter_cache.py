"""Parameter caching against a hand-worked protocol and against the rules stated one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devices.chip.parameter_cache import CachedParameters, ParameterCache


def region(token: int, offset: int, size: int, contents: str) -> CachedParameters:
    return CachedParameters(token, offset, size, contents)


def test_a_hand_worked_protocol() -> None:
    # Co-compiled a and b lie side by side under token 1; c was compiled alone; n caches nothing.
    executables = {
        "a": region(1, 0, 100, "A"),
        "b": region(1, 100, 50, "B"),
        "c": region(2, 0, 80, "C"),
        "n": region(0, 0, 0, "N"),
    }
    protocol = [
        ("a", True),  # first use
        ("a", False),
        ("b", True),  # same token, its own region: first use
        ("a", False),  # undisturbed
        ("c", True),  # another token wipes and loads
        ("a", True),  # and so do a ...
        ("b", True),  # ... and b again
        ("a", False),
        ("n", False),  # token 0 loads nothing, but wipes
        ("a", True),
    ]
    cache = ParameterCache()
    numbers = {name: number for number, name in enumerate(executables)}
    for step, (name, loads) in enumerate(protocol):
        assert cache.use(numbers[name], executables[name]) is loads, f"step {step}: {name}"


def test_overlapping_segments_of_one_compilation_evict_each_other() -> None:
    cache = ParameterCache()
    first, second, third = (
        region(5, 0, 60, "first"),
        region(5, 40, 60, "second"),
        region(5, 60, 10, "third"),
    )
    assert cache.use(1, first)
    assert cache.use(2, second)  # overwrites bytes 40 to 60 of the first
    assert cache.use(1, first)
    assert cache.use(3, third)  # touches neither: 60 is the first's end, the second is gone
    assert not cache.use(1, first)
    assert cache.use(2, second)  # evicts both
    assert cache.use(3, third)
    assert cache.use(1, first)


def test_two_registrations_of_one_executable_load_once_each() -> None:
    cache = ParameterCache()
    same = region(5, 0, 60, "same")
    assert [cache.use(n, same) for n in (1, 2, 1, 2)] == [True, True, False, False]


def test_unloading_forgets_and_a_new_registration_loads() -> None:
    cache = ParameterCache()
    parameters = region(5, 0, 60, "x")
    cache.use(1, parameters)
    cache.forget(1)
    cache.forget(9)
    assert cache.use(2, parameters)


def test_an_executable_with_a_token_and_no_parameters_wipes_by_its_token_only() -> None:
    cache = ParameterCache()
    cache.use(1, region(5, 0, 60, "x"))
    assert not cache.use(2, region(5, 0, 0, "empty"))
    assert not cache.use(1, region(5, 0, 60, "x"))
    assert not cache.use(3, region(6, 0, 0, "empty"))
    assert cache.use(1, region(5, 0, 60, "x"))


REGIONS = st.builds(
    region,
    st.integers(0, 2),
    st.integers(0, 6),
    st.integers(0, 4),
    st.sampled_from("PQ"),
)


@given(st.lists(REGIONS, min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=40))
def test_what_counts_as_cached_is_what_the_memory_holds(
    executables: list[CachedParameters], uses: list[int]
) -> None:
    """Against a memory of single bytes: whoever does not load finds its own bytes there."""
    cache = ParameterCache()
    memory: dict[int, tuple[str, int]] = {}
    for use in uses:
        number = use % len(executables)
        mine = executables[number]
        span = range(mine.offset_bytes, mine.offset_bytes + mine.size_bytes)
        expected = {at: (mine.contents, at - mine.offset_bytes) for at in span}
        loads = cache.use(number, mine)
        if loads:
            memory |= expected
        elif mine.token != 0:
            assert {at: memory[at] for at in span} == expected
        assert len({held.token for held in cache.held.values()}) <= 1
        again = cache.use(number, mine)
        assert not again, "an immediate second use never loads"
