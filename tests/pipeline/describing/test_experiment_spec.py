"""The YAML of an experiment: what is understood, and what a mistake is answered with."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from devices.chip import SharedLink
from devices.errors import ConfigError
from pipeline.describing import ExperimentSpec, read_experiment, shelved


def read(tmp_path: Path, text: str, *settings: str) -> ExperimentSpec:
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    return read_experiment(path, settings)


def test_defaults_follow_the_models_and_segments(tmp_path: Path) -> None:
    spec = read(tmp_path, "models: zoo:mobilenet_v2_1.0_224\nsegments: [1, 3]\n")
    assert spec.name == "experiment"
    assert spec.models == ("zoo:mobilenet_v2_1.0_224",)
    assert [point.experiment.segments for point in spec.points] == [1, 3]
    assert [len(point.pool.devices) for point in spec.points] == [1, 3]
    assert {point.experiment.queue_size for point in spec.points} == {2}
    assert {point.experiment.arrivals.kind for point in spec.points} == {"saturated"}


def test_every_field_is_read(tmp_path: Path) -> None:
    spec = read(
        tmp_path,
        "name: n\nmodels: [a.tflite, b.tflite]\nsegments: 2\npartition: profiled\n"
        "queue_size: [1, 4]\ninput_queue_size: 3\noutput_queue_size: 5\ninferences: 7\n"
        "warmup: 0\nseed: 9\nspares: 1\non_error: stop\nitem_deadline_s: 2\nmax_replays: 5\n"
        "goals: p99 <= 33 ms\narrivals: {kind: closed, in_flight: 4}\n"
        "pool: {devices: 3, link: pcie, clock: realtime, compute: exact}\n",
    )
    assert spec.name == "n"
    assert [(p.experiment.models, p.experiment.queue_size) for p in spec.points] == [
        ("a.tflite", 1),
        ("a.tflite", 4),
        ("b.tflite", 1),
        ("b.tflite", 4),
    ]
    one = spec.points[0].experiment
    assert (one.partition, one.input_queue_size, one.output_queue_size) == ("profiled", 3, 5)
    assert (one.inferences, one.warmup, one.seed, one.spares) == (7, 0, 9, 1)
    assert (one.on_error, one.item_deadline_s, one.max_replays) == ("stop", 2.0, 5)
    assert one.goals == ("p99 <= 33 ms",)
    assert one.arrivals.model_dump() == {"kind": "closed", "in_flight": 4}
    assert [(d.link, d.clock, d.compute) for d in spec.points[0].pool.devices] == [
        ("pcie", "realtime", "exact")
    ] * 3


def test_what_devices_share_is_swept_like_anything_else(tmp_path: Path) -> None:
    spec = read(
        tmp_path,
        "models: a\nsegments: 2\npool:\n  links: {hub: {bytes_per_ns: [0.1, 0.4]}}\n"
        "  host_ns_per_stage: 1000\n  devices:\n    - {count: 2, shared_link: [null, hub]}\n",
        "pool.host_ns_per_stage=[0, 245000]",
    )
    shared = {
        (device.shared_link, device.host_ns_per_stage)
        for point in spec.points
        for device in point.pool.devices
    }
    links = (None, SharedLink("hub", 0.1), SharedLink("hub", 0.4))
    assert shared == {(link, cost) for link in links for cost in (0, 245_000)}


MISTAKES = [
    ("models: [a]\nsegmens: [1]\n", "2:1", ["segmens", "did you mean 'segments'?"]),
    ("segments: [1]\n", "1:1", ["models", "missing"]),
    ("models: [a]\nsegments: [0]\n", "2:12", ["segments", "0", "1 or more"]),
    ("models: [a]\nsegments: two\n", "2:11", ["segments", "'two'", "whole number"]),
    ("models: [a]\nsegments: []\n", "2:11", ["segments", "empty"]),
    ("models: [a]\nsegments: [1, true]\n", "2:15", ["segments", "true"]),
    ("models: [a]\nsegments: 8-1\n", "2:11", ["8-1", "smaller number first"]),
    ("models: [a]\nsegments: 0-4\n", "2:11", ["segments", "0", "1 or more"]),
    ("models: [3]\n", "1:10", ["models", "3", "text"]),
    ("models: [a]\npartition: best\n", "2:12", ["partition", "best", "profiled"]),
    ("models: a\npartition: bisektion\n", "2:12", ["did you mean 'bisection'?"]),
    ("models: [a]\ninferences: 1\n", "2:13", ["inferences", "1", "2 or more"]),
    ("models: [a]\ninput_queue_size: 0\n", "2:19", ["input_queue_size", "0"]),
    ("models: [a]\nmodels: [b]\n", "2:1", ["'models'", "second time", "line 1"]),
    ("models: a\npool: {link: usb,\n link: pcie}\n", "3:2", ["'link'", "second time"]),
    ("models: [a]\npool: {device: 3}\n", "2:8", ["pool", "device", "devices"]),
    ("models: [a]\npool: {clock: fast}\n", "2:15", ["pool.clock", "fast", "realtime"]),
    ("models: [a]\npool: 4\n", "2:7", ["pool", "4", "mapping"]),
    ("models: a\npool: {host: pi4}\n", "2:14", ["pool.host", "did you mean 'pi4-usb3'?"]),
    ("models: a\npool:\n  devices:\n    - {}\n    - {cont: 3}\n", "5:8", ["devices[1]", "count"]),
    ("models: a\npool: {devices: no}\n", "2:17", ["pool.devices", "false", "list of groups"]),
    ("models: a\npool: {latency_scale: 0}\n", "2:23", ["pool.latency_scale", "0"]),
    ("models: a\npool: {clock_mhz: 400}\n", "2:19", ["400", "63, 125, 250, 500"]),
    ("models: a\npool: {link: pcie, host: pi4-usb3}\n", "2:14", ["link", "pcie", "pi4-usb3"]),
    ("models: a\npool: {host_constants: {overhed_ns: 3}}\n", "2:25", ["overhed_ns", "overhead_ns"]),
    ("models: a\npool: {shared_link: hub}\n", "2:21", ["shared_link", "'hub'", "has no links"]),
    ("models: a\npool: {links: {hub: {}}}\n", "2:21", ["links.hub.bytes_per_ns", "missing"]),
    ("models: a\npool: {links: hub}\n", "2:15", ["pool.links", "'hub'", "names to links"]),
    (
        "models: a\npool: {links: {hub: {bytes_per_ns: 1, speed: 2}}}\n",
        "2:39",
        ["pool.links.hub", "'speed'", "bytes_per_ns"],
    ),
    ("models: a\npool: {links: {hub: {bytes_per_ns: 0}}}\n", "2:36", ["0", "1e-06 or more"]),
    (
        "models: a\npool: {host_ns_per_stage: 1, heat: {}}\n",
        "2:36",
        ["heat of a device and host_ns_per_stage", "one pool"],
    ),
    ("models: a\npool: {host_ns_per_stage: -1}\n", "2:27", ["host_ns_per_stage", "0 or more"]),
    ("models: a\npool: {clock: realtime, host_ns_per_stage: 1}\n", "2:44", ["virtual clock"]),
    ("models: a\npool: {faults: [{kind: die}]}\n", "2:17", ["faults[0].at", "missing"]),
    ("models: a\npool: {faults: [{kind: dye, at: 3}]}\n", "2:24", ["did you mean 'die'?"]),
    ("models: a\npool: {heat: {ambient: 40}}\n", "2:15", ["'ambient'", "mean 'ambient_c'?"]),
    ("models: a\npool: {heat: {ambient_c: 400}}\n", "2:26", ["pool.heat.ambient_c", "150 or less"]),
    ("models: a\npool: {heat: {trip_c: [9, 8]}}\n", "2:23", ["trip_c", "(9.0, 8.0)", "rising"]),
    (
        "models: a\npool: {heat: {trip_c: [1, 2, 3, 4]}}\n",
        "2:23",
        ["trip_c", "have 3 values at most"],
    ),
    ("models: a\npool: {power: {idle_w: 3}}\n", "2:15", ["power gives 2 W active and 3 W"]),
    ("models: a\npool: {clock_changes: [{at_s: 1}]}\n", "2:24", ["clock_mhz", "missing"]),
    ("models: a\npool: {clock_changes: [{at_s: 1, clock_mhz: 9}]}\n", "2:45", ["9", "63, 125"]),
    ("models: a\npool: {unit_sigma: 1}\n", "2:20", ["unit_sigma", "0.5 or less"]),
    ("models: a\nsegments: 1-8\npool: {devices: 4}\n", "3:17", ["4", "8 segments", "exclude"]),
    (
        "models: a\npool: {devices: [{clock: virtual}, {clock: realtime}]}\n",
        "2:7",
        ["realtime and virtual", "one clock"],
    ),
    ("models: a\narrivals: {kind: posson, per_s: 3}\n", "2:18", ["did you mean 'poisson'?"]),
    ("models: a\narrivals: {kind: poisson}\n", "2:11", ["arrivals.per_s", "missing"]),
    ("models: a\narrivals: {per_s: 3}\n", "2:11", ["arrivals", "kind", "poisson"]),
    ("models: a\narrivals: {kind: rate, per_s: -3}\n", "2:31", ["per_s", "-3", "above 0"]),
    ("models: a\narrivals: {kind: rate, per_s: 3, size: 3}\n", "2:34", ["size", "per_s"]),
    ("models: a\narrivals: {kind: trace, file: no.txt}\n", "2:31", ["no.txt", "No such file"]),
    ("models: a\nduration_s: 10\n", "2:13", ["duration_s", "saturated", "rate"]),
    ("models: a\ngoals: p99 <= 33\n", "2:8", ["goals", "p99 <= 33", "ms"]),
    ("models: a\ngoals: [p98 <= 33 ms]\n", "2:9", ["p98", "p99"]),
    ("models: a\nexclude: [{segmens: 3}]\n", "2:12", ["exclude", "segmens", "segments"]),
    ("models: a\nsegments: 1-4\nexclude: {segments: 1-4}\n", "3:10", ["no point"]),
    ("models: a\nqueue_size: [[1, 2], 3]\n", "2:14", ["queue_size", "alone"]),
    ("models: a\nsegments: 1-900\ncopies: 1-900\n", "1:1", ["810000", "20000"]),
    ("models: nets/*.tflite\n", "1:9", ["nets/*.tflite", "no file"]),
    (
        "models: a\nsegments: 2\npartition: bisection\npool: {devices: [{}, {link: pcie}]}\n",
        "3:12",
        ["bisection", "optimal"],
    ),
    ("models: a\n3: 4\n", "2:1", ["3", "text"]),
    ("- a\n", "1:1", ["mapping"]),
    ("", "1:1", ["nothing", "mapping"]),
    ("models: [a\n", "2:1", ["YAML"]),
    ("models: a\npool:\n\thost: cm4\n", "3:1", ["use spaces where the tab is"]),
    ("models: a\nname: b\x07\n", "2:8", ["special characters"]),
    ("modells: a\n", "1:1", ["unknown field 'modells'; did you mean 'models'?"]),
    ("models: a\nhost: cm4\n", "2:1", ["'host', which is a field of pool"]),
    ("models: a\npool: {noise: 0.1}\n", "2:8", ["did you mean 'noise_sigma' or 'noise_seed'"]),
    ("models: a\npool: {noise_sigma: 5%}\n", "2:21", ["a number without a unit"]),
    ("models: a\nsegments: 1:4\n", "2:11", ["'1:4'", "a range such as 1-8"]),
    ("models: a\nsegments: 010\n", "2:11", ["'010'", "no 0 in front"]),
    ("models: a\nsegments: 1, 2\n", "2:11", ["a list such as [1, 2, 4]"]),
    ("models: a\nsegments: 5000\n", "2:11", ["5000 devices", "1024 at most"]),
    ("models: a\nwarmup: 99999999\n", "2:9", ["1,000,000 or less"]),
    ("models: a\nname: [b, c]\n", "2:7", ["must be text"]),
    ("models: a\nname: ../b\n", "2:7", ["'../b'", "no '/'"]),
    ("models: ''\n", "1:9", ["must be text"]),
    ("models: a\narrivals: poisson\n", "2:11", ["write {kind: poisson, per_s: 30}"]),
    ("models: a\narrivals: 30\n", "2:11", ["a mapping such as {kind: rate, per_s: 30}"]),
    ("models: a\narrivals: 30/s\n", "2:11", ["'30/s'", "{kind: rate, per_s: 30}"]),
    ("models: a\narrivals: {kind: rate, per_s: 1e-9}\n", "2:11", ["1.99e+11 s", "faster"]),
    ("models: a\narrivals: {kind: trace, file: /dev/zero}\n", "2:31", ["no regular file"]),
    ("models: a\ngoals: {p99: 33 ms}\n", "2:8", ["a list of texts"]),
    ("models: a\nwarmup: 0\ngoals: latency <= 1 ms\n", "3:8", ["warmup is 0"]),
    ("models: a\npool: pi4:2\n", "2:7", ["did you mean 'pi4-usb3'?"]),
    ("models: a\npool: {devices: [usb]}\n", "2:18", ["a list of groups such as"]),
    ("models: a\npool: {faults: [{kind: die, at: 999}]}\n", "2:33", ["220", "never happen"]),
    ("models: a\nexclude: [{pool: {hots: cm4}}]\n", "2:19", ["did you mean 'host'?"]),
    ("models: a\nexclude: [{pool.hots: cm4}]\n", "2:23", ["did you mean 'host'?"]),
    ("models: a\nexclude: {partition: optimall}\n", "2:22", ["did you mean 'optimal'?"]),
]


@pytest.mark.parametrize(("text", "place", "words"), MISTAKES)
def test_a_mistake_gives_one_sentence_with_its_place(
    tmp_path: Path, text: str, place: str, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/experiment.yaml:{place}: ")
    assert "\n" not in message
    assert message.endswith((".", "?"))
    for word in words:
        assert word in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "models: 3\nsegments: 0\npool: {link: usbb}\n")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "2", "3"]


def test_fields_are_set_from_outside(tmp_path: Path) -> None:
    text = "models: a\npool: {devices: [{link: usb}, {link: usb}]}\n"
    spec = read(tmp_path, text, "pool.devices.1.link=pcie", "segments=1-2", "arrivals.kind=closed",
                "arrivals.in_flight=3")  # fmt: skip
    assert [point.experiment.segments for point in spec.points] == [1, 2]
    assert [device.link for device in spec.points[0].pool.devices] == ["usb", "pcie"]
    assert spec.source["pool"]["devices"][1]["link"] == "pcie"
    with pytest.raises(ConfigError, match=r"--set pool\.lnk=pcie: .*did you mean 'link'"):
        read(tmp_path, text, "pool.lnk=pcie")
    with pytest.raises(ConfigError, match="must be FIELD=VALUE"):
        read(tmp_path, text, "segments")
    with pytest.raises(ConfigError, match="there is no"):
        read(tmp_path, text, "models.x=1")


def test_what_devices_go_through_is_swept(tmp_path: Path) -> None:
    text = "models: a\npool: {heat: [null, {ambient_c: [25, 40], trip_c: [[60, 70], [80]]}]}\n"
    heats = [point.pool.devices[0].heat for point in read(tmp_path, text).points]
    assert [(h and (h.ambient_c, h.trip_c)) for h in heats] == [
        None,
        (25.0, (60.0, 70.0)),
        (25.0, (80.0,)),
        (40.0, (60.0, 70.0)),
        (40.0, (80.0,)),
    ]


def test_equal_descriptions_have_equal_keys_and_others_do_not(tmp_path: Path) -> None:
    short = read(tmp_path, "models: a\n").points[0].key
    assert read(tmp_path, "name: other\nqueue_size: 2\nmodels: a\n").points[0].key == short
    texts = ["", "seed: 1\n", "pool: {link: pcie}\n", "arrivals: {kind: rate, per_s: 3}\n"]
    keys = [read(tmp_path, f"models: a\n{text}").points[0].key for text in texts]
    assert all(a != b for a, b in pairwise(sorted(keys)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        read_experiment(tmp_path / "nowhere.yaml")


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_experiment(path)


@pytest.mark.parametrize("path", shelved().values(), ids=lambda path: path.stem)
def test_the_experiments_that_come_along_are_valid(path: Path) -> None:
    assert read_experiment(path).models
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(("?", "."))


def test_a_pool_in_a_word_is_the_pool_that_it_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("models: a\nsegments: 3\npool: pi4-usb3@250:2,pcie\n")
    (word,) = read_experiment(path).points
    path.write_text(
        "models: a\nsegments: 3\n"
        "pool: {devices: [{host: pi4-usb3, clock_mhz: 250, count: 2}, {link: pcie}]}\n"
    )
    (mapping,) = read_experiment(path).points
    assert word.pool == mapping.pool
    path.write_text("models: a\npool: pi5:2\n")
    with pytest.raises(ConfigError, match=r"e\.yaml:2:7: pool is 'pi5:2' and must be a mapping"):
        read_experiment(path)


SIDE_BY_SIDE = """
together:
  - {models: a, segments: 1-3}
  - {models: b, segments: 1-3, queue_size: 5}
