// Copyright 2026 the contributors of cem_planner_ros
// SPDX-License-Identifier: Apache-2.0
// The search on a GPU around the rollout: sample and bound, select, refit.
//
// cuda.py puts NU, TILE and device.h before this text. What is computed is stated in search.py, and
// search.cpp is its counterpart on the CPU. An iteration is `sample`, the rollout, `select` and `refit`;
// a plan starts with `begin`. All sums have a fixed order, so a seed gives the same bits on one device.

constexpr int LANES = 32;
constexpr int DRAWN = 2 * LANES;  // candidates that a block of `sample` draws, two by each lane
constexpr unsigned ALL = 0xffffffffu;
constexpr int LISTED = 2048;  // elites that `select` keeps in shared memory
constexpr int MOVED = 8;      // numbers that a thread of `begin` moves at once

typedef unsigned long long Key;  // cost and number in one integer, which sorts like the pair

static __device__ inline float sum_of_warp(float value) {
    for (int step = LANES / 2; step; step /= 2) value += __shfl_xor_sync(ALL, value, step);
    return value;
}

static __device__ inline int sum_of_warp(int value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    return __reduce_add_sync(ALL, value);
#endif
    for (int step = LANES / 2; step; step /= 2) value += __shfl_xor_sync(ALL, value, step);
    return value;
}

// The sum over the threads of a block, at all of them. `room` (2, LANES) is shared memory, of which
// calls with even and odd `turn` use different halves, so that one barrier is enough.
template <class Number>
static __device__ inline Number sum_of_block(Number value, Number (*room)[LANES], int turn) {
    Number* sums = room[turn & 1];
    const int warps = blockDim.x / LANES, lane = threadIdx.x % LANES;
    value = sum_of_warp(value);
    if (lane == 0) sums[threadIdx.x / LANES] = value;
    __syncthreads();
    return sum_of_warp(lane < warps ? sums[lane] : Number(0));
}

static __device__ inline bool is_finite(float x) { return fabsf(x) < INFINITY; }

static __device__ __forceinline__ float clipped(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

// Also within bounds: where those were narrowed, the action in force may lie out of them.
static __device__ __forceinline__ float within_reach(float x, float before, float reach, float low,
                                                     float high) {
    return clipped(clipped(x, before - reach, before + reach), low, high);
}

// Move rows (P, row) towards the first, of which `kept` stay; what comes in at the end repeats the last
// one. All of a chunk is read before any of it is written, and what later chunks read lies behind it.
template <class Moves>
static __device__ __forceinline__ void move(float* rows, int size, int row, int kept, Moves moves) {
    const int shift = size / row - kept;
    for (int start = 0; start < size; start += MOVED * blockDim.x) {
        float values[MOVED];
#pragma unroll
        for (int e = 0; e < MOVED; ++e) {
            const int i = start + e * blockDim.x + threadIdx.x;
            const int from = min(i / row + shift, size / row - 1) * row + i % row;
            values[e] = i < size ? rows[from] : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int e = 0; e < MOVED; ++e) {
            const int i = start + e * blockDim.x + threadIdx.x;
            if (i < size && moves(i)) rows[i] = values[e];
        }
        __syncthreads();
    }
}

// Take over what the host gives, move the belief, and read the numbers of the plugins. One block.
extern "C" __global__ void __launch_bounds__(1024) begin(const Arguments a) {
    __shared__ Header header;
    if (threadIdx.x == 0) {
        header = *a.given_header;
        *a.header = header;
    }
    for (int i = threadIdx.x; i < a.count; i += blockDim.x) a.inputs[i] = a.given[i];
    gather_numbers(a);
    for (int i = threadIdx.x; i < a.modes; i += blockDim.x) a.best_cost[i] = INFINITY;
    __syncthreads();
    follow_commands(a);
    const int row = NU * a.modes, size = a.knots * row;
    if (header.shift) {
        const int wide = row * a.slots, kept = a.knots - header.shift;
        move(a.mean, size, row, kept, [](int) { return true; });
        move(a.std, size, row, kept, [](int) { return true; });
        // What a policy proposes is not moved: it is new in each plan.
        move(a.injected, size * a.slots, wide, kept, [&](int i) { return i % a.slots < a.moved; });
    }
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        const float initial = a.std_initial[i / a.modes];
        const bool stays = header.carry > 0.0f && i / row < a.knots - header.shift;
        a.std[i] = stays ? initial + header.carry * (a.std[i] - initial) : initial;
    }
    for (int i = threadIdx.x; header.near && i < row; i += blockDim.x) {
        const int u = i / a.modes;
        float before = a.before[u], reach = a.first_reach[u];
        for (int p = 0; p < a.knots; ++p) {
            before = within_reach(a.mean[p * row + i], before, reach, a.low[u], a.high[u]);
            a.mean[p * row + i] = before;
            reach = a.step_reach[u];
        }
    }
}

