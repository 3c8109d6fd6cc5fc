/* Readers of the files that the examples use: whole files, safetensors, IDX, npy. For little-endian
 * machines. Errors end the program with status 2 and say the file. */
#ifndef FILES_H
#define FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file in memory, with a terminating null behind it. */
typedef struct {
    const char *path;
    unsigned char *bytes;
    size_t len;
} file_t;

static inline void file_fail(const char *path, const char *why) {
    fprintf(stderr, "%s: %s\n", path, why);
    exit(2);
}

static inline file_t file_read(const char *path) {
    file_t file;
    FILE *stream = fopen(path, "rb");
    long end = 0;
    file.path = path;
    if (stream == NULL) file_fail(path, "cannot be opened");
    if (fseek(stream, 0, SEEK_END) != 0 || (end = ftell(stream)) < 0) file_fail(path, "no size");
    rewind(stream);
    file.len = (size_t)end;
    file.bytes = (unsigned char *)malloc(file.len + 1);
    if (file.bytes == NULL || fread(file.bytes, 1, file.len, stream) != file.len) {
        file_fail(path, "cannot be read");
    }
    file.bytes[file.len] = 0;
    fclose(stream);
    return file;
}

/* Copies the tensor `name` of a safetensors file into `out`, which must be exactly as large. */
static inline void tensor_read(const file_t *file, const char *name, void *out, size_t bytes) {
    uint64_t header = 0;
    char key[128];
    const char *place, *text = (const char *)file->bytes + 8;
    unsigned long begin, end;
    if (file->len < 8) file_fail(file->path, "no safetensors file");
    memcpy(&header, file->bytes, 8);
    if (header > file->len - 8) file_fail(file->path, "no safetensors file");
    snprintf(key, sizeof key, "\"%s\":", name);
    place = strstr(text, key);
    if (place != NULL) place = strstr(place, "\"data_offsets\":[");
    if (place == NULL || place >= text + header) file_fail(file->path, name);
    if (sscanf(place, "\"data_offsets\":[%lu,%lu]", &begin, &end) != 2 || begin > end ||
        end - begin != bytes || end > file->len - 8 - header) {
        file_fail(file->path, "a tensor of another shape");
    }
    memcpy(out, file->bytes + 8 + header + begin, bytes);
}

/* Copies the numbers of an npy file into `out`, which must be exactly as large. */
static inline void npy_read(const char *path, void *out, size_t bytes) {
    file_t file = file_read(path);
    if (file.len < bytes || memcmp(file.bytes, "\x93NUMPY", 6) != 0) {
        file_fail(path, "another number of elements");
    }
    memcpy(out, file.bytes + (file.len - bytes), bytes);
    free(file.bytes);
}

#endif
