// Copyright 2026 the contributors of cem_planner_ros
// SPDX-License-Identifier: Apache-2.0
// What both kernels of a GPU know: search.cu, and rollout.cu with the code of a model in it.
//
// Symbols and layout are those of the package: components first, samples last; P knots, M modes. No
// header is included: NVRTC has none, and brings the functions of CUDA by itself.

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)
#endif
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) float name[]
#endif

// What the host writes before each plan, beside the numbers in `given`.
struct Header {
    const bool* use;  // (I, slots), which injected slots are candidates in which iteration
    unsigned plan;    // number of the plan
    int shift;        // knots by which the belief moves
    int phase;        // of the first step between two knots
    float carry;      // share of the std that is kept from plan to plan
    int near;         // whether the mean may be out of reach, and is moved
};

// What the refit of a mode rests on.
struct Chosen {
    float total;  // sum of the weights
    int valid;    // candidates whose cost is finite
    int better;   // whether the cheapest is cheaper than the best before
    int cheapest;
};

struct Arguments {
    int horizon, actions, knots, order, spacing, modes, slots, kept, moved, elites;
    int weighting;  // one of WEIGHTING_..., which generate.py defines
    int truncate, members, risk, tail;
    float std_factor, control_cost;  // c of mean + c std; gamma of MPPI, 0 for none
    int iteration, samples, explorers, is_last;  // of this iteration; samples of each mode
    int total, stride;                           // candidates of all modes; length of a row
    int count, gathered, chunks;  // in `given`; in `addresses`; blocks of `narrow` for each mode
    unsigned seed;
    const Header* given_header;      // on the host
    Header* header;                  // the same on the device
    const float* given;              // (NX + 2 NU + H), on the host
    float* inputs;                   // the same on the device:
    const float* state;              // (NX)
    const float* before;             // (NU), the command in force until now
    const float* applied;            // (NU), what the actuators make of it at the start
    const float* durations;          // (H)
    const float* lag;                // (NU), time constants of the actuators, s
    const float* basis;              // (spacing, order + 1)
    const float* factor;             // (NU, tiles of P, P, TILE), or null for white noise
    const double* precision;         // (NU, P, P), inverse of the noise's covariance, or null for white
    const float* noise;              // (P, NU, total) instead of drawing, or null
    const float* const* addresses;   // (gathered), where the numbers of the plugins lie
    float* constants;                // (gathered), those numbers
    const float* const* numbers;     // (members, tensors)
    const float *temperature, *momentum;
    const float *low, *high, *step_reach, *first_reach, *std_min;  // (NU)
    const float* std_initial;        // (P, NU)
    const float* ranks;              // (elites), weights by rank
    float *mean, *std;               // (P, NU, M), in and out
    float* injected;                 // (P, NU, M, slots), in and out
    float* best_cost;                // (M), in and out
    float* candidates;               // (P, NU, stride), out: knots
    float* sequence;                 // (H, NU, stride), out: actions; the same where each has its knot
    float* follow;                   // (H, NU, 2), what actuators with a lag do in each step, out
    float* costs;                    // (members, stride), out; those of candidates in the first row
    double* drift;                   // (P, NU, M), for the control cost, out
    float* control;                  // (stride), control costs, out, or null for none
    unsigned long long* narrowed;    // (M, chunks, elites), or null if `select` reads all costs
    unsigned long long* listed;      // (M, 2, elites), room for `select`
    int* index;                      // (M, elites), the elites, cheapest first
    float* weight;                   // (stride), of the elites, or with softmax of all
    Chosen* chosen;                  // (M)
    float* result;  // on the host, out: mean and best (P, NU, M), best_cost (M), share of valid (M)
    float* states;  // (H + 1, NX, N), out, or null
};

// Read the numbers of the plugins, which may have been tuned, into one row.
static __device__ __forceinline__ void gather_numbers(const Arguments& a) {
    for (int i = threadIdx.x; i < a.gathered; i += blockDim.x) a.constants[i] = *a.addresses[i];
}

// What an actuator does in a step, as actuators.py has it: the share of its distance to the command that
// is left at the end of the step, and in the mean over it.
static __device__ __forceinline__ void follow_commands(const Arguments& a) {
    for (int i = threadIdx.x; i < a.horizon * a.actions; i += blockDim.x) {
        const float ratio = a.durations[i / a.actions] / fmaxf(a.lag[i % a.actions], 1e-9f);
        a.follow[2 * i] = expf(-ratio);
        a.follow[2 * i + 1] = -expm1f(-ratio) / ratio;
    }
}
