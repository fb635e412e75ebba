// The knots (P, NU, N) of candidates on a GPU, each within reach of the one before it, and within
// bounds, which win over rates; a thread for each candidate and action. Knot by knot in PyTorch this
// took half of a plan.

extern "C" __global__ void limit_rate(const float* knots, const float* before,
                                      const float* first, const float* step, const float* low,
                                      const float* high, float* limited, int count, int actions,
                                      int samples) {
    const int lane = blockIdx.x * blockDim.x + threadIdx.x;
    if (lane >= actions * samples) return;
    const int action = lane / samples;
    float last = before[action], reach = first[action];
    for (int p = 0; p < count; ++p) {
        const long long place = (long long)p * actions * samples + lane;
        const float knot = knots[place], least = last - reach, most = last + reach;
        last = knot > most ? most : knot;
        last = last < least ? least : last;
        last = last > high[action] ? high[action] : last;
        last = last < low[action] ? low[action] : last;
        limited[place] = last;
        reach = step[action];
    }
}
