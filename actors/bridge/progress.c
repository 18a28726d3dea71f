/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/progress.h"

#include "proto/errors.h"

void progress_add(progress_t *self, outgoing_event_t *event)
{
    outgoing_event_t **first = &self->partitions[event->partition].first;
    outgoing_event_t **last = &self->partitions[event->partition].last;
    must(event->position > self->partitions[event->partition].newest);
    event->partition_before = *last;
    event->partition_next = NULL;
    if (*last != NULL)
        (*last)->partition_next = event;
    else
        *first = event;
    *last = event;
    self->partitions[event->partition].newest = event->position;
}

void progress_confirmed(progress_t *self, outgoing_event_t *event)
{
    if (event->partition_before != NULL)
        event->partition_before->partition_next = event->partition_next;
    else
        self->partitions[event->partition].first = event->partition_next;
    if (event->partition_next != NULL)
        event->partition_next->partition_before = event->partition_before;
    else
        self->partitions[event->partition].last = event->partition_before;
}

bool progress_take(progress_t *self, unsigned partition, int64_t *position)
{
    const outgoing_event_t *first = self->partitions[partition].first;
    *position = first != NULL ? first->position - 1 : self->partitions[partition].newest;
    if (*position <= self->partitions[partition].reported)
        return false;
    self->partitions[partition].reported = *position;
    return true;
}
