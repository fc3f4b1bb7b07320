"""Tell what is heard, about twice a second, with YAMNet on the spectrum of a WAV file.

Google publishes yamnet_spectra_in.tflite (coralmicro); compile it with edgetpu_compiler.

    python streaming_audio.py --model yamnet_spectra_in_edgetpu.tflite --input street.wav
"""

import argparse
import wave

import numpy as np

from pycoral.adapters import classify, common
from pycoral.utils.edgetpu import make_interpreter

RATE, WINDOW, HOP, FFT = 16_000, 400, 160, 512  # 25 ms every 10 ms


def mel(hertz):
    return 1127 * np.log(1 + np.asarray(hertz) / 700)


def filters(bands):
    """How much of each frequency belongs to each band, of 125 to 7500 Hz."""
    edges = np.linspace(*mel([125, 7500]), bands + 2)
    at = mel(np.linspace(0, RATE / 2, FFT // 2 + 1))[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True, help="compiled .tflite")
    parser.add_argument("-i", "--input", required=True, help="WAV file of 16 bits")
    args = parser.parse_args()
    interpreter = make_interpreter(args.model)
    interpreter.allocate_tensors()
    _, frames, bands = common.input_details(interpreter, "shape")[:3]
    weights, window = filters(bands), np.hanning(WINDOW)
    with wave.open(args.input) as file:
        step = file.getframerate() * HOP // RATE  # samples every 10 ms
        heard, number = [], 0
        while len(chunk := file.readframes(step)) == step * 2 * file.getnchannels():
            samples = np.frombuffer(chunk, "<i2")[:: file.getnchannels()] / 32768
            heard.append(np.interp(np.linspace(0, step, HOP), np.arange(step), samples))
            if len(heard) == frames + 2:  # a window reaches into the two steps behind
                sound = np.concatenate(heard)
                cut = np.stack([sound[i * HOP : i * HOP + WINDOW] for i in range(frames)])
                spectrum = np.abs(np.fft.rfft(cut * window, FFT))
                common.set_input(interpreter, np.log(spectrum @ weights + 0.001))
                interpreter.invoke()
                best = classify.get_classes(interpreter, 1)[0]
                print(f"{number * HOP / RATE:.2f} s: class {best.id}, {best.score:.2f}")
                heard, number = heard[frames // 2 :], number + frames // 2


if __name__ == "__main__":
    main()
