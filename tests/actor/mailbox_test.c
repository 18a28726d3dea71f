/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * mailbox_test.c - frames between threads: order, completeness, waking, and what happens to frames
 * for an address that is not open.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "pipeline/clock.h"
#include "pipeline/mailbox.h"
#include "proto/errors.h"

enum { SENDERS = 4, FRAMES = 2000, PER_FRAME = 5, PATIENCE_MS = 20000 };

typedef struct flood {
    mailroom_t *room;
    int64_t number; /* of the sender */
} flood_t;

static void *send_flood(void *argument)
{
    const flood_t *flood = argument;
    sender_t *sender = sender_open(flood->room, "sink");
    frame_t frame = {0};
    for (int64_t i = 0; i < FRAMES; i++) {
        for (int64_t j = 0; j < PER_FRAME; j++) {
            msg_confirmed_position_t position = {flood->number, i * PER_FRAME + j, 0, 1};
            frame_add(&frame, MSG_confirmed_position, 0, &position);
        }
        sender_send(sender, &frame);
    }
    sender_close(&sender);
    return NULL;
}

/* Takes every message that is there; counts them and checks that each sender's come in order. */
static int drain(mailbox_t *mailbox, frame_reader_t *reader, int64_t next[SENDERS])
{
    int count = 0;
    while (mailbox_receive(mailbox, reader)) {
        message_t message;
        int result;
        while ((result = frame_reader_next(reader, &message)) == 1) {
            assert_int_equal(message.type, MSG_confirmed_position);
            assert_true(message.confirmed_position.position ==
                        next[message.confirmed_position.partition]++);
            count++;
        }
        assert_int_equal(result, 0);
    }
    return count;
}

static void nothing_is_lost_or_reordered_under_a_flood(void **unused)
{
    (void)unused;
    mailroom_t *room = mailroom_open();
    mailbox_t *mailbox = NULL;
    assert_int_equal(mailbox_open(&mailbox, room, "sink"), 0);
    pthread_t threads[SENDERS];
    flood_t floods[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        floods[i] = (flood_t){room, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_flood, &floods[i]), 0);
    }
    frame_reader_t reader = {0};
    int64_t next[SENDERS] = {0}, deadline = clock_mono_ms() + PATIENCE_MS;
    int count = 0;
    while (count < SENDERS * FRAMES * PER_FRAME && clock_mono_ms() < deadline) {
        mailbox_wait(mailbox, -1, 0, 100);
        count += drain(mailbox, &reader, next);
    }
    assert_int_equal(count, SENDERS * FRAMES * PER_FRAME);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    frame_reader_fini(&reader);
    mailbox_close(&mailbox);
    mailroom_close(&room);
}

/* A foreign loop sees only the descriptor, which tells of changes: after each change the mailbox is
 * emptied, and no frame may be left without a change to come. */
