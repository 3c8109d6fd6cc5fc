/* relfisher: curvature of neural networks, the C interface.
 *
 * Written by `cargo ci capi --update` from core/capi/src; do not edit. C99 or C++17, nothing but
 * <stddef.h> and <stdint.h>. Every function is in single (_f32) and double precision (_f64); the
 * comment is at the single one. A function that is _f64 alone computes in double precision for both.
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
 *  - `error` may be null; else it is filled with what the status is about. It must lie apart from all
 *    other arguments, which is not checked.
 *  - NaN and infinities: the right sides of solves, gradients and matrices that are factored or decomposed
 *    are checked (RF_STATUS_NON_FINITE). Factors, inverses and eigenvectors are taken as this library
 *    returned them: NaN in them comes back as NaN, or as RF_STATUS_NOT_POSITIVE_DEFINITE where it is on a
 *    diagonal. Products and sums pass NaN on, as arithmetic does.
 *  - A call takes the time that its counts say, rows without columns included.
 *  - The same arguments give the same bits, on every processor with IEEE 754 arithmetic in its default
 *    environment (round to nearest, subnormals kept).
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

// The order of a patch's columns; a trailing 1 comes last in both.
enum rf_patch_order
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Channel, kernel row, kernel column: the order of files and of convolution weights.
    RF_PATCH_ORDER_CHANNEL_MAJOR = 0,
    // Kernel row, kernel column, channel: cheaper to unfold.
    RF_PATCH_ORDER_TAP_MAJOR = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_patch_order rf_patch_order;
#else
typedef uint32_t rf_patch_order;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an average over a window divides by.
enum rf_padding_count
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // All taps: padded zeros count.
    RF_PADDING_COUNT_INCLUDE = 0,
    // The taps inside the image.
    RF_PADDING_COUNT_EXCLUDE = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_padding_count rf_padding_count;
#else
typedef uint32_t rf_padding_count;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What to do after a step of a Lanczos recurrence.
enum rf_lanczos_step
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Multiply the next vector (`rf_lanczos_next_f32`) and call `rf_lanczos_advance_f32`.
    RF_LANCZOS_STEP_CONTINUE = 0,
    // The basis spans an invariant subspace: its Ritz pairs are eigenpairs. Finish, or go on in the
    // complement with another vector (`rf_lanczos_start_f32`), where repeated eigenvalues are.
    RF_LANCZOS_STEP_BREAKDOWN = 1,
    // The basis is full: finish, or `rf_lanczos_restart_f32`.
    RF_LANCZOS_STEP_FULL = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_lanczos_step rf_lanczos_step;
#else
typedef uint32_t rf_lanczos_step;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Whether the row of the basis behind the steps taken holds the vector to multiply.
enum rf_next_vector
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // It does not: the recurrence was not started, or broke down.
    RF_NEXT_VECTOR_VACANT = 0,
    // It does.
    RF_NEXT_VECTOR_READY = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rf_next_vector rf_next_vector;
#else
typedef uint32_t rf_next_vector;
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

// A window that slides over an image of `channels` * `height` * `width` elements, channels last: the
// image is a vector with `channels` numbers for each of its height*width positions. Tap k of output
// position o reads the coordinate `o stride + k dilation - padding` of its axis, 0 outside the image.
// Pairs are (y, x).
typedef struct {
    // The channels of the image.
    size_t channels;
    // The rows of the image.
    size_t height;
    // The columns of the image.
    size_t width;
    // The taps of each axis.
    size_t kernel[2];
    // The distance between neighbouring windows.
    size_t stride[2];
    // The zeros on either side of the image.
    size_t padding[2];
    // The distance between neighbouring taps.
    size_t dilation[2];
} rf_window;

// A writable vector.
typedef struct {
    // The first element.
    uint32_t *data;
    // The number of elements.
    size_t len;
} rf_slice_mut_u32;

// A read-only vector.
typedef struct {
    // The first element.
    const uint32_t *data;
    // The number of elements.
    size_t len;
} rf_slice_u32;

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

// What a determinantal average knows beside its vector; all zeros before the first step. In double
// precision for vectors of both.
typedef struct {
    // The largest logarithm met.
    double largest;
    // The sum of the weights, the determinants relative to the largest.
    double total;
    // The sum of their squares.
    double squares;
} rf_determinantal_sums;

// The memory of a Lanczos recurrence of at most k steps for a symmetric matrix A of order n. Between the
// calls nothing else may write to it. After the first `len` steps, `len` of the state, the rows v_0 ...
// of the basis are orthonormal and `V A V^T` is T: its diagonal is alpha; beta_i couples rows i and i + 1,
// but row i with row `kept` for i < `kept`; the last beta is the norm of the residual.
typedef struct {
    // (k + 1)*n with contiguous rows.
    rf_matrix_mut_f32 basis;
    // k elements.
    rf_slice_mut_f32 alpha;
    // k elements.
    rf_slice_mut_f32 beta;
    // l*n with orthonormal rows, which are projected out of every product; 0*n for none.
    rf_matrix_f32 locked;
    // `rf_lanczos_workspace_len(k, l)` elements, free for other use between the calls.
    rf_slice_mut_f32 work;
} rf_lanczos_f32;

// What a Lanczos recurrence knows beside its memory; all zeros before the first step.
typedef struct {
    // The steps taken.
    size_t len;
    // The first rows of the basis that are kept Ritz vectors.
    size_t kept;
    // A lower bound of the norm of A, at first one that is known from before, or 0.
    float scale;
    // An `rf_next_vector`.
    uint32_t next;
} rf_lanczos_state_f32;

// The memory of a Lanczos recurrence of at most k steps for a symmetric matrix A of order n. Between the
// calls nothing else may write to it. After the first `len` steps, `len` of the state, the rows v_0 ...
// of the basis are orthonormal and `V A V^T` is T: its diagonal is alpha; beta_i couples rows i and i + 1,
// but row i with row `kept` for i < `kept`; the last beta is the norm of the residual.
typedef struct {
    // (k + 1)*n with contiguous rows.
    rf_matrix_mut_f64 basis;
    // k elements.
    rf_slice_mut_f64 alpha;
    // k elements.
    rf_slice_mut_f64 beta;
    // l*n with orthonormal rows, which are projected out of every product; 0*n for none.
    rf_matrix_f64 locked;
    // `rf_lanczos_workspace_len(k, l)` elements, free for other use between the calls.
    rf_slice_mut_f64 work;
} rf_lanczos_f64;

// What a Lanczos recurrence knows beside its memory; all zeros before the first step.
typedef struct {
    // The steps taken.
    size_t len;
    // The first rows of the basis that are kept Ritz vectors.
    size_t kept;
    // A lower bound of the norm of A, at first one that is known from before, or 0.
    double scale;
    // An `rf_next_vector`.
    uint32_t next;
} rf_lanczos_state_f64;

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
    // The leak of a relu in [0, 1), or the alpha of an elu, finite and at least 0; the others ignore it.
    float parameter;
} rf_activation_f32;

// An activation.
typedef struct {
    // An `rf_activation_kind`.
    uint32_t kind;
    // The leak of a relu in [0, 1), or the alpha of an elu, finite and at least 0; the others ignore it.
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
    // The standard deviation of the Gaussian models, > 0 with a finite 1/sigma^2; the Bernoulli models ignore it.
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
    // The standard deviation of the Gaussian models, > 0 with a finite 1/sigma^2; the Bernoulli models ignore it.
    double sigma;
} rf_response_f64;

// The hyper-parameters of stochastic gradient descent.
typedef struct {
    // gamma, finite.
    float learning_rate;
    // mu in [0, 1); 0 is plain descent (the velocity is still written).
    float momentum;
    // The factor of theta that is added to the gradient, finite.
    float weight_decay;
    // An `rf_momentum`.
    uint32_t form;
} rf_sgd_f32;

// The hyper-parameters of stochastic gradient descent.
typedef struct {
    // gamma, finite.
    double learning_rate;
    // mu in [0, 1); 0 is plain descent (the velocity is still written).
    double momentum;
    // The factor of theta that is added to the gradient, finite.
    double weight_decay;
    // An `rf_momentum`.
    uint32_t form;
} rf_sgd_f64;

// The hyper-parameters of Adam.
typedef struct {
    // gamma, finite.
    float learning_rate;
    // The weight of the past in the first moment, in [0, 1), e.g. 0.9.
    float beta1;
    // The weight of the past in the second moment, in [0, 1), e.g. 0.999.
    float beta2;
    // Added to the root of the second moment, at least 0, e.g. 1e-8.
    float epsilon;
    // The weight decay, finite.
    float weight_decay;
    // An `rf_decay_form`.
    uint32_t decay_form;
} rf_adam_f32;

// The hyper-parameters of Adam.
typedef struct {
    // gamma, finite.
    double learning_rate;
    // The weight of the past in the first moment, in [0, 1), e.g. 0.9.
    double beta1;
    // The weight of the past in the second moment, in [0, 1), e.g. 0.999.
    double beta2;
    // Added to the root of the second moment, at least 0, e.g. 1e-8.
    double epsilon;
    // The weight decay, finite.
    double weight_decay;
    // An `rf_decay_form`.
    uint32_t decay_form;
} rf_adam_f64;

// The rule of Levenberg and Marquardt for the damping (Martens and Grosse 2015, 6.5).
typedef struct {
    // omega in (0, 1), e.g. 0.95.
    float decay;
    // The steps between two adaptations, at least 1, e.g. 5: the damping changes by omega^interval.
    uint64_t interval;
    // The reduction ratio below which the damping grows, e.g. 0.25.
    float lower;
    // The reduction ratio above which it shrinks, at least `lower`, e.g. 0.75.
    float upper;
    // The least damping, at least 0.
    float least;
    // The greatest damping, at least `least`.
    float greatest;
} rf_levenberg_marquardt_f32;

// The rule of Levenberg and Marquardt for the damping (Martens and Grosse 2015, 6.5).
typedef struct {
    // omega in (0, 1), e.g. 0.95.
    double decay;
    // The steps between two adaptations, at least 1, e.g. 5: the damping changes by omega^interval.
    uint64_t interval;
    // The reduction ratio below which the damping grows, e.g. 0.25.
    double lower;
    // The reduction ratio above which it shrinks, at least `lower`, e.g. 0.75.
    double upper;
    // The least damping, at least 0.
    double least;
    // The greatest damping, at least `least`.
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
    // The rate after the warm-up, finite.
    float base;
    // What the rate is multiplied by, as the kind says, at least 0; a constant rate does not look at it.
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
    // The rate after the warm-up, finite.
    double base;
    // What the rate is multiplied by, as the kind says, at least 0; a constant rate does not look at it.
    double factor;
} rf_schedule_f64;

// `C = sum_i s_i v_i v_i^T` with orthonormal v_i: the top of a spectrum.
typedef struct {
    // v_1, ..., v_k as rows, k*D with contiguous rows.
    rf_matrix_f32 vectors;
    // s_1, ..., s_k; negative ones (rounding) count as 0.
    rf_slice_f32 values;
} rf_low_rank_f32;

// `C = sum_i s_i v_i v_i^T` with orthonormal v_i: the top of a spectrum.
typedef struct {
    // v_1, ..., v_k as rows, k*D with contiguous rows.
    rf_matrix_f64 vectors;
    // s_1, ..., s_k; negative ones (rounding) count as 0.
    rf_slice_f64 values;
} rf_low_rank_f64;

// The sums of a quasi-arithmetic mean over the samples seen so far, one for each entry; all zeros
// before the first sample. In double precision for gradients of both.
typedef struct {
    // The sums, relative to the peaks.
    rf_slice_mut_f64 sums;
    // The largest term of each entry.
    rf_slice_mut_f64 peaks;
    // The samples that kept the entry.
    rf_slice_mut_u32 counts;
} rf_mean_state;

// A writable vector.
typedef struct {
    // The first element.
    size_t *data;
    // The number of elements.
    size_t len;
} rf_slice_mut_size;

// Sparse vectors that are written, as `rf_sparse`.
typedef struct {
    // Where each row begins, and where the last one ends.
    rf_slice_mut_size starts;
    // The columns.
    rf_slice_mut_u32 indices;
    // The values.
    rf_slice_mut_f32 values;
} rf_sparse_mut_f32;

// A read-only vector.
typedef struct {
    // The first element.
    const size_t *data;
    // The number of elements.
    size_t len;
} rf_slice_size;

// Sparse vectors, one behind the other: row s is `values[starts[s]] ... values[starts[s + 1] - 1]` at the
// ascending columns `indices[...]`. That a row's columns ascend is not checked: other orders give other sums.
typedef struct {
    // Where each row begins, and where the last one ends.
    rf_slice_size starts;
    // The columns.
    rf_slice_u32 indices;
    // The values.
    rf_slice_f32 values;
} rf_sparse_f32;

// Sparse vectors that are written, as `rf_sparse`.
typedef struct {
    // Where each row begins, and where the last one ends.
    rf_slice_mut_size starts;
    // The columns.
    rf_slice_mut_u32 indices;
    // The values.
    rf_slice_mut_f64 values;
} rf_sparse_mut_f64;

// Sparse vectors, one behind the other: row s is `values[starts[s]] ... values[starts[s + 1] - 1]` at the
// ascending columns `indices[...]`. That a row's columns ascend is not checked: other orders give other sums.
typedef struct {
    // Where each row begins, and where the last one ends.
    rf_slice_size starts;
    // The columns.
    rf_slice_u32 indices;
    // The values.
    rf_slice_f64 values;
} rf_sparse_f64;

// What the gradients u_1 ... u_n of a mini-batch say about their mean g (McCandlish et al. 2018,
// appendix A.1).
typedef struct {
    // |g|^2.
    float mean_square;
    // The mean of the |u_s|^2: the trace of the empirical Fisher matrix.
    float second_moment;
    // The mean of the |u_s|.
    float mean_norm;
    // The unbiased estimate of the trace of the covariance of u; not a number for one sample.
    float variance;
    // The unbiased estimate of the squared length of the true gradient, below 0 where noise is all
    // there is; not a number for one sample.
    float signal;
    // The mean cosine between u_s and g.
    float alignment;
    // variance/signal, in samples: the batch size at which noise and signal are equally large; not a
    // number where the signal is not positive.
    float noise_scale;
    // n signal/variance, 0 for a negative signal.
    float signal_to_noise;
} rf_gradient_noise_f32;

// What the gradients u_1 ... u_n of a mini-batch say about their mean g (McCandlish et al. 2018,
// appendix A.1).
typedef struct {
    // |g|^2.
    double mean_square;
    // The mean of the |u_s|^2: the trace of the empirical Fisher matrix.
    double second_moment;
    // The mean of the |u_s|.
    double mean_norm;
    // The unbiased estimate of the trace of the covariance of u; not a number for one sample.
    double variance;
    // The unbiased estimate of the squared length of the true gradient, below 0 where noise is all
    // there is; not a number for one sample.
    double signal;
    // The mean cosine between u_s and g.
    double alignment;
    // variance/signal, in samples: the batch size at which noise and signal are equally large; not a
    // number where the signal is not positive.
    double noise_scale;
    // n signal/variance, 0 for a negative signal.
    double signal_to_noise;
} rf_gradient_noise_f64;

// Sums over vectors z for comparing two symmetric matrices A and B by their products with z; all zeros
// before the first.
typedef struct {
    // The sum of the |Az|^2.
    float first;
    // The sum of the |Bz|^2.
    float second;
    // The sum of the <Az, Bz>.
    float product;
    // The sum of the |(A - B)z|^2.
    float difference;
} rf_frobenius_f32;

// Sums over vectors z for comparing two symmetric matrices A and B by their products with z; all zeros
// before the first.
typedef struct {
    // The sum of the |Az|^2.
    double first;
    // The sum of the |Bz|^2.
    double second;
    // The sum of the <Az, Bz>.
    double product;
    // The sum of the |(A - B)z|^2.
    double difference;
} rf_frobenius_f64;

// The metric of two layers, W (m*d) below and C (c*k) above: hidden outputs h = f(W x), outputs
// u = C h, and the metric R of the response at u. `J_s` is the derivative of u_s in (W, C), and the
// metric `(1/n) sum_s J_s^T R_s J_s`; for a network of two layers this is its exact Fisher matrix.
typedef struct {
    // The augmented inputs [x, 1], n*d with contiguous rows, a sample a row.
    rf_matrix_f32 x;
    // f'(t) of the hidden neurons, n*m with contiguous rows.
    rf_matrix_f32 slope;
    // The weights C of the upper layer, c*k with contiguous rows, hidden neurons first.
    rf_matrix_f32 c;
    // The metric of the upper layer: its inputs are the hidden outputs [h, 1], n*k with k at least m,
    // its neurons the c outputs.
    rf_metric_f32 upper;
} rf_two_layer_f32;

// The metric of two layers, W (m*d) below and C (c*k) above: hidden outputs h = f(W x), outputs
// u = C h, and the metric R of the response at u. `J_s` is the derivative of u_s in (W, C), and the
// metric `(1/n) sum_s J_s^T R_s J_s`; for a network of two layers this is its exact Fisher matrix.
typedef struct {
    // The augmented inputs [x, 1], n*d with contiguous rows, a sample a row.
    rf_matrix_f64 x;
    // f'(t) of the hidden neurons, n*m with contiguous rows.
    rf_matrix_f64 slope;
    // The weights C of the upper layer, c*k with contiguous rows, hidden neurons first.
    rf_matrix_f64 c;
    // The metric of the upper layer: its inputs are the hidden outputs [h, 1], n*k with k at least m,
    // its neurons the c outputs.
    rf_metric_f64 upper;
} rf_two_layer_f64;

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

// The rows of output positions of a window; 0 for a geometry that makes no sense.
size_t rf_window_out_height(rf_window window);

// The columns of output positions of a window; 0 for a geometry that makes no sense.
size_t rf_window_out_width(rf_window window);

// Rows `first`, ... of the patch matrix of one image, one for each output position (row-major):
// with contiguous rows and alpha = 1/(n T) for n images of T positions `rf_gram` of them is the
// factor A of a convolution (KFC). Shapes: image height*width*channels elements, out rows * (taps
// * channels/groups) with contiguous rows, or one column more, which becomes 1. `group` of `groups`
// is which of a grouped convolution, 0 of 1 for an ordinary one; the order is an
// `rf_patch_order`.
rf_status rf_unfold_f32(rf_matrix_mut_f32 out,
                        rf_slice_f32 image,
                        rf_window window,
                        size_t group,
                        size_t groups,
                        size_t first,
                        uint32_t order,
                        rf_error *error);

// As `rf_unfold_f32`, in double precision.
rf_status rf_unfold_f64(rf_matrix_mut_f64 out,
                        rf_slice_f64 image,
                        rf_window window,
                        size_t group,
                        size_t groups,
                        size_t first,
                        uint32_t order,
                        rf_error *error);

// The transpose of `rf_unfold`: adds every element of the patches to the pixel that it came from.
// Shapes as there; image is read, a trailing column of patches is ignored.
rf_status rf_fold_add_f32(rf_slice_mut_f32 image,
                          rf_matrix_f32 patches,
                          rf_window window,
                          size_t group,
                          size_t groups,
                          size_t first,
                          uint32_t order,
                          rf_error *error);

// As `rf_fold_add_f32`, in double precision.
rf_status rf_fold_add_f64(rf_slice_mut_f64 image,
                          rf_matrix_f64 patches,
                          rf_window window,
                          size_t group,
                          size_t groups,
                          size_t first,
                          uint32_t order,
                          rf_error *error);

// Columns in the order `from` (an `rf_patch_order`) become columns in the other one. Shapes: a and out
// rows * (channels taps), channels of one group, or one column more, which stays last; contiguous
// rows.
rf_status rf_reorder_columns_f32(rf_matrix_mut_f32 out,
                                 rf_matrix_f32 a,
                                 size_t channels,
                                 size_t taps,
                                 uint32_t from,
                                 rf_error *error);

// As `rf_reorder_columns_f32`, in double precision.
rf_status rf_reorder_columns_f64(rf_matrix_mut_f64 out,
                                 rf_matrix_f64 a,
                                 size_t channels,
                                 size_t taps,
                                 uint32_t from,
                                 rf_error *error);

// Rows and columns of a Kronecker factor of patches in the order `from` become those in the other
// one. Shapes: a and out square of order channels taps, or one more; contiguous rows.
rf_status rf_reorder_symmetric_f32(rf_matrix_mut_f32 out,
                                   rf_matrix_f32 a,
                                   size_t channels,
                                   size_t taps,
                                   uint32_t from,
                                   rf_error *error);

// As `rf_reorder_symmetric_f32`, in double precision.
rf_status rf_reorder_symmetric_f64(rf_matrix_mut_f64 out,
                                   rf_matrix_f64 a,
                                   size_t channels,
                                   size_t taps,
                                   uint32_t from,
                                   rf_error *error);

// An image channels first (channel, y, x) becomes channels last. Shapes: out and image
// channels*positions elements.
rf_status rf_to_channels_last_f32(rf_slice_mut_f32 out,
                                  rf_slice_f32 image,
                                  size_t channels,
                                  size_t positions,
                                  rf_error *error);

// As `rf_to_channels_last_f32`, in double precision.
rf_status rf_to_channels_last_f64(rf_slice_mut_f64 out,
                                  rf_slice_f64 image,
                                  size_t channels,
                                  size_t positions,
                                  rf_error *error);

// An image channels last becomes channels first. Shapes: out and image channels*positions elements.
rf_status rf_to_channels_first_f32(rf_slice_mut_f32 out,
                                   rf_slice_f32 image,
                                   size_t channels,
                                   size_t positions,
                                   rf_error *error);

// As `rf_to_channels_first_f32`, in double precision.
rf_status rf_to_channels_first_f64(rf_slice_mut_f64 out,
                                   rf_slice_f64 image,
                                   size_t channels,
                                   size_t positions,
                                   rf_error *error);

// The maximum over the window at every position of every channel, and where in the image it is (the
// first one). Padding never wins, not-a-number does. Shapes: image as the window says, out and
// argmax positions*channels elements.
rf_status rf_max_pool_f32(rf_slice_mut_f32 out,
                          rf_slice_mut_u32 argmax,
                          rf_slice_f32 image,
                          rf_window window,
                          rf_error *error);

// As `rf_max_pool_f32`, in double precision.
rf_status rf_max_pool_f64(rf_slice_mut_f64 out,
                          rf_slice_mut_u32 argmax,
                          rf_slice_f64 image,
                          rf_window window,
                          rf_error *error);

// The transpose at the places of `rf_max_pool`: `image[argmax[i]] += delta[i]`. `image` is read.
rf_status rf_max_pool_backward_add_f32(rf_slice_mut_f32 image,
                                       rf_slice_f32 delta,
                                       rf_slice_u32 argmax,
                                       rf_error *error);

// As `rf_max_pool_backward_add_f32`, in double precision.
rf_status rf_max_pool_backward_add_f64(rf_slice_mut_f64 image,
                                       rf_slice_f64 delta,
                                       rf_slice_u32 argmax,
                                       rf_error *error);

// The mean over the window at every position of every channel, by an `rf_padding_count`. Shapes: image
// as the window says, out positions*channels elements.
rf_status rf_avg_pool_f32(rf_slice_mut_f32 out,
                          rf_slice_f32 image,
                          rf_window window,
                          uint32_t count,
                          rf_error *error);

// As `rf_avg_pool_f32`, in double precision.
rf_status rf_avg_pool_f64(rf_slice_mut_f64 out,
                          rf_slice_f64 image,
                          rf_window window,
                          uint32_t count,
                          rf_error *error);

// The transpose of `rf_avg_pool`: adds every delta to the pixels of its window, spread evenly.
// `image` is read.
rf_status rf_avg_pool_backward_add_f32(rf_slice_mut_f32 image,
                                       rf_slice_f32 delta,
                                       rf_window window,
                                       uint32_t count,
                                       rf_error *error);

// As `rf_avg_pool_backward_add_f32`, in double precision.
rf_status rf_avg_pool_backward_add_f64(rf_slice_mut_f64 image,
                                       rf_slice_f64 delta,
                                       rf_window window,
                                       uint32_t count,
                                       rf_error *error);

// The elements of `work` for `rf_ekfac_scale`: n samples, m outputs, d inputs.
size_t rf_ekfac_scale_workspace_len(size_t n, size_t m, size_t d);

// The elements of `work` for `rf_ekfac_scale_shared`: T positions, m outputs, d inputs.
size_t rf_ekfac_scale_shared_workspace_len(size_t positions, size_t m, size_t d);

// The elements of `work` for `rf_normalisation_full`: n samples, c channels.
size_t rf_normalisation_full_workspace_len(size_t n, size_t c);

// The elements of `work` for `rf_ekfac_solve` and `rf_ekfac_apply`: m outputs, d inputs.
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

// `Out <- Out + alpha ((Delta U_G)^T (P U_A))^2` (element by element): EKFAC's scale for one column of
// one sample whose weights are shared by T positions. Shapes: delta T*m, patches T*d, out m*d with
// contiguous rows, which is read. Work: `rf_ekfac_scale_shared_workspace_len(T, m, d)`.
rf_status rf_ekfac_scale_shared_f32(rf_matrix_mut_f32 out,
                                    rf_matrix_f32 g_vectors,
                                    rf_matrix_f32 a_vectors,
                                    rf_matrix_f32 delta,
                                    rf_matrix_f32 patches,
                                    float alpha,
                                    rf_slice_mut_f32 work,
                                    rf_error *error);

// As `rf_ekfac_scale_shared_f32`, in double precision.
rf_status rf_ekfac_scale_shared_f64(rf_matrix_mut_f64 out,
                                    rf_matrix_f64 g_vectors,
                                    rf_matrix_f64 a_vectors,
                                    rf_matrix_f64 delta,
                                    rf_matrix_f64 patches,
                                    double alpha,
                                    rf_slice_mut_f64 work,
                                    rf_error *error);

// `V <- U_G ((U_G^T V U_A) o (S + lambda)) U_A^T`, the damped block of `rf_ekfac_solve` itself; scale
// of any sign. Shapes and work as there.
rf_status rf_ekfac_apply_f32(rf_matrix_mut_f32 v,
                             rf_matrix_f32 g_vectors,
                             rf_matrix_f32 a_vectors,
                             rf_matrix_f32 scale,
                             float lambda,
                             rf_slice_mut_f32 work,
                             rf_error *error);

// As `rf_ekfac_apply_f32`, in double precision.
rf_status rf_ekfac_apply_f64(rf_matrix_mut_f64 v,
                             rf_matrix_f64 g_vectors,
                             rf_matrix_f64 a_vectors,
                             rf_matrix_f64 scale,
                             double lambda,
                             rf_slice_mut_f64 work,
                             rf_error *error);

// `out_s <- sum_t a_(s,t)` over the T positions of sample s: gradients of shared weights for the rule
// "reduce". Shapes: out n*m, a (nT)*m, row s T + t, both with contiguous rows.
rf_status rf_reduce_sum_f32(rf_matrix_mut_f32 out,
                            rf_matrix_f32 a,
                            rf_error *error);

// As `rf_reduce_sum_f32`, in double precision.
rf_status rf_reduce_sum_f64(rf_matrix_mut_f64 out, rf_matrix_f64 a, rf_error *error);

// `out_s <- (1/T) sum_t a_(s,t)`: inputs of shared weights for the rule "reduce"; a trailing 1 stays
// 1. Shapes as in `rf_reduce_sum`.
rf_status rf_reduce_mean_f32(rf_matrix_mut_f32 out,
                             rf_matrix_f32 a,
                             rf_error *error);

// As `rf_reduce_mean_f32`, in double precision.
rf_status rf_reduce_mean_f64(rf_matrix_mut_f64 out, rf_matrix_f64 a, rf_error *error);

// The gradients of a normalisation's parameters, `out_s <- [sum_t delta x, sum_t delta]` for every
// channel, over the T positions of sample s. Shapes: x and delta (nT)*c, row s T + t, out n*2c,
// contiguous rows.
rf_status rf_normalisation_gradients_f32(rf_matrix_mut_f32 out,
                                         rf_matrix_f32 x,
                                         rf_matrix_f32 delta,
                                         rf_error *error);

// As `rf_normalisation_gradients_f32`, in double precision.
rf_status rf_normalisation_gradients_f64(rf_matrix_mut_f64 out,
                                         rf_matrix_f64 x,
                                         rf_matrix_f64 delta,
                                         rf_error *error);

// `out_c <- beta out_c + alpha sum_s (gg, gb, bb)`: the 2*2 blocks of every channel's (gamma, beta)
// from the rows of `rf_normalisation_gradients`. Shapes: gradients n*2c, out c*3 (read unless `beta`
// is 0), contiguous rows.
rf_status rf_normalisation_gradient_blocks_f32(rf_matrix_mut_f32 out,
                                               rf_matrix_f32 gradients,
                                               float alpha,
                                               float beta,
                                               rf_error *error);

// As `rf_normalisation_gradient_blocks_f32`, in double precision.
rf_status rf_normalisation_gradient_blocks_f64(rf_matrix_mut_f64 out,
                                               rf_matrix_f64 gradients,
                                               double alpha,
                                               double beta,
                                               rf_error *error);

// `Out <- beta Out + alpha sum_s u_s u_s^T`, u_s the row of `rf_normalisation_gradients` for one
// position: the block of all (gamma, beta) with the covariances between channels. Shapes: x and
// delta n*c, out 2c*2c (its lower triangle read unless `beta` is 0), contiguous rows. Work:
// `rf_normalisation_full_workspace_len(n, c)`.
rf_status rf_normalisation_full_f32(rf_matrix_mut_f32 out,
                                    rf_matrix_f32 x,
                                    rf_matrix_f32 delta,
                                    float alpha,
                                    float beta,
                                    rf_slice_mut_f32 work,
                                    rf_error *error);

// As `rf_normalisation_full_f32`, in double precision.
rf_status rf_normalisation_full_f64(rf_matrix_mut_f64 out,
                                    rf_matrix_f64 x,
                                    rf_matrix_f64 delta,
                                    double alpha,
                                    double beta,
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

// Adds a worker's step H_t^-1 g and ln det H_t to `average` and its sums, which are read; `average` may
// hold anything before the first step, when the sums are all zeros. After a refusal of the step the
// sums, and what was added before, are as they were.
rf_status rf_determinantal_add_f32(rf_slice_mut_f32 average,
                                   rf_determinantal_sums *sums,
                                   rf_slice_f32 step,
                                   double log_determinant,
                                   rf_error *error);

// As `rf_determinantal_add_f32`, in double precision.
rf_status rf_determinantal_add_f64(rf_slice_mut_f64 average,
                                   rf_determinantal_sums *sums,
                                   rf_slice_f64 step,
                                   double log_determinant,
                                   rf_error *error);

// `average <- sum_t det(H_t) H_t^-1 g/sum_t det(H_t)`, unbiased for the step of the mean of the H_t where
// the plain average is not (Derezinski and Mahoney 2019), and the workers that count in it, (sum
// w)^2/sum w^2 with the determinants w. `average` is read. The sums are all zeros again.
rf_status rf_determinantal_finish_f32(rf_slice_mut_f32 average,
                                      double *workers,
                                      rf_determinantal_sums *sums,
                                      rf_error *error);

// As `rf_determinantal_finish_f32`, in double precision.
rf_status rf_determinantal_finish_f64(rf_slice_mut_f64 average,
                                      double *workers,
                                      rf_determinantal_sums *sums,
                                      rf_error *error);

// The columns of `rf_loss_triangular_root` for an `rf_loss_kind` of m outputs; 0 for a kind without
// meaning.
size_t rf_loss_triangular_columns(uint32_t kind, size_t m);

// The elements of `work` for `rf_hessian_step`: m outputs above, d below.
size_t rf_hessian_step_workspace_len(size_t m, size_t d);

// The elements of `work` for `rf_exact_block`: n samples, m outputs, d inputs.
size_t rf_exact_block_workspace_len(size_t n, size_t m, size_t d);

// The elements of `work` for `rf_exact_diagonal`: n samples of d inputs.
size_t rf_exact_diagonal_workspace_len(size_t n, size_t d);

// Column `column` of the lower triangular root of every sample's loss Hessian, its Cholesky factor:
// the sum over the `rf_loss_triangular_columns(kind, m)` columns of `out_s out_s^T` is the Hessian,
// one column fewer than `rf_loss_hessian_root` has for soft-max. Shapes: out and probabilities n*m
// with contiguous rows.
rf_status rf_loss_triangular_root_f32(rf_matrix_mut_f32 out,
                                      rf_matrix_f32 probabilities,
                                      size_t column,
                                      rf_loss_f32 loss,
                                      rf_error *error);

// As `rf_loss_triangular_root_f32`, in double precision.
rf_status rf_loss_triangular_root_f64(rf_matrix_mut_f64 out,
                                      rf_matrix_f64 probabilities,
                                      size_t column,
                                      rf_loss_f64 loss,
                                      rf_error *error);

// `out_s <- beta out_s + ` the packed lower triangle of `delta_s delta_s^T`: summed over the
// columns of the loss Hessian's root the exact Gauss-Newton matrix of every sample in the
// pre-activations. Shapes: delta n*m, out n*m(m+1)/2 (read unless `beta` is 0), contiguous rows.
rf_status rf_packed_second_moments_f32(rf_matrix_mut_f32 out,
                                       rf_matrix_f32 delta,
                                       float beta,
                                       rf_error *error);

// As `rf_packed_second_moments_f32`, in double precision.
rf_status rf_packed_second_moments_f64(rf_matrix_mut_f64 out,
                                       rf_matrix_f64 delta,
                                       double beta,
                                       rf_error *error);

// The packed pre-activation Hessian of every sample one layer down:
// `out_s <- B_s W^T H_s W B_s + D_s`, B_s the diagonal matrix of `derivative` f'(t_s), D_s that of
// `curvature` f''(t_s) dE/df; an empty `curvature` (no row) stands for 0, the Gauss-Newton
// recursion. Shapes: h n*m(m+1)/2, derivative and curvature n*d, out n*d(d+1)/2, contiguous rows;
// w m*d, the layer above without its bias. Work: `rf_hessian_step_workspace_len(m, d)`.
rf_status rf_hessian_step_f32(rf_matrix_mut_f32 out,
                              rf_matrix_f32 h,
                              rf_matrix_f32 w,
                              rf_matrix_f32 derivative,
                              rf_matrix_f32 curvature,
                              rf_slice_mut_f32 work,
                              rf_error *error);

// As `rf_hessian_step_f32`, in double precision.
rf_status rf_hessian_step_f64(rf_matrix_mut_f64 out,
                              rf_matrix_f64 h,
                              rf_matrix_f64 w,
                              rf_matrix_f64 derivative,
                              rf_matrix_f64 curvature,
                              rf_slice_mut_f64 work,
                              rf_error *error);

// `Out <- alpha sum_s H_s (x) x_s x_s^T`, dense: with alpha = 1/n the exact Gauss-Newton or Hessian
// block of a layer. Shapes: h n*m(m+1)/2 packed (any sign), x n*d, out md*md, contiguous rows; both
// triangles are written. Work: `rf_exact_block_workspace_len(n, m, d)`.
rf_status rf_exact_block_f32(rf_matrix_mut_f32 out,
                             rf_matrix_f32 h,
                             rf_matrix_f32 x,
                             float alpha,
                             rf_slice_mut_f32 work,
                             rf_error *error);

// As `rf_exact_block_f32`, in double precision.
rf_status rf_exact_block_f64(rf_matrix_mut_f64 out,
                             rf_matrix_f64 h,
                             rf_matrix_f64 x,
                             double alpha,
                             rf_slice_mut_f64 work,
                             rf_error *error);

// `out_ia <- alpha sum_s h_si x_sa^2`: the diagonal of `rf_exact_block` as an m*d matrix, from the
// diagonals of the H_s. Shapes: h n*m, x n*d, out m*d, contiguous rows. Work:
// `rf_exact_diagonal_workspace_len(n, d)`.
rf_status rf_exact_diagonal_f32(rf_matrix_mut_f32 out,
                                rf_matrix_f32 h,
                                rf_matrix_f32 x,
                                float alpha,
                                rf_slice_mut_f32 work,
                                rf_error *error);

// As `rf_exact_diagonal_f32`, in double precision.
rf_status rf_exact_diagonal_f64(rf_matrix_mut_f64 out,
                                rf_matrix_f64 h,
                                rf_matrix_f64 x,
                                double alpha,
                                rf_slice_mut_f64 work,
                                rf_error *error);

// `Psi <- C S^-1` and `Explained <- C S^-1 C^T` with a factor of `rf_cholesky` of S: the best linear
// prediction of one Gaussian vector from another, and the covariance that it explains (the factors of
// block-tridiagonal K-FAC; Martens and Grosse 2015, 4.3). Shapes: psi and cross (C) p*q, explained
// p*p, l q*q; contiguous rows for psi, explained and l.
rf_status rf_kron_regression_f32(rf_matrix_mut_f32 psi,
                                 rf_matrix_mut_f32 explained,
                                 rf_matrix_f32 cross,
                                 rf_matrix_f32 l,
                                 rf_error *error);

// As `rf_kron_regression_f32`, in double precision.
rf_status rf_kron_regression_f64(rf_matrix_mut_f64 psi,
                                 rf_matrix_mut_f64 explained,
                                 rf_matrix_f64 cross,
                                 rf_matrix_f64 l,
                                 rf_error *error);

// The elements of `work` for `rf_spd_inverse` of order d.
size_t rf_spd_inverse_workspace_len(size_t d);

// The elements of `work` for `rf_eigh` of order d.
size_t rf_eigh_workspace_len(size_t d);

// The elements of `work` for `rf_newton_schulz` of order d.
size_t rf_newton_schulz_workspace_len(size_t d);

// The elements of `work` for `rf_packed_inverse` of blocks of order d.
size_t rf_packed_inverse_workspace_len(size_t d);

// The elements of `work` for `rf_cholesky_batch` of order d.
size_t rf_cholesky_batch_workspace_len(size_t d);

// The elements of `work` for `rf_eigh_batch` of order d.
size_t rf_eigh_batch_workspace_len(size_t d);

// The elements of a packed triangle of order d: d(d+1)/2. Like every length of the
// library it is more than any memory holds where the formula overflows.
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

// `out <- sum_i ln det(L_i L_i^T)` with the factors of `rf_packed_cholesky` of order d.
rf_status rf_packed_log_determinant_f32(float *out, rf_matrix_f32 factors, size_t d, rf_error *error);

// As `rf_packed_log_determinant_f32`, in double precision.
rf_status rf_packed_log_determinant_f64(double *out, rf_matrix_f64 factors, size_t d, rf_error *error);

// `out_i <- A_i v_i` for every row of packed lower triangles. Shapes: out and v m*d, blocks
// m*d(d+1)/2, contiguous rows.
rf_status rf_packed_symv_f32(rf_matrix_mut_f32 out, rf_matrix_f32 blocks, rf_matrix_f32 v, rf_error *error);

// As `rf_packed_symv_f32`, in double precision.
rf_status rf_packed_symv_f64(rf_matrix_mut_f64 out, rf_matrix_f64 blocks, rf_matrix_f64 v, rf_error *error);

// `A_i <- L_i` with `A_i + damping I = L_i L_i^T` for every row, a row-major d*d matrix whose lower
// triangle is read and written: many small ones at once. Shape: matrices m*d^2 with contiguous rows.
// Work: `rf_cholesky_batch_workspace_len(d)`.
rf_status rf_cholesky_batch_f32(rf_matrix_mut_f32 matrices,
                                size_t d,
                                float damping,
                                rf_slice_mut_f32 work,
                                rf_error *error);

// As `rf_cholesky_batch_f32`, in double precision.
rf_status rf_cholesky_batch_f64(rf_matrix_mut_f64 matrices,
                                size_t d,
                                double damping,
                                rf_slice_mut_f64 work,
                                rf_error *error);

// `A_i = U_i diag(values_i) U_i^T` for every row, a row-major d*d matrix that becomes U_i (eigenvectors in
// columns); the values ascend. Shapes: matrices m*d^2, whose lower triangles are read, values m*d,
// contiguous rows. Work: `rf_eigh_batch_workspace_len(d)`.
rf_status rf_eigh_batch_f32(rf_matrix_mut_f32 matrices,
                            rf_matrix_mut_f32 values,
                            size_t d,
                            rf_slice_mut_f32 work,
                            rf_error *error);

// As `rf_eigh_batch_f32`, in double precision.
rf_status rf_eigh_batch_f64(rf_matrix_mut_f64 matrices,
                            rf_matrix_mut_f64 values,
                            size_t d,
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

// `out <- ln det(G (x) A + lambda I)` from the eigenvalues of `rf_kron_eigen_factor`,
// of which negative ones (rounding) count as 0.
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

// The elements of a recurrence's `work`, for `locked` locked vectors.
size_t rf_lanczos_workspace_len(size_t capacity, size_t locked);

// The elements of `work` that `rf_lanczos_restart_f32` needs to keep `kept` vectors of order n.
size_t rf_lanczos_restart_workspace_len(size_t kept, size_t n);

// The unit vector to multiply by A, inside the basis; empty when there is none: before the start, after a
// breakdown, and in a full basis.
rf_slice_f32 rf_lanczos_next_f32(rf_lanczos_f32 of,
                              rf_lanczos_state_f32 state);

// As `rf_lanczos_next_f32`, in double precision.
rf_slice_f64 rf_lanczos_next_f64(rf_lanczos_f64 of, rf_lanczos_state_f64 state);

// Begins a Lanczos recurrence (with full reorthogonalisation) with the direction of v (n), or goes on
// with it after a breakdown, orthogonal to everything before. `step` gets an `rf_lanczos_step`:
// `BREAKDOWN` when nothing of v is left; try another, unless basis and locked vectors are n by now.
// `state` is read; after a refusal it and the recurrence are as they were.
rf_status rf_lanczos_start_f32(uint32_t *step,
                               rf_lanczos_state_f32 *state,
                               rf_slice_f32 v,
                               rf_lanczos_f32 of,
                               rf_error *error);

// As `rf_lanczos_start_f32`, in double precision.
rf_status rf_lanczos_start_f64(uint32_t *step,
                               rf_lanczos_state_f64 *state,
                               rf_slice_f64 v,
                               rf_lanczos_f64 of,
                               rf_error *error);

// Takes the product of A and `rf_lanczos_next_f32` (n) and prepares the next vector. `step` gets an
// `rf_lanczos_step`. `state` is read; after a refusal it and the recurrence are as they were.
rf_status rf_lanczos_advance_f32(uint32_t *step,
                                 rf_lanczos_state_f32 *state,
                                 rf_slice_f32 product,
                                 rf_lanczos_f32 of,
                                 rf_error *error);

// As `rf_lanczos_advance_f32`, in double precision.
rf_status rf_lanczos_advance_f64(uint32_t *step,
                                 rf_lanczos_state_f64 *state,
                                 rf_slice_f64 product,
                                 rf_lanczos_f64 of,
                                 rf_error *error);

// The Ritz values (ascending), the bounds of the residuals |A x_i - values_i x_i|, and S, whose columns
// hold the Ritz vectors in the basis. An eigenvalue of A lies within its bound of each. Shapes, after k
// steps: values and bounds k, s k*k with contiguous rows. The recurrence is read. Work:
// `rf_eigh_workspace_len(k)`.
rf_status rf_lanczos_ritz_f32(rf_slice_mut_f32 values,
                              rf_slice_mut_f32 bounds,
                              rf_matrix_mut_f32 s,
                              rf_lanczos_f32 of,
                              rf_lanczos_state_f32 state,
                              rf_slice_mut_f32 work,
                              rf_error *error);

// As `rf_lanczos_ritz_f32`, in double precision.
rf_status rf_lanczos_ritz_f64(rf_slice_mut_f64 values,
                              rf_slice_mut_f64 bounds,
                              rf_matrix_mut_f64 s,
                              rf_lanczos_f64 of,
                              rf_lanczos_state_f64 state,
                              rf_slice_mut_f64 work,
                              rf_error *error);

// `out <- C^T V`: the vectors with these coefficients in the basis, a row each; the Ritz vectors for
// columns of S. Shapes, after k steps: out p*n with contiguous rows, coefficients k*p. The recurrence is
// read.
rf_status rf_lanczos_combine_f32(rf_matrix_mut_f32 out,
                                 rf_matrix_f32 coefficients,
                                 rf_lanczos_f32 of,
                                 rf_lanczos_state_f32 state,
                                 rf_error *error);

// As `rf_lanczos_combine_f32`, in double precision.
rf_status rf_lanczos_combine_f64(rf_matrix_mut_f64 out,
                                 rf_matrix_f64 coefficients,
                                 rf_lanczos_f64 of,
                                 rf_lanczos_state_f64 state,
                                 rf_error *error);

// Replaces the basis by p of its Ritz vectors and goes on from there (thick restart: Wu and Simon 2000):
// the space loses the others and nothing else. Shapes, after k steps: values p, those kept, and
// coefficients k*p, their columns of S; p is less than the basis has room for. `step` gets an
// `rf_lanczos_step`. `state` is read. Work: `rf_lanczos_restart_workspace_len(p, n)`.
rf_status rf_lanczos_restart_f32(uint32_t *step,
                                 rf_lanczos_state_f32 *state,
                                 rf_slice_f32 values,
                                 rf_matrix_f32 coefficients,
                                 rf_lanczos_f32 of,
                                 rf_slice_mut_f32 work,
                                 rf_error *error);

// As `rf_lanczos_restart_f32`, in double precision.
rf_status rf_lanczos_restart_f64(uint32_t *step,
                                 rf_lanczos_state_f64 *state,
                                 rf_slice_f64 values,
                                 rf_matrix_f64 coefficients,
                                 rf_lanczos_f64 of,
                                 rf_slice_mut_f64 work,
                                 rf_error *error);

// The elements of `work` for `rf_laplace_predictive_covariance`: n samples, m outputs, d inputs.
size_t rf_laplace_predictive_workspace_len(size_t n, size_t m, size_t d);

// `out <- sum_k ln(samples s_k + precision)`, ln det of the posterior precision from the eigenvalues s
// of the curvature; negative ones (rounding) count as 0.
rf_status rf_laplace_log_determinant_f32(double *out,
                                         rf_slice_f32 values,
                                         double samples,
                                         double precision,
                                         rf_error *error);

// As `rf_laplace_log_determinant_f32`, in double precision.
rf_status rf_laplace_log_determinant_f64(double *out,
                                         rf_slice_f64 values,
                                         double samples,
                                         double precision,
                                         rf_error *error);

// `out <- sum_k samples s_k/(samples s_k + precision)`: the parameters that the data determine.
rf_status rf_laplace_effective_parameters_f32(double *out,
                                              rf_slice_f32 values,
                                              double samples,
                                              double precision,
                                              rf_error *error);

// As `rf_laplace_effective_parameters_f32`, in double precision.
rf_status rf_laplace_effective_parameters_f64(double *out,
                                              rf_slice_f64 values,
                                              double samples,
                                              double precision,
                                              rf_error *error);

// `out_k <- 1/(samples s_k + precision)`: the variances of the posterior in the eigenbasis.
rf_status rf_laplace_variances_f32(rf_slice_mut_f32 out,
                                   rf_slice_f32 values,
                                   double samples,
                                   double precision,
                                   rf_error *error);

// As `rf_laplace_variances_f32`, in double precision.
rf_status rf_laplace_variances_f64(rf_slice_mut_f64 out,
                                   rf_slice_f64 values,
                                   double samples,
                                   double precision,
                                   rf_error *error);

// `draw_k <- draw_k/sqrt(samples s_k + precision)`: standard normal numbers become a draw from the
// posterior in the eigenbasis, to be turned back and added to the parameters.
rf_status rf_laplace_scale_draw_f32(rf_slice_mut_f32 draw,
                                    rf_slice_f32 values,
                                    double samples,
                                    double precision,
                                    rf_error *error);

// As `rf_laplace_scale_draw_f32`, in double precision.
rf_status rf_laplace_scale_draw_f64(rf_slice_mut_f64 draw,
                                    rf_slice_f64 values,
                                    double samples,
                                    double precision,
                                    rf_error *error);

// `out_s <- beta out_s + J_s P^-1 J_s^T` (C*C) of one layer, the covariance of the C outputs of sample s
// that it causes: u are the derivatives of the outputs and v the inputs, both turned into the
// eigenbasis, `variances` P^-1 there. Shapes: u (Cn)*m, row c n + s, v n*d, variances m*d, out n*C^2
// (read unless `beta` is 0), contiguous rows. Work:
// `rf_laplace_predictive_workspace_len(n, m, d)`.
rf_status rf_laplace_predictive_covariance_f32(rf_matrix_mut_f32 out,
                                               rf_matrix_f32 u,
                                               rf_matrix_f32 v,
                                               rf_matrix_f32 variances,
                                               float beta,
                                               rf_slice_mut_f32 work,
                                               rf_error *error);

// As `rf_laplace_predictive_covariance_f32`, in double precision.
rf_status rf_laplace_predictive_covariance_f64(rf_matrix_mut_f64 out,
                                               rf_matrix_f64 u,
                                               rf_matrix_f64 v,
                                               rf_matrix_f64 variances,
                                               double beta,
                                               rf_slice_mut_f64 work,
                                               rf_error *error);

// `logits_c <- logits_c/sqrt(1 + pi v_c/8)`: logits whose soft-max or sigmoid approximates the mean
// prediction.
rf_status rf_laplace_probit_logits_f32(rf_slice_mut_f32 logits, rf_slice_f32 variances, rf_error *error);

// As `rf_laplace_probit_logits_f32`, in double precision.
rf_status rf_laplace_probit_logits_f64(rf_slice_mut_f64 logits, rf_slice_f64 variances, rf_error *error);

// `out <- log_likelihood - tau |theta|^2/2 + D ln(tau)/2 - log_determinant/2`: ln p(data) for a prior of
// precision tau on D parameters, log_determinant that of the posterior precision at this tau.
rf_status rf_laplace_log_marginal_f64(double *out,
                                      double log_likelihood,
                                      double squared_norm,
                                      size_t parameters,
                                      double precision,
                                      double log_determinant,
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

// `average <- keep average + (1 - keep) sample`. `average` is read unless `keep` is 0; `keep` is
// in [0, 1].
rf_status rf_ema_update_f32(rf_slice_mut_f32 average, rf_slice_f32 sample, float keep, rf_error *error);

// As `rf_ema_update_f32`, in double precision.
rf_status rf_ema_update_f64(rf_slice_mut_f64 average, rf_slice_f64 sample, double keep, rf_error *error);

// `out <- min(decay, 1 - 1/(index + 1))`: the weight of the past at update `index` (from 0), a plain
// mean at first. `decay` is in [0, 1).
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
// Kullback-Leibler bound; `curvature` is v^T F v of the direction v; where it is NaN, so is the
// result. The bound is at least 0.
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

// `out <- min(1, bound/norm)`, NaN for a norm that is NaN. The bound is at least 0.
rf_status rf_norm_clip_f32(float *out, float norm, float bound, rf_error *error);

// As `rf_norm_clip_f32`, in double precision.
rf_status rf_norm_clip_f64(double *out, double norm, double bound, rf_error *error);

// `out <- (after - before)/predicted`: the reduction of the loss over that of the quadratic model;
// NaN where the model promised nothing (`predicted` is 0).
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

// `out <- ` the next damping after a step with the reduction ratio `ratio`; it grows where the ratio is
// NaN. The damping is finite and at least 0.
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

// The elements of `work` for `rf_prune_kron_compensate`.
size_t rf_prune_kron_compensate_workspace_len(size_t m, size_t d);

// The elements of `work` for `rf_woodbury_update` of order b.
size_t rf_woodbury_update_workspace_len(size_t b);

// `out_q <- h_q w_q^2/2`: the cost of removing weight q while all others stay (optimal brain damage).
// Negative diagonals count as 0. Shapes: out, w and diagonal alike.
rf_status rf_diagonal_saliency_f32(rf_slice_mut_f32 out,
                                   rf_slice_f32 w,
                                   rf_slice_f32 diagonal,
                                   rf_error *error);

// As `rf_diagonal_saliency_f32`, in double precision.
rf_status rf_diagonal_saliency_f64(rf_slice_mut_f64 out,
                                   rf_slice_f64 w,
                                   rf_slice_f64 diagonal,
                                   rf_error *error);

// `out_q <- w_q^2/(2 [H^-1]_qq)`: the cost of removing weight q while all others adapt (optimal brain
// surgeon). Shapes: out, w and inverse_diagonal alike.
rf_status rf_inverse_saliency_f32(rf_slice_mut_f32 out,
                                  rf_slice_f32 w,
                                  rf_slice_f32 inverse_diagonal,
                                  rf_error *error);

// As `rf_inverse_saliency_f32`, in double precision.
rf_status rf_inverse_saliency_f64(rf_slice_mut_f64 out,
                                  rf_slice_f64 w,
                                  rf_slice_f64 inverse_diagonal,
                                  rf_error *error);

// Removes weight q exactly, `w <- w - (w_q/[H^-1]_qq) H^-1 e_q`, and makes of the inverse the one without
// row and column q, with zeros there; calls for all q of a set, in any order, give the best weights
// without that set. `cost <- w_q^2/(2 [H^-1]_qq)`. Shapes: w b, inverse b*b symmetric with contiguous
// rows, both read.
rf_status rf_prune_remove_f32(rf_slice_mut_f32 w,
                              rf_matrix_mut_f32 inverse,
                              float *cost,
                              size_t q,
                              rf_error *error);

// As `rf_prune_remove_f32`, in double precision.
rf_status rf_prune_remove_f64(rf_slice_mut_f64 w,
                              rf_matrix_mut_f64 inverse,
                              double *cost,
                              size_t q,
                              rf_error *error);

// Removes weight (i, j) of a layer with H = G (x) A, and no second one. `cost` as in
// `rf_prune_remove`. Shapes: w m*d (read), g_inverse m*m, a_inverse d*d, contiguous rows.
rf_status rf_prune_kron_remove_f32(rf_matrix_mut_f32 w,
                                   float *cost,
                                   rf_matrix_f32 g_inverse,
                                   rf_matrix_f32 a_inverse,
                                   size_t i,
                                   size_t j,
                                   rf_error *error);

// As `rf_prune_kron_remove_f32`, in double precision.
rf_status rf_prune_kron_remove_f64(rf_matrix_mut_f64 w,
                                   double *cost,
                                   rf_matrix_f64 g_inverse,
                                   rf_matrix_f64 a_inverse,
                                   size_t i,
                                   size_t j,
                                   rf_error *error);

// The best weights of a layer without any set of them, H = G (x) A + lambda I: removed weights become 0,
// the others move, by conjugate gradients; `products` is how many products with H that took. Converged
// when the residual is at most tolerance times the first one; 0 stands for 1e-4, 0 for `most`
// products for 200. Shapes: w m*d (read), kept m*d (0 for a removed weight, 1 for another; not checked), g m*m and
// a d*d symmetric, contiguous rows. Work: `rf_prune_kron_compensate_workspace_len(m, d)`.
rf_status rf_prune_kron_compensate_f32(rf_matrix_mut_f32 w,
                                       size_t *products,
                                       rf_matrix_f32 kept,
                                       rf_matrix_f32 g,
                                       rf_matrix_f32 a,
                                       float lambda,
                                       float tolerance,
                                       uint32_t most,
                                       rf_slice_mut_f32 work,
                                       rf_error *error);

// As `rf_prune_kron_compensate_f32`, in double precision.
rf_status rf_prune_kron_compensate_f64(rf_matrix_mut_f64 w,
                                       size_t *products,
                                       rf_matrix_f64 kept,
                                       rf_matrix_f64 g,
                                       rf_matrix_f64 a,
                                       double lambda,
                                       double tolerance,
                                       uint32_t most,
                                       rf_slice_mut_f64 work,
                                       rf_error *error);

// `H^-1 <- (H + g g^T/samples)^-1`: from I/lambda through the gradients of a data set to the inverse of
// its damped empirical Fisher matrix (WoodFisher). Shapes: inverse b*b symmetric with contiguous rows
// (read), g b. Work: `rf_woodbury_update_workspace_len(b)`.
rf_status rf_woodbury_update_f32(rf_matrix_mut_f32 inverse,
                                 rf_slice_f32 g,
                                 float samples,
                                 rf_slice_mut_f32 work,
                                 rf_error *error);

// As `rf_woodbury_update_f32`, in double precision.
rf_status rf_woodbury_update_f64(rf_matrix_mut_f64 inverse,
                                 rf_slice_f64 g,
                                 double samples,
                                 rf_slice_mut_f64 work,
                                 rf_error *error);

// The elements of `work` for `rf_khatri_rao_gram`: n samples, `columns` for each.
size_t rf_khatri_rao_gram_workspace_len(size_t n, size_t columns);

// The elements of `work` for `rf_khatri_rao_apply` and `rf_khatri_rao_transpose`: n samples, m
// outputs.
size_t rf_khatri_rao_workspace_len(size_t n, size_t m);

// The elements of `work` for `rf_low_rank_power`: r rows, k vectors.
size_t rf_low_rank_power_workspace_len(size_t r, size_t k);

// `Out <- beta Out + J J^T`, J (Cn)*(md) the matrix whose row c n + s is the gradient
// `vec(delta_cs x_s^T)` of column c of sample s; it is never formed. With the columns of the loss
// Hessian's root `(1/n) J^T J` is the Gauss-Newton block of the layer, and
// `(J^T J/n + lambda I)^-1 = (I - J^T (n lambda I + J J^T)^-1 J)/lambda`. Over the layers of a network
// the products add up (beta 1). Shapes: delta (Cn)*m, x n*d, out (Cn)*(Cn), all with contiguous
// rows; out's lower triangle is read unless `beta` is 0, both are written. Work:
// `rf_khatri_rao_gram_workspace_len(n, C)`.
rf_status rf_khatri_rao_gram_f32(rf_matrix_mut_f32 out,
                                 rf_matrix_f32 delta,
                                 rf_matrix_f32 x,
                                 float beta,
                                 rf_slice_mut_f32 work,
                                 rf_error *error);

// As `rf_khatri_rao_gram_f32`, in double precision.
rf_status rf_khatri_rao_gram_f64(rf_matrix_mut_f64 out,
                                 rf_matrix_f64 delta,
                                 rf_matrix_f64 x,
                                 double beta,
                                 rf_slice_mut_f64 work,
                                 rf_error *error);

// `out <- beta out + J vec(V)`, that is `delta_cs^T V x_s` at c n + s, J as in
// `rf_khatri_rao_gram`. Shapes: delta (Cn)*m and x n*d with contiguous rows, v m*d, out Cn (read
// unless `beta` is 0). Work: `rf_khatri_rao_workspace_len(n, m)`.
rf_status rf_khatri_rao_apply_f32(rf_slice_mut_f32 out,
                                  rf_matrix_f32 delta,
                                  rf_matrix_f32 x,
                                  rf_matrix_f32 v,
                                  float beta,
                                  rf_slice_mut_f32 work,
                                  rf_error *error);

// As `rf_khatri_rao_apply_f32`, in double precision.
rf_status rf_khatri_rao_apply_f64(rf_slice_mut_f64 out,
                                  rf_matrix_f64 delta,
                                  rf_matrix_f64 x,
                                  rf_matrix_f64 v,
                                  double beta,
                                  rf_slice_mut_f64 work,
                                  rf_error *error);

// `vec(Out) <- beta vec(Out) + J^T u`, that is `sum_cs u_(c n + s) delta_cs x_s^T`, J as in
// `rf_khatri_rao_gram`. Shapes: delta (Cn)*m and x n*d with contiguous rows, u Cn, out m*d with
// contiguous rows or columns (read unless `beta` is 0). Work: `rf_khatri_rao_workspace_len(n, m)`.
rf_status rf_khatri_rao_transpose_f32(rf_matrix_mut_f32 out,
                                      rf_matrix_f32 delta,
                                      rf_matrix_f32 x,
                                      rf_slice_f32 u,
                                      float beta,
                                      rf_slice_mut_f32 work,
                                      rf_error *error);

// As `rf_khatri_rao_transpose_f32`, in double precision.
rf_status rf_khatri_rao_transpose_f64(rf_matrix_mut_f64 out,
                                      rf_matrix_f64 delta,
                                      rf_matrix_f64 x,
                                      rf_slice_f64 u,
                                      double beta,
                                      rf_slice_mut_f64 work,
                                      rf_error *error);

// `x <- (C + lambda I)^-power x` for every row of x, 0 <= power <= 1, lambda > 0. Shape: x r*D with
// contiguous rows. Work: `rf_low_rank_power_workspace_len(r, k)`.
rf_status rf_low_rank_power_f32(rf_matrix_mut_f32 x,
                                rf_low_rank_f32 low_rank,
                                float power,
                                float lambda,
                                rf_slice_mut_f32 work,
                                rf_error *error);

// As `rf_low_rank_power_f32`, in double precision.
rf_status rf_low_rank_power_f64(rf_matrix_mut_f64 x,
                                rf_low_rank_f64 low_rank,
                                double power,
                                double lambda,
                                rf_slice_mut_f64 work,
                                rf_error *error);

// `out <- ln det(C + lambda I)`, lambda > 0.
rf_status rf_low_rank_log_determinant_f32(float *out,
                                          rf_low_rank_f32 low_rank,
                                          float lambda,
                                          rf_error *error);

// As `rf_low_rank_log_determinant_f32`, in double precision.
rf_status rf_low_rank_log_determinant_f64(double *out,
                                          rf_low_rank_f64 low_rank,
                                          double lambda,
                                          rf_error *error);

// The entries that a layer of d parameters keeps, the smallest number that is at least fraction d;
// 0 unless 0 < fraction <= 1.
size_t rf_kept_count(double fraction, size_t d);

// The places of the largest entries of `values` by magnitude, ascending, and how many: as many as
// `indices` has places, fewer where fewer entries are not 0. Of equal magnitudes the first are
// taken.
rf_status rf_select_largest_f32(rf_slice_mut_u32 indices,
                                size_t *count,
                                rf_slice_f32 values,
                                rf_error *error);

// As `rf_select_largest_f32`, in double precision.
rf_status rf_select_largest_f64(rf_slice_mut_u32 indices,
                                size_t *count,
                                rf_slice_f64 values,
                                rf_error *error);

// Adds the entries that one sample keeps, `values[k]` at `indices[k]`, none of them 0, to the power mean
// of exponent `power` of their squares: 1 is the diagonal of the empirical Fisher matrix, 0 the
// geometric mean, -1 the harmonic one. `state` is read.
rf_status rf_quasi_mean_add_f32(rf_mean_state state,
                                rf_slice_u32 indices,
                                rf_slice_f32 values,
                                double power,
                                rf_error *error);

// As `rf_quasi_mean_add_f32`, in double precision.
rf_status rf_quasi_mean_add_f64(rf_mean_state state,
                                rf_slice_u32 indices,
                                rf_slice_f64 values,
                                double power,
                                rf_error *error);

// The embedding of a sample: `psi[k] <- psi[k]/sqrt(g_j + damping)` at the entries j = `indices[k]` that it
// keeps; `psi` holds its gradient on entry. `root` is sqrt(g) as `rf_quasi_mean_root_f64` writes it.
rf_status rf_embed_f32(rf_slice_mut_f32 psi,
                       rf_slice_u32 indices,
                       rf_slice_f64 root,
                       double damping,
                       rf_error *error);

// As `rf_embed_f32`, in double precision.
rf_status rf_embed_f64(rf_slice_mut_f64 psi,
                       rf_slice_u32 indices,
                       rf_slice_f64 root,
                       double damping,
                       rf_error *error);

// `Out <- Rows^T`. Shapes: rows n*d by n + 1 starts, out d*n by d + 1 starts and at least as many places
// as rows has entries.
rf_status rf_sparse_transpose_f32(rf_sparse_mut_f32 out,
                                  rf_sparse_f32 rows,
                                  rf_error *error);

// As `rf_sparse_transpose_f32`, in double precision.
rf_status rf_sparse_transpose_f64(rf_sparse_mut_f64 out, rf_sparse_f64 rows, rf_error *error);

// Where the rows of `sum_s u_s u_s^T` begin, and how many entries it has; counting stops at more than
// `limit`, and starts are unspecified then. Shapes: rows n*d, columns its transpose, starts d + 1,
// marks d.
rf_status rf_sparse_outer_pattern_f32(rf_slice_mut_size starts,
                                      size_t *entries,
                                      rf_sparse_f32 rows,
                                      rf_sparse_f32 columns,
                                      size_t limit,
                                      rf_slice_mut_u32 marks,
                                      rf_error *error);

// As `rf_sparse_outer_pattern_f32`, in double precision.
rf_status rf_sparse_outer_pattern_f64(rf_slice_mut_size starts,
                                      size_t *entries,
                                      rf_sparse_f64 rows,
                                      rf_sparse_f64 columns,
                                      size_t limit,
                                      rf_slice_mut_u32 marks,
                                      rf_error *error);

// `Out <- (1/n) sum_s u_s u_s^T` on the joint support, symmetric, both triangles: the arithmetic metric
// with what is off its diagonal. Shapes: rows n*d, columns its transpose; the starts of out as
// `rf_sparse_outer_pattern` wrote them (read), and exactly as many places as it counted; marks and
// places d.
rf_status rf_sparse_outer_mean_f32(rf_sparse_mut_f32 out,
                                   rf_sparse_f32 rows,
                                   rf_sparse_f32 columns,
                                   rf_slice_mut_u32 marks,
                                   rf_slice_mut_size places,
                                   rf_error *error);

// As `rf_sparse_outer_mean_f32`, in double precision.
rf_status rf_sparse_outer_mean_f64(rf_sparse_mut_f64 out,
                                   rf_sparse_f64 rows,
                                   rf_sparse_f64 columns,
                                   rf_slice_mut_u32 marks,
                                   rf_slice_mut_size places,
                                   rf_error *error);

// `root_j <- sqrt(g_j)`, g the mean of exponent `power` of the `samples` samples that were added to the
// state; 0 where no sample kept the entry. For gradients of both precisions.
rf_status rf_quasi_mean_root_f64(rf_slice_mut_f64 root,
                                 rf_mean_state state,
                                 size_t samples,
                                 double power,
                                 rf_error *error);

// The eigenvalues, ascending, of the symmetric tridiagonal matrix with the diagonal alpha (k) and the
// off-diagonal beta (k - 1), as a Lanczos recurrence gives them. `vectors` is empty for nothing more, of
// k elements for the first component of each eigenvector, or of k*k, where row i belongs to value i.
// Work: k elements.
rf_status rf_tridiagonal_eigh_f32(rf_slice_mut_f32 values,
                                  rf_slice_mut_f32 vectors,
                                  rf_slice_f32 alpha,
                                  rf_slice_f32 beta,
                                  rf_slice_mut_f32 work,
                                  rf_error *error);

// As `rf_tridiagonal_eigh_f32`, in double precision.
rf_status rf_tridiagonal_eigh_f64(rf_slice_mut_f64 values,
                                  rf_slice_mut_f64 vectors,
                                  rf_slice_f64 alpha,
                                  rf_slice_f64 beta,
                                  rf_slice_mut_f64 work,
                                  rf_error *error);

// `v^T f(A) v/|v|^2 = sum_i weights_i f(nodes_i)` for polynomials f of degree 2k - 1 at most, alpha (k)
// and beta (k - 1) those of k Lanczos steps from v: the mean over random v estimates the spectral
// density of A. Shapes: nodes (ascending) and weights (of sum 1) k. Work: k elements.
rf_status rf_lanczos_quadrature_f32(rf_slice_mut_f32 nodes,
                                    rf_slice_mut_f32 weights,
                                    rf_slice_f32 alpha,
                                    rf_slice_f32 beta,
                                    rf_slice_mut_f32 work,
                                    rf_error *error);

// As `rf_lanczos_quadrature_f32`, in double precision.
rf_status rf_lanczos_quadrature_f64(rf_slice_mut_f64 nodes,
                                    rf_slice_mut_f64 weights,
                                    rf_slice_f64 alpha,
                                    rf_slice_f64 beta,
                                    rf_slice_mut_f64 work,
                                    rf_error *error);

// `density_j <- ` the sum over i of weights_i times the normal density of mean nodes_i and standard
// deviation sigma at grid_j. Shapes: density and grid alike, nodes and weights alike.
rf_status rf_gaussian_density_f32(rf_slice_mut_f32 density,
                                  rf_slice_f32 grid,
                                  rf_slice_f32 nodes,
                                  rf_slice_f32 weights,
                                  float sigma,
                                  rf_error *error);

// As `rf_gaussian_density_f32`, in double precision.
rf_status rf_gaussian_density_f64(rf_slice_mut_f64 density,
                                  rf_slice_f64 grid,
                                  rf_slice_f64 nodes,
                                  rf_slice_f64 weights,
                                  double sigma,
                                  rf_error *error);

// `out_s <- beta out_s + |delta_s|^2 |x_s|^2`: the squared lengths of the gradients `delta_s x_s^T` of a
// layer, which add up over the layers. Shapes: delta n*m and x n*d with contiguous rows, out n (read
// unless `beta` is 0).
rf_status rf_outer_square_norms_f32(rf_slice_mut_f32 out,
                                    rf_matrix_f32 delta,
                                    rf_matrix_f32 x,
                                    float beta,
                                    rf_error *error);

// As `rf_outer_square_norms_f32`, in double precision.
rf_status rf_outer_square_norms_f64(rf_slice_mut_f64 out,
                                    rf_matrix_f64 delta,
                                    rf_matrix_f64 x,
                                    double beta,
                                    rf_error *error);

// `squares_s <- beta squares_s + |u_s|^2` and `products_s <- beta products_s + <u_s, g>` for gradients
// that are formed. Shapes: rows n*p (u_s, contiguous rows), mean p (g), squares and products n (read
// unless `beta` is 0).
rf_status rf_row_products_f32(rf_slice_mut_f32 squares,
                              rf_slice_mut_f32 products,
                              rf_matrix_f32 rows,
                              rf_slice_f32 mean,
                              float beta,
                              rf_error *error);

// As `rf_row_products_f32`, in double precision.
rf_status rf_row_products_f64(rf_slice_mut_f64 squares,
                              rf_slice_mut_f64 products,
                              rf_matrix_f64 rows,
                              rf_slice_f64 mean,
                              double beta,
                              rf_error *error);

// The statistics of a mini-batch from |u_s|^2, <u_s, g> (of a layer: `rf_khatri_rao_apply` with V = g)
// and |g|^2. Shapes: squares and products n, at least one sample.
rf_status rf_batch_statistics_f32(rf_gradient_noise_f32 *out,
                                  rf_slice_f32 squares,
                                  rf_slice_f32 products,
                                  float mean_square,
                                  rf_error *error);

// As `rf_batch_statistics_f32`, in double precision.
rf_status rf_batch_statistics_f64(rf_gradient_noise_f64 *out,
                                  rf_slice_f64 squares,
                                  rf_slice_f64 products,
                                  double mean_square,
                                  rf_error *error);

// `out <- <a, b>/(|a| |b|)`; 0 where one of them is 0.
rf_status rf_cosine_f32(float *out, rf_slice_f32 a, rf_slice_f32 b, rf_error *error);

// As `rf_cosine_f32`, in double precision.
rf_status rf_cosine_f64(double *out, rf_slice_f64 a, rf_slice_f64 b, rf_error *error);

// `out <- |U g|^2/|g|^2`: the share of a vector in the space of orthonormal rows. Shapes: u k*p with
// contiguous rows, g p.
rf_status rf_subspace_share_f32(float *out,
                                rf_matrix_f32 u,
                                rf_slice_f32 g,
                                rf_error *error);

// As `rf_subspace_share_f32`, in double precision.
rf_status rf_subspace_share_f64(double *out, rf_matrix_f64 u, rf_slice_f64 g, rf_error *error);

// `out <- |U V^T|^2/max(k, l)`: the overlap of the spaces of orthonormal rows. Shapes: u k*p, v l*p with
// contiguous rows.
rf_status rf_subspace_overlap_f32(float *out,
                                  rf_matrix_f32 u,
                                  rf_matrix_f32 v,
                                  rf_error *error);

// As `rf_subspace_overlap_f32`, in double precision.
rf_status rf_subspace_overlap_f64(double *out, rf_matrix_f64 u, rf_matrix_f64 v, rf_error *error);

// Adds the products of two symmetric matrices with one vector, of independent elements -1 and 1 for an
// estimate, to the sums, which are read.
rf_status rf_frobenius_add_f32(rf_frobenius_f32 *sums,
                               rf_slice_f32 first,
                               rf_slice_f32 second,
                               rf_error *error);

// As `rf_frobenius_add_f32`, in double precision.
rf_status rf_frobenius_add_f64(rf_frobenius_f64 *sums,
                               rf_slice_f64 first,
                               rf_slice_f64 second,
                               rf_error *error);

// `relative_error <- |A - B|/|B|` and `cosine <- <A, B>/(|A| |B|)` in the Frobenius inner product.
// `sums` is read and stays.
rf_status rf_frobenius_compare_f32(float *relative_error,
                                   float *cosine,
                                   rf_frobenius_f32 *sums,
                                   rf_error *error);

// As `rf_frobenius_compare_f32`, in double precision.
rf_status rf_frobenius_compare_f64(double *relative_error,
                                   double *cosine,
                                   rf_frobenius_f64 *sums,
                                   rf_error *error);

// What a status means, in English, null-terminated, valid for ever.
const char *rf_status_text(int32_t status);

// Writes the message of an error into `buffer` (`capacity` bytes, null-terminated unless the capacity
// is 0, cut where it does not fit) and returns the bytes of the whole message without the
// terminator, as `snprintf` does. A null `error` has an empty message.
//
// # Safety
// `error` is null, all zeros, or was filled by a function of this library; `buffer` is null or has `capacity`
// bytes.
size_t rf_error_message(char *buffer,
                        const rf_error *error,
                        size_t capacity);

// The elements of `work` for `rf_two_layer_multiply` and `rf_two_layer_quadratic_form`: n samples,
// m hidden neurons, c outputs.
size_t rf_two_layer_multiply_workspace_len(size_t n, size_t m, size_t c);

// The elements of `work` for `rf_two_layer_solve`: n samples, W m*d, C c*k.
size_t rf_two_layer_solve_workspace_len(size_t n, size_t m, size_t d, size_t c, size_t k);

// The elements of `work` for `rf_two_layer_lower_multiply` and
// `rf_two_layer_lower_quadratic_form`: n samples, m hidden neurons, c outputs.
size_t rf_two_layer_lower_workspace_len(size_t n, size_t m, size_t c);

// The elements of `work` for `rf_two_layer_lower_solve`: n samples, W m*d, c outputs.
size_t rf_two_layer_lower_solve_workspace_len(size_t n, size_t m, size_t d, size_t c);

// `(Out_W, Out_C) <- M (V_W, V_C)` without forming M. Shapes: out_w and v_w m*d, out_c and v_c c*k,
// all with contiguous rows. Work: `rf_two_layer_multiply_workspace_len(n, m, c)`.
rf_status rf_two_layer_multiply_f32(rf_matrix_mut_f32 out_w,
                                    rf_matrix_mut_f32 out_c,
                                    rf_two_layer_f32 metric,
                                    rf_matrix_f32 v_w,
                                    rf_matrix_f32 v_c,
                                    rf_slice_mut_f32 work,
                                    rf_error *error);

// As `rf_two_layer_multiply_f32`, in double precision.
rf_status rf_two_layer_multiply_f64(rf_matrix_mut_f64 out_w,
                                    rf_matrix_mut_f64 out_c,
                                    rf_two_layer_f64 metric,
                                    rf_matrix_f64 v_w,
                                    rf_matrix_f64 v_c,
                                    rf_slice_mut_f64 work,
                                    rf_error *error);

// `out <- ` the squared length of the step (V_W, V_C), never negative. Shapes: v_w m*d, v_c c*k with
// contiguous rows. Work: `rf_two_layer_multiply_workspace_len(n, m, c)`.
rf_status rf_two_layer_quadratic_form_f32(float *out,
                                          rf_two_layer_f32 metric,
                                          rf_matrix_f32 v_w,
                                          rf_matrix_f32 v_c,
                                          rf_slice_mut_f32 work,
                                          rf_error *error);

// As `rf_two_layer_quadratic_form_f32`, in double precision.
rf_status rf_two_layer_quadratic_form_f64(double *out,
                                          rf_two_layer_f64 metric,
                                          rf_matrix_f64 v_w,
                                          rf_matrix_f64 v_c,
                                          rf_slice_mut_f64 work,
                                          rf_error *error);

// `Out <- M`, dense, (md + ck)*(md + ck), both triangles: for tests and small networks. Work:
// `rf_metric_dense_workspace_len(n, the larger of d and k)`.
rf_status rf_two_layer_dense_f32(rf_matrix_mut_f32 out,
                                 rf_two_layer_f32 metric,
                                 rf_slice_mut_f32 work,
                                 rf_error *error);

// As `rf_two_layer_dense_f32`, in double precision.
rf_status rf_two_layer_dense_f64(rf_matrix_mut_f64 out,
                                 rf_two_layer_f64 metric,
                                 rf_slice_mut_f64 work,
                                 rf_error *error);

// `Out <- ` the block (W, C) of M, md*ck. Work: `rf_metric_dense_workspace_len(n, d)`.
rf_status rf_two_layer_cross_f32(rf_matrix_mut_f32 out,
                                 rf_two_layer_f32 metric,
                                 rf_slice_mut_f32 work,
                                 rf_error *error);

// As `rf_two_layer_cross_f32`, in double precision.
rf_status rf_two_layer_cross_f64(rf_matrix_mut_f64 out,
                                 rf_two_layer_f64 metric,
                                 rf_slice_mut_f64 work,
                                 rf_error *error);

// `out <- (M + damping I)^-1 g` by conjugate gradients, and how many products with M that took.
// Converged when the residual is at most tolerance |g|; a tolerance of 0 stands for 16 times the
// machine precision, 0 for `most` products for 1000. Shapes: out and g md + ck elements, W first,
// each row-major. Work: `rf_two_layer_solve_workspace_len(n, m, d, c, k)`.
rf_status rf_two_layer_solve_f32(rf_slice_mut_f32 out,
                                 size_t *products,
                                 rf_two_layer_f32 metric,
                                 rf_slice_f32 g,
                                 float damping,
                                 float tolerance,
                                 uint32_t most,
                                 rf_slice_mut_f32 work,
                                 rf_error *error);

// As `rf_two_layer_solve_f32`, in double precision.
rf_status rf_two_layer_solve_f64(rf_slice_mut_f64 out,
                                 size_t *products,
                                 rf_two_layer_f64 metric,
                                 rf_slice_f64 g,
                                 double damping,
                                 double tolerance,
                                 uint32_t most,
                                 rf_slice_mut_f64 work,
                                 rf_error *error);

// `Out <- B V`, B the block (W, W) of M: the metric of the lower layer seen from the response.
// Shapes: out and v m*d, out with contiguous rows. Work:
// `rf_two_layer_lower_workspace_len(n, m, c)`.
rf_status rf_two_layer_lower_multiply_f32(rf_matrix_mut_f32 out,
                                          rf_two_layer_f32 metric,
                                          rf_matrix_f32 v,
                                          rf_slice_mut_f32 work,
                                          rf_error *error);

// As `rf_two_layer_lower_multiply_f32`, in double precision.
rf_status rf_two_layer_lower_multiply_f64(rf_matrix_mut_f64 out,
                                          rf_two_layer_f64 metric,
                                          rf_matrix_f64 v,
                                          rf_slice_mut_f64 work,
                                          rf_error *error);

// `out <- vec(V)^T B vec(V)`, B as in `rf_two_layer_lower_multiply`, never negative. Shape: v m*d.
// Work: `rf_two_layer_lower_workspace_len(n, m, c)`.
rf_status rf_two_layer_lower_quadratic_form_f32(float *out,
                                                rf_two_layer_f32 metric,
                                                rf_matrix_f32 v,
                                                rf_slice_mut_f32 work,
                                                rf_error *error);

// As `rf_two_layer_lower_quadratic_form_f32`, in double precision.
rf_status rf_two_layer_lower_quadratic_form_f64(double *out,
                                                rf_two_layer_f64 metric,
                                                rf_matrix_f64 v,
                                                rf_slice_mut_f64 work,
                                                rf_error *error);

// `Out <- ` the diagonal of B as an m*d matrix.
rf_status rf_two_layer_lower_diagonal_f32(rf_matrix_mut_f32 out, rf_two_layer_f32 metric, rf_error *error);

// As `rf_two_layer_lower_diagonal_f32`, in double precision.
rf_status rf_two_layer_lower_diagonal_f64(rf_matrix_mut_f64 out, rf_two_layer_f64 metric, rf_error *error);

// `Out <- B`, dense, md*md, both triangles: for tests and small layers. Work:
// `rf_metric_dense_workspace_len(n, d)`.
rf_status rf_two_layer_lower_dense_f32(rf_matrix_mut_f32 out,
                                       rf_two_layer_f32 metric,
                                       rf_slice_mut_f32 work,
                                       rf_error *error);

// As `rf_two_layer_lower_dense_f32`, in double precision.
rf_status rf_two_layer_lower_dense_f64(rf_matrix_mut_f64 out,
                                       rf_two_layer_f64 metric,
                                       rf_slice_mut_f64 work,
                                       rf_error *error);

// `Out <- (B + damping I)^-1 G` by conjugate gradients, and how many products with B that took;
// tolerance and most as in `rf_two_layer_solve`. Shapes: out and g m*d with contiguous rows. Work:
// `rf_two_layer_lower_solve_workspace_len(n, m, d, c)`.
rf_status rf_two_layer_lower_solve_f32(rf_matrix_mut_f32 out,
                                       size_t *products,
                                       rf_two_layer_f32 metric,
                                       rf_matrix_f32 g,
                                       float damping,
                                       float tolerance,
                                       uint32_t most,
                                       rf_slice_mut_f32 work,
                                       rf_error *error);

// As `rf_two_layer_lower_solve_f32`, in double precision.
rf_status rf_two_layer_lower_solve_f64(rf_matrix_mut_f64 out,
                                       size_t *products,
                                       rf_two_layer_f64 metric,
                                       rf_matrix_f64 g,
                                       double damping,
                                       double tolerance,
                                       uint32_t most,
                                       rf_slice_mut_f64 work,
                                       rf_error *error);

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
