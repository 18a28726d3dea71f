/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/user_service.h"

#include <string.h>

#include "proto/errors.h"
#include "proto/uuid7.h"

static int find(database_t *database, text_t id, text_t email_key, user_t *out)
{
    return id.size > 0 ? database->class->user_by_id(database, id, out)
                       : database->class->user_by_email(database, email_key, out);
}

/* Copies what the message's bounds allow, so it fits. */
static void set_text(char *to, text_t from)
{
    memcpy(to, from.data, from.size);
    to[from.size] = '\0';
}

/* True when it differed. Empty: unchanged. */
static bool change_text(char *to, text_t from)
{
    if (from.size == 0 || text_equal(text_of(to), from))
        return false;
    set_text(to, from);
    return true;
}

/* A write that changed something: a clock that was set back must not show. */
static int save_write(database_t *database, int64_t now_us, user_outcome_t *out)
{
    user_t *user = &out->user;
    user->version++;
    user->sequence++;
    user->updated_us = now_us > user->updated_us ? now_us : user->updated_us;
    out->eventful = true;
    return database->class->user_update(database, user);
}

int user_create(database_t *database, const msg_user_create_t *request, int64_t now_us,
                user_outcome_t *out)
{
    user_t *user = &out->user;
    uuid7_make(user->id, now_us / 1000);
    set_text(user->email, request->email);
    set_text(user->email_key, request->email_key);
    set_text(user->first_name, request->first_name);
    set_text(user->last_name, request->last_name);
    user->row = 0;
    user->view_count = 0;
    user->is_valid = request->is_valid != 0;
    user->version = 1;
    user->sequence = 1;
    user->created_us = user->updated_us = now_us;
    out->eventful = true;
    return database->class->user_insert(database, user);
}

int user_read(database_t *database, const msg_user_read_t *request, bool counted,
              user_outcome_t *out)
{
    int error = find(database, request->id, request->email_key, &out->user);
    out->eventful = counted;
    if (error != 0 || !counted)
        return error;
    out->user.view_count++;
    out->user.sequence++;
    return database->class->user_view(database, &out->user);
}

int user_update(database_t *database, const msg_user_update_t *request, int64_t now_us,
                user_outcome_t *out)
{
    user_t *user = &out->user;
    int error = find(database, request->id, request->email_key, user);
    if (error != 0)
        return error;
    bool changed = change_text(user->email, request->new_email);
    changed |= change_text(user->email_key, request->new_email_key);
    changed |= change_text(user->first_name, request->new_first_name);
    changed |= change_text(user->last_name, request->new_last_name);
    if (request->new_is_valid >= 0) {
        changed |= user->is_valid != (request->new_is_valid != 0);
        user->is_valid = request->new_is_valid != 0;
    }
    out->eventful = false;
    return changed ? save_write(database, now_us, out) : 0;
}

int user_delete(database_t *database, const msg_user_delete_t *request, int64_t now_us,
                user_outcome_t *out)
{
    int error = find(database, request->id, request->email_key, &out->user);
    out->eventful = false;
    if (error != 0 || !out->user.is_valid)
        return error;
    out->user.is_valid = false;
    return save_write(database, now_us, out);
}

/* --- the list --------------------------------------------------------------------------------- */

typedef struct page {
    text_buffer_t *out;
    int64_t limit, count;
    uint8_t last[ID_BYTES];
    bool more;
} page_t;

static bool add_to_page(void *context, const user_t *user)
{
    page_t *page = context;
    page->more = page->count == page->limit;
    if (page->more)
        return false;
    text_add(page->out, page->count > 0 ? TEXT(", ") : TEXT(""));
    user_json(page->out, user);
    memcpy(page->last, user->id, ID_BYTES);
    page->count++;
    return true;
}

int user_list(database_t *database, const msg_user_list_t *request, text_buffer_t *out,
              uint8_t next[ID_BYTES], size_t *next_size)
{
    page_t page = {.out = out, .limit = request->limit};
    *next_size = 0;
    text_add(out, TEXT("{\"users\": ["));
    int error = database->class->user_walk(database, request->after, add_to_page, &page);
    if (error != 0)
        return error == ERR_USER_NOT_FOUND ? ERR_BAD_QUERY : error;
    text_add(out, TEXT("], \"next\": "));
    if (page.more) {
        char cursor[UUID_TEXT_SIZE];
        uuid_text(cursor, page.last);
        memcpy(next, page.last, ID_BYTES);
        *next_size = ID_BYTES;
        text_add_json_string(out, text_of(cursor));
    } else {
        text_add(out, TEXT("null"));
    }
    text_add(out, TEXT("}"));
    return 0;
}
