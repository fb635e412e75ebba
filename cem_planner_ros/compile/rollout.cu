// The costs of candidates on a GPU, a thread for each.
//
// cuda.py puts NX, NU and INSTANT before this text, and the code of the model and of the costs in place
// of NUMBERS, STEP and TERMINAL. It is written for a loop over lanes; here a thread has one.

static __device__ inline float power(float base, float exponent) {
    return exponent == 2.0f ? base * base : powf(base, exponent);
}

// As in rollout.cpp.
static __device__ inline int within(int place, int count) {
    return place < 0 ? 0 : place >= count ? count - 1 : place;
}

// sin(x + quarters * pi / 2) for zero or one quarter.
static __device__ inline float sine(float x, float quarters) {
    return quarters == 0.0f ? sinf(x) : cosf(x);
}

// What kernel.h and rollout.cpp have in vectors.
static __device__ inline float arctangent(float x) { return atanf(x); }
static __device__ inline float arctangent2(float y, float x) { return atan2f(y, x); }
static __device__ inline float exponential(float x) { return expf(x); }
static __device__ inline float hyperbolic_tangent(float x) { return tanhf(x); }

// start (NX), before (NU), lag (NU) and applied (NU) of the actuators, durations (H),
// sequence (H, NU, N), costs (N), states (H + 1, NX, N) where they are kept.
extern "C" __global__ void rollout(const float* start, const float* before, const float* lag,
                                   const float* applied_before, const float* durations,
                                   const float* sequence, const float* const* numbers,
                                   float* costs, float* states, int keeps_states, int horizon,
                                   int samples) {
    const int sample = blockIdx.x * blockDim.x + threadIdx.x;
    if (sample >= samples) return;
    constexpr int lane = 0;
    float state[NX][1], action[NU][1], applied[NU][1], previous[NU][1], cost[1] = {0.0f};
    float actuator[NU];
    for (int i = 0; i < NX; ++i) state[i][lane] = start[i];
    for (int i = 0; i < NU; ++i) previous[i][lane] = before[i];
    for (int i = 0; i < NU; ++i) actuator[i] = applied_before[i];
/* NUMBERS */
    if (keeps_states)
        for (int i = 0; i < NX; ++i) states[(long long)i * samples + sample] = state[i][lane];
    float time = 0.0f;
    for (int k = 0; k < horizon; ++k) {
        const float duration = durations[k];
        time += duration;
        for (int i = 0; i < NU; ++i)
            action[i][lane] = sequence[(long long)(k * NU + i) * samples + sample];
        for (int i = 0; i < NU; ++i) {
            if (!(lag[i] > 0.0f)) {  // Also over no time at all, for which a lag has no mean.
                applied[i][lane] = action[i][lane];
                continue;
            }
            // As in search.cpp (followings).
            const float ratio = duration / fmaxf(lag[i], float(INSTANT));
            const float distance = actuator[i] - action[i][lane];
            applied[i][lane] = action[i][lane] - expm1f(-ratio) / ratio * distance;
            actuator[i] = action[i][lane] + expf(-ratio) * distance;
        }
/* STEP */
        if (keeps_states)
            for (int i = 0; i < NX; ++i)
                states[(long long)((k + 1) * NX + i) * samples + sample] = state[i][lane];
    }
/* TERMINAL */
    costs[sample] = cost[lane];
}
