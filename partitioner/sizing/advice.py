"""Which plan to build, whether it meets what was asked, and why, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from partitioner.sizing.figures import in_ms, per_second, plain
from partitioner.sizing.how_many import NOT_REACHED, STOPPED_BEFORE, Sweep
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

    @property
    def least_fps(self) -> float:
        """Items per second that a plan has to give, margin included."""
        return (self.fps or 0.0) * (1.0 + self.margin)

    @property
    def most_ns(self) -> float:
        """Nanoseconds that one item may take, margin included."""
        return inf if self.latency_ns is None else self.latency_ns / (1.0 + self.margin)

    def met_by(self, plan: Plan) -> bool:
        return plan.throughput >= self.least_fps and plan.latency_ns <= self.most_ns

    @property
    def given(self) -> bool:
        return self.fps is not None or self.latency_ns is not None

    def __str__(self) -> str:
        wishes = []
        if self.fps is not None:
            wishes.append(f"{plain(self.fps)} inferences/s")
        if self.latency_ns is not None:
            wishes.append(f"a latency of {plain(self.latency_ns / 1e6)} ms")
        spare = f" with a margin of {plain(round(100 * self.margin, 6))} %" if self.margin else ""
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
    meeting = [plan for plan in choices if target.met_by(plan)]
    if not target.given:
        best = max(plan.throughput / plan.num_devices for plan in choices)
        good = [
            p for p in choices if p.throughput / p.num_devices * (1.0 + EFFICIENCY_MARGIN) >= best
        ]
        plan = max(good, key=_fewest)
    elif meeting:
        plan = max(meeting, key=_fewest)
    else:
        quick = [p for p in choices if p.latency_ns <= target.most_ns]
        plan = max(quick, key=fastest) if quick else min(choices, key=lambda p: p.latency_ns)
    met = bool(meeting)
    # On less than two TPUs there is the whole model alone, of which all is known; of several kinds
    # if it was looked at on each.
    known = 1 if sweep.failures.get(1) in NOT_REACHED else 2
    sure = target.given and met and plan.num_devices <= max(least, known)
    doubts = [] if sure else _doubts(sweep, target)
    sentences = [
        f"{_tpus(plan.num_devices)}, {describe(plan)}: "
        f"{per_second(plan.throughput, target.least_fps)} inferences/s at "
        f"{in_ms(plan.latency_ns, target.most_ns)} ms "
        f"({_reason(target, met, range(least, most + 1), sure=not doubts)}).",
        *doubts,
        _of_fewer(target, [p for p in everything if p.num_devices < least]),
        _comparison(sweep, plan),
        _of_the_state(sweep),
        _of_the_cpu(plan),
        _of_idle_tpus(plan),
        _of_the_margin(target, choices, met),
    ]
    return Recommendation(plan, target, met, " ".join(filter(None, sentences)), _how_to_run(plan))


def _tpus(number: int) -> str:
    return "1 TPU" if number == 1 else f"{number} TPUs"


def _reason(target: Target, met: bool, counts: range, *, sure: bool) -> str:
    """Why it is this plan of those for ``counts`` TPUs; ``sure``: no other cut can change that."""
    least, most = counts[0], counts[-1]
    found = "" if sure else " found"
    span = f"up to {_tpus(most)}"
    if least > 1:
        span = _tpus(most) if least == most else f"{least} to {most} TPUs"
    if not target.given:
        more = f"over {100 * EFFICIENCY_MARGIN:g} % more throughput per TPU"
        return f"no other plan{found} for {span} gives {more}"
    if not met:
        return f"no plan{found} for {span} reaches {target}; this one comes closest"
    fewest = "the fewest TPUs" if least == 1 else f"of {span} the fewest"
    return f"{fewest}{found or ' that'} {'reach' if sure else 'to reach'} {target}"


def _doubts(sweep: Sweep, target: Target) -> list[str]:
    """Why a plan that was not found may exist all the same."""
    doubts = []
    if STOPPED_BEFORE in sweep.failures.values():
        doubts.append("the comparison was stopped")
    elif not sweep.finished:
        doubts.append("the time or the measurements allowed were spent")
    if sweep.among:
        doubts.append(f"they were sought {sweep.among.partition(' (')[0]}")
    doubts = [f"Not every cut was looked at: {' and '.join(doubts)}."] if doubts else []
    known = [(one.segments, one.probability) for one in sweep.pipelines]
    known += [(one.segments, one.probability) for one in sweep.left_out]
    unsure = [(k, p) for k, p in known if p is not None and p < 1.0]
    if unsure:
        least = min(p for _, p in unsure)
        how = f"only proven with probability {100 * least:.1f} %" if least else "not proven"
        numbers = ", ".join(map(str, sorted({k for k, _ in unsure})))
        doubts.append(f"That no cut into {numbers} segments is faster is {how}.")
    if target.latency_ns is not None:
        fast = replace(target, latency_ns=None)
        if any(p.pipeline.segments > 1 and fast.met_by(p) for p in sweep.plans()):
            doubts.append(
                "Cuts were sought for throughput: there may be one by which an item alone takes "
                "less time."
            )
    return doubts


def _of_fewer(target: Target, fewer: Sequence[Plan]) -> str:
    """Whether less than was asked about would do."""
    meeting = [plan for plan in fewer if target.given and target.met_by(plan)]
    if not meeting:
        return ""
    plan = max(meeting, key=_fewest)
    return f"Fewer do, too: {describe(plan)} on {_tpus(plan.num_devices)}."


def _fewest(plan: Plan) -> tuple[int, float, int, int, int]:
    return -plan.num_devices, *fastest(plan)


def _comparison(sweep: Sweep, plan: Plan) -> str:
    """Cutting against copying, for as many devices as the plan has."""
    copied = sweep.copies_on(plan.devices)
    if copied is None:
        return "The uncut model does not compile, so there is nothing to copy."
    if plan.pipeline.segments > 1:
        factor = round(plan.throughput / copied.throughput, 2)
        more = "more" if factor < 1.0 else "as much"
        verb = "Cutting pays" if factor > 1.0 else f"Copying would give {more}"
        return (
            f"{verb}: {describe(copied)} would give {per_second(copied.throughput)} inferences/s, "
            f"so this plan is {factor:.2f} times as fast on the same TPUs."
        )
    gains: dict[int, tuple[float, Plan, Plan]] = {}
    for cut in sweep.plans():
        same = sweep.copies_on(cut.devices)
        if cut.pipeline.segments > 1 and same is not None:
            gain = cut.throughput / same.throughput
            if gain > gains.get(cut.num_devices, (0.0,))[0]:
                gains[cut.num_devices] = gain, cut, same
    paying = sorted(count for count, (gain, _, _) in gains.items() if round(gain, 2) > 1.0)
    early = [*sweep.hurried, *(n for n, why in sweep.failures.items() if why in NOT_REACHED)]
    most = min([sweep.rows[-1].num_devices, *(number - 1 for number in early)])
    count = paying[0] if paying else max(2, min(plan.num_devices, most))
    if count not in gains or gains[count][0] == 1.0:
        return ""
    verb = f"Do not cut this model for up to {_tpus(most)}" if most > 1 else "No cut found pays"
    _, cut, same = gains[count]
    return (
        f"{'Cutting pays' if paying else verb}: on {_tpus(count)}, {describe(same)} give "
        f"{per_second(same.throughput)} inferences/s, {describe(cut)} {per_second(cut.throughput)}."
    )


def _of_the_state(sweep: Sweep) -> str:
    """What copies of a model that remembers are good for."""
    if not sweep.stateful or sweep.rows[-1].num_devices == 1:
        return ""
    return (
        "The model remembers earlier items, each copy those that it was given: every stream needs "
        "one copy to itself, and no stream becomes faster by copying."
    )


def _of_the_cpu(plan: Plan) -> str:
    """What the host's CPU has to do with it."""
    operators = sorted({sum(one.cpu_operators) for one in plan.pipelines})
    if not operators[-1]:
        return ""
    what = f"{_span(list(map(str, operators)))} operator{'s' * (operators[-1] > 1)} of every item"
    times = sorted({one.host_cpu_ns for one in plan.pipelines if one.host_cpu_ns is not None})
    if any(one.host_cpu_ns is None for one in plan.pipelines):
        return (
            f"{what[0].upper()}{what[1:]} run on the host's CPU, which all TPUs share; how long "
            "they take there these devices do not tell, so more TPUs may help less than it says."
        )
    text = f"The host's CPU computes {what} for {_span([f'{ns / 1e6:.3f}' for ns in times])} ms"
    if plan.host_cores is None or not times[0]:
        return f"{text}."
    cores = "one core" if plan.host_cores == 1 else f"{plan.host_cores} cores"
    text += (
        f"; with {cores} for that (--host_cores) copies of this plan make "
        f"{per_second(plan.host_cores * 1e9 / times[0])} inferences/s at most, however many TPUs "
        "there are"
    )
    return f"{text}: the CPU is what limits this plan." if plan.limited_by_cpu else f"{text}."


