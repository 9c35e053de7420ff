"""Computes anew every bit of a run, from two documents alone.

    bitspike inspect MODEL --json --weights > model.json
    bitspike trace MODEL --images IDX --index 0 --json > trace.json
    python3 tests/vectors/recompute.py model.json trace.json

Written from docs/numerics.md; shares no code with the project and reads no model file. Ends with 0
where every sum, membrane, spike, score and the decision are equal, else with 1 and the first that
is not.
"""
import json
import sys


def fail(text):
    print("different:", text)
    sys.exit(1)


def compare(place, name, got, expected):
    if len(got) != len(expected):
        fail("%s: %d values of %s, not %d" % (place, len(got), name, len(expected)))
    for j, (a, b) in enumerate(zip(got, expected)):
        if a != b:
            fail("%s, index %d: %s is %d, computed anew it is %d" % (place, j, name, a, b))
    return len(got)


def pooled(values, shape, pool):
    """A layer's input after its pooling, and the new shape."""
    if pool is None:
        return values, shape
    (height, width, channels), window, stride = shape, pool["window"], pool["stride"]
    rows = (height - window[0]) // stride[0] + 1
    columns = (width - window[1]) // stride[1] + 1
    join = max if pool["kind"] == "max" else sum
    result = [
        join(values[((y * stride[0] + dy) * width + x * stride[1] + dx) * channels + c]
             for dy in range(window[0]) for dx in range(window[1]))
        for y in range(rows) for x in range(columns) for c in range(channels)
    ]
    return result, [rows, columns, channels]


def sums(layer, values):
    values, (height, width, channels) = pooled(values, layer["shape_in"], layer["input"]["pool"])
    if layer["kind"] == "linear":
        return [sum(w * p for w, p in zip(row, values)) for row in layer["weights"]]
    kernel, stride, padding = layer["kernel"], layer["stride"], layer["padding"]
    window, hop = layer["pool"]["window"], layer["pool"]["stride"]
    rows, columns, outputs = layer["shape_out"]

    def at(y, x, c):
        inside = 0 <= y < height and 0 <= x < width
        return values[(y * width + x) * channels + c] if inside else 0

    def convolved(y, x, j):
        return sum(
            layer["weights"][j][ky][kx][c]
            * at(y * stride[0] + ky - padding[0], x * stride[1] + kx - padding[1], c)
            for ky in range(kernel[0]) for kx in range(kernel[1]) for c in range(channels))

    return [
        sum(convolved(y * hop[0] + dy, x * hop[1] + dx, j)
            for dy in range(window[0]) for dx in range(window[1]))
        for y in range(rows) for x in range(columns) for j in range(outputs)
    ]


def update(layer, x, u, r, j):
    """One neuron, one step: the membrane after the clamp, and the spike."""
    theta, f = layer["threshold"][j], layer["f"]
    high = (1 << (15 if layer["membrane"] == "i16" else 31)) - 1
    if r and layer["reset"] == "zero":
        u = 0
    v = (layer["beta"] * u >> 15) + (x << f if f >= 0 else x >> -f) + layer["bias"][j]
    if r and layer["reset"] == "subtract":
        v -= theta
    u = min(max(v, -high - 1), high)
    return u, int(u > theta)


def decide(model, outputs):
    """Scores and class from the last layer's (membranes, spikes) of each step."""
    kind, gains = model["readout"]["kind"], model["readout"]["gains"]
    neurons = range(len(outputs[0][0]))
    groups = model["readout"]["groups"]
    if kind in ("count", "population"):
        counts = [sum(s[j] for _, s in outputs) for j in neurons]
        size = len(counts) // groups
        scores = [sum(counts[g * size : (g + 1) * size]) for g in range(groups)]
    else:
        scores = [gains[j] * sum(u[j] for u, _ in outputs) for j in neurons]
    if kind == "first_spike":
        for u, s in outputs:
            fired = [j for j in neurons if s[j]]
            if fired:
                return scores, max(fired, key=lambda j: (gains[j] * u[j], -j))
    return scores, scores.index(max(scores))


def main():
    model, trace = (json.load(open(path)) for path in sys.argv[1:3])
    layers = model["layers"]
    if len(trace["steps"]) != model["steps"]:
        fail("%d steps, the model has %d" % (len(trace["steps"]), model["steps"]))
    state = [([0] * len(layer["threshold"]), [0] * len(layer["threshold"])) for layer in layers]
    values, fired, outputs = 0, 0, []
    for t, step in enumerate(trace["steps"]):
        if len(step["layers"]) != len(layers):
            fail("step %d: %d layers of %d" % (t, len(step["layers"]), len(layers)))
        read = step["layers"][0]["input"]
        for index, (layer, traced) in enumerate(zip(layers, step["layers"])):
            place = "step %d, layer %d" % (t, index)
            compare(place, "input", traced["input"], read)
            x = sums(layer, read)
            u, s = state[index]
            new = [update(layer, x[j], u[j], s[j], j) for j in range(len(u))]
            state[index] = u, s = [a for a, _ in new], [b for _, b in new]
            for name, expected in (("sum", x), ("membrane", u), ("spikes", s)):
                values += compare(place, name, traced[name], expected)
            fired += sum(s)
            read = s
        outputs.append(state[-1])
    scores, decision = decide(model, outputs)
    compare("scores", "score", trace["scores"], scores)
    if trace["decision"] != decision:
        fail("decision %d, computed anew it is %d" % (trace["decision"], decision))
    print("equal: %d values, %d of them spikes that fired; decision %d" % (values, fired, decision))


main()
