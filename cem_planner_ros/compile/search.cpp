// Copyright 2026 the contributors of cem_planner_ros
// SPDX-License-Identifier: Apache-2.0
// The search on the CPU: sample, bound, roll out, score, weigh, refit, and again.
//
// cpu.py puts NU, INSTANT, BLOCK, TILE and kernel.h before this text. Nothing else here depends on the
// model, so this is compiled once and calls what rollout.cpp was made into. What is computed is stated
// in search.py; noise.py and spline.py make `factor`, `first` and `basis`.

#include <omp.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <vector>

// Floats in a register: with wider vectors the sums of a tile would not stay in registers.
#if defined(__AVX512F__)
constexpr long WIDTH = 16;
#elif defined(__AVX__)
constexpr long WIDTH = 8;
#else
constexpr long WIDTH = 4;
#endif
typedef float Lanes __attribute__((vector_size(WIDTH * sizeof(float)), may_alias));

static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// A hash of 32 bits (Wellons' lowbias32); it seeds the generators, one a sample.
static inline uint32_t hash(uint32_t x) {
    x ^= x >> 16; x *= 0x7feb352du;
    x ^= x >> 15; x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

// One number of 24 bits of each sample's xoshiro128++ generator (Blackman and Vigna, 2021).
static inline int32_t next(uint32_t& s0, uint32_t& s1, uint32_t& s2, uint32_t& s3) {
    const uint32_t sum = s0 + s3, t = s1 << 9;
    const uint32_t bits = ((sum << 7) | (sum >> 25)) + s0;
    s2 ^= s0; s3 ^= s1; s1 ^= s2; s0 ^= s3; s2 ^= t;
    s3 = (s3 << 11) | (s3 >> 21);
    return int32_t(bits >> 8);
}

// Standard normal noise for a block of samples, by Box-Muller. What a sample draws
// depends on seed, plan, iteration and its number alone, not on threads or time.
static void draw(const Arguments& a, long iteration, long begin, float* noise) {
    alignas(64) uint32_t s0[BLOCK], s1[BLOCK], s2[BLOCK], s3[BLOCK];
    const uint32_t key = hash(hash(hash(a.seed ^ 0x9e3779b9u) + a.plan) + uint32_t(iteration));
    for (long lane = 0; lane < BLOCK; ++lane) {
        const uint32_t sample = hash(key + uint32_t(begin + lane));
        s0[lane] = hash(sample ^ 0xa511e9b3u);
        s1[lane] = hash(sample ^ 0x63d83595u);
        s2[lane] = hash(sample + 0x7f4a7c15u);
        s3[lane] = hash(sample + 0x1b873593u) | 1u;  // never all zero
    }
    const long rows = a.knots * NU;
    for (long row = 0; row < rows; row += 2) {
        float* even = noise + row * BLOCK;
        float* odd = noise + (row + 1) * BLOCK;
        #pragma omp simd
        for (long lane = 0; lane < BLOCK; ++lane) {
            const int32_t one = next(s0[lane], s1[lane], s2[lane], s3[lane]);
            const int32_t two = next(s0[lane], s1[lane], s2[lane], s3[lane]);
            const float u = float(one + 1) * 5.9604645e-8f;  // (0, 1]
            const float v = float(two) * 5.9604645e-8f;      // [0, 1)
            const float square = -2.0f * logarithm(u);
            const float radius = sqrtf(square > 0.0f ? square : 0.0f);
            even[lane] = radius * sine(6.28318531f * v, 1.0f);
            odd[lane] = radius * sine(6.28318531f * v, 0.0f);
        }
    }
}

// Multiply with the lower triangular factor, in place: the last knots first. The sums of a tile of
// knots stay in registers, so that a product costs no store.
static void colour(const Arguments& a, float* noise) {
    const long tiles = (a.knots + TILE - 1) / TILE;
    for (long u = 0; u < NU; ++u) {
        for (long tile = tiles - 1; tile >= 0; --tile) {
            const long top = tile * TILE, end = std::min(top + TILE, a.knots);
            const float* factor = a.factor + (u * tiles + tile) * a.knots * TILE;
            for (long lane = 0; lane < BLOCK; lane += WIDTH) {
                Lanes sum[TILE] = {};
                for (long q = 0; q < end; ++q) {
                    const Lanes z = *(const Lanes*)(noise + (q * NU + u) * BLOCK + lane);
                    for (long t = 0; t < TILE; ++t) sum[t] += factor[q * TILE + t] * z;
                }
                for (long p = top; p < end; ++p)
                    *(Lanes*)(noise + (p * NU + u) * BLOCK + lane) = sum[p - top];
            }
        }
    }
}

static inline double normal_cdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752); }

