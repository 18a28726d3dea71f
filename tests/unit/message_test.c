/* rooms: proto */
/* SPDX-License-Identifier: Apache-2.0
 * message_test.c - walks messages.def: every message at both ends of every bound, and everything a
 * hostile frame could hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* after the four above, as it asks */
#include <cmocka.h>

#include "proto/errors.h"
#include "proto/message.h"

enum { LARGEST = 1 << 21 };

static char *filler; /* LARGEST bytes of 'x' */

/* Packs one message by hand, so that bounds can be broken: fields take `value(field)`, the one at
 * `odd` takes odd_value (a length for texts). */
static void pack_by_hand(msgpack_sbuffer *out, message_type_t type, bool high, int odd,
                         int64_t odd_value)
{
    const message_info_t *info = &message_infos[type];
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 2 + info->field_count);
    msgpack_pack_int(&packer, (int)type);
    msgpack_pack_uint64(&packer, UINT64_MAX);
    for (size_t i = 0; i < info->field_count; i++) {
        const field_info_t *field = &info->fields[i];
        int64_t value = (int)i == odd ? odd_value : high ? field->hi : field->lo;
        if (field->type == FIELD_INT) {
            msgpack_pack_int64(&packer, value);
        } else if (field->type == FIELD_STR) {
            msgpack_pack_str(&packer, (size_t)value);
            msgpack_pack_str_body(&packer, filler, (size_t)value);
        } else {
            msgpack_pack_bin(&packer, (size_t)value);
            msgpack_pack_bin_body(&packer, filler, (size_t)value);
        }
    }
}

static int read_one(const char *data, size_t size, message_t *out)
{
    /* A copy of the exact size, so that a sanitizer sees any read behind it. */
    char *copy = malloc(size + (size == 0));
    memcpy(copy, data, size);
    frame_reader_t reader = {0};
    frame_reader_reset(&reader, copy, size);
    int result = frame_reader_next(&reader, out);
    if (result == 1 && reader.offset != size)
        result = ERR_BAD_FRAME; /* trailing bytes are the next message, and here there is none */
    frame_reader_fini(&reader);
    free(copy);
    return result;
}

static void both_ends_of_every_bound_are_read_back(void **unused)
{
    (void)unused;
    for (int type = 0; type < MSG_count; type++) {
        for (int high = 0; high <= 1; high++) {
            msgpack_sbuffer bytes;
            msgpack_sbuffer_init(&bytes);
            pack_by_hand(&bytes, (message_type_t)type, high, -1, 0);
            frame_reader_t reader = {0};
            message_t message;
            frame_reader_reset(&reader, bytes.data, bytes.size);
            assert_int_equal(frame_reader_next(&reader, &message), 1);
            assert_int_equal(message.type, type);
            assert_true(message.corr == UINT64_MAX);
            const message_info_t *info = &message_infos[type];
            for (size_t i = 0; i < info->field_count; i++) {
                const field_info_t *field = &info->fields[i];
                const void *at = (const char *)&message.user_create + field->offset;
                int64_t got = field->type == FIELD_INT ? *(const int64_t *)at
                                                       : (int64_t)((const text_t *)at)->size;
                assert_true(got == (high ? field->hi : field->lo));
            }
            /* What frame_add writes is what was packed by hand. */
            frame_t frame = {0};
            frame_add(&frame, (message_type_t)type, message.corr, &message.user_create);
            assert_int_equal(frame.bytes.size, bytes.size);
            assert_memory_equal(frame.bytes.data, bytes.data, bytes.size);
            frame_clear(&frame);
            assert_int_equal(frame_reader_next(&reader, &message), 0);
            frame_reader_fini(&reader);
            msgpack_sbuffer_destroy(&bytes);
        }
    }
}

static void one_beyond_every_bound_is_refused(void **unused)
{
    (void)unused;
    message_t message;
    for (int type = 0; type < MSG_count; type++) {
        const message_info_t *info = &message_infos[type];
        for (size_t i = 0; i < info->field_count; i++) {
            const field_info_t *field = &info->fields[i];
            int64_t bad[2] = {field->lo - 1,
                              field->hi == INT64_MAX ? field->lo - 1 : field->hi + 1};
            for (int b = 0; b < 2; b++) {
                if (field->type != FIELD_INT && bad[b] < 0)
                    continue;
                msgpack_sbuffer bytes;
                msgpack_sbuffer_init(&bytes);
                pack_by_hand(&bytes, (message_type_t)type, false, (int)i, bad[b]);
                assert_int_equal(read_one(bytes.data, bytes.size, &message), ERR_BAD_FRAME);
                msgpack_sbuffer_destroy(&bytes);
            }
        }
    }
}

static void every_truncation_is_refused(void **unused)
{
    (void)unused;
    message_t message;
    for (int type = 0; type < MSG_count; type++) {
        msgpack_sbuffer bytes;
        msgpack_sbuffer_init(&bytes);
        pack_by_hand(&bytes, (message_type_t)type, false, -1, 0);
        for (size_t size = 1; size < bytes.size; size++)
            assert_int_equal(read_one(bytes.data, size, &message), ERR_BAD_FRAME);
        msgpack_sbuffer_write(&bytes, "\xc0", 1); /* nil behind it */
        assert_int_equal(read_one(bytes.data, bytes.size, &message), ERR_BAD_FRAME);
        msgpack_sbuffer_destroy(&bytes);
    }
}

