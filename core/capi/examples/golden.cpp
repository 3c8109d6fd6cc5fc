// Golden values, in C++17: what independent packages computed of a network on real digits
// (tests/golden/CONVENTIONS.md), against the same quantities through relfisher.
//
//   golden FOLDER      FOLDER is tests/golden
//
// Prints the worst error of each quantity, relative to its largest entry; status 0 when all are
// within 1e-9 (preconditioned vectors 1e-8), 1 when one is not, 2 for a bad file.
#include "golden.h"

namespace {

// The case sa_tanh_ce: three linear layers, tanh between, soft-max cross-entropy, 32 digits.
void network(const std::string &folder, Comparison &compare) {
    constexpr std::size_t n = 32, layers = 3, width[layers + 1] = {16, 12, 8, 10};
    const rf_activation_f64 tanh{RF_ACTIVATION_KIND_TANH, 0};
    const rf_loss_f64 entropy{RF_LOSS_KIND_SOFTMAX_CROSS_ENTROPY, 0};
    const file_t model = file_read((folder + "/model.safetensors").c_str());
    const file_t expected = file_read((folder + "/expected.safetensors").c_str());
    auto want = [&](const char *what, std::size_t k, std::size_t m, std::size_t d) {
        return tensor(expected, std::string(what) + ".layers." + std::to_string(k), m, d).data;
    };

    Dense a(n, width[0]);
    npy_read((folder + "/x.npy").c_str(), a.data.data(), a.data.size() * sizeof(double));

    // Forward.
    std::vector<Dense> weights, inputs, outputs;
    for (std::size_t k = 0; k < layers; k++) {
        const Dense joint = layer(model, k, width[k + 1], width[k]);
        inputs.push_back(augmented(a));
        outputs.push_back(product(inputs[k], joint, true));
        weights.push_back(without_bias(joint));
        a = outputs[k];
        const Numbers &t = outputs[k].data;
        RF(activation_value, rf_slice_mut_f64{a.data.data(), a.data.size()},
           rf_slice_f64{t.data(), t.size()}, tanh);
    }
    Dense p = outputs[layers - 1];
    compare.take("output", 1e-9, p.data, tensor(expected, "output", n, width[layers]).data);
    softmax(p);

    // Backward: the loss's gradient and the columns of its Hessian's root, through every layer.
    std::vector<Dense> columns{entropy_gradient(p, folder + "/y.npy")};
    for (std::size_t c = 0; c < width[layers]; c++) {
        columns.emplace_back(n, width[layers]);
        RF(loss_hessian_root, columns.back().out(), p.view(), c, entropy);
    }
    Dense kfra(width[layers], width[layers]);
    for (std::size_t c = 1; c < columns.size(); c++) add_gram(kfra, columns[c], n, c == 1 ? 0 : 1);

    for (std::size_t k = layers; k-- > 0;) {
        const Dense &x = inputs[k];
        const std::size_t m = width[k + 1], d = width[k] + 1;
        const Dense grad = mean_outer(columns[0], x, n);
        compare.take("grad", 1e-9, grad.data, want("grad", k, m, d));

        Dense in(d, d), out(m, m), empirical(m, m);
        add_gram(in, x, n, 0);
        for (std::size_t c = 1; c < columns.size(); c++) add_gram(out, columns[c], n, c == 1 ? 0 : 1);
        add_gram(empirical, columns[0], n, 0);
        compare.take("kfac.A", 1e-9, in.data, want("kfac.A", k, d, d));
        compare.take("kfac_type2.G", 1e-9, out.data, want("kfac_type2.G", k, m, m));
        compare.take("kfac_emp.G", 1e-9, empirical.data, want("kfac_emp.G", k, m, m));
        compare.take("kfra.G", 1e-9, kfra.data, want("kfra.G", k, m, m));

        // The eigenbases, the damped inverse in them, and EKFAC's scale.
        Dense u_g = out, u_a = in, scale(m, d), delta((columns.size() - 1) * n, m);
        Numbers s_g(m), s_a(d);
        Work eigen(rf_kron_eigen_factor_workspace_len(m, d));
        RF(kron_eigen_factor, u_g.out(), rf_slice_mut_f64{s_g.data(), m}, u_a.out(),
           rf_slice_mut_f64{s_a.data(), d}, eigen.lend());
        for (std::size_t c = 1; c < columns.size(); c++) {
            std::copy(columns[c].data.begin(), columns[c].data.end(), &delta.at((c - 1) * n, 0));
        }
        Work scaling(rf_ekfac_scale_workspace_len(n, m, d));
        RF(ekfac_scale, scale.out(), u_g.view(), u_a.view(), delta.view(), x.view(),
           1.0 / double(n), 0, scaling.lend());

        const std::pair<double, const char *> dampings[] = {{1e-1, "1e-1"}, {1e-3, "1e-3"}};
        for (const auto &[lambda, text] : dampings) {
            auto check = [&](const char *kind, const Dense &v) {
                const std::string name = std::string(kind) + "_damp" + text;
                compare.take(kind, 1e-8, v.data, want(name.c_str(), k, m, d));
            };
            Dense v = grad;
            Work apply(rf_kron_eigen_apply_workspace_len(m, d));
            RF(kron_eigen_power, v.out(), u_g.view(), rf_slice_f64{s_g.data(), m}, u_a.view(),
               rf_slice_f64{s_a.data(), d}, 1, lambda, apply.lend());
            check("kfac_type2_precond_eig", v);

            v = grad;
            Work solve(rf_ekfac_solve_workspace_len(m, d));
            RF(ekfac_solve, v.out(), u_g.view(), u_a.view(), scale.view(), lambda, solve.lend());
            check("ekfac_type2_precond", v);

            const std::pair<rf_damping, const char *> splits[] = {
                {RF_DAMPING_PI, "kfac_type2_precond_pi"},
                {RF_DAMPING_FACTORED, "kfac_type2_precond_factor"}};
            for (const auto &[split, kind] : splits) {
                Dense l_g = out, l_a = in;
                double add_g = 0, add_a = 0;
                v = grad;
                RF(kron_split_damping, &add_g, &add_a, out.view(), in.view(), lambda, split);
                RF(kron_cholesky_factor, l_g.out(), l_a.out(), add_g, add_a);
                RF(kron_cholesky_solve, v.out(), l_g.view(), l_a.view());
                check(kind, v);
            }
        }

        if (k == 0) break;
        // Through the weights and the activation below.
        const Dense &t = outputs[k - 1];
        const rf_slice_f64 below{t.data.data(), t.data.size()};
        Dense derivative(n, width[k]), next(width[k], width[k]);
        RF(activation_derivative, rf_slice_mut_f64{derivative.data.data(), derivative.data.size()},
           below, tanh);
        Work step(rf_kfra_step_workspace_len(n, m, width[k]));
        RF(kfra_step, next.out(), kfra.view(), weights[k].view(), derivative.view(), step.lend());
        kfra = next;
        for (Dense &column : columns) {
            column = product(column, weights[k], false);
            RF(activation_backward, rf_slice_mut_f64{column.data.data(), column.data.size()}, below,
               tanh);
        }
    }
    std::free(model.bytes);
    std::free(expected.bytes);
}

// The folder rfim: the relative Fisher metric of single neurons and of a soft-max layer.
void metrics(const std::string &folder, Comparison &compare) {
    constexpr std::size_t n = 24, d = 17, m = 6, classes = 5;
    const file_t file = file_read((folder + "/rfim.safetensors").c_str());
    const Dense x = augmented(tensor(file, "x", n, d - 1));
    const struct {
        const char *name;
        rf_response_f64 response;
    } neurons[] = {
        {"neuron.tanh", {RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_TANH, 0}, 0, 1}},
        {"neuron.sigmoid", {RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_SIGM, 0}, 0, 1}},
        {"neuron.relu_smooth", {RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_RELU, 0.1}, 1, 1}},
        {"neuron.relu_smooth_iota0", {RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_RELU, 0}, 1, 1}},
        {"neuron.leaky_relu", {RF_RESPONSE_KIND_GAUSSIAN, {RF_ACTIVATION_KIND_RELU, 0.1}, 0, 1}},
        {"neuron.elu", {RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_ELU, 1}, 0, 1}},
        {"neuron.linear", {RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_LINEAR, 0}, 0, 1}},
    };
    const Dense t = product(x, tensor(file, "W", m, d), true);
    for (const auto &neuron : neurons) {
        Dense nu(n, m), packed(m, rf_packed_len(d));
        RF(response_nu, rf_slice_mut_f64{nu.data.data(), nu.data.size()},
           rf_slice_f64{t.data.data(), t.data.size()}, neuron.response);
        const rf_metric_f64 metric{RF_METRIC_KIND_NONLINEAR, x.view(), nu.view(), 0, 1};
        Work work(rf_metric_packed_workspace_len(n, m, d));
        RF(metric_packed, packed.out(), metric, 0, work.lend());
        Numbers blocks;
        for (std::size_t i = 0; i < m; i++) {
            Dense block(d, d);
            RF(unpack, block.out(), rf_slice_f64{&packed.at(i, 0), packed.cols});
            blocks.insert(blocks.end(), block.data.begin(), block.data.end());
        }
        compare.take(neuron.name, 1e-9, blocks, tensor(file, neuron.name, m, d * d).data);
    }

    Dense eta = product(x, tensor(file, "W_softmax", classes, d), true);
    softmax(eta);
    const rf_metric_f64 metric{RF_METRIC_KIND_SOFTMAX, x.view(), eta.view(), 0, 1};
    Dense dense(classes * d, classes * d);
    Work work(rf_metric_dense_workspace_len(n, d));
    RF(metric_dense, dense.out(), metric, work.lend());
    compare.take("softmax_layer", 1e-9, dense.data,
                 tensor(file, "softmax_layer", dense.rows, dense.cols).data);
    std::free(file.bytes);
}

}  // namespace

int main(int count, char **arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: golden FOLDER\n");
        return 2;
    }
    check_library();
    const std::string folder = arguments[1];
    Comparison compare;
    network(folder + "/sa_tanh_ce", compare);
    metrics(folder + "/rfim", compare);
    return compare.report() != 0;
}