// Four numbers of 32 bits by Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3,
// 2011), a function of counter and key alone.
static __device__ inline void philox(unsigned (&c)[4], unsigned key0, unsigned key1) {
    for (int round = 0; round < 10; ++round) {
        const unsigned high0 = __umulhi(0xD2511F53u, c[0]), low0 = 0xD2511F53u * c[0];
        const unsigned high1 = __umulhi(0xCD9E8D57u, c[2]), low1 = 0xCD9E8D57u * c[2];
        c[0] = high1 ^ c[1] ^ key0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

// Two standard normal numbers by Box-Muller.
static __device__ inline void normal(unsigned one, unsigned two, float& even, float& odd) {
    const float u = float((one >> 8) + 1) * 5.9604645e-8f;  // (0, 1]
    const float v = float(two >> 8) * 5.9604645e-8f;        // [0, 1)
    const float radius = sqrtf(-2.0f * logf(u));
    float sine, cosine;
    sincospif(2.0f * v, &sine, &cosine);
    even = radius * cosine;
    odd = radius * sine;
}

// Multiply with the lower triangular factor of an action, in place: the last tiles first, so that no row
// is written that is still to be read. z (P, pitch); a lane has the candidates 2 lane and 2 lane + 1.
static __device__ __forceinline__ void colour(const Arguments& a, int u, float* z, long long pitch) {
    const int lane = threadIdx.x % LANES, warps = blockDim.x / LANES;
    const int tiles = (a.knots + TILE - 1) / TILE;
    z += 2 * lane;
    for (int round = 0; round * warps < tiles; ++round) {
        const int tile = tiles - 1 - round * warps - int(threadIdx.x) / LANES, top = tile * TILE;
        const int end = min(top + TILE, a.knots);
        float2 sum[TILE] = {};
        if (tile >= 0) {
            const float4* factor =
                (const float4*)(a.factor + (long long)(u * tiles + tile) * a.knots * TILE);
#pragma unroll 4
            for (int q = 0; q < end; ++q) {
                const float2 value = *(const float2*)(z + q * pitch);
#pragma unroll
                for (int t = 0; t < TILE; t += 4) {
                    const float4 f = __ldg(factor + (q * TILE + t) / 4);
                    sum[t].x += f.x * value.x, sum[t].y += f.x * value.y;
                    sum[t + 1].x += f.y * value.x, sum[t + 1].y += f.y * value.y;
                    sum[t + 2].x += f.z * value.x, sum[t + 2].y += f.z * value.y;
                    sum[t + 3].x += f.w * value.x, sum[t + 3].y += f.w * value.y;
                }
            }
        }
        __syncthreads();
#pragma unroll
        for (int t = 0; t < TILE; ++t)
            if (tile >= 0 && top + t < end) *(float2*)(z + (top + t) * pitch) = sum[t];
        __syncthreads();
    }
}

// The normal deviate z of mean and std, mapped into [low, high] by its quantile. A quantile is taken in
// the tail that it lies in: near one, float32 has few numbers left.
static __device__ float truncated(float mean, float std, float z, float low, float high) {
    const float a = (low - mean) / std, b = (high - mean) / std;
    const bool upper = a > 0.0f;
    const float below = normcdff(upper ? -b : a), above = normcdff(upper ? -a : b);
    const float share = normcdff(upper ? -z : z);
    const float x = normcdfinvf(below + (above - below) * share);
    return mean + std * (upper ? -x : x);
}

// Write the knots of DRAWN candidates for one action, within bounds and rates. z (P, pitch) is room for
// their noise.
static __device__ __forceinline__ void sample_block(const Arguments& a, float* z, long long pitch) {
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, warps = blockDim.x / LANES;
    const int first = blockIdx.x * DRAWN + 2 * lane, u = blockIdx.y;
    float* own = z + 2 * lane;
    for (int quad = warp; quad * 4 < a.knots; quad += warps) {
        float drawn[2][4];
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            unsigned bits[4] = {unsigned(first + c), unsigned(quad), unsigned(a.iteration), unsigned(u)};
            philox(bits, a.seed, a.header->plan);
            normal(bits[0], bits[1], drawn[c][0], drawn[c][1]);
            normal(bits[2], bits[3], drawn[c][2], drawn[c][3]);
        }
#pragma unroll
        for (int i = 0; a.noise && i < 4; ++i) {
            const int row = min(quad * 4 + i, a.knots - 1) * NU + u;
            for (int c = 0; c < 2; ++c)
                drawn[c][i] = a.noise[(long long)row * a.total + min(first + c, a.total - 1)];
        }
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (quad * 4 + i < a.knots)
                *(float2*)(own + (quad * 4 + i) * pitch) = float2{drawn[0][i], drawn[1][i]};
    }
    __syncthreads();
    if (a.factor && !a.noise) colour(a, u, z, pitch);
    const float low = a.low[u], high = a.high[u];
    const float first_reach = a.first_reach[u], step_reach = a.step_reach[u];
    const bool is_limited = first_reach < INFINITY || step_reach < INFINITY;
    const bool is_spline = a.sequence != a.candidates;
    float* out = a.candidates + (long long)u * a.stride + first;
    const long long row = (long long)NU * a.stride;
    int mode[2], place[2];
    bool explores[2], slot[2];
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        mode[c] = min((first + c) / a.samples, a.modes - 1);
        place[c] = first + c - mode[c] * a.samples;
        explores[c] = place[c] >= a.samples - a.explorers;
        slot[c] = place[c] < a.slots && a.header->use[a.iteration * a.slots + place[c]];
    }
    for (int p = warp; p < a.knots; p += warps) {
        const float2 noise = *(const float2*)(own + p * pitch);
        float x[2] = {noise.x, noise.y};
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            const int of_mode = (p * NU + u) * a.modes + mode[c];
            const float mean = a.mean[of_mode];
            const float std = explores[c] ? a.std_initial[p * NU + u] : a.std[of_mode];
            if (slot[c])
                x[c] = a.injected[of_mode * a.slots + place[c]];
            else if (a.truncate)
                x[c] = truncated(mean, std, x[c], low, high);
            else
                x[c] = mean + std * x[c];
        }
        if (!is_limited) x[0] = clipped(x[0], low, high), x[1] = clipped(x[1], low, high);
        *(float2*)((is_limited ? own + p * pitch : out + p * row)) = float2{x[0], x[1]};
        if (is_spline) *(float2*)(own + p * pitch) = float2{x[0], x[1]};
    }
    if (!is_limited && !is_spline) return;
    __syncthreads();
    float before[2] = {a.before[u], a.before[u]}, reach = first_reach;
    for (int p = 0; is_limited && warp == 0 && p < a.knots; ++p) {
        const float2 wanted = *(const float2*)(own + p * pitch);
        const float x[2] = {wanted.x, wanted.y};
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            before[c] = within_reach(x[c], before[c], reach, low, high);
        }
        reach = step_reach;
        *(float2*)(out + p * row) = float2{before[0], before[1]};
        if (is_spline) *(float2*)(own + p * pitch) = float2{before[0], before[1]};
    }
    if (!is_spline) return;
    __syncthreads();
    for (int k = warp; k < a.horizon; k += warps) {
        const int cell = a.header->phase + k, knot = cell / a.spacing;
        const float* basis = a.basis + (cell - knot * a.spacing) * (a.order + 1);
        float2 action = {0.0f, 0.0f};
        for (int o = 0; o <= a.order; ++o) {
            const float2 value = *(const float2*)(own + (knot + o) * pitch);
            action.x += basis[o] * value.x, action.y += basis[o] * value.y;
        }
        *(float2*)(a.sequence + (long long)u * a.stride + first + k * row) = action;
    }
}

