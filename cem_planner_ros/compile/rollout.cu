// Copyright 2026 the contributors of cem_planner_ros
// SPDX-License-Identifier: Apache-2.0
// The costs of candidates on a GPU, a thread for each under each member of a model.
//
// cuda.py puts NX, NU, MEMBERS, TENSORS, CONSTANTS, UNROLLED and device.h before this text, and the code of
// the model and of the costs in place of NUMBERS, STEP and TERMINAL. It is written for a loop over
// lanes; here a thread has one.

constexpr int AT_ONCE = UNROLLED;

__constant__ float constants[MEMBERS * CONSTANTS];

static __device__ __forceinline__ float power(float base, float exponent) {
    return exponent == 2.0f ? base * base : powf(base, exponent);
}

// As in rollout.cpp.
static __device__ __forceinline__ int within(int place, int count) {
    return place < 0 ? 0 : place >= count ? count - 1 : place;
}

// sin(x + quarters * pi / 2) for zero or one quarter, as in kernel.h: sinf has a branch for large x that
// needs memory of each thread.
static __device__ __forceinline__ float sine(float x, float quarters) {
    const float n = rintf(x * 0.636619772f);
    float r = ((x - n * 1.5703125f) - n * 4.837512969970703e-4f) - n * 7.549789948768648e-8f;
    r = r > 0.8f ? 0.8f : r < -0.8f ? -0.8f : r;
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

// What kernel.h and rollout.cpp have in vectors.
static __device__ __forceinline__ float arctangent(float x) { return atanf(x); }
static __device__ __forceinline__ float arctangent2(float y, float x) { return atan2f(y, x); }
static __device__ __forceinline__ float exponential(float x) { return expf(x); }
static __device__ __forceinline__ float hyperbolic_tangent(float x) { return tanhf(x); }

extern "C" __global__ void gather(const Arguments a) {
    gather_numbers(a);
    follow_commands(a);
}

extern "C" __global__ void roll_out(const Arguments a) {
    const int sample = blockIdx.x * blockDim.x + threadIdx.x;
    if (sample >= a.total) return;
    const int member = blockIdx.y, last = a.horizon - 1;
    const float* const* numbers = a.numbers + member * TENSORS;
    (void)numbers;
    constexpr int lane = 0;
    float state[NX][1], action[NU][1], applied[NU][1], previous[NU][1], cost[1] = {0.0f};
    float actuator[NU], soon[NU], later[NU];  // the commands of the next two steps
    bool lags[NU];
    const long long row = (long long)NU * a.stride;
    const float* ahead = a.sequence + sample;
    for (int i = 0; i < NX; ++i) state[i][lane] = a.state[i];
    for (int i = 0; i < NU; ++i) {
        previous[i][lane] = a.before[i];
        actuator[i] = a.applied[i];
        lags[i] = a.lag[i] > 0.0f;  // else it follows at once, also over no time at all
        soon[i] = __ldg(ahead + (long long)i * a.stride);
        later[i] = __ldg(ahead + (long long)i * a.stride + min(1, last) * row);
    }
    ahead += min(2, last) * row;
/* NUMBERS */
    float* states = member == 0 ? a.states : nullptr;
    for (int i = 0; states && i < NX; ++i) states[(long long)i * a.total + sample] = state[i][lane];
    float time = 0.0f;
#pragma unroll AT_ONCE
    for (int k = 0; k < a.horizon; ++k) {
        const float duration = __ldg(a.durations + k);
        time += duration;
        for (int i = 0; i < NU; ++i) {
            action[i][lane] = soon[i];
            soon[i] = later[i];
            later[i] = __ldg(ahead + (long long)i * a.stride);
            applied[i][lane] = action[i][lane];
            if (lags[i]) {
                const float* follow = a.follow + 2 * (k * NU + i);
                const float distance = actuator[i] - action[i][lane];
                applied[i][lane] += __ldg(follow + 1) * distance;
                actuator[i] = action[i][lane] + __ldg(follow) * distance;
            }
        }
        if (k + 3 < a.horizon) ahead += row;
/* STEP */
        for (int i = 0; states && i < NX; ++i)
            states[((k + 1LL) * NX + i) * a.total + sample] = state[i][lane];
    }
/* TERMINAL */
    a.costs[(long long)member * a.stride + sample] = cost[lane];
}
