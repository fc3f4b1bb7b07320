"""The examples that are shipped, run as they are on small models; and the command that copies them.

What they print is compared with LiteRT on the uncompiled model.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

import edgetpu_pipeline
from compiler import compile_graph, compile_segments, graph_from_bytes
from devices.attached import VARIABLE
from pycoral import examples_cli
from pycoral.edge_tpus import edge_tpus
from pycoral.learn.imprinting.base_model import imprinting_base
from tests.compiler.chain import shared_model
from tests.pycoral.learn.extractors import SIDE, compiled, extractor
from tests.tiny import Tiny
from zoo.builder import GraphBuilder
from zoo.layers import Target
from zoo.networks.detectors.detection import CLASSES_WITH_BACKGROUND, detections, predictor

Image = pytest.importorskip("PIL.Image", reason="the examples draw with Pillow")
FOLDER = Path(__file__).resolve().parents[2] / "edgetpu_examples"
EXAMPLES = sorted(path.name for path in FOLDER.glob("[!_]*.py"))
Run = Callable[..., list[str]]


@pytest.fixture(scope="module", autouse=True)
def two_devices() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "usb:2")
        yield
        edge_tpus().close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example; gives the lines it printed."""

    def run_example(name: str, *arguments: object) -> list[str]:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        program.main()
        return capsys.readouterr().out.splitlines()

    return run_example


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(pixels()).save(path)
    return path


def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def write(path: Path, model: bytes) -> Path:
    path.write_bytes(compile_graph(graph_from_bytes(model, path.stem)).data)
    return path


