/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz_input.h"

#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

void fuzz_input_init(fuzz_input_t *self, const uint8_t *data, size_t size)
{
    *self = (fuzz_input_t){.data = data, .size = size};
}

void fuzz_input_fini(fuzz_input_t *self)
{
    for (size_t i = 0; i < self->copy_count; i++)
        free(self->copies[i]);
    self->copy_count = 0;
}

static void skip(fuzz_input_t *self, size_t size)
{
    self->size -= size;
    if (size > 0)
        self->data += size;
}

/* The next bytes and `more` zeros behind them. */
static char *copy_next(fuzz_input_t *self, size_t size, size_t more)
{
    must(self->copy_count < FUZZ_FIELDS_MAX);
    char *copy = malloc(size + more);
    must(copy != NULL || size + more == 0);
    if (size > 0)
        memcpy(copy, self->data, size);
    if (more > 0)
        memset(copy + size, 0, more);
    self->copies[self->copy_count++] = copy;
    return copy;
}

uint8_t fuzz_byte(fuzz_input_t *self)
{
    return (uint8_t)fuzz_number(self, 1);
}

uint64_t fuzz_number(fuzz_input_t *self, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | (self->size > 0 ? *self->data : 0);
        skip(self, self->size > 0 ? 1 : 0);
    }
    return value;
}

text_t fuzz_bytes(fuzz_input_t *self, size_t most)
{
    size_t size = self->size < most ? self->size : most;
    text_t text = {copy_next(self, size, 0), size};
    skip(self, size);
    return text;
}

/* Bytes before the next separator. */
static size_t field_size(const fuzz_input_t *self)
{
    const uint8_t *end = self->size > 0 ? memchr(self->data, FUZZ_SEPARATOR, self->size) : NULL;
    return end != NULL ? (size_t)(end - self->data) : self->size;
}

static void skip_field(fuzz_input_t *self, size_t size)
{
    skip(self, size < self->size ? size + 1 : size);
}

text_t fuzz_field(fuzz_input_t *self, size_t most)
{
    size_t whole = field_size(self), size = whole < most ? whole : most;
    text_t text = {copy_next(self, size, 0), size};
    skip_field(self, whole);
    return text;
}

char *fuzz_string(fuzz_input_t *self, size_t most)
{
    size_t whole = field_size(self), size = whole < most ? whole : most;
    char *text = copy_next(self, size, 1);
    skip_field(self, whole);
    return text;
}

text_t fuzz_rest(fuzz_input_t *self)
{
    return fuzz_bytes(self, self->size);
}
