/* SPDX-License-Identifier: Apache-2.0
 * message.h - what actors say to each other: the structs of messages.def and their msgpack form.
 *
 * A frame is one or more messages back to back; a message is one flat msgpack array
 * [type, corr, field, ...]. Actors batch by writing many messages into one frame.
 */
#ifndef USERBUS_PROTO_MESSAGE_H
#define USERBUS_PROTO_MESSAGE_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A view of bytes that somebody else owns: no terminator. In an unpacked message it points into
 * the frame and dies with it. */
typedef struct text {
    const char *data;
    size_t size;
} text_t;

#define TEXT(literal) ((text_t){(literal), sizeof(literal) - 1})

text_t text_of(const char *terminated);
bool text_equal(text_t a, text_t b);

typedef enum message_type {
#define MSG(name, route, doc) MSG_##name,
#define STR(name, field, lo, hi, doc)
#define BIN(name, field, lo, hi, doc)
#define INT(name, field, lo, hi, doc)
#define END(name)
#include "proto/messages.def"
#undef MSG
#undef STR
#undef BIN
#undef INT
#undef END
    MSG_count
} message_type_t;

#define MSG(name, route, doc)         typedef struct msg_##name {
#define STR(name, field, lo, hi, doc) text_t field;
#define BIN(name, field, lo, hi, doc) text_t field;
#define INT(name, field, lo, hi, doc) int64_t field;
#define END(name)                                                                                  \
    }                                                                                              \
    msg_##name##_t;
#include "proto/messages.def"
#undef MSG
#undef STR
#undef BIN
#undef INT
#undef END

/* Any message, as unpacked; `type` says which member. */
typedef struct message {
    message_type_t type;
    uint64_t corr; /* the sender's own mark, returned untouched in the reply; 0: none */
    union {
#define MSG(name, route, doc) msg_##name##_t name;
#define STR(name, field, lo, hi, doc)
#define BIN(name, field, lo, hi, doc)
#define INT(name, field, lo, hi, doc)
#define END(name)
#include "proto/messages.def"
#undef MSG
#undef STR
#undef BIN
#undef INT
#undef END
    };
} message_t;

typedef enum field_type { FIELD_STR, FIELD_BIN, FIELD_INT } field_type_t;

typedef struct field_info {
    const char *name;
    field_type_t type;
    size_t offset;  /* in the message's struct */
    int64_t lo, hi; /* bytes for STR and BIN, value for INT; both allowed */
    const char *doc;
} field_info_t;

typedef struct message_info {
    const char *name, *route, *doc;
    const field_info_t *fields;
    size_t field_count;
} message_info_t;

extern const message_info_t message_infos[MSG_count];

/* --- writing ---------------------------------------------------------------------------------- */

/* Messages being collected for one destination. Zero-initialised is empty and valid. */
typedef struct frame {
    msgpack_sbuffer bytes;
    unsigned count; /* messages in it */
} frame_t;

/* Appends one message; `fields` is the msg_<type>_t, borrowed for the call. A value outside its
 * bounds is a bug of the caller and aborts: input was checked where it came in. */
void frame_add(frame_t *frame, message_type_t type, uint64_t corr, const void *fields);

/* Frees the bytes and makes it empty. */
void frame_clear(frame_t *frame);

/* --- reading ---------------------------------------------------------------------------------- */

/* Walks the messages of a received frame. */
typedef struct frame_reader {
    const char *data; /* borrowed until the next frame_reader_reset */
    size_t size, offset;
} frame_reader_t;

/* Points the reader at another frame. A zero-initialised reader is valid here. */
void frame_reader_reset(frame_reader_t *reader, const void *data, size_t size);

/* 1: *out holds the next message, its texts valid until the frame goes; 0: the frame is at its end;
 * ERR_BAD_FRAME: what follows is not a message of the table within its bounds, and nothing of it is
 * in *out. The fields are read straight from the frame: msgpack-c would make a tree first, and reserve
 * memory for whatever a header claims. */
int frame_reader_next(frame_reader_t *reader, message_t *out);

void frame_reader_fini(frame_reader_t *reader);

#endif
