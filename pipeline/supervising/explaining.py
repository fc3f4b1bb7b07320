"""Why a pipeline broke, for everyone who asks: one exception each, with what is known by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from devices.errors import DeviceDied
from devices.nursery import explain_exit
from pipeline.errors import PipelineBroken
from pipeline.supervising.seating import Seat, Seating
from pipeline.supervising.succession import NOBODY_LEFT


def how_it_was_lost(error: BaseException | None) -> str:
    """What a device's last word says about its end."""
    if isinstance(error, DeviceDied) and error.exit_code is not None:
        return f"its process died, {explain_exit(error.exit_code)}"
    if error is not None:
        return str(error)
    return "it stopped before the end of the stream (was the device closed?)"


def explain(
    seating: Seating,
    seat: Seat,
    how: str,
    error: BaseException | None,
    why: str,
    restarts: Mapping[int, int],
    finished: Callable[[], int],
) -> Callable[[], Exception]:
    """Makes the exception anew for everyone who is to get it.

    ``why`` nobody took over the seat, which was lost as ``how`` says after ``restarts`` of each
    segment; ``finished`` gives how many items have come out when it is raised.
    """
    device = seat.device.name
    segment, item = seating.item_lost(seat)
    exit_code = error.exit_code if isinstance(error, DeviceDied) else None
    replaced = restarts[segment]
    again = f" (after {replaced} restarts)" if replaced else ""
    left = f" {why}{again}." if replaced or why != NOBODY_LEFT else ""

    def loss() -> Exception:
        out = finished()
        work = "while it was idle" if item is None else f"with item {item} in work"
        broken = PipelineBroken(
            f"The pipeline broke: device {device!r} running segment {segment} of "
            f"{seating.plan.num_stages} is gone {work}: {how}.{left} {out} items "
            f"have come out; make a new runner on living devices and push from item "
            f"{out} on again.",
            device=device,
            segment=segment,
            exit_code=exit_code,
            item=item,
            finished=out,
        )
        broken.__cause__ = error
        return broken

    return loss
