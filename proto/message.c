/* SPDX-License-Identifier: Apache-2.0
 * message.c - one interpreter for all of messages.def: data rows in, bytes out, and back.
 */
#include "proto/message.h"

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
    if (!reader->zone_ready) {
        must(msgpack_zone_init(&reader->zone, 4096));
        reader->zone_ready = true;
    }
    reader->data = data;
    reader->size = size;
    reader->offset = 0;
}

void frame_reader_fini(frame_reader_t *reader)
{
    if (reader->zone_ready)
        msgpack_zone_destroy(&reader->zone);
    *reader = (frame_reader_t){0};
}

static uint32_t big_endian(const uint8_t *at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* Bytes of the scalar that starts at data[0], or 0 when it is no scalar of ours (a container, a
 * float, an ext) or does not fit into size. msgpack specification, "Formats". */
static size_t scalar_size(const uint8_t *data, size_t size)
{
    static const struct {
        uint8_t first, last; /* codes of the row */
        uint8_t fixed;       /* bytes of a number behind the code */
        uint8_t length;      /* or bytes of a length behind the code */
    } rows[] = {
        {0x00, 0x7f, 0, 0}, {0xe0, 0xff, 0, 0},                     /* small numbers */
        {0xcc, 0xcc, 1, 0}, {0xcd, 0xcd, 2, 0}, {0xce, 0xce, 4, 0}, /* unsigned */
        {0xcf, 0xcf, 8, 0}, {0xd0, 0xd0, 1, 0}, {0xd1, 0xd1, 2, 0}, /* signed from d0 */
        {0xd2, 0xd2, 4, 0}, {0xd3, 0xd3, 8, 0},                     /* */
        {0xc4, 0xc4, 0, 1}, {0xc5, 0xc5, 0, 2}, {0xc6, 0xc6, 0, 4}, /* bin */
        {0xd9, 0xd9, 0, 1}, {0xda, 0xda, 0, 2}, {0xdb, 0xdb, 0, 4}, /* str */
    };
    if (size == 0)
        return 0;
    uint8_t code = data[0];
    size_t need = 0;
    if (code >= 0xa0 && code <= 0xbf) {
        need = 1 + (size_t)(code & 0x1f);
    } else {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && need == 0; i++) {
            if (code < rows[i].first || code > rows[i].last)
                continue;
            need = 1 + (size_t)rows[i].fixed + rows[i].length;
            if (rows[i].length > 0 && need <= size)
                need += big_endian(data + 1, rows[i].length);
        }
    }
    return need <= size ? need : 0;
}

/* Bytes of the flat array that starts at data[0], or 0 when there is none within size. */
static size_t message_size(const uint8_t *data, size_t size)
{
    size_t count = 0, offset = 0;
    if (size >= 1 && (data[0] & 0xf0) == 0x90) {
        count = data[0] & 0x0f;
        offset = 1;
    } else if (size >= 3 && data[0] == 0xdc) {
        count = big_endian(data + 1, 2);
        offset = 3;
    } else {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        size_t step = scalar_size(data + offset, size - offset);
        if (step == 0)
            return 0;
        offset += step;
    }
    return offset;
}

static bool take_text(const msgpack_object *from, const field_info_t *field, text_t *to)
{
    if (field->type == FIELD_STR) {
        if (from->type != MSGPACK_OBJECT_STR)
            return false;
        *to = (text_t){from->via.str.ptr, from->via.str.size};
        if (to->size > 0 && memchr(to->data, '\0', to->size) != NULL)
            return false;
    } else {
        if (from->type != MSGPACK_OBJECT_BIN)
            return false;
        *to = (text_t){from->via.bin.ptr, from->via.bin.size};
    }
    return within(field, (int64_t)to->size);
}

static bool take_int(const msgpack_object *from, const field_info_t *field, int64_t *to)
{
    if (from->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *to = from->via.i64;
    else if (from->type == MSGPACK_OBJECT_POSITIVE_INTEGER && from->via.u64 <= INT64_MAX)
        *to = (int64_t)from->via.u64;
    else
        return false;
    return within(field, *to);
}

static bool take_message(const msgpack_object *from, message_t *out)
{
    if (from->type != MSGPACK_OBJECT_ARRAY || from->via.array.size < ENVELOPE_FIELDS)
        return false;
    const msgpack_object *items = from->via.array.ptr;
    if (items[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER || items[0].via.u64 >= MSG_count ||
        items[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return false;
    const message_info_t *info = &message_infos[items[0].via.u64];
    if (from->via.array.size != ENVELOPE_FIELDS + info->field_count)
        return false;
    out->type = (message_type_t)items[0].via.u64;
    out->corr = items[1].via.u64;
    /* Every member of the union starts where the union starts. */
    char *fields = (char *)&out->user_create;
    for (size_t i = 0; i < info->field_count; i++) {
        const field_info_t *field = &info->fields[i];
        void *to = fields + field->offset;
        const msgpack_object *item = &items[ENVELOPE_FIELDS + i];
        bool taken =
            field->type == FIELD_INT ? take_int(item, field, to) : take_text(item, field, to);
        if (!taken)
            return false;
    }
    return true;
}

int frame_reader_next(frame_reader_t *reader, message_t *out)
{
    if (reader->offset == reader->size)
        return 0;
    const char *at = reader->data + reader->offset;
    size_t size = message_size((const uint8_t *)at, reader->size - reader->offset);
    if (size == 0)
        return ERR_BAD_FRAME;
    size_t used = 0;
    msgpack_object object;
    msgpack_zone_clear(&reader->zone);
    if (msgpack_unpack(at, size, &used, &reader->zone, &object) != MSGPACK_UNPACK_SUCCESS)
        return ERR_BAD_FRAME;
    message_t message;
    if (!take_message(&object, &message))
        return ERR_BAD_FRAME;
    *out = message;
    reader->offset += size;
    return 1;
}
