"""Small random models with everything that makes cutting a graph hard.

Branches, skips over many operators, a tensor read twice by one operator, several graph inputs,
one of which is first read late, several graph outputs, one of which is made early and read
again later, dead ends, operators with several outputs. For property tests: the same seed gives
the same bytes everywhere, and every model runs in LiteRT.
"""

from __future__ import annotations

from collections.abc import Callable

from zoo.builder import GraphBuilder
from zoo.draft import Tensor
from zoo.randomness import Stream, seed_of
from zoo.shapes import Activation

_LARGEST_SIDE = 12
_MOST_CHANNELS = 24
_LARGEST_FACTOR = 20.0  # products of wider ranges would outgrow what the kernels rescale
_PREFER_UNREAD_PERCENT = 75
_SECOND_INPUT_PERCENT = 40
_ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6")


class _Growth:
    """A graph growing one operator at a time; each ``_try_*`` returns False if nothing fits."""

    def __init__(self, seed: int) -> None:
        self.graph = GraphBuilder(f"random_{seed}")
        self.stream = Stream(seed_of("random graph", str(seed)))
        self.available: list[Tensor] = []
        self.made: list[Tensor] = []

    def name(self, kind: str) -> str:
        return f"{kind}_{self.graph.operator_count}"

    def add_input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        tensor = self.graph.input(name, shape)
        self.available.append(tensor)
        return tensor

    def keep(self, *tensors: Tensor) -> bool:
        self.available.extend(tensors)
        self.made.extend(tensors)
        return True

    def pick(self, suits: Callable[[Tensor], bool]) -> Tensor | None:
        """A tensor that ``suits``, more often one that nobody has read yet."""
        fitting = [t for t in self.available if suits(t)]
        unread = [t for t in fitting if not self.graph.is_read(t)]
        if unread and self.stream.chance(_PREFER_UNREAD_PERCENT):
            fitting = unread
        return self.stream.choose(fitting) if fitting else None

    def image(self, smallest_side: int = 1) -> Tensor | None:
        return self.pick(lambda t: len(t.shape) == 4 and min(t.shape[1:3]) >= smallest_side)

    # -- one operator of each kind ------------------------------------------------------------

    def try_conv(self, x: Tensor | None = None) -> bool:
        x = x or self.image()
        if x is None:
            return False
        stride = 2 if min(x.shape[1:3]) >= 4 and self.stream.chance(25) else 1
        kernel = (self.stream.choose((1, 3)), self.stream.choose((1, 3)))
        channels = 4 * (1 + self.stream.below(4))
        activation = self.stream.choose(_ACTIVATIONS)
        return self.keep(
            self.graph.conv(
                x, channels, kernel, name=self.name("conv"), stride=stride, activation=activation
            )
        )

    def try_depthwise(self) -> bool:
        x = self.image()
        if x is None:
            return False
        activation = self.stream.choose(_ACTIVATIONS)
        return self.keep(
            self.graph.depthwise(x, 3, name=self.name("depthwise"), activation=activation)
        )

    def try_add(self) -> bool:
        a = self.pick(lambda t: True)
        if a is None:
            return False
        b = self.pick(lambda t: t.shape == a.shape)  # perhaps ``a`` itself
        if b is None:
            return False
        activation = self.stream.choose(_ACTIVATIONS)
        return self.keep(self.graph.add(a, b, name=self.name("add"), activation=activation))

    def try_mul(self) -> bool:
        def small(t: Tensor) -> bool:
            return max(-t.values.low, t.values.high) <= _LARGEST_FACTOR

        a = self.pick(small)
        if a is None:
            return False
        b = self.pick(lambda t: small(t) and t.shape == a.shape)
        return b is not None and self.keep(self.graph.mul(a, b, name=self.name("mul")))

    def try_concat(self) -> bool:
        a = self.image()
        if a is None:
            return False
        room = _MOST_CHANNELS - a.shape[3]
        b = self.pick(
            lambda t: (
                t.shape[:-1] == a.shape[:-1]
                and t.shape[-1] <= room
                and t.index != a.index
                and self.graph.can_tie(a, t)
            )
        )
        return b is not None and self.keep(self.graph.concat([a, b], name=self.name("concat")))

    def try_max_pool(self) -> bool:
        x = self.image(smallest_side=2)
        if x is None:
            return False
        stride = self.stream.choose((1, 2))
        return self.keep(
            self.graph.max_pool(x, 2, name=self.name("max_pool"), stride=stride, padding="same")
        )

    def try_average_pool(self) -> bool:
        x = self.image(smallest_side=3)
        return x is not None and self.keep(
            self.graph.average_pool(x, 3, name=self.name("average_pool"), stride=1, padding="same")
        )

    def try_pad(self) -> bool:
        x = self.image()
        if x is None or max(x.shape[1:3]) >= _LARGEST_SIDE:
            return False
        rows = (self.stream.below(2), 1)
        return self.keep(self.graph.pad(x, rows, (1, 0), name=self.name("pad")))

    def try_resize(self) -> bool:
        x = self.image()
        if x is None or 2 * max(x.shape[1:3]) > _LARGEST_SIDE:
            return False
        height, width = 2 * x.shape[1], 2 * x.shape[2]
        return self.keep(self.graph.resize_bilinear(x, height, width, name=self.name("resize")))

    def try_split(self) -> bool:
        x = self.pick(lambda t: t.shape[-1] % 2 == 0 and t.shape[-1] >= 4)
        return x is not None and self.keep(*self.graph.split(x, 2, name=self.name("split")))

    def try_relu(self) -> bool:
        x = self.pick(lambda t: t.values.low < 0)
        return x is not None and self.keep(self.graph.relu(x, name=self.name("relu")))

    def try_logistic(self) -> bool:
        x = self.pick(lambda t: True)
        return x is not None and self.keep(self.graph.logistic(x, name=self.name("logistic")))

    def try_quantize(self) -> bool:
        x = self.pick(lambda t: True)
        return x is not None and self.keep(self.graph.quantize(x, name=self.name("quantize")))

    def try_mean(self) -> bool:
        x = self.image()
        if x is None:
            return False
        keep_dims = self.stream.chance(50)
        return self.keep(self.graph.mean(x, name=self.name("mean"), keep_dims=keep_dims))

    def try_reshape(self) -> bool:
        x = self.image()
        if x is None:
            return False
        _, height, width, channels = x.shape
        shape = self.stream.choose(((1, width, height, channels), (1, height * width, channels)))
        return self.keep(self.graph.reshape(x, shape, name=self.name("reshape")))

    def try_fully_connected(self) -> bool:
        x = self.pick(lambda t: len(t.shape) == 2)
        if x is None:
            return False
        channels = 4 * (1 + self.stream.below(4))
        return self.keep(self.graph.fully_connected(x, channels, name=self.name("dense")))

    def try_softmax(self) -> bool:
        x = self.pick(lambda t: len(t.shape) == 2)
        return x is not None and self.keep(self.graph.softmax(x, name=self.name("softmax")))

    def try_dequantize(self) -> bool:
        x = self.pick(lambda t: True)
        if x is None:
            return False
        # Float tensors end here, as in a detector: everything else in the graph is int8.
        self.made.append(self.graph.dequantize(x, name=self.name("dequantize")))
        return True

    def late_input(self) -> None:
        """Adds a graph input where much of the graph is done, and reads it at once."""
        x = self.pick(lambda t: True)
        assert x is not None  # the first input suits
        late = self.add_input("late_input", x.shape)
        self.keep(self.graph.add(x, late, name=self.name("add")))


