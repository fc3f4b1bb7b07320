"""Routes against the definition: every reader gets every tensor from its maker, once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.device import TensorSpec
from devices.errors import ConfigError, ModelError
from pipeline.stages.routes import SOURCE, StageTensors, plan_routes


def tensor(name: str, dtype: str = "int8", shape: tuple[int, ...] = (1, 4)) -> TensorSpec:
    return TensorSpec(name, dtype, shape)


def stage(inputs: str, outputs: str) -> StageTensors:
    """``stage("a b", "c")`` reads a and b and makes c."""
    return StageTensors(
        tuple(tensor(name) for name in inputs.split()),
        tuple(tensor(name) for name in outputs.split()),
    )


def carried(plan):  # type: ignore[no-untyped-def]
    return {(c.maker, c.reader): [t.name for t in c.tensors] for c in plan.channels}


def test_a_chain_has_one_channel_between_neighbours() -> None:
    plan = plan_routes([stage("x", "a"), stage("a", "b"), stage("b", "y")], queue_size=2)
    assert carried(plan) == {(SOURCE, 0): ["x"], (0, 1): ["a"], (1, 2): ["b"], (2, 3): ["y"]}
    assert {c.slots for c in plan.channels} == {3}
    assert [t.name for t in plan.inputs] == ["x"]
    assert [t.name for t in plan.outputs] == ["y"]


def test_skip_tensors_late_inputs_and_early_outputs_go_straight() -> None:
    plan = plan_routes(
        [stage("x", "a early"), stage("a", "b"), stage("b a late", "y")], queue_size=1
    )
    assert carried(plan) == {
        (SOURCE, 0): ["x"],
        (SOURCE, 2): ["late"],
        (0, 1): ["a"],
        (0, 2): ["a"],
        (0, 3): ["early"],
        (1, 2): ["b"],
        (2, 3): ["y"],
    }
    slots = {(c.maker, c.reader): c.slots for c in plan.channels}
    assert slots[0, 1] == 2
    assert slots[0, 2] == 4
    assert slots[0, 3] == 6
    assert slots[SOURCE, 2] == 6
    assert [t.name for t in plan.inputs] == ["x", "late"]
    assert [t.name for t in plan.outputs] == ["y", "early"]


def test_an_output_that_is_also_read_must_be_named() -> None:
    stages = [stage("x", "a"), stage("a", "y")]
    assert [t.name for t in plan_routes(stages).outputs] == ["y"]
    plan = plan_routes(stages, outputs=["a", "y"])
    assert [t.name for t in plan.outputs] == ["a", "y"]
    assert carried(plan)[0, 2] == ["a"]


def test_unlisted_outputs_do_not_travel() -> None:
    plan = plan_routes([stage("x", "a unused"), stage("a", "y")], outputs=["y"])
    assert carried(plan) == {(SOURCE, 0): ["x"], (0, 1): ["a"], (1, 2): ["y"]}


def test_a_graph_input_handed_on_is_an_output_but_not_made_twice() -> None:
    plan = plan_routes([stage("x", "a x"), stage("a x", "y x")])
    assert carried(plan)[SOURCE, 1] == ["x"]
    assert {t.name for t in plan.outputs} == {"x", "y"}


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ([StageTensors((), (tensor("y"),))], "Segment 0 has no input tensors"),
        ([stage("a", "y"), stage("x", "a")], "Segment 0 reads tensor 'a', which only segment 1"),
        ([stage("x", "a"), stage("a", "a2"), stage("x", "a")], "made by segment 0 and again by"),
        ([stage("x x", "y")], "Segment 0 lists input 'x' twice"),
        ([stage("x", "y y")], "Segment 0 lists output 'y' twice"),
    ],
)
def test_executables_that_do_not_fit_are_refused(stages: list[StageTensors], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        plan_routes(stages)


@pytest.mark.parametrize("other", [tensor("a", "uint8"), tensor("a", shape=(4,))])
def test_maker_and_reader_must_agree(other: TensorSpec) -> None:
    with pytest.raises(ModelError, match=r"'a' is .* in segment 1, but segment 0 makes it as"):
        plan_routes([stage("x", "a"), StageTensors((other,), (tensor("y"),))])


def test_readers_of_a_graph_input_must_agree() -> None:
    second = StageTensors((tensor("a"), tensor("x", "float32")), (tensor("y"),))
    with pytest.raises(ModelError, match=r"float32\[1, 4\] in segment 1, but segment 0 reads it"):
        plan_routes([stage("x", "a"), second])


@pytest.mark.parametrize("queue_size", [0, -1, True, 1.5, None])
def test_queue_size_must_be_a_positive_integer(queue_size: object) -> None:
    with pytest.raises(ConfigError, match="queue_size"):
        plan_routes([stage("x", "y")], queue_size=queue_size)  # type: ignore[arg-type]


def test_options_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one executable"):
        plan_routes([])
    with pytest.raises(ConfigError, match="names 'z', which no segment makes; possible are y"):
        plan_routes([stage("x", "y")], outputs=["z"])
    with pytest.raises(ConfigError, match="name each tensor once"):
        plan_routes([stage("x", "y")], outputs=["y", "y"])
    with pytest.raises(ConfigError, match="Nothing that segment 1 makes"):
        plan_routes([stage("x", "a"), stage("a", "y")], outputs=["a"])


@st.composite
def pipelines(draw: st.DrawFn) -> list[StageTensors]:
    """Random stages: each makes one to three tensors and reads any that exist, or new inputs."""
    count = draw(st.integers(1, 6))
    made: list[str] = []
    graph_inputs = ["in0", "in1"]
    stages = []
    for index in range(count):
        outputs = [f"t{index}_{k}" for k in range(draw(st.integers(1, 3)))]
        pool = made + graph_inputs if index else graph_inputs
        reads = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique=True))
        stages.append(stage(" ".join(reads), " ".join(outputs)))
        made += outputs
    return stages


@given(pipelines(), st.integers(1, 4))
def test_every_reader_gets_every_tensor_from_its_maker(
    stages: list[StageTensors], queue_size: int
) -> None:
    plan = plan_routes(stages, queue_size=queue_size)
    makers = {t.name: i for i, s in enumerate(stages) for t in s.outputs}
    assert len({(c.maker, c.reader) for c in plan.channels}) == len(plan.channels)
    for index, one in enumerate(stages):
        arriving = [(t.name, c.maker) for c in plan.into(index) for t in c.tensors]
        assert sorted(arriving) == sorted((t.name, makers.get(t.name, SOURCE)) for t in one.inputs)
    read = {t.name for s in stages for t in s.inputs}
    final = {t.name for s in stages for t in s.outputs if t.name not in read or s is stages[-1]}
    assert {t.name for t in plan.outputs} == final
    assert sorted(t.name for c in plan.into(len(stages)) for t in c.tensors) == sorted(final)
    assert all(c.slots == (c.reader - c.maker) * (queue_size + 1) for c in plan.channels)
