/* SPDX-License-Identifier: Apache-2.0
 * open_requests.h - the requests that the store still owes a reply.
 *
 * A slot is taken when a request goes to the store and freed only by its reply, also when nobody
 * waits for that any more. So the table is the credit towards the store: its mailbox never holds
 * more of ours than there are slots. A reply names its slot and the slot's generation, never a
 * pointer, so one that comes late or twice meets nobody.
 */
#ifndef USERBUS_ACTORS_HTTP_OPEN_REQUESTS_H
#define USERBUS_ACTORS_HTTP_OPEN_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

typedef struct open_slot {
    struct exchange *waiting; /* not owned; NULL: nobody waits any more, or the slot is free */
    int64_t deadline_ms;      /* monotonic: until when it waits */
    uint32_t generation;      /* 1.., another one each time the slot is taken */
    uint32_t next_free;
    bool taken;
} open_slot_t;

typedef struct open_requests {
    open_slot_t *slots;
    uint32_t size, taken;
    uint32_t first_free; /* == size: none */
} open_requests_t;

/* `size` is 1..65536. */
void open_requests_init(open_requests_t *table, size_t size);
void open_requests_fini(open_requests_t *table);

/* The mark of the request for the store, never 0; 0: every slot is taken. */
uint64_t open_requests_take(open_requests_t *table, struct exchange *waiting, int64_t deadline_ms);

/* The reply of `corr` is here: frees its slot and hands out who waits. False: no such request is
 * open. *waiting is NULL when nobody waits any more. */
bool open_requests_settle(open_requests_t *table, uint64_t corr, struct exchange **waiting);

/* Nobody waits for `corr` any more; its slot stays taken. A request that is not open is fine. */
void open_requests_abandon(open_requests_t *table, uint64_t corr);

/* Abandons one request whose deadline is not after now_ms and returns who waited; NULL: there is
 * none from slot *cursor on. *cursor begins at 0 and is moved on. */
struct exchange *open_requests_expire(open_requests_t *table, int64_t now_ms, uint32_t *cursor);

#endif
