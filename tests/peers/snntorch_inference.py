"""Samples a second of snnTorch on the MNIST network, as a line of JSON.

    target/peers/venv/bin/python tests/peers/snntorch_inference.py PICTURES STEPS BATCH

PICTURES is an IDX file; its pictures are read in batches, STEPS steps each, without gradients. The
network is the published topology with binary weights, written the way snnTorch is used.
"""

import json
import sys
import time

import numpy
import snntorch
import torch
from snntorch import surrogate
from torch import nn


class Block(nn.Module):
    """Currents, then leaky neurons."""

    def __init__(self, currents, threshold):
        super().__init__()
        self.currents = currents
        self.neurons = snntorch.Leaky(
            beta=0.9, threshold=threshold, spike_grad=surrogate.fast_sigmoid(10.22)
        )

    def forward(self, x, membrane):
        return self.neurons(self.currents(x), membrane)


def network():
    blocks = nn.ModuleList([
        Block(nn.Sequential(nn.Conv2d(1, 16, 5, bias=False), nn.AvgPool2d(2), nn.BatchNorm2d(16)), 1.0),
        Block(nn.Sequential(nn.Conv2d(16, 64, 5, bias=False), nn.AvgPool2d(2), nn.BatchNorm2d(64)), 1.0),
        Block(nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)), 1.0),
    ])
    with torch.no_grad():
        # Binarised once: inference needs no latent weights.
        for block in blocks:
            for part in block.currents:
                if isinstance(part, (nn.Conv2d, nn.Linear)):
                    part.weight.copy_(torch.where(part.weight >= 0, 1.0, -1.0))
    return blocks.eval()


def main():
    path, steps, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.manual_seed(1)
    data = open(path, "rb").read()
    count, height, width = (int.from_bytes(data[at:at + 4], "big") for at in (4, 8, 12))
    pixels = numpy.frombuffer(data, numpy.uint8, offset=16).reshape(count, 1, height, width)
    pictures = torch.from_numpy(pixels.astype(numpy.float32) / 255)
    blocks = network()

    @torch.inference_mode()
    def classify(x):
        membranes = [block.neurons.init_leaky() for block in blocks]
        total = 0
        for _ in range(steps):
            spikes = x
            for index, block in enumerate(blocks):
                spikes, membranes[index] = block(spikes, membranes[index])
            total = total + membranes[-1]
        return total.argmax(1)

    classify(pictures[:batch])
    start, cpu = time.perf_counter(), time.process_time()
    for first in range(0, count, batch):
        classify(pictures[first:first + batch])
    print(json.dumps(dict(samples=count, seconds=time.perf_counter() - start,
                          cpu_seconds=time.process_time() - cpu)))


main()
