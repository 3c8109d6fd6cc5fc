// What is made of weights and gradients against its definition, in C++17 and both precisions: sparse
// gradient metrics, statistics of a mini-batch, pruning, the Laplace approximation. Every definition is
// written out in double precision.
//
// Prints the worst error of each quantity, relative to its largest entry; status 1 when one is above its
// tolerance.
#include "definitions.h"

namespace {

using Indices = std::vector<std::uint32_t>;
using Counts = std::vector<std::size_t>;

template <class T>
void sparse_metrics(Comparison &compare) {
    constexpr std::size_t n = 6, d = 20, keep = 5;
    compare.take("kept_count", 0, Numbers{double(rf_kept_count(0.23, d)), double(rf_kept_count(2, d))},
                 Numbers{keep, 0});
    Inputs inputs;
    DenseOf<T> u = inputs.matrix<T>(n, d);
    u.at(2, 3) = u.at(2, 4) = -u.at(2, 5);  // ties
    for (std::size_t j = 0; j + 3 < d; j++) u.at(5, j) = 0;  // fewer than are wanted
    Wide cut(n, d);
    std::fill(cut.data.begin(), cut.data.end(), 0);
    Indices indices;
    Counts starts{0};
    std::vector<T> values;
    for (std::size_t s = 0; s < n; s++) {
        Indices order(d), got(keep);
        for (std::size_t j = 0; j < d; j++) order[j] = std::uint32_t(j);
        std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
            return std::fabs(u.at(s, a)) > std::fabs(u.at(s, b));
        });
        const bool few = s == 5;
        order.resize(few ? 3 : keep);
        std::sort(order.begin(), order.end());
        std::size_t count = 0;
        RF(select_largest, {got.data(), keep}, &count, {&u.at(s, 0), d});
        got.resize(count);
        compare.take("select_largest", 0, got, order);
        for (std::uint32_t j : got) {
            cut.at(s, j) = u.at(s, j);
            indices.push_back(j);
            values.push_back(u.at(s, j));
        }
        starts.push_back(values.size());
    }
    for (double power : {1.0, 2.0, 0.5, 0.0, -1.0, -0.5}) {
        Numbers sums(d, 0), peaks(d, 0), root(d, NAN), wanted(d, 0);
        Indices counts(d, 0);
        const rf_mean_state state{out(sums), out(peaks), {counts.data(), d}};
        for (std::size_t s = 0; s < n; s++) {
            const std::size_t begin = starts[s], len = starts[s + 1] - begin;
            RF(quasi_mean_add, state, {&indices[begin], len}, {&values[begin], len}, power);
        }
        Call call("quasi_mean_root");
        call = rf_quasi_mean_root_f64(out(root), state, n, power, call);
        for (std::size_t j = 0; j < d; j++) {
            double sum = 0, terms = 0;
            for (std::size_t s = 0; s < n; s++) {
                const double square = cut.at(s, j) * cut.at(s, j);
                if (square == 0) continue;
                sum += power == 0 ? std::log(square) : std::pow(square, power);
                terms++;
            }
            if (terms == 0) continue;
            const double mean = sum / (power > 0 ? double(n) : terms);
            wanted[j] = std::sqrt(power == 0 ? std::exp(mean) : std::pow(mean, 1 / power));
        }
        compare.take("quasi_mean_root", 1e-12, root, wanted);
        std::vector<T> psi(values.begin(), values.begin() + keep);
        Numbers embedding(keep);
        for (std::size_t i = 0; i < keep; i++) {
            const double g = wanted[indices[i]];
            embedding[i] = values[i] / std::sqrt(g * g + 0.25);
        }
        RF(embed, out(psi), {indices.data(), keep}, in(root), 0.25);
        compare.take("embed", TOLERANCE<T>, psi, embedding);
    }

    const Sparse<T> rows{{starts.data(), n + 1}, {indices.data(), indices.size()}, in(values)};
    Counts column_starts(d + 1), begin(d + 1), places(d);
    Indices column_indices(values.size()), marks(d);
    std::vector<T> column_values(values.size(), T(NAN));
    RF(sparse_transpose,
       {{column_starts.data(), d + 1}, {column_indices.data(), values.size()}, out(column_values)}, rows);
    const Sparse<T> columns{
        {column_starts.data(), d + 1}, {column_indices.data(), values.size()}, in(column_values)};
    Wide turned(d, n);
    std::fill(turned.data.begin(), turned.data.end(), 0);
    for (std::size_t j = 0; j < d; j++) {
        for (std::size_t k = column_starts[j]; k < column_starts[j + 1]; k++) {
            turned.at(j, column_indices[k]) = column_values[k];
        }
    }
    compare.take("sparse_transpose", 0, turned.data, transpose(cut).data);
    std::size_t entries = 0, enough = 0;
    RF(sparse_outer_pattern, {begin.data(), d + 1}, &entries, rows, columns, 7, {marks.data(), d});
    compare.take("sparse_outer_pattern: limit", 0, Numbers{double(entries > 7)}, Numbers{1});
    RF(sparse_outer_pattern, {begin.data(), d + 1}, &enough, rows, columns, d * d, {marks.data(), d});
    Indices at(enough);
    std::vector<T> mean(enough, T(NAN));
    RF(sparse_outer_mean, {{begin.data(), d + 1}, {at.data(), enough}, out(mean)}, rows, columns,
       {marks.data(), d}, {places.data(), d});
    Wide dense(d, d);
    std::fill(dense.data.begin(), dense.data.end(), 0);
    for (std::size_t i = 0; i < d; i++) {
        for (std::size_t k = begin[i]; k < begin[i + 1]; k++) dense.at(i, at[k]) = mean[k];
    }
    const Wide gram = times(transpose(cut), cut);
    compare.take("sparse_outer_mean", TOLERANCE<T>, dense.data, plus(gram, gram, 1.0 / n - 1).data);
}

