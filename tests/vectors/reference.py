"""An interpreter of .bsnn files, written from docs/numerics.md and docs/model-format.md alone.

    python3 tests/vectors/reference.py MODEL VALUE...     (VALUE: the flat input, bytes or bits)
    python3 tests/vectors/reference.py MODEL --ramp       (input i is 7 i mod 256)

Prints the spikes and membranes of every layer after every step, then scores and decision. It
shares no code with the project; core/tests/format.rs holds the numbers it printed.
"""
import struct
import sys
import zlib


class Postcard:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def pair(self):
        return [self.varint(), self.varint()]

    def option(self, read):
        return read() if self.byte() else None

    def f32(self):
        self.at += 4
        return struct.unpack("<f", self.data[self.at - 4 : self.at])[0]


def parse(data):
    words = struct.unpack("<%dI" % (len(data) // 4), data)
    assert data[:4] == b"BSNN" and words[1] == 1 and words[2] == len(data)
    assert zlib.crc32(data[:12] + data[16:]) == words[3]
    card = Postcard(data[52 : 52 + words[4]])
    net = {"input": card.varint(), "shape": [card.varint() for _ in range(3)]}
    net["steps"], net["readout"] = card.varint(), card.varint()
    net["groups"] = card.varint() if net["readout"] == 3 else 0
    net["scale"] = card.f32()
    layers = []
    for _ in range(card.varint()):
        layer = {"input_pool": card.option(lambda: [card.varint(), card.pair(), card.pair()])}
        if card.varint() == 0:
            layer["linear"] = card.varint()
        else:
            layer["conv"] = [card.varint(), card.pair(), card.pair(), card.pair()]
        layer["pool"] = card.option(lambda: [card.pair(), card.pair()])
        layer["input_major"] = card.varint()
        layer["wide"] = card.varint()
        layer["f"] = struct.unpack("b", bytes([card.byte()]))[0]
        layer["beta"], layer["reset"] = card.varint(), card.varint()
        layer["thresholds"], layer["biases"] = card.varint(), card.option(card.varint)
        layers.append(layer)
    assert card.at == words[4]
    at = 13 + (words[4] + 3) // 4 + (words[5] + 3) // 4
    for layer, (shape, taps) in zip(layers, shapes(net, layers)):
        layer["shape"], layer["taps"] = shape, taps
        outputs = shape[2]
        rows, bits = (taps, outputs) if layer["input_major"] else (outputs, taps)
        row_words = (bits + 31) // 32
        bit = lambda row, i: words[at + row * row_words + i // 32] >> (i % 32) & 1
        layer["weights"] = [
            [2 * (bit(tap, j) if layer["input_major"] else bit(j, tap)) - 1 for tap in range(taps)]
            for j in range(outputs)
        ]
        at += rows * row_words
        count = lambda spread: [1, outputs, shape[0] * shape[1] * outputs][spread]
        for name in ["thresholds", "biases"]:
            spread = layer[name]
            n = 0 if spread is None else count(spread)
            size = n if layer["wide"] else (n + 1) // 2
            raw = data[4 * at : 4 * (at + size)]
            values = struct.unpack("<%d%s" % (n, "i" if layer["wide"] else "h"),
                                   raw[: n * (4 if layer["wide"] else 2)])
            at += size
            channels = [j % outputs for j in range(count(2))]
            layer[name] = [
                0 if spread is None else values[[0, channels[j], j][spread]]
                for j in range(count(2))
            ]
    last = layers[-1]["shape"]
    n = last[0] * last[1] * last[2]
    net["gains"] = [1] * n
    if net["readout"] in (1, 2):
        net["gains"] = struct.unpack("<%dH" % n, data[4 * at : 4 * at + 2 * n])
    return net, layers


def pooled(shape, window, stride):
    return [(shape[i] - window[i]) // stride[i] + 1 for i in (0, 1)] + [shape[2]]


def shapes(net, layers):
    shape = net["shape"]
    for layer in layers:
        layer["map"] = shape
        if layer["input_pool"]:
            layer["map"] = pooled(shape, *layer["input_pool"][1:])
        height, width, channels = layer["map"]
        if "linear" in layer:
            layer["conv"] = [layer["linear"], [height, width], [1, 1], [0, 0]]
        outputs, kernel, stride, padding = layer["conv"]
        shape = [(layer["map"][i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]
        shape = shape + [outputs]
        if layer["pool"]:
            shape = pooled(shape, *layer["pool"])
        yield shape, kernel[0] * kernel[1] * channels


def run(net, layers, values):
    shape = net["shape"]
    if net["input"] == 2:
        values = [v - 256 if v > 127 else v for v in values]
    if net["input"] == 3:
        values = [2 * v - 1 for v in values]
    for layer in layers:
        n = len(layer["thresholds"])
        layer["u"], layer["s"] = [0] * n, [0] * n
    sums = [0] * len(layers[-1]["u"])
    for t in range(net["steps"]):
        source, source_shape = values, shape
        for index, layer in enumerate(layers):
            step(layer, source, source_shape)
            source, source_shape = layer["s"], layer["shape"]
            print("step", t, "layer", index, "spikes", "".join(map(str, source)),
                  "membranes", *layer["u"])
        for j, (u, s) in enumerate(zip(layers[-1]["u"], layers[-1]["s"])):
            sums[j] += u if net["readout"] in (1, 2) else s
    scores = [a * b for a, b in zip(net["gains"], sums)]
    print("scores", *scores, "decision", scores.index(max(scores)))


def step(layer, source, source_shape):
    read = lambda y, x, c: source[(y * source_shape[1] + x) * source_shape[2] + c]
    height, width, channels = layer["map"]

    def value(y, x, c):
        if not (0 <= y < height and 0 <= x < width):
            return 0
        if not layer["input_pool"]:
            return read(y, x, c)
        kind, window, stride = layer["input_pool"]
        inside = [read(y * stride[0] + dy, x * stride[1] + dx, c)
                  for dy in range(window[0]) for dx in range(window[1])]
        return max(inside) if kind == 1 else sum(inside)

    outputs, kernel, stride, padding = layer["conv"]
    window, hop = layer["pool"] or [[1, 1], [1, 1]]
    f, beta = layer["f"], layer["beta"]
    low, high = (-(1 << 31), (1 << 31) - 1) if layer["wide"] else (-(1 << 15), (1 << 15) - 1)
    rows, columns, _ = layer["shape"]
    for y in range(rows):
        for x in range(columns):
            # The inputs of each tap, summed over the pooling window.
            patch = [
                sum(value((y * hop[0] + dy) * stride[0] + ky - padding[0],
                          (x * hop[1] + dx) * stride[1] + kx - padding[1], c)
                    for dy in range(window[0]) for dx in range(window[1]))
                for ky in range(kernel[0]) for kx in range(kernel[1]) for c in range(channels)
            ]
            for c in range(outputs):
                j = (y * columns + x) * outputs + c
                total = sum(w * p for w, p in zip(layer["weights"][c], patch))
                theta, r, u = layer["thresholds"][j], layer["s"][j], layer["u"][j]
                if r and layer["reset"] == 1:
                    u = 0
                v = (beta * u >> 15) + (total << f if f >= 0 else total >> -f) + layer["biases"][j]
                if r and layer["reset"] == 0:
                    v -= theta
                layer["u"][j] = u = min(max(v, low), high)
                layer["s"][j] = int(u > theta)


def main():
    net, layers = parse(open(sys.argv[1], "rb").read())
    height, width, channels = net["shape"]
    if sys.argv[2] == "--ramp":
        values = [7 * i % 256 for i in range(height * width * channels)]
    else:
        values = [int(value) for value in sys.argv[2:]]
    assert len(values) == height * width * channels
    run(net, layers, values)


main()
