// Golden values beyond K-FAC, in C++17: exact blocks, steps through the space of the samples, gradients
// of single samples and what is made of them, the factors of convolutions, two-layer metrics.
//
//   golden_layers FOLDER      FOLDER is tests/golden
//
// Prints the worst error of each quantity, relative to its largest entry; status 0 when all are
// within 1e-9 (preconditioned vectors 1e-8), 1 when one is not, 2 for a bad file.
#include "golden.h"

namespace {

const rf_activation_f64 TANH{RF_ACTIVATION_KIND_TANH, 0};
const rf_activation_f64 RELU{RF_ACTIVATION_KIND_RELU, 0};
const rf_loss_f64 ENTROPY{RF_LOSS_KIND_SOFTMAX_CROSS_ENTROPY, 0};
const std::pair<double, const char *> DAMPINGS[] = {{1e-1, "1e-1"}, {1e-3, "1e-3"}};

// The tensors of one layer that a case expects.
struct Expected {
    const file_t &file;
    std::size_t k;

    Numbers operator()(const std::string &what, std::size_t m, std::size_t d) const {
        return tensor(file, what + ".layers." + std::to_string(k), m, d).data;
    }
};

Dense apply(const Dense &t, const rf_activation_f64 &f) {
    Dense a(t.rows, t.cols);
    RF(activation_value, out(a.data), in(t.data), f);
    return a;
}

// All rows of several matrices, one matrix below the other.
Dense stacked(const std::vector<Dense> &parts) {
    Dense all(0, parts.front().cols);
    for (const Dense &part : parts) {
        all.rows += part.rows;
        all.data.insert(all.data.end(), part.data.begin(), part.data.end());
    }
    return all;
}

// (J^T J/n + lambda I)^-1 V through the Gram matrix J J^T of the columns of n samples.
Dense sample_space_step(const Dense &delta, const Dense &x, const Dense &v, double lambda) {
    const std::size_t n = x.rows, order = delta.rows;
    Dense gram(order, order), image(order, 1), step(v.rows, v.cols);
    Work pairs(rf_khatri_rao_gram_workspace_len(n, order / n));
    Work work(rf_khatri_rao_workspace_len(n, delta.cols));
    RF(khatri_rao_gram, gram.out(), delta.view(), x.view(), 0, pairs.lend());
    RF(khatri_rao_apply, out(image.data), delta.view(), x.view(), v.view(), 0, work.lend());
    RF(cholesky, gram.out(), double(n) * lambda);
    RF(cholesky_solve, image.out(), gram.view());
    RF(khatri_rao_transpose, step.out(), delta.view(), x.view(), in(image.data), 0, work.lend());
    for (std::size_t i = 0; i < step.data.size(); i++) {
        step.data[i] = (v.data[i] - step.data[i]) / lambda;
    }
    return step;
}

// (B + lambda I)^-1 v by the eigenvectors of B that belong to eigenvalues that are not rounding.
Numbers low_rank_step(const Numbers &block, const Numbers &v, double lambda) {
    const std::size_t p = v.size();
    Dense u(p, p), x(1, p);
    Numbers values(p);
    u.data = block;
    x.data = v;
    Work eigh(rf_eigh_workspace_len(p));
    RF(eigh, u.out(), out(values), eigh.lend());
    const std::size_t first = std::size_t(
        std::find_if(values.begin(), values.end(), [&](double s) { return s > 1e-13 * values[p - 1]; }) -
        values.begin());
    const std::size_t k = p - first;
    Dense rows(k, p);
    for (std::size_t i = 0; i < k; i++) {
        for (std::size_t j = 0; j < p; j++) rows.at(i, j) = u.at(j, first + i);
    }
    Work work(rf_low_rank_power_workspace_len(1, k));
    const rf_low_rank_f64 top{rows.view(), {values.data() + first, k}};
    RF(low_rank_power, x.out(), top, 1, lambda, work.lend());
    return x.data;
}

// Exact blocks of one layer from packed pre-activation Hessians.
void blocks(const std::string &kind, const Dense &hessian, std::size_t m, const Dense &x,
            const Expected &want, Comparison &compare) {
    const std::size_t n = x.rows, d = x.cols;
    Dense block(m * d, m * d), diagonal(n, m), squares(m, d);
    Work work(rf_exact_block_workspace_len(n, m, d)), few(rf_exact_diagonal_workspace_len(n, d));
    RF(exact_block, block.out(), hessian.view(), x.view(), 1.0 / double(n), work.lend());
    compare.take(kind + "_block", 1e-9, block.data, want(kind + "_block", m * d, m * d));
    for (std::size_t s = 0; s < n; s++) {
        for (std::size_t i = 0; i < m; i++) diagonal.at(s, i) = hessian.at(s, rf_packed_index(i, i));
    }
    RF(exact_diagonal, squares.out(), diagonal.view(), x.view(), 1.0 / double(n), few.lend());
    compare.take(kind + "_diag", 1e-9, squares.data, want(kind + "_diag", m, d));
}

// The gradients of single samples, which the case has: the empirical Fisher matrix in a sparse metric
// that keeps everything, its damped inverse by WoodFisher, norms, and the sums of a mini-batch.
struct Batch {
    Numbers squares, products;
    double mean_square = 0;

