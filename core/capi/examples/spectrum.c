/* The largest eigenvalues of a matrix that only its products are known of, in C99: Lanczos with thick restarts,
 * in the memory of 21 vectors. The matrix is the second difference on 100 points, whose eigenvalues are
 * 2 - 2 cos(k pi/101).
 *
 * Prints them; status 1 when one is not as it must be. */
#include <math.h>
#include <stdio.h>

#include "relfisher.h"

/* Order, room for steps, vectors that a restart keeps, eigenvalues that are wanted, rounds at most. */
enum { N = 100, M = 20, KEEP = 8, WANTED = 3, ROUNDS = 200 };

static void multiply(double *out, const double *v) {
    size_t i;
    for (i = 0; i < N; i++) {
        out[i] = 2 * v[i] - (i > 0 ? v[i - 1] : 0) - (i + 1 < N ? v[i + 1] : 0);
    }
}

static rf_error error;

static int ends(rf_status status) {
    char message[160];
    if (status == RF_STATUS_OK) return 0;
    rf_error_message(message, &error, sizeof message);
    fprintf(stderr, "%s\n", message);
    return 1;
}

int main(void) {
    static double basis[(M + 1) * N], alpha[M], beta[M], own[M + 1], start[N], product[N];
    static double values[M], bounds[M], s[M * M], best[M * KEEP], scratch[4 * M * M], pieces[KEEP * N];
    const size_t scratch_len = rf_eigh_workspace_len(M);
    rf_lanczos_state_f64 state = {0, 0, 0, RF_NEXT_VECTOR_VACANT};
    rf_lanczos_f64 of;
    uint32_t step;
    size_t i, j;
    int round;

    of.basis = rf_view_mut_f64(basis, M + 1, N);
    of.alpha = rf_vector_mut_f64(alpha, M);
    of.beta = rf_vector_mut_f64(beta, M);
    of.locked = rf_view_f64(NULL, 0, N);
    of.work = rf_vector_mut_f64(own, M + 1);
    if (rf_lanczos_workspace_len(M, 0) > M + 1 || scratch_len > 4 * M * M ||
        rf_lanczos_restart_workspace_len(KEEP, N) > KEEP * N) {
        fprintf(stderr, "this library needs more work\n");
        return 1;
    }
    for (i = 0; i < N; i++) start[i] = 1 + (double)(i % 7);
    if (ends(rf_lanczos_start_f64(&step, &state, rf_vector_f64(start, N), of, &error))) return 1;
    for (round = 1; round <= ROUNDS; round++) {
        int done = 1;
        while (step == RF_LANCZOS_STEP_CONTINUE) {
            multiply(product, rf_lanczos_next_f64(of, state).data);
            if (ends(rf_lanczos_advance_f64(&step, &state, rf_vector_f64(product, N), of, &error)))
                return 1;
        }
        if (step != RF_LANCZOS_STEP_FULL) break;
        if (ends(rf_lanczos_ritz_f64(rf_vector_mut_f64(values, M), rf_vector_mut_f64(bounds, M),
                                     rf_view_mut_f64(s, M, M), of, state,
                                     rf_vector_mut_f64(scratch, scratch_len), &error)))
            return 1;
        for (i = M - WANTED; i < M; i++) done = done && bounds[i] < 1e-9;
        if (done) break;
        /* On from the best: the last columns of S. */
        for (i = 0; i < M; i++) {
            for (j = 0; j < KEEP; j++) best[i * KEEP + j] = s[i * M + M - KEEP + j];
        }
        if (ends(rf_lanczos_restart_f64(&step, &state, rf_vector_f64(values + M - KEEP, KEEP),
                                        rf_view_f64(best, M, KEEP), of,
                                        rf_vector_mut_f64(pieces, KEEP * N), &error)))
            return 1;
    }
    for (i = 1; i <= WANTED; i++) {
        const double exact = 2 + 2 * cos((double)i * acos(-1.0) / (N + 1)), found = values[M - i];
        printf("%.12f", found);
        if (!(fabs(found - exact) < 1e-12)) {
            printf(" is not %.12f\n", exact);
            return 1;
        }
        printf(i < WANTED ? " " : "\n");
    }
    return 0;
}
