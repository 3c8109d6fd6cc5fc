// What the C++ examples share: matrices that own their numbers, calls that end the program with the
// library's message, and worst errors by quantity.
#ifndef CHECKS_H
#define CHECKS_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "relfisher.h"

// The structs of the header by scalar type.
#define BY_TYPE(Name, name) \
    template <class T>      \
    using Name = std::conditional_t<std::is_same_v<T, float>, rf_##name##_f32, rf_##name##_f64>;
BY_TYPE(View, matrix)
BY_TYPE(ViewMut, matrix_mut)
BY_TYPE(Slice, slice)
BY_TYPE(SliceMut, slice_mut)
BY_TYPE(Metric, metric)
BY_TYPE(TwoLayer, two_layer)
BY_TYPE(LowRank, low_rank)
BY_TYPE(Sparse, sparse)
BY_TYPE(SparseMut, sparse_mut)
BY_TYPE(Noise, gradient_noise)
BY_TYPE(Frobenius, frobenius)
BY_TYPE(Loss, loss)
BY_TYPE(Lanczos, lanczos)
BY_TYPE(LanczosState, lanczos_state)

template <class T>
Slice<T> in(const std::vector<T> &x) {
    return {x.data(), x.size()};
}

template <class T>
SliceMut<T> out(std::vector<T> &x) {
    return {x.data(), x.size()};
}

// A matrix that lends its numbers to the library; not-a-number until they are written.
template <class T>
struct DenseOf {
    std::size_t rows, cols;
    std::vector<T> data;

    DenseOf(std::size_t m, std::size_t n) : rows(m), cols(n), data(m * n, T(NAN)) {}

    View<T> view() const { return {data.data(), data.size(), rows, cols, cols, 1}; }
    View<T> transposed() const { return {data.data(), data.size(), cols, rows, 1, cols}; }
    ViewMut<T> out() { return {data.data(), data.size(), rows, cols, cols, 1}; }
    // The `count` rows from `first` on.
    View<T> part(std::size_t first, std::size_t count) const {
        return {data.data() + first * cols, count * cols, count, cols, cols, 1};
    }
    ViewMut<T> part_out(std::size_t first, std::size_t count) {
        return {data.data() + first * cols, count * cols, count, cols, cols, 1};
    }
    const T &at(std::size_t i, std::size_t j) const { return data[i * cols + j]; }
    T &at(std::size_t i, std::size_t j) { return data[i * cols + j]; }
};

// Exactly as much work as the library asks for, of not-a-number.
template <class T>
struct WorkOf {
    std::vector<T> data;
    explicit WorkOf(std::size_t len) : data(len, T(NAN)) {}
    SliceMut<T> lend() { return {data.data(), data.size()}; }
};

// The last argument of every call: reports what went wrong when the call fails.
class Call {
  public:
    explicit Call(const char *name) : name_(name) {}
    operator rf_error *() { return &error_; }
    void operator=(rf_status status) const {
        if (status == RF_STATUS_OK) return;
        char message[160];
        rf_error_message(message, &error_, sizeof message);
        std::fprintf(stderr, "%s: %s\n", name_, message);
        std::exit(1);
    }

  private:
    const char *name_;
    rf_error error_{};
};

// Worst errors by quantity, relative to its largest entry.
class Comparison {
  public:
    template <class A, class B>
    void take(const std::string &what, double tolerance, const std::vector<A> &got,
              const std::vector<B> &want) {
        double worst = got.size() == want.size() && !got.empty() ? 0 : INFINITY, largest = 0;
        for (std::size_t i = 0; i < std::min(got.size(), want.size()); i++) {
            const double error = std::fabs(double(got[i]) - double(want[i]));
            if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
            largest = std::max(largest, std::fabs(double(want[i])));
        }
        auto &entry = worst_[what];
        entry.first = std::max(entry.first, largest > 0 ? worst / largest : worst);
        entry.second = tolerance;
    }

    int report() const {
        int failures = 0;
        for (const auto &[what, entry] : worst_) {
            const bool holds = entry.first <= entry.second;
            failures += !holds;
            std::printf("%s  %-36s %.1e of %.0e\n", holds ? "ok  " : "FAIL", what.c_str(),
                        entry.first, entry.second);
        }
        std::printf("relfisher %s: %d failures\n", rf_version(), failures);
        return failures;
    }

  private:
    std::map<std::string, std::pair<double, double>> worst_;
};

// Ends the program when header and library do not belong together.
inline void check_library() {
    if (rf_abi_check(RF_ABI_VERSION, sizeof(std::size_t)) == RF_STATUS_OK) return;
    std::fprintf(stderr, "header and library %s do not belong together\n", rf_version());
    std::exit(2);
}

#endif
