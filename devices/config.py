"""What a pool of simulated devices is made of, as plain data and as YAML says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from devices.chip import (
    CLOCKS_MHZ,
    DEFAULT_HOSTS,
    HOSTS,
    ClockChange,
    DeviceConfig,
    Fault,
    Heat,
    SharedLink,
)
from devices.errors import ConfigError
from edgetpu_pipeline import meant

MAX_DEVICES = 1024
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class PoolConfig:
    """Devices of a pool, in the order of their numbers.

    Devices that share something do not wait for it where they are, but in the books of the host
    (``docs/architecture.md``, "Clocks"): so none of a pool may age, which would depend on it.
    """

    devices: tuple[DeviceConfig, ...]

    def __post_init__(self) -> None:
        """Refuse devices that cannot be together.  Raises ``ConfigError``."""
        sharing = [one for one in self.devices if one.shared_link or one.host_ns_per_stage]
        ageing = [one for one in self.devices if one.heat is not None or one.clock_changes]
        if sharing and ageing:
            what = "shared_link" if sharing[0].shared_link else "host_ns_per_stage"
            how = "heat" if ageing[0].heat is not None else "clock_changes"
            raise ConfigError(
                f"{how} of a device and {what} stand in one pool, but a device whose times depend "
                "on others does not know its own history; leave one of them out"
            )


_DEVICE_KEYS = tuple(DeviceConfig.__dataclass_fields__)
_FAULT_KEYS = tuple(Fault.__dataclass_fields__)
_HEAT_KEYS = tuple(Heat.__dataclass_fields__)
_CHANGE_KEYS = tuple(ClockChange.__dataclass_fields__)


def pool_config_from_mapping(mapping: object, where: str) -> PoolConfig:
    """Read a pool from what a YAML file holds; ``where`` names the place in error messages.

    The keys of a device may stand at the top, as defaults for all, beside ``devices``: a number
    of equal devices, or a list with one mapping each, in which ``count`` repeats a device::

        clock: virtual
        devices:
          - {host: pi4-usb3, count: 3}
          - {link: pcie, faults: [{kind: die, at: 100}]}

    ``links`` at the top names links that several devices share, as their ``shared_link``::

        links: {root: {bytes_per_ns: 0.4}}
        shared_link: root

    Raises ``ConfigError``, one sentence naming the key, what was found and what is allowed.
    """
    top = _mapping(mapping, where)
    _known(top, (*_DEVICE_KEYS, "links", "devices"), where)
    links = _links(top.get("links", {}), f"{where}: links")
    defaults = {key: value for key, value in top.items() if key not in ("links", "devices")}
    entries: object = top.get("devices", 1)
    if isinstance(entries, int) and not isinstance(entries, bool):
        entries = [{"count": entries}]
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        raise ConfigError(
            f"{where}: devices is {entries!r} and must be a number of devices or a list with one "
            "mapping for each"
        )
    devices: list[DeviceConfig] = []
    for index, entry in enumerate(entries):
        place = f"{where}: devices[{index}]"
        fields = dict(_mapping(entry, place))
        _known(fields, (*_DEVICE_KEYS, "count"), place)
        count = fields.pop("count", 1)
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_DEVICES:
            raise ConfigError(
                f"{place}: count is {count!r} and must be a whole number from 1 to {MAX_DEVICES}"
            )
        devices += [_device({**defaults, **fields}, links, place)] * count
    if not 1 <= len(devices) <= MAX_DEVICES:
        raise ConfigError(
            f"{where}: devices lists {len(devices)} and must list from 1 to {MAX_DEVICES}"
        )
    try:
        return PoolConfig(tuple(devices))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def pool_config_from_text(text: str, where: str) -> PoolConfig:
    """Read a pool from a short text such as ``usb:2,pi4-usb3@250:4``.

    With commas, a link or host each, with its clock in MHz behind ``@`` and how many there are
    behind ``:``.  Raises ``ConfigError``, one sentence that begins with ``where``.
    """
    devices: list[DeviceConfig] = []
    for part in text.split(","):
        name, count = _counted(part.strip())
        name, at, clock = name.partition("@")
        if name == "pci":  # as Coral's tools call it
            name = "pcie"
        known = name in HOSTS or name in DEFAULT_HOSTS
        if not known or count is None or (at and clock not in map(str, CLOCKS_MHZ)):
            raise ConfigError(
                f"{where} is {text!r}, in which {part.strip()!r} is not understood; use numbers of "
                "devices such as 'usb:2,pcie:1' or 'pi4-usb3@250:4' (links usb and pcie, hosts "
                f"{', '.join(HOSTS)}, clocks {', '.join(map(str, CLOCKS_MHZ))}, up to "
                f"{MAX_DEVICES} each)"
            )
        host = DEFAULT_HOSTS.get(name, name)  # type: ignore[call-overload]
        devices += [DeviceConfig(host=host, clock_mhz=int(clock or 0))] * count
    if len(devices) > MAX_DEVICES:
        raise ConfigError(
            f"{where} asks for {len(devices)} devices; there can be {MAX_DEVICES} at most"
        )
    return PoolConfig(tuple(devices))


def _counted(part: str) -> tuple[str, int | None]:
    """Name and number of a part such as ``usb:2``; no number where it makes no sense."""
    name, colon, count = part.partition(":")
    if not colon:
        return name, 1
    sensible = count.isascii() and count.isdigit() and int(count) <= MAX_DEVICES
    return name, int(count) if sensible else None


def _links(mapping: object, where: str) -> dict[str, SharedLink]:
    links: dict[str, SharedLink] = {}
    for name, entry in _mapping(mapping, where).items():
        fields = _mapping(entry, f"{where}.{name}")
        _known(fields, ("bytes_per_ns",), f"{where}.{name}")
        try:
            links[name] = SharedLink(name, fields.get("bytes_per_ns"))  # type: ignore[arg-type]
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return links


def _device(fields: Mapping[str, Any], links: Mapping[str, SharedLink], where: str) -> DeviceConfig:
    values = dict(fields)
    named = values.get("shared_link")
    if named is not None:
        if not isinstance(named, str) or named not in links:
            raise ConfigError(
                f"{where}: shared_link is {named!r} and must be one of the pool's links, which are "
                f"{', '.join(links) or 'none, for it has no links'}"
            )
        values["shared_link"] = links[named]
    if isinstance(values.get("cpu_affinity"), list):
        values["cpu_affinity"] = tuple(values["cpu_affinity"])
    for key in ("host_constants", "power"):
        if key in values:
            numbers = _mapping(values[key], f"{where}: {key}")
            values[key] = tuple(sorted(numbers.items()))
    for key, read in (("faults", _fault), ("clock_changes", _clock_change)):
        if key in values:
            entries = _entries(values[key], f"{where}: {key}")
            values[key] = tuple(read(e, f"{where}.{key}[{i}]") for i, e in enumerate(entries))
    if values.get("heat") is not None:
        values["heat"] = _heat(values["heat"], f"{where}: heat")
    try:
        return DeviceConfig(**values)
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(where) else f"{where}: {text}") from None


def _fault(entry: object, where: str) -> Fault:
    example = "a fault needs kind and at, such as {kind: die, at: 100}"
    return _made(Fault, _complete(entry, where, _FAULT_KEYS, ("kind", "at"), example), where)


def _clock_change(entry: object, where: str) -> ClockChange:
    example = "a clock change needs at_s and clock_mhz, such as {at_s: 10, clock_mhz: 250}"
    fields = _complete(entry, where, _CHANGE_KEYS, _CHANGE_KEYS, example)
    return _made(ClockChange, fields, where)


def _complete(
    entry: object, where: str, known: tuple[str, ...], needed: tuple[str, ...], example: str
) -> Mapping[str, Any]:
    """The fields of a mapping, of which some are needed."""
    fields = _mapping(entry, where)
    _known(fields, known, where)
    for key in needed:
        if key not in fields:
            raise ConfigError(f"{where}: {key} is missing; {example}")
    return fields


def _made(what: Callable[..., _Made], fields: Mapping[str, Any], where: str) -> _Made:
    try:
        return what(**fields)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _heat(entry: object, where: str) -> Heat:
    fields = dict(_mapping(entry, where))
    _known(fields, _HEAT_KEYS, where)
    if isinstance(fields.get("trip_c"), list):
        fields["trip_c"] = tuple(fields["trip_c"])
    try:
        return Heat(**fields)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _entries(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        place, _, key = where.rpartition(": ")
        raise ConfigError(f"{place}: {key} is {value!r} and must be a list of mappings")
    return value


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: found {value!r} and expected a mapping of keys to values")
    return value


def _known(mapping: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in mapping:
        if key not in allowed:
            hint = meant(str(key), allowed)
            allow = f"{hint} The" if hint else "; the"
            raise ConfigError(
                f"{where}: unknown key {key!r}{allow} keys allowed are {', '.join(allowed)}"
            )