template <class T>
double dot(const std::vector<T> &a, const std::vector<T> &b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); i++) sum += double(a[i]) * double(b[i]);
    return sum;
}

template <class T>
void statistics(Comparison &compare) {
    constexpr std::size_t n = 5, m = 3, d = 4;
    Inputs inputs;
    const DenseOf<T> delta = inputs.matrix<T>(n, m), x = inputs.matrix<T>(n, d);
    // u_s = vec(delta_s x_s^T) and their mean.
    std::vector<Numbers> u(n, Numbers(m * d));
    Numbers mean(m * d, 0), want_squares, want_products;
    for (std::size_t s = 0; s < n; s++) {
        for (std::size_t i = 0; i < m * d; i++) {
            u[s][i] = double(delta.at(s, i / d)) * x.at(s, i % d);
            mean[i] += u[s][i] / n;
        }
    }
    double norms = 0, cosines = 0;
    for (std::size_t s = 0; s < n; s++) {
        want_squares.push_back(dot(u[s], u[s]));
        want_products.push_back(dot(u[s], mean));
        norms += std::sqrt(want_squares[s]) / n;
        cosines += want_products[s] / std::sqrt(want_squares[s] * dot(mean, mean)) / n;
    }
    std::vector<T> squares(n, T(NAN)), products(n, T(NAN)), g(mean.begin(), mean.end());
    DenseOf<T> rows(n, m * d);
    for (std::size_t s = 0; s < n; s++) std::copy(u[s].begin(), u[s].end(), &rows.at(s, 0));
    RF(outer_square_norms, out(squares), delta.view(), x.view(), 0);
    compare.take("outer_square_norms", TOLERANCE<T>, squares, want_squares);
    RF(row_products, out(squares), out(products), rows.view(), in(g), 0);
    compare.take("row_products", TOLERANCE<T>, products, want_products);
    Noise<T> noise;
    RF(batch_statistics, &noise, in(squares), in(products), T(dot(mean, mean)));
    double spread = 0;
    for (std::size_t s = 0; s < n; s++) {
        for (std::size_t i = 0; i < m * d; i++) spread += std::pow(u[s][i] - mean[i], 2);
    }
    const double variance = spread / (n - 1), signal = dot(mean, mean) - variance / n;
    const double second = (spread + n * dot(mean, mean)) / n;
    compare.take("batch_statistics", 5 * TOLERANCE<T>,
                 std::vector<T>{noise.mean_square, noise.second_moment, noise.mean_norm, noise.variance,
                                noise.signal, noise.alignment},
                 Numbers{dot(mean, mean), second, norms, variance, signal, cosines});
    compare.take("batch_statistics: ratio", 0,
                 std::vector<T>{noise.signal > 0 ? noise.noise_scale : T(0), noise.signal_to_noise},
                 std::vector<T>{noise.signal > 0 ? noise.variance / noise.signal : T(0),
                                noise.signal < 0 ? T(0) : T(n) * noise.signal / noise.variance});

    T found[2];
    RF(cosine, &found[0], in(g), {&rows.at(1, 0), m * d});
    compare.take("cosine", TOLERANCE<T>, std::vector<T>{found[0]},
                 Numbers{want_products[1] / std::sqrt(want_squares[1] * dot(mean, mean))});

    // Rows of a rotation: e_0 cos + e_1 sin, e_2 against e_0, e_1, e_2.
    DenseOf<T> some(2, 4), others(3, 4);
    some.data = {T(0.6), T(0.8), 0, 0, 0, 0, 1, 0};
    others.data = {1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0};
    const std::vector<T> v{3, 4, 0, 12};
    RF(subspace_share, &found[0], some.view(), in(v));
    RF(subspace_overlap, &found[1], some.view(), others.view());
    compare.take("subspaces", TOLERANCE<T>, std::vector<T>{found[0], found[1]},
                 Numbers{25.0 / 169, (0.36 + 1) / 3});

    const DenseOf<T> a = inputs.positive<T>(6), b = inputs.positive<T>(6);
    Frobenius<T> sums{0, 0, 0, 0};
    for (std::size_t i = 0; i < 6; i++) RF(frobenius_add, &sums, {&a.at(i, 0), 6}, {&b.at(i, 0), 6});
    RF(frobenius_compare, &found[0], &found[1], &sums);
    const Numbers difference = plus(wide(a), wide(b), -1).data;
    compare.take("frobenius_compare", TOLERANCE<T>, std::vector<T>{found[0], found[1]},
                 Numbers{std::sqrt(dot(difference, difference) / dot(b.data, b.data)),
                         dot(a.data, b.data) / std::sqrt(dot(a.data, a.data) * dot(b.data, b.data))});
}