// The quantile of the normal distribution (Acklam's rational approximation and one Newton step).
static double normal_quantile(double p) {
    if (!(p > 1e-300)) return -38.0;
    if (!(p < 1.0 - 1e-16)) return 8.3;
    const double q = p < 0.5 ? p : 1.0 - p;
    double x;
    if (q < 0.02425) {
        const double t = sqrt(-2.0 * log(q));
        x = (((((-7.784894002430293e-3 * t - 3.223964580411365e-1) * t - 2.400758277161838) * t
               - 2.549732539343734) * t + 4.374664141464968) * t + 2.938163982698783)
            / ((((7.784695709041462e-3 * t + 3.224671290700398e-1) * t + 2.445134137142996) * t
                + 3.754408661907416) * t + 1.0);
    } else {
        const double t = q - 0.5, r = t * t;
        x = (((((-3.969683028665376e1 * r + 2.209460984245205e2) * r - 2.759285104469687e2) * r
               + 1.383577518672690e2) * r - 3.066479806614716e1) * r + 2.506628277459239) * t
            / (((((-5.447609879822406e1 * r + 1.615858368580409e2) * r - 1.556989798598866e2) * r
                 + 6.680131188771972e1) * r - 1.328068155288572e1) * r + 1.0);
    }
    x -= (normal_cdf(x) - q) * 2.50662827463100050 * exp(0.5 * x * x);
    return p < 0.5 ? x : -x;
}

// What a candidate's deviation from the mean is multiplied with for the control cost of MPPI,
// (P, NU, M): Sigma^-1 u, where Sigma is that of the noise over the knots.
static std::vector<double> drift(const Arguments& a) {
    std::vector<double> result(a.control_cost > 0.0f ? a.knots * NU * a.modes : 0);
    for (long i = 0; i < long(result.size()); ++i) {
        const long m = i % a.modes, u = i / a.modes % NU, p = i / a.modes / NU;
        const auto scaled = [&](long q) {
            const long j = (q * NU + u) * a.modes + m;
            return double(a.mean[j]) / a.std[j];
        };
        if (a.precision) {
            const double* row = a.precision + (u * a.knots + p) * a.knots;
            for (long q = 0; q < a.knots; ++q) result[i] += row[q] * scaled(q);
        } else {
            result[i] = scaled(p);
        }
        result[i] /= a.std[i];
    }
    return result;
}

