/* What must be refused, in C99: for every family of functions null pointers, buffers that are too short,
 * shapes that do not fit, outputs over inputs, too little work, options without meaning, numbers that
 * are not finite. After a refusal for its arguments a function has written nothing.
 *
 * Prints a line for each check; status 1 when one does not hold. */
#include "refusals.h"

static void two_layers(void) {
    rf_two_layer_f64 metric, other;
    const size_t len = rf_two_layer_multiply_workspace_len(N, M, C);
    const size_t solve = rf_two_layer_solve_workspace_len(N, M, D, C, K);
    size_t products = 0;
    metric.x = a(N, D);
    metric.slope = a(N, M);
    metric.c = a(C, K);
    metric.upper.kind = RF_METRIC_KIND_NONLINEAR;
    metric.upper.x = a(N, K);
    metric.upper.weights = a(N, C);
    metric.upper.outputs = 0;
    metric.upper.sigma = 1;
#define MULTIPLY(of, v, room)                                                                      \
    rf_two_layer_multiply_f64(o(M, D), rf_view_mut_f64(more, C, K), of, v, a(C, K), work(room),    \
                              &error)
    other = metric;
    other.slope = rf_view_f64(NULL, N, M);
    refused(MULTIPLY(other, a(M, D), len), RF_STATUS_NULL, "two layers: no slope");
    other = metric;
    other.upper.weights = rf_view_f64(NULL, N, C);
    refused(MULTIPLY(other, a(M, D), len), RF_STATUS_NULL, "two layers: no nu");
    other = metric;
    other.c = cut_short(C, K);
    refused(MULTIPLY(other, a(M, D), len), RF_STATUS_LAYOUT, "two layers: C leaves its buffer");
    other = metric;
    other.c = rf_view_f64(output, C, K);
    refused(MULTIPLY(other, a(M, D), len), RF_STATUS_OVERLAP, "two layers: C inside the output");
    other = metric;
    other.upper.x = rf_view_f64(more, N, K);
    refused(MULTIPLY(other, a(M, D), len), RF_STATUS_OVERLAP, "two layers: h inside the output");
    other = metric;
    other.upper.kind = 9;
    refused(MULTIPLY(other, a(M, D), len), RF_STATUS_PARAMETER, "two layers: a kind without meaning");
    other = metric;
    other.slope = a(N, M + 2);
    refused(MULTIPLY(other, a(M, D), len), RF_STATUS_SHAPE, "two layers: more slopes than h");
    refused(MULTIPLY(metric, a(M, D + 1), len), RF_STATUS_SHAPE, "two layers: v of another shape");
    refused(MULTIPLY(metric, a(M, D), len - 1), RF_STATUS_WORKSPACE, "two layers: too little work");
    kept("two layers");
    refused(MULTIPLY(metric, a(M, D), len), RF_STATUS_OK, "two layers: nothing");
#undef MULTIPLY
    reset();
    refused(rf_two_layer_solve_f64(y(M * D + C * K), NULL, metric, x(M * D + C * K), 1, 0, 0,
                                   work(solve), &error),
            RF_STATUS_NULL, "two layers: nowhere to count");
    refused(rf_two_layer_solve_f64(y(M * D + C * K), &products, metric, x(M * D + C * K), 0, 0, 0,
                                   work(solve), &error),
            RF_STATUS_PARAMETER, "two layers: no damping");
    refused(rf_two_layer_solve_f64(y(M * D + C * K), &products, metric, x(M * D + C * K), 1, 0, 0,
                                   work(solve - 1), &error),
            RF_STATUS_WORKSPACE, "two layers: too little work to solve");
    kept("two layers: solve");
    input[5] = NAN;
    refused(rf_two_layer_lower_solve_f64(o(M, D), &products, metric, a(M, D), 1, 0, 0,
                                         work(rf_two_layer_lower_solve_workspace_len(N, M, D, C)),
                                         &error),
            RF_STATUS_NON_FINITE, "two layers: not a number");
    reset();
    refused(rf_two_layer_solve_f64(y(M * D + C * K), &products, metric, x(M * D + C * K), 1e-6, 1e-15, 1,
                                   work(solve), &error),
            RF_STATUS_NO_CONVERGENCE, "two layers: one product is not enough");
    reset();
}

