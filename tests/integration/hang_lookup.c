/* SPDX-License-Identifier: Apache-2.0
 * hang_lookup.c - preloaded into the service by a test: the lookup of a name in .hang never ends, as
 * with a resolver that does not answer and has long retries.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    while (host != NULL && strstr(host, ".hang") != NULL)
        pause();
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(host, service, hints, out);
}