    void take(const Expected &want, const Dense &delta, const Dense &x, const Dense &grad,
              Comparison &compare) {
        const std::size_t n = x.rows, m = grad.rows, d = grad.cols, p = m * d;
        const bool first = squares.empty();
        squares.resize(n, NAN);
        products.resize(n, NAN);
        Numbers own(n, NAN), norms(n, NAN), along(n, NAN);
        RF(outer_square_norms, out(own), delta.view(), x.view(), 0);
        compare.take("per_sample_grad_sqnorm", 1e-9, own, want("per_sample_grad_sqnorm", 1, n));
        Dense rows(n, p);
        rows.data = want("per_sample_grad", n, p);
        RF(row_products, out(norms), out(along), rows.view(), in(grad.data), 0);
        compare.take("row_products: squares", 1e-9, norms, own);
        Work work(rf_khatri_rao_workspace_len(n, m));
        RF(khatri_rao_apply, out(own), delta.view(), x.view(), grad.view(), 0, work.lend());
        compare.take("row_products: products", 1e-9, along, own);
        RF(outer_square_norms, out(squares), delta.view(), x.view(), first ? 0 : 1);
        RF(khatri_rao_apply, out(products), delta.view(), x.view(), grad.view(), first ? 0 : 1,
           work.lend());
        for (double g : grad.data) mean_square += g * g;

        // Kept whole, the arithmetic mean of the squares is the diagonal of the empirical Fisher matrix.
        Numbers sums(p, 0), peaks(p, 0), root(p, NAN), kept;
        std::vector<std::uint32_t> counts(p, 0), indices, places(rf_kept_count(1, p));
        std::vector<std::size_t> starts{0};
        const rf_mean_state state{out(sums), out(peaks), {counts.data(), p}};
        for (std::size_t s = 0; s < n; s++) {
            const rf_slice_f64 row{&rows.at(s, 0), p};
            std::size_t count = 0;
            RF(select_largest, {places.data(), places.size()}, &count, row);
            const std::size_t begin = kept.size();
            for (std::size_t i = 0; i < count; i++) {
                indices.push_back(places[i]);
                kept.push_back(rows.at(s, places[i]));
            }
            starts.push_back(kept.size());
            RF(quasi_mean_add, state, {places.data(), count}, {kept.data() + begin, count}, 1);
        }
        RF(quasi_mean_root, out(root), state, n, 1);
        for (double &g : root) g *= g;
        compare.take("ef_diag: quasi_mean", 1e-9, root, want("ef_diag", m, d));
        compare.take("ef_block: sparse", 1e-9, outer_mean(starts, indices, kept, p),
                     want("ef_block", p, p));

        // WoodFisher: from I/lambda through all gradients.
        for (const auto &[lambda, text] : DAMPINGS) {
            Dense inverse(p, p), v = grad, step(p, 1);
            for (std::size_t i = 0; i < p * p; i++) inverse.data[i] = i % (p + 1) ? 0 : 1 / lambda;
            Work update(rf_woodbury_update_workspace_len(p));
            for (std::size_t s = 0; s < n; s++) {
                RF(woodbury_update, inverse.out(), {&rows.at(s, 0), p}, double(n), update.lend());
            }
            v.rows = p;
            v.cols = 1;
            RF(gemm, step.out(), inverse.view(), v.view(), 1, 0);
            compare.take("natgrad_ef: woodbury", 1e-8, step.data,
                         want(std::string("natgrad_ef_damp") + text, m, d));
        }
    }

