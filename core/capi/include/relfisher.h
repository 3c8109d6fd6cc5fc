/* relfisher: curvature of neural networks, the C interface.
 *
 * Written by `cargo ci capi --update` from core/capi/src; do not edit. C99 or C++17, nothing but
 * <stddef.h> and <stdint.h>. Every function is in single (_f32) and double precision (_f64); the
 * comment is at the single one.
 *
 * Contract of every function that returns rf_status:
 *  - Arguments come in the order outputs, inputs, scalars, options, work, error.
 *  - Nothing is allocated, kept, locked or written but the outputs and `work`; nothing unwinds or
 *    aborts. Calls from any number of threads are independent of one another.
 *  - A view is a pointer and a length in elements, a matrix also its shape and strides. Views are
 *    checked before anything is touched: a null pointer with elements, a misaligned pointer, a shape
 *    that leaves its length or overflows, rows of an output that share places, and an output or `work`
 *    that shares bytes with any other argument are refused (RF_STATUS_NULL, _ALIGNMENT, _LAYOUT,
 *    _OVERLAP). Inputs may share bytes with one another. An empty view may have a null pointer.
 *  - Outputs may hold anything on entry, NaN included, unless the comment says that they are read.
 *    After RF_STATUS_OK they are the result; after any other status they are unspecified.
 *  - `work` has at least as many elements as the matching ..._workspace_len says.
 *  - What cannot be checked is the caller's: behind every pointer are the elements that its length
 *    says, and while a call runs no other thread writes them or reads those of an output.
 *  - `error` may be null; else it is filled with what the status is about.
 *  - The same arguments give the same bits, on every processor with IEEE 754 arithmetic.
 */

#ifndef RELFISHER_H
#define RELFISHER_H

#include <stddef.h>
#include <stdint.h>

// The version of the binary interface that this header describes; it changes with every change that
// breaks programs compiled against an older header.
#define RF_ABI_VERSION 1

// The outcome of a call.
enum rf_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The outputs are the result.
    RF_STATUS_OK = 0,
    // An argument has `found` elements, rows or columns where `expected` are needed.
    RF_STATUS_SHAPE = 1,
    // A shape leaves its buffer or overflows, rows of an output share places, or the function does
    // not support the strides.
    RF_STATUS_LAYOUT = 2,
    // `work` holds `found` elements, fewer than the `expected` ones.
    RF_STATUS_WORKSPACE = 3,
    // The input element at the row-major index `found` is NaN or infinite.
    RF_STATUS_NON_FINITE = 4,
    // Matrix `expected` of a batch (0 for a single one) is not positive definite at pivot `found`:
    // use a larger damping.
    RF_STATUS_NOT_POSITIVE_DEFINITE = 5,
    // An iteration did not converge within `found` steps.
    RF_STATUS_NO_CONVERGENCE = 6,
    // A scalar or an option is outside its domain.
    RF_STATUS_PARAMETER = 7,
    // A pointer is null though elements are expected behind it.
    RF_STATUS_NULL = 8,
    // A pointer is not aligned to its element type.
    RF_STATUS_ALIGNMENT = 9,
    // An output or `work` shares memory with another argument.
    RF_STATUS_OVERLAP = 10,
    // Header and library do not belong together.
    RF_STATUS_ABI = 11,
    // An error that this version of the header has no code for.
    RF_STATUS_OTHER = 12,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_status rf_status;
#else
typedef int32_t rf_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The loss at the network's output.
enum rf_loss_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Soft-max cross-entropy; probabilities are the soft-max.
    RF_LOSS_KIND_SOFTMAX_CROSS_ENTROPY = 0,
    // scale times the sum of squares; probabilities are ignored.
    RF_LOSS_KIND_MSE = 1,
    // Independent Bernoulli outputs as logits; probabilities are their sigmoids.
    RF_LOSS_KIND_BINARY_CROSS_ENTROPY = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_loss_kind rf_loss_kind;
#else
typedef uint32_t rf_loss_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which triangular matrix a solve takes.
enum rf_triangular
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // L, the lower triangle as stored.
    RF_TRIANGULAR_LOWER = 0,
    // The transpose of L.
    RF_TRIANGULAR_LOWER_TRANSPOSED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_triangular rf_triangular;
#else
typedef uint32_t rf_triangular;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which inverse root an iteration computes.
enum rf_root
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The inverse.
    RF_ROOT_FIRST = 0,
    // The inverse square root.
    RF_ROOT_SECOND = 1,
    // The inverse fourth root.
    RF_ROOT_FOURTH = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_root rf_root;
#else
typedef uint32_t rf_root;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a damping of `G (x) A` is divided between the factors.
enum rf_damping
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // (G + lambda I) (x) (A + lambda I).
    RF_DAMPING_FACTORED = 0,
    // (G + sqrt(lambda)/pi I) (x) (A + pi sqrt(lambda) I), pi from the mean eigenvalues (Martens
    // and Grosse 2015, 6.3).
    RF_DAMPING_PI = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_damping rf_damping;
#else
typedef uint32_t rf_damping;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How the first steps of a moving average are treated.
enum rf_correction
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Weight 1 - rho for every new value.
    RF_CORRECTION_NONE = 0,
    // The weights of the values so far sum to one.
    RF_CORRECTION_NORMALISED = 1,
    // A plain mean until it is as long as the window.
    RF_CORRECTION_WARM = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_correction rf_correction;
#else
typedef uint32_t rf_correction;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The sign between two Kronecker products.
enum rf_sign
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // G (x) A + H (x) B.
    RF_SIGN_PLUS = 0,
    // G (x) A - H (x) B.
    RF_SIGN_MINUS = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_sign rf_sign;
#else
typedef uint32_t rf_sign;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The structure of a layer's metric.
enum rf_metric_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Linear neurons: `sigma^-2 I (x) (1/n) X^T X`.
    RF_METRIC_KIND_LINEAR = 0,
    // Independent neurons: block i is `(1/n) sum_s nu_si x_s x_s^T`.
    RF_METRIC_KIND_NONLINEAR = 1,
    // Soft-max: `(1/n) sum_s (diag(eta_s) - eta_s eta_s^T) (x) x_s x_s^T`.
    RF_METRIC_KIND_SOFTMAX = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_metric_kind rf_metric_kind;
#else
typedef uint32_t rf_metric_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The way to a damped step.
enum rf_route
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The cheapest exact one.
    RF_ROUTE_AUTO = 0,
    // Cholesky factors of the blocks (soft-max: of the dense matrix).
    RF_ROUTE_BLOCK = 1,
    // Woodbury in the space of the samples.
    RF_ROUTE_SAMPLE = 2,
    // Matrix-free conjugate gradients.
    RF_ROUTE_CONJUGATE_GRADIENT = 3,
    // The Kronecker approximation.
    RF_ROUTE_KRONECKER = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_route rf_route;
#else
typedef uint32_t rf_route;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The function of a neuron.
enum rf_activation_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // f(t) = t.
    RF_ACTIVATION_KIND_LINEAR = 0,
    // f(t) = tanh t.
    RF_ACTIVATION_KIND_TANH = 1,
    // f(t) = 1/(1 + exp(-t)).
    RF_ACTIVATION_KIND_SIGM = 2,
    // f(t) = t for t > 0, leak t otherwise.
    RF_ACTIVATION_KIND_RELU = 3,
    // f(t) = t for t >= 0, alpha (exp(t) - 1) otherwise.
    RF_ACTIVATION_KIND_ELU = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_activation_kind rf_activation_kind;
#else
typedef uint32_t rf_activation_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The distribution of a neuron's response y given its pre-activation t.
enum rf_response_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // That of the activation: Bernoulli for tanh and sigm, a smoothed relu, Gaussian otherwise.
    RF_RESPONSE_KIND_NATURAL = 0,
    // Gaussian around f(t), whatever the activation f.
    RF_RESPONSE_KIND_GAUSSIAN = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_response_kind rf_response_kind;
#else
typedef uint32_t rf_response_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How past directions enter a step.
enum rf_momentum
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // v <- mu v + d, theta <- theta - gamma v.
    RF_MOMENTUM_HEAVY_BALL = 0,
    // v <- mu v + d, theta <- theta - gamma (d + mu v).
    RF_MOMENTUM_NESTEROV = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_momentum rf_momentum;
