// Copyright 2026 the contributors of cem_planner_ros
// SPDX-License-Identifier: Apache-2.0
// The rollout on the CPU, which search.cpp calls: what differs from model to model.
//
// cpu.py puts NX, NU, BLOCK and kernel.h before this text, and the code of the model and of the
// costs in place of NUMBERS, STEP and TERMINAL.

static inline float power(float base, float exponent) {
    return exponent == 2.0f ? base * base : powf(base, exponent);
}

// A place in a table of `count` elements, also if it was computed from a NaN.
static inline int within(int place, int count) {
    return place < 0 ? 0 : place >= count ? count - 1 : place;
}

// atan(x) in vectors (Moshier's Cephes library).
static inline float arctangent(float x) {
    const float a = fabsf(x);
    const bool far = a > 2.414213562f, middle = a > 0.4142135624f;
    const float start = far ? 1.570796327f : middle ? 0.7853981634f : 0.0f;
    // One quotient, chosen by its parts: two would both be divided.
    const float t = (far ? -1.0f : middle ? a - 1.0f : a) / (far ? a : middle ? a + 1.0f : 1.0f);
    const float t2 = t * t;
    const float value = start + t + t * t2 * (-3.33329491539e-1f + t2 * (1.99777106478e-1f
                        + t2 * (-1.38776856032e-1f + t2 * 8.05374449538e-2f)));
    return x < 0.0f ? -value : value;
}

static inline float arctangent2(float y, float x) {
    const float ay = fabsf(y), ax = fabsf(x), most = ax > ay ? ax : ay;
    // The same infinity twice is the diagonal.
    const float ratio = (ax > ay ? ay : ax) / (most > 0.0f ? most : 1.0f);
    const float slope = (ax == ay) & (ax == INFINITY) ? 1.0f : ratio;
    const float eighth = arctangent(slope);
    const float quarter = ay > ax ? 1.570796327f - eighth : eighth;
    const float half = copysignf(1.0f, x) < 0.0f ? 3.141592654f - quarter : quarter;
    const float value = copysignf(half, y);
    return x != x || y != y ? x + y : value;
}

// exp(x) in vectors, beyond 88 infinite (Moshier's Cephes library).
static inline float exponential(float x) {
    const float bound = x > 88.0f ? 88.0f : x < -87.0f ? -87.0f : x;
    const float n = rintf(bound * 1.44269504f);
    const float r = (bound - n * 0.693359375f) + n * 2.12194440e-4f;
    const float value = 1.0f + r + r * r * (5.0000001201e-1f + r * (1.6666665459e-1f
                        + r * (4.1665795894e-2f + r * (8.3334519073e-3f
                        + r * (1.3981999507e-3f + r * 1.9875691500e-4f)))));
    union { uint32_t i; float f; } power = {uint32_t(int32_t(n) + 127) << 23};
    return x > 88.0f ? INFINITY : x < -87.0f ? 0.0f : value * power.f;
}

static inline float hyperbolic_tangent(float x) {
    const float a = fabsf(x), x2 = x * x;
    const float near = x + x * x2 * (-3.33332819422e-1f + x2 * (1.33314422036e-1f
                       + x2 * (-5.37397155531e-2f + x2 * (2.06390887954e-2f
                       - x2 * 5.70498872745e-3f))));
    const float far = 1.0f - 2.0f / (exponential(2.0f * a) + 1.0f);
    return a < 0.625f ? near : x < 0.0f ? -far : far;
}

// Write the costs under one member of a block of candidates, whose knots lie in a.candidates. `follow`
// (H, NU) is null if all actuators follow at once.
extern "C" void roll_out(const Arguments* arguments, const Following* follow, long begin,
                         const float* const* numbers, float* costs) {
    const Arguments& a = *arguments;
    (void)numbers;
/* NUMBERS */
    alignas(64) float state[NX][BLOCK], action[NU][BLOCK], previous[NU][BLOCK];
    alignas(64) float actuator[NU][BLOCK], applied[NU][BLOCK], cost[BLOCK];
    for (long lane = 0; lane < BLOCK; ++lane) {
        cost[lane] = 0.0f;
        for (int i = 0; i < NX; ++i) state[i][lane] = a.state[i];
        for (int i = 0; i < NU; ++i) previous[i][lane] = a.before[i];
        for (int i = 0; follow && i < NU; ++i) actuator[i][lane] = a.applied[i];
    }
    float time = 0.0f;
    float* states = begin == 0 ? a.states : nullptr;
    if (states) memcpy(states, state, sizeof state);
    for (long k = 0; k < a.horizon; ++k) {
        const float duration = a.durations[k];
        time += duration;
        for (int i = 0; i < NU; ++i) {
            const float* knot = a.candidates + (a.first[k] * NU + i) * a.stride + begin;
            if (a.order == 0) {
                for (long lane = 0; lane < BLOCK; ++lane) action[i][lane] = knot[lane];
                continue;
            }
            for (long lane = 0; lane < BLOCK; ++lane) action[i][lane] = 0.0f;
            for (long o = 0; o <= a.order; ++o, knot += NU * a.stride) {
                const float weight = a.basis[k * (a.order + 1) + o];
                #pragma omp simd
                for (long lane = 0; lane < BLOCK; ++lane) action[i][lane] += weight * knot[lane];
            }
        }
        for (int i = 0; i < NU; ++i) {
            if (!follow) {
                for (long lane = 0; lane < BLOCK; ++lane) applied[i][lane] = action[i][lane];
                continue;
            }
            const Following step = follow[k * NU + i];
            #pragma omp simd
            for (long lane = 0; lane < BLOCK; ++lane) {
                const float distance = actuator[i][lane] - action[i][lane];
                applied[i][lane] = action[i][lane] + step.mean * distance;
                actuator[i][lane] = action[i][lane] + step.left * distance;
            }
        }
        #pragma omp simd
        for (long lane = 0; lane < BLOCK; ++lane) {
/* STEP */
        }
        if (states) memcpy(states + (k + 1) * NX * BLOCK, state, sizeof state);
    }
    #pragma omp simd
    for (long lane = 0; lane < BLOCK; ++lane) {
/* TERMINAL */
    }
    memcpy(costs, cost, sizeof cost);
}
