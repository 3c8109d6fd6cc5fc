/* A trained network on real digits, in C99: everything that has a formula comes from relfisher.
 *
 *   digits IMAGES LABELS WEIGHTS
 *
 * IMAGES and LABELS are the unpacked test digits of host/data/mnist10k, WEIGHTS is
 * host/data/nets/ml_digits.safetensors (its README has the layers and the figures compared here).
 * Prints a line for each check; status 0 when all hold, 1 when one does not, 2 for a bad file. */
#include <math.h>
#include <pthread.h>

#include "files.h"
#include "relfisher.h"

enum { PIXELS = 784, SAMPLES = 2000, BATCH = 200, D1 = 17, M1 = 120, M2 = 84, CLASSES = 10 };
enum { D2 = M1 + 1, D3 = M2 + 1 };
#define DAMPING 1.0f /* of the relative Fisher metric */

static int failures;

static void expect(int holds, const char *what, double measured) {
    printf("%s  %-58s %.3g\n", holds ? "ok  " : "FAIL", what, measured);
    if (!holds) failures++;
}

/* Ends the program with the library's own message when a call fails. */
static void need(rf_status status, const rf_error *error, const char *call) {
    char message[160];
    if (status == RF_STATUS_OK) return;
    rf_error_message(message, error, sizeof message);
    fprintf(stderr, "%s: %s\n", call, message);
    exit(1);
}