#else
typedef uint32_t rf_momentum;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Where the weight decay of Adam enters.
enum rf_decay_form
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // g <- g + decay theta.
    RF_DECAY_FORM_L2 = 0,
    // theta <- theta - gamma decay theta, apart from the adaptive step.
    RF_DECAY_FORM_DECOUPLED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_decay_form rf_decay_form;
#else
typedef uint32_t rf_decay_form;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a learning rate falls after its warm-up.
enum rf_schedule_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // It does not.
    RF_SCHEDULE_KIND_CONSTANT = 0,
    // Times `factor` after every `steps` steps.
    RF_SCHEDULE_KIND_STEP = 1,
    // Times `factor` at every step.
    RF_SCHEDULE_KIND_EXPONENTIAL = 2,
    // A cosine down to `factor` times the base in `steps` steps.
    RF_SCHEDULE_KIND_COSINE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_schedule_kind rf_schedule_kind;
#else
typedef uint32_t rf_schedule_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A read-only matrix: element (i, j) is `data[i * row_stride + j * col_stride]`.
typedef struct {
    // Element (0, 0).
    const float *data;
    // The elements from `data` on that belong to the matrix's buffer.
    size_t len;
    // The number of rows.
    size_t rows;
    // The number of columns.
    size_t cols;
    // The distance between two rows, in elements; `cols` for a plain row-major matrix.
    size_t row_stride;
    // The distance between two columns, in elements; 1 for a plain row-major matrix.
    size_t col_stride;
} rf_matrix_f32;

// A writable matrix: element (i, j) is `data[i * row_stride + j * col_stride]`; no two share a place.
typedef struct {
    // Element (0, 0).
    float *data;
    // The elements from `data` on that belong to the matrix's buffer.
    size_t len;
    // The number of rows.
    size_t rows;
    // The number of columns.
    size_t cols;
    // The distance between two rows, in elements; `cols` for a plain row-major matrix.
    size_t row_stride;
    // The distance between two columns, in elements; 1 for a plain row-major matrix.
    size_t col_stride;
} rf_matrix_mut_f32;

// A read-only vector.
typedef struct {
    // The first element.
    const float *data;
    // The number of elements.
    size_t len;
} rf_slice_f32;

// A writable vector.
typedef struct {
    // The first element.
    float *data;
    // The number of elements.
    size_t len;
} rf_slice_mut_f32;

// A read-only matrix: element (i, j) is `data[i * row_stride + j * col_stride]`.
typedef struct {
    // Element (0, 0).
    const double *data;
    // The elements from `data` on that belong to the matrix's buffer.
    size_t len;
    // The number of rows.
    size_t rows;
    // The number of columns.
    size_t cols;
    // The distance between two rows, in elements; `cols` for a plain row-major matrix.
    size_t row_stride;
    // The distance between two columns, in elements; 1 for a plain row-major matrix.
    size_t col_stride;
} rf_matrix_f64;

// A writable matrix: element (i, j) is `data[i * row_stride + j * col_stride]`; no two share a place.
typedef struct {
    // Element (0, 0).
    double *data;
    // The elements from `data` on that belong to the matrix's buffer.
    size_t len;
    // The number of rows.
    size_t rows;
    // The number of columns.
    size_t cols;
    // The distance between two rows, in elements; `cols` for a plain row-major matrix.
    size_t row_stride;
    // The distance between two columns, in elements; 1 for a plain row-major matrix.
    size_t col_stride;
} rf_matrix_mut_f64;

// A read-only vector.
typedef struct {
    // The first element.
    const double *data;
    // The number of elements.
    size_t len;
} rf_slice_f64;

// A writable vector.
typedef struct {
    // The first element.
    double *data;
    // The number of elements.
    size_t len;
} rf_slice_mut_f64;

// What a status is about.
typedef struct {
    // The status that was returned too.
    rf_status status;
    // The number that was needed, as the status says, or 0.
    size_t expected;
    // The number that was found, as the status says, or 0.
    size_t found;
    // The argument or parameter, `what_len` bytes of UTF-8, **not** null-terminated, valid for ever.
    const char *what;
    // The bytes of `what`.
    size_t what_len;
} rf_error;

// A loss.
typedef struct {
    // An `rf_loss_kind`.
    uint32_t kind;
    // The factor of the squares; ignored unless the loss is mse.
    float scale;
} rf_loss_f32;

// A loss.
typedef struct {
    // An `rf_loss_kind`.
    uint32_t kind;
    // The factor of the squares; ignored unless the loss is mse.
    double scale;
} rf_loss_f64;

// The metric of a layer: borrowed inputs and what the response metric is made of.
typedef struct {
    // An `rf_metric_kind`.
    uint32_t kind;
    // The augmented inputs [x, 1], n*d with contiguous rows, a sample a row.
    rf_matrix_f32 x;
    // nu of `rf_response_nu` or the probabilities eta, n*m with contiguous rows; ignored for linear
    // neurons.
    rf_matrix_f32 weights;
    // The number of linear neurons; ignored for the others, whose weights say it.
    size_t outputs;
    // The standard deviation of linear neurons; ignored for the others.
    float sigma;
} rf_metric_f32;

// The metric of a layer: borrowed inputs and what the response metric is made of.
typedef struct {
    // An `rf_metric_kind`.
    uint32_t kind;
    // The augmented inputs [x, 1], n*d with contiguous rows, a sample a row.
    rf_matrix_f64 x;
    // nu of `rf_response_nu` or the probabilities eta, n*m with contiguous rows; ignored for linear
    // neurons.
    rf_matrix_f64 weights;
    // The number of linear neurons; ignored for the others, whose weights say it.
    size_t outputs;
    // The standard deviation of linear neurons; ignored for the others.
    double sigma;
} rf_metric_f64;

// An activation.
typedef struct {
    // An `rf_activation_kind`.
    uint32_t kind;
    // The leak of a relu in [0, 1), or the alpha of an elu; the others ignore it.
    float parameter;
} rf_activation_f32;

// An activation.
typedef struct {
    // An `rf_activation_kind`.
    uint32_t kind;
    // The leak of a relu in [0, 1), or the alpha of an elu; the others ignore it.
    double parameter;
} rf_activation_f64;

// The response model of a neuron, which fixes its metric nu(t).
typedef struct {
    // An `rf_response_kind`.
    uint32_t kind;
    // The activation.
    rf_activation_f32 activation;
    // The smoothing width of a natural relu, >= 0; the others ignore it.
    float smoothing;
    // The standard deviation of the Gaussian models, > 0; the Bernoulli models ignore it.
    float sigma;
} rf_response_f32;

// The response model of a neuron, which fixes its metric nu(t).
typedef struct {
    // An `rf_response_kind`.
    uint32_t kind;
    // The activation.
    rf_activation_f64 activation;
    // The smoothing width of a natural relu, >= 0; the others ignore it.
    double smoothing;
    // The standard deviation of the Gaussian models, > 0; the Bernoulli models ignore it.
    double sigma;
} rf_response_f64;

// The hyper-parameters of stochastic gradient descent.
typedef struct {
    // gamma.
    float learning_rate;
    // mu in [0, 1); 0 is plain descent (the velocity is still written).
    float momentum;
    // The factor of theta that is added to the gradient.
    float weight_decay;
    // An `rf_momentum`.
    uint32_t form;
} rf_sgd_f32;

// The hyper-parameters of stochastic gradient descent.
typedef struct {
    // gamma.
    double learning_rate;
    // mu in [0, 1); 0 is plain descent (the velocity is still written).
    double momentum;
    // The factor of theta that is added to the gradient.
    double weight_decay;
    // An `rf_momentum`.
    uint32_t form;
} rf_sgd_f64;

// The hyper-parameters of Adam.
typedef struct {
    // gamma.
    float learning_rate;
    // The weight of the past in the first moment, e.g. 0.9.
    float beta1;
    // The weight of the past in the second moment, e.g. 0.999.
    float beta2;
    // Added to the root of the second moment, e.g. 1e-8.
    float epsilon;
    // The weight decay.
    float weight_decay;
    // An `rf_decay_form`.
    uint32_t decay_form;
} rf_adam_f32;

