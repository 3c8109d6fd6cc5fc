/* The tour on a Cortex-M4 with nothing else on it: a vector table, the floating-point unit switched
 * on, memory set up, text and exit by semihosting (Arm, "Semihosting for AArch32 and AArch64"). */
#include <stdint.h>

#include "tour.h"

extern uint32_t __stack_top, __data_load, __data_start, __data_end, __bss_start, __bss_end;

static int32_t semihosting(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, STOPPED_APPLICATION_EXIT = 0x20026 };

void port_write(const char *text) {
    semihosting(SYS_WRITE0, text);
}

static void leave(uint32_t status) {
    const uint32_t reason[2] = {STOPPED_APPLICATION_EXIT, status};
    semihosting(SYS_EXIT_EXTENDED, reason);
    for (;;) {
    }
}

#ifdef STACK_LIMIT
/* Every word of the stack that was never written still holds the pattern. */
enum { PATTERN = 0x5eedc0de, PAINTED = 0x10000 };

static void paint_stack(void) {
    volatile uint32_t *word = &__stack_top - PAINTED / 4, *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (; word < here - 16; word++) *word = PATTERN;
}

static uint32_t stack_used(void) {
    const volatile uint32_t *word = &__stack_top - PAINTED / 4;
    while (word < &__stack_top && *word == PATTERN) word++;
    return (uint32_t)((&__stack_top - word) * 4);
}
#endif

void reset(void) {
    volatile uint32_t *const coprocessor_access = (volatile uint32_t *)0xe000ed88u;
    const uint32_t *from = &__data_load;
    uint32_t *to;
    *coprocessor_access |= 0xfu << 20; /* CP10 and CP11: the floating-point unit */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    for (to = &__data_start; to < &__data_end; to++) *to = *from++;
    for (to = &__bss_start; to < &__bss_end; to++) *to = 0;
#ifdef STACK_LIMIT
    {
        uint32_t status, used;
        paint_stack();
        status = tour() != 0;
        used = stack_used();
        /* A mark below a half would mean that it was not read. */
        leave(status != 0 ? status : used > STACK_LIMIT || used < STACK_LIMIT / 2 ? 4 : 0);
    }
#else
    leave(tour() != 0);
#endif
}

static void fault(void) {
    port_write("fault\n");
    leave(3);
}

typedef void (*handler_t)(void);

__attribute__((section(".vectors"), used)) static const handler_t vectors[] = {
    (handler_t)(uintptr_t)&__stack_top, reset, fault, fault, fault, fault, fault,
};
