/* SPDX-License-Identifier: Apache-2.0
 * message.c - one interpreter for all of messages.def: data rows in, bytes out, and back.
 */
#include "proto/message.h"

#include <endian.h>
#include <string.h>

#include "proto/errors.h"

#define MSG(m, route, doc)         static const field_info_t m##_fields[] = {
#define STR(m, field, lo, hi, doc) {#field, FIELD_STR, offsetof(msg_##m##_t, field), lo, hi, doc},
#define BIN(m, field, lo, hi, doc) {#field, FIELD_BIN, offsetof(msg_##m##_t, field), lo, hi, doc},
#define INT(m, field, lo, hi, doc) {#field, FIELD_INT, offsetof(msg_##m##_t, field), lo, hi, doc},
#define END(m)                                                                                     \
    }                                                                                              \
    ;
#include "proto/messages.def"
#undef MSG
#undef STR
#undef BIN
#undef INT
#undef END

const message_info_t message_infos[MSG_count] = {
#define MSG(m, route, doc) {#m, route, doc, m##_fields, sizeof(m##_fields) / sizeof(m##_fields[0])},
#define STR(m, field, lo, hi, doc)
#define BIN(m, field, lo, hi, doc)
#define INT(m, field, lo, hi, doc)
#define END(m)
#include "proto/messages.def"
#undef MSG
#undef STR
#undef BIN
#undef INT
#undef END
};

enum { ENVELOPE_FIELDS = 2 }; /* type and corr stand before the message's own fields */

text_t text_of(const char *terminated)
{
    return (text_t){terminated, strlen(terminated)};
}

bool text_equal(text_t a, text_t b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool within(const field_info_t *field, int64_t value)
{
    return value >= field->lo && value <= field->hi;
}

void frame_add(frame_t *frame, message_type_t type, uint64_t corr, const void *fields)
{
    const message_info_t *info = &message_infos[type];
    msgpack_packer packer;
    msgpack_packer_init(&packer, &frame->bytes, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, ENVELOPE_FIELDS + info->field_count);
    msgpack_pack_uint8(&packer, (uint8_t)type);
    msgpack_pack_uint64(&packer, corr);
    for (size_t i = 0; i < info->field_count; i++) {
        const field_info_t *field = &info->fields[i];
        const void *at = (const char *)fields + field->offset;
        if (field->type == FIELD_INT) {
            int64_t value = *(const int64_t *)at;
            must(within(field, value));
            msgpack_pack_int64(&packer, value);
            continue;
        }
        const text_t *text = at;
        must(within(field, (int64_t)text->size));
        if (field->type == FIELD_STR) {
            msgpack_pack_str(&packer, text->size);
            msgpack_pack_str_body(&packer, text->data, text->size);
        } else {
            msgpack_pack_bin(&packer, text->size);
            msgpack_pack_bin_body(&packer, text->data, text->size);
        }
    }
    frame->count++;
}

void frame_clear(frame_t *frame)
{
    msgpack_sbuffer_destroy(&frame->bytes);
    *frame = (frame_t){0};
}

void frame_reader_reset(frame_reader_t *reader, const void *data, size_t size)
{
    reader->data = data;
    reader->size = size;
    reader->offset = 0;
}

void frame_reader_fini(frame_reader_t *reader)
{
    *reader = (frame_reader_t){0};
}

/* --- reading scalars -------------------------------------------------------------------------- */

typedef enum scalar_kind {
    SCALAR_NONE, /* a container, a float, an ext: nothing of ours */
    SCALAR_UNSIGNED,
    SCALAR_SIGNED,
    SCALAR_STR,
    SCALAR_BIN,
} scalar_kind_t;

typedef struct scalar {
    scalar_kind_t kind;
    uint64_t number;  /* its bits; of a text its size */
    const char *text; /* in the frame */
} scalar_t;

typedef struct cursor {
    const uint8_t *at, *end;
} cursor_t;

/* bytes: 1, 2, 4 or 8. */
static inline uint64_t big_endian(const uint8_t *at, size_t bytes)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (bytes) {
    case 1:
        return at[0];
    case 2:
        memcpy(&two, at, sizeof(two));
        return be16toh(two);
    case 4:
        memcpy(&four, at, sizeof(four));
        return be32toh(four);
    default:
        memcpy(&eight, at, sizeof(eight));
        return be64toh(eight);
    }
}

