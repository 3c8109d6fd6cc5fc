// What the comparisons with definitions share: calls in both precisions, reproducible inputs that both
// represent exactly, and elimination in double precision.
#ifndef DEFINITIONS_H
#define DEFINITIONS_H

#include "checks.h"

// RF(gemm, arguments...) calls rf_gemm_f32 or rf_gemm_f64, as the T around it says.
#define RF(function, ...)                                    \
    do {                                                     \
        Call call_(#function);                               \
        if constexpr (std::is_same_v<T, float>)              \
            call_ = rf_##function##_f32(__VA_ARGS__, call_); \
        else                                                 \
            call_ = rf_##function##_f64(__VA_ARGS__, call_); \
    } while (0)

// Some rounding errors.
template <class T>
constexpr double TOLERANCE = std::is_same_v<T, float> ? 2e-6 : 1e-13;

using Numbers = std::vector<double>;
using Wide = DenseOf<double>;

// Multiples of 2^-10 in [-2, 2).
class Inputs {
  public:
    double next() {
        state_ = state_ * UINT32_C(1664525) + UINT32_C(1013904223);
        return (std::int32_t(state_ >> 20) - 2048) / 1024.0;
    }
    template <class T>
    std::vector<T> numbers(std::size_t len) {
        std::vector<T> x(len);
        for (T &each : x) each = T(next());
        return x;
    }
    template <class T>
    DenseOf<T> matrix(std::size_t m, std::size_t n) {
        DenseOf<T> a(m, n);
        a.data = numbers<T>(m * n);
        return a;
    }
    // [x | 1].
    template <class T>
    DenseOf<T> augmented(std::size_t n, std::size_t d) {
        DenseOf<T> a = matrix<T>(n, d);
        for (std::size_t s = 0; s < n; s++) a.at(s, d - 1) = 1;
        return a;
    }
    // X^T X/8 + I, exact in both precisions.
    template <class T>
    DenseOf<T> positive(std::size_t d) {
        DenseOf<T> a(d, d);
        const Wide x = matrix<double>(d, d);
        for (std::size_t i = 0; i < d; i++) {
            for (std::size_t j = 0; j < d; j++) {
                double sum = i == j ? 8 : 0;
                for (std::size_t s = 0; s < d; s++) {
                    sum += std::round(8 * x.at(s, i)) * std::round(8 * x.at(s, j)) / 64;
                }
                a.at(i, j) = T(sum / 8);
            }
        }
        return a;
    }
    // Rows of probabilities, multiples of 1/16.
    template <class T>
    DenseOf<T> probabilities(std::size_t n, std::size_t c) {
        DenseOf<T> p(n, c);
        for (std::size_t s = 0; s < n; s++) {
            std::vector<int> count(c, 1);
            for (std::size_t i = c; i < 16; i++) count[std::size_t((next() + 2) * 256) % c]++;
            for (std::size_t i = 0; i < c; i++) p.at(s, i) = T(count[i] / 16.0);
        }
        return p;
    }

  private:
    std::uint32_t state_ = 1;
};

template <class T>
Wide wide(const DenseOf<T> &a) {
    Wide out(a.rows, a.cols);
    out.data.assign(a.data.begin(), a.data.end());
    return out;
}

inline Wide times(const Wide &a, const Wide &b) {
    Wide c(a.rows, b.cols);
    for (std::size_t i = 0; i < a.rows; i++) {
        for (std::size_t j = 0; j < b.cols; j++) {
            double sum = 0;
            for (std::size_t k = 0; k < a.cols; k++) sum += a.at(i, k) * b.at(k, j);
            c.at(i, j) = sum;
        }
    }
    return c;
}

inline Wide transpose(const Wide &a) {
    Wide t(a.cols, a.rows);
    for (std::size_t i = 0; i < a.rows; i++) {
        for (std::size_t j = 0; j < a.cols; j++) t.at(j, i) = a.at(i, j);
    }
    return t;
}

inline Wide kron(const Wide &g, const Wide &a) {
    Wide out(g.rows * a.rows, g.cols * a.cols);
    for (std::size_t i = 0; i < out.rows; i++) {
        for (std::size_t j = 0; j < out.cols; j++) {
            out.at(i, j) = g.at(i / a.rows, j / a.cols) * a.at(i % a.rows, j % a.cols);
        }
    }
    return out;
}

// A^-1 B by elimination with pivots, and ln |det A|.
inline std::pair<Wide, double> eliminate(Wide a, Wide b) {
    double log_determinant = 0;
    for (std::size_t k = 0; k < a.rows; k++) {
        std::size_t best = k;
        for (std::size_t i = k + 1; i < a.rows; i++) {
            if (std::fabs(a.at(i, k)) > std::fabs(a.at(best, k))) best = i;
        }
        for (std::size_t j = 0; j < a.cols; j++) std::swap(a.at(k, j), a.at(best, j));
        for (std::size_t j = 0; j < b.cols; j++) std::swap(b.at(k, j), b.at(best, j));
        const double pivot = a.at(k, k);
        log_determinant += std::log(std::fabs(pivot));
        for (std::size_t i = 0; i < a.rows; i++) {
            const double factor = i == k ? 0 : a.at(i, k) / pivot;
            for (std::size_t j = k; j < a.cols; j++) a.at(i, j) -= factor * a.at(k, j);
            for (std::size_t j = 0; j < b.cols; j++) b.at(i, j) -= factor * b.at(k, j);
        }
    }
    for (std::size_t i = 0; i < b.rows; i++) {
        for (std::size_t j = 0; j < b.cols; j++) b.at(i, j) /= a.at(i, i);
    }
    return {b, log_determinant};
}

inline Wide identity(std::size_t n, double scale = 1) {
    Wide a(n, n);
    for (std::size_t i = 0; i < n * n; i++) a.data[i] = i % (n + 1) ? 0 : scale;
    return a;
}

inline Wide plus(Wide a, const Wide &b, double factor = 1) {
    for (std::size_t i = 0; i < a.data.size(); i++) a.data[i] += factor * b.data[i];
    return a;
}

// The checks of a program in both precisions, `all(comparison, T())`; its exit status.
template <class All>
int in_both_precisions(All all) {
    check_library();
    Comparison single, twice;
    all(single, float());
    all(twice, double());
    return single.report() + twice.report() != 0;
}

#endif
