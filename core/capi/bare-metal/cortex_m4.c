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

void reset(void) {
    volatile uint32_t *const coprocessor_access = (volatile uint32_t *)0xe000ed88u;
    const uint32_t *from = &__data_load;
    uint32_t *to;
    *coprocessor_access |= 0xfu << 20; /* CP10 and CP11: the floating-point unit */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    for (to = &__data_start; to < &__data_end; to++) *to = *from++;
    for (to = &__bss_start; to < &__bss_end; to++) *to = 0;
    leave(tour() != 0);
}

static void fault(void) {
    port_write("fault\n");
    leave(3);
}

typedef void (*handler_t)(void);

__attribute__((section(".vectors"), used)) static const handler_t vectors[] = {
    (handler_t)(uintptr_t)&__stack_top, reset, fault, fault, fault, fault, fault,
};
