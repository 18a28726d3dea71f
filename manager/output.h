/* SPDX-License-Identifier: Apache-2.0
 * output.h - writing what others wrote: to a terminal that must not be steered by it, and into JSON.
 */
#ifndef USERBUS_MANAGER_OUTPUT_H
#define USERBUS_MANAGER_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "proto/message.h" /* text_t */

/* On stdout, with "?" for every control character. */
void print_safely(text_t text);

/* The same, then blanks up to a width in bytes, and two more. */
void print_column(text_t text, int width);

/* null for what is empty, and for what is no text: anybody may have written it. */
json_t *text_json(text_t text);

/* One line on stdout; takes the value over. */
void print_json_line(json_t *value);

/* Progress on stderr, rewritten in place, when that is a terminal; `what` is "replayed". */
void print_progress(const char *what, size_t done, size_t total);
void end_progress(void);

#endif
