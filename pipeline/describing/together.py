"""Several pipelines on one pool: a description that holds others, each with devices of its own.

::

    pool: usb:4
    together:
      - {models: zoo:mobilenet_v2_1.0_224, segments: 1-3}
      - {models: zoo:inception_v3_299, segments: 1-3, goals: p99 <= 100 ms}

Every entry is the description around it with some fields said otherwise, and takes the next
devices of the pool.  On the virtual clock pipelines on different devices do not disturb each other
unless the devices share something (:func:`in_common`), so each is measured by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from devices import DeviceConfig
from pipeline.describing.placed import Placed

TOGETHER = "together"
FOR_ALL = frozenset((TOGETHER, "pool", "exclude", "name"))
"""Fields that are not a single pipeline's."""
BESIDE = "TPUs of each"
"""What was varied where only the shares of the pool differ."""


def parts_of(tree: Placed) -> list[Placed]:
    """The descriptions that one with :data:`TOGETHER` stands for, in the order of their devices.

    Each still says what is beside it.
    """
    around = tree.value
    return [
        Placed({**around, **entry.value}, entry.where, {**tree.keys, **entry.keys})
        for entry in tree.value[TOGETHER].value
    ]


def varied_of(
    varied: dict[str, str], nth: int, shares: list[int], models: list[str]
) -> dict[str, str]:
    """What makes part ``nth`` of a point differ, with the shares of all in place of what made them.

    ``shares`` are the devices of each part, ``models`` what runs on them.  Where two parts run the
    same, their numbers tell them apart.
    """
    own, others = f"{TOGETHER}[{nth}].", f"{TOGETHER}["
    found = {BESIDE: " + ".join(map(str, shares)), "models": models[nth]}
    if len(set(models)) < len(models):
        found["pipeline"] = str(nth + 1)
    for path, label in varied.items():
        name = path.removeprefix(own)
        if path.rpartition(".")[2] in ("segments", "copies", "spares") and others in path:
            continue
        found[name] = label
    return found


def in_common(parts: Sequence[Sequence[DeviceConfig]]) -> str | None:
    """What devices of several parts share, if they share anything."""
    seen: set[str] = set()
    for devices in parts:
        links = {config.shared_link.name for config in devices if config.shared_link is not None}
        own = {f"the link {name!r}" for name in links}
        if any(config.host_ns_per_stage for config in devices):
            own.add("the host (host_ns_per_stage)")
        if both := sorted(own & seen):
            return both[0]
        seen |= own
    return None