/* False: there is none within the frame. msgpack specification, "Formats". */
static inline bool take_scalar(cursor_t *cursor, scalar_t *out)
{
    static const struct {
        uint8_t kind, bytes; /* of the number behind the code; before a text that is its size */
    } codes[] = {
        [0x04] = {SCALAR_BIN, 1},      [0x05] = {SCALAR_BIN, 2},      [0x06] = {SCALAR_BIN, 4},
        [0x0c] = {SCALAR_UNSIGNED, 1}, [0x0d] = {SCALAR_UNSIGNED, 2}, [0x0e] = {SCALAR_UNSIGNED, 4},
        [0x0f] = {SCALAR_UNSIGNED, 8}, [0x10] = {SCALAR_SIGNED, 1},   [0x11] = {SCALAR_SIGNED, 2},
        [0x12] = {SCALAR_SIGNED, 4},   [0x13] = {SCALAR_SIGNED, 8},   [0x19] = {SCALAR_STR, 1},
        [0x1a] = {SCALAR_STR, 2},      [0x1b] = {SCALAR_STR, 4},      [0x1f] = {SCALAR_NONE, 0},
    };
    const uint8_t *at = cursor->at;
    if (at == cursor->end)
        return false;
    uint8_t code = *at++;
    if (code <= 0x7f) {
        *out = (scalar_t){.kind = SCALAR_UNSIGNED, .number = code};
    } else if (code >= 0xe0) {
        *out = (scalar_t){.kind = SCALAR_SIGNED, .number = (uint64_t)(int64_t)(int8_t)code};
    } else if (code >= 0xa0 && code <= 0xbf) {
        *out = (scalar_t){.kind = SCALAR_STR, .number = code & 0x1f};
    } else {
        size_t bytes = code >= 0xc0 ? codes[code - 0xc0].bytes : 0;
        if (bytes == 0 || bytes > (size_t)(cursor->end - at))
            return false;
        *out = (scalar_t){.kind = codes[code - 0xc0].kind, .number = big_endian(at, bytes)};
        if (out->kind == SCALAR_SIGNED && (at[0] & 0x80) != 0 && bytes < 8)
            out->number |= UINT64_MAX << (8 * bytes);
        at += bytes;
    }
    if (out->kind >= SCALAR_STR) {
        if (out->number > (size_t)(cursor->end - at))
            return false;
        out->text = (const char *)at;
        at += out->number;
    }
    cursor->at = at;
    return true;
}

/* False: it is no whole number, or negative, or there is none. */
static bool take_number(cursor_t *cursor, uint64_t *out)
{
    scalar_t scalar;
    if (!take_scalar(cursor, &scalar) || scalar.kind > SCALAR_SIGNED)
        return false;
    *out = scalar.number;
    return scalar.kind == SCALAR_UNSIGNED || scalar.number <= INT64_MAX;
}

/* --- reading messages ------------------------------------------------------------------------- */

static bool set_text(const scalar_t *from, const field_info_t *field, text_t *to)
{
    bool is_str = field->type == FIELD_STR;
    if (from->kind != (is_str ? SCALAR_STR : SCALAR_BIN) || !within(field, (int64_t)from->number))
        return false;
    *to = (text_t){from->text, from->number};
    return !is_str || to->size == 0 || memchr(to->data, '\0', to->size) == NULL;
}

static bool set_int(const scalar_t *from, const field_info_t *field, int64_t *to)
{
    if (from->kind != SCALAR_SIGNED && (from->kind != SCALAR_UNSIGNED || from->number > INT64_MAX))
        return false;
    *to = (int64_t)from->number;
    return within(field, *to);
}

/* How many elements the array has whose head stands here, before the end; 0: there is none, or no small one. */
static size_t take_array_head(cursor_t *cursor)
{
    const uint8_t *at = cursor->at;
    size_t left = (size_t)(cursor->end - at);
    if ((at[0] & 0xf0) == 0x90) {
        cursor->at += 1;
        return at[0] & 0x0f;
    }
    if (left >= 3 && at[0] == 0xdc) {
        cursor->at += 3;
        return big_endian(at + 1, 2);
    }
    return 0;
}

static bool take_message(cursor_t *cursor, message_t *out)
{
    size_t count = take_array_head(cursor);
    uint64_t type;
    if (count < ENVELOPE_FIELDS || !take_number(cursor, &type) || type >= MSG_count ||
        !take_number(cursor, &out->corr))
        return false;
    const message_info_t *info = &message_infos[type];
    if (count != ENVELOPE_FIELDS + info->field_count)
        return false;
    out->type = (message_type_t)type;
    /* Every member of the union starts where the union starts. */
    char *fields = (char *)&out->user_create;
    for (size_t i = 0; i < info->field_count; i++) {
        const field_info_t *field = &info->fields[i];
        void *to = fields + field->offset;
        scalar_t scalar;
        if (!take_scalar(cursor, &scalar) ||
            !(field->type == FIELD_INT ? set_int(&scalar, field, to)
                                       : set_text(&scalar, field, to)))
            return false;
    }
    return true;
}

int frame_reader_next(frame_reader_t *reader, message_t *out)
{
    if (reader->offset == reader->size)
        return 0;
    cursor_t cursor = {(const uint8_t *)reader->data + reader->offset,
                       (const uint8_t *)reader->data + reader->size};
    message_t message;
    if (!take_message(&cursor, &message))
        return ERR_BAD_FRAME;
    *out = message;
    reader->offset = (size_t)(cursor.at - (const uint8_t *)reader->data);
    return 1;
}