# Convolutions come more often than the rest, as in real networks.
_STEPS: tuple[Callable[[_Growth], bool], ...] = (
    *(_Growth.try_conv,) * 4,
    *(_Growth.try_depthwise,) * 2,
    *(_Growth.try_add,) * 4,
    *(_Growth.try_concat,) * 4,
    *(_Growth.try_fully_connected,) * 2,
    _Growth.try_mul,
    _Growth.try_max_pool,
    _Growth.try_average_pool,
    _Growth.try_pad,
    _Growth.try_resize,
    _Growth.try_split,
    _Growth.try_relu,
    _Growth.try_logistic,
    _Growth.try_quantize,
    _Growth.try_mean,
    _Growth.try_reshape,
    _Growth.try_softmax,
    _Growth.try_dequantize,
)


def random_graph(seed: int, operators: int = 12) -> bytes:
    """A random int8 model of exactly ``operators`` operators, as bytes of a ``.tflite`` file.

    Deterministic by ``seed``. The graph has one to three inputs and at least one output. From
    four operators on, one input (``late_input``) is first read after three quarters of the
    operators; from eight on, one output is usually made in the first half and read again
    afterwards. Tensors are int8 of rank 2 to 4 with at most a few thousand values; only a
    DEQUANTIZE, whose result is a graph output, makes float32.
    Raises :class:`ValueError` when ``operators`` is less than 1.
    """
    if operators < 1:
        raise ValueError(f"random_graph needs at least one operator, not {operators}")
    growth = _Growth(seed)
    side = 4 + growth.stream.below(_LARGEST_SIDE - 5)
    growth.try_conv(growth.add_input("image", (1, side, side, 3 + growth.stream.below(3))))
    if operators >= 4 and growth.stream.chance(_SECOND_INPUT_PERCENT):
        growth.try_conv(growth.add_input("second_image", (1, side, side, 4)))
    late_at = operators * 3 // 4 if operators >= 4 else None
    while growth.graph.operator_count < operators:
        if growth.graph.operator_count == late_at:
            growth.late_input()
        else:
            growth.stream.choose(_STEPS)(growth)

    outputs = [t for t in growth.made if not growth.graph.is_read(t)]
    early = [t for t in growth.made[: len(growth.made) // 2] if growth.graph.is_read(t)]
    if early:
        outputs.insert(0, growth.stream.choose(early))
    growth.graph.output(*outputs)
    return growth.graph.build()
