/* The tour in both precisions. A line is the step, a hash of the bits of its result, and the bits of
 * the first element. */
#include "tour.h"

#include "relfisher.h"

enum { N = 12, D = 5, M = 3, WORK = 4096 };

static void write_hex(uint64_t bits, int digits) {
    char text[18];
    int i;
    text[0] = ' ';
    for (i = 0; i < digits; i++) {
        text[1 + i] = "0123456789abcdef"[(bits >> (4 * (digits - 1 - i))) & 15];
    }
    text[1 + digits] = 0;
    port_write(text);
}

/* FNV-1a over the bytes of the numbers, least significant byte first. */
static uint64_t hash_bits(uint64_t hash, uint64_t bits, int bytes) {
    int i;
    for (i = 0; i < bytes; i++) {
        hash = (hash ^ ((bits >> (8 * i)) & 255)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Multiples of 2^-10 in [-2, 2), exact in both precisions. */
static double next_input(uint32_t *state) {
    *state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
    return ((int32_t)(*state >> 20) - 2048) / 1024.0;
}

#define REAL float
#define BITS uint32_t
#define F(name) name##_f32
#define SUFFIX ".f32"
#include "tour_steps.h"
#include "tour_structures.h"
#undef TRY
#undef REAL
#undef BITS
#undef F
#undef SUFFIX

#define REAL double
#define BITS uint64_t
#define F(name) name##_f64
#define SUFFIX ".f64"
#include "tour_steps.h"
#include "tour_structures.h"

int tour(void) {
    int status = tour_f32();
    if (status == RF_STATUS_OK) status = structures_f32();
    if (status == RF_STATUS_OK) status = tour_f64();
    return status != RF_STATUS_OK ? status : structures_f64();
}
