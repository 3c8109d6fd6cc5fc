// What the comparisons with tests/golden share: double precision, tensors of its files, the pieces of a
// network of fully connected layers.
#ifndef GOLDEN_H
#define GOLDEN_H

#include "checks.h"
#include "files.h"

using Numbers = std::vector<double>;
using Dense = DenseOf<double>;
using Work = WorkOf<double>;

// RF(gemm, arguments...) calls rf_gemm_f64 and ends the program with its message on an error.
#define RF(function, ...)                                \
    do {                                                 \
        Call call_(#function);                           \
        call_ = rf_##function##_f64(__VA_ARGS__, call_); \
    } while (0)

inline Dense tensor(const file_t &file, const std::string &name, std::size_t m, std::size_t n) {
    Dense out(m, n);
    tensor_read(&file, name.c_str(), out.data.data(), m * n * sizeof(double));
    return out;
}

// [a | 1].
inline Dense augmented(const Dense &a) {
    Dense out(a.rows, a.cols + 1);
    for (std::size_t i = 0; i < a.rows; i++) {
        std::copy_n(&a.data[i * a.cols], a.cols, &out.at(i, 0));
        out.at(i, a.cols) = 1;
    }
    return out;
}

// [weight | bias] of layer k.
inline Dense layer(const file_t &model, std::size_t k, std::size_t m, std::size_t d) {
    const std::string name = "layers." + std::to_string(k);
    Dense joint = augmented(tensor(model, name + ".weight", m, d));
    const Dense bias = tensor(model, name + ".bias", m, 1);
    for (std::size_t i = 0; i < m; i++) joint.at(i, d) = bias.at(i, 0);
    return joint;
}

// Without the last column.
inline Dense without_bias(const Dense &a) {
    Dense out(a.rows, a.cols - 1);
    for (std::size_t i = 0; i < a.rows; i++) {
        std::copy_n(&a.data[i * a.cols], out.cols, &out.at(i, 0));
    }
    return out;
}

inline Dense product(const Dense &a, const Dense &b, bool transpose_b) {
    const rf_matrix_f64 right = transpose_b ? b.transposed() : b.view();
    Dense out(a.rows, right.cols);
    RF(gemm, out.out(), a.view(), right, 1, 0);
    return out;
}

// (1/n) A^T B.
inline Dense mean_outer(const Dense &a, const Dense &b, std::size_t n) {
    Dense out(a.cols, b.cols);
    RF(gemm, out.out(), a.transposed(), b.view(), 1.0 / double(n), 0);
    return out;
}

// G <- beta G + (1/n) X^T X.
inline void add_gram(Dense &g, const Dense &x, std::size_t n, double beta) {
    Work work(rf_gram_workspace_len(x.rows, x.cols));
    RF(gram, g.out(), x.view(), rf_slice_f64{nullptr, 0}, 1.0 / double(n), beta, work.lend());
}

inline void softmax(Dense &f) {
    for (std::size_t s = 0; s < f.rows; s++) {
        double most = -INFINITY, sum = 0;
        for (std::size_t c = 0; c < f.cols; c++) most = std::max(most, f.at(s, c));
        for (std::size_t c = 0; c < f.cols; c++) sum += f.at(s, c) = std::exp(f.at(s, c) - most);
        for (std::size_t c = 0; c < f.cols; c++) f.at(s, c) /= sum;
    }
}

// p less one at the labels: the gradient of soft-max cross-entropy.
inline Dense entropy_gradient(const Dense &p, const std::string &labels_path) {
    std::vector<std::int64_t> labels(p.rows);
    npy_read(labels_path.c_str(), labels.data(), labels.size() * sizeof(std::int64_t));
    Dense gradient = p;
    for (std::size_t s = 0; s < p.rows; s++) gradient.at(s, std::size_t(labels[s])) -= 1;
    return gradient;
}

#endif