// The hyper-parameters of Adam.
typedef struct {
    // gamma.
    double learning_rate;
    // The weight of the past in the first moment, e.g. 0.9.
    double beta1;
    // The weight of the past in the second moment, e.g. 0.999.
    double beta2;
    // Added to the root of the second moment, e.g. 1e-8.
    double epsilon;
    // The weight decay.
    double weight_decay;
    // An `rf_decay_form`.
    uint32_t decay_form;
} rf_adam_f64;

// The rule of Levenberg and Marquardt for the damping (Martens and Grosse 2015, 6.5).
typedef struct {
    // omega in (0, 1), e.g. 0.95.
    float decay;
    // The steps between two adaptations, e.g. 5: the damping changes by omega^interval.
    uint64_t interval;
    // The reduction ratio below which the damping grows, e.g. 0.25.
    float lower;
    // The reduction ratio above which it shrinks, e.g. 0.75.
    float upper;
    // The least damping.
    float least;
    // The greatest damping.
    float greatest;
} rf_levenberg_marquardt_f32;

// The rule of Levenberg and Marquardt for the damping (Martens and Grosse 2015, 6.5).
typedef struct {
    // omega in (0, 1), e.g. 0.95.
    double decay;
    // The steps between two adaptations, e.g. 5: the damping changes by omega^interval.
    uint64_t interval;
    // The reduction ratio below which the damping grows, e.g. 0.25.
    double lower;
    // The reduction ratio above which it shrinks, e.g. 0.75.
    double upper;
    // The least damping.
    double least;
    // The greatest damping.
    double greatest;
} rf_levenberg_marquardt_f64;

// A base rate, a linear warm-up and a fall.
typedef struct {
    // An `rf_schedule_kind`.
    uint32_t kind;
    // The steps of the warm-up.
    uint64_t warm_up;
    // The steps of a fall, as the kind says.
    uint64_t steps;
    // The rate after the warm-up.
    float base;
    // What the rate is multiplied by, as the kind says.
    float factor;
} rf_schedule_f32;

// A base rate, a linear warm-up and a fall.
typedef struct {
    // An `rf_schedule_kind`.
    uint32_t kind;
    // The steps of the warm-up.
    uint64_t warm_up;
    // The steps of a fall, as the kind says.
    uint64_t steps;
    // The rate after the warm-up.
    double base;
    // What the rate is multiplied by, as the kind says.
    double factor;
} rf_schedule_f64;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// A read-only row-major matrix without gaps between its rows; `data` has `rows * cols`
// elements.
rf_matrix_f32 rf_view_f32(const float *data, size_t rows, size_t cols);

// A writable row-major matrix without gaps between its rows; `data` has `rows * cols`
// elements.
rf_matrix_mut_f32 rf_view_mut_f32(float *data, size_t rows, size_t cols);

// The transpose of a read-only matrix; nothing is moved.
rf_matrix_f32 rf_transposed_f32(rf_matrix_f32 a);

// A read-only vector of `len` elements.
rf_slice_f32 rf_vector_f32(const float *data, size_t len);

// A writable vector of `len` elements.
rf_slice_mut_f32 rf_vector_mut_f32(float *data, size_t len);

// A read-only row-major matrix without gaps between its rows; `data` has `rows * cols`
// elements.
rf_matrix_f64 rf_view_f64(const double *data, size_t rows, size_t cols);

// A writable row-major matrix without gaps between its rows; `data` has `rows * cols`
// elements.
rf_matrix_mut_f64 rf_view_mut_f64(double *data, size_t rows, size_t cols);

// The transpose of a read-only matrix; nothing is moved.
rf_matrix_f64 rf_transposed_f64(rf_matrix_f64 a);

// A read-only vector of `len` elements.
rf_slice_f64 rf_vector_f64(const double *data, size_t len);

// A writable vector of `len` elements.
rf_slice_mut_f64 rf_vector_mut_f64(double *data, size_t len);

// The elements of `work` for `rf_gram`: n samples of d inputs.
size_t rf_gram_workspace_len(size_t n, size_t d);

// `C <- alpha A B + beta C`. Shapes: a p*k, b k*q, c p*q; any strides for a and b (transpose with
// `rf_transposed_f32`), contiguous rows or columns for c, which is read unless `beta` is 0.
rf_status rf_gemm_f32(rf_matrix_mut_f32 c,
                      rf_matrix_f32 a,
                      rf_matrix_f32 b,
                      float alpha,
                      float beta,
                      rf_error *error);

// As `rf_gemm_f32`, in double precision.
rf_status rf_gemm_f64(rf_matrix_mut_f64 c,
                      rf_matrix_f64 a,
                      rf_matrix_f64 b,
                      double alpha,
                      double beta,
                      rf_error *error);

// `C <- alpha X^T diag(w) X + beta C`, symmetric, both triangles written: with alpha = 1/n the
// Kronecker factor of inputs or output gradients. Shapes: x n*d with contiguous rows, w n (an
// empty slice stands for ones), c d*d with contiguous rows, whose lower triangle is read unless
// `beta` is 0. Work: `rf_gram_workspace_len(n, d)`.
rf_status rf_gram_f32(rf_matrix_mut_f32 c,
                      rf_matrix_f32 x,
                      rf_slice_f32 w,
                      float alpha,
                      float beta,
                      rf_slice_mut_f32 work,
                      rf_error *error);

// As `rf_gram_f32`, in double precision.
rf_status rf_gram_f64(rf_matrix_mut_f64 c,
                      rf_matrix_f64 x,
                      rf_slice_f64 w,
                      double alpha,
                      double beta,
                      rf_slice_mut_f64 work,
                      rf_error *error);

// The elements of `work` for `rf_ekfac_scale`: n samples, m outputs, d inputs.
size_t rf_ekfac_scale_workspace_len(size_t n, size_t m, size_t d);

// The elements of `work` for `rf_ekfac_solve`: m outputs, d inputs.
size_t rf_ekfac_solve_workspace_len(size_t m, size_t d);

// The elements of `work` for `rf_kfra_step`: n samples, m outputs above, d below.
size_t rf_kfra_step_workspace_len(size_t n, size_t m, size_t d);

// Column `column` (of m) of a square root of every sample's loss Hessian in the outputs; the sum
// over columns of `out_s out_s^T` is the Hessian. Shapes: out and probabilities n*m with
// contiguous rows.
rf_status rf_loss_hessian_root_f32(rf_matrix_mut_f32 out,
                                   rf_matrix_f32 probabilities,
                                   size_t column,
                                   rf_loss_f32 loss,
                                   rf_error *error);

// As `rf_loss_hessian_root_f32`, in double precision.
rf_status rf_loss_hessian_root_f64(rf_matrix_mut_f64 out,
                                   rf_matrix_f64 probabilities,
                                   size_t column,
                                   rf_loss_f64 loss,
                                   rf_error *error);

// `out_s <- H_s v_s`, the loss Hessian of every sample applied. Shapes: out, probabilities and v
// n*m with contiguous rows.
rf_status rf_loss_hessian_apply_f32(rf_matrix_mut_f32 out,
                                    rf_matrix_f32 probabilities,
                                    rf_matrix_f32 v,
                                    rf_loss_f32 loss,
                                    rf_error *error);

// As `rf_loss_hessian_apply_f32`, in double precision.
rf_status rf_loss_hessian_apply_f64(rf_matrix_mut_f64 out,
                                    rf_matrix_f64 probabilities,
                                    rf_matrix_f64 v,
                                    rf_loss_f64 loss,
                                    rf_error *error);

// `out_s <- ` the packed lower triangle of every sample's loss Hessian. Shapes: out n*m(m+1)/2
// with contiguous rows, probabilities n*m.
rf_status rf_loss_hessian_packed_f32(rf_matrix_mut_f32 out,
                                     rf_matrix_f32 probabilities,
                                     rf_loss_f32 loss,
                                     rf_error *error);

// As `rf_loss_hessian_packed_f32`, in double precision.
rf_status rf_loss_hessian_packed_f64(rf_matrix_mut_f64 out,
                                     rf_matrix_f64 probabilities,
                                     rf_loss_f64 loss,
                                     rf_error *error);