def litert(model: bytes) -> list[np.ndarray]:
    """The real values of the outputs for the picture."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    interpreter.set_tensor(source["index"], (pixels().astype(int) - 128).astype(np.int8)[None])
    interpreter.invoke()
    found = []
    for details in interpreter.get_output_details():
        scale, zero_point = details["quantization"]
        values = interpreter.get_tensor(details["index"])
        found.append(scale * (values.astype(float) - zero_point) if scale else values)
    return found


def classifier() -> bytes:
    graph = GraphBuilder("classifier")
    x = graph.conv(graph.input("image", (1, SIDE, SIDE, 3)), 8, 3, name="conv", stride=2)
    scores = graph.fully_connected(graph.mean(x, name="pooled"), 7, name="scores")
    graph.output(graph.softmax(scores, name="probabilities"))
    return graph.build()


def detector() -> bytes:
    graph = GraphBuilder("detector")
    x = graph.conv(graph.input("image", (1, SIDE, SIDE, 3)), 8, 3, name="features", stride=8)
    boxes = predictor(graph, x, "boxes", 2, 4, Target())
    classes = predictor(graph, x, "classes", 2, CLASSES_WITH_BACKGROUND, Target(mean=-3.0))
    anchors = np.random.default_rng(1).uniform(0.2, 0.8, (32, 4)).astype(np.float32)
    detections(graph, [boxes], [classes], anchors)
    return graph.build()


def best(scores: np.ndarray, count: int) -> list[str]:
    ranked = sorted(range(scores.size), key=lambda i: (-scores.flat[i], i))[:count]
    return [f"{i}: {scores.flat[i]:.5f}" for i in ranked]


def test_classify_image(run: Run, tmp_path: Path, picture: Path) -> None:
    model = write(tmp_path / "model.tflite", classifier())
    *times, first, second = run("classify_image", "-m", model, "-i", picture, "-k", 2, "-c", 3)
    assert [first, second] == best(litert(classifier())[0], 2)
    assert len(times) == 3
    assert all(re.fullmatch(r"\d+\.\d ms", line) for line in times)


def test_detect_image_and_camera_loop(run: Run, tmp_path: Path, picture: Path) -> None:
    boxes, ids, scores, _ = litert(detector())
    threshold = float(np.sort(scores[0])[-3] + np.sort(scores[0])[-4]) / 2
    model = write(tmp_path / "model.tflite", detector())
    drawn = tmp_path / "drawn.png"
    lines = run("detect_image", "-m", model, "-i", picture, "-t", threshold, "-o", drawn)
    expected = []
    for box, number, score in zip(boxes[0], ids[0], scores[0], strict=True):
        if score >= threshold:
            ymin, xmin, ymax, xmax = (int(SIDE * float(one)) for one in box)
            expected.append(f"{number:.0f}: {score:.3f} {(xmin, ymin, xmax, ymax)}")
    assert lines == expected
    assert len(lines) == 3
    assert np.array(Image.open(drawn)).shape == pixels().shape

    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(2):
        Image.fromarray(pixels()).save(frames / f"{number}.png")
    loop = run("camera_loop", "-m", model, "-f", frames, "-t", threshold, "-c", 3)
    said = ", ".join(
        f"{number:.0f} {score:.2f}"
        for number, score in zip(ids[0], scores[0], strict=True)
        if score >= threshold
    )
    assert [re.sub(r"[\d.]+ per", "some per", line) for line in loop] == [
        f"frame {number}, some per second: {said}" for number in range(3)
    ]


def test_semantic_segmentation(run: Run, tmp_path: Path, picture: Path) -> None:
    graph = GraphBuilder("segments")
    x = graph.conv(graph.input("image", (1, SIDE, SIDE, 3)), 8, 3, name="conv")
    graph.output(graph.conv(x, 4, 1, name="segments"))
    model = write(tmp_path / "model.tflite", graph.build())
    drawn = tmp_path / "drawn.png"
    lines = run("semantic_segmentation", "-m", model, "-i", picture, "-o", drawn)
    classes = litert(graph.build())[0][0].argmax(axis=-1)
    counts = np.bincount(classes.ravel())
    expected = [f"class {n}: {c / SIDE**2:.1%}" for n, c in enumerate(counts) if c]
    assert lines == expected
    assert len(lines) > 1
    both = np.array(Image.open(drawn))
    assert both.shape == (SIDE, 2 * SIDE, 3)
    assert np.array_equal(both[:, :SIDE], pixels())
    assert len(np.unique(both[:, SIDE:].reshape(-1, 3), axis=0)) == len(lines)


def test_pose_estimation(run: Run, tmp_path: Path, picture: Path) -> None:
    graph = GraphBuilder("pose")
    x = graph.conv(graph.input("image", (1, SIDE, SIDE, 3)), 8, 3, name="conv", stride=4)
    points = graph.fully_connected(graph.mean(x, name="pooled"), 51, name="points")
    shaped = graph.reshape(graph.logistic(points, name="places"), (1, 1, 17, 3), name="shaped")
    graph.output(graph.dequantize(shaped, name="pose"))
    model = write(tmp_path / "model.tflite", graph.build())
    lines = run("pose_estimation", "-m", model, "-i", picture, "-o", tmp_path / "drawn.png")
    rows = litert(graph.build())[0].reshape(17, 3)
    assert [line.split(": ")[1] for line in lines] == [
        f"{x * SIDE:.0f} {y * SIDE:.0f} {score:.3f}" for y, x, score in rows
    ]
    assert lines[0].startswith("nose: ")
    assert not np.array_equal(np.array(Image.open(tmp_path / "drawn.png")), pixels())


def test_two_models_inference(run: Run, tmp_path: Path, picture: Path) -> None:
    models = [write(tmp_path / f"{one.__name__}.tflite", one()) for one in (classifier, detector)]
    options = ("--classification_model", models[0], "--detection_model", models[1])
    one, two, found = run(
        "two_models_inference", *options, "--image", picture, "--num_inferences", 10
    )
    assert one.startswith("one Edge TPU: ")
    assert two.startswith("two Edge TPUs: ")
    number = int(litert(classifier())[0].argmax())
    count = int((litert(detector())[2] >= 0.4).sum())
    assert found.startswith(f"Class(id={number}, ")
    assert found.endswith(f" {count} objects")


def test_model_pipelining(run: Run, tmp_path: Path, picture: Path) -> None:
    parts = compile_segments(graph_from_bytes(classifier(), "model"), [1])
    for number, part in enumerate(parts):
        (tmp_path / f"model_segment_{number}_of_2_edgetpu.tflite").write_bytes(part.data)
    template = tmp_path / "model_segment_%d_of_2_edgetpu.tflite"
    average, *lines = run(
        "model_pipelining_classify_image", "-m", template, "-i", picture, "-c", 5, "-k", 2
    )
    assert average.endswith(" ms per inference")
    assert lines == best(litert(classifier())[0], 2)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy pictures of four colours, in a folder each."""
    folder, random = tmp_path_factory.mktemp("classes"), np.random.default_rng(1)
    for label, colour in enumerate(((220, 40, 40), (40, 220, 40), (40, 40, 220), (220, 220, 40))):
        (folder / str(label)).mkdir()
        for number in range(12):
            image = colour + random.normal(0, 20, (SIDE, SIDE, 3)) + random.normal(0, 20, 3)
            shown = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
            shown.save(folder / str(label) / f"{number:02}.png")
    return folder


