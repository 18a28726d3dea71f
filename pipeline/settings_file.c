/* SPDX-License-Identifier: Apache-2.0
 * settings_file.c - libyaml's document tree, walked once. See settings_file.h.
 */
#include "pipeline/settings_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "proto/errors.h"

enum { FILE_MAX_BYTES = 1 << 20, SOURCE_SIZE = 300 };

/* One reading. */
typedef struct reading {
    const char *path;
    yaml_document_t document;
    const settings_file_sink_t *sink;
    detail_t *detail;
} reading_t;

static unsigned line_of(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

static int complain(const reading_t *self, const yaml_node_t *node, const char *what)
{
    return detail_set(self->detail, ERR_BAD_SETTING, "settings file %s line %u: %s", self->path,
                      line_of(node), what);
}

static yaml_node_t *node_at(reading_t *self, yaml_node_item_t item)
{
    return yaml_document_get_node(&self->document, item);
}

/* NULL: no scalar, or one with a NUL in it. */
static const char *scalar_of(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE)
        return NULL;
    const char *value = (const char *)node->data.scalar.value;
    return strlen(value) == node->data.scalar.length ? value : NULL;
}

static int read_handler(reading_t *self, const yaml_node_t *node, handler_t *out)
{
    struct {
        const char *name;
        char **to;
    } members[] = {{"label", &out->label},
                   {"queue", &out->queue},
                   {"event", &out->event},
                   {"processor", &out->processor}};
    enum { MEMBERS = sizeof(members) / sizeof(members[0]) };
    if (node->type != YAML_MAPPING_NODE)
        return complain(self, node, "a handler is a mapping of label, queue, event and processor");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key_node = node_at(self, pair->key), *value_node = node_at(self, pair->value);
        const char *key = scalar_of(key_node), *value = scalar_of(value_node);
        size_t i = 0;
        while (i < MEMBERS && (key == NULL || strcmp(members[i].name, key) != 0))
            i++;
        if (i == MEMBERS || value == NULL || *members[i].to != NULL)
            return complain(
                self, key_node,
                "a handler has label, queue, event and processor, each once, each a text");
        *members[i].to = (char *)value; /* the document's; the sink copies */
    }
    for (size_t i = 0; i < MEMBERS; i++)
        if (*members[i].to == NULL || **members[i].to == '\0' ||
            strlen(*members[i].to) > HANDLER_TEXT_MAX)
            return complain(self, node,
                            "a handler needs label, queue, event and processor, each a text of "
                            "1..200 bytes");
    return 0;
}

static int read_handlers(reading_t *self, const yaml_node_t *node)
{
    handler_t handlers[HANDLERS_MAX] = {{0}};
    size_t count = 0;
    if (node->type != YAML_SEQUENCE_NODE)
        return complain(self, node, "handlers is a list");
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        if (count == HANDLERS_MAX)
            return complain(self, node_at(self, *item), "there are more than 64 handlers");
        int error = read_handler(self, node_at(self, *item), &handlers[count++]);
        if (error != 0)
            return error;
    }
    return self->sink->handlers(self->sink->argument, handlers, count);
}

static int read_pair(reading_t *self, const yaml_node_t *root, const yaml_node_pair_t *pair)
{
    yaml_node_t *key_node = node_at(self, pair->key), *value_node = node_at(self, pair->value);
    const char *key = scalar_of(key_node);
    if (key == NULL)
        return complain(self, key_node, "the name of a setting is a text");
    for (yaml_node_pair_t *other = root->data.mapping.pairs.start; other < pair; other++)
        if (strcmp(scalar_of(node_at(self, other->key)), key) == 0)
            return detail_set(self->detail, ERR_BAD_SETTING,
                              "settings file %s line %u: setting %s stands there twice", self->path,
                              line_of(key_node), key);
    if (strcmp(key, "handlers") == 0)
        return read_handlers(self, value_node);
    const char *value = scalar_of(value_node);
    if (value == NULL)
        return detail_set(
            self->detail, ERR_BAD_SETTING,
            "settings file %s line %u: setting %s takes one value, not a list or mapping",
            self->path, line_of(value_node), key);
    char source[SOURCE_SIZE];
    snprintf(source, sizeof(source), "file %s line %u", self->path, line_of(value_node));
    return self->sink->scalar(self->sink->argument, key, value, source, self->detail);
}

static int read_document(reading_t *self)
{
    yaml_node_t *root = yaml_document_get_root_node(&self->document);
    if (root == NULL)
        return 0; /* an empty file sets nothing */
    if (root->type != YAML_MAPPING_NODE)
        return complain(self, root, "the file is a mapping of settings to values");
    int error = 0;
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         error == 0 && pair < root->data.mapping.pairs.top; pair++)
        error = read_pair(self, root, pair);
    return error;
}

static int parse(reading_t *self, const char *bytes, size_t size)
{
    yaml_parser_t parser;
    must(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
    int error = 0;
    if (!yaml_parser_load(&parser, &self->document)) {
        must(parser.problem != NULL); /* but for want of memory */
        error = detail_set(self->detail, ERR_BAD_SETTING, "settings file %s line %u: not YAML: %s",
                           self->path, (unsigned)parser.problem_mark.line + 1, parser.problem);
    } else {
        error = read_document(self);
        yaml_document_delete(&self->document);
    }
    yaml_parser_delete(&parser);
    return error;
}

int settings_file_read(const char *path, const settings_file_sink_t *sink, detail_t *detail)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return detail_set(detail, ERR_BAD_SETTING, "settings file '%s' cannot be read: %s", path,
                          strerror(errno));
    char *bytes = malloc(FILE_MAX_BYTES + 1);
    must(bytes != NULL);
    size_t size = fread(bytes, 1, FILE_MAX_BYTES + 1, file);
    int failed = ferror(file);
    (void)fclose(file);
    reading_t reading = {.path = path, .sink = sink, .detail = detail};
    int error;
    if (failed || size > FILE_MAX_BYTES)
        error = detail_set(detail, ERR_BAD_SETTING,
                           "settings file '%s' cannot be read or is larger than 1 MiB", path);
    else
        error = parse(&reading, bytes, size);
    free(bytes);
    return error;
}
