"""The encoders of docs/numerics.md, written from that page alone.

    python3 tests/vectors/encoders.py

Prints the constants that core/tests/encode.rs compares with; shares no code with the project.
"""


def draws(seed):
    r = seed or 0x9E3779B9
    while True:
        r ^= r << 13 & 0xFFFFFFFF
        r ^= r >> 17
        r ^= r << 5 & 0xFFFFFFFF
        yield r


def words(bits):
    n = (len(bits) + 31) // 32
    return [sum(bit << i for i, bit in enumerate(bits[32 * w : 32 * w + 32])) for w in range(n)]


def show(name, rows):
    body = "".join("    [%s],\n" % ", ".join("0x%08X" % w for w in row) for row in rows)
    print("const %s: [[u32; %d]; %d] = [\n%s];" % (name, len(rows[0]), len(rows), body))


def delta(samples, d):
    q = list(samples[0])
    for now in samples:
        bits = []
        for i, v in enumerate(now):
            up = v - q[i] >= d
            down = not up and q[i] - v >= d
            q[i] += d * (up - down)
            bits += [int(up), int(down)]
        yield words(bits)[0]


source = draws(1)
print("const RANDOM_100_000: u32 = %d;" % [next(source) for _ in range(100000)][-1])
print("const RANDOM_ZERO: u32 = %d;" % next(draws(0)))
ramp = [7 * i % 256 for i in range(100)]
source = draws(42)
show("RATE", [words([int((next(source) >> 24) < p) for p in ramp]) for _ in range(3)])
show("LATENCY", [
    words([int(p > 0 and ((255 - p) * 5) >> 8 == t) for p in ramp]) for t in range(5)])
samples = [[30 * t % 100, -7 * t, t % 2 * 32767] for t in range(8)]
print("const DELTA: [u32; 8] = %s;" % list(delta(samples, 9)))
