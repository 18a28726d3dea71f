/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/queue_claim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/errors.h"
#include "storage/sqlite_file.h"

/* FNV-1a. */
static off_t byte_of(const char *queue)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *queue != '\0'; queue++)
        hash = (hash ^ (unsigned char)*queue) * 0x100000001b3;
    return (off_t)(hash >> 2);
}

int queue_claim_take(int *fd, const char *url, const char *queue, detail_t *detail)
{
    char name[PATH_MAX];
    const char *path = "";
    *fd = -1;
    must(sqlite_url_path(url, &path));
    snprintf(name, sizeof(name), "%s-claim", path);
    int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte_of(queue), .l_len = 1};
    if (file >= 0 && fcntl(file, F_OFD_SETLK, &lock) == 0) {
        *fd = file;
        return 0;
    }
    int why = errno;
    if (file >= 0)
        close(file);
    if (file >= 0 && (why == EAGAIN || why == EACCES))
        return 0;
    return detail_set(detail, ERR_DATABASE_OPEN, "the file '%.200s' cannot be locked: %s", name,
                      strerror(why));
}