def _span(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def _of_idle_tpus(plan: Plan) -> str:
    """TPUs that are only there because every segment gets one."""
    idle = sum(one.idle_tpus for one in plan.pipelines)
    if not idle:
        return ""
    have = "has" if idle == 1 else "have"
    return f"{idle} of its TPUs {have} nothing to do: what runs there runs on the host's CPU alone."


def _of_the_margin(target: Target, choices: list[Plan], met: bool) -> str:
    """Whether it is for the margin that nothing meets the target."""
    bare = Target(target.fps, target.latency_ns)
    meeting = [] if met or not target.margin else [p for p in choices if bare.met_by(p)]
    if not meeting:
        return ""
    plan = max(meeting, key=_fewest)
    return (
        f"Without the margin, {describe(plan)} would reach it by the figures measured here "
        "(--margin 0)."
    )


def _how_to_run(plan: Plan) -> str:
    """What to do with a plan of several pipelines, which no runner runs as a whole yet."""
    if len(plan.pipelines) == 1:
        return ""
    tpus = "a TPU" if plan.pipeline.segments == 1 else "TPUs"
    text = (
        f"PipelinedModelRunner runs one pipeline, not {len(plan.pipelines)} side by side: by hand, "
        f"make one for each on {tpus} of its own, "
    )
    if len(plan.copies_of_each) == 1:
        return f"{text}and give every item to the next in turn (throughput-experiment: copies)."
    rates = " : ".join(plain(float(f"{rate:.3g}")) for rate in plan.rates)
    sources = " and ".join(_written_by(one) for one, _ in plan.copies_of_each)
    return f"{text}and deal items to them as {rates}. The segments come from {sources}."


def _written_by(pipeline: PipelineCost) -> str:
    """Where the segments of another pipeline of a plan come from."""
    if pipeline.segments == 1:
        return "edgetpu_compiler"
    on = kinds_in_words(pipeline.devices)
    where = f" on a pool of {on}" if on else ""
    return f"--num_segments {pipeline.segments} --diff_threshold_ns 0{where}"
