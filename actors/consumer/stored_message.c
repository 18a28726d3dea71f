/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/stored_message.h"

#include <msgpack.h>

#include "proto/errors.h"

enum { TEXT_COUNT = 5, FIXED_COUNT = TEXT_COUNT + 1, ZONE_BYTES = 4096 };

static int write_bytes(void *buffer, const char *bytes, size_t size)
{
    text_add(buffer, (text_t){bytes, size});
    return 0;
}

static void pack_text(msgpack_packer *packer, text_t text)
{
    msgpack_pack_str(packer, text.size);
    msgpack_pack_str_body(packer, text.data, text.size);
}

void stored_message_pack(text_buffer_t *out, const broker_message_t *message)
{
    const text_t texts[TEXT_COUNT] = {message->content_type, message->app_id, message->message_id,
                                      message->type, message->correlation_id};
    size_t count =
        message->header_count < STORED_HEADERS_MAX ? message->header_count : STORED_HEADERS_MAX;
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, write_bytes);
    msgpack_pack_array(&packer, FIXED_COUNT + 2 * count);
    for (size_t i = 0; i < TEXT_COUNT; i++)
        pack_text(&packer, texts[i]);
    msgpack_pack_uint64(&packer, message->timestamp);
    for (size_t i = 0; i < count; i++) {
        pack_text(&packer, message->headers[i].key);
        pack_text(&packer, message->headers[i].value);
    }
}

static bool take_text(text_t *out, const msgpack_object *object)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return false;
    *out = (text_t){object->via.str.ptr, object->via.str.size};
    return true;
}

static bool take_fixed(broker_message_t *out, const msgpack_object *items)
{
    text_t *const texts[TEXT_COUNT] = {&out->content_type, &out->app_id, &out->message_id,
                                       &out->type, &out->correlation_id};
    for (size_t i = 0; i < TEXT_COUNT; i++)
        if (!take_text(texts[i], &items[i]))
            return false;
    if (items[TEXT_COUNT].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return false;
    out->timestamp = items[TEXT_COUNT].via.u64;
    return true;
}

static bool take_array(stored_message_t *out, const msgpack_object_array *array)
{
    if (array->size < FIXED_COUNT || array->size % 2 != FIXED_COUNT % 2 ||
        array->size > FIXED_COUNT + 2 * STORED_HEADERS_MAX ||
        !take_fixed(&out->message, array->ptr))
        return false;
    for (size_t i = FIXED_COUNT; i < array->size; i += 2) {
        broker_header_t *header = &out->headers[out->message.header_count++];
        if (!take_text(&header->key, &array->ptr[i]) ||
            !take_text(&header->value, &array->ptr[i + 1]))
            return false;
    }
    return true;
}

/* A longer array would have memory taken for what it claims to hold. What begins so and can be unpacked is one. */
static bool is_short_array(text_t packed)
{
    unsigned char code = packed.size > 0 ? (unsigned char)packed.data[0] : 0;
    return (code & 0xf0) == 0x90 || code == 0xdc;
}

bool stored_message_unpack(stored_message_t *out, text_t properties, text_t body)
{
    msgpack_zone zone;
    msgpack_object object;
    *out = (stored_message_t){.message = {.headers = out->headers, .body = body}};
    if (!is_short_array(properties))
        return false;
    must(msgpack_zone_init(&zone, ZONE_BYTES));
    /* success means that nothing stands behind it */
    bool well = msgpack_unpack(properties.data, properties.size, NULL, &zone, &object) ==
                    MSGPACK_UNPACK_SUCCESS &&
                take_array(out, &object.via.array);
    msgpack_zone_destroy(&zone); /* the texts are not in it */
    return well;
}