static void sample_space(void) {
    rf_low_rank_f64 low;
    refused(rf_khatri_rao_gram_f64(o(2 * N, 2 * N), rf_view_f64(NULL, 2 * N, M), a(N, D), 0,
                                   work(ROOM), &error),
            RF_STATUS_NULL, "khatri_rao_gram: no columns");
    refused(rf_khatri_rao_gram_f64(o(2 * N, 2 * N), a(2 * N + 1, M), a(N, D), 0, work(ROOM), &error),
            RF_STATUS_SHAPE, "khatri_rao_gram: half a column");
    refused(rf_khatri_rao_gram_f64(o(2 * N, 2 * N), a(2 * N, M), a(N, D), 0,
                                   work(rf_khatri_rao_gram_workspace_len(N, 2) - 1), &error),
            RF_STATUS_WORKSPACE, "khatri_rao_gram: too little work");
    refused(rf_khatri_rao_apply_f64(y(2 * N), a(2 * N, M), cut_short(N, D), a(M, D), 0, work(ROOM),
                                    &error),
            RF_STATUS_LAYOUT, "khatri_rao_apply: x leaves its buffer");
    refused(rf_khatri_rao_transpose_f64(o(M, D), a(2 * N, M), rf_view_f64(output, N, D), x(2 * N), 0,
                                        work(ROOM), &error),
            RF_STATUS_OVERLAP, "khatri_rao_transpose: x is the output");
    refused(rf_khatri_rao_transpose_f64(o(M, D), a(2 * N, M), a(N, D), x(2 * N), 0,
                                        work(rf_khatri_rao_workspace_len(N, M) - 1), &error),
            RF_STATUS_WORKSPACE, "khatri_rao_transpose: too little work");
    low.vectors = a(2, D);
    low.values = rf_vector_f64(NULL, 2);
    refused(rf_low_rank_power_f64(o(1, D), low, 1, 1, work(2), &error), RF_STATUS_NULL,
            "low_rank_power: no values");
    low.values = rf_vector_f64(output + D - 1, 2);
    refused(rf_low_rank_power_f64(o(1, D), low, 1, 1, work(2), &error), RF_STATUS_OVERLAP,
            "low_rank_power: a value inside x");
    low.values = x(3);
    refused(rf_low_rank_power_f64(o(1, D), low, 1, 1, work(2), &error), RF_STATUS_SHAPE,
            "low_rank_power: a value too many");
    low.values = x(2);
    refused(rf_low_rank_power_f64(o(1, D), low, 2, 1, work(2), &error), RF_STATUS_PARAMETER,
            "low_rank_power: a power above 1");
    refused(rf_low_rank_power_f64(o(1, D), low, 1, 1, work(1), &error), RF_STATUS_WORKSPACE,
            "low_rank_power: too little work");
    kept("sample space");
    input[1] = NAN;
    refused(rf_low_rank_power_f64(o(1, D), low, 1, 1, work(2), &error), RF_STATUS_NON_FINITE,
            "low_rank_power: not a number");
    reset();
}

