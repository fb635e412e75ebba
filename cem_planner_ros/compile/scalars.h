// Copyright 2026 the contributors of cem_planner_ros
// SPDX-License-Identifier: Apache-2.0
// Functions of scalars that generated code calls, on the CPU and on a GPU alike.
//
// They stand before rollout.cpp and before rollout.cu, which have what differs between the two. What
// they return for NaN, infinities and zeros with a sign is what PyTorch returns. Conditions are joined
// by & and |, for && and || would be branches, and a loop with branches is not vectorised.

#ifdef __CUDACC__
#define FUNCTION static __device__ inline
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)
#endif
#else
// A call would keep a loop from being vectorised.
#define FUNCTION __attribute__((always_inline)) static inline
#endif

// Samples that run side by side.
#ifdef BLOCK
#define EACH BLOCK
#else
#define EACH 1
#endif

// A NaN wins, as in torch.maximum.
template <class T> FUNCTION T maximum(T a, T b) { return (a > b) | (a != a) ? a : b; }
template <class T> FUNCTION T minimum(T a, T b) { return (a < b) | (a != a) ? a : b; }

// A NaN stays, as in torch.clamp; a bound that is NaN wins.
template <class T> FUNCTION T at_least(T x, T low) { return (x < low) | (low != low) ? low : x; }
template <class T> FUNCTION T at_most(T x, T high) { return (x > high) | (high != high) ? high : x; }

template <class T> FUNCTION T sign(T x) { return T(x > T(0)) - T(x < T(0)); }
template <class T> FUNCTION T relu(T x) { return x < T(0) ? T(0) : x; }

FUNCTION float with_sign(float size, float sign) { return copysignf(size, sign); }
FUNCTION double with_sign(double size, double sign) { return copysign(size, sign); }
FUNCTION bool has_sign(float x) { return copysignf(1.0f, x) < 0.0f; }
FUNCTION bool has_sign(double x) { return copysign(1.0, x) < 0.0; }
FUNCTION bool has_sign(int x) { return x < 0; }
FUNCTION bool has_sign(long long x) { return x < 0; }

FUNCTION float fraction_left(float x, float y) { return fmodf(x, y); }
FUNCTION double fraction_left(double x, double y) { return fmod(x, y); }

#if defined(__CUDACC__) || defined(__FP_FAST_FMAF)
FUNCTION float rest(float x, float y, float quotient) { return fmaf(-quotient, y, x); }
FUNCTION double rest(double x, double y, double quotient) { return fma(-quotient, y, x); }
#else
template <class T> FUNCTION T rest(T x, T y, T quotient) { return x - quotient * y; }
#endif

// x / y, rounded once. With -freciprocal-math the operator rounds twice, and 3.7 / 3.7 may be below 1.
template <class T> FUNCTION T exact_quotient(T x, T y) {
    const T quotient = x / y;
    const bool is_plain = (fabs(quotient) < T(INFINITY)) & (fabs(y) < T(INFINITY));
    return is_plain ? quotient + rest(x, y, quotient) / y : quotient;
}

// x - y * floor(x / y), of y's sign. Each pass takes 23 bits off the quotient, exactly, so it is exact
// for quotients up to 2^69, beyond which it is zero; fmodf, exact for all, is no function of vectors.
template <class T> FUNCTION T remainder_of(T x, T y) {
    T left = x;
    left = rest(left, y, trunc(left / y));
    left = rest(left, y, trunc(left / y));
    left = rest(left, y, trunc(left / y));
    const bool are_finite = (fabs(x) < T(INFINITY)) & (fabs(y) < T(INFINITY));
    // Of a quotient that was rounded up by one is left less than nothing: the other way round.
    left = are_finite & (y != T(0)) & !(fabs(left) < fabs(y)) ? T(0) : left;
    left = (fabs(y) == T(INFINITY)) & (fabs(x) < T(INFINITY)) ? x : left;
    return (left != T(0)) & ((left < T(0)) != (y < T(0))) ? left + y : left;
}
FUNCTION int remainder_of(int x, int y) {
    const int left = y == 0 ? 0 : x % y;
    return left != 0 && (left < 0) != (y < 0) ? left + y : left;
}
FUNCTION long long remainder_of(long long x, long long y) {
    const long long left = y == 0 ? 0 : x % y;
    return left != 0 && (left < 0) != (y < 0) ? left + y : left;
}
FUNCTION int fraction_left(int x, int y) { return y == 0 ? 0 : x % y; }
FUNCTION long long fraction_left(long long x, long long y) { return y == 0 ? 0 : x % y; }

// The largest whole number that is not above x / y, as Python's //.
template <class T> FUNCTION T floor_quotient(T x, T y) {
    const T left = fraction_left(x, y);
    T quotient = exact_quotient(x - left, y);
    if (left != T(0) && (left < T(0)) != (y < T(0))) quotient -= T(1);
    const T whole = floor(quotient);
    const T rounded = quotient == T(0) ? with_sign(T(0), x / y)
                      : quotient - whole > T(0.5) ? whole + T(1) : whole;
    return y == T(0) ? x / y : rounded;
}
FUNCTION int floor_quotient(int x, int y) {
    return y == 0 ? 0 : x / y - (x % y != 0 && (x < 0) != (y < 0));
}
FUNCTION long long floor_quotient(long long x, long long y) {
    return y == 0 ? 0 : x / y - (x % y != 0 && (x < 0) != (y < 0));
}
template <class T> FUNCTION T cut_quotient(T x, T y) { return trunc(exact_quotient(x, y)); }
FUNCTION int cut_quotient(int x, int y) { return y == 0 ? 0 : x / y; }
FUNCTION long long cut_quotient(long long x, long long y) { return y == 0 ? 0 : x / y; }

FUNCTION long long whole_power(long long base, long long exponent) {
    long long result = 1;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return exponent < 0 ? 0 : result;
}

template <class T> FUNCTION T hypotenuse(T x, T y) {
    const T a = fabs(x), b = fabs(y), most = a > b ? a : b, least = a > b ? b : a;
    const T ratio = most > T(0) ? least / most : T(0);
    // Without overflow or underflow of the squares.
    const T length = most * sqrt(T(1) + ratio * ratio);
    const bool endless = (a == T(INFINITY)) | (b == T(INFINITY));
    return endless ? T(INFINITY) : (x != x) | (y != y) ? x + y : length;
}
