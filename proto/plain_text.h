/* SPDX-License-Identifier: Apache-2.0
 * plain_text.h - text that quotes what came from outside, made fit to be shown: one line of UTF-8.
 */
#ifndef USERBUS_PROTO_PLAIN_TEXT_H
#define USERBUS_PROTO_PLAIN_TEXT_H

/* Puts '?' in place of each byte that is a control character (C0, DEL, C1) or no UTF-8 (RFC 3629), such as the
 * first half of a character that was cut. `text` is terminated and keeps its length. */
void plain_text(char *text);

#endif
