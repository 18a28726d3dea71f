/* SPDX-License-Identifier: Apache-2.0
 * runserver_command.c - the service: store first, bridges next, the REST API last, so that nothing is
 * accepted before it can be kept; stopped in reverse.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actors/bridge/bridge_actor.h"
#include "actors/http/http_actor.h"
#include "actors/http/http_listener.h"
#include "actors/store/store_actor.h"
#include "manager/commands.h"
#include "manager/worker.h"
#include "pipeline/log.h"
#include "pipeline/supervisor.h"
#include "proto/errors.h"
#include "storage/checkpoint_actor.h"

enum { HTTP_MAX = 64, BRIDGES_MAX = 16, ACTORS_MAX = HTTP_MAX + BRIDGES_MAX + 3, NAME_SIZE = 16 };

/* Everything the actors borrow while they run. */
typedef struct service {
    int listen_fd, admin_fd; /* -1: not open */
    char listen_address[64], admin_address[64];
    store_conf_t store;
    checkpoint_conf_t checkpoint;
    bridge_conf_t bridges[BRIDGES_MAX];
    http_conf_t https[HTTP_MAX];
    consumer_conf_t consumer;
    char names[ACTORS_MAX][NAME_SIZE];
    supervised_t actors[ACTORS_MAX];
    size_t actor_count;
} service_t;

static unsigned http_thread_count(const settings_t *settings)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (settings->http_threads > 0)
        return (unsigned)settings->http_threads;
    return cores < 1 ? 1 : cores > 4 ? 4 : (unsigned)cores;
}

static void add_actor(service_t *self, const char *name, int index, const actor_class_t *class,
                      const void *conf, int stage, on_failure_t on_failure)
{
    size_t i = self->actor_count++;
    must(i < ACTORS_MAX);
    if (index < 0)
        snprintf(self->names[i], NAME_SIZE, "%s", name);
    else
        snprintf(self->names[i], NAME_SIZE, "%s.%d", name, index);
    self->actors[i] = (supervised_t){self->names[i], class, conf, stage, on_failure};
}

static int open_listeners(service_t *self, const settings_t *settings, detail_t *detail)
{
    int error =
        http_listener_open(&self->listen_fd, self->listen_address, settings->listen, detail);
    if (error != 0 || strcmp(settings->admin_listen, "off") == 0)
        return error;
    return http_listener_open(&self->admin_fd, self->admin_address, settings->admin_listen, detail);
}

static void close_listeners(service_t *self)
{
    if (self->listen_fd >= 0)
        close(self->listen_fd);
    if (self->admin_fd >= 0)
        close(self->admin_fd);
}

/* The stages: what a later one sends, an earlier one must still be there to save. */
enum { STAGE_STORE, STAGE_CHECKPOINT, STAGE_BRIDGE, STAGE_HTTP, STAGE_CONSUMER };

static void plan_actors(service_t *self, const settings_t *settings, bool with_worker)
{
    unsigned http_count = http_thread_count(settings);
    self->store =
        (store_conf_t){.database_url = settings->database_url,
                       .queue = USER_QUEUE,
                       .http_count = http_count,
                       .bridge_count = (unsigned)settings->bridges,
                       .read_events = settings->read_events != 0,
                       .outbox_max_events = settings->outbox_max_events,
                       .outbox_max_bytes = settings->outbox_max_bytes,
                       .lane_max_events = settings->lane_max_events,
                       .lane_retry_ms = (int)settings->lane_retry,
                       .lane_retry_max_ms = (int)settings->lane_retry_max,
                       .event_retention_s = settings->event_retention,
                       .has_checkpoint_actor = strcmp(settings->checkpoints, "thread") == 0};
    add_actor(self, "store", -1, &store_actor, &self->store, STAGE_STORE, FAILURE_ENDS_ALL);
    self->checkpoint = (checkpoint_conf_t){settings->database_url};
    if (self->store.has_checkpoint_actor)
        add_actor(self, CHECKPOINT_ADDRESS, -1, &checkpoint_actor, &self->checkpoint,
                  STAGE_CHECKPOINT, FAILURE_ENDS_ALL);
    for (unsigned i = 0; i < settings->bridges; i++) {
        self->bridges[i] =
            (bridge_conf_t){.index = i,
                            .rabbit_mq_url = settings->rabbit_mq_url,
                            .heartbeat_s = (int)settings->broker_heartbeat,
                            .confirm_timeout_s = (int)settings->confirm_timeout,
                            .topology = topology_of(settings, USER_QUEUE),
                            .application_id = settings->application_id,
                            .full_headers = strcmp(settings->event_headers, "full") == 0};
        add_actor(self, "bridge", (int)i, &bridge_actor, &self->bridges[i], STAGE_BRIDGE,
                  FAILURE_RESTARTS);
    }
    for (unsigned i = 0; i < http_count; i++) {
        size_t share = (size_t)settings->requests_max / http_count;
        self->https[i] = (http_conf_t){.index = i,
                                       .listen_fd = self->listen_fd,
                                       .admin_fd = i == 0 ? self->admin_fd : -1,
                                       .prefix = settings->backend_api_prefix,
                                       .requests_max = share > 0 ? share : 1,
                                       .body_max = (size_t)settings->body_max};
        add_actor(self, "http", (int)i, &http_actor, &self->https[i], STAGE_HTTP, FAILURE_ENDS_ALL);
    }
    if (with_worker) {
        self->consumer = consumer_conf_of(settings, USER_QUEUE);
        add_actor(self, "consumer", -1, &consumer_actor, &self->consumer, STAGE_CONSUMER,
                  FAILURE_IS_ITS_OWN);
    }
}

static int check_settings(const settings_t *settings, detail_t *detail)
{
    if (!broker_url_check(settings->rabbit_mq_url, detail))
        return ERR_BAD_SETTING;
    int error = worker_settings_check(settings, detail);
    if (error != 0)
        return error;
    return http_prefix_check(settings->backend_api_prefix, detail);
}

int runserver_command(const command_context_t *context)
{
    const settings_t *settings = context->settings;
    service_t service = {.listen_fd = -1, .admin_fd = -1};
    detail_t detail = {{0}};
    supervisor_t *supervisor = NULL;
    /* What a wrong setting or a taken port would stop must be known before a database file is made. */
    int error = check_settings(settings, &detail);
    if (error == 0)
        error = open_listeners(&service, settings, &detail);
    if (error == 0) {
        plan_actors(&service, settings, option_given(context, "--with-worker"));
        error = supervisor_start(&supervisor, service.actors, service.actor_count, &detail);
    }
    if (error == 0) {
        log_event(LOG_INFO, "manager", "ready", LOG_STR("address", service.listen_address),
                  LOG_STR("admin", service.admin_fd < 0 ? "off" : service.admin_address),
                  LOG_STR("version", USERBUS_VERSION));
        error = supervisor_run(supervisor, (int)settings->stop_timeout, &detail);
    }
    supervisor_close(&supervisor);
    close_listeners(&service);
    return error == 0 ? 0 : command_fail(error, &detail);
}
