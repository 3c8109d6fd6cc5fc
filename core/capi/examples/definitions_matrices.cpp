// Matrices against their definitions, in C++17 and both precisions: products of the samples' Jacobian, low
// rank, regressions between factors, batches of factorisations, spectra. Every definition is written out in
// double precision.
//
// Prints the worst error of each quantity, relative to its largest entry; status 1 when one is above its
// tolerance.
#include "definitions.h"

namespace {

template <class T>
void sample_space(Comparison &compare) {
    constexpr std::size_t n = 4, columns = 2, m = 3, d = 5, order = n * columns;
    Inputs inputs;
    const DenseOf<T> delta = inputs.matrix<T>(order, m), x = inputs.matrix<T>(n, d);
    const DenseOf<T> v = inputs.matrix<T>(m, d), coefficients = inputs.matrix<T>(order, 1);
    Wide jacobian(order, m * d), flat(m * d, 1);
    flat.data.assign(v.data.begin(), v.data.end());
    for (std::size_t r = 0; r < order; r++) {
        for (std::size_t q = 0; q < m * d; q++) {
            jacobian.at(r, q) = double(delta.at(r, q / d)) * x.at(r % n, q % d);
        }
    }
    DenseOf<T> gram = inputs.positive<T>(order), image = inputs.matrix<T>(order, 1);
    DenseOf<T> back = inputs.matrix<T>(m, d);
    const Wide before[3] = {wide(gram), wide(image), wide(back)};
    WorkOf<T> pairs(rf_khatri_rao_gram_workspace_len(n, columns));
    WorkOf<T> work(rf_khatri_rao_workspace_len(n, m));
    RF(khatri_rao_gram, gram.out(), delta.view(), x.view(), T(0.5), pairs.lend());
    RF(khatri_rao_apply, out(image.data), delta.view(), x.view(), v.view(), T(0.5), work.lend());
    RF(khatri_rao_transpose, back.out(), delta.view(), x.view(), in(coefficients.data), T(0.5),
       work.lend());
    compare.take("khatri_rao_gram", TOLERANCE<T>, gram.data,
                 plus(times(jacobian, transpose(jacobian)), before[0], 0.5).data);
    compare.take("khatri_rao_apply", TOLERANCE<T>, image.data,
                 plus(times(jacobian, flat), before[1], 0.5).data);
    compare.take("khatri_rao_transpose", TOLERANCE<T>, back.data,
                 plus(times(transpose(jacobian), wide(coefficients)), before[2], 0.5).data);

    // 3 v v^T + lambda I, |v| = 1.
    DenseOf<T> vectors(1, 3), two(2, 3);
    vectors.data = {T(2.0 / 3), T(-1.0 / 3), T(2.0 / 3)};
    two.data = {1, 0, 0, T(0.5), T(2), T(-1)};
    const std::vector<T> values{3};
    const LowRank<T> low{vectors.view(), in(values)};
    const Wide outer = times(transpose(wide(vectors)), wide(vectors));
    const Wide whole = plus(identity(3, 0.25), outer, 3), rows = transpose(wide(two));
    WorkOf<T> few(rf_low_rank_power_workspace_len(2, 1));
    RF(low_rank_power, two.out(), low, 1, T(0.25), few.lend());
    const auto [solved, log_determinant] = eliminate(whole, rows);
    compare.take("low_rank_power", TOLERANCE<T>, two.data, transpose(solved).data);
    T found;
    RF(low_rank_log_determinant, &found, low, T(0.25));
    compare.take("low_rank_log_determinant", TOLERANCE<T>, std::vector<T>{found},
                 Numbers{log_determinant});

    // C S^-1 and C S^-1 C^T.
    DenseOf<T> cross = inputs.matrix<T>(2, 4), s = inputs.positive<T>(4), psi(2, 4), explained(2, 2);
    const Wide prediction = transpose(eliminate(wide(s), transpose(wide(cross))).first);
    RF(cholesky, s.out(), 0);
    RF(kron_regression, psi.out(), explained.out(), cross.view(), s.view());
    compare.take("kron_regression: psi", TOLERANCE<T>, psi.data, prediction.data);
    compare.take("kron_regression: explained", TOLERANCE<T>, explained.data,
                 times(prediction, transpose(wide(cross))).data);
}

// Many small matrices at once, and the tridiagonal eigenproblem of a recurrence.
template <class T>
void factorisations(Comparison &compare) {
    constexpr std::size_t m = 5, d = 4, triangle = d * (d + 1) / 2;
    Inputs inputs;
    DenseOf<T> lower(m, d * d), vectors(m, d * d), values(m, d), packed(m, triangle), image(m, d);
    const DenseOf<T> v = inputs.matrix<T>(m, d);
    Wide wanted(m, d * d), images(m, d);
    double log_determinant = 0;
    for (std::size_t i = 0; i < m; i++) {
        const DenseOf<T> a = inputs.positive<T>(d);
        const Wide damped = plus(wide(a), identity(d), 0.5);
        std::copy(a.data.begin(), a.data.end(), &lower.at(i, 0));
        std::copy(a.data.begin(), a.data.end(), &vectors.at(i, 0));
        std::copy(damped.data.begin(), damped.data.end(), &wanted.at(i, 0));
        log_determinant += eliminate(damped, damped).second;
        RF(pack, {&packed.at(i, 0), triangle}, a.view());
        for (std::size_t j = 0; j < d; j++) {
            images.at(i, j) = 0;
            for (std::size_t k = 0; k < d; k++) images.at(i, j) += double(a.at(j, k)) * v.at(i, k);
        }
    }
    RF(packed_symv, image.out(), packed.view(), v.view());
    compare.take("packed_symv", TOLERANCE<T>, image.data, images.data);
    WorkOf<T> cholesky(rf_cholesky_batch_workspace_len(d)), eigh(rf_eigh_batch_workspace_len(d));
    RF(cholesky_batch, lower.out(), d, T(0.5), cholesky.lend());
    RF(eigh_batch, vectors.out(), values.out(), d, eigh.lend());
    for (std::size_t i = 0; i < m; i++) {
        Wide l(d, d), u(d, d), scaled(d, d), whole(d, d);
        for (std::size_t j = 0; j < d * d; j++) {
            l.data[j] = j % d <= j / d ? double(lower.at(i, j)) : 0;
            u.data[j] = vectors.at(i, j);
            scaled.data[j] = u.data[j] * (values.at(i, j % d) + 0.5);
            whole.data[j] = wanted.at(i, j);
        }
        compare.take("cholesky_batch", TOLERANCE<T>, times(l, transpose(l)).data, whole.data);
        compare.take("eigh_batch", TOLERANCE<T>, times(scaled, transpose(u)).data, whole.data);
        compare.take("eigh_batch: orthogonal", TOLERANCE<T>, times(transpose(u), u).data,
                     identity(d).data);
    }
    T found;
    RF(packed_cholesky, packed.out(), d, T(0.5));
    RF(packed_log_determinant, &found, packed.view(), d);
    compare.take("packed_log_determinant", TOLERANCE<T>, std::vector<T>{found}, Numbers{log_determinant});

    const std::vector<T> alpha = inputs.numbers<T>(d), beta = inputs.numbers<T>(d - 1);
    std::vector<T> theta(d, T(NAN)), weights(d, T(NAN)), only(d, T(NAN)), rows(d * d, T(NAN));
    std::vector<T> grid{T(-1), T(0.5)}, density(2, T(NAN));
    WorkOf<T> work(d);
    RF(tridiagonal_eigh, out(theta), out(rows), in(alpha), in(beta), work.lend());
    RF(tridiagonal_eigh, out(only), {nullptr, 0}, in(alpha), in(beta), work.lend());
    compare.take("tridiagonal_eigh: values alone", TOLERANCE<T>, only, theta);
    RF(lanczos_quadrature, out(theta), out(weights), in(alpha), in(beta), work.lend());
    Wide tridiagonal = identity(d, 0), power = identity(d), s(d, d), scaled(d, d);
    for (std::size_t i = 0; i < d; i++) {
        tridiagonal.at(i, i) = alpha[i];
        if (i > 0) tridiagonal.at(i, i - 1) = tridiagonal.at(i - 1, i) = beta[i - 1];
        for (std::size_t j = 0; j < d; j++) {
            s.at(i, j) = rows[i * d + j];
            scaled.at(i, j) = theta[i] * s.at(i, j);
        }
    }
    compare.take("tridiagonal_eigh", TOLERANCE<T>, times(transpose(s), scaled).data, tridiagonal.data);
    Numbers moments, got, curve;
    for (std::size_t k = 0; k < 2 * d; k++) {
        moments.push_back(power.at(0, 0));
        got.push_back(0);
        for (std::size_t i = 0; i < d; i++) got[k] += weights[i] * std::pow(double(theta[i]), double(k));
        power = times(power, tridiagonal);
    }
    compare.take("lanczos_quadrature: moments", 5 * TOLERANCE<T>, got, moments);
    RF(gaussian_density, out(density), in(grid), in(theta), in(weights), T(0.75));
    for (T x : grid) {
        curve.push_back(0);
        for (std::size_t i = 0; i < d; i++) {
            const double z = (double(x) - double(theta[i])) / 0.75;
            curve.back() += weights[i] * std::exp(-z * z / 2) / (0.75 * std::sqrt(2 * std::acos(-1.0)));
        }
    }
    compare.take("gaussian_density", TOLERANCE<T>, density, curve);
}

}  // namespace

int main() {
    return in_both_precisions([](Comparison &compare, auto one) {
        using T = decltype(one);
        sample_space<T>(compare);
        factorisations<T>(compare);
    });
}
