/* rooms: proto */
/* SPDX-License-Identifier: Apache-2.0
 * message_fuzz.c - frames between actors. What unpacks is within the bounds of messages.def, lies inside the frame
 * and packs again to the same; what is packed unpacks to the same, and no part of it does.
 *
 * Input: a frame as it arrives; or 'B' and what messages are built from.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"
#include "tests/fuzz/fuzz_input.h"

enum { BUILT_MAX = 8, TEXT_MAX = 2048 };

static const void *field_at(const message_t *message, const field_info_t *field)
{
    return (const char *)&message->user_create + field->offset;
}

static void check_text(const field_info_t *field, text_t text, text_t frame)
{
    must((int64_t)text.size >= field->lo && (int64_t)text.size <= field->hi);
    must(text.size == 0 ||
         (text.data >= frame.data && text.data + text.size <= frame.data + frame.size));
    if (field->type == FIELD_STR && text.size > 0)
        must(memchr(text.data, '\0', text.size) == NULL);
}

static void check_message(const message_t *message, text_t frame)
{
    must(message->type < MSG_count);
    const message_info_t *info = &message_infos[message->type];
    for (size_t i = 0; i < info->field_count; i++) {
        const field_info_t *field = &info->fields[i];
        const void *at = field_at(message, field);
        if (field->type == FIELD_INT)
            must(*(const int64_t *)at >= field->lo && *(const int64_t *)at <= field->hi);
        else
            check_text(field, *(const text_t *)at, frame);
    }
}

static void check_equal(const message_t *a, const message_t *b)
{
    must(a->type == b->type && a->corr == b->corr);
    const message_info_t *info = &message_infos[a->type];
    for (size_t i = 0; i < info->field_count; i++) {
        const field_info_t *field = &info->fields[i];
        const void *at_a = field_at(a, field), *at_b = field_at(b, field);
        if (field->type == FIELD_INT)
            must(*(const int64_t *)at_a == *(const int64_t *)at_b);
        else
            must(text_equal(*(const text_t *)at_a, *(const text_t *)at_b));
    }
}

/* Reads one message. On an error nothing of it may be in *out. */
static int read_next(frame_reader_t *reader, message_t *out)
{
    memset(out, 0x5a, sizeof(*out));
    message_t before = *out;
    int got = frame_reader_next(reader, out);
    must(got == 1 || got == 0 || got == ERR_BAD_FRAME);
    must(reader->offset <= reader->size);
    if (got != 1)
        must(memcmp(out, &before, sizeof(before)) == 0);
    return got;
}

/* Reads the frame, compares it with `packed`, which was made of the same messages, and packs it again. */
static void check_same(text_t frame, const frame_t *packed)
{
    frame_reader_t a = {0}, b = {0};
    frame_t again = {0};
    message_t from_a, from_b;
    frame_reader_reset(&a, frame.data, frame.size);
    frame_reader_reset(&b, packed->bytes.data, packed->bytes.size);
    for (unsigned i = 0; i < packed->count; i++) {
        must(read_next(&a, &from_a) == 1 && read_next(&b, &from_b) == 1);
        check_equal(&from_a, &from_b);
        frame_add(&again, from_b.type, from_b.corr, &from_b.user_create);
    }
    must(read_next(&b, &from_b) == 0);
    must(again.bytes.size == packed->bytes.size);
    must(again.bytes.size == 0 ||
         memcmp(again.bytes.data, packed->bytes.data, again.bytes.size) == 0);
    frame_clear(&again);
    frame_reader_fini(&a);
    frame_reader_fini(&b);
}

static void read_frame(text_t frame)
{
    frame_reader_t reader = {0};
    frame_t packed = {0};
    message_t message;
    frame_reader_reset(&reader, frame.data, frame.size);
    while (read_next(&reader, &message) == 1) {
        check_message(&message, frame);
        frame_add(&packed, message.type, message.corr, &message.user_create);
    }
    check_same(frame, &packed);
    frame_reader_fini(&reader);
    frame_clear(&packed);
}

