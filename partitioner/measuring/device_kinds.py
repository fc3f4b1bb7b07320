"""Which devices are alike, so that their latencies can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from devices import SimulatedDevice
from devices.device import Device, Link


@dataclass(frozen=True)
class DeviceKind:
    """Devices that are alike; ``name`` is their link, or where that says too little the host that
    they are simulated at, with a number if need be."""

    name: str
    link: Link
    devices: tuple[Device, ...]


def kinds_of(devices: Sequence[Device]) -> tuple[DeviceKind, ...]:
    """Groups of devices that are alike, in the order of their first members.

    Simulated devices are alike when they are configured alike, faults and seeds apart; of others
    only the link is known.
    """
    groups: dict[object, list[Device]] = {}
    for device in devices:
        groups.setdefault(_likeness(device), []).append(device)
    firsts = [members[0] for members in groups.values()]
    links = [device.link for device in firsts]
    names = [device.link if links.count(device.link) == 1 else _place(device) for device in firsts]
    return tuple(
        DeviceKind(
            name if names.count(name) == 1 else f"{name} {names[:number].count(name) + 1}",
            members[0].link,
            tuple(members),
        )
        for number, (name, members) in enumerate(zip(names, groups.values(), strict=True))
    )


def _place(device: Device) -> str:
    return device.config.host if isinstance(device, SimulatedDevice) else device.link


def _likeness(device: Device) -> object:
    if isinstance(device, SimulatedDevice):
        return replace(device.config, faults=(), noise_seed=0)
    return device.link


def stage_devices(kinds: Sequence[DeviceKind], living: Sequence[Device]) -> tuple[Device, ...]:
    """A device of its kind for each segment, as far as living ones suffice; each used once.

    Shorter than ``kinds`` when they do not.
    """
    free = list(living)
    stages: list[Device] = []
    for kind in kinds:
        fitting = [device for device in free if device in kind.devices]
        if not fitting:
            return tuple(stages)
        stages.append(fitting[0])
        free.remove(fitting[0])
    return tuple(stages)


def placement(kinds: Sequence[DeviceKind], stages: Sequence[Device]) -> tuple[dict[str, str], ...]:
    """For a report: kind, link and device of each segment; the kind alone where none is left."""
    names = [device.name for device in stages]
    names += [kind.name for kind in kinds[len(names) :]]
    return tuple(
        {"device": name, "kind": kind.name, "link": kind.link}
        for name, kind in zip(names, kinds, strict=True)
    )
