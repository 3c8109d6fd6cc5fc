// Matrices against their definitions, in C++17 and both precisions: products of the samples' Jacobian, low
// rank, regressions between factors, batches of factorisations, spectra, Lanczos recurrences, determinantal
// averages. Every definition is written out in double precision.
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

// A recurrence on A with everything it lives in.
template <class T>
struct Recurrence {
    Wide a;
    DenseOf<T> basis, locked;
    std::vector<T> alpha, beta;
    WorkOf<T> work;
    LanczosState<T> state{};
    std::uint32_t step = UINT32_MAX;

    Recurrence(const Wide &matrix, std::size_t capacity, const DenseOf<T> &vectors)
        : a(matrix),
          basis(capacity + 1, matrix.rows),
          locked(vectors),
          alpha(capacity, T(NAN)),
          beta(capacity, T(NAN)),
          work(rf_lanczos_workspace_len(capacity, vectors.rows)) {}

    Lanczos<T> lend() { return {basis.out(), out(alpha), out(beta), locked.view(), work.lend()}; }
    Slice<T> next() {
        if constexpr (std::is_same_v<T, float>)
            return rf_lanczos_next_f32(lend(), state);
        else
            return rf_lanczos_next_f64(lend(), state);
    }
    void start(const std::vector<T> &v) { RF(lanczos_start, &step, &state, in(v), lend()); }
    // Steps until there is nothing to multiply.
    void run() {
        while (step == RF_LANCZOS_STEP_CONTINUE) {
            const Slice<T> v = next();
            std::vector<T> product(a.rows);
            for (std::size_t i = 0; i < a.rows; i++) {
                double sum = 0;
                for (std::size_t j = 0; j < v.len; j++) sum += a.at(i, j) * double(v.data[j]);
                product[i] = T(sum);
            }
            RF(lanczos_advance, &step, &state, in(product), lend());
        }
    }
};

template <class T>
struct Ritz {
    std::vector<T> values, bounds;
    DenseOf<T> s, vectors;

    explicit Ritz(Recurrence<T> &of)
        : values(of.state.len, T(NAN)),
          bounds(of.state.len, T(NAN)),
          s(of.state.len, of.state.len),
          vectors(of.state.len, of.a.rows) {
        WorkOf<T> work(rf_eigh_workspace_len(of.state.len));
        RF(lanczos_ritz, out(values), out(bounds), s.out(), of.lend(), of.state, work.lend());
        RF(lanczos_combine, vectors.out(), s.view(), of.lend(), of.state);
    }
};

// The basis is orthonormal, V A V^T is T, and A V^T leaves the basis by the last beta alone.
template <class T>
void relation(Comparison &compare, const std::string &what, const Recurrence<T> &of, const Wide &a) {
    const std::size_t n = a.rows, k = of.state.len, kept = of.state.kept;
    Wide v(k, n), t = identity(k, 0);
    std::copy(&of.basis.at(0, 0), &of.basis.at(k, 0), v.data.begin());
    for (std::size_t i = 0; i < k; i++) {
        t.at(i, i) = of.alpha[i];
        const std::size_t j = i < kept ? kept : i + 1;
        if (j < k) t.at(i, j) = t.at(j, i) = of.beta[i];
    }
    const Wide image = times(v, a);
    compare.take(what + ": orthonormal", TOLERANCE<T>, times(v, transpose(v)).data, identity(k).data);
    compare.take(what + ": T", TOLERANCE<T>, times(image, transpose(v)).data, t.data);
    Wide last(k, n);
    for (std::size_t i = 0; i < k * n; i++) {
        last.data[i] = i / n + 1 < k ? 0 : of.beta[k - 1] * of.basis.at(k, i % n);
    }
    compare.take(what + ": products", TOLERANCE<T>, plus(times(t, v), last).data, image.data);
}