// EKFAC's scale in the eigenbases of `rf_kron_eigen_factor`:
// `out <- beta out + alpha sum_sc ((U_G^T delta_cs)^2) ((U_A^T x_s)^2)^T`. Shapes: delta (C n)*m, row
// c n + s for column c of sample s, x n*d, out m*d with contiguous rows (read unless `beta` is 0).
// Work: `rf_ekfac_scale_workspace_len(n, m, d)`.
rf_status rf_ekfac_scale_f32(rf_matrix_mut_f32 out,
                             rf_matrix_f32 g_vectors,
                             rf_matrix_f32 a_vectors,
                             rf_matrix_f32 delta,
                             rf_matrix_f32 x,
                             float alpha,
                             float beta,
                             rf_slice_mut_f32 work,
                             rf_error *error);

// As `rf_ekfac_scale_f32`, in double precision.
rf_status rf_ekfac_scale_f64(rf_matrix_mut_f64 out,
                             rf_matrix_f64 g_vectors,
                             rf_matrix_f64 a_vectors,
                             rf_matrix_f64 delta,
                             rf_matrix_f64 x,
                             double alpha,
                             double beta,
                             rf_slice_mut_f64 work,
                             rf_error *error);

// `V <- U_G ((U_G^T V U_A) / (S + lambda)) U_A^T`, EKFAC's damped inverse. Shapes: v and scale m*d
// with contiguous rows. Work: `rf_ekfac_solve_workspace_len(m, d)`.
rf_status rf_ekfac_solve_f32(rf_matrix_mut_f32 v,
                             rf_matrix_f32 g_vectors,
                             rf_matrix_f32 a_vectors,
                             rf_matrix_f32 scale,
                             float lambda,
                             rf_slice_mut_f32 work,
                             rf_error *error);

// As `rf_ekfac_solve_f32`, in double precision.
rf_status rf_ekfac_solve_f64(rf_matrix_mut_f64 v,
                             rf_matrix_f64 g_vectors,
                             rf_matrix_f64 a_vectors,
                             rf_matrix_f64 scale,
                             double lambda,
                             rf_slice_mut_f64 work,
                             rf_error *error);

// KFRA's output factor one layer down: `out <- (W^T G W) o (1/n) sum_s b_s b_s^T`, b the
// derivatives of the activation between. Shapes: g m*m, w m*d (no bias), derivative n*d, out d*d,
// the last two with contiguous rows. Work: `rf_kfra_step_workspace_len(n, m, d)`.
rf_status rf_kfra_step_f32(rf_matrix_mut_f32 out,
                           rf_matrix_f32 g,
                           rf_matrix_f32 w,
                           rf_matrix_f32 derivative,
                           rf_slice_mut_f32 work,
                           rf_error *error);

// As `rf_kfra_step_f32`, in double precision.
rf_status rf_kfra_step_f64(rf_matrix_mut_f64 out,
                           rf_matrix_f64 g,
                           rf_matrix_f64 w,
                           rf_matrix_f64 derivative,
                           rf_slice_mut_f64 work,
                           rf_error *error);

// The elements of `work` for `rf_spd_inverse` of order d.
size_t rf_spd_inverse_workspace_len(size_t d);

// The elements of `work` for `rf_eigh` of order d.
size_t rf_eigh_workspace_len(size_t d);

// The elements of `work` for `rf_newton_schulz` of order d.
size_t rf_newton_schulz_workspace_len(size_t d);

// The elements of `work` for `rf_packed_inverse` of blocks of order d.
size_t rf_packed_inverse_workspace_len(size_t d);

// The elements of a packed triangle of order d: d(d+1)/2.
size_t rf_packed_len(size_t d);

// The place of element (a, b) = (b, a) in a packed triangle.
size_t rf_packed_index(size_t a, size_t b);

// `A <- L` with `A + damping I = L L^T`, zeros above the diagonal. Shape: a d*d with contiguous
// rows, whose lower triangle is read.
rf_status rf_cholesky_f32(rf_matrix_mut_f32 a, float damping, rf_error *error);

// As `rf_cholesky_f32`, in double precision.
rf_status rf_cholesky_f64(rf_matrix_mut_f64 a, double damping, rf_error *error);

// `B <- (L L^T)^-1 B` with a factor of `rf_cholesky`. Shapes: l d*d with contiguous rows, b d*k
// with contiguous rows or columns.
rf_status rf_cholesky_solve_f32(rf_matrix_mut_f32 b, rf_matrix_f32 l, rf_error *error);

// As `rf_cholesky_solve_f32`, in double precision.
rf_status rf_cholesky_solve_f64(rf_matrix_mut_f64 b, rf_matrix_f64 l, rf_error *error);

// `out <- ln det(L L^T)` with a factor of `rf_cholesky`.
rf_status rf_log_determinant_f32(float *out, rf_matrix_f32 l, rf_error *error);

// As `rf_log_determinant_f32`, in double precision.
rf_status rf_log_determinant_f64(double *out, rf_matrix_f64 l, rf_error *error);

// `B <- L^-1 B` or `L^-T B` (an `rf_triangular`). Shapes: l d*d lower triangular, b d*k, both
// with contiguous rows.
rf_status rf_triangular_solve_left_f32(rf_matrix_mut_f32 b,
                                       rf_matrix_f32 l,
                                       uint32_t which,
                                       rf_error *error);

// As `rf_triangular_solve_left_f32`, in double precision.
rf_status rf_triangular_solve_left_f64(rf_matrix_mut_f64 b,
                                       rf_matrix_f64 l,
                                       uint32_t which,
                                       rf_error *error);

// `B <- B L^-1` or `B L^-T` (an `rf_triangular`). Shapes: l d*d lower triangular, b k*d, both
// with contiguous rows.
rf_status rf_triangular_solve_right_f32(rf_matrix_mut_f32 b,
                                        rf_matrix_f32 l,
                                        uint32_t which,
                                        rf_error *error);

// As `rf_triangular_solve_right_f32`, in double precision.
rf_status rf_triangular_solve_right_f64(rf_matrix_mut_f64 b,
                                        rf_matrix_f64 l,
                                        uint32_t which,
                                        rf_error *error);

// `A <- (A + damping I)^-1`, both triangles written. Shape: a d*d with contiguous rows, whose
// lower triangle is read. Work: `rf_spd_inverse_workspace_len(d)`.
rf_status rf_spd_inverse_f32(rf_matrix_mut_f32 a, float damping, rf_slice_mut_f32 work, rf_error *error);

// As `rf_spd_inverse_f32`, in double precision.
rf_status rf_spd_inverse_f64(rf_matrix_mut_f64 a, double damping, rf_slice_mut_f64 work, rf_error *error);

// `A = U diag(values) U^T`: a becomes U (eigenvectors in columns), the values ascend. Shapes: a
// d*d with contiguous rows, whose lower triangle is read, values d. Work:
// `rf_eigh_workspace_len(d)`.
rf_status rf_eigh_f32(rf_matrix_mut_f32 a, rf_slice_mut_f32 values, rf_slice_mut_f32 work, rf_error *error);

// As `rf_eigh_f32`, in double precision.
rf_status rf_eigh_f64(rf_matrix_mut_f64 a, rf_slice_mut_f64 values, rf_slice_mut_f64 work, rf_error *error);

// `Out <- (A + damping I)^(-1/p)` (an `rf_root`) by products only, residual at most the root of
// the machine precision after at most 100 steps. Shapes: a d*d symmetric, out d*d with contiguous
// rows. Work: `rf_newton_schulz_workspace_len(d)`.
rf_status rf_newton_schulz_f32(rf_matrix_mut_f32 out,
                               rf_matrix_f32 a,
                               float damping,
                               uint32_t root,
                               rf_slice_mut_f32 work,
                               rf_error *error);

// As `rf_newton_schulz_f32`, in double precision.
rf_status rf_newton_schulz_f64(rf_matrix_mut_f64 out,
                               rf_matrix_f64 a,
                               double damping,
                               uint32_t root,
                               rf_slice_mut_f64 work,
                               rf_error *error);

// The packed factor of every row, a packed lower triangle of order d (`rf_pack`):
// `blocks[i] <- L_i` with `A_i + damping I = L_i L_i^T`. Shape: blocks m*d(d+1)/2 with contiguous
// rows.
rf_status rf_packed_cholesky_f32(rf_matrix_mut_f32 blocks, size_t d, float damping, rf_error *error);