static void a_foreign_loop_is_woken_for_every_frame(void **unused)
{
    (void)unused;
    mailroom_t *room = mailroom_open();
    mailbox_t *mailbox = NULL;
    assert_int_equal(mailbox_open(&mailbox, room, "sink"), 0);
    pthread_t thread;
    flood_t flood = {room, 0};
    assert_int_equal(pthread_create(&thread, NULL, send_flood, &flood), 0);
    frame_reader_t reader = {0};
    int64_t next[SENDERS] = {0}, deadline = clock_mono_ms() + PATIENCE_MS;
    int count = 0;
    while (count < FRAMES * PER_FRAME && clock_mono_ms() < deadline) {
        struct pollfd fd = {.fd = mailbox_fd(mailbox), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
        count += drain(mailbox, &reader, next);
    }
    assert_int_equal(count, FRAMES * PER_FRAME);
    pthread_join(thread, NULL);
    frame_reader_fini(&reader);
    mailbox_close(&mailbox);
    mailroom_close(&room);
}

static void frames_wait_for_an_address_to_open(void **unused)
{
    (void)unused;
    mailroom_t *room = mailroom_open();
    flood_t flood = {room, 0};
    sender_t *keep = sender_open(room, "sink"); /* a sender that stays, beside one that has gone */
    send_flood(&flood);
    msg_confirmed_position_t position = {1, 0, 0, 1};
    frame_t frame = {0};
    frame_add(&frame, MSG_confirmed_position, 0, &position);
    sender_send(keep, &frame);
    mailbox_t *mailbox = NULL;
    assert_int_equal(mailbox_open(&mailbox, room, "sink"), 0);
    frame_reader_t reader = {0};
    int64_t next[SENDERS] = {0};
    assert_int_equal(drain(mailbox, &reader, next), FRAMES * PER_FRAME + 1);
    frame_reader_fini(&reader);
    sender_close(&keep);
    mailbox_close(&mailbox);
    mailroom_close(&room);
}

static void a_send_to_a_closed_mailbox_does_not_block(void **unused)
{
    (void)unused;
    mailroom_t *room = mailroom_open();
    mailbox_t *mailbox = NULL;
    assert_int_equal(mailbox_open(&mailbox, room, "sink"), 0);
    sender_t *sender = sender_open(room, "sink");
    mailbox_close(&mailbox);
    msg_stop_t stop = {0};
    frame_t frame = {0};
    for (int i = 0; i < 3; i++) {
        frame_add(&frame, MSG_stop, 0, &stop);
        sender_send(sender, &frame);
        assert_int_equal(frame.count, 0);
    }
    /* The address is free again, and a new sender reaches its new owner. */
    assert_int_equal(mailbox_open(&mailbox, room, "sink"), 0);
    sender_t *again = sender_open(room, "sink");
    frame_add(&frame, MSG_stop, 0, &stop);
    sender_send(again, &frame);
    frame_reader_t reader = {0};
    assert_int_equal(mailbox_wait(mailbox, -1, 0, PATIENCE_MS), WAIT_MAIL);
    assert_true(mailbox_receive(mailbox, &reader));
    assert_false(mailbox_receive(mailbox, &reader));
    frame_reader_fini(&reader);
    sender_close(&again);
    sender_close(&sender);
    mailbox_close(&mailbox);
    mailroom_close(&room);
}

static void an_address_has_one_owner(void **unused)
{
    (void)unused;
    mailroom_t *room = mailroom_open();
    mailbox_t *mailbox = NULL, *other = NULL;
    assert_int_equal(mailbox_open(&mailbox, room, "sink"), 0);
    assert_int_equal(mailbox_open(&other, room, "sink"), ERR_INTERNAL);
    assert_null(other);
    mailbox_close(&mailbox);
    mailbox_close(&other);
    mailroom_close(&room);
}

static void waiting_sees_mail_descriptors_and_time(void **unused)
{
    (void)unused;
    mailroom_t *room = mailroom_open();
    mailbox_t *mailbox = NULL;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(mailbox_open(&mailbox, room, "sink"), 0);
    int64_t before = clock_mono_ms();
    assert_int_equal(mailbox_wait(mailbox, pipes[0], POLLIN, 30), 0);
    assert_true(clock_mono_ms() - before >= 29);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    assert_int_equal(mailbox_wait(mailbox, pipes[0], POLLIN, PATIENCE_MS), WAIT_FD);
    assert_int_equal(mailbox_wait(mailbox, pipes[1], POLLOUT, PATIENCE_MS), WAIT_FD);
    sender_t *sender = sender_open(room, "sink");
    msg_stop_t stop = {0};
    frame_t frame = {0};
    frame_add(&frame, MSG_stop, 0, &stop);
    sender_send(sender, &frame);
    assert_int_equal(mailbox_wait(mailbox, pipes[0], POLLIN, PATIENCE_MS), WAIT_FD | WAIT_MAIL);
    close(pipes[0]);
    close(pipes[1]);
    sender_close(&sender);
    mailbox_close(&mailbox);
    mailroom_close(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_or_reordered_under_a_flood),
        cmocka_unit_test(a_foreign_loop_is_woken_for_every_frame),
        cmocka_unit_test(frames_wait_for_an_address_to_open),
        cmocka_unit_test(a_send_to_a_closed_mailbox_does_not_block),
        cmocka_unit_test(an_address_has_one_owner),
        cmocka_unit_test(waiting_sees_mail_descriptors_and_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