// The best weights without those that are not kept, H_FF x = H_FQ w_Q, and what that costs.
std::pair<Numbers, double> best_without(const Wide &h, const Numbers &w, const Numbers &kept) {
    Wide system = h, right(w.size(), 1), change(w.size(), 1);
    for (std::size_t i = 0; i < w.size(); i++) {
        right.at(i, 0) = 0;
        for (std::size_t j = 0; j < w.size(); j++) {
            if (kept[j] == 0) right.at(i, 0) += h.at(i, j) * w[j];
            if (kept[i] == 0 || kept[j] == 0) system.at(i, j) = i == j;
        }
        if (kept[i] == 0) right.at(i, 0) = -w[i];
    }
    change = eliminate(system, right).first;
    Numbers out = w;
    for (std::size_t i = 0; i < w.size(); i++) out[i] += change.at(i, 0);
    return {out, times(transpose(change), times(h, change)).data[0] / 2};
}

template <class T>
void pruning(Comparison &compare) {
    constexpr std::size_t m = 3, d = 4, p = m * d;
    Inputs inputs;
    const DenseOf<T> g = inputs.positive<T>(m), a = inputs.positive<T>(d), w = inputs.matrix<T>(m, d);
    const Wide h = kron(wide(g), wide(a)), h_inverse = eliminate(h, identity(p)).first;
    const Numbers weights(w.data.begin(), w.data.end());
    Numbers want[2];
    std::vector<T> diagonal, inverse_diagonal, got(p, T(NAN));
    for (std::size_t q = 0; q < p; q++) {
        diagonal.push_back(T(h.at(q, q)));
        inverse_diagonal.push_back(T(h_inverse.at(q, q)));
        want[0].push_back(h.at(q, q) * weights[q] * weights[q] / 2);
        Numbers kept(p, 1);
        kept[q] = 0;
        want[1].push_back(best_without(h, weights, kept).second);
    }
    RF(diagonal_saliency, out(got), in(w.data), in(diagonal));
    compare.take("diagonal_saliency", TOLERANCE<T>, got, want[0]);
    RF(inverse_saliency, out(got), in(w.data), in(inverse_diagonal));
    compare.take("inverse_saliency", TOLERANCE<T>, got, want[1]);

    // One weight of the layer by its factors.
    Numbers kept(p, 1);
    kept[1 * d + 2] = 0;
    const auto [single, cost] = best_without(h, weights, kept);
    DenseOf<T> moved = w, inverse(p, p), g_inverse(m, m), a_inverse(d, d);
    const Wide inverses[2] = {eliminate(wide(g), identity(m)).first,
                              eliminate(wide(a), identity(d)).first};
    g_inverse.data.assign(inverses[0].data.begin(), inverses[0].data.end());
    a_inverse.data.assign(inverses[1].data.begin(), inverses[1].data.end());
    T found;
    RF(prune_kron_remove, moved.out(), &found, g_inverse.view(), a_inverse.view(), 1, 2);
    compare.take("prune_kron_remove", TOLERANCE<T>, moved.data, single);
    compare.take("prune_kron_remove: cost", TOLERANCE<T>, std::vector<T>{found}, Numbers{cost});

    // Three weights one after the other with the inverse, and together by conjugate gradients.
    kept[0] = kept[p - 1] = 0;
    const auto [without, whole_cost] = best_without(h, weights, kept);
    inverse.data.assign(h_inverse.data.begin(), h_inverse.data.end());
    moved = w;
    double costs = 0;
    for (std::size_t q = 0; q < p; q++) {
        if (kept[q] != 0) continue;
        RF(prune_remove, out(moved.data), inverse.out(), &found, q);
        costs += found;
    }
    compare.take("prune_remove", 5 * TOLERANCE<T>, moved.data, without);
    compare.take("prune_remove: cost", 5 * TOLERANCE<T>, Numbers{costs}, Numbers{whole_cost});
    DenseOf<T> mask(m, d);
    mask.data.assign(kept.begin(), kept.end());
    moved = w;
    std::size_t products = 0;
    WorkOf<T> work(rf_prune_kron_compensate_workspace_len(m, d));
    RF(prune_kron_compensate, moved.out(), &products, mask.view(), g.view(), a.view(), T(0.5),
       T(std::is_same_v<T, float> ? 1e-6 : 1e-13), 0, work.lend());
    compare.take("prune_kron_compensate", 10 * TOLERANCE<T>, moved.data,
                 best_without(plus(h, identity(p), 0.5), weights, kept).first);
    compare.take("prune_kron_compensate: products", 0, Numbers{double(products > 0)}, Numbers{1});

    const std::vector<T> u = inputs.numbers<T>(p);
    Wide outer(p, p);
    for (std::size_t i = 0; i < p * p; i++) outer.data[i] = double(u[i / p]) * u[i % p];
    inverse.data.assign(h_inverse.data.begin(), h_inverse.data.end());
    WorkOf<T> update(rf_woodbury_update_workspace_len(p));
    RF(woodbury_update, inverse.out(), in(u), 8, update.lend());
    compare.take("woodbury_update", 5 * TOLERANCE<T>, inverse.data,
                 eliminate(plus(h, outer, 0.125), identity(p)).first.data);
}