    // (1/n) sum_s u_s u_s^T as a dense matrix.
    static Numbers outer_mean(const std::vector<std::size_t> &starts,
                              const std::vector<std::uint32_t> &indices, const Numbers &values,
                              std::size_t p) {
        const std::size_t n = starts.size() - 1;
        const rf_sparse_f64 rows{{starts.data(), n + 1}, {indices.data(), indices.size()}, in(values)};
        std::vector<std::size_t> column_starts(p + 1), begin(p + 1), places(p);
        std::vector<std::uint32_t> column_indices(values.size()), marks(p);
        Numbers column_values(values.size(), NAN);
        const rf_slice_mut_u32 marked{marks.data(), p};
        RF(sparse_transpose,
           {{column_starts.data(), p + 1}, {column_indices.data(), values.size()}, out(column_values)},
           rows);
        const rf_sparse_f64 columns{{column_starts.data(), p + 1},
                                    {column_indices.data(), values.size()},
                                    in(column_values)};
        std::size_t entries = 0;
        RF(sparse_outer_pattern, {begin.data(), p + 1}, &entries, rows, columns, p * p, marked);
        std::vector<std::uint32_t> at(entries);
        Numbers mean(entries, NAN), dense(p * p, 0);
        RF(sparse_outer_mean, {{begin.data(), p + 1}, {at.data(), entries}, out(mean)}, rows, columns,
           marked, {places.data(), p});
        for (std::size_t i = 0; i < p; i++) {
            for (std::size_t k = begin[i]; k < begin[i + 1]; k++) dense[i * p + at[k]] = mean[k];
        }
        return dense;
    }
};

// The case sa_tanh_ce: three linear layers, tanh between, soft-max cross-entropy, 32 digits.
void network(const std::string &folder, Comparison &compare) {
    constexpr std::size_t n = 32, layers = 3, width[layers + 1] = {16, 12, 8, 10};
    const file_t model = file_read((folder + "/model.safetensors").c_str());
    const file_t expected = file_read((folder + "/expected.safetensors").c_str());
    Dense a(n, width[0]);
    npy_read((folder + "/x.npy").c_str(), a.data.data(), a.data.size() * sizeof(double));

    std::vector<Dense> weights, inputs, outputs;
    for (std::size_t k = 0; k < layers; k++) {
        const Dense joint = layer(model, k, width[k + 1], width[k]);
        inputs.push_back(augmented(a));
        outputs.push_back(product(inputs[k], joint, true));
        weights.push_back(without_bias(joint));
        a = apply(outputs[k], TANH);
    }
    Dense p = outputs[layers - 1];
    softmax(p);

    // The gradient, and the columns of the Hessian's triangular root, one fewer than there are classes.
    Dense gradient = entropy_gradient(p, folder + "/y.npy");
    const std::size_t roots = rf_loss_triangular_columns(ENTROPY.kind, width[layers]);
    std::vector<Dense> columns;
    for (std::size_t c = 0; c < roots; c++) {
        columns.emplace_back(n, width[layers]);
        RF(loss_triangular_root, columns[c].out(), p.view(), c, ENTROPY);
    }
    Dense gauss_newton(n, rf_packed_len(width[layers]));
    RF(loss_hessian_packed, gauss_newton.out(), p.view(), ENTROPY);
    Dense hessian = gauss_newton;
    Batch batch;

    for (std::size_t k = layers; k-- > 0;) {
        const Dense &x = inputs[k];
        const std::size_t m = width[k + 1], d = width[k] + 1;
        const Expected want{expected, k};
        const Dense grad = mean_outer(gradient, x, n), delta = stacked(columns);
        compare.take("grad", 1e-9, grad.data, want("grad", m, d));

        // By the recursion of the Hessians, and by the columns.
        blocks("ggn", gauss_newton, m, x, want, compare);
        blocks("hess", hessian, m, x, want, compare);
        Dense moments(n, rf_packed_len(m));
        for (std::size_t c = 0; c < columns.size(); c++) {
            RF(packed_second_moments, moments.out(), columns[c].view(), c == 0 ? 0 : 1);
        }
        compare.take("packed_second_moments", 1e-9, moments.data, gauss_newton.data);
        RF(packed_second_moments, moments.out(), gradient.view(), 0);
        blocks("ef", moments, m, x, want, compare);

        for (const auto &[lambda, text] : DAMPINGS) {
            const Numbers ggn = want(std::string("natgrad_ggn_damp") + text, m, d);
            const Numbers ef = want(std::string("natgrad_ef_damp") + text, m, d);
            compare.take("natgrad_ggn: sample space", 1e-8,
                         sample_space_step(delta, x, grad, lambda).data, ggn);
            compare.take("natgrad_ef: sample space", 1e-8,
                         sample_space_step(gradient, x, grad, lambda).data, ef);
            compare.take("natgrad_ggn: low rank", 1e-8,
                         low_rank_step(want("ggn_block", m * d, m * d), grad.data, lambda), ggn);
        }
        batch.take(want, gradient, x, grad, compare);

        // The Frobenius norm of the block, by its products with all unit vectors.
        const Numbers block = want("ggn_block", m * d, m * d);
        rf_frobenius_f64 sums{0, 0, 0, 0};
        for (std::size_t i = 0; i < m * d; i++) {
            const rf_slice_f64 row{&block[i * m * d], m * d};
            RF(frobenius_add, &sums, row, row);
        }
        compare.take("ggn_block_trace_fro", 1e-9, Numbers{std::sqrt(sums.first)},
                     Numbers{want("ggn_block_trace_fro", 1, 2)[1]});

        if (k == 0) break;
        const Dense &t = outputs[k - 1], &w = weights[k];
        Dense slope(n, width[k]), curve(n, width[k]), error = product(gradient, w, false);
        RF(activation_derivative, out(slope.data), in(t.data), TANH);
        RF(activation_second_derivative, out(curve.data), in(t.data), TANH);
        for (std::size_t i = 0; i < curve.data.size(); i++) curve.data[i] *= error.data[i];
        Dense next_ggn(n, rf_packed_len(width[k])), next_hessian = next_ggn;
        Work step(rf_hessian_step_workspace_len(m, width[k]));
        RF(hessian_step, next_ggn.out(), gauss_newton.view(), w.view(), slope.view(),
           rf_view_f64(nullptr, 0, 0), step.lend());
        RF(hessian_step, next_hessian.out(), hessian.view(), w.view(), slope.view(), curve.view(),
           step.lend());
        gauss_newton = next_ggn;
        hessian = next_hessian;
        gradient = error;
        RF(activation_backward, out(gradient.data), in(t.data), TANH);
        for (Dense &column : columns) {
            column = product(column, w, false);
            RF(activation_backward, out(column.data), in(t.data), TANH);
        }
    }
    // The second moment of the whole gradient is the trace of the empirical Fisher matrix.
    rf_gradient_noise_f64 noise;
    RF(batch_statistics, &noise, in(batch.squares), in(batch.products), batch.mean_square);
    compare.take("trace of ef", 1e-9, Numbers{noise.second_moment},
                 Numbers{tensor(expected, "trace.ggn_hess_ef", 1, 3).at(0, 2)});
    std::free(model.bytes);
    std::free(expected.bytes);
}

// A convolution of the case se_cnn_ce: its window, channels last, and its weights, channel-major.
struct Convolution {
    rf_window window;
    Dense weights;  // [kernel | bias]

