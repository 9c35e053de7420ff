// The kernels of lif.cu on the processor: parameters and operands from stdin, spikes and gradients
// to stdout, all little-endian.

#include <cstdio>
#include <vector>

#include "lif.cu"

static bool read(void *to, size_t bytes) { return fread(to, 1, bytes, stdin) == bytes; }

static bool write(const std::vector<float> &values) {
    size_t bytes = values.size() * sizeof(float);
    return fwrite(values.data(), 1, bytes, stdout) == bytes;
}

int main() {
    Parameters p;
    if (!read(&p, sizeof p)) {
        return 1;
    }
    size_t rows = p.samples * p.neurons, all = rows * p.steps;
    std::vector<float> current(rows * p.given), grad(all);
    if (!read(current.data(), current.size() * 4) || !read(grad.data(), all * 4)) {
        return 1;
    }
    std::vector<float> spikes(all), by_step(all), total(rows);
    lif_forward(current.data(), spikes.data(), p);
    lif_backward(current.data(), spikes.data(), grad.data(), by_step.data(), total.data(), p);
    bool constant = p.given == 1 && p.steps > 1;
    return write(spikes) && write(constant ? total : by_step) ? 0 : 1;
}