template <class T>
void posterior(Comparison &compare) {
    constexpr std::size_t n = 3, classes = 2, m = 3, d = 4, p = m * d;
    const double samples = 50, tau = 0.25;
    Inputs inputs;
    std::vector<T> values = inputs.numbers<T>(p);
    for (T &s : values) s = std::max(s, T(0));
    // P = samples C + tau I of a diagonal C.
    Wide precision = identity(p, tau);
    double effective = 0;
    Numbers variances;
    for (std::size_t i = 0; i < p; i++) {
        precision.at(i, i) += samples * values[i];
        variances.push_back(1 / precision.at(i, i));
        effective += 1 - tau * variances[i];
    }
    const double log_determinant = eliminate(precision, identity(p)).second;
    double found[3];
    RF(laplace_log_determinant, &found[0], in(values), samples, tau);
    RF(laplace_effective_parameters, &found[1], in(values), samples, tau);
    Call call("laplace_log_marginal");
    call = rf_laplace_log_marginal_f64(&found[2], -12.5, 3, p, tau, log_determinant, call);
    compare.take("laplace: numbers", 1e-12, Numbers{found[0], found[1], found[2]},
                 Numbers{log_determinant, effective,
                         -12.5 - tau * 3 / 2 + p * std::log(tau) / 2 - log_determinant / 2});
    DenseOf<T> spread(m, d), draw = inputs.matrix<T>(m, d);
    Numbers drawn;
    for (std::size_t i = 0; i < p; i++) drawn.push_back(draw.data[i] * std::sqrt(variances[i]));
    RF(laplace_variances, out(spread.data), in(values), samples, tau);
    compare.take("laplace_variances", TOLERANCE<T>, spread.data, variances);
    RF(laplace_scale_draw, out(draw.data), in(values), samples, tau);
    compare.take("laplace_scale_draw", TOLERANCE<T>, draw.data, drawn);

    const DenseOf<T> u = inputs.matrix<T>(classes * n, m), v = inputs.matrix<T>(n, d);
    DenseOf<T> got = inputs.matrix<T>(n, classes * classes);
    Wide wanted = wide(got);
    for (std::size_t s = 0; s < n; s++) {
        Wide jacobian(classes, p);
        for (std::size_t c = 0; c < classes; c++) {
            for (std::size_t i = 0; i < p; i++) {
                jacobian.at(c, i) = double(u.at(c * n + s, i / d)) * v.at(s, i % d);
            }
        }
        const Wide covariance = times(jacobian, eliminate(precision, transpose(jacobian)).first);
        for (std::size_t i = 0; i < classes * classes; i++) {
            wanted.at(s, i) = 0.5 * wanted.at(s, i) + covariance.data[i];
        }
    }
    WorkOf<T> work(rf_laplace_predictive_workspace_len(n, m, d));
    RF(laplace_predictive_covariance, got.out(), u.view(), v.view(), spread.view(), T(0.5), work.lend());
    compare.take("laplace_predictive_covariance", TOLERANCE<T>, got.data, wanted.data);

    std::vector<T> logits = inputs.numbers<T>(6), width(6);
    Numbers shrunk;
    for (std::size_t i = 0; i < 6; i++) {
        width[i] = T(i);
        shrunk.push_back(logits[i] / std::sqrt(1 + std::acos(-1.0) * double(i) / 8));
    }
    RF(laplace_probit_logits, out(logits), in(width));
    compare.take("laplace_probit_logits", TOLERANCE<T>, logits, shrunk);
}

}  // namespace

int main() {
    return in_both_precisions([](Comparison &compare, auto one) {
        using T = decltype(one);
        sparse_metrics<T>(compare);
        statistics<T>(compare);
        pruning<T>(compare);
        posterior<T>(compare);
    });
}