extern "C" __global__ void __launch_bounds__(512) sample(const Arguments a) {
    DYNAMIC_SHARED(z);
    sample_block(a, z, DRAWN);
}

// The same where the noise of DRAWN candidates exceeds what a block shares: it lies where their knots
// will. A row of candidates has room for whole blocks.
extern "C" __global__ void __launch_bounds__(512) sample_long(const Arguments a) {
    float* z = a.candidates + (long long)blockIdx.y * a.stride + blockIdx.x * DRAWN;
    sample_block(a, z, (long long)NU * a.stride);
}

// What a candidate's deviation from the mean is multiplied with for the control cost of MPPI, Sigma^-1 u,
// where Sigma is that of the noise over the knots. It is close to singular, hence double.
extern "C" __global__ void drift(const Arguments a) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, row = NU * a.modes;
    if (i >= a.knots * row) return;
    const int p = i / row, u = i / a.modes % NU;
    double sum = 0.0;
    for (int q = a.precision ? 0 : p; q < (a.precision ? a.knots : p + 1); ++q) {
        const int j = q * row + i % row;
        const double of = a.precision ? a.precision[((long long)u * a.knots + p) * a.knots + q] : 1.0;
        sum += of * (double(a.mean[j]) / double(a.std[j]));
    }
    a.drift[i] = sum / double(a.std[i]);
}

