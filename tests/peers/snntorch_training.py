"""Seconds of a training iteration of the paper's binarised networks in snnTorch, as a line of JSON.

    target/peers/venv/bin/python tests/peers/snntorch_training.py mnist 100 128 5 cpu

The arguments are the network (mnist or shd), time steps, batch, iterations and the device (cpu or
cuda); one more iteration runs before those that are timed. The networks are the published
topologies: written here anew, step by step over all layers, the way snnTorch is used.
"""

import json
import resource
import sys
import time

import snntorch
import torch
from snntorch import functional, surrogate
from torch import nn


class Sign(torch.autograd.Function):
    """Sign with sign(0) = +1; the gradient goes straight through."""

    @staticmethod
    def forward(ctx, weights):
        return torch.where(weights >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Convolution(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, Sign.apply(self.weight), None)


class Linear(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, Sign.apply(self.weight), self.bias)


class Block(nn.Module):
    """Currents, then leaky neurons."""

    def __init__(self, currents, beta, threshold, slope):
        super().__init__()
        self.currents = currents
        self.neurons = snntorch.Leaky(
            beta=beta, threshold=threshold, spike_grad=surrogate.fast_sigmoid(slope)
        )

    def forward(self, x, membrane):
        return self.neurons(self.currents(x), membrane)


def network(name):
    if name == "mnist":
        neurons = dict(beta=0.99, slope=10.22)
        return nn.ModuleList([
            Block(nn.Sequential(Convolution(1, 16, 5, bias=False), nn.AvgPool2d(2), nn.BatchNorm2d(16)),
                  threshold=11.666, **neurons),
            Block(nn.Sequential(Convolution(16, 64, 5, bias=False), nn.AvgPool2d(2), nn.BatchNorm2d(64)),
                  threshold=14.105, **neurons),
            Block(nn.Sequential(nn.Flatten(), Linear(1024, 10), nn.Dropout(0.02856)),
                  threshold=0.6656, **neurons),
        ])
    neurons = dict(beta=0.95, slope=0.257)
    return nn.ModuleList([
        Block(nn.Sequential(Linear(700, 3000), nn.Dropout(0.186)), threshold=13.504, **neurons),
        Block(nn.Sequential(Linear(3000, 20), nn.Dropout(0.0176)), threshold=11.20, **neurons),
    ])


def main():
    name, steps, batch, iterations = sys.argv[1], *map(int, sys.argv[2:5])
    torch.manual_seed(1)
    device = torch.device(sys.argv[5])
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    blocks = network(name).to(device)
    rates = {"mnist": 0.00997, "shd": 0.000654}
    optimiser = torch.optim.Adam(blocks.parameters(), lr=rates[name])
    criterion = functional.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2)
    if name == "mnist":
        lit = torch.rand(batch, 1, 28, 28) < 0.2
        still = torch.rand(batch, 1, 28, 28) * lit
        inputs = [still.to(device)] * steps
        labels = (torch.arange(batch) % 10).to(device)
    else:
        inputs = (torch.rand(steps, batch, 700) < 0.02).float().to(device)
        labels = (torch.arange(batch) % 20).to(device)
    seconds, warm = [], 0
    for _ in range(iterations + 1):
        start = time.perf_counter()
        membranes = [block.neurons.init_leaky() for block in blocks]
        spikes = []
        for x in inputs:
            for index, block in enumerate(blocks):
                x, membranes[index] = block(x, membranes[index])
            spikes.append(x)
        loss = criterion(torch.stack(spikes), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        wait()
        seconds.append(time.perf_counter() - start)
        if len(seconds) == 1:
            warm = time.process_time()
    cpu = (time.process_time() - warm) / iterations
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    median = sorted(seconds[1:])[iterations // 2]
    print(json.dumps(dict(network=name, steps=steps, batch=batch, seconds=round(median, 4),
                          cpu_seconds=round(cpu, 4), peak_bytes=peak)))


main()
