"""Which plan to build, whether it meets what was asked, and why, in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from partitioner.sizing.how_many import Sweep
from partitioner.sizing.plans import PipelineCost, Plan, describe, fastest, kinds_in_words

EFFICIENCY_MARGIN = 0.02
"""Throughput per TPU that ``recommend`` gives up for needing fewer of them (2 %)."""


@dataclass(frozen=True)
class Target:
    """What is asked of a plan: at least so many items per second, at most so much latency.

    It must be met with a ``margin`` (0.2: a fifth), since what was measured here is not exactly
    what will be bought.
    """

    fps: float | None = None
    latency_ns: int | None = None
    margin: float = 0.0

    def met_by(self, plan: Plan) -> bool:
        return self._fast_enough(plan) and self.soon_enough(plan)

    def _fast_enough(self, plan: Plan) -> bool:
        return self.fps is None or plan.throughput >= self.fps * (1.0 + self.margin)

    def soon_enough(self, plan: Plan) -> bool:
        """Whether the latency is allowed."""
        if self.latency_ns is None:
            return True
        return plan.latency_ns * (1.0 + self.margin) <= self.latency_ns

    @property
    def given(self) -> bool:
        return self.fps is not None or self.latency_ns is not None

    def __str__(self) -> str:
        wishes = []
        if self.fps is not None:
            wishes.append(f"{self.fps:g} inferences/s")
        if self.latency_ns is not None:
            wishes.append(f"a latency of {self.latency_ns / 1e6:g} ms")
        spare = f" with a margin of {100 * self.margin:.3g} %" if self.margin else ""
        return " and ".join(wishes) + spare


@dataclass(frozen=True)
class Recommendation:
    """The plan to build, whether it meets what was asked, and why it is the one, in words.

    ``how_to_run``: what it takes to run the plan, where that is more than one pipeline; else empty.
    """

    plan: Plan
    target: Target
    met: bool
    sentence: str
    how_to_run: str = ""


def recommend(sweep: Sweep, target: Target) -> Recommendation:
    """The plan to build.

    With a target: the fewest devices that meet it, of plans for equally many the fastest.  If no
    plan does, the one that comes closest (the fastest within the latency allowed, or else the one
    of the lowest latency), and ``met`` is false.  Without a target: the fewest devices whose
    throughput per TPU is within 2 % of the best there is, since more TPUs of the same efficiency
    are had by copying the plan.
    """
    most = sweep.rows[-1].num_devices
    least = sweep.rows[0].num_devices
    everything = sweep.plans()
    # Where all that can be built leaves devices over, that is what there is.
    choices = [p for p in everything if p.num_devices >= least] or list(everything)
    met = True
    if not target.given:
        best = max(plan.throughput / plan.num_devices for plan in choices)
        good = [
            p for p in choices if p.throughput / p.num_devices >= (1.0 - EFFICIENCY_MARGIN) * best
        ]
        plan = max(good, key=_fewest)
        reason = (
            "no other number of TPUs up to "
            f"{most} gives over {100 * EFFICIENCY_MARGIN:g} % more throughput per TPU"
        )
    elif meeting := [plan for plan in choices if target.met_by(plan)]:
        plan = max(meeting, key=_fewest)
        reason = f"the fewest TPUs that reach {target}"
    else:
        met = False
        quick = [p for p in choices if target.soon_enough(p)]
        plan = max(quick, key=fastest) if quick else min(choices, key=lambda p: p.latency_ns)
        reason = f"no plan for up to {most} TPUs reaches {target}; this one comes closest"
    tpus = "1 TPU" if plan.num_devices == 1 else f"{plan.num_devices} TPUs"
    sentences = [
        f"{tpus}, {describe(plan)}: {plan.throughput:.1f} inferences/s at "
        f"{plan.latency_ns / 1e6:.2f} ms ({reason}).",
        _comparison(sweep, plan),
        _of_the_cpu(plan),
        _of_the_margin(target, choices, met),
    ]
    return Recommendation(
        plan, target, met, " ".join(filter(None, sentences)), _how_to_run(sweep, plan)
    )


def _fewest(plan: Plan) -> tuple[int, float, int, int, int]:
    return -plan.num_devices, *fastest(plan)


def _comparison(sweep: Sweep, plan: Plan) -> str:
    """Cutting against copying, for as many devices as the plan has."""
    copied = sweep.copies_on(plan.devices)
    if copied is None:
        return "The uncut model does not compile, so there is nothing to copy."
    if plan.pipeline.segments > 1:
        factor = plan.throughput / copied.throughput
        verb = "Cutting pays" if factor > 1.0 else "Copying would give as much or more"
        return (
            f"{verb}: {describe(copied)} would give {copied.throughput:.1f} inferences/s, so "
            f"{describe(plan)} is {factor:.2f} times as fast on the same TPUs."
        )
    count = plan.num_devices if plan.num_devices > 1 else 2
    single = sweep.pipeline_of(count)
    same = None if single is None else sweep.copies_on(single.devices)
    if single is None or same is None or single.throughput >= same.throughput:
        return ""
    return (
        f"Do not cut this model: on {count} TPUs, {describe(same)} give "
        f"{same.throughput:.1f} inferences/s, {describe(single)} {single.throughput:.1f}."
    )


def _of_the_cpu(plan: Plan) -> str:
    """What the host's CPU has to do with it."""
    operators = max(sum(one.cpu_operators) for one in plan.pipelines)
    if not operators:
        return ""
    what = f"{operators} operator{'s' * (operators > 1)} of every item"
    cpu_ns = plan.pipeline.host_cpu_ns
    if cpu_ns is None:
        return (
            f"{what[0].upper()}{what[1:]} run on the host's CPU, which all TPUs share; how long "
            "they take there these devices do not tell, so more TPUs may help less than it says."
        )
    if not cpu_ns or plan.host_cores is None:
        return ""
    cores = "one core" if plan.host_cores == 1 else f"{plan.host_cores} cores"
    most = plan.host_cores * 1e9 / cpu_ns
    text = (
        f"The host's CPU computes {what} for {cpu_ns / 1e6:.2f} ms; with {cores} for that "
        f"(--host_cores) it serves {most:.1f} inferences/s at most, however many TPUs there are"
    )
    return f"{text}: it is what limits this plan." if plan.limited_by_cpu else f"{text}."