// The control cost of each candidate.
extern "C" __global__ void control(const Arguments a) {
    const int number = blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= a.total) return;
    const int mode = number / a.samples;
    double sum = 0.0;
    for (int row = 0; row < a.knots * NU; ++row) {
        const int i = row * a.modes + mode;
        const float x = a.candidates[(long long)row * a.stride + number];
        sum += a.drift[i] * double(x - a.mean[i]);
    }
    a.control[number] = a.control_cost * float(sum);
}

// One cost of those (members, stride) that each candidate has under the members of a model.
extern "C" __global__ void combine(const Arguments a) {
    const int number = blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= a.total) return;
    const float* own = a.costs + number;
    float mean = 0.0f, variance = 0.0f;
    for (int p = 0; p < a.members; ++p) mean += own[(long long)p * a.stride];
    mean /= float(a.members);
    for (int p = 0; p < a.members; ++p) {
        const float deviation = own[(long long)p * a.stride] - mean;
        variance += deviation * deviation;
    }
    float combined = mean;  // NaN or infinite as soon as that of a member is
    if (is_finite(mean) && (a.risk == RISK_WORST || a.risk == RISK_CVAR)) {
        const int tail = a.risk == RISK_WORST ? 1 : a.tail;
        combined = 0.0f;
        for (int p = 0; p < a.members; ++p) {
            const float cost = own[(long long)p * a.stride];
            int worse = 0;  // members that cost more, or as much and come first
            for (int q = 0; q < a.members; ++q) {
                const float other = own[(long long)q * a.stride];
                worse += other > cost || (other == cost && q < p);
            }
            if (worse < tail) combined += cost;
        }
        combined /= float(tail);
    }
    if (a.risk == RISK_MEAN_STD) combined += a.std_factor * sqrtf(variance / float(a.members));
    a.costs[number] = combined;
}