static void exact_blocks(void) {
    const rf_loss_f64 entropy = {RF_LOSS_KIND_SOFTMAX_CROSS_ENTROPY, 0}, none = {5, 0};
    const size_t packed = rf_packed_len(M);
    refused(rf_exact_block_f64(o(M * D, M * D), rf_view_f64(NULL, N, packed), a(N, D), 1, work(ROOM),
                               &error),
            RF_STATUS_NULL, "exact_block: no Hessians");
    refused(rf_exact_block_f64(o(M * D, M * D), a(N, packed + 1), a(N, D), 1, work(ROOM), &error),
            RF_STATUS_SHAPE, "exact_block: no triangle");
    refused(rf_exact_block_f64(o(M * D, M * D), a(N, packed), a(N, D), 1,
                               work(rf_exact_block_workspace_len(N, M, D) - 1), &error),
            RF_STATUS_WORKSPACE, "exact_block: too little work");
    refused(rf_exact_diagonal_f64(o(M, D), a(N, M), cut_short(N, D), 1, work(ROOM), &error),
            RF_STATUS_LAYOUT, "exact_diagonal: x leaves its buffer");
    refused(rf_exact_diagonal_f64(o(M, D), rf_view_f64(output, N, M), a(N, D), 1, work(ROOM), &error),
            RF_STATUS_OVERLAP, "exact_diagonal: h is the output");
    refused(rf_hessian_step_f64(o(N, rf_packed_len(D)), a(N, packed), a(M, D), a(N, D), a(N + 1, D),
                                work(ROOM), &error),
            RF_STATUS_SHAPE, "hessian_step: a curvature too many");
    refused(rf_hessian_step_f64(o(N, rf_packed_len(D)), a(N, packed), a(M, D), a(N, D),
                                rf_view_f64(NULL, 0, 0), work(rf_hessian_step_workspace_len(M, D) - 1),
                                &error),
            RF_STATUS_WORKSPACE, "hessian_step: too little work");
    refused(rf_loss_triangular_root_f64(o(N, M), a(N, M), M, entropy, &error), RF_STATUS_PARAMETER,
            "loss_triangular_root: no such column");
    refused(rf_loss_triangular_root_f64(o(N, M), a(N, M), 0, none, &error), RF_STATUS_PARAMETER,
            "loss_triangular_root: no such loss");
    refused(rf_kron_regression_f64(o(M, D), rf_view_mut_f64(more, M, M), a(M, D), a(D, D - 1), &error),
            RF_STATUS_SHAPE, "kron_regression: no square");
    kept("exact blocks");
    input[1] = NAN;
    refused(rf_loss_triangular_root_f64(o(N, M), a(N, M), 0, entropy, &error), RF_STATUS_NON_FINITE,
            "loss_triangular_root: not a number");
    reset();
}

