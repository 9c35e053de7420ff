// Leaky integrate-and-fire neurons over all time steps, on a GPU: one thread a neuron of a sample.
//
// The same source is compiled by NVRTC for the GPU and, in tests, as C++ for the processor, where
// the threads are the turns of a loop. It is compiled without contraction into fused
// multiply-adds, so that each operation rounds as the Rust function named beside it rounds.
//
// Currents, spikes and gradients are `f32`, `[samples, steps, neurons]`; a current that is the same
// at every step is `[samples, neurons]`.

#ifdef __CUDACC__
#define KERNEL extern "C" __global__ void
#define DEVICE __device__ __forceinline__
#define FOR_EACH(index, count)                                                                     \
    for (unsigned long long index = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x;     \
         index < (count); index += gridDim.x * (unsigned long long)blockDim.x)
#else
#include <math.h>
#define KERNEL extern "C" void
#define DEVICE static inline
#define FOR_EACH(index, count) for (unsigned long long index = 0; index < (count); ++index)
#endif

// `Parameters` in lif_kernel.rs, field by field.
struct Parameters {
    unsigned long long samples;
    unsigned long long neurons;
    unsigned long long steps;
    // Steps for which the current has values: 1 where it is constant.
    unsigned long long given;
    float beta;
    float threshold;
    float slope;
    // The distance from the threshold is `u * by_u - offset`; `factor` scales the derivative.
    float by_u;
    float offset;
    float factor;
    int shape;
    int unused;
};

// `Shape` in surrogate.rs, in its order.
enum Shape { FAST_SIGMOID, ARCTAN, SIGMOID, TRIANGULAR, STRAIGHT_THROUGH };

// `Surrogate::replace` in surrogate.rs.
DEVICE float derivative(const Parameters &p, float u) {
    float x = u * p.by_u - p.offset;
    switch (p.shape) {
    case FAST_SIGMOID: {
        float d = 1.0f + p.slope * fabsf(x);
        return p.factor / (d * d);
    }
    case ARCTAN: {
        float d = 1.57079632679489661923f * p.slope * x;
        return p.factor * 0.5f * p.slope / (1.0f + d * d);
    }
    case SIGMOID: {
        float e = expf(-fabsf(p.slope * x));
        return p.factor * p.slope * e / ((1.0f + e) * (1.0f + e));
    }
    case TRIANGULAR:
        return p.factor * fmaxf(1.0f - p.slope * fabsf(x), 0.0f);
    default:
        return p.factor;
    }
}

// The membrane after step `t`, from that before it and its spike: `fire` and `membranes` in lif.rs.
DEVICE float integrate(const Parameters &p, unsigned long long t, float u, float spike, float x) {
    return t == 0 ? x : p.beta * u + x - spike * p.threshold;
}

// Where the current of a neuron at step `t` stands.
DEVICE unsigned long long current_at(const Parameters &p, unsigned long long sample,
                                     unsigned long long neuron, unsigned long long t) {
    return (sample * p.given + (p.given == 1 ? 0 : t)) * p.neurons + neuron;
}

// Spikes of a current: `fire` in lif.rs.
KERNEL lif_forward(const float *current, float *spikes, Parameters p) {
    FOR_EACH(index, p.samples * p.neurons) {
        unsigned long long sample = index / p.neurons, neuron = index % p.neurons;
        float u = 0.0f, spike = 0.0f;
        for (unsigned long long t = 0; t < p.steps; ++t) {
            u = integrate(p, t, u, spike, current[current_at(p, sample, neuron, t)]);
            spike = u > p.threshold ? 1.0f : 0.0f;
            spikes[(sample * p.steps + t) * p.neurons + neuron] = spike;
        }
    }
}

// Gradient of the current at every step, from the spikes that it gave and their gradient; where the
// current is constant, `total` gets the sum over the steps: `run_back` in lif.rs.
KERNEL lif_backward(const float *current, const float *spikes, const float *grad, float *by_step,
                    float *total, Parameters p) {
    FOR_EACH(index, p.samples * p.neurons) {
        unsigned long long sample = index / p.neurons, neuron = index % p.neurons;
        unsigned long long first = sample * p.steps * p.neurons + neuron;
        float u = 0.0f, spike = 0.0f;
        // Membranes on the way there; each is replaced by its gradient on the way back.
        for (unsigned long long t = 0; t < p.steps; ++t) {
            u = integrate(p, t, u, spike, current[current_at(p, sample, neuron, t)]);
            spike = spikes[first + t * p.neurons];
            by_step[first + t * p.neurons] = u;
        }
        float carried = 0.0f, sum = 0.0f;
        for (unsigned long long t = p.steps; t-- > 0;) {
            unsigned long long at = first + t * p.neurons;
            carried = grad[at] * derivative(p, by_step[at]) + p.beta * carried;
            by_step[at] = carried;
            sum += carried;
        }
        if (p.given == 1 && p.steps > 1) {
            total[index] = sum;
        }
    }
}