// The bits of positive floats ascend with them, those of negative ones descend.
static __device__ __forceinline__ unsigned key_of(float cost) {
    const unsigned bits = __float_as_uint(is_finite(cost) ? cost : INFINITY);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static __device__ __forceinline__ float cost_of(Key key) {
    const unsigned bits = unsigned(key >> 32);
    return __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
}

// The counts of three pivots over a block, at all of its threads. A thread's are 31 at most.
static __device__ __forceinline__ int3 sums_of_block(int3 counts, int (*room)[LANES], int turn) {
    int* sums = room[turn & 1];
    const int warps = blockDim.x / LANES, lane = threadIdx.x % LANES;
    const int packed = sum_of_warp(counts.x | counts.y << 10 | counts.z << 20);
    if (lane == 0) sums[threadIdx.x / LANES] = packed;
    __syncthreads();
    const int all = lane < warps ? sums[lane] : 0;
    const int two = sum_of_warp((all & 1023) | (all >> 10 & 1023) << 16);
    return int3{two & 0xffff, two >> 16, sum_of_warp(all >> 20)};
}

// Call a function with the place and the key of each cost that this thread has.
template <int EACH, class KeyAt, class Function>
static __device__ __forceinline__ void each(const unsigned* held, int given, KeyAt key,
                                            Function function) {
    if (EACH) {
#pragma unroll
        for (int e = 0; e < EACH; ++e)
            function(e * int(blockDim.x) + int(threadIdx.x), held[e]);
    } else {
        for (int i = threadIdx.x; i < given; i += blockDim.x) function(i, key(i));
    }
}

// The `count` least of `given` costs, in no order, into `list`. Each thread holds up to EACH of them, or,
// with EACH 0, reads them again in every round. `key` and `number` are functions of the place. The
// greatest of them is found two bits a round; the search ends as soon as `count` lie below.
template <int EACH, class KeyAt, class NumberAt>
static __device__ __forceinline__ void least(int given, int count, Key* list, KeyAt key,
                                             NumberAt number) {
    __shared__ int sums[2][LANES];
    __shared__ int place;
    const int size = blockDim.x;
    unsigned held[EACH ? EACH : 1];
#pragma unroll
    for (int e = 0; e < EACH; ++e) {
        const int i = e * size + threadIdx.x;
        held[e] = i < given ? key(i) : ~0u;
    }
    if (threadIdx.x == 0) place = 0;
    unsigned below = 0;  // `found` keys are less, `count` or fewer
    int found = 0, turn = 0;
    bool done = count >= given;
    for (int shift = 30; shift >= 0 && !done; shift -= 2) {
        const unsigned pivots[3] = {below + (1u << shift), below + (2u << shift), below + (3u << shift)};
        int3 less = {0, 0, 0};
        each<EACH>(held, given, key, [&](int, unsigned k) {
            less.x += k < pivots[0], less.y += k < pivots[1], less.z += k < pivots[2];
        });
        if (EACH) {
            less = sums_of_block(less, sums, turn++);
        } else {
            less.x = sum_of_block(less.x, sums, turn++);
            less.y = sum_of_block(less.y, sums, turn++);
            less.z = sum_of_block(less.z, sums, turn++);
        }
        if (less.x <= count) below = pivots[0], found = less.x;
        if (less.y <= count) below = pivots[1], found = less.y;
        if (less.z <= count) below = pivots[2], found = less.z;
        done = found == count;
    }
    // Of those that cost as much as the greatest, the ones with the least numbers.
    unsigned before = 0;
    for (int bit = 31; bit >= 0 && !done; --bit) {
        const unsigned pivot = before | 1u << bit;
        int less = 0;
        each<EACH>(held, given, key, [&](int i, unsigned k) {
            less += k == below && i < given && number(i) < pivot;
        });
        less = sum_of_block(less, sums, turn++);
        if (found + less <= count) before = pivot;
        done = found + less == count;
    }
    if (count >= given) below = ~0u;
    __syncthreads();
    each<EACH>(held, given, key, [&](int i, unsigned k) {
        if (i < given && (k < below || (k == below && number(i) < before)))
            list[atomicAdd(&place, 1)] = Key(k) << 32 | number(i);
    });
    __syncthreads();
}

// What candidates of a mode are chosen by: their costs, and what their deviation from the mean costs.
struct Scores {
    const float *costs, *control;

    __device__ __forceinline__ Scores(const Arguments& a, int mode)
        : costs(a.costs + mode * a.samples),
          control(a.control ? a.control + mode * a.samples : nullptr) {}

    __device__ __forceinline__ float operator[](int i) const {
        return control ? costs[i] + control[i] : costs[i];
    }
};

// The least key of all threads of a block, at the first warp. `room` is shared memory.
static __device__ __forceinline__ Key least_of_block(Key key, Key* room) {
    for (int step = LANES / 2; step; step /= 2) {
        const Key other = __shfl_xor_sync(ALL, key, step);
        key = other < key ? other : key;
    }
    const int lane = threadIdx.x % LANES;
    if (lane == 0) room[threadIdx.x / LANES] = key;
    __syncthreads();
    key = lane < int(blockDim.x) / LANES ? room[lane] : ~Key(0);
    for (int step = LANES / 2; step; step /= 2) {
        const Key other = __shfl_xor_sync(ALL, key, step);
        key = other < key ? other : key;
    }
    return key;
}

// The elites among each 4 times as many candidates as a block has threads, where there are very many.
extern "C" __global__ void __launch_bounds__(1024) narrow(const Arguments a) {
    const int mode = blockIdx.y, size = 4 * blockDim.x, from = blockIdx.x * size;
    const Scores scores(a, mode);
    Key* list = a.narrowed + (long long)(mode * a.chunks + blockIdx.x) * a.elites;
    const int given = min(size, a.samples - from);
    for (int i = given + threadIdx.x; i < a.elites; i += blockDim.x) list[i] = ~Key(0);
    least<4>(given, min(a.elites, given), list, [&](int i) { return key_of(scores[from + i]); },
             [&](int i) { return unsigned(from + i); });
}

// The elites of a mode, cheapest first, and the weights of all that count. One block for each mode.
template <int EACH>
static __device__ __forceinline__ void select_block(const Arguments& a) {
    __shared__ Key shared[2][LISTED];
    __shared__ int ranks[LISTED];
    __shared__ float float_sums[2][LANES];
    __shared__ int int_sums[2][LANES];
    const int mode = blockIdx.x, size = blockDim.x, elites = a.elites;
    const float* costs = a.costs + mode * a.samples;
    const Scores scores(a, mode);
    const bool is_short = elites <= LISTED;
    Key* list = is_short ? shared[0] : a.listed + (long long)mode * 2 * elites;
    Key* sorted = is_short ? shared[1] : list + elites;
    int* index = a.index + (long long)mode * elites;
    float* weight = a.weight + mode * (a.weighting == WEIGHTING_SOFTMAX ? a.samples : elites);
    int valid = 0;
#pragma unroll 4
    for (int i = threadIdx.x; i < a.samples; i += size) valid += is_finite(costs[i]);
    if (a.narrowed) {
        const Key* narrowed = a.narrowed + (long long)mode * a.chunks * elites;
        least<EACH>(a.chunks * elites, elites, list,
                    [&](int i) { return unsigned(narrowed[i] >> 32); },
                    [&](int i) { return unsigned(narrowed[i]); });
    } else {
        least<EACH>(a.samples, elites, list, [&](int i) { return key_of(scores[i]); },
                    [](int i) { return unsigned(i); });
    }
    // Each is put where as many come before it as are less. Several threads count for one.
    int parts = 1;
    while (is_short && 2 * parts * elites <= size) parts *= 2;
    for (int i = threadIdx.x; is_short && i < elites; i += size) ranks[i] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < elites * parts; i += size) {
        const Key key = list[i / parts];
        int rank = 0;
#pragma unroll 8
        for (int j = i % parts; j < elites; j += parts) rank += list[j] < key;
        if (is_short)
            atomicAdd(&ranks[i / parts], rank);
        else
            sorted[rank] = key;
    }
    __syncthreads();
    for (int i = threadIdx.x; is_short && i < elites; i += size) sorted[ranks[i]] = list[i];
    __syncthreads();
    const float lowest = cost_of(sorted[0]);
    float total = 0.0f;
    for (int i = threadIdx.x; i < elites; i += size) {
        const float score = cost_of(sorted[i]);
        index[i] = int(unsigned(sorted[i]));
        if (a.weighting == WEIGHTING_SOFTMAX) continue;
        const float w = !is_finite(score) ? 0.0f : a.weighting == WEIGHTING_RANK ? a.ranks[i] : 1.0f;
        weight[i] = w;
        total += w;
    }
    for (int i = threadIdx.x; a.weighting == WEIGHTING_SOFTMAX && i < a.samples; i += size) {
        const float score = scores[i];
        const float w = is_finite(score) ? expf((lowest - score) / *a.temperature) : 0.0f;
        weight[i] = w;
        total += w;
    }
    total = sum_of_block(total, float_sums, 0);
    valid = sum_of_block(valid, int_sums, 0);
    Key first = sorted[0];
    if (a.control) {  // The best candidate is the cheapest, whatever its control cost.
        first = Key(key_of(INFINITY)) << 32;
        for (int i = threadIdx.x; i < a.samples; i += size) {
            const Key key = Key(key_of(costs[i])) << 32 | unsigned(i);
            if (is_finite(scores[i]) && key < first) first = key;
        }
        first = least_of_block(first, list);
    }
    if (threadIdx.x == 0) {
        const float cheapest = cost_of(first), best = a.best_cost[mode];
        const bool better = cheapest < best;
        if (better) a.best_cost[mode] = cheapest;
        a.chosen[mode] = {total, valid, better, int(unsigned(first))};
        if (a.is_last) {
            float* costs_of_modes = a.result + 2 * a.knots * NU * a.modes;
            costs_of_modes[mode] = better ? cheapest : best;
            costs_of_modes[a.modes + mode] = float(valid) / float(a.samples);
        }
    }
}