#define CALL(function, ...)                                             \
    do {                                                                \
        rf_error error_;                                                \
        need(function(__VA_ARGS__, &error_), &error_, #function);       \
    } while (0)

static float *floats(size_t len) {
    float *out = (float *)malloc((len ? len : 1) * sizeof *out);
    if (out == NULL) exit(2);
    return out;
}

/* ---- the network: two small convolutions in plain C, three layers through the library ---- */

typedef struct {
    float conv1[9], bias1, conv2[25], bias2;
    float w1[M1 * D1], w2[M2 * D2], w3[CLASSES * D3]; /* [W | b], a neuron a row */
} network_t;

static void layer_read(const file_t *file, const char *name, float *out, size_t m, size_t d) {
    char key[32];
    size_t i;
    float *w = floats(m * d), *b = floats(m);
    snprintf(key, sizeof key, "%s_w", name);
    tensor_read(file, key, w, m * d * sizeof *w);
    snprintf(key, sizeof key, "%s_b", name);
    tensor_read(file, key, b, m * sizeof *b);
    for (i = 0; i < m; i++) {
        memcpy(out + i * (d + 1), w + i * d, d * sizeof *w);
        out[i * (d + 1) + d] = b[i];
    }
    free(w);
    free(b);
}

static void convolve(float *out, const float *in, size_t side, const float *w, size_t k, float b) {
    size_t rows = side - k + 1, y, x, i, j;
    for (y = 0; y < rows; y++) {
        for (x = 0; x < rows; x++) {
            float sum = b;
            for (i = 0; i < k; i++) {
                for (j = 0; j < k; j++) sum += w[i * k + j] * in[(y + i) * side + x + j];
            }
            out[y * rows + x] = sum;
        }
    }
}

static void pool(float *out, const float *in, size_t side) {
    size_t rows = side / 2, y, x;
    for (y = 0; y < rows; y++) {
        for (x = 0; x < rows; x++) {
            const float *p = in + 2 * y * side + 2 * x;
            float a = p[0] > p[1] ? p[0] : p[1], b = p[side] > p[side + 1] ? p[side] : p[side + 1];
            out[y * rows + x] = a > b ? a : b;
        }
    }
}

/* The 16 features behind the convolutions, and the 1 of the bias. */
static void features(float *out, const network_t *net, const unsigned char *pixels) {
    float image[PIXELS], map[26 * 26], half[13 * 13], map2[9 * 9];
    size_t i;
    for (i = 0; i < PIXELS; i++) image[i] = (float)pixels[i] / 255.0f;
    convolve(map, image, 28, net->conv1, 3, net->bias1);
    for (i = 0; i < 26 * 26; i++) map[i] = map[i] > 0 ? map[i] : 0;
    pool(half, map, 26);
    convolve(map2, half, 13, net->conv2, 5, net->bias2);
    pool(out, map2, 9);
    out[16] = 1;
}

/* t <- x w^T, and its activation with a 1 behind each row in `next`. */
static void layer(float *t, float *next, const float *x, const float *w, size_t n, size_t m,
                  size_t d) {
    const rf_activation_f32 relu = {RF_ACTIVATION_KIND_RELU, 0};
    float *a = floats(n * m);
    size_t s;
    CALL(rf_gemm_f32, rf_view_mut_f32(t, n, m), rf_view_f32(x, n, d),
         rf_transposed_f32(rf_view_f32(w, m, d)), 1, 0);
    CALL(rf_activation_value_f32, rf_vector_mut_f32(a, n * m), rf_vector_f32(t, n * m), relu);
    for (s = 0; next != NULL && s < n; s++) {
        memcpy(next + s * (m + 1), a + s * m, m * sizeof *a);
        next[s * (m + 1) + m] = 1;
    }
    free(a);
}

/* Soft-max in place, and the mean negative log-likelihood of the labels. */
static double softmax(float *logits, const unsigned char *labels, size_t n) {
    double nll = 0;
    size_t s, c;
    for (s = 0; s < n; s++) {
        float *f = logits + s * CLASSES, most = f[0];
        double sum = 0;
        for (c = 1; c < CLASSES; c++) most = f[c] > most ? f[c] : most;
        for (c = 0; c < CLASSES; c++) sum += exp((double)f[c] - most);
        nll += log(sum) + most - f[labels[s]];
        for (c = 0; c < CLASSES; c++) f[c] = (float)(exp((double)f[c] - most) / sum);
    }
    return nll / (double)n;
}

/* The mean loss of the batch with other weights of the last layer. */
static double loss_of(const float *x3, const float *w3, const unsigned char *labels) {
    float *p = floats(BATCH * CLASSES);
    double loss;
    layer(p, NULL, x3, w3, BATCH, CLASSES, D3);
    loss = softmax(p, labels, BATCH);
    free(p);
    return loss;
}

/* ---- largest difference of two matrices over the largest entry of the second ---- */

static double distance(const float *a, const double *b, size_t len) {
    double most = 0, worst = 0;
    size_t i;
    for (i = 0; i < len; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        most = fmax(most, fabs(b[i]));
    }
    return worst / most;
}

/* out <- (G + s_g I) V (A + s_a I) in double precision, by the definition. */
static void damped_product(double *out, const float *g, double s_g, const float *a, double s_a,
                           const float *v, size_t m, size_t d) {
    double *half = (double *)malloc(m * d * sizeof *half);
    size_t i, j, k;
    if (half == NULL) exit(2);
    for (i = 0; i < m; i++) {
        for (j = 0; j < d; j++) {
            double sum = s_g * v[i * d + j];
            for (k = 0; k < m; k++) sum += (double)g[i * m + k] * v[k * d + j];
            half[i * d + j] = sum;
        }
    }
    for (i = 0; i < m; i++) {
        for (j = 0; j < d; j++) {
            double sum = s_a * half[i * d + j];
            for (k = 0; k < d; k++) sum += half[i * d + k] * a[k * d + j];
            out[i * d + j] = sum;
        }
    }
    free(half);
}

/* ---- one solve, as a job for threads ---- */

typedef struct {
    rf_metric_f32 metric;
    const float *g;
    size_t m, d;
    rf_route route;
    float *out;
} solve_t;

static void *solve(void *argument) {
    const solve_t *job = (const solve_t *)argument;
    size_t len = rf_metric_solve_workspace_len(job->metric.kind, job->metric.x.rows, job->m, job->d,
                                               job->route, 1);
    float *work = floats(len);
    CALL(rf_metric_solve_f32, rf_view_mut_f32(job->out, job->m, job->d), job->metric,
         rf_view_f32(job->g, job->m, job->d), DAMPING, job->route, rf_vector_mut_f32(work, len));
    free(work);
    return NULL;
}

/* ---- what must be refused ---- */

static void refused(rf_status status, rf_status want, const char *what) {
    char text[80];
    snprintf(text, sizeof text, "refused: %s", what);
    expect(status == want, text, (double)status);
}

static void refusals(void) {
    float a[16], b[16], nan_value[1];
    rf_matrix_mut_f32 m = rf_view_mut_f32(a, 2, 2);
    rf_error error;
    char message[80];
    unsigned i;
    for (i = 0; i < 16; i++) a[i] = b[i] = (float)(i % 5 == 0);
    nan_value[0] = (float)NAN;

    refused(rf_cholesky_f32(rf_view_mut_f32(NULL, 2, 2), 0, NULL), RF_STATUS_NULL, "null");
    m.data = (float *)(void *)((char *)a + 1);
    refused(rf_cholesky_f32(m, 0, NULL), RF_STATUS_ALIGNMENT, "misaligned");
    m = rf_view_mut_f32(a, 2, 2);
    m.row_stride = 3;
    refused(rf_cholesky_f32(m, 0, NULL), RF_STATUS_LAYOUT, "a row outside its buffer");
    m.rows = 3;
    m.row_stride = SIZE_MAX / 2 + 2;
    refused(rf_cholesky_f32(m, 0, NULL), RF_STATUS_LAYOUT, "strides that overflow");
    m = rf_view_mut_f32(a, SIZE_MAX / 2, SIZE_MAX / 2);
    refused(rf_cholesky_f32(m, 0, NULL), RF_STATUS_LAYOUT, "a shape that overflows");
    m = rf_view_mut_f32(a, 2, 2);
    m.len = SIZE_MAX / 4;
    refused(rf_cholesky_f32(m, 0, NULL), RF_STATUS_LAYOUT, "a length that overflows");
    m = rf_view_mut_f32(a, 2, 2);
    m.row_stride = 1;
    refused(rf_cholesky_f32(m, 0, NULL), RF_STATUS_LAYOUT, "rows that share places");
    m = rf_view_mut_f32(a, 2, 2);
    refused(rf_cholesky_solve_f32(m, rf_view_f32(a + 2, 2, 2), NULL), RF_STATUS_OVERLAP,
            "an input inside the output");
    refused(rf_eigh_f32(m, rf_vector_mut_f32(b, 2), rf_vector_mut_f32(b + 1, 15), NULL),
            RF_STATUS_OVERLAP, "work inside an output");
    refused(rf_eigh_f32(m, rf_vector_mut_f32(b, 2), rf_vector_mut_f32(b + 2, 9), &error),
            RF_STATUS_WORKSPACE, "too little work");
    expect(error.expected == rf_eigh_workspace_len(2) && error.found == 9, "  and says how little",
           (double)error.expected);
    refused(rf_triangular_solve_left_f32(m, rf_view_f32(b, 2, 2), 7, NULL), RF_STATUS_PARAMETER,
            "an option without meaning");
    refused(rf_cholesky_f32(rf_view_mut_f32(nan_value, 1, 1), 0, NULL), RF_STATUS_NON_FINITE,
            "not a number");
    a[0] = a[3] = -1;
    a[1] = a[2] = 0;
    refused(rf_cholesky_f32(rf_view_mut_f32(a, 2, 2), 0.5f, &error),
            RF_STATUS_NOT_POSITIVE_DEFINITE, "not positive definite");
    rf_error_message(message, &error, sizeof message);
    expect(strcmp(message, "matrix not positive definite, block 0, pivot 0") == 0, message, 0);
    refused(rf_inner_product_f32(a, rf_vector_f32(b, 2), rf_vector_f32(b, 3), NULL), RF_STATUS_SHAPE,
            "lengths that differ");
    refused(rf_inner_product_f32(a, rf_vector_f32(b, 2), rf_vector_f32(b, 2), NULL), RF_STATUS_OK,
            "nothing: inputs may be the same");
}

int main(int count, char **arguments) {
    static network_t net;
    file_t images, labels_file, weights;
    const unsigned char *labels;
    float *x1, *x2, *x3, *t1, *t2, *p;
    size_t s, i, c, right = 0;
    double nll, loss;

    if (count != 4) {
        fprintf(stderr, "usage: digits IMAGES LABELS WEIGHTS\n");
        return 2;
    }
    if (rf_abi_check(RF_ABI_VERSION, sizeof(size_t)) != RF_STATUS_OK) {
        fprintf(stderr, "header and library %s do not belong together\n", rf_version());
        return 2;
    }
    images = file_read(arguments[1]);
    labels_file = file_read(arguments[2]);
    weights = file_read(arguments[3]);
    if (images.len != 16 + (size_t)SAMPLES * PIXELS) file_fail(images.path, "not 2000 digits");
    if (labels_file.len != 8 + SAMPLES) file_fail(labels_file.path, "not 2000 labels");
    labels = labels_file.bytes + 8;
    tensor_read(&weights, "conv1_w", net.conv1, sizeof net.conv1);
    tensor_read(&weights, "conv1_b", &net.bias1, sizeof net.bias1);
    tensor_read(&weights, "conv2_w", net.conv2, sizeof net.conv2);
    tensor_read(&weights, "conv2_b", &net.bias2, sizeof net.bias2);
    layer_read(&weights, "fc1", net.w1, M1, D1 - 1);
    layer_read(&weights, "fc2", net.w2, M2, D2 - 1);
    layer_read(&weights, "fc3", net.w3, CLASSES, D3 - 1);

    /* Forward: every test digit. */
    x1 = floats(SAMPLES * D1);
    x2 = floats(SAMPLES * D2);
    x3 = floats(SAMPLES * D3);
    t1 = floats(SAMPLES * M1);
    t2 = floats(SAMPLES * M2);
    p = floats(SAMPLES * CLASSES);
    for (s = 0; s < SAMPLES; s++) features(x1 + s * D1, &net, images.bytes + 16 + s * PIXELS);
    layer(t1, x2, x1, net.w1, SAMPLES, M1, D1);
    layer(t2, x3, x2, net.w2, SAMPLES, M2, D2);
    layer(p, NULL, x3, net.w3, SAMPLES, CLASSES, D3);
    for (s = 0; s < SAMPLES; s++) {
        size_t best = 0;
        for (c = 1; c < CLASSES; c++) {
            if (p[s * CLASSES + c] > p[s * CLASSES + best]) best = c;
        }
        right += best == labels[s];
    }
    nll = softmax(p, labels, SAMPLES);
    expect(right == 1901, "accuracy on the test digits is .9505", (double)right / SAMPLES);
    expect(fabs(nll - 0.15240) < 5e-6, "mean negative log-likelihood is .15240", nll);

    /* K-FAC of the last layer over a batch, against the definition in double precision. */
    {
        static float a[D3 * D3], g[CLASSES * CLASSES], l_a[D3 * D3], l_g[CLASSES * CLASSES];
        static float grad[CLASSES * D3], step[CLASSES * D3], w[CLASSES * D3];
        static double wanted[D3 * D3], product[CLASSES * D3], target[CLASSES * D3];
        float *delta = floats(BATCH * CLASSES), s_g = 0, s_a = 0, slope = 0;
        const rf_loss_f32 entropy = {RF_LOSS_KIND_SOFTMAX_CROSS_ENTROPY, 0};
        size_t j;
        for (i = 0; i < D3 * D3; i++) wanted[i] = 0;
        for (s = 0; s < BATCH; s++) {
            for (i = 0; i < D3; i++) {
                for (j = 0; j < D3; j++) {
                    wanted[i * D3 + j] += (double)x3[s * D3 + i] * x3[s * D3 + j] / BATCH;
                }
            }
        }
        CALL(rf_gram_f32, rf_view_mut_f32(a, D3, D3), rf_view_f32(x3, BATCH, D3),
             rf_vector_f32(NULL, 0), 1.0f / BATCH, 0, rf_vector_mut_f32(NULL, 0));
        expect(distance(a, wanted, D3 * D3) < 1e-6, "factor A of the inputs",
               distance(a, wanted, D3 * D3));

        for (c = 0; c < CLASSES; c++) {
            CALL(rf_loss_hessian_root_f32, rf_view_mut_f32(delta, BATCH, CLASSES),
                 rf_view_f32(p, BATCH, CLASSES), c, entropy);
            CALL(rf_gram_f32, rf_view_mut_f32(g, CLASSES, CLASSES),
                 rf_view_f32(delta, BATCH, CLASSES), rf_vector_f32(NULL, 0), 1.0f / BATCH,
                 c == 0 ? 0.0f : 1.0f, rf_vector_mut_f32(NULL, 0));
        }
        for (i = 0; i < CLASSES * CLASSES; i++) wanted[i] = 0;
        for (s = 0; s < BATCH; s++) {
            const float *q = p + s * CLASSES;
            for (i = 0; i < CLASSES; i++) {
                for (j = 0; j < CLASSES; j++) {
                    wanted[i * CLASSES + j] += ((i == j) * q[i] - (double)q[i] * q[j]) / BATCH;
                }
            }
        }
        expect(distance(g, wanted, CLASSES * CLASSES) < 1e-6, "factor G of the outputs",
               distance(g, wanted, CLASSES * CLASSES));

        for (s = 0; s < BATCH; s++) {
            for (c = 0; c < CLASSES; c++) {
                delta[s * CLASSES + c] = p[s * CLASSES + c] - (float)(labels[s] == c);
            }
        }
        CALL(rf_gemm_f32, rf_view_mut_f32(grad, CLASSES, D3),
             rf_transposed_f32(rf_view_f32(delta, BATCH, CLASSES)), rf_view_f32(x3, BATCH, D3),
             1.0f / BATCH, 0);
        CALL(rf_kron_split_damping_f32, &s_g, &s_a, rf_view_f32(g, CLASSES, CLASSES),
             rf_view_f32(a, D3, D3), 0.01f, RF_DAMPING_PI);
        memcpy(l_g, g, sizeof g);
        memcpy(l_a, a, sizeof a);
        memcpy(step, grad, sizeof grad);
        CALL(rf_kron_cholesky_factor_f32, rf_view_mut_f32(l_g, CLASSES, CLASSES),
             rf_view_mut_f32(l_a, D3, D3), s_g, s_a);
        CALL(rf_kron_cholesky_solve_f32, rf_view_mut_f32(step, CLASSES, D3),
             rf_view_f32(l_g, CLASSES, CLASSES), rf_view_f32(l_a, D3, D3));
        damped_product(product, g, s_g, a, s_a, step, CLASSES, D3);
        for (i = 0; i < CLASSES * D3; i++) target[i] = product[i];
        expect(distance(grad, target, CLASSES * D3) < 1e-4, "(G + s I) step (A + t I) = gradient",
               distance(grad, target, CLASSES * D3));

        loss = loss_of(x3, net.w3, labels);
        memcpy(w, net.w3, sizeof w);
        CALL(rf_inner_product_f32, &slope, rf_vector_f32(grad, CLASSES * D3),
             rf_vector_f32(step, CLASSES * D3));
        CALL(rf_descend_f32, rf_vector_mut_f32(w, CLASSES * D3), rf_vector_f32(step, CLASSES * D3),
             0.5f);
        nll = loss_of(x3, w, labels);
        printf("      loss of the batch %.5f, after half a K-FAC step %.5f\n", loss, nll);
        expect(slope > 0 && nll < 0.9 * loss, "a K-FAC step lowers the loss by a tenth", nll / loss);
        free(delta);
    }

    /* The relative Fisher metric of the second layer: two routes, the residual, four threads. */
    {
        static float gradient[M2 * D2], by_block[M2 * D2], by_sample[M2 * D2], back[M2 * D2];
        static float copies[4][M2 * D2];
        static double wide[M2 * D2];
        float *nu = floats(BATCH * M2), *work = floats(BATCH * M2);
        const rf_response_f32 response = {
            RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_RELU, 0}, 0.5f, 1};
        rf_metric_f32 metric;
        solve_t jobs[4], job;
        pthread_t threads[4];
        int same = 1;
        CALL(rf_response_nu_f32, rf_vector_mut_f32(nu, BATCH * M2), rf_vector_f32(t2, BATCH * M2),
             response);
        metric.kind = RF_METRIC_KIND_NONLINEAR;
        metric.x = rf_view_f32(x2, BATCH, D2);
        metric.weights = rf_view_f32(nu, BATCH, M2);
        metric.outputs = 0;
        metric.sigma = 1;
        for (i = 0; i < M2 * D2; i++) gradient[i] = net.w2[i] * x2[i % (BATCH * D2)];
        job.metric = metric;
        job.g = gradient;
        job.m = M2;
        job.d = D2;
        job.route = RF_ROUTE_BLOCK;
        job.out = by_block;
        solve(&job);
        job.route = RF_ROUTE_SAMPLE;
        job.out = by_sample;
        solve(&job);
        for (i = 0; i < M2 * D2; i++) wide[i] = by_block[i];
        expect(distance(by_sample, wide, M2 * D2) < 1e-3, "the routes block and sample agree",
               distance(by_sample, wide, M2 * D2));
        CALL(rf_metric_multiply_f32, rf_view_mut_f32(back, M2, D2), metric,
             rf_view_f32(by_block, M2, D2), rf_vector_mut_f32(work, BATCH * M2));
        for (i = 0; i < M2 * D2; i++) wide[i] = (double)back[i] + DAMPING * by_block[i];
        expect(distance(gradient, wide, M2 * D2) < 1e-4, "(metric + I) step = gradient",
               distance(gradient, wide, M2 * D2));
        for (i = 0; i < 4; i++) {
            jobs[i] = job;
            jobs[i].route = RF_ROUTE_BLOCK;
            jobs[i].out = copies[i];
            if (pthread_create(&threads[i], NULL, solve, &jobs[i]) != 0) return 2;
        }
        for (i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            same = same && memcmp(copies[i], by_block, sizeof by_block) == 0;
        }
        expect(same, "four threads at once give the same bits", 4);
        free(nu);
        free(work);
    }

    refusals();
    printf("relfisher %s: %d failures\n", rf_version(), failures);
    free(x1);
    free(x2);
    free(x3);
    free(t1);
    free(t2);
    free(p);
    free(images.bytes);
    free(labels_file.bytes);
    free(weights.bytes);
    return failures != 0;
}