// Write the knots of a block of candidates, within bounds and rates, and their control costs.
static void sample(const Arguments& a, long iteration, long begin,
                   const std::vector<double>& drift, float* noise) {
    const long samples = a.samples[iteration], explorers = a.explorers[iteration];
    const bool* use = a.use + iteration * a.slots;
    if (a.noise) {
        for (long row = 0; row < a.knots * NU; ++row)
            std::copy_n(a.noise + row * a.stride + begin, BLOCK, noise + row * BLOCK);
    } else {
        draw(a, iteration, begin, noise);
        if (a.factor) colour(a, noise);
    }
    long mode[BLOCK], place[BLOCK];
    bool has_slots = false;
    for (long lane = 0; lane < BLOCK; ++lane) {
        mode[lane] = std::min((begin + lane) / samples, a.modes - 1);
        place[lane] = begin + lane - mode[lane] * samples;
        has_slots |= place[lane] < a.slots;
    }
    const bool one_mode = mode[0] == mode[BLOCK - 1];
    double control[BLOCK] = {};
    for (long u = 0; u < NU; ++u) {
        float before[BLOCK];
        for (long lane = 0; lane < BLOCK; ++lane) before[lane] = a.before[u];
        for (long p = 0; p < a.knots; ++p) {
            const long row = p * NU + u;
            const float* z = noise + row * BLOCK;
            float* out = a.candidates + row * a.stride + begin;
            const float reach = p ? a.step_reach[u] : a.first_reach[u];
            const float low = a.low[u], high = a.high[u];
            float mean[BLOCK], std[BLOCK];
            if (one_mode) {
                std::fill_n(mean, BLOCK, a.mean[row * a.modes + mode[0]]);
                std::fill_n(std, BLOCK, a.std[row * a.modes + mode[0]]);
            } else {
                for (long lane = 0; lane < BLOCK; ++lane) {
                    mean[lane] = a.mean[row * a.modes + mode[lane]];
                    std[lane] = a.std[row * a.modes + mode[lane]];
                }
            }
            for (long lane = 0; explorers && lane < BLOCK; ++lane)
                if (place[lane] >= samples - explorers) std[lane] = a.std_initial[row];
            for (long lane = 0; lane < BLOCK; ++lane) out[lane] = mean[lane] + std[lane] * z[lane];
            if (a.truncate) {
                for (long lane = 0; lane < BLOCK; ++lane) {
                    const double below = normal_cdf((low - mean[lane]) / std[lane]);
                    const double above = normal_cdf((high - mean[lane]) / std[lane]);
                    const double q = below + (above - below) * normal_cdf(z[lane]);
                    out[lane] = mean[lane] + std[lane] * float(normal_quantile(q));
                }
            }
            for (long lane = 0; has_slots && lane < BLOCK; ++lane) {
                if (place[lane] < a.slots && use[place[lane]])
                    out[lane] = a.injected[(row * a.modes + mode[lane]) * a.slots + place[lane]];
            }
            #pragma omp simd
            for (long lane = 0; lane < BLOCK; ++lane) {
                const float least = before[lane] - reach, most = before[lane] + reach;
                float x = out[lane];
                x = x > most ? most : x < least ? least : x;
                x = x < low ? low : x > high ? high : x;  // bounds win over rates
                before[lane] = x;
                out[lane] = x;
            }
            for (long lane = 0; !drift.empty() && lane < BLOCK; ++lane)
                control[lane] += drift[row * a.modes + mode[lane]] * (out[lane] - mean[lane]);
        }
    }
    for (long lane = 0; !drift.empty() && lane < BLOCK; ++lane)
        a.control[begin + lane] = a.control_cost * float(control[lane]);
}

// Of every step and action; empty if all actuators follow at once.
static std::vector<Following> followings(const Arguments& a) {
    std::vector<Following> result;
    bool any = false;
    for (int i = 0; a.lag && i < NU; ++i) any |= a.lag[i] > 0.0f;
    for (long k = 0; any && k < a.horizon; ++k) {
        for (int i = 0; i < NU; ++i) {
            const float ratio = a.durations[k] / std::max(a.lag[i], float(INSTANT));
            result.push_back({expf(-ratio), -expm1f(-ratio) / ratio});
        }
    }
    return result;
}