extern "C" __global__ void __launch_bounds__(1024) select_4(const Arguments a) { select_block<4>(a); }
extern "C" __global__ void __launch_bounds__(1024) select_8(const Arguments a) { select_block<8>(a); }
extern "C" __global__ void __launch_bounds__(1024) select_16(const Arguments a) { select_block<16>(a); }
extern "C" __global__ void __launch_bounds__(1024) select_any(const Arguments a) { select_block<0>(a); }

// Fit one row of knots of one mode to its candidates. A block for each.
extern "C" __global__ void refit(const Arguments a) {
    __shared__ float sums[2][LANES];
    const int row = blockIdx.x, mode = blockIdx.y, of_mode = row * a.modes + mode;
    const Chosen chosen = a.chosen[mode];
    const float* x = a.candidates + (long long)row * a.stride + mode * a.samples;
    const int* index = a.index + (long long)mode * a.elites;
    float* injected = a.injected + (long long)of_mode * a.slots;
    if (chosen.total > 0.0f) {  // else no candidate is valid: everything stays
        const int count = a.weighting == WEIGHTING_SOFTMAX ? a.samples : a.elites;
        const float* weight = a.weight + mode * count;
        float mean = 0.0f, variance = 0.0f;
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            const float w = weight[i];
            const float value = x[a.weighting == WEIGHTING_SOFTMAX ? i : index[i]];
            if (w > 0.0f) mean += w * value;  // without weight it may be NaN
        }
        mean = sum_of_block(mean, sums, 0) / chosen.total;
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            const float w = weight[i], deviation = x[a.weighting == WEIGHTING_SOFTMAX ? i : index[i]] - mean;
            if (w > 0.0f) variance += w * deviation * deviation;
        }
        variance = sum_of_block(variance, sums, 1);
        for (int i = threadIdx.x; i < a.kept; i += blockDim.x) injected[i] = x[index[i]];
        if (threadIdx.x == 0) {
            const float keep = *a.momentum, std = sqrtf(variance / chosen.total);
            const float refitted = (1.0f - keep) * std + keep * a.std[of_mode];
            a.mean[of_mode] = (1.0f - keep) * mean + keep * a.mean[of_mode];
            a.std[of_mode] = fmaxf(refitted, a.std_min[row % NU]);
            injected[a.kept] = a.mean[of_mode];
            if (chosen.better) injected[a.kept + 1] = x[chosen.cheapest];
        }
    }
    if (threadIdx.x == 0 && a.is_last) {
        a.result[of_mode] = a.mean[of_mode];
        a.result[a.knots * NU * a.modes + of_mode] = injected[a.kept + 1];
    }
}
