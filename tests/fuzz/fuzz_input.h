/* SPDX-License-Identifier: Apache-2.0
 * fuzz_input.h - what every fuzz target shares: the entry point, and the input taken apart into fields.
 *
 * A field ends at FUZZ_SEPARATOR, so that seeds can be written by hand and a mutation of one field leaves the
 * others alone. Each is a copy of exactly its size: reading beyond it is beyond an allocation, which
 * AddressSanitizer sees.
 */
#ifndef USERBUS_TESTS_FUZZ_FUZZ_INPUT_H
#define USERBUS_TESTS_FUZZ_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h" /* text_t */

enum {
    FUZZ_SEPARATOR = 0x1e, /* ASCII's record separator */
    FUZZ_FIELDS_MAX = 256,
};

typedef struct fuzz_input {
    const uint8_t *data; /* what is left */
    size_t size;
    char *copies[FUZZ_FIELDS_MAX];
    size_t copy_count;
} fuzz_input_t;

void fuzz_input_init(fuzz_input_t *self, const uint8_t *data, size_t size);

/* Frees all fields. */
void fuzz_input_fini(fuzz_input_t *self);

/* 0 at the end. */
uint8_t fuzz_byte(fuzz_input_t *self);

/* `bytes` of them, big endian; missing ones are 0. */
uint64_t fuzz_number(fuzz_input_t *self, int bytes);

/* At most so many of the next bytes. */
text_t fuzz_bytes(fuzz_input_t *self, size_t most);

/* To the next separator, which is dropped, or to the end; what is beyond `most` is dropped too. */
text_t fuzz_field(fuzz_input_t *self, size_t most);

/* The same, terminated: it ends at a NUL of its own. */
char *fuzz_string(fuzz_input_t *self, size_t most);

text_t fuzz_rest(fuzz_input_t *self);

/* libFuzzer's entry point; a property that does not hold aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