pool: {devices: [{count: 3, host: usb3-x86}, {host: pcie-x86}]}
"""


def test_pipelines_side_by_side_share_a_pool_and_no_device(tmp_path: Path) -> None:
    spec = read(tmp_path, SIDE_BY_SIDE)
    shares = [point.varied["TPUs of each"] for point in spec.points]
    assert list(dict.fromkeys(shares)) == ["1 + 1", "1 + 2", "1 + 3", "2 + 1", "2 + 2", "3 + 1"]
    assert len(spec.points) == 12
    assert len({point.key for point in spec.points}) == 12
    for a, b in zip(spec.points[::2], spec.points[1::2], strict=True):
        assert (a.experiment.models, b.experiment.models) == ("a", "b")
        assert (a.experiment.queue_size, b.experiment.queue_size) == (2, 5)
        assert (a.first_device, b.first_device) == (0, a.experiment.segments)
        hosts = [device.host for device in (*a.pool.devices, *b.pool.devices)]
        assert hosts == ["usb3-x86", "usb3-x86", "usb3-x86", "pcie-x86"][: len(hosts)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("together: {models: a}\n", "e.yaml:1:11: together must be a list of mappings"),
        ("together: [{models: a, pool: usb}]\n", "e.yaml:1:24: pool stands in together"),
        ("together: [{models: a, segments: two}]\n", "e.yaml:1:34: segments is 'two' and must"),
        ("together: [{segments: 2}]\n", "e.yaml:1:12: models is missing"),
        ("together: []\n", "e.yaml:1:11: together must be a list of mappings"),
        (
            "together: [{models: a, segments: 2-3}]\npool: usb\n",
            "e.yaml:1:11: together needs more devices than the pool has",
        ),
        (
            "together: [{models: a, segments: 2}, {models: b, segments: 3}]\npool: usb:4\n",
            "e.yaml:1:11: together needs 2 + 3 devices, and the pool has 4",
        ),
        (
            "together: [{models: a}, {models: b}]\npool: {host_ns_per_stage: 9}\n",
            "e.yaml:1:11: pipelines of together share the host (host_ns_per_stage), by which",
        ),
        (
            "together: [{models: a}, {models: b}]\npool: {shared_link: x, "
            "links: {x: {bytes_per_ns: 1}}}\n",
            "e.yaml:1:11: pipelines of together share the link 'x', by which they disturb",
        ),
        ("together: [{models: a}]\npool: {clock: realtime}\n", "e.yaml:2:15: clock is 'realtime'"),
    ],
)
def test_mistakes_of_pipelines_side_by_side(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_experiment(tmp_path / "e.yaml")
    assert told in str(caught.value)


def test_a_fault_without_an_end_has_none(tmp_path: Path) -> None:
    """``count: null`` is all inferences from there on, and not the default, a single one."""
    fault = "faults: [{kind: slow, at: 3, count: null}, {kind: slow, at: 3}]"
    for pool in (f"{{{fault}}}", f"{{devices: [{{{fault}}}]}}"):
        (point,) = read(tmp_path, f"models: a\npool: {pool}\n").points
        assert [one.count for one in point.pool.devices[0].faults] == [None, 1]