// As `rf_packed_cholesky_f32`, in double precision.
rf_status rf_packed_cholesky_f64(rf_matrix_mut_f64 blocks, size_t d, double damping, rf_error *error);

// `v_i <- (L_i L_i^T)^-1 v_i` for every row with the factors of `rf_packed_cholesky`. Shapes: v
// m*d, factors m*d(d+1)/2, both with contiguous rows.
rf_status rf_packed_cholesky_solve_f32(rf_matrix_mut_f32 v, rf_matrix_f32 factors, rf_error *error);

// As `rf_packed_cholesky_solve_f32`, in double precision.
rf_status rf_packed_cholesky_solve_f64(rf_matrix_mut_f64 v, rf_matrix_f64 factors, rf_error *error);

// `blocks[i] <- (A_i + damping I)^-1` for every row, a packed lower triangle of order d. Shape:
// blocks m*d(d+1)/2 with contiguous rows. Work: `rf_packed_inverse_workspace_len(d)`.
rf_status rf_packed_inverse_f32(rf_matrix_mut_f32 blocks,
                                size_t d,
                                float damping,
                                rf_slice_mut_f32 work,
                                rf_error *error);

// As `rf_packed_inverse_f32`, in double precision.
rf_status rf_packed_inverse_f64(rf_matrix_mut_f64 blocks,
                                size_t d,
                                double damping,
                                rf_slice_mut_f64 work,
                                rf_error *error);

// `packed <- ` the lower triangle of a (d*d, any strides), row by row: d(d+1)/2 elements.
rf_status rf_pack_f32(rf_slice_mut_f32 packed, rf_matrix_f32 a, rf_error *error);

// As `rf_pack_f32`, in double precision.
rf_status rf_pack_f64(rf_slice_mut_f64 packed, rf_matrix_f64 a, rf_error *error);

// `A <- ` the symmetric matrix of a packed triangle, both triangles written. Shapes: a d*d, packed
// d(d+1)/2 elements.
rf_status rf_unpack_f32(rf_matrix_mut_f32 a, rf_slice_f32 packed, rf_error *error);

// As `rf_unpack_f32`, in double precision.
rf_status rf_unpack_f64(rf_matrix_mut_f64 a, rf_slice_f64 packed, rf_error *error);

// The elements of `work` for `rf_kron_apply`: p rows of g, d columns of a.
size_t rf_kron_apply_workspace_len(size_t p, size_t d);

// The elements of `work` for `rf_kron_quadratic_form`.
size_t rf_kron_quadratic_form_workspace_len(size_t m, size_t d);

// The elements of `work` for `rf_kron_eigen_factor`.
size_t rf_kron_eigen_factor_workspace_len(size_t m, size_t d);

// The elements of `work` for `rf_kron_eigen_power`.
size_t rf_kron_eigen_apply_workspace_len(size_t m, size_t d);

// The elements of `work` for `rf_kron_sum_factor`.
size_t rf_kron_sum_factor_workspace_len(size_t m, size_t d);

// The elements of `work` for `rf_kron_sum_solve`.
size_t rf_kron_sum_solve_workspace_len(size_t m, size_t d);

// `Out <- G V A^T`, that is `vec(Out) = (G (x) A) vec(V)`. Shapes: g p*m, a q*d, v m*d, out p*q
// with contiguous rows or columns. Work: `rf_kron_apply_workspace_len(p, d)`.
rf_status rf_kron_apply_f32(rf_matrix_mut_f32 out,
                            rf_matrix_f32 g,
                            rf_matrix_f32 a,
                            rf_matrix_f32 v,
                            rf_slice_mut_f32 work,
                            rf_error *error);

// As `rf_kron_apply_f32`, in double precision.
rf_status rf_kron_apply_f64(rf_matrix_mut_f64 out,
                            rf_matrix_f64 g,
                            rf_matrix_f64 a,
                            rf_matrix_f64 v,
                            rf_slice_mut_f64 work,
                            rf_error *error);

// `out <- vec(V)^T (G (x) A) vec(V)`. Shapes: g m*m, a d*d, v m*d with contiguous rows. Work:
// `rf_kron_quadratic_form_workspace_len(m, d)`.
rf_status rf_kron_quadratic_form_f32(float *out,
                                     rf_matrix_f32 g,
                                     rf_matrix_f32 a,
                                     rf_matrix_f32 v,
                                     rf_slice_mut_f32 work,
                                     rf_error *error);

// As `rf_kron_quadratic_form_f32`, in double precision.
rf_status rf_kron_quadratic_form_f64(double *out,
                                     rf_matrix_f64 g,
                                     rf_matrix_f64 a,
                                     rf_matrix_f64 v,
                                     rf_slice_mut_f64 work,
                                     rf_error *error);

// `Out <- G (x) A`, dense, for tests and tiny layers. Shapes: g p*m, a q*d, out pq*md.
rf_status rf_kron_materialise_f32(rf_matrix_mut_f32 out, rf_matrix_f32 g, rf_matrix_f32 a, rf_error *error);

// As `rf_kron_materialise_f32`, in double precision.
rf_status rf_kron_materialise_f64(rf_matrix_mut_f64 out, rf_matrix_f64 g, rf_matrix_f64 a, rf_error *error);

// `out <- tr(G (x) A)`.
rf_status rf_kron_trace_f32(float *out, rf_matrix_f32 g, rf_matrix_f32 a, rf_error *error);

// As `rf_kron_trace_f32`, in double precision.
rf_status rf_kron_trace_f64(double *out, rf_matrix_f64 g, rf_matrix_f64 a, rf_error *error);

// `out <- <G (x) A, H (x) B>`, the Frobenius inner product. Shapes: g as h, a as b.
rf_status rf_kron_frobenius_inner_f32(float *out,
                                      rf_matrix_f32 g,
                                      rf_matrix_f32 a,
                                      rf_matrix_f32 h,
                                      rf_matrix_f32 b,
                                      rf_error *error);

// As `rf_kron_frobenius_inner_f32`, in double precision.
rf_status rf_kron_frobenius_inner_f64(double *out,
                                      rf_matrix_f64 g,
                                      rf_matrix_f64 a,
                                      rf_matrix_f64 h,
                                      rf_matrix_f64 b,
                                      rf_error *error);

// `Out <- ` the diagonal of `G (x) A` as an m*d matrix.
rf_status rf_kron_diagonal_f32(rf_matrix_mut_f32 out, rf_matrix_f32 g, rf_matrix_f32 a, rf_error *error);

// As `rf_kron_diagonal_f32`, in double precision.
rf_status rf_kron_diagonal_f64(rf_matrix_mut_f64 out, rf_matrix_f64 g, rf_matrix_f64 a, rf_error *error);

// `Out <- ` row `index` of `G (x) A` as a matrix of as many rows as g has columns, and columns as
// a has columns.
rf_status rf_kron_row_f32(rf_matrix_mut_f32 out,
                          rf_matrix_f32 g,
                          rf_matrix_f32 a,
                          size_t index,
                          rf_error *error);

// As `rf_kron_row_f32`, in double precision.
rf_status rf_kron_row_f64(rf_matrix_mut_f64 out,
                          rf_matrix_f64 g,
                          rf_matrix_f64 a,
                          size_t index,
                          rf_error *error);

// `Out <- ` column `index` of `G (x) A` as a matrix of as many rows as g, and columns as a has
// rows.
rf_status rf_kron_column_f32(rf_matrix_mut_f32 out,
                             rf_matrix_f32 g,
                             rf_matrix_f32 a,
                             size_t index,
                             rf_error *error);

// As `rf_kron_column_f32`, in double precision.
rf_status rf_kron_column_f64(rf_matrix_mut_f64 out,
                             rf_matrix_f64 g,
                             rf_matrix_f64 a,
                             size_t index,
                             rf_error *error);

// What a damping `lambda` of `G (x) A` adds to the diagonals of G and of A (an `rf_damping`).
rf_status rf_kron_split_damping_f32(float *g_damping,
                                    float *a_damping,
                                    rf_matrix_f32 g,
                                    rf_matrix_f32 a,
                                    float lambda,
                                    uint32_t damping,
                                    rf_error *error);