static void a_nul_in_a_text_is_refused(void **unused)
{
    (void)unused;
    msg_user_list_t list = {.request_id = {"a\0b", 3}, .limit = 1};
    frame_t frame = {0};
    message_t message;
    frame_add(&frame, MSG_user_list, 1, &list);
    assert_int_equal(read_one(frame.bytes.data, frame.bytes.size, &message), ERR_BAD_FRAME);
    frame_clear(&frame);
}

/* Headers that claim more than the frame holds: msgpack-c would reserve memory for the claim. */
static void claims_beyond_the_frame_are_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t size;
    } hostile[] = {
        {"\xdd\xff\xff\xff\xff", 5},             /* array32 of 4 G elements */
        {"\xdc\xff\xff", 3},                     /* array16 of 65535 */
        {"\x93\x00\x00\xdd\xff\xff\xff\xff", 8}, /* an array inside */
        {"\x93\x00\x00\xdf\xff\xff\xff\xff", 8}, /* a map inside */
        {"\x93\x00\x00\xdb\xff\xff\xff\xff", 8}, /* str32 of 4 GiB */
        {"\x93\x00\x00\xc6\xff\xff\xff\xff", 8}, /* bin32 of 4 GiB */
        {"\x93\x00\x00\xc9\xff\xff\xff\xff", 8}, /* ext32 */
        {"\x93\x00\x00\xcb\x00\x00\x00\x00", 8}, /* float */
        {"\x80", 1},                             /* a map */
        {"\x90", 1},                             /* an empty array */
        {"\x92\xff\x00", 3},                     /* a negative type */
        {"\x92\x7f\x00", 3},                     /* a type that is none */
        {"\x92\xa1x\x00", 4},                    /* a text as type */
        {"\x92\x00\xff", 3},                     /* a negative mark */
        {"\xc1", 1},                             /* the code that is never used */
    };
    message_t message;
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
        assert_int_equal(read_one(hostile[i].bytes, hostile[i].size, &message), ERR_BAD_FRAME);
}

static void random_bytes_never_pass_the_frame_s_end(void **unused)
{
    (void)unused;
    srand(7);
    msgpack_sbuffer good;
    msgpack_sbuffer_init(&good);
    pack_by_hand(&good, MSG_event, false, -1, 0);
    char bytes[512];
    message_t message;
    for (int round = 0; round < 20000; round++) {
        size_t size = good.size < sizeof(bytes) ? good.size : sizeof(bytes);
        memcpy(bytes, good.data, size);
        for (int flips = rand() % 8; flips >= 0; flips--)
            bytes[(size_t)rand() % size] = (char)rand();
        int result = read_one(bytes, size, &message);
        assert_true(result == 1 || result == ERR_BAD_FRAME);
    }
    msgpack_sbuffer_destroy(&good);
}

static void a_frame_holds_many_messages_in_order(void **unused)
{
    (void)unused;
    frame_t frame = {0};
    for (int64_t i = 1; i <= 1000; i++) {
        msg_confirmed_position_t position = {.partition = i % 64, .position = i, .attach_id = 1};
        frame_add(&frame, MSG_confirmed_position, (uint64_t)i, &position);
    }
    assert_int_equal(frame.count, 1000);
    frame_reader_t reader = {0};
    message_t message;
    frame_reader_reset(&reader, frame.bytes.data, frame.bytes.size);
    for (int64_t i = 1; i <= 1000; i++) {
        assert_int_equal(frame_reader_next(&reader, &message), 1);
        assert_true(message.confirmed_position.position == i && message.corr == (uint64_t)i);
    }
    assert_int_equal(frame_reader_next(&reader, &message), 0);
    frame_reader_fini(&reader);
    frame_clear(&frame);
}

static void every_error_has_a_row(void **unused)
{
    (void)unused;
    assert_string_equal(error_info(ERR_EMAIL_TAKEN)->name, "EMAIL_TAKEN");
    assert_int_equal(error_info(ERR_EMAIL_TAKEN)->http_status, 409);
    assert_int_equal(error_info(ERR_BAD_SETTING)->exit_code, 78);
    assert_string_equal(error_info(0)->slug, "internal");
    assert_string_equal(error_info(-9999)->slug, "internal");
    assert_string_equal(error_info(1)->slug, "internal");
    for (int code = -1; code > -ERR_ORDINAL_end; code--) {
        const error_info_t *info = error_info(code);
        assert_true(info->http_status != 0 || info->exit_code != 0);
        assert_true(info->title[0] != '\0' && strpbrk(info->slug, " _") == NULL);
        assert_true(info->http_status != 503 || info->retry_after_s > 0);
    }
}

static int make_filler(void **unused)
{
    (void)unused;
    filler = malloc(LARGEST);
    memset(filler, 'x', LARGEST);
    return 0;
}

static int free_filler(void **unused)
{
    (void)unused;
    free(filler);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_every_bound_are_read_back),
        cmocka_unit_test(one_beyond_every_bound_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_nul_in_a_text_is_refused),
        cmocka_unit_test(claims_beyond_the_frame_are_refused),
        cmocka_unit_test(random_bytes_never_pass_the_frame_s_end),
        cmocka_unit_test(a_frame_holds_many_messages_in_order),
        cmocka_unit_test(every_error_has_a_row),
    };
    return cmocka_run_group_tests(tests, make_filler, free_filler);
}
