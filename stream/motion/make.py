"""Makes up motions of an accelerometer, from fixed seeds: training and test data for `bitspike train`, and
a recording for the tests of `stream`.

    python3 make.py FOLDER          # train.csv, test.csv, recording.bin, recording.txt

Four classes, one second each at 100 samples a second, in mg (1 mg a digit at +-2 g): 0 rest, 1 shake,
2 turn, 3 tap. No one wore a sensor for them. A sample is one time step of the network: each axis is
delta-encoded by 40 mg, channel 2 i where axis i rose, 2 i + 1 where it fell (docs/numerics.md).
"""

import math
import random
import struct
import sys
from pathlib import Path

STEPS = 100
DELTA = 40
CLASSES = ("rest", "shake", "turn", "tap")


def window(rng, motion):
    """Samples of a second: STEPS times three values in mg."""
    tilt, turn = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)
    noise = rng.uniform(2, 8)
    axis, phase = rng.randrange(3), rng.uniform(0, 2 * math.pi)
    frequency, strength = rng.uniform(2.5, 7), rng.uniform(250, 900)
    speed, about = rng.choice((-1, 1)) * rng.uniform(0.8, 2.2), rng.randrange(2)
    taps = sorted(rng.sample(range(8, 80), rng.randint(1, 2)))
    force = rng.choice((-1, 1)) * rng.uniform(700, 1800)
    for step in range(STEPS):
        a, b = tilt, turn
        if motion == "turn":
            # It starts and ends slowly.
            angle = speed * (1 - math.cos(math.pi * step / STEPS)) / 2
            a, b = (a + angle, b) if about == 0 else (a, b + angle)
        values = [
            1000 * math.sin(a) * math.cos(b),
            1000 * math.sin(b),
            1000 * math.cos(a) * math.cos(b),
        ]
        if motion == "shake":
            values[axis] += strength * math.sin(2 * math.pi * frequency * step / STEPS + phase)
        if motion == "tap":
            for tap in taps:
                if 0 <= step - tap < 12:
                    late = step - tap
                    values[axis] += force * math.exp(-late / 2.5) * math.cos(1.8 * late)
        yield [max(-2048, min(2047, round(v + rng.gauss(0, noise)))) for v in values]


def events(samples):
    """Step and channel of every spike of the delta encoder."""
    references = None
    for step, values in enumerate(samples):
        references = references or list(values)
        for axis, value in enumerate(values):
            if value - references[axis] >= DELTA:
                references[axis] += DELTA
                yield step, 2 * axis
            elif references[axis] - value >= DELTA:
                references[axis] -= DELTA
                yield step, 2 * axis + 1


def data_set(path, seed, count):
    rng = random.Random(seed)
    with open(path, "w") as out:
        print("sample,class,time_us,x", file=out)
        for sample in range(count):
            label = rng.randrange(len(CLASSES))
            spikes = list(events(window(rng, CLASSES[label])))
            for step, channel in spikes:
                print(sample, label, 10_000 * step + 5_000, channel, sep=",", file=out)
            if not spikes:
                print(sample, label, "", "", sep=",", file=out)


def recording(folder, seed, count):
    """Windows as the sensor's registers hold them: three little-endian words of 16 bits a sample, 12
    bits at their left, and the motions of the windows beside them."""
    rng = random.Random(seed)
    labels = [rng.randrange(len(CLASSES)) for _ in range(count)]
    with open(folder / "recording.bin", "wb") as out:
        for label in labels:
            for values in window(rng, CLASSES[label]):
                out.write(struct.pack("<3h", *(16 * v for v in values)))
    text = " ".join(CLASSES[label] for label in labels)
    (folder / "recording.txt").write_text(text + "\n")


def main():
    folder = Path(sys.argv[1])
    data_set(folder / "train.csv", 1, 4000)
    data_set(folder / "test.csv", 2, 1000)
    recording(folder, 3, 12)


main()
