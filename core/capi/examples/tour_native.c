/* The tour on the machine that compiled it. */
#include <stdio.h>

#include "tour.h"

void port_write(const char *text) {
    fputs(text, stdout);
}

int main(void) {
    const int status = tour();
    if (status != 0) fprintf(stderr, "tour: status %d\n", status);
    return status != 0;
}
