/* A tour through the library without an operating system: no files, no libc, no heap. The same
 * computation runs natively, on a microcontroller (bare-metal/) and as a wasm module
 * (wasm/tour.mjs), and prints the same bits. */
#ifndef TOUR_H
#define TOUR_H

/* Where the text goes; each port has its own. */
void port_write(const char *text);

/* Runs every step in both precisions; 0, or the first status that was not RF_STATUS_OK. */
int tour(void);

#endif