def test_imprinting_learning(run: Run, tmp_path: Path, classes: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(extractor())
    base.write_bytes(compiled(imprinting_base(base), "l2norm"))
    taught = tmp_path / "taught.tflite"
    (line,) = run(
        "imprinting_learning", "--model_path", base, "--data", classes, "--output", taught
    )
    found = re.fullmatch(r"4 classes, (\d+) of 12 images recognised", line)
    assert found is not None
    assert int(found[1]) >= 11
    assert taught.with_suffix(".txt").read_text() == "0 0\n1 1\n2 2\n3 3\n"
    lines = run("classify_image", "-m", taught, "-i", next(classes.glob("0/*")), "-k", 0, "-c", 1)
    assert len(lines) == 1 + 4


def test_backprop_last_layer(run: Run, tmp_path: Path, classes: Path) -> None:
    base = tmp_path / "extractor.tflite"
    base.write_bytes(compiled(extractor()))
    options = ("--embedding_extractor_path", base, "--data_dir", classes)
    *trained, last = run("backprop_last_layer", *options, "--output_dir", tmp_path / "out")
    assert [line.split(":")[0] for line in trained] == [f"iteration {n}00" for n in range(1, 6)]
    found = re.fullmatch(r"(\d+) of 12 images recognised", last)
    assert found is not None
    assert int(found[1]) >= 11
    assert (tmp_path / "out" / "labels.txt").read_text() == "0 0\n1 1\n2 2\n3 3\n"


def loudest_band() -> bytes:
    """Of a spectrum of 96 x 64 the mean of each of the 64 bands."""
    tiny = Tiny()
    x, y = tiny.tensor("spectrum", (1, 96, 64), scale=0.1), tiny.tensor("bands", (1, 64), scale=0.1)
    int32 = schema.TensorType.INT32
    axis = tiny.tensor("axis", (1,), data=np.array([1], np.int32), type_=int32, scale=None)
    tiny.operator("MEAN", [x, axis], [y], schema.ReducerOptionsT(), version=2)
    return tiny.ends([x], [y]).build()


def record(path: Path, sound: np.ndarray, rate: int, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(sound * 32767, channels).astype("<i2").tobytes())
    return path


def tone(hertz: int, rate: int) -> np.ndarray:
    """Three seconds of it."""
    wave_of_it: np.ndarray = 0.5 * np.sin(2 * np.pi * hertz * np.arange(3 * rate) / rate)
    return wave_of_it


@pytest.mark.parametrize(("hertz", "rate", "channels"), [(440, 16_000, 1), (3000, 44_100, 2)])
def test_streaming_audio(run: Run, tmp_path: Path, hertz: int, rate: int, channels: int) -> None:
    """A tone is heard in the band in whose middle it lies nearest."""
    path = record(tmp_path / "tone.wav", tone(hertz, rate), rate, channels)
    model = write(tmp_path / "model.tflite", loudest_band())
    lines = run("streaming_audio", "-m", model, "-i", path)

    def mel(frequency: float) -> float:  # HTK's formula, in base 10
        return 2595 * np.log10(1 + frequency / 700)

    middles = np.linspace(mel(125), mel(7500), 66)[1:-1]
    band = int(np.abs(middles - mel(hertz)).argmin())
    # 96 frames of 10 ms at a time, 48 on each time: 0, 0.48, ... as long as 98 are left of 300.
    assert [line.split(" ")[0] for line in lines] == ["0.00", "0.48", "0.96", "1.44", "1.92"]
    for line in lines:
        assert abs(int(line.split("class ")[1].split(",")[0]) - band) <= 1


def test_yamnet_knows_a_sine_from_noise(run: Run, tmp_path: Path) -> None:
    """YAMNet's published classes: 494 silence, 495 sine wave, 507 noise, 509 static."""
    model = write(tmp_path / "model.tflite", shared_model("yamnet_spectra_in").read_bytes())
    noise = np.random.default_rng(1).normal(0, 0.1, 48_000)
    for sound, expected in ((tone(440, 16_000), {495}), (noise, {507, 509})):
        lines = run("streaming_audio", "-m", model, "-i", record(tmp_path / "a.wav", sound, 16_000))
        assert {int(line.split("class ")[1].split(",")[0]) for line in lines} <= expected
        assert len(lines) == 5


# -- what they are ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_and_uses_what_coral_documents(name: str) -> None:
    source = (FOLDER / name).read_text()
    assert len(source.splitlines()) < 60
    allowed = {"numpy", "PIL", "pycoral", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(source)):
        modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [str(node.module)]
        assert {module.split(".")[0] for module in modules} <= allowed


def test_they_are_listed_and_copied(tmp_path: Path, capsys: Any) -> None:
    assert examples_cli.main([]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == EXAMPLES
    assert len(EXAMPLES) == 10
    assert "classify_image.py" in listed[2]
    assert listed[2].endswith("Classify an image.")
    target = tmp_path / "copies"
    assert examples_cli.main(["--copy", str(target)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(target / name) for name in EXAMPLES]
    for name in EXAMPLES:
        assert (target / name).read_text() == (FOLDER / name).read_text()
    assert examples_cli.main(["--copy", str(target), "classify_image", "camera_loop.py"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_copying_replaces_nothing_that_was_changed(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "detect_image.py").write_text("mine")
    assert examples_cli.main(["--copy", str(tmp_path)]) == 2
    assert "differs from the example" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["detect_image.py"]
    assert examples_cli.main(["--copy", str(tmp_path / "detect_image.py" / "below")]) == 2
    assert "--copy" in capsys.readouterr().err
    assert examples_cli.main(["classify"]) == 2
    assert "there is no example 'classify.py'; there are backprop" in capsys.readouterr().err


def test_the_command_is_there(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["edgetpu-examples", "camera_loop"])
    assert edgetpu_pipeline.edgetpu_examples() == 0
    assert capsys.readouterr().out.startswith("camera_loop.py ")
