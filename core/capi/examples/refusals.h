/* What the refusals share: a counter of checks, numbers for any input, outputs of known bits. */
#ifndef REFUSALS_H
#define REFUSALS_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "relfisher.h"

enum { N = 3, D = 4, M = 2, C = 2, K = 3, ROOM = 512, WORK = 16384 };

static int failures, checks;
static rf_error error;

static void holds(int condition, const char *what, const char *message) {
    printf("%s  %-44s %s\n", condition ? "ok  " : "FAIL", what, message);
    checks++;
    if (!condition) failures++;
}

static void refused(rf_status status, rf_status want, const char *what) {
    char message[160];
    rf_error_message(message, &error, sizeof message);
    holds(status == want && error.status == want, what, message);
}

/* Numbers for any input, an output of known bits, and as much work as any call needs. */
static double input[ROOM], output[ROOM], more[ROOM], scratch[WORK];
static double nothing[ROOM];

static void reset(void) {
    int i;
    for (i = 0; i < ROOM; i++) {
        input[i] = 0.25 + (i % 7) / 8.0;
        output[i] = more[i] = nothing[i] = 77;
    }
}

static int untouched(void) {
    return memcmp(output, nothing, sizeof output) == 0 && memcmp(more, nothing, sizeof more) == 0;
}

static void kept(const char *what) {
    holds(untouched(), what, "outputs are as they were");
    reset();
}

static rf_matrix_f64 a(size_t rows, size_t cols) { return rf_view_f64(input, rows, cols); }
static rf_matrix_mut_f64 o(size_t rows, size_t cols) { return rf_view_mut_f64(output, rows, cols); }
static rf_slice_f64 x(size_t len) { return rf_vector_f64(input, len); }
static rf_slice_mut_f64 y(size_t len) { return rf_vector_mut_f64(output, len); }
static rf_slice_mut_f64 work(size_t len) { return rf_vector_mut_f64(scratch, len); }

/* A view that says more elements than its buffer has. */
static rf_matrix_f64 cut_short(size_t rows, size_t cols) {
    rf_matrix_f64 view = a(rows, cols);
    view.len--;
    return view;
}

#endif