// The cost of a block of candidates, over all members.
static void evaluate(const Arguments& a, const std::vector<Following>& followed, long begin) {
    const Following* follow = followed.empty() ? nullptr : followed.data();
    alignas(64) float cost[BLOCK];
    if (a.members == 1) {
        a.roll_out(&a, follow, begin, a.numbers, cost);
        std::copy_n(cost, BLOCK, a.costs + begin);
        return;
    }
    const long members = a.members;
    std::vector<float> costs(BLOCK * members);
    for (long p = 0; p < members; ++p) {
        a.roll_out(&a, follow, begin, a.numbers + p * a.count, cost);
        for (long lane = 0; lane < BLOCK; ++lane) costs[lane * members + p] = cost[lane];
    }
    for (long lane = 0; lane < BLOCK; ++lane) {
        float* own = &costs[lane * members];
        double mean = 0.0, variance = 0.0;
        for (long p = 0; p < members; ++p) mean += own[p];
        mean /= double(members);
        for (long p = 0; p < members; ++p) variance += (own[p] - mean) * (own[p] - mean);
        double combined = mean;  // NaN or infinite as soon as that of a member is
        if (isfinite(mean) && (a.risk == RISK_WORST || a.risk == RISK_CVAR)) {
            const long tail = a.risk == RISK_WORST ? 1 : a.tail;
            std::nth_element(own, own + tail - 1, own + members,
                             [](float x, float y) { return x > y; });
            combined = 0.0;
            for (long p = 0; p < tail; ++p) combined += own[p];
            combined /= double(tail);
        }
        if (a.risk == RISK_MEAN_STD) combined += a.std_factor * sqrt(variance / double(members));
        a.costs[begin + lane] = float(combined);
    }
}

// The candidates of one mode that count, the one of the lowest score first, and their weights.
struct Chosen {
    std::vector<uint64_t> order;  // score and number in one integer, which sorts like the pair
    std::vector<uint32_t> index;
    std::vector<float> weight;
    double total;
    uint32_t cheapest;
    bool better;  // than the best before; false if no candidate is valid
};

static void select(const Arguments& a, long samples, long mode, Chosen& chosen) {
    const float* costs = a.costs + mode * samples;
    const float* control = a.control_cost > 0.0f ? a.control + mode * samples : nullptr;
    const auto score = [&](long i) { return control ? costs[i] + control[i] : costs[i]; };
    auto& order = chosen.order;
    order.resize(samples);
    for (long i = 0; i < samples; ++i) {
        const float s = score(i);
        union { float f; uint32_t i; } cost = {isfinite(s) ? s : INFINITY};
        // The bits of positive floats ascend with them, those of negative ones descend.
        const uint32_t key = cost.i & 0x80000000u ? ~cost.i : cost.i | 0x80000000u;
        order[i] = uint64_t(key) << 32 | uint64_t(i);
    }
    std::nth_element(order.begin(), order.begin() + a.elites - 1, order.end());
    std::sort(order.begin(), order.begin() + a.elites);
    const size_t count = a.weighting == WEIGHTING_SOFTMAX ? samples : a.elites;
    chosen.index.resize(count);
    chosen.weight.resize(count);
    chosen.total = 0.0;
    const float least = score(uint32_t(order[0]));
    for (size_t i = 0; i < count; ++i) {
        chosen.index[i] = uint32_t(order[i]);
        const float cost = score(chosen.index[i]);
        float w = a.weighting == WEIGHTING_SOFTMAX ? expf((least - cost) / *a.temperature)
                  : a.weighting == WEIGHTING_RANK ? a.ranks[i] : 1.0f;
        if (!isfinite(cost)) w = 0.0f;
        chosen.weight[i] = w;
        chosen.total += w;
    }
    chosen.cheapest = chosen.index[0];
    for (long i = 0; control && i < samples; ++i) {
        // The best candidate is the cheapest, whatever its control cost.
        if (isfinite(score(i)) && costs[i] < costs[chosen.cheapest]) chosen.cheapest = uint32_t(i);
    }
    const float cheapest = costs[chosen.cheapest];
    chosen.better = isfinite(score(chosen.cheapest)) && cheapest < a.best_cost[mode];
    if (chosen.better) a.best_cost[mode] = cheapest;
}

