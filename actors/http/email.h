/* SPDX-License-Identifier: Apache-2.0
 * email.h - what counts as an email address here, and when two of them are the same.
 *
 * RFC 5321 leaves the local part to the receiving host, so nothing is asked of it but that a mail
 * program could carry it: whether an address exists only a delivery can tell.
 */
#ifndef USERBUS_ACTORS_HTTP_EMAIL_H
#define USERBUS_ACTORS_HTTP_EMAIL_H

#include "proto/event.h" /* EMAIL_MAX_BYTES, EMAIL_KEY_MAX_BYTES */

/* NULL: the text may be an email address; else what is wrong with it, static storage. */
const char *email_fault(text_t email);

/* Writes the key under which an email is unique: its case-folded form, in NFC, of which it returns the
 * bytes, without a terminator; 0: it does not fit, which does not happen to an email without fault. The
 * text has at most EMAIL_KEY_MAX_BYTES. */
size_t email_fold(char out[EMAIL_KEY_MAX_BYTES], text_t email);

#endif