static void convolutions(void) {
    const rf_window window = {2, 4, 4, {3, 3}, {1, 1}, {1, 1}, {1, 1}};
    const rf_window large = {2, 2, 2, {5, 5}, {1, 1}, {1, 1}, {1, 1}};
    const rf_window huge = {2, SIZE_MAX / 2, SIZE_MAX / 2, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
    const rf_window padding = {2, 4, 4, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
    uint32_t argmax[72];
    rf_slice_mut_u32 places;
    rf_slice_u32 read;
    size_t i;
    for (i = 0; i < 72; i++) argmax[i] = 1000;
    places.data = argmax;
    places.len = 32;
    refused(rf_unfold_f64(o(16, 18), rf_vector_f64(NULL, 32), window, 0, 1, 0, 0, &error),
            RF_STATUS_NULL, "unfold: no image");
    refused(rf_unfold_f64(o(16, 18), x(31), window, 0, 1, 0, 0, &error), RF_STATUS_SHAPE,
            "unfold: an image too short");
    refused(rf_unfold_f64(o(16, 18), x(32), window, 0, 1, 1, 0, &error), RF_STATUS_SHAPE,
            "unfold: a row too many");
    refused(rf_unfold_f64(o(16, 18), x(32), window, 0, 3, 0, 0, &error), RF_STATUS_PARAMETER,
            "unfold: groups that do not divide");
    refused(rf_unfold_f64(o(16, 18), x(32), window, 0, 1, 0, 2, &error), RF_STATUS_PARAMETER,
            "unfold: an order without meaning");
    refused(rf_unfold_f64(o(16, 18), x(8), large, 0, 1, 0, 0, &error), RF_STATUS_PARAMETER,
            "unfold: a kernel too large");
    refused(rf_unfold_f64(o(16, 18), x(8), huge, 0, 1, 0, 0, &error), RF_STATUS_PARAMETER,
            "unfold: an image beyond all memory");
    refused(rf_unfold_f64(o(16, 18), rf_vector_f64(output, 32), window, 0, 1, 0, 0, &error),
            RF_STATUS_OVERLAP, "unfold: the image is the output");
    refused(rf_fold_add_f64(y(32), cut_short(16, 18), window, 0, 1, 0, 0, &error), RF_STATUS_LAYOUT,
            "fold_add: patches leave their buffer");
    refused(rf_reorder_columns_f64(o(2, 18), a(2, 18), 2, 8, 0, &error), RF_STATUS_SHAPE,
            "reorder_columns: other taps");
    refused(rf_to_channels_last_f64(y(32), x(32), SIZE_MAX, 2, &error), RF_STATUS_SHAPE,
            "to_channels_last: too many channels");
    refused(rf_max_pool_f64(y(32), places, x(32), window, &error), RF_STATUS_OK, "max_pool: nothing");
    reset();
    places.data = (uint32_t *)(void *)((char *)argmax + 1);
    refused(rf_max_pool_f64(y(32), places, x(32), window, &error), RF_STATUS_ALIGNMENT,
            "max_pool: misaligned places");
    places.data = (uint32_t *)(void *)output;
    refused(rf_max_pool_f64(y(32), places, x(32), window, &error), RF_STATUS_OVERLAP,
            "max_pool: places inside the output");
    places.data = argmax;
    places.len = 72;
    refused(rf_max_pool_f64(y(72), places, x(32), padding, &error), RF_STATUS_PARAMETER,
            "max_pool: padding alone");
    argmax[0] = 32;
    read.data = argmax;
    read.len = 1;
    refused(rf_max_pool_backward_add_f64(y(32), x(1), read, &error), RF_STATUS_SHAPE,
            "max_pool_backward_add: outside the image");
    refused(rf_avg_pool_f64(y(32), x(32), window, 7, &error), RF_STATUS_PARAMETER,
            "avg_pool: a count without meaning");
    kept("convolutions");
}

static void sparse(void) {
    uint32_t indices[8] = {0, 1, 2, 3, 0, 1, 2, 9}, counts[8] = {0, 0, 0, 0, 0, 0, 0, 0}, marks[8];
    size_t starts[3] = {0, 2, 9}, begin[5], count = 0;
    double sums[8] = {0, 0, 0, 0, 0, 0, 0, 0}, peaks[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    rf_mean_state state;
    rf_sparse_f64 rows;
    rf_sparse_mut_f64 turned;
    rf_slice_u32 at;
    rf_slice_mut_u32 some, marked;
    rf_slice_mut_size where;
    state.sums = rf_vector_mut_f64(sums, 4);
    state.peaks = rf_vector_mut_f64(peaks, 4);
    state.counts.data = counts;
    state.counts.len = 4;
    at.data = indices;
    at.len = 2;
    some.data = indices + 4;
    some.len = 2;
    refused(rf_select_largest_f64(some, NULL, x(6), &error), RF_STATUS_NULL,
            "select_largest: nowhere to count");
    input[3] = NAN;
    refused(rf_select_largest_f64(some, &count, x(6), &error), RF_STATUS_NON_FINITE,
            "select_largest: not a number");
    reset();
    refused(rf_quasi_mean_add_f64(state, at, x(3), 1, &error), RF_STATUS_SHAPE,
            "quasi_mean_add: a value too many");
    refused(rf_quasi_mean_add_f64(state, at, x(2), INFINITY, &error), RF_STATUS_PARAMETER,
            "quasi_mean_add: an infinite power");
    at.data = indices + 6;
    input[0] = 0;
    refused(rf_quasi_mean_add_f64(state, at, x(2), 1, &error), RF_STATUS_NON_FINITE,
            "quasi_mean_add: a zero");
    reset();
    at.data = indices + 7;
    at.len = 1;
    refused(rf_quasi_mean_add_f64(state, at, x(1), 1, &error), RF_STATUS_SHAPE,
            "quasi_mean_add: an index outside");
    refused(rf_embed_f64(y(1), at, x(4), 1, &error), RF_STATUS_SHAPE, "embed: an index outside");
    at.data = indices;
    state.peaks = state.sums;
    refused(rf_quasi_mean_add_f64(state, at, x(1), 1, &error), RF_STATUS_OVERLAP,
            "quasi_mean_add: peaks are the sums");
    state.peaks = rf_vector_mut_f64(NULL, 4);
    refused(rf_quasi_mean_root_f64(y(4), state, 1, 1, &error), RF_STATUS_NULL,
            "quasi_mean_root: no peaks");
    state.peaks = rf_vector_mut_f64(peaks, 4);
    refused(rf_quasi_mean_root_f64(y(4), state, 0, 1, &error), RF_STATUS_PARAMETER,
            "quasi_mean_root: no samples");
    refused(rf_embed_f64(y(1), at, x(4), -1, &error), RF_STATUS_PARAMETER, "embed: a negative damping");

    rows.starts.data = starts;
    rows.starts.len = 3;
    rows.indices.data = indices;
    rows.indices.len = 4;
    rows.values = x(4);
    turned.starts.data = begin;
    turned.starts.len = 5;
    turned.indices.data = marks;
    turned.indices.len = 4;
    turned.values = y(4);
    refused(rf_sparse_transpose_f64(turned, rows, &error), RF_STATUS_LAYOUT,
            "sparse_transpose: a row leaves its buffer");
    starts[2] = 4;
    turned.indices.len = 3;
    refused(rf_sparse_transpose_f64(turned, rows, &error), RF_STATUS_SHAPE,
            "sparse_transpose: too few places");
    turned.indices.len = 4;
    turned.starts.data = starts;
    refused(rf_sparse_transpose_f64(turned, rows, &error), RF_STATUS_OVERLAP,
            "sparse_transpose: starts are the output's");
    marked.data = marks;
    marked.len = 4;
    where.data = begin;
    where.len = 5;
    refused(rf_sparse_outer_pattern_f64(where, &count, rows, rows, 9, marked, &error), RF_STATUS_SHAPE,
            "sparse_outer_pattern: no transpose");
    rows.indices.data = NULL;
    refused(rf_sparse_outer_pattern_f64(where, &count, rows, rows, 9, marked, &error), RF_STATUS_NULL,
            "sparse_outer_pattern: no columns");
    kept("sparse");
}

static void statistics(void) {
    rf_gradient_noise_f64 noise;
    rf_frobenius_f64 sums = {0, 0, 0, 0};
    refused(rf_batch_statistics_f64(NULL, x(3), x(3), 1, &error), RF_STATUS_NULL,
            "batch_statistics: no output");
    refused(rf_batch_statistics_f64(&noise, x(3), x(2), 1, &error), RF_STATUS_SHAPE,
            "batch_statistics: a product is missing");
    refused(rf_batch_statistics_f64(&noise, x(0), x(0), 1, &error), RF_STATUS_PARAMETER,
            "batch_statistics: no samples");
    refused(rf_batch_statistics_f64((rf_gradient_noise_f64 *)(void *)input, x(3), x(3), 1, &error),
            RF_STATUS_OVERLAP, "batch_statistics: over its input");
    refused(rf_outer_square_norms_f64(y(N), a(N, M), a(N + 1, D), 0, &error), RF_STATUS_SHAPE,
            "outer_square_norms: an input too many");
    refused(rf_row_products_f64(y(N), y(N), a(N, D), x(D), 0, &error), RF_STATUS_OVERLAP,
            "row_products: both outputs in one place");
    refused(rf_frobenius_add_f64(&sums, x(2), x(3), &error), RF_STATUS_SHAPE,
            "frobenius_add: lengths that differ");
    refused(rf_subspace_share_f64(output, a(2, 3), x(2), &error), RF_STATUS_SHAPE,
            "subspace_share: another dimension");
    kept("statistics");
}

static void pruning(void) {
    size_t products = 0;
    refused(rf_prune_remove_f64(y(3), rf_view_mut_f64(more, 3, 3), input, 3, &error), RF_STATUS_SHAPE,
            "prune_remove: no such weight");
    refused(rf_prune_remove_f64(y(3), rf_view_mut_f64(output, 3, 3), input, 0, &error),
            RF_STATUS_OVERLAP, "prune_remove: w inside the inverse");
    refused(rf_prune_kron_remove_f64(o(M, D), input + 1, rf_view_f64(NULL, M, M), a(D, D), 0, 0, &error),
            RF_STATUS_NULL, "prune_kron_remove: no factor");
    refused(rf_prune_kron_compensate_f64(o(M, D), &products, a(M, D), a(M, M), a(D, D), -1, 0, 0,
                                         work(ROOM), &error),
            RF_STATUS_PARAMETER, "prune_kron_compensate: a negative damping");
    refused(rf_prune_kron_compensate_f64(o(M, D), &products, a(M, D), a(M, M), a(D, D), 1, 0, 0,
                                         work(rf_prune_kron_compensate_workspace_len(M, D) - 1),
                                         &error),
            RF_STATUS_WORKSPACE, "prune_kron_compensate: too little work");
    refused(rf_woodbury_update_f64(o(3, 3), x(3), 0, work(3), &error), RF_STATUS_PARAMETER,
            "woodbury_update: no samples");
    refused(rf_woodbury_update_f64(o(3, 3), x(3), 1, work(2), &error), RF_STATUS_WORKSPACE,
            "woodbury_update: too little work");
    refused(rf_diagonal_saliency_f64(y(3), x(3), x(2), &error), RF_STATUS_SHAPE,
            "diagonal_saliency: lengths that differ");
    kept("pruning");
    input[2] = -1;
    refused(rf_inverse_saliency_f64(y(3), x(3), x(3), &error), RF_STATUS_NOT_POSITIVE_DEFINITE,
            "inverse_saliency: a negative variance");
    input[2] = NAN;
    refused(rf_woodbury_update_f64(o(3, 3), x(3), 1, work(3), &error), RF_STATUS_NON_FINITE,
            "woodbury_update: not a number");
    reset();
}

static void laplace(void) {
    double number = 0;
    refused(rf_laplace_log_determinant_f64(NULL, x(3), 1, 1, &error), RF_STATUS_NULL,
            "laplace: no output");
    refused(rf_laplace_log_determinant_f64(&number, x(3), -1, 1, &error), RF_STATUS_PARAMETER,
            "laplace: fewer than no samples");
    refused(rf_laplace_log_marginal_f64(&number, 0, 1, 3, 0, 0, &error), RF_STATUS_PARAMETER,
            "laplace: no prior");
    refused(rf_laplace_variances_f64(y(2), x(3), 1, 1, &error), RF_STATUS_SHAPE,
            "laplace: a variance is missing");
    refused(rf_laplace_predictive_covariance_f64(o(N, C * C), a(C * N, M), a(N, D), a(M, D), 0,
                                                 work(rf_laplace_predictive_workspace_len(N, M, D) - 1),
                                                 &error),
            RF_STATUS_WORKSPACE, "laplace: too little work");
    refused(rf_laplace_predictive_covariance_f64(o(N, C * C), a(C * N, M), a(N, D),
                                                 rf_view_f64(output, M, D), 0, work(ROOM), &error),
            RF_STATUS_OVERLAP, "laplace: variances inside the output");
    refused(rf_laplace_probit_logits_f64(y(3), x(2), &error), RF_STATUS_SHAPE,
            "laplace: lengths that differ");
    kept("laplace");
    input[1] = NAN;
    refused(rf_laplace_effective_parameters_f64(&number, x(3), 1, 1, &error), RF_STATUS_NON_FINITE,
            "laplace: not a number");
    reset();
}

static void factorisations(void) {
    refused(rf_cholesky_batch_f64(o(2, 10), 3, 0, work(ROOM), &error), RF_STATUS_SHAPE,
            "cholesky_batch: no square");
    refused(rf_cholesky_batch_f64(o(2, 9), 3, 0, work(rf_cholesky_batch_workspace_len(3) - 1), &error),
            RF_STATUS_WORKSPACE, "cholesky_batch: too little work");
    refused(rf_eigh_batch_f64(o(2, 9), rf_view_mut_f64(output + 17, 2, 3), 3, work(ROOM), &error),
            RF_STATUS_OVERLAP, "eigh_batch: values inside the matrices");
    refused(rf_eigh_batch_f64(o(2, 9), rf_view_mut_f64(more, 2, 3), 3,
                              work(rf_eigh_batch_workspace_len(3) - 1), &error),
            RF_STATUS_WORKSPACE, "eigh_batch: too little work");
    refused(rf_packed_symv_f64(o(2, 3), a(2, 5), a(2, 3), &error), RF_STATUS_SHAPE,
            "packed_symv: no triangle");
    refused(rf_packed_log_determinant_f64(output, a(2, 6), 4, &error), RF_STATUS_SHAPE,
            "packed_log_determinant: another order");
    refused(rf_tridiagonal_eigh_f64(y(3), rf_vector_mut_f64(more, 4), x(3), x(2), work(3), &error),
            RF_STATUS_SHAPE, "tridiagonal_eigh: vectors of no shape");
    refused(rf_tridiagonal_eigh_f64(y(3), rf_vector_mut_f64(NULL, 3), x(3), x(2), work(3), &error),
            RF_STATUS_NULL, "tridiagonal_eigh: no vectors");
    refused(rf_lanczos_quadrature_f64(y(3), rf_vector_mut_f64(more, 3), x(3), x(2), work(2), &error),
            RF_STATUS_WORKSPACE, "lanczos_quadrature: too little work");
    refused(rf_gaussian_density_f64(y(3), x(3), x(2), x(2), 0, &error), RF_STATUS_PARAMETER,
            "gaussian_density: no width");
    kept("factorisations");
    input[1] = NAN;
    refused(rf_lanczos_quadrature_f64(y(3), rf_vector_mut_f64(more, 3), x(3), x(2), work(3), &error),
            RF_STATUS_NON_FINITE, "lanczos_quadrature: not a number");
    reset();
}

static void recurrences(void) {
    rf_lanczos_f64 memory, other;
    rf_lanczos_state_f64 state = {0, 0, 0, RF_NEXT_VECTOR_VACANT}, wrong = {0, 0, 0, 0};
    uint32_t step = 77;
    memory.basis = o(K, D);
    memory.alpha = rf_vector_mut_f64(more, K - 1);
    memory.beta = rf_vector_mut_f64(more + K, K - 1);
    memory.locked = a(0, D);
    memory.work = work(rf_lanczos_workspace_len(K - 1, 0));
#define START(of, at) rf_lanczos_start_f64(&step, at, x(D), of, &error)
    other = memory;
    other.basis = rf_view_mut_f64(NULL, K, D);
    refused(START(other, &state), RF_STATUS_NULL, "lanczos: no basis");
    refused(START(memory, NULL), RF_STATUS_NULL, "lanczos: no state");
    other = memory;
    other.basis.row_stride = 1;
    other.basis.col_stride = K;
    refused(START(other, &state), RF_STATUS_LAYOUT, "lanczos: a basis of columns");
    other = memory;
    other.beta = rf_vector_mut_f64(more + 1, K - 1);
    refused(START(other, &state), RF_STATUS_OVERLAP, "lanczos: beta inside alpha");
    other = memory;
    other.locked = rf_view_f64(output, 1, D);
    refused(START(other, &state), RF_STATUS_OVERLAP, "lanczos: locked vectors in the basis");
    other = memory;
    other.locked = cut_short(1, D);
    refused(START(other, &state), RF_STATUS_LAYOUT, "lanczos: locked vectors leave their buffer");
    other = memory;
    other.alpha.len--;
    refused(START(other, &state), RF_STATUS_SHAPE, "lanczos: an alpha is missing");
    other = memory;
    other.work.len--;
    refused(START(other, &state), RF_STATUS_WORKSPACE, "lanczos: too little work");
    wrong.next = 2;
    refused(START(memory, &wrong), RF_STATUS_PARAMETER, "lanczos: a state without meaning");
    wrong.next = RF_NEXT_VECTOR_READY;
    wrong.len = K;
    refused(START(memory, &wrong), RF_STATUS_PARAMETER, "lanczos: more steps than there is room for");
    holds(rf_lanczos_next_f64(memory, wrong).data == NULL, "lanczos: beyond the basis",
          "nothing to multiply");
    wrong.len = 1;
    other = memory;
    other.basis.row_stride = SIZE_MAX;
    holds(rf_lanczos_next_f64(other, wrong).data == NULL, "lanczos: rows beyond all memory",
          "nothing to multiply");
    refused(rf_lanczos_advance_f64(&step, &state, x(D), memory, &error), RF_STATUS_PARAMETER,
            "lanczos: a product of nothing");
    refused(rf_lanczos_combine_f64(rf_view_mut_f64(more, 1, D), a(1, 1), memory, state, &error),
            RF_STATUS_OVERLAP, "lanczos: vectors over alpha");
    input[1] = NAN;
    refused(START(memory, &state), RF_STATUS_NON_FINITE, "lanczos: not a number to start with");
    kept("lanczos");
    refused(START(memory, &state), RF_STATUS_OK, "lanczos: nothing");
    refused(START(memory, &state), RF_STATUS_PARAMETER, "lanczos: a vector waits for its product");
    input[2] = INFINITY;
    refused(rf_lanczos_advance_f64(&step, &state, x(D), memory, &error), RF_STATUS_NON_FINITE,
            "lanczos: a product that is infinite");
    input[2] = 0;
    refused(rf_lanczos_advance_f64(&step, &state, x(D), memory, &error), RF_STATUS_OK,
            "lanczos: another product after that");
    refused(rf_lanczos_restart_f64(&step, &state, x(1), a(1, 1), memory,
                                   rf_vector_mut_f64(scratch + WORK / 2, D - 1), &error),
            RF_STATUS_WORKSPACE, "lanczos: too little work to restart");
#undef START
    reset();
}

static void averages(void) {
    rf_determinantal_sums sums = {0, 0, 0}, wrong = {0, 0.5, 0.5};
    double workers = 0;
    refused(rf_determinantal_add_f64(y(3), NULL, x(3), 0, &error), RF_STATUS_NULL,
            "determinantal: no sums");
    refused(rf_determinantal_add_f64(y(3), &wrong, x(3), 0, &error), RF_STATUS_PARAMETER,
            "determinantal: sums of nothing");
    refused(rf_determinantal_add_f64(y(3), &sums, x(2), 0, &error), RF_STATUS_SHAPE,
            "determinantal: a step too short");
    refused(rf_determinantal_add_f64(y(3), &sums, rf_vector_f64(output + 2, 3), 0, &error),
            RF_STATUS_OVERLAP, "determinantal: the step inside the average");
    refused(rf_determinantal_add_f64(y(3), &sums, x(3), -INFINITY, &error), RF_STATUS_NON_FINITE,
            "determinantal: a singular matrix");
    refused(rf_determinantal_finish_f64(y(3), &workers, &sums, &error), RF_STATUS_PARAMETER,
            "determinantal: no steps");
    input[2] = NAN;
    refused(rf_determinantal_add_f64(y(3), &sums, x(3), 0, &error), RF_STATUS_NON_FINITE,
            "determinantal: not a number");
    kept("determinantal averages");
}

int main(void) {
    reset();
    two_layers();
    sample_space();
    exact_blocks();
    convolutions();
    sparse();
    statistics();
    pruning();
    laplace();
    factorisations();
    recurrences();
    averages();
    printf("relfisher %s: %d checks, %d failures\n", rf_version(), checks, failures);
    return failures != 0;
}