    std::size_t positions() const {
        return rf_window_out_height(window) * rf_window_out_width(window);
    }

    // The patches of all images, (nT)*d with the trailing 1.
    Dense patches(const Dense &images) const {
        Dense all(images.rows * positions(), weights.cols);
        for (std::size_t s = 0; s < images.rows; s++) {
            RF(unfold, all.part_out(s * positions(), positions()), {&images.at(s, 0), images.cols},
               window, 0, 1, 0, RF_PATCH_ORDER_CHANNEL_MAJOR);
        }
        return all;
    }

    // One image a row: what arrives at the images of what arrives at the positions.
    Dense backward(const Dense &delta) const {
        const std::size_t t = positions(), n = delta.rows / t;
        Dense images(n, window.height * window.width * window.channels);
        std::fill(images.data.begin(), images.data.end(), 0);
        const Dense spread = product(delta, weights, false);
        for (std::size_t s = 0; s < n; s++) {
            RF(fold_add, {&images.at(s, 0), images.cols}, spread.part(s * t, t), window, 0, 1, 0,
               RF_PATCH_ORDER_CHANNEL_MAJOR);
        }
        return images;
    }
};

// Factors, gradient and EKFAC's scale of a layer with T positions a sample; T = 1 for the last one.
void shared_layer(const Dense &patches, const std::vector<Dense> &columns, std::size_t positions,
                  const Expected &want, Comparison &compare) {
    const std::size_t rows = patches.rows, n = rows / positions;
    const std::size_t m = columns[0].cols, d = patches.cols;
    compare.take("cnn grad", 1e-9, mean_outer(columns[0], patches, n).data, want("grad", m, d));
    Dense a(d, d), g(m, m), reduced_a(d, d), reduced_g(m, m), means(n, d), sums(n, m), scale(m, d);
    add_gram(a, patches, rows, 0);
    RF(reduce_mean, means.out(), patches.view());
    add_gram(reduced_a, means, n, 0);
    Dense u_g(m, m), u_a(d, d);
    u_g.data = want("ekfac_type2.QG", m, m);
    u_a.data = want("ekfac_type2.QA", d, d);
    std::fill(scale.data.begin(), scale.data.end(), 0);
    Work scaling(rf_ekfac_scale_shared_workspace_len(positions, m, d));
    for (std::size_t c = 1; c < columns.size(); c++) {
        add_gram(g, columns[c], n, c == 1 ? 0 : 1);
        RF(reduce_sum, sums.out(), columns[c].view());
        add_gram(reduced_g, sums, n, c == 1 ? 0 : 1);
        for (std::size_t s = 0; s < n; s++) {
            RF(ekfac_scale_shared, scale.out(), u_g.view(), u_a.view(),
               columns[c].part(s * positions, positions), patches.part(s * positions, positions),
               1.0 / double(n), scaling.lend());
        }
    }
    compare.take("cnn kfac.A", 1e-9, a.data, want("kfac.A", d, d));
    compare.take("cnn kfac_type2.G", 1e-9, g.data, want("kfac_type2.G", m, m));
    compare.take("cnn kfac_reduce.A", 1e-9, reduced_a.data, want("kfac_reduce.A", d, d));
    compare.take("cnn kfac_reduce_type2.G", 1e-9, reduced_g.data, want("kfac_reduce_type2.G", m, m));
    compare.take("cnn ekfac_type2.lambda", 1e-9, scale.data, want("ekfac_type2.lambda", m, d));

    // The operator of EKFAC on the first probe, and back.
    const Dense probes = tensor(want.file, "probe.layers." + std::to_string(want.k), m * d, 6);
    const Numbers images = want("ekfac_type2_probe", m * d, 6);
    Dense v(m, d);
    Numbers image(m * d), probe(m * d);
    for (std::size_t i = 0; i < m * d; i++) {
        v.data[i] = probe[i] = probes.at(i, 0);
        image[i] = images[i * 6];
    }
    Work work(rf_ekfac_solve_workspace_len(m, d));
    RF(ekfac_apply, v.out(), u_g.view(), u_a.view(), scale.view(), 0, work.lend());
    compare.take("cnn ekfac_type2_probe", 1e-9, v.data, image);
    for (std::size_t i = 0; i < m * d; i++) v.data[i] += 0.5 * probe[i];
    RF(ekfac_solve, v.out(), u_g.view(), u_a.view(), scale.view(), 0.5, work.lend());
    compare.take("cnn ekfac: solve of apply", 1e-9, v.data, probe);
}

// The case se_cnn_ce: two convolutions and a linear layer, relu between, 32 digits.
void convolutions(const std::string &folder, Comparison &compare) {
    constexpr std::size_t n = 32, classes = 10;
    const file_t model = file_read((folder + "/model.safetensors").c_str());
    const file_t expected = file_read((folder + "/expected.safetensors").c_str());
    const Convolution convolution[] = {
        {{1, 4, 4, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, layer(model, 0, 3, 9)},
        {{3, 4, 4, {3, 3}, {2, 2}, {1, 1}, {1, 1}}, layer(model, 1, 4, 27)},
    };
    const Dense last = layer(model, 2, classes, 16);
    Dense images(n, 16);
    npy_read((folder + "/x.npy").c_str(), images.data.data(), images.data.size() * sizeof(double));

    std::vector<Dense> patches, outputs;
    for (const Convolution &each : convolution) {
        patches.push_back(each.patches(images));
        outputs.push_back(product(patches.back(), each.weights, true));
        images = apply(outputs.back(), RELU);
        images.rows = n;
        images.cols = images.data.size() / n;
    }
    // The linear layer reads channels first.
    Dense flat(n, 16);
    for (std::size_t s = 0; s < n; s++) {
        RF(to_channels_first, {&flat.at(s, 0), 16}, {&images.at(s, 0), 16}, 4, 4);
    }
    patches.push_back(augmented(flat));
    Dense p = product(patches.back(), last, true);
    compare.take("cnn output", 1e-9, p.data, tensor(expected, "output", n, classes).data);
    softmax(p);

    std::vector<Dense> columns{entropy_gradient(p, folder + "/y.npy")};
    for (std::size_t c = 0; c < classes; c++) {
        columns.emplace_back(n, classes);
        RF(loss_hessian_root, columns.back().out(), p.view(), c, ENTROPY);
    }
    shared_layer(patches[2], columns, 1, {expected, 2}, compare);
    for (std::size_t k = 2; k-- > 0;) {
        for (Dense &column : columns) {
            Dense below(outputs[k].rows, outputs[k].cols);
            if (k == 1) {
                const Dense first = product(column, without_bias(last), false);
                for (std::size_t s = 0; s < n; s++) {
                    RF(to_channels_last, {&below.data[16 * s], 16}, {&first.at(s, 0), 16}, 4, 4);
                }
            } else {
                below.data = convolution[1].backward(column).data;
            }
            RF(activation_backward, out(below.data), in(outputs[k].data), RELU);
            column = below;
        }
        shared_layer(patches[k], columns, convolution[k].positions(), {expected, k}, compare);
    }
    std::free(model.bytes);
    std::free(expected.bytes);
}

// The folder rfim: the metric of the lower of two layers, seen from three kinds of answers.
void two_layers(const std::string &folder, Comparison &compare) {
    constexpr std::size_t n = 24, d = 17, m = 6, c = 5, k = m + 1;
    const file_t file = file_read((folder + "/rfim.safetensors").c_str());
    const Dense x = augmented(tensor(file, "x", n, d - 1)), upper = tensor(file, "W2", c, k);
    const Dense t = product(x, tensor(file, "W", m, d), true);
    const std::pair<const char *, rf_activation_f64> hidden[] = {
        {"tanh", TANH},
        {"sigmoid", {RF_ACTIVATION_KIND_SIGM, 0}},
        {"elu", {RF_ACTIVATION_KIND_ELU, 1}},
    };
    for (const auto &[name, f] : hidden) {
        Dense slope(n, m);
        RF(activation_derivative, out(slope.data), in(t.data), f);
        const Dense h = augmented(apply(t, f)), u = product(h, upper, true);
        for (const char *answer : {"softmax2", "bernoulli2", "gauss2"}) {
            Dense weights = u;
            const bool joint = answer[0] == 's';
            const rf_response_f64 response =
                answer[0] == 'b'
                    ? rf_response_f64{RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_SIGM, 0}, 0, 1}
                    : rf_response_f64{RF_RESPONSE_KIND_GAUSSIAN, TANH, 0, 1};
            if (joint) {
                softmax(weights);
            } else {
                RF(response_nu, out(weights.data), in(u.data), response);
            }
            const std::uint32_t kind = joint ? RF_METRIC_KIND_SOFTMAX : RF_METRIC_KIND_NONLINEAR;
            const rf_two_layer_f64 metric{
                x.view(), slope.view(), upper.view(), {kind, h.view(), weights.view(), 0, 1}};
            Dense block(m * d, m * d);
            Work work(rf_metric_dense_workspace_len(n, d));
            RF(two_layer_lower_dense, block.out(), metric, work.lend());
            const std::string tensor_name = std::string(answer) + "." + name + ".W1";
            compare.take(tensor_name, 1e-9, block.data,
                         tensor(file, tensor_name, m * d, m * d).data);
        }
    }
    std::free(file.bytes);
}

}  // namespace

int main(int count, char **arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: golden_layers FOLDER\n");
        return 2;
    }
    check_library();
    const std::string folder = arguments[1];
    Comparison compare;
    network(folder + "/sa_tanh_ce", compare);
    convolutions(folder + "/se_cnn_ce", compare);
    two_layers(folder + "/rfim", compare);
    return compare.report() != 0;
}
