/* SPDX-License-Identifier: Apache-2.0
 * disk_sync.c - what one fdatasync after a write of 16 KB costs: a commit cannot be faster.
 *
 *   bench_disk_sync FILE ROUNDS
 *
 * The file is written around in a circle of 1,024 places, as a log that begins again is.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench/limits/limit.h"

enum { WRITE_BYTES = 16384, PLACES = 1024 };

static int by_size(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;
    return difference < 0 ? -1 : difference > 0;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    long rounds = count_argument(argv[2]);
    int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    need(fd >= 0);
    char page[WRITE_BYTES];
    memset(page, 'x', sizeof(page));
    for (int i = 0; i < PLACES; i++)
        need(pwrite(fd, page, sizeof(page), (off_t)i * WRITE_BYTES) == WRITE_BYTES);
    need(fsync(fd) == 0);
    double *times = calloc((size_t)rounds, sizeof(*times));
    need(times != NULL);
    for (long i = 0; i < rounds; i++) {
        need(pwrite(fd, page, sizeof(page), (off_t)(i % PLACES) * WRITE_BYTES) == WRITE_BYTES);
        double began = wall_us();
        need(fdatasync(fd) == 0);
        times[i] = wall_us() - began;
    }
    qsort(times, (size_t)rounds, sizeof(*times), by_size);
    tell("sync_us", times[rounds / 2]);
    tell("sync_p99_us", times[rounds * 99 / 100]);
    free(times);
    close(fd);
    return 0;
}
