"""Which parameters an Edge TPU holds: the driver's bookkeeping by caching token.

The rules of libedgetpu, applied at every inference:

1. A token that is 0 or differs from the current one wipes: nothing counts as cached any more.
2. An executable with cached parameters that has not been loaded since the last wipe loads them
   (all of them, from the host), and its token becomes the current one.

So models compiled together, which share a token, are loaded once each, and models with different
tokens reload at every switch.

**Overlaps.**  All segments of one ``--num_segments`` compilation share a token, although each is
laid out from the start of the memory, for a chip of its own.  With two of them on one chip, rule 2
would leave the first believed cached after the second overwrote it; nobody has shown what the
hardware computes then.  Here a load *evicts* every registration whose region it overwrites with
other contents, so that one loads again on its next use: the numbers stay right, and the time tells
the user that the segments do not fit together.  Two registrations of the same executable hold the
same bytes at the same place, so they do not evict each other; each still loads once, as with
libedgetpu.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CachedParameters:
    """What one registration keeps on the chip.

    ``token`` is 0 for an executable that caches nothing.  ``contents`` identifies the bytes, for
    example by a digest: regions with equal contents at the same offset do not harm each other.
    """

    token: int
    offset_bytes: int
    size_bytes: int
    contents: str

    def overwrites(self, other: CachedParameters) -> bool:
        """Whether loading this one destroys ``other``."""
        if self.size_bytes == 0 or other.size_bytes == 0:
            return False
        same = (self.offset_bytes, self.size_bytes, self.contents)
        if same == (other.offset_bytes, other.size_bytes, other.contents):
            return False
        return (
            self.offset_bytes < other.offset_bytes + other.size_bytes
            and other.offset_bytes < self.offset_bytes + self.size_bytes
        )


@dataclass
class ParameterCache:
    """The state: the current token and the registrations whose parameters are on the chip.

    ``changes`` grows whenever one of them changes.
    """

    token: int = 0
    held: dict[int, CachedParameters] = field(default_factory=dict)
    changes: int = 0

    def use(self, registration: int, parameters: CachedParameters) -> bool:
        """Account for one inference; True when its parameters have to be loaded first."""
        if parameters.token == 0 or parameters.token != self.token:
            self.wipe()
        if parameters.token == 0 or parameters.size_bytes == 0:
            return False
        if registration in self.held:
            return False
        for other, held in list(self.held.items()):
            if parameters.overwrites(held):
                del self.held[other]
        self.changes += 1
        self.held[registration] = parameters
        self.token = parameters.token
        return True

    @property
    def held_bytes(self) -> int:
        """Bytes on the chip; what several registrations share counts once."""
        regions = {(one.offset_bytes, one.size_bytes) for one in self.held.values()}
        return sum(size_bytes for _, size_bytes in regions)

    def forget(self, registration: int) -> None:
        """A registration was unloaded."""
        self.held.pop(registration, None)

    def wipe(self) -> None:
        """Nothing counts as cached any more."""
        if self.token or self.held:
            self.changes += 1
        self.token = 0
        self.held.clear()