/* --- built messages --------------------------------------------------------------------------- */

/* A value of lo..hi, the bounds more often than by chance. */
static int64_t choose(fuzz_input_t *input, int64_t lo, int64_t hi)
{
    uint8_t choice = fuzz_byte(input);
    if (choice < 64)
        return choice % 2 == 0 ? lo : hi;
    uint64_t range = (uint64_t)hi - (uint64_t)lo, value = fuzz_number(input, choice < 160 ? 1 : 8);
    return (int64_t)((uint64_t)lo + (range == UINT64_MAX ? value : value % (range + 1)));
}

static text_t build_text(fuzz_input_t *input, const field_info_t *field)
{
    int64_t hi = field->hi < TEXT_MAX || field->lo >= TEXT_MAX ? field->hi : TEXT_MAX;
    size_t size = (size_t)choose(input, field->lo, hi);
    size_t own = input->size < size ? input->size : size;
    char *text = malloc(size > 0 ? size : 1);
    must(text != NULL);
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = i < own ? input->data[i] : 'x';
        text[i] = (char)(byte == 0 && field->type == FIELD_STR ? '0' : byte);
    }
    return (text_t){text, size};
}

static void build_message(fuzz_input_t *input, message_t *out)
{
    out->type = (message_type_t)(fuzz_byte(input) % MSG_count);
    out->corr = fuzz_number(input, 8);
    const message_info_t *info = &message_infos[out->type];
    for (size_t i = 0; i < info->field_count; i++) {
        const field_info_t *field = &info->fields[i];
        void *at = (void *)(uintptr_t)field_at(out, field);
        if (field->type == FIELD_INT)
            *(int64_t *)at = choose(input, field->lo, field->hi);
        else
            *(text_t *)at = build_text(input, field);
    }
}

static void free_message(message_t *message)
{
    const message_info_t *info = &message_infos[message->type];
    for (size_t i = 0; i < info->field_count; i++)
        if (info->fields[i].type != FIELD_INT)
            free((void *)(uintptr_t)((const text_t *)field_at(message, &info->fields[i]))->data);
}

/* The frame without its last bytes: all messages but the last are there, and that one is not. */
static void check_cut(const frame_t *frame, size_t last_size, size_t cut)
{
    size_t size = frame->bytes.size - 1 - cut % last_size;
    char *part = malloc(size > 0 ? size : 1);
    frame_reader_t reader = {0};
    message_t message;
    must(part != NULL);
    memcpy(part, frame->bytes.data, size);
    frame_reader_reset(&reader, part, size);
    for (unsigned i = 1; i < frame->count; i++)
        must(read_next(&reader, &message) == 1);
    must(read_next(&reader, &message) ==
         (size + last_size == frame->bytes.size ? 0 : ERR_BAD_FRAME));
    frame_reader_fini(&reader);
    free(part);
}

static void build_frame(fuzz_input_t *input)
{
    message_t built[BUILT_MAX], message;
    frame_t frame = {0};
    frame_reader_t reader = {0};
    size_t count = 0, last_size = 0, cut = fuzz_number(input, 2);
    while (input->size > 0 && count < BUILT_MAX) {
        size_t before = frame.bytes.size;
        build_message(input, &built[count]);
        frame_add(&frame, built[count].type, built[count].corr, &built[count].user_create);
        last_size = frame.bytes.size - before;
        count++;
    }
    must(frame.count == count);
    frame_reader_reset(&reader, frame.bytes.data, frame.bytes.size);
    for (size_t i = 0; i < count; i++) {
        must(read_next(&reader, &message) == 1);
        check_equal(&message, &built[i]);
        free_message(&built[i]);
    }
    must(read_next(&reader, &message) == 0);
    if (count > 0)
        check_cut(&frame, last_size, cut);
    frame_reader_fini(&reader);
    frame_clear(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    if (size > 0 && data[0] == 'B') {
        fuzz_byte(&input);
        build_frame(&input);
    } else {
        read_frame(fuzz_rest(&input));
    }
    fuzz_input_fini(&input);
    return 0;
}
