/* The second part of one precision of the tour, as tour_steps.h: two layers, exact blocks, the space of
 * the samples, windows, sparse metrics, pruning, the posterior, the statistics of a mini-batch. */

static int F(structures)(void) {
    enum { K = M + 1, ALL = M * D + M * K, IMAGE = 2 * 4 * 3, ROWS = 12, PATCH = 2 * 9 + 1, KEEP = 4 };
    static REAL x[N * D], slope[N * M], h[N * K], c[M * K], eta[N * M], g[ALL], delta[N * M];
    static REAL out[ALL], gram[N * N], packed[N * 6], block[M * D * M * D], image[IMAGE];
    static REAL patches[ROWS * PATCH], pooled[2 * ROWS], a[D * D], b[M * M], w[M * D], kept[M * D];
    static REAL norms[N], products[N], work_data[WORK];
    static double sums[M * D], peaks[M * D], root[M * D];
    static uint32_t counts[M * D], argmax[2 * ROWS], indices[KEEP];
    const F(rf_slice_mut) work = F(rf_vector_mut)(work_data, WORK);
    const F(rf_matrix) x_view = F(rf_view)(x, N, D), delta_view = F(rf_view)(delta, N, M);
    rf_window window = {2, 4, 3, {3, 3}, {1, 1}, {1, 1}, {1, 1}};
    F(rf_two_layer) metric;
    F(rf_loss) entropy;
    F(rf_gradient_noise) noise;
    rf_mean_state state;
    rf_slice_mut_u32 places;
    rf_slice_u32 at;
    uint32_t seed = 7;
    size_t i, j, count;

    for (i = 0; i < N; i++) {
        for (j = 0; j < D; j++) x[i * D + j] = j + 1 < D ? (REAL)next_input(&seed) : 1;
        for (j = 0; j < K; j++) h[i * K + j] = j + 1 < K ? (REAL)next_input(&seed) : 1;
        for (j = 0; j < M; j++) eta[i * M + j] = (REAL)((i + j) % M == 0 ? 0.5 : 0.25);
    }
    for (i = 0; i < N * M; i++) slope[i] = (REAL)next_input(&seed);
    for (i = 0; i < N * M; i++) delta[i] = (REAL)next_input(&seed);
    for (i = 0; i < M * K; i++) c[i] = (REAL)next_input(&seed);
    for (i = 0; i < ALL; i++) g[i] = (REAL)next_input(&seed);
    for (i = 0; i < IMAGE; i++) image[i] = (REAL)next_input(&seed);

    /* Two layers. */
    metric.x = x_view;
    metric.slope = F(rf_view)(slope, N, M);
    metric.c = F(rf_view)(c, M, K);
    metric.upper.kind = RF_METRIC_KIND_SOFTMAX;
    metric.upper.x = F(rf_view)(h, N, K);
    metric.upper.weights = F(rf_view)(eta, N, M);
    metric.upper.outputs = M;
    metric.upper.sigma = 1;
    TRY(F(rf_two_layer_multiply)(F(rf_view_mut)(out, M, D), F(rf_view_mut)(out + M * D, M, K), metric,
                                 F(rf_view)(g, M, D), F(rf_view)(g + M * D, M, K), work, NULL));
    F(show)("two_layer_multiply", out, ALL);
    TRY(F(rf_two_layer_solve)(F(rf_vector_mut)(out, ALL), &count, metric, F(rf_vector)(g, ALL),
                              (REAL)0.0625, (REAL)0.0009765625, 0, work, NULL));
    F(show)("two_layer_solve", out, ALL);

    /* Exact blocks, and the space of the samples. */
    entropy.kind = RF_LOSS_KIND_SOFTMAX_CROSS_ENTROPY;
    entropy.scale = 1;
    TRY(F(rf_loss_hessian_packed)(F(rf_view_mut)(packed, N, 6), F(rf_view)(eta, N, M), entropy, NULL));
    TRY(F(rf_exact_block)(F(rf_view_mut)(block, M * D, M * D), F(rf_view)(packed, N, 6), x_view,
                          (REAL)(1.0 / N), work, NULL));
    F(show)("exact_block", block, M * D * M * D);
    TRY(F(rf_khatri_rao_gram)(F(rf_view_mut)(gram, N, N), delta_view, x_view, 0, work, NULL));
    F(show)("khatri_rao_gram", gram, N * N);

    /* Windows. */
    TRY(F(rf_unfold)(F(rf_view_mut)(patches, ROWS, PATCH), F(rf_vector)(image, IMAGE), window, 0, 1, 0,
                     RF_PATCH_ORDER_TAP_MAJOR, NULL));
    F(show)("unfold", patches, ROWS * PATCH);
    places.data = argmax;
    places.len = 2 * ROWS;
    TRY(F(rf_max_pool)(F(rf_vector_mut)(pooled, 2 * ROWS), places, F(rf_vector)(image, IMAGE), window,
                       NULL));
    F(show)("max_pool", pooled, 2 * ROWS);

    /* A sparse metric of two gradients, and the embedding of the second. */
    for (i = 0; i < M * D; i++) sums[i] = peaks[i] = counts[i] = 0;
    state.sums = rf_vector_mut_f64(sums, M * D);
    state.peaks = rf_vector_mut_f64(peaks, M * D);
    state.counts.data = counts;
    state.counts.len = M * D;
    places.data = indices;
    places.len = KEEP;
    at.data = indices;
    at.len = KEEP;
    for (i = 0; i < 2; i++) {
        const REAL *gradient = g + i * K;
        TRY(F(rf_select_largest)(places, &count, F(rf_vector)(gradient, M * D), NULL));
        for (j = 0; j < count; j++) out[j] = gradient[indices[j]];
        TRY(F(rf_quasi_mean_add)(state, at, F(rf_vector)(out, KEEP), -1, NULL));
    }
    TRY(rf_quasi_mean_root_f64(rf_vector_mut_f64(root, M * D), state, 2, -1, NULL));
    TRY(F(rf_embed)(F(rf_vector_mut)(out, KEEP), at, rf_vector_f64(root, M * D), 0.0625, NULL));
    F(show)("embed", out, KEEP);

    /* A layer without every third weight, and the posterior around it. */
    TRY(F(rf_gram)(F(rf_view_mut)(a, D, D), x_view, F(rf_vector)(NULL, 0), (REAL)(1.0 / N), 0, work, NULL));
    TRY(F(rf_gram)(F(rf_view_mut)(b, M, M), delta_view, F(rf_vector)(NULL, 0), (REAL)(1.0 / N), 0, work,
                   NULL));
    for (i = 0; i < M * D; i++) kept[i] = (REAL)(i % 3 != 0);
    F(copy)(w, g, M * D);
    TRY(F(rf_prune_kron_compensate)(F(rf_view_mut)(w, M, D), &count, F(rf_view)(kept, M, D),
                                    F(rf_view)(b, M, M), F(rf_view)(a, D, D), (REAL)0.0625, 0, 0, work,
                                    NULL));
    F(show)("prune_kron_compensate", w, M * D);
    TRY(F(rf_laplace_variances)(F(rf_vector_mut)(out, N * M), F(rf_vector)(eta, N * M), 100, 0.5, NULL));
    F(show)("laplace_variances", out, N * M);

    /* A mini-batch whose mean gradient is that of G. */
    TRY(F(rf_outer_square_norms)(F(rf_vector_mut)(norms, N), delta_view, x_view, 0, NULL));
    TRY(F(rf_khatri_rao_apply)(F(rf_vector_mut)(products, N), delta_view, x_view, F(rf_view)(g, M, D), 0,
                               work, NULL));
    TRY(F(rf_batch_statistics)(&noise, F(rf_vector)(norms, N), F(rf_vector)(products, N), 4, NULL));
    F(show)("batch_statistics", &noise.mean_square, 6);
    return RF_STATUS_OK;
}