// As `rf_kron_split_damping_f32`, in double precision.
rf_status rf_kron_split_damping_f64(double *g_damping,
                                    double *a_damping,
                                    rf_matrix_f64 g,
                                    rf_matrix_f64 a,
                                    double lambda,
                                    uint32_t damping,
                                    rf_error *error);

// The Cholesky factors of `G + g_damping I` and `A + a_damping I`, in place. Shapes: g m*m, a d*d
// with contiguous rows, lower triangles read. In an error block 0 is G, block 1 is A.
rf_status rf_kron_cholesky_factor_f32(rf_matrix_mut_f32 g,
                                      rf_matrix_mut_f32 a,
                                      float g_damping,
                                      float a_damping,
                                      rf_error *error);

// As `rf_kron_cholesky_factor_f32`, in double precision.
rf_status rf_kron_cholesky_factor_f64(rf_matrix_mut_f64 g,
                                      rf_matrix_mut_f64 a,
                                      double g_damping,
                                      double a_damping,
                                      rf_error *error);

// `V <- (G + g_damping I)^-1 V (A + a_damping I)^-1` with the factors of
// `rf_kron_cholesky_factor`. Shape: v m*d with contiguous rows. Needs no work.
rf_status rf_kron_cholesky_solve_f32(rf_matrix_mut_f32 v, rf_matrix_f32 g, rf_matrix_f32 a, rf_error *error);

// As `rf_kron_cholesky_solve_f32`, in double precision.
rf_status rf_kron_cholesky_solve_f64(rf_matrix_mut_f64 v, rf_matrix_f64 g, rf_matrix_f64 a, rf_error *error);

// `out <- ln det` of the damped product with the factors of `rf_kron_cholesky_factor`.
rf_status rf_kron_cholesky_log_determinant_f32(float *out,
                                               rf_matrix_f32 g,
                                               rf_matrix_f32 a,
                                               rf_error *error);

// As `rf_kron_cholesky_log_determinant_f32`, in double precision.
rf_status rf_kron_cholesky_log_determinant_f64(double *out,
                                               rf_matrix_f64 g,
                                               rf_matrix_f64 a,
                                               rf_error *error);

// Decomposes both factors in place: g and a become their eigenvectors (columns), the values
// ascend. Shapes: g m*m, a d*d with contiguous rows, lower triangles read; g_values m, a_values d.
// Work: `rf_kron_eigen_factor_workspace_len(m, d)`.
rf_status rf_kron_eigen_factor_f32(rf_matrix_mut_f32 g,
                                   rf_slice_mut_f32 g_values,
                                   rf_matrix_mut_f32 a,
                                   rf_slice_mut_f32 a_values,
                                   rf_slice_mut_f32 work,
                                   rf_error *error);

// As `rf_kron_eigen_factor_f32`, in double precision.
rf_status rf_kron_eigen_factor_f64(rf_matrix_mut_f64 g,
                                   rf_slice_mut_f64 g_values,
                                   rf_matrix_mut_f64 a,
                                   rf_slice_mut_f64 a_values,
                                   rf_slice_mut_f64 work,
                                   rf_error *error);

// `vec V <- (G (x) A + lambda I)^-power vec V`, 0 <= power <= 1, with the parts of
// `rf_kron_eigen_factor`; power 1 is the damped inverse. Shape: v m*d with contiguous rows. Work:
// `rf_kron_eigen_apply_workspace_len(m, d)`.
rf_status rf_kron_eigen_power_f32(rf_matrix_mut_f32 v,
                                  rf_matrix_f32 g_vectors,
                                  rf_slice_f32 g_values,
                                  rf_matrix_f32 a_vectors,
                                  rf_slice_f32 a_values,
                                  float power,
                                  float lambda,
                                  rf_slice_mut_f32 work,
                                  rf_error *error);

// As `rf_kron_eigen_power_f32`, in double precision.
rf_status rf_kron_eigen_power_f64(rf_matrix_mut_f64 v,
                                  rf_matrix_f64 g_vectors,
                                  rf_slice_f64 g_values,
                                  rf_matrix_f64 a_vectors,
                                  rf_slice_f64 a_values,
                                  double power,
                                  double lambda,
                                  rf_slice_mut_f64 work,
                                  rf_error *error);

// `out <- ln det(G (x) A + lambda I)` from the eigenvalues of `rf_kron_eigen_factor`.
rf_status rf_kron_eigen_log_determinant_f32(float *out,
                                            rf_matrix_f32 g_vectors,
                                            rf_slice_f32 g_values,
                                            rf_matrix_f32 a_vectors,
                                            rf_slice_f32 a_values,
                                            float lambda,
                                            rf_error *error);

// As `rf_kron_eigen_log_determinant_f32`, in double precision.
rf_status rf_kron_eigen_log_determinant_f64(double *out,
                                            rf_matrix_f64 g_vectors,
                                            rf_slice_f64 g_values,
                                            rf_matrix_f64 a_vectors,
                                            rf_slice_f64 a_values,
                                            double lambda,
                                            rf_error *error);

// Diagonalises `(G + g_damping I) (x) (A + a_damping I) +- H (x) B` (an `rf_sign`; K-FAC,
// appendix B): h and b become the generalised eigenvectors, g and a are free again. Shapes: g, h
// m*m, a, b d*d with contiguous rows; g_values m, a_values d. Work:
// `rf_kron_sum_factor_workspace_len(m, d)`.
rf_status rf_kron_sum_factor_f32(rf_matrix_mut_f32 g,
                                 rf_matrix_mut_f32 h,
                                 rf_slice_mut_f32 g_values,
                                 rf_matrix_mut_f32 a,
                                 rf_matrix_mut_f32 b,
                                 rf_slice_mut_f32 a_values,
                                 float g_damping,
                                 float a_damping,
                                 uint32_t sign,
                                 rf_slice_mut_f32 work,
                                 rf_error *error);

// As `rf_kron_sum_factor_f32`, in double precision.
rf_status rf_kron_sum_factor_f64(rf_matrix_mut_f64 g,
                                 rf_matrix_mut_f64 h,
                                 rf_slice_mut_f64 g_values,
                                 rf_matrix_mut_f64 a,
                                 rf_matrix_mut_f64 b,
                                 rf_slice_mut_f64 a_values,
                                 double g_damping,
                                 double a_damping,
                                 uint32_t sign,
                                 rf_slice_mut_f64 work,
                                 rf_error *error);

// `vec V <- ` the inverse of the sum applied, with the parts of `rf_kron_sum_factor`. Shape: v m*d
// with contiguous rows. Work: `rf_kron_sum_solve_workspace_len(m, d)`.
rf_status rf_kron_sum_solve_f32(rf_matrix_mut_f32 v,
                                rf_matrix_f32 g_vectors,
                                rf_slice_f32 g_values,
                                rf_matrix_f32 a_vectors,
                                rf_slice_f32 a_values,
                                uint32_t sign,
                                rf_slice_mut_f32 work,
                                rf_error *error);

// As `rf_kron_sum_solve_f32`, in double precision.
rf_status rf_kron_sum_solve_f64(rf_matrix_mut_f64 v,
                                rf_matrix_f64 g_vectors,
                                rf_slice_f64 g_values,
                                rf_matrix_f64 a_vectors,
                                rf_slice_f64 a_values,
                                uint32_t sign,
                                rf_slice_mut_f64 work,
                                rf_error *error);

// `average <- (1 - w) average + w value` at step t = 1, 2, ... with decay rho in [0, 1), w by an
// `rf_correction`. `average` is read unless w is 1.
rf_status rf_moving_average_f32(rf_slice_mut_f32 average,
                                rf_slice_f32 value,
                                float decay,
                                uint32_t correction,
                                uint64_t step,
                                rf_error *error);

// As `rf_moving_average_f32`, in double precision.
rf_status rf_moving_average_f64(rf_slice_mut_f64 average,
                                rf_slice_f64 value,
                                double decay,
                                uint32_t correction,
                                uint64_t step,
                                rf_error *error);

// The elements of `work` for `rf_metric_multiply` and `rf_metric_quadratic_form`: n samples, m
// neurons.
size_t rf_metric_multiply_workspace_len(size_t n, size_t m);

