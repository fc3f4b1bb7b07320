"""Results of an object detection model, and the boxes they come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray

from pycoral.adapters import common
from pycoral.described_tensors import Results, readable
from pycoral.interpreter_like import InterpreterLike


class BBox(NamedTuple):
    """A rectangle with sides parallel to the axes; ``y`` grows downwards."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    @property
    def width(self) -> float:
        """Extent along x; negative if the box is not valid."""
        return self.xmax - self.xmin

    @property
    def height(self) -> float:
        """Extent along y; negative if the box is not valid."""
        return self.ymax - self.ymin

    @property
    def area(self) -> float:
        """Width times height; meaningful for a valid box only."""
        return self.width * self.height

    @property
    def valid(self) -> bool:
        """Whether neither extent is negative; a box without area is valid."""
        return self.width >= 0 and self.height >= 0

    def scale(self, sx: float, sy: float) -> BBox:
        """Multiply the x coordinates by ``sx`` and the y coordinates by ``sy``."""
        return BBox(self.xmin * sx, self.ymin * sy, self.xmax * sx, self.ymax * sy)

    def translate(self, dx: float, dy: float) -> BBox:
        """Move the box by ``(dx, dy)``."""
        return BBox(self.xmin + dx, self.ymin + dy, self.xmax + dx, self.ymax + dy)

    def map(self, f: Callable[[float], float]) -> BBox:
        """Apply ``f`` to each coordinate; ``box.map(int)`` rounds towards zero."""
        return BBox(*(f(coordinate) for coordinate in self))

    @staticmethod
    def intersect(a: BBox, b: BBox) -> BBox:
        """Give what two boxes share; the box is not ``valid`` if they share nothing."""
        return BBox(
            max(a.xmin, b.xmin), max(a.ymin, b.ymin), min(a.xmax, b.xmax), min(a.ymax, b.ymax)
        )

    @staticmethod
    def union(a: BBox, b: BBox) -> BBox:
        """Give the smallest box around both, which is more than the set union."""
        return BBox(
            min(a.xmin, b.xmin), min(a.ymin, b.ymin), max(a.xmax, b.xmax), max(a.ymax, b.ymax)
        )

    @staticmethod
    def iou(a: BBox, b: BBox) -> float:
        """Give the shared area over the covered area, 0.0 for boxes that share nothing."""
        shared = BBox.intersect(a, b)
        if not shared.valid:
            return 0.0
        covered = a.area + b.area - shared.area
        # Two boxes without area at the same place: nothing is covered, so nothing is shared.
        return shared.area / covered if covered else 0.0


class Object(NamedTuple):
    """One object found: its class, its score and its box in pixels."""

    id: int
    score: float
    bbox: BBox


class _Outputs(NamedTuple):
    """The three outputs that describe the objects, without their batch dimension."""

    boxes: NDArray[Any]
    ids: NDArray[Any]
    scores: NDArray[Any]


def get_objects(
    interpreter: Results,
    score_threshold: float = -float("inf"),
    image_scale: tuple[float, float] = (1.0, 1.0),
) -> list[Object]:
    """Give the objects of the last inference, in the model's order.

    The model's count of objects is not used, as in pycoral: rows past it have score 0 in Coral's
    models, so pass a ``score_threshold`` above 0 to leave them out.

    Args:
        interpreter: has run a model with the four outputs of an SSD post-processing operator, or
            is what a pipeline's ``pop`` returned of one.
        score_threshold: leave out objects that score less.
        image_scale: ``(x, y)`` scale of the image in the input tensor, from
            :func:`pycoral.adapters.common.set_resized_input`; boxes come in pixels of the image
            before that scaling, rounded towards zero.

    Raises:
        ValueError: the model has several signatures, or one with other outputs; or the tensors are
            a plain dict, which does not say how large the picture was.
        IndexError: the model has fewer than four outputs.
    """
    results = readable(interpreter)
    outputs = _find_outputs(results)
    width, height = common.input_size(results)
    scale_x, scale_y = width / image_scale[0], height / image_scale[1]

    def object_at(row: int) -> Object:
        ymin, xmin, ymax, xmax = (float(coordinate) for coordinate in outputs.boxes[row])
        return Object(
            id=int(outputs.ids[row]),
            score=float(outputs.scores[row]),
            bbox=BBox(xmin, ymin, xmax, ymax).scale(scale_x, scale_y).map(int),
        )

    return [
        object_at(row)
        for row in range(len(outputs.scores))
        if outputs.scores[row] >= score_threshold
    ]


def _find_outputs(interpreter: InterpreterLike) -> _Outputs:
    """Tell boxes, ids and scores apart, by the three layouts Coral's detection models have."""
    signatures = _full_signatures(interpreter)
    if len(signatures) > 1:
        raise ValueError("Only support model with one signature.")
    if signatures:
        # TensorFlow 2 models: named output_0 (count), _1 (scores), _2 (ids), _3 (boxes).
        tensor_index = next(iter(signatures.values()))["outputs"]
        names = ("output_3", "output_2", "output_1")
        missing = [name for name in names if name not in tensor_index]
        if missing:
            raise ValueError(
                f"The model's signature has the outputs {sorted(tensor_index)}, but a detection "
                f"model's must have {missing} among them; read its outputs with "
                "common.output_tensor instead."
            )
        return _Outputs(*(interpreter.tensor(tensor_index[name])()[0] for name in names))

    number = len(interpreter.get_output_details())
    if number < 4:
        raise IndexError(
            f"A detection model has four outputs (boxes, ids, scores, count), this one has "
            f"{number}; read its outputs with common.output_tensor instead."
        )
    # TensorFlow 1 models end with the count; the others have it third.
    order = (0, 1, 2) if common.output_tensor(interpreter, 3).size == 1 else (1, 3, 0)
    return _Outputs(*(common.output_tensor(interpreter, i)[0] for i in order))


def _full_signatures(interpreter: InterpreterLike) -> dict[str, Any]:
    """Give the signatures with tensor indices, ``{}`` where the interpreter knows none.

    The method is private in TFLite and absent from its older releases.
    """
    full_list = getattr(interpreter, "_get_full_signature_list", None)
    return dict(full_list()) if full_list is not None else {}