def _of_the_margin(target: Target, choices: list[Plan], met: bool) -> str:
    """Whether it is for the margin that nothing meets the target."""
    bare = Target(target.fps, target.latency_ns)
    meeting = [] if met or not target.margin else [p for p in choices if bare.met_by(p)]
    if not meeting:
        return ""
    plan = max(meeting, key=_fewest)
    return (
        f"Without the margin, {describe(plan)} would reach it by the figures measured here "
        "(--margin 0 %)."
    )


def _how_to_run(sweep: Sweep, plan: Plan) -> str:
    """What to do with a plan of several pipelines, which no runner runs as a whole yet."""
    if len(plan.pipelines) == 1:
        return ""
    tpus = "a TPU" if plan.pipeline.segments == 1 else "TPUs"
    text = (
        f"PipelinedModelRunner runs one pipeline, not {len(plan.pipelines)} side by side: by hand, "
        f"make one for each on {tpus} of its own, "
    )
    if len(plan.copies_of_each) == 1:
        text += "and give every item to the next in turn (throughput-experiment does: copies)."
    else:
        rates = " : ".join(f"{one.throughput:.0f}" for one in plan.pipelines)
        others = " and ".join(_written_by(one) for one, _ in plan.copies_of_each[1:])
        text += (
            f"and deal items to them as {rates}. The segments of the first are written; those of "
            f"the others come from {others}."
        )
    if sweep.stateful:
        text += (
            " The model remembers earlier items, each copy those that it was given: every stream "
            "needs one copy to itself, and no stream becomes faster by it."
        )
    return text


def _written_by(pipeline: PipelineCost) -> str:
    """Where the segments of another pipeline of a plan come from."""
    if pipeline.segments == 1:
        return "edgetpu_compiler"
    on = kinds_in_words(pipeline.devices)
    where = f" on a pool of {on}" if on else ""
    return f"--num_segments {pipeline.segments} --diff_threshold_ns 0{where}"