// The elements of `work` for `rf_metric_dense`: n samples of d inputs.
size_t rf_metric_dense_workspace_len(size_t n, size_t d);

// The elements of `work` for `rf_metric_packed`: n samples, m neurons of d inputs.
size_t rf_metric_packed_workspace_len(size_t n, size_t m, size_t d);

// The elements of `work` for `rf_metric_solve` of an `rf_metric_kind` (n samples, m neurons of d inputs)
// by an `rf_route`; `damped` is 0 for a damping of 0. `SIZE_MAX` for a kind or route without meaning.
size_t rf_metric_solve_workspace_len(uint32_t kind,
                                     size_t n,
                                     size_t m,
                                     size_t d,
                                     uint32_t route,
                                     uint32_t damped);

// `Out <- M V`, the product of the metric with parameters, in two products. Shapes: out and v m*d,
// out with contiguous rows. Work: `rf_metric_multiply_workspace_len(n, m)`.
rf_status rf_metric_multiply_f32(rf_matrix_mut_f32 out,
                                 rf_metric_f32 metric,
                                 rf_matrix_f32 v,
                                 rf_slice_mut_f32 work,
                                 rf_error *error);

// As `rf_metric_multiply_f32`, in double precision.
rf_status rf_metric_multiply_f64(rf_matrix_mut_f64 out,
                                 rf_metric_f64 metric,
                                 rf_matrix_f64 v,
                                 rf_slice_mut_f64 work,
                                 rf_error *error);

// `out <- vec(V)^T M vec(V)`, the squared length of a step, never negative. Shape: v m*d. Work:
// `rf_metric_multiply_workspace_len(n, m)`.
rf_status rf_metric_quadratic_form_f32(float *out,
                                       rf_metric_f32 metric,
                                       rf_matrix_f32 v,
                                       rf_slice_mut_f32 work,
                                       rf_error *error);

// As `rf_metric_quadratic_form_f32`, in double precision.
rf_status rf_metric_quadratic_form_f64(double *out,
                                       rf_metric_f64 metric,
                                       rf_matrix_f64 v,
                                       rf_slice_mut_f64 work,
                                       rf_error *error);

// `Out <- ` the diagonal of the metric as an m*d matrix.
rf_status rf_metric_diagonal_f32(rf_matrix_mut_f32 out, rf_metric_f32 metric, rf_error *error);

// As `rf_metric_diagonal_f32`, in double precision.
rf_status rf_metric_diagonal_f64(rf_matrix_mut_f64 out, rf_metric_f64 metric, rf_error *error);

// `Out <- M`, dense, md*md, both triangles: for tests and small layers. Work:
// `rf_metric_dense_workspace_len(n, d)`.
rf_status rf_metric_dense_f32(rf_matrix_mut_f32 out,
                              rf_metric_f32 metric,
                              rf_slice_mut_f32 work,
                              rf_error *error);

// As `rf_metric_dense_f32`, in double precision.
rf_status rf_metric_dense_f64(rf_matrix_mut_f64 out,
                              rf_metric_f64 metric,
                              rf_slice_mut_f64 work,
                              rf_error *error);

// All blocks of independent neurons, packed lower triangles:
// `out[i] <- keep out[i] + (1 - keep) M_i`. Shape: out m*d(d+1)/2 with contiguous rows, read
// unless `keep` is 0. Work: `rf_metric_packed_workspace_len(n, m, d)`.
rf_status rf_metric_packed_f32(rf_matrix_mut_f32 out,
                               rf_metric_f32 metric,
                               float keep,
                               rf_slice_mut_f32 work,
                               rf_error *error);

// As `rf_metric_packed_f32`, in double precision.
rf_status rf_metric_packed_f64(rf_matrix_mut_f64 out,
                               rf_metric_f64 metric,
                               double keep,
                               rf_slice_mut_f64 work,
                               rf_error *error);

// `Out <- (M + damping I)^-1 G`, the natural gradient, by an `rf_route` (linear neurons have one
// way only and ignore it). Shapes: out and g m*d with contiguous rows. Work:
// `rf_metric_solve_workspace_len(kind, n, m, d, route, damped)`.
rf_status rf_metric_solve_f32(rf_matrix_mut_f32 out,
                              rf_metric_f32 metric,
                              rf_matrix_f32 g,
                              float damping,
                              uint32_t route,
                              rf_slice_mut_f32 work,
                              rf_error *error);

// As `rf_metric_solve_f32`, in double precision.
rf_status rf_metric_solve_f64(rf_matrix_mut_f64 out,
                              rf_metric_f64 metric,
                              rf_matrix_f64 g,
                              double damping,
                              uint32_t route,
                              rf_slice_mut_f64 work,
                              rf_error *error);

// `nu_si <- scale_i^2 nu_si`: the metric for weights that reach neuron i multiplied by scale_i, as
// behind batch normalisation. Shapes: nu n*m with contiguous rows, which is read; scale m.
rf_status rf_fold_scale_f32(rf_matrix_mut_f32 nu, rf_slice_f32 scale, rf_error *error);

// As `rf_fold_scale_f32`, in double precision.
rf_status rf_fold_scale_f64(rf_matrix_mut_f64 nu, rf_slice_f64 scale, rf_error *error);

// The metric of a normalisation's (gamma, beta) of every channel:
// `out[c] <- keep out[c] + (1 - keep) (1/n) sum_s w_sc (x_sc^2, x_sc, 1)`. Shapes: out c*3 (read
// unless `keep` is 0), x and w n*c, all with contiguous rows.
rf_status rf_normalisation_blocks_f32(rf_matrix_mut_f32 out,
                                      rf_matrix_f32 x,
                                      rf_matrix_f32 w,
                                      float keep,
                                      rf_error *error);

// As `rf_normalisation_blocks_f32`, in double precision.
rf_status rf_normalisation_blocks_f64(rf_matrix_mut_f64 out,
                                      rf_matrix_f64 x,
                                      rf_matrix_f64 w,
                                      double keep,
                                      rf_error *error);

// `v_c <- (block_c + damping I)^-1 v_c` for every channel. Shapes: v c*2, blocks c*3, both with
// contiguous rows.
rf_status rf_normalisation_solve_f32(rf_matrix_mut_f32 v,
                                     rf_matrix_f32 blocks,
                                     float damping,
                                     rf_error *error);

// As `rf_normalisation_solve_f32`, in double precision.
rf_status rf_normalisation_solve_f64(rf_matrix_mut_f64 v,
                                     rf_matrix_f64 blocks,
                                     double damping,
                                     rf_error *error);

// `out[i] <- f(t[i])`.
rf_status rf_activation_value_f32(rf_slice_mut_f32 out,
                                  rf_slice_f32 t,
                                  rf_activation_f32 activation,
                                  rf_error *error);

// As `rf_activation_value_f32`, in double precision.
rf_status rf_activation_value_f64(rf_slice_mut_f64 out,
                                  rf_slice_f64 t,
                                  rf_activation_f64 activation,
                                  rf_error *error);

// `out[i] <- f'(t[i])`, the derivative of back-propagation (relu'(0) is the leak).
rf_status rf_activation_derivative_f32(rf_slice_mut_f32 out,
                                       rf_slice_f32 t,
                                       rf_activation_f32 activation,
                                       rf_error *error);

// As `rf_activation_derivative_f32`, in double precision.
rf_status rf_activation_derivative_f64(rf_slice_mut_f64 out,
                                       rf_slice_f64 t,
                                       rf_activation_f64 activation,
                                       rf_error *error);

// `out[i] <- f''(t[i])`.
rf_status rf_activation_second_derivative_f32(rf_slice_mut_f32 out,
                                              rf_slice_f32 t,
                                              rf_activation_f32 activation,
                                              rf_error *error);

// As `rf_activation_second_derivative_f32`, in double precision.
rf_status rf_activation_second_derivative_f64(rf_slice_mut_f64 out,
                                              rf_slice_f64 t,
                                              rf_activation_f64 activation,
                                              rf_error *error);

// `delta[i] <- delta[i] f'(t[i])`: back-propagation through an activation. `delta` is read.
rf_status rf_activation_backward_f32(rf_slice_mut_f32 delta,
                                     rf_slice_f32 t,
                                     rf_activation_f32 activation,
                                     rf_error *error);

