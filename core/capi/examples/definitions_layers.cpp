// Layers against their definitions, in C++17 and both precisions: metrics of two layers, windows of
// convolutions and pools, roots of loss Hessians, normalisations. Every definition is written out in
// double precision.
//
// Prints the worst error of each quantity, relative to its largest entry; status 1 when one is above its
// tolerance.
#include "definitions.h"

namespace {

// The response metric R_s of the outputs (c*c), by its definition.
Wide response(std::uint32_t kind, const Wide &weights, double sigma, std::size_t s, std::size_t c) {
    Wide r(c, c);
    for (std::size_t i = 0; i < c; i++) {
        for (std::size_t j = 0; j < c; j++) {
            const double diagonal = kind == RF_METRIC_KIND_LINEAR ? 1 / (sigma * sigma) : weights.at(s, i);
            r.at(i, j) = i == j ? diagonal : 0;
            if (kind == RF_METRIC_KIND_SOFTMAX) r.at(i, j) -= weights.at(s, i) * weights.at(s, j);
        }
    }
    return r;
}

template <class T>
void two_layers(Comparison &compare) {
    constexpr std::size_t n = 7, d = 4, m = 3, c = 3, k = m + 1, first = m * d, all = first + c * k;
    Inputs inputs;
    const DenseOf<T> x = inputs.augmented<T>(n, d), h = inputs.augmented<T>(n, k);
    const DenseOf<T> slope = inputs.matrix<T>(n, m), upper = inputs.matrix<T>(c, k);
    const DenseOf<T> eta = inputs.probabilities<T>(n, c);
    const DenseOf<T> v_w = inputs.matrix<T>(m, d), v_c = inputs.matrix<T>(c, k);
    for (std::uint32_t kind = RF_METRIC_KIND_LINEAR; kind <= RF_METRIC_KIND_SOFTMAX; kind++) {
        const double sigma = 0.5;
        // M = (1/n) sum J^T R J with J = du/d(W, C).
        Wide wanted(all, all);
        std::fill(wanted.data.begin(), wanted.data.end(), 0);
        for (std::size_t s = 0; s < n; s++) {
            Wide jacobian(c, all);
            for (std::size_t o = 0; o < c; o++) {
                for (std::size_t q = 0; q < all; q++) {
                    if (q < first) {
                        const std::size_t i = q / d, j = q % d;
                        jacobian.at(o, q) = double(upper.at(o, i)) * slope.at(s, i) * x.at(s, j);
                    } else {
                        const std::size_t i = (q - first) / k, j = (q - first) % k;
                        jacobian.at(o, q) = i == o ? double(h.at(s, j)) : 0;
                    }
                }
            }
            const Wide r = response(kind, wide(eta), sigma, s, c);
            wanted = plus(wanted, times(transpose(jacobian), times(r, jacobian)), 1.0 / n);
        }
        const TwoLayer<T> metric{x.view(), slope.view(), upper.view(),
                                 {kind, h.view(), eta.view(), c, T(sigma)}};
        const std::string name = "two layers " + std::to_string(kind);

        DenseOf<T> dense(all, all), cross(first, c * k), lower(first, first), diagonal(m, d);
        WorkOf<T> work(rf_metric_dense_workspace_len(n, std::max(d, k)));
        WorkOf<T> few(rf_metric_dense_workspace_len(n, d));
        RF(two_layer_dense, dense.out(), metric, work.lend());
        RF(two_layer_cross, cross.out(), metric, few.lend());
        RF(two_layer_lower_dense, lower.out(), metric, few.lend());
        RF(two_layer_lower_diagonal, diagonal.out(), metric);
        Numbers want_cross, want_lower, want_diagonal;
        for (std::size_t i = 0; i < first; i++) {
            for (std::size_t j = 0; j < all; j++) {
                (j < first ? want_lower : want_cross).push_back(wanted.at(i, j));
            }
            want_diagonal.push_back(wanted.at(i, i));
        }
        compare.take(name, TOLERANCE<T>, dense.data, wanted.data);
        compare.take(name + " cross", TOLERANCE<T>, cross.data, want_cross);
        compare.take(name + " lower", TOLERANCE<T>, lower.data, want_lower);
        compare.take(name + " lower diagonal", TOLERANCE<T>, diagonal.data, want_diagonal);

        Wide v(all, 1), lower_v(first, 1), block(first, first);
        block.data = want_lower;
        std::copy(v_w.data.begin(), v_w.data.end(), v.data.begin());
        std::copy(v_c.data.begin(), v_c.data.end(), v.data.begin() + first);
        std::copy(v_w.data.begin(), v_w.data.end(), lower_v.data.begin());
        const Wide image = times(wanted, v), lower_image = times(block, lower_v);
        DenseOf<T> out_w(m, d), out_c(c, k);
        std::vector<T> joined, form(2, T(NAN));
        WorkOf<T> product(rf_two_layer_multiply_workspace_len(n, m, c));
        WorkOf<T> below(rf_two_layer_lower_workspace_len(n, m, c));
        RF(two_layer_multiply, out_w.out(), out_c.out(), metric, v_w.view(), v_c.view(), product.lend());
        joined = out_w.data;
        joined.insert(joined.end(), out_c.data.begin(), out_c.data.end());
        compare.take(name + " multiply", TOLERANCE<T>, joined, image.data);
        RF(two_layer_lower_multiply, out_w.out(), metric, v_w.view(), below.lend());
        compare.take(name + " lower multiply", TOLERANCE<T>, out_w.data, lower_image.data);
        RF(two_layer_quadratic_form, &form[0], metric, v_w.view(), v_c.view(), product.lend());
        RF(two_layer_lower_quadratic_form, &form[1], metric, v_w.view(), below.lend());
        compare.take(name + " quadratic forms", TOLERANCE<T>, form,
                     Numbers{times(transpose(v), image).data[0],
                             times(transpose(lower_v), lower_image).data[0]});

        const double damping = 0.125;
        std::vector<T> g(v.data.begin(), v.data.end()), step(all, T(NAN));
        std::size_t products = 0, below_products = 0;
        WorkOf<T> solve(rf_two_layer_solve_workspace_len(n, m, d, c, k));
        WorkOf<T> lower_solve(rf_two_layer_lower_solve_workspace_len(n, m, d, c));
        RF(two_layer_solve, out(step), &products, metric, in(g), T(damping), 0, 0, solve.lend());
        compare.take(name + " solve", 50 * TOLERANCE<T>, step,
                     eliminate(plus(wanted, identity(all), damping), v).first.data);
        RF(two_layer_lower_solve, out_w.out(), &below_products, metric, v_w.view(), T(damping), 0, 0,
           lower_solve.lend());
        compare.take(name + " lower solve", 50 * TOLERANCE<T>, out_w.data,
                     eliminate(plus(block, identity(first), damping), lower_v).first.data);
        compare.take(name + " products were counted", 0,
                     Numbers{double(products > 0), double(below_products > 0)}, Numbers{1, 1});
    }
}

// What the window reads for tap (ky, kx) of position (oy, ox), or -1 in the padding.
std::ptrdiff_t pixel(const rf_window &w, std::size_t o, std::size_t tap) {
    const std::size_t across = rf_window_out_width(w);
    const std::size_t at[2] = {o / across, o % across};
    const std::size_t tap_at[2] = {tap / w.kernel[1], tap % w.kernel[1]}, size[2] = {w.height, w.width};
    std::size_t place[2];
    for (int axis = 0; axis < 2; axis++) {
        const std::size_t padded = at[axis] * w.stride[axis] + tap_at[axis] * w.dilation[axis];
        if (padded < w.padding[axis] || padded - w.padding[axis] >= size[axis]) return -1;
        place[axis] = padded - w.padding[axis];
    }
    return std::ptrdiff_t(place[0] * w.width + place[1]);
}

template <class T>
void patches(Comparison &compare) {
    constexpr std::size_t channels = 4, groups = 2, width = channels / groups;
    const rf_window w{channels, 5, 6, {3, 2}, {2, 1}, {1, 2}, {1, 2}};
    const std::size_t rows = rf_window_out_height(w) * rf_window_out_width(w), taps = 6;
    compare.take("window", 0, Numbers{double(rf_window_out_height(w)), double(rf_window_out_width(w))},
                 Numbers{3, 8});
    Inputs inputs;
    const std::vector<T> image = inputs.numbers<T>(channels * w.height * w.width);
    DenseOf<T> by_order[2] = {{rows, taps * width + 1}, {rows, taps * width + 1}};
    for (std::size_t group = 0; group < groups; group++) {
        for (std::uint32_t order : {RF_PATCH_ORDER_CHANNEL_MAJOR, RF_PATCH_ORDER_TAP_MAJOR}) {
            DenseOf<T> &got = by_order[order];
            RF(unfold, got.out(), in(image), w, group, groups, 0, order);
            Wide wanted(rows, taps * width + 1), sums(1, image.size());
            const DenseOf<T> delta = inputs.matrix<T>(rows, taps * width);
            std::vector<T> folded = inputs.numbers<T>(image.size());
            sums.data.assign(folded.begin(), folded.end());
            for (std::size_t o = 0; o < rows; o++) {
                wanted.at(o, taps * width) = 1;
                for (std::size_t tap = 0; tap < taps; tap++) {
                    for (std::size_t i = 0; i < width; i++) {
                        const bool outer_channel = order == RF_PATCH_ORDER_CHANNEL_MAJOR;
                        const std::size_t column = outer_channel ? i * taps + tap : tap * width + i;
                        const std::ptrdiff_t p = pixel(w, o, tap);
                        const std::size_t place = std::size_t(p) * channels + group * width + i;
                        wanted.at(o, column) = p < 0 ? 0 : double(image[place]);
                        if (p >= 0) sums.data[place] += delta.at(o, column);
                    }
                }
            }
            compare.take("unfold", 0, got.data, wanted.data);
            RF(fold_add, out(folded), delta.view(), w, group, groups, 0, order);
            compare.take("fold_add", TOLERANCE<T>, folded, sums.data);
        }
        // One order from the other, patches and factors.
        const std::size_t d = taps * width + 1;
        DenseOf<T> columns(rows, d), a(d, d), b(d, d), moved(d, d);
        RF(reorder_columns, columns.out(), by_order[0].view(), width, taps,
           RF_PATCH_ORDER_CHANNEL_MAJOR);
        compare.take("reorder_columns", 0, columns.data, by_order[1].data);
        RF(reorder_columns, columns.out(), by_order[1].view(), width, taps, RF_PATCH_ORDER_TAP_MAJOR);
        compare.take("reorder_columns back", 0, columns.data, by_order[0].data);
        RF(gemm, a.out(), by_order[0].transposed(), by_order[0].view(), 1, 0);
        RF(gemm, b.out(), by_order[1].transposed(), by_order[1].view(), 1, 0);
        RF(reorder_symmetric, moved.out(), a.view(), width, taps, RF_PATCH_ORDER_CHANNEL_MAJOR);
        compare.take("reorder_symmetric", TOLERANCE<T>, moved.data, b.data);
    }
    std::vector<T> first(image.size(), T(NAN)), last(image.size(), T(NAN)), wanted(image.size());
    const std::size_t positions = w.height * w.width;
    for (std::size_t p = 0; p < positions; p++) {
        for (std::size_t i = 0; i < channels; i++) {
            wanted[i * positions + p] = image[p * channels + i];
        }
    }
    RF(to_channels_first, out(first), in(image), channels, positions);
    compare.take("to_channels_first", 0, first, wanted);
    RF(to_channels_last, out(last), in(first), channels, positions);
    compare.take("to_channels_last", 0, last, image);
}

template <class T>
void pools(Comparison &compare) {
    constexpr std::size_t channels = 2;
    const rf_window w{channels, 5, 6, {3, 2}, {2, 2}, {1, 1}, {1, 1}};
    const std::size_t rows = rf_window_out_height(w) * rf_window_out_width(w), taps = 6;
    Inputs inputs;
    const std::vector<T> image = inputs.numbers<T>(channels * w.height * w.width);
    const std::vector<T> delta = inputs.numbers<T>(rows * channels);
    std::vector<T> got(rows * channels, T(NAN)), back = inputs.numbers<T>(image.size()), before = back;
    std::vector<std::uint32_t> argmax(rows * channels, UINT32_MAX);
    Numbers most(rows * channels, -INFINITY), places(rows * channels), sums(back.begin(), back.end());
    Numbers means[2] = {Numbers(rows * channels, 0), Numbers(rows * channels, 0)};
    Numbers spread[2] = {sums, sums};
    for (std::size_t o = 0; o < rows; o++) {
        std::size_t inside = 0;
        for (std::size_t tap = 0; tap < taps; tap++) inside += pixel(w, o, tap) >= 0;
        const double shares[2] = {1.0 / taps, 1.0 / double(inside)};
        for (std::size_t i = 0; i < channels; i++) {
            const std::size_t at = o * channels + i;
            for (std::size_t tap = 0; tap < taps; tap++) {
                const std::ptrdiff_t p = pixel(w, o, tap);
                if (p < 0) continue;
                const std::size_t place = std::size_t(p) * channels + i;
                if (image[place] > most[at]) {
                    most[at] = image[place];
                    places[at] = double(place);
                }
                for (int kind = 0; kind < 2; kind++) {
                    means[kind][at] += shares[kind] * image[place];
                    spread[kind][place] += shares[kind] * delta[at];
                }
            }
            sums[std::size_t(places[at])] += delta[at];
        }
    }
    RF(max_pool, out(got), {argmax.data(), argmax.size()}, in(image), w);
    compare.take("max_pool", 0, got, most);
    compare.take("max_pool: argmax", 0, argmax, places);
    RF(max_pool_backward_add, out(back), in(delta), {argmax.data(), argmax.size()});
    compare.take("max_pool_backward_add", TOLERANCE<T>, back, sums);
    for (std::uint32_t count : {RF_PADDING_COUNT_INCLUDE, RF_PADDING_COUNT_EXCLUDE}) {
        RF(avg_pool, out(got), in(image), w, count);
        compare.take("avg_pool", TOLERANCE<T>, got, means[count]);
        back = before;
        RF(avg_pool_backward_add, out(back), in(delta), w, count);
        compare.take("avg_pool_backward_add", TOLERANCE<T>, back, spread[count]);
    }
}

// The sum of the outer products of the root's columns is the Hessian.
template <class T>
void loss_roots(Comparison &compare) {
    constexpr std::size_t n = 5, m = 4;
    Inputs inputs;
    const DenseOf<T> p = inputs.probabilities<T>(n, m);
    const std::size_t columns[] = {m - 1, m, m};
    for (std::uint32_t kind = 0; kind < 3; kind++) {
        const Loss<T> loss{kind, T(0.75)};
        compare.take("loss_triangular_columns", 0, Numbers{double(rf_loss_triangular_columns(kind, m))},
                     Numbers{double(columns[kind])});
        DenseOf<T> sum(n, rf_packed_len(m)), column(n, m);
        for (std::size_t c = 0; c < columns[kind]; c++) {
            RF(loss_triangular_root, column.out(), p.view(), c, loss);
            RF(packed_second_moments, sum.out(), column.view(), c == 0 ? 0 : 1);
        }
        Wide wanted(n, rf_packed_len(m));
        for (std::size_t s = 0; s < n; s++) {
            for (std::size_t i = 0; i < m; i++) {
                for (std::size_t j = 0; j <= i; j++) {
                    const double own = p.at(s, i), both = own * p.at(s, j);
                    const double softmax = i == j ? own - both : -both;
                    const double others = i != j ? 0 : kind == RF_LOSS_KIND_MSE ? 1.5 : own - both;
                    wanted.at(s, rf_packed_index(i, j)) =
                        kind == RF_LOSS_KIND_SOFTMAX_CROSS_ENTROPY ? softmax : others;
                }
            }
        }
        compare.take("loss_triangular_root", TOLERANCE<T>, sum.data, wanted.data);
    }
}

template <class T>
void normalisations(Comparison &compare) {
    constexpr std::size_t n = 6, positions = 3, c = 4;
    Inputs inputs;
    const DenseOf<T> x = inputs.matrix<T>(n * positions, c), delta = inputs.matrix<T>(n * positions, c);
    Wide wanted(n, 2 * c);
    std::fill(wanted.data.begin(), wanted.data.end(), 0);
    for (std::size_t r = 0; r < x.rows; r++) {
        for (std::size_t i = 0; i < c; i++) {
            wanted.at(r / positions, 2 * i) += double(delta.at(r, i)) * x.at(r, i);
            wanted.at(r / positions, 2 * i + 1) += delta.at(r, i);
        }
    }
    DenseOf<T> gradients(n, 2 * c), blocks = inputs.matrix<T>(c, 3);
    RF(normalisation_gradients, gradients.out(), x.view(), delta.view());
    compare.take("normalisation_gradients", TOLERANCE<T>, gradients.data, wanted.data);
    Wide wanted_blocks = wide(blocks);
    for (std::size_t i = 0; i < c; i++) {
        for (std::size_t j = 0; j < 3; j++) {
            double sum = 0;
            for (std::size_t s = 0; s < n; s++) {
                sum += wanted.at(s, 2 * i + (j == 2)) * wanted.at(s, 2 * i + (j > 0));
            }
            wanted_blocks.at(i, j) = 0.5 * wanted_blocks.at(i, j) + 0.25 * sum;
        }
    }
    RF(normalisation_gradient_blocks, blocks.out(), gradients.view(), T(0.25), T(0.5));
    compare.take("normalisation_gradient_blocks", TOLERANCE<T>, blocks.data, wanted_blocks.data);

    // One position each.
    Wide rows(x.rows, 2 * c);
    for (std::size_t r = 0; r < x.rows; r++) {
        for (std::size_t i = 0; i < c; i++) {
            rows.at(r, 2 * i) = double(delta.at(r, i)) * x.at(r, i);
            rows.at(r, 2 * i + 1) = delta.at(r, i);
        }
    }
    DenseOf<T> full(2 * c, 2 * c);
    WorkOf<T> work(rf_normalisation_full_workspace_len(x.rows, c));
    RF(normalisation_full, full.out(), x.view(), delta.view(), T(0.25), 0, work.lend());
    const Wide gram = times(transpose(rows), rows);
    compare.take("normalisation_full", TOLERANCE<T>, wide(full).data,
                 plus(gram, gram, -0.75).data);
}

}  // namespace

int main() {
    return in_both_precisions([](Comparison &compare, auto one) {
        using T = decltype(one);
        two_layers<T>(compare);
        patches<T>(compare);
        pools<T>(compare);
        loss_roots<T>(compare);
        normalisations<T>(compare);
    });
}