// Fit one row of knots of one mode to its candidates.
static void refit(const Arguments& a, long samples, long mode, long row, const Chosen& chosen) {
    if (!(chosen.total > 0.0)) return;  // no valid candidate: everything stays
    const float* x = a.candidates + row * a.stride + mode * samples;
    const long count = long(chosen.weight.size());
    double mean = 0.0, variance = 0.0;
    #pragma omp simd reduction(+ : mean)
    for (long i = 0; i < count; ++i)
        mean += double(chosen.weight[i]) * x[chosen.index[i]];
    mean /= chosen.total;
    #pragma omp simd reduction(+ : variance)
    for (long i = 0; i < count; ++i) {
        const double deviation = x[chosen.index[i]] - mean;
        variance += chosen.weight[i] * deviation * deviation;
    }
    float* old_mean = a.mean + row * a.modes + mode;
    float* old_std = a.std + row * a.modes + mode;
    const double keep = *a.momentum;
    *old_mean = float((1.0 - keep) * mean + keep * *old_mean);
    *old_std = float((1.0 - keep) * sqrt(variance / chosen.total) + keep * *old_std);
    *old_std = fmaxf(*old_std, a.std_min[row % NU]);
    float* injected = a.injected + (row * a.modes + mode) * a.slots;
    for (long i = 0; i < a.kept; ++i) injected[i] = x[chosen.index[i]];
    injected[a.kept] = *old_mean;
    if (chosen.better) injected[a.kept + 1] = x[chosen.cheapest];
}

extern "C" void rollout(const Arguments* a) {
    const std::vector<Following> follow = followings(*a);
    #pragma omp parallel for num_threads(a->threads) schedule(static)
    for (long begin = 0; begin < a->stride; begin += BLOCK) evaluate(*a, follow, begin);
}

// Where all threads wait for one another. OpenMP's barrier spins for milliseconds, in which it keeps
// the others from the only core that a busy machine has left.
struct Meeting {
    std::atomic<long> arrived{0}, met{0};

    void wait(long threads) {
        const long before = met.load();
        if (arrived.fetch_add(1) + 1 == threads) {
            arrived = 0;
            met = before + 1;
            return;
        }
        for (long spins = 0; met.load() == before; ++spins)
            if (spins > 2000) sched_yield();
    }
};

// Return how many iterations were done.
extern "C" long search(const Arguments* a) {
    long done = 0;
    bool more = true;
    std::vector<Chosen> chosen(a->modes);
    const std::vector<Following> follow = followings(*a);
    Meeting meeting;
    #pragma omp parallel num_threads(a->threads)
    {
        const long threads = omp_get_num_threads(), thread = omp_get_thread_num();
        const long rows = a->knots * NU + 1;  // one more, as they are drawn in pairs
        std::vector<float> storage(rows * BLOCK + WIDTH);
        float* noise = storage.data();
        while (uintptr_t(noise) % sizeof(Lanes)) ++noise;
        // The first thread's share of the time stands for all.
        double* spent = thread == 0 ? a->spent : nullptr;
        for (long iteration = a->begin; more; ++iteration) {
            const long samples = a->samples[iteration];
            const long blocks = (a->modes * samples + BLOCK - 1) / BLOCK;
            const double began = spent ? now() : 0.0;
            double rolling = 0.0;
            const std::vector<double> drifts = drift(*a);
            for (long block = thread; block < blocks; block += threads) {
                sample(*a, iteration, block * BLOCK, drifts, noise);
                const double sampled = spent ? now() : 0.0;
                evaluate(*a, follow, block * BLOCK);
                if (spent) rolling += now() - sampled;
            }
            meeting.wait(threads);
            const double rolled = spent ? now() : 0.0;
            for (long mode = thread; mode < a->modes; mode += threads)
                select(*a, samples, mode, chosen[mode]);
            meeting.wait(threads);
            for (long part = thread; part < a->modes * a->knots * NU; part += threads)
                refit(*a, samples, part % a->modes, part / a->modes, chosen[part % a->modes]);
            if (spent) {
                spent[0] += rolled - began - rolling;
                spent[1] += rolling;
                spent[2] += now() - rolled;
            }
            if (thread == 0) {
                ++done;
                more = iteration + 1 < a->end && now() < a->until;
            }
            meeting.wait(threads);
        }
    }
    return done;
}
