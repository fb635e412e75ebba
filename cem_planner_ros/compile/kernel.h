// Copyright 2026 the contributors of cem_planner_ros
// SPDX-License-Identifier: Apache-2.0
// What both parts of a kernel know: search.cpp, and rollout.cpp with the code of a model in it.
//
// cpu.py puts this text before theirs. Symbols and layout are those of the package: components
// first, samples last; P knots, M modes. It includes little, because each model is compiled with it.

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// What an actuator does in a step, as actuators.py has it: the share of its distance to the command
// that is left at the end of the step, and in the mean over it.
struct Following { float left, mean; };

// arguments.py reads this struct, and checks in each library that it is laid out as there.
struct Arguments {
    // That of rollout.cpp, for the model.
    void (*roll_out)(const Arguments* a, const Following* follow, long begin,
                     const float* const* numbers, float* costs);
    long horizon, knots, order, modes;
    long begin, end;  // the first iteration, and the one after the last
    long stride;      // of a row of candidates: >= modes * samples
    long elites, kept, slots;
    int weighting;  // one of WEIGHTING_..., which generate.py defines
    int truncate, threads;
    int risk;  // over the members, one of RISK_...
    long members, count, tail;  // P; tensors in `numbers` of each; members that cvar averages
    float std_factor;
    float control_cost;  // gamma of MPPI; 0 for none
    uint32_t seed, plan;
    double until;  // s on the monotonic clock: no iteration but the first begins after it
    const long* samples;    // (I), of each mode
    const long* explorers;  // (I)
    const float* state;      // (NX)
    const float* before;     // (NU), the command in force until now
    const float* applied;    // (NU), what the actuators make of it at the start
    const float* lag;        // (NU), time constants of the actuators, s, or null
    const float* durations;  // (H)
    const long* first;       // (H)
    const float* basis;      // (H, order + 1)
    const float* factor;     // (NU, tiles of P, P, TILE), or null for white noise
    const double* precision;  // (NU, P, P), inverse of the noise's covariance, or null for white
    const float* noise;      // (P, NU, stride) instead of drawing, or null
    const float* const* numbers;  // (P, count)
    const float *temperature, *momentum;
    const float *low, *high, *step_reach, *first_reach, *std_min;  // (NU)
    const float* std_initial;                                      // (P, NU)
    const bool* use;                                                           // (I, slots)
    float *mean, *std;  // (P, NU, M), in and out
    float* injected;    // (P, NU, M, slots), in and out
    float* best_cost;   // (M), in and out
    float* candidates;  // (P, NU, stride), out
    float* costs;       // (stride), out
    float* control;     // (stride), control costs, out, or null where control_cost is 0
    const float* ranks;  // (elites), weights by rank
    float* states;       // (H + 1, NX, BLOCK) of the first candidates, out, or null
    double* spent;       // (3), s for sampling, rollout and refit are added to it, or null
};

// sin(x + quarters * pi / 2), which unlike sinf runs in vectors. Reduced in three parts (Cody and
// Waite, Software Manual for the Elementary Functions, 1980), polynomials of Moshier's Cephes
// library. Exact to 2e-7 for |x| up to 1e4.
static inline float sine(float x, float quarters) {
    const float n = rintf(x * 0.636619772f);
    float r = ((x - n * 1.5703125f) - n * 4.837512969970703e-4f) - n * 7.549789948768648e-8f;
    r = r > 0.8f ? 0.8f : r < -0.8f ? -0.8f : r;  // beyond 1e7 inexact, but never above one
    const float r2 = r * r;
    const float odd = r + r * r2 * (-1.6666654611e-1f + r2 * (8.3321608736e-3f
                      - r2 * 1.9515295891e-4f));
    const float even = 1.0f - 0.5f * r2 + r2 * r2 * (4.166664568298827e-2f
                       + r2 * (-1.388731625493765e-3f + r2 * 2.443315711809948e-5f));
    const float turn = n + quarters;
    const float quadrant = turn - 4.0f * floorf(turn * 0.25f);
    const float value = quadrant == 1.0f || quadrant == 3.0f ? even : odd;
    return quadrant >= 2.0f ? -value : value;
}

// log(x) for normal x > 0, in vectors (Moshier's Cephes library).
static inline float logarithm(float x) {
    union { float f; uint32_t i; } bits = {x};
    float exponent = float(int32_t(bits.i >> 23) - 126);
    bits.i = (bits.i & 0x007fffffu) | 0x3f000000u;  // mantissa in [0.5, 1)
    const bool small = bits.f < 0.70710678f;
    exponent -= small ? 1.0f : 0.0f;
    const float m = (small ? bits.f + bits.f : bits.f) - 1.0f;
    const float m2 = m * m;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return m + (m * m2 * p - 2.12194440e-4f * exponent - 0.5f * m2) + 0.693359375f * exponent;
}
