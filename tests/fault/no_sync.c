/* SPDX-License-Identifier: Apache-2.0
 * no_sync.c - preloaded, it makes a process believe that its data is on the disk. With it the power-loss row must find
 * losses.
 */
int fsync(int fd);
int fdatasync(int fd);

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