// As `rf_activation_backward_f32`, in double precision.
rf_status rf_activation_backward_f64(rf_slice_mut_f64 delta,
                                     rf_slice_f64 t,
                                     rf_activation_f64 activation,
                                     rf_error *error);

// `nu[i] <- E[(d ln p(y | t)/dt)^2]` at `t[i]`: the metric of a neuron with respect to t.
rf_status rf_response_nu_f32(rf_slice_mut_f32 nu, rf_slice_f32 t, rf_response_f32 response, rf_error *error);

// As `rf_response_nu_f32`, in double precision.
rf_status rf_response_nu_f64(rf_slice_mut_f64 nu, rf_slice_f64 t, rf_response_f64 response, rf_error *error);

// `out[i] <- E[y | t[i]]`.
rf_status rf_response_mean_f32(rf_slice_mut_f32 out,
                               rf_slice_f32 t,
                               rf_response_f32 response,
                               rf_error *error);

// As `rf_response_mean_f32`, in double precision.
rf_status rf_response_mean_f64(rf_slice_mut_f64 out,
                               rf_slice_f64 t,
                               rf_response_f64 response,
                               rf_error *error);

// `out[i] <- dE[y | t]/dt` at `t[i]`.
rf_status rf_response_mean_derivative_f32(rf_slice_mut_f32 out,
                                          rf_slice_f32 t,
                                          rf_response_f32 response,
                                          rf_error *error);

// As `rf_response_mean_derivative_f32`, in double precision.
rf_status rf_response_mean_derivative_f64(rf_slice_mut_f64 out,
                                          rf_slice_f64 t,
                                          rf_response_f64 response,
                                          rf_error *error);

// One step of descent with momentum on `theta` and `velocity`, both read. For a natural gradient
// pass the preconditioned direction and no weight decay.
rf_status rf_sgd_step_f32(rf_slice_mut_f32 theta,
                          rf_slice_mut_f32 velocity,
                          rf_slice_f32 gradient,
                          rf_sgd_f32 rule,
                          rf_error *error);

// As `rf_sgd_step_f32`, in double precision.
rf_status rf_sgd_step_f64(rf_slice_mut_f64 theta,
                          rf_slice_mut_f64 velocity,
                          rf_slice_f64 gradient,
                          rf_sgd_f64 rule,
                          rf_error *error);

// `theta <- theta - learning_rate direction`. `theta` is read.
rf_status rf_descend_f32(rf_slice_mut_f32 theta,
                         rf_slice_f32 direction,
                         float learning_rate,
                         rf_error *error);

// As `rf_descend_f32`, in double precision.
rf_status rf_descend_f64(rf_slice_mut_f64 theta,
                         rf_slice_f64 direction,
                         double learning_rate,
                         rf_error *error);

// `gradient <- gradient + decay theta`. `gradient` is read.
rf_status rf_add_weight_decay_f32(rf_slice_mut_f32 gradient,
                                  rf_slice_f32 theta,
                                  float decay,
                                  rf_error *error);

// As `rf_add_weight_decay_f32`, in double precision.
rf_status rf_add_weight_decay_f64(rf_slice_mut_f64 gradient,
                                  rf_slice_f64 theta,
                                  double decay,
                                  rf_error *error);

// Step `index` (from 0) of Adam on `theta` and its moments `first` and `second`, all read; the
// moments start at 0.
rf_status rf_adam_step_f32(rf_slice_mut_f32 theta,
                           rf_slice_mut_f32 first,
                           rf_slice_mut_f32 second,
                           rf_slice_f32 gradient,
                           uint64_t index,
                           rf_adam_f32 rule,
                           rf_error *error);

// As `rf_adam_step_f32`, in double precision.
rf_status rf_adam_step_f64(rf_slice_mut_f64 theta,
                           rf_slice_mut_f64 first,
                           rf_slice_mut_f64 second,
                           rf_slice_f64 gradient,
                           uint64_t index,
                           rf_adam_f64 rule,
                           rf_error *error);

// `average <- keep average + (1 - keep) sample`. `average` is read unless `keep` is 0.
rf_status rf_ema_update_f32(rf_slice_mut_f32 average, rf_slice_f32 sample, float keep, rf_error *error);

// As `rf_ema_update_f32`, in double precision.
rf_status rf_ema_update_f64(rf_slice_mut_f64 average, rf_slice_f64 sample, double keep, rf_error *error);

// `out <- min(decay, 1 - 1/(index + 1))`: the weight of the past at update `index` (from 0), a plain
// mean at first.
rf_status rf_ema_keep_f32(float *out,
                          float decay,
                          uint64_t index,
                          rf_error *error);

// As `rf_ema_keep_f32`, in double precision.
rf_status rf_ema_keep_f64(double *out, double decay, uint64_t index, rf_error *error);

// `out <- a^T b` in a fixed order.
rf_status rf_inner_product_f32(float *out, rf_slice_f32 a, rf_slice_f32 b, rf_error *error);

// As `rf_inner_product_f32`, in double precision.
rf_status rf_inner_product_f64(double *out, rf_slice_f64 a, rf_slice_f64 b, rf_error *error);

// `out <- min(1, sqrt(bound/(learning_rate^2 curvature)))`: the factor that keeps a step within a
// Kullback-Leibler bound; `curvature` is v^T F v of the direction v.
rf_status rf_kl_clip_f32(float *out,
                         float learning_rate,
                         float curvature,
                         float bound,
                         rf_error *error);

// As `rf_kl_clip_f32`, in double precision.
rf_status rf_kl_clip_f64(double *out,
                         double learning_rate,
                         double curvature,
                         double bound,
                         rf_error *error);

// `out <- min(1, bound/norm)`.
rf_status rf_norm_clip_f32(float *out, float norm, float bound, rf_error *error);

// As `rf_norm_clip_f32`, in double precision.
rf_status rf_norm_clip_f64(double *out, double norm, double bound, rf_error *error);

// `out <- (after - before)/predicted`: the reduction of the loss over that of the quadratic model.
rf_status rf_reduction_ratio_f32(float *out,
                                 float before,
                                 float after,
                                 float predicted,
                                 rf_error *error);

// As `rf_reduction_ratio_f32`, in double precision.
rf_status rf_reduction_ratio_f64(double *out,
                                 double before,
                                 double after,
                                 double predicted,
                                 rf_error *error);

// `out <- ` the next damping after a step with the reduction ratio `ratio`.
rf_status rf_adapt_damping_f32(float *out,
                               float damping,
                               float ratio,
                               rf_levenberg_marquardt_f32 rule,
                               rf_error *error);

// As `rf_adapt_damping_f32`, in double precision.
rf_status rf_adapt_damping_f64(double *out,
                               double damping,
                               double ratio,
                               rf_levenberg_marquardt_f64 rule,
                               rf_error *error);

// `out <- ` the learning rate of step `index` (from 0).
rf_status rf_schedule_rate_f32(float *out, uint64_t index, rf_schedule_f32 schedule, rf_error *error);

// As `rf_schedule_rate_f32`, in double precision.
rf_status rf_schedule_rate_f64(double *out, uint64_t index, rf_schedule_f64 schedule, rf_error *error);

// What a status means, in English, null-terminated, valid for ever.
const char *rf_status_text(int32_t status);

// Writes the message of an error into `buffer` (`capacity` bytes, null-terminated unless the capacity
// is 0, cut where it does not fit) and returns the bytes of the whole message without the
// terminator, as `snprintf` does. A null `error` has an empty message.
//
// # Safety
// `error` is null or was filled by a function of this library; `buffer` is null or has `capacity`
// bytes.
size_t rf_error_message(char *buffer,
                        const rf_error *error,
                        size_t capacity);

// The version of the library, e.g. `"0.1.0"`, null-terminated, valid for ever.
const char *rf_version(void);

// The `RF_ABI_VERSION` of the linked library.
uint32_t rf_abi_version(void);

// `RF_STATUS_OK` when the linked library has the binary interface `abi` and a `size_t` of
// `size_of_size` bytes, else `RF_STATUS_ABI`. Call `rf_abi_check(RF_ABI_VERSION, sizeof(size_t))`
// once at the start.
rf_status rf_abi_check(uint32_t abi, size_t size_of_size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RELFISHER_H */
