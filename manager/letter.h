/* SPDX-License-Identifier: Apache-2.0
 * letter.h - a dead letter as the operator's commands see it: what its headers tell, whether a filter
 * means it, and what is published when it is replayed. Pure.
 */
#ifndef USERBUS_MANAGER_LETTER_H
#define USERBUS_MANAGER_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/broker_encode.h"
#include "proto/event.h" /* TIME_TEXT_SIZE */

enum { LETTER_USER_SIZE = 256 };

/* In a replay. */
typedef enum letter_state {
    LETTER_WAITING,
    LETTER_IN_FLIGHT,
    LETTER_REPLAYED, /* confirmed and routed */
    LETTER_FAILED,   /* not taken, or one before it of the same user was not */
} letter_state_t;

typedef struct letter letter_t;

struct letter {
    uint64_t tag;             /* of its delivery */
    size_t arrival;           /* counted from 0 */
    broker_message_t message; /* a copy of its own; without the body unless that was asked for */
    size_t bytes;             /* of the copy */
    /* Point into the copy; empty: untold. */
    text_t error, reason, fingerprint, queue, attempts, first_failed_at;
    char user[LETTER_USER_SIZE]; /* context.id, else the email; "": nobody can tell */
    char email[LETTER_USER_SIZE];
    int64_t sequence;        /* among the user's events; 0: untold */
    int64_t first_failed_us; /* -1: untold */
    letter_state_t state;
    bool is_returned; /* the broker could not route it */
    size_t round;     /* letters_plan: among those of its user, from 0 */
    letter_t *before; /* letters_plan: that of its user that goes before it, or NULL */
    void *memory;
};

/* For letter_free. */
letter_t *letter_new(const broker_message_t *message, uint64_t tag, size_t arrival, bool with_body);
void letter_free(letter_t *self);

/* Which letters are meant; empty texts and negative numbers mean all. Texts are borrowed. */
typedef struct letter_filter {
    text_t event, user, fingerprint, id;
    int64_t older_than_us, newer_than_us; /* ages */
} letter_filter_t;

/* A letter that does not tell since when it failed is of no age. */
bool letter_matches(const letter_t *self, const letter_filter_t *filter, int64_t now_us);

/* Sorts the letters so that they can be replayed in order, and gives each its round: the first of every
 * user, then the second ones, and so on. Within a user the sequence counts, then the arrival. Letters of
 * unknown users are each on their own. */
void letters_plan(letter_t **letters, size_t count);

/* A replay's message; valid as long as the letter, and it must not be moved. */
typedef struct replayed_letter {
    broker_message_t message;
    char replayed_at[TIME_TEXT_SIZE];
    broker_header_t headers[BROKER_PUBLISH_HEADERS_MAX];
} replayed_letter_t;

/* The original again, with the header userbus_replayed_at. What the headers tell of the failure goes, but
 * userbus_first_failed_at, which stays for when it fails again. `queue` is where a letter goes that does
 * not tell its own. False: it has more headers than can be published, so it would not be the same. */
bool replayed_letter_make(replayed_letter_t *out, const letter_t *letter, text_t exchange,
                          text_t queue, int64_t now_us) __attribute__((warn_unused_result));

#endif
