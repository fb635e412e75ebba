// Copyright 2026 the contributors of cem_planner_ros
// SPDX-License-Identifier: Apache-2.0
// CUDA's threads on a CPU, as far as the kernels use them: those of a block take turns, from barrier to
// barrier. `backwards` lets the last one go first, which changes results where a barrier is missing.

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <cmath>
#include <vector>

#define __CUDACC__
#define __global__
#define __launch_bounds__(threads)
#define __device__
#define __forceinline__ inline
#define __constant__
#define __shared__ static
#define DYNAMIC_SHARED(name) float* name = block_shares

struct Index { int x, y, z; };
static Index blockIdx, threadIdx, blockDim;
static float* block_shares;
static bool backwards;

namespace emulation {
enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Fiber {
    ucontext_t context;
    jmp_buf place;
    State state = DONE;
    bool is_made = false;
    std::vector<char> stack;
};
static std::vector<Fiber*> fibers;
static std::vector<unsigned long long> slots[2];  // what the lanes of a warp show one another
static std::vector<int> turns;                    // of each thread
static ucontext_t scheduler;
static jmp_buf back;
static void (*entry)();

// A jump takes a tenth of the time of swapcontext, which is only for going to a new stack.
static void wait(State state) {
    Fiber& self = *fibers[threadIdx.x];
    self.state = state;
    if (!_setjmp(self.place)) _longjmp(back, 1);
}

static void body() {
    for (;;) {  // A thread is used again, for the next block.
        entry();
        wait(DONE);
    }
}

static void resume(Fiber& fiber) {
    if (_setjmp(back)) return;
    if (fiber.is_made) _longjmp(fiber.place, 1);
    fiber.is_made = true;
    fiber.stack.resize(1 << 17);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    makecontext(&fiber.context, body, 0);
    swapcontext(&scheduler, &fiber.context);
}

static bool all(int from, int to, State state) {
    bool any = false;
    for (int i = from; i < to; ++i) {
        if (fibers[i]->state == DONE) continue;
        if (fibers[i]->state != state) return false;
        any = true;
    }
    return any;
}

static void run_block(int threads) {
    while (int(fibers.size()) < threads) fibers.push_back(new Fiber);
    for (auto& slot : slots) slot.assign(threads, 0);
    turns.assign(threads, 0);
    for (int i = 0; i < threads; ++i) fibers[i]->state = READY;
    for (bool moved = true; moved;) {
        moved = false;
        for (int n = 0; n < threads; ++n) {
            const int i = backwards ? threads - 1 - n : n;
            if (fibers[i]->state != READY) continue;
            threadIdx = {i, 0, 0};
            resume(*fibers[i]);
            moved = true;
        }
        for (int from = 0; from < threads; from += 32) {
            const int to = from + 32 < threads ? from + 32 : threads;
            if (!all(from, to, AT_WARP)) continue;
            for (int i = from; i < to; ++i)
                if (fibers[i]->state == AT_WARP) fibers[i]->state = READY;
            moved = true;
        }
        if (all(0, threads, AT_BLOCK)) {
            for (int i = 0; i < threads; ++i)
                if (fibers[i]->state == AT_BLOCK) fibers[i]->state = READY;
            moved = true;
        }
    }
    for (int i = 0; i < threads; ++i) {
        if (fibers[i]->state == DONE) continue;
        fprintf(stderr, "thread %d waits for others that do not come\n", i);
        abort();
    }
}
}  // namespace emulation

static inline void __syncthreads() { emulation::wait(emulation::AT_BLOCK); }

template <class T>
static inline T __shfl_xor_sync(unsigned, T value, int other) {
    const int self = threadIdx.x, turn = emulation::turns[self]++ & 1;
    memcpy(&emulation::slots[turn][self], &value, sizeof value);
    emulation::wait(emulation::AT_WARP);
    memcpy(&value, &emulation::slots[turn][self ^ other], sizeof value);
    return value;
}

static inline int atomicAdd(int* place, int value) {
    const int before = *place;
    *place += value;
    return before;
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return unsigned((unsigned long long)a * b >> 32);
}
struct int3 { int x, y, z; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
static inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof x);
    return bits;
}
template <class T> static inline T __ldg(const T* place) { return *place; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline void sincospif(float x, float* s, float* c) {
    *s = float(sin(M_PI * double(x)));
    *c = float(cos(M_PI * double(x)));
}
static inline float normcdff(float x) { return float(0.5 * erfc(-double(x) * M_SQRT1_2)); }
static inline float normcdfinvf(float p) {
    if (!(p > 0.0f)) return p == 0.0f ? -INFINITY : NAN;
    if (!(p < 1.0f)) return p == 1.0f ? INFINITY : NAN;
    double low = -40.0, high = 10.0;
    for (int i = 0; i < 80; ++i) {
        const double middle = 0.5 * (low + high);
        (0.5 * erfc(-middle * M_SQRT1_2) < double(p) ? low : high) = middle;
    }
    return float(0.5 * (low + high));
}