template <class T>
void recurrences(Comparison &compare) {
    constexpr std::size_t n = 7, capacity = 4, keep = 2;
    Inputs inputs;
    const Wide a = wide(inputs.positive<T>(n));
    DenseOf<T> v = inputs.matrix<T>(1, n);
    const double length = std::sqrt(times(wide(v), transpose(wide(v))).data[0]);

    // All of the space: eigenvectors.
    Recurrence<T> whole(a, n, DenseOf<T>(0, n));
    compare.take("lanczos: nothing before", 0, Numbers{double(whole.next().len)}, Numbers{0});
    whole.start(v.data);
    Numbers first(whole.next().data, whole.next().data + whole.next().len);
    for (double &each : first) each *= length;
    compare.take("lanczos: first vector", TOLERANCE<T>, first, v.data);
    whole.run();
    compare.take("lanczos: full", 0, Numbers{double(whole.step), double(whole.next().len)},
                 Numbers{RF_LANCZOS_STEP_FULL, 0});
    relation(compare, "lanczos", whole, a);
    const Ritz<T> pairs(whole);
    const Wide x = wide(pairs.vectors);
    Wide scaled = x, rest = a;
    for (std::size_t i = 0; i < n * n; i++) scaled.data[i] *= double(pairs.values[i / n]);
    compare.take("lanczos: eigenvectors", TOLERANCE<T>, times(x, a).data, scaled.data);
    compare.take("lanczos: orthogonal", TOLERANCE<T>, times(x, transpose(x)).data, identity(n).data);

    // Parts of it, without the eigenvector of the largest value.
    DenseOf<T> top(1, n);
    for (std::size_t i = 0; i < n; i++) top.data[i] = pairs.vectors.at(n - 1, i);
    for (std::size_t i = 0; i < n * n; i++) {
        rest.data[i] -= scaled.at(n - 1, i / n) * x.at(n - 1, i % n);
    }
    Recurrence<T> part(a, capacity, top);
    part.start(v.data);
    for (int round = 0; round < 3; round++) {
        part.run();
        relation(compare, round ? "lanczos_restart" : "lanczos, locked", part, rest);
        const Ritz<T> found(part);
        const Wide y = wide(found.vectors), image = times(y, rest);
        Numbers sizes, bounds;
        for (std::size_t i = 0; i < capacity; i++) {
            double square = 0;
            for (std::size_t j = 0; j < n; j++) {
                square += std::pow(image.at(i, j) - double(found.values[i]) * y.at(i, j), 2);
            }
            // Rounding errors are relative to A, not to what is left of it.
            sizes.push_back(double(pairs.values[n - 1]) + std::sqrt(square));
            bounds.push_back(double(pairs.values[n - 1]) + double(found.bounds[i]));
        }
        compare.take("lanczos_ritz: bounds", TOLERANCE<T>, bounds, sizes);
        DenseOf<T> columns(capacity, keep);
        for (std::size_t i = 0; i < capacity * keep; i++) {
            columns.data[i] = found.s.at(i / keep, capacity - keep + i % keep);
        }
        const std::vector<T> values(found.values.end() - keep, found.values.end());
        WorkOf<T> work(rf_lanczos_restart_workspace_len(keep, n));
        RF(lanczos_restart, &part.step, &part.state, in(values), columns.view(), part.lend(), work.lend());
    }
}

// Steps of workers, whose determinants alone leave the range of numbers.
template <class T>
void averages(Comparison &compare) {
    constexpr std::size_t d = 4;
    Inputs inputs;
    const Wide g = wide(inputs.matrix<T>(d, 1));
    std::vector<T> average(d, T(NAN)), step(d);
    rf_determinantal_sums sums{};
    Wide sum = plus(g, g, -1);
    double total = 0, squares = 0, workers = NAN;
    for (double shift : {900.0, 902.0, 901.5, 897.0}) {
        const auto [solved, log_determinant] = eliminate(wide(inputs.positive<T>(d)), g);
        step.assign(solved.data.begin(), solved.data.end());
        RF(determinantal_add, out(average), &sums, in(step), log_determinant + shift);
        const double weight = std::exp(log_determinant + shift - 900);
        sum = plus(sum, solved, weight);
        total += weight;
        squares += weight * weight;
    }
    for (double &each : sum.data) each /= total;
    RF(determinantal_finish, out(average), &workers, &sums);
    compare.take("determinantal: average", TOLERANCE<T>, average, sum.data);
    compare.take("determinantal: workers", 1e-13, Numbers{workers}, Numbers{total * total / squares});
    compare.take("determinantal: empty again", 0, Numbers{sums.total, sums.squares}, Numbers{0, 0});
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
        recurrences<T>(compare);
        averages<T>(compare);
    });
}
