/* The natural gradient of one tanh neuron on two samples. */
#include <stdio.h>

#include "relfisher.h"

int main(void) {
    const float x[4] = {1, 1, -2, 1}, t[2] = {0.3f, -1}, gradient[2] = {0.5f, 0.25f};
    const rf_response_f32 tanh_response = {RF_RESPONSE_KIND_NATURAL, {RF_ACTIVATION_KIND_TANH, 0}, 0, 1};
    float nu[2], step[2], work[256];
    rf_metric_f32 metric;
    rf_error error;
    char message[128];
    rf_status status;

    /* nu(t) = sech^2 t, and the metric (1/n) sum nu_s x_s x_s^T; x holds [x, 1] in its rows. */
    status = rf_response_nu_f32(rf_vector_mut_f32(nu, 2), rf_vector_f32(t, 2), tanh_response, &error);
    if (status == RF_STATUS_OK) {
        metric.kind = RF_METRIC_KIND_NONLINEAR;
        metric.x = rf_view_f32(x, 2, 2);
        metric.weights = rf_view_f32(nu, 2, 1);
        metric.outputs = 1;
        metric.sigma = 1;
        /* step = (metric + 0.1 I)^-1 gradient */
        status = rf_metric_solve_f32(rf_view_mut_f32(step, 1, 2), metric, rf_view_f32(gradient, 1, 2),
                                     0.1f, RF_ROUTE_AUTO, rf_vector_mut_f32(work, 256), &error);
    }
    if (status != RF_STATUS_OK) {
        rf_error_message(message, &error, sizeof message);
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    printf("relfisher %s: step %.6f %.6f\n", rf_version(), (double)step[0], (double)step[1]);
    return 0;
}
