/* One precision of the tour: tour.c includes this file twice. REAL is the type, BITS an integer of
 * its size, F(name) the name with the suffix of the precision. */

static void F(show)(const char *step, const REAL *data, size_t len) {
    union {
        REAL value;
        BITS bits;
    } first, each;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t i;
    first.value = data[0];
    for (i = 0; i < len; i++) {
        each.value = data[i];
        hash = hash_bits(hash, each.bits, (int)sizeof each.bits);
    }
    port_write(step);
    port_write(SUFFIX);
    write_hex(hash, 16);
    write_hex(first.bits, 2 * (int)sizeof first.bits);
    port_write("\n");
}

static void F(copy)(REAL *out, const REAL *in, size_t len) {
    size_t i;
    for (i = 0; i < len; i++) out[i] = in[i];
}

/* Ends the tour with the status of a call that fails. */
#define TRY(call)                                         \
    do {                                                  \
        const rf_status status_ = (call);                 \
        if (status_ != RF_STATUS_OK) return (int)status_; \
    } while (0)

static int F(tour)(void) {
    static REAL x[N * D], w[M * D], g[M * D], delta[N * M], t[N * M], nu[N * M], eta[N * M];
    static REAL out[M * D], a[D * D], b[M * M], a2[D * D], b2[M * M], a_values[D], b_values[M];
    static REAL velocity[M * D], second[M * D], work_data[WORK];
    static const char *const nu_names[4] = {"nu_tanh", "nu_sigm", "nu_relu", "nu_elu"};
    static const char *const solve_names[2][5] = {
        {"solve_auto", "solve_block", "solve_sample", "solve_cg", "solve_kronecker"},
        {"softmax_auto", "softmax_block", "softmax_sample", "softmax_cg", "softmax_kronecker"}};
    const F(rf_slice_mut) work = F(rf_vector_mut)(work_data, WORK);
    const F(rf_matrix) x_view = F(rf_view)(x, N, D), g_view = F(rf_view)(g, M, D);
    F(rf_response) response;
    F(rf_metric) metric;
    F(rf_sgd) sgd;
    F(rf_adam) adam;
    F(rf_schedule) schedule;
    rf_error error;
    char message[96];
    REAL scalars[4];
    uint32_t state = 1;
    uint32_t route;
    size_t i, j;

    for (i = 0; i < N; i++) {
        for (j = 0; j < D; j++) x[i * D + j] = j + 1 < D ? (REAL)next_input(&state) : 1;
        for (j = 0; j < M; j++) eta[i * M + j] = (REAL)((i + j) % M == 0 ? 0.5 : 0.25);
    }
    for (i = 0; i < M * D; i++) w[i] = (REAL)next_input(&state);
    for (i = 0; i < M * D; i++) g[i] = (REAL)next_input(&state);
    for (i = 0; i < N * M; i++) delta[i] = (REAL)next_input(&state);

    /* Metrics. */
    TRY(F(rf_gemm)(F(rf_view_mut)(t, N, M), x_view, F(rf_transposed)(F(rf_view)(w, M, D)), 1, 0, NULL));
    F(show)("gemm", t, N * M);
    response.kind = RF_RESPONSE_KIND_NATURAL;
    response.smoothing = (REAL)0.5;
    response.sigma = 1;
    for (i = 4; i > 0; i--) { /* tanh last: the next steps use it */
        response.activation.kind = RF_ACTIVATION_KIND_LINEAR + (uint32_t)i;
        response.activation.parameter = (REAL)0.125;
        TRY(F(rf_response_nu)(F(rf_vector_mut)(nu, N * M), F(rf_vector)(t, N * M), response, NULL));
        F(show)(nu_names[i - 1], nu, N * M);
    }
    metric.x = x_view;
    metric.outputs = M;
    metric.sigma = 1;
    for (i = 0; i < 2; i++) {
        metric.kind = i == 0 ? RF_METRIC_KIND_NONLINEAR : RF_METRIC_KIND_SOFTMAX;
        metric.weights = F(rf_view)(i == 0 ? nu : eta, N, M);
        for (route = 0; route < 5; route++) {
            if (rf_metric_solve_workspace_len(metric.kind, N, M, D, route, 1) > WORK) return -1;
            TRY(F(rf_metric_solve)(F(rf_view_mut)(out, M, D), metric, g_view, (REAL)0.0625, route, work,
                                   NULL));
            F(show)(solve_names[i][route], out, M * D);
        }
        TRY(F(rf_metric_quadratic_form)(scalars, metric, g_view, work, NULL));
        F(show)("quadratic_form", scalars, 1);
    }

    /* K-FAC. */
    TRY(F(rf_gram)(F(rf_view_mut)(a, D, D), x_view, F(rf_vector)(NULL, 0), (REAL)(1.0 / N), 0, work, NULL));
    TRY(F(rf_gram)(F(rf_view_mut)(b, M, M), F(rf_view)(delta, N, M), F(rf_vector)(NULL, 0),
                   (REAL)(1.0 / N), 0, work, NULL));
    F(show)("gram", a, D * D);
    TRY(F(rf_kron_split_damping)(scalars, scalars + 1, F(rf_view)(b, M, M), F(rf_view)(a, D, D),
                                 (REAL)0.0625, RF_DAMPING_PI, NULL));
    F(show)("split_damping", scalars, 2);
    F(copy)(a2, a, D * D);
    F(copy)(b2, b, M * M);
    F(copy)(out, g, M * D);
    TRY(F(rf_kron_cholesky_factor)(F(rf_view_mut)(b2, M, M), F(rf_view_mut)(a2, D, D), scalars[0],
                                   scalars[1], NULL));
    TRY(F(rf_kron_cholesky_solve)(F(rf_view_mut)(out, M, D), F(rf_view)(b2, M, M), F(rf_view)(a2, D, D),
                                  NULL));
    F(show)("kron_cholesky", out, M * D);
    F(copy)(a2, a, D * D);
    F(copy)(b2, b, M * M);
    TRY(F(rf_kron_eigen_factor)(F(rf_view_mut)(b2, M, M), F(rf_vector_mut)(b_values, M),
                                F(rf_view_mut)(a2, D, D), F(rf_vector_mut)(a_values, D), work, NULL));
    F(show)("eigenvalues", a_values, D);
    for (i = 1; i < 3; i++) { /* the inverse, and its square root */
        F(copy)(out, g, M * D);
        TRY(F(rf_kron_eigen_power)(F(rf_view_mut)(out, M, D), F(rf_view)(b2, M, M),
                                   F(rf_vector)(b_values, M), F(rf_view)(a2, D, D),
                                   F(rf_vector)(a_values, D), (REAL)(1.0 / (double)i), (REAL)0.0625, work,
                                   NULL));
        F(show)(i == 1 ? "kron_eigen_inverse" : "kron_eigen_root", out, M * D);
    }
    TRY(F(rf_newton_schulz)(F(rf_view_mut)(a2, D, D), F(rf_view)(a, D, D), (REAL)0.0625, RF_ROOT_SECOND,
                            work, NULL));
    F(show)("newton_schulz", a2, D * D);
    F(copy)(a2, a, D * D);
    TRY(F(rf_spd_inverse)(F(rf_view_mut)(a2, D, D), (REAL)0.0625, work, NULL));
    F(show)("spd_inverse", a2, D * D);

    /* Step rules. */
    sgd.learning_rate = (REAL)0.125;
    sgd.momentum = (REAL)0.75;
    sgd.weight_decay = (REAL)0.0625;
    sgd.form = RF_MOMENTUM_NESTEROV;
    for (i = 0; i < M * D; i++) velocity[i] = 0;
    F(copy)(out, w, M * D);
    for (i = 0; i < 3; i++) {
        TRY(F(rf_sgd_step)(F(rf_vector_mut)(out, M * D), F(rf_vector_mut)(velocity, M * D),
                           F(rf_vector)(g, M * D), sgd, NULL));
    }
    F(show)("sgd", out, M * D);
    adam.learning_rate = (REAL)0.125;
    adam.beta1 = (REAL)0.875;
    adam.beta2 = (REAL)0.9375;
    adam.epsilon = (REAL)0.0009765625;
    adam.weight_decay = (REAL)0.0625;
    adam.decay_form = RF_DECAY_FORM_DECOUPLED;
    for (i = 0; i < M * D; i++) velocity[i] = second[i] = 0;
    for (i = 0; i < 3; i++) {
        TRY(F(rf_adam_step)(F(rf_vector_mut)(out, M * D), F(rf_vector_mut)(velocity, M * D),
                            F(rf_vector_mut)(second, M * D), F(rf_vector)(g, M * D), (uint64_t)i, adam,
                            NULL));
    }
    F(show)("adam", out, M * D);
    schedule.kind = RF_SCHEDULE_KIND_COSINE;
    schedule.warm_up = 1;
    schedule.steps = 8;
    schedule.base = 1;
    schedule.factor = (REAL)0.125;
    for (i = 0; i < 4; i++) {
        TRY(F(rf_schedule_rate)(scalars + i, (uint64_t)(2 * i), schedule, NULL));
    }
    F(show)("schedule", scalars, 4);

    /* A call that must fail, and what it says. */
    a[0] = -1;
    if (F(rf_cholesky)(F(rf_view_mut)(a, D, D), 0, &error) != RF_STATUS_NOT_POSITIVE_DEFINITE) return -2;
    rf_error_message(message, &error, sizeof message);
    port_write(message);
    port_write("\n");
    return RF_STATUS_OK;
}
