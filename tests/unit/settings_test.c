/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * settings_test.c - every source, every refusal, and who wins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "pipeline/settings.h"
#include "proto/errors.h"

static char folder[] = "/tmp/settings_testXXXXXX";

static char *write_file(const char *name, const char *content)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
    return path;
}

static int load(settings_t *out, const char *const *flags, const char *const *environment,
                detail_t *detail)
{
    int count = 0;
    while (flags != NULL && flags[count] != NULL)
        count++;
    detail->text[0] = '\0';
    return settings_load(out, count, (char *const *)flags, (char *const *)environment, detail);
}

static void refused(const char *const *flags, const char *const *environment, int error,
                    const char *const *words)
{
    settings_t settings;
    detail_t detail;
    assert_int_equal(load(&settings, flags, environment, &detail), error);
    for (; *words != NULL; words++)
        if (strstr(detail.text, *words) == NULL)
            fail_msg("'%s' does not say '%s'", detail.text, *words);
    assert_null(strchr(detail.text, '\n'));
    settings_fini(&settings);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void defaults_are_the_documented_ones(void **unused)
{
    (void)unused;
    settings_t settings;
    detail_t detail;
    assert_int_equal(load(&settings, NULL, NULL, &detail), 0);
    assert_string_equal(settings.listen, "127.0.0.1:5000");
    assert_string_equal(settings.rabbit_mq_url, "amqp://guest:guest@localhost:5672/");
    assert_string_equal(settings.queue_type, "quorum");
    assert_int_equal(settings.read_events, 1);
    assert_int_equal(settings.handler_count, 4);
    assert_string_equal(settings.handlers[3].label, "Delete a user");
    assert_string_equal(settings.handlers[3].queue, "user");
    assert_string_equal(settings.handlers[3].event, "user.delete");
    assert_string_equal(settings.handlers[3].processor, "disable_user_processor");
    settings_fini(&settings);
}

static void every_default_passes_its_own_check(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < setting_row_count; i++) {
        char flag[SETTING_NAME_SIZE];
        settings_t settings;
        detail_t detail;
        setting_flag_name(flag, setting_rows[i].key);
        assert_int_equal(load(&settings, LIST(flag, setting_rows[i].fallback), NULL, &detail), 0);
        settings_fini(&settings);
    }
}

static void the_stronger_source_wins(void **unused)
{
    (void)unused;
    settings_t settings;
    detail_t detail;
    const char *path = write_file("order.yaml", "bridges: 2\nhttp_threads: 2\nprefetch: 2\n");
    assert_int_equal(load(&settings, LIST("--config", path, "--bridges=4"),
                          LIST("BRIDGES=3", "HTTP_THREADS=3", "PATH=/bin"), &detail),
                     0);
    assert_int_equal(settings.bridges, 4);
    assert_int_equal(settings.http_threads, 3);
    assert_int_equal(settings.prefetch, 2);
    settings_fini(&settings);
    char variable[300];
    snprintf(variable, sizeof(variable), "USERBUS_CONFIG=%s", path);
    assert_int_equal(load(&settings, NULL, LIST(variable), &detail), 0);
    assert_int_equal(settings.bridges, 2);
    settings_fini(&settings);
}

static void bad_values_name_key_value_and_source(void **unused)
{
    (void)unused;
    refused(LIST("--bridges", "0"), NULL, ERR_BAD_SETTING,
            LIST("bridges", "'0'", "flag --bridges", "1..16"));
    refused(LIST("--bridges", "17"), NULL, ERR_BAD_SETTING, LIST("'17'"));
    refused(LIST("--bridges", "1x"), NULL, ERR_BAD_SETTING, LIST("'1x'"));
    refused(LIST("--bridges=-1"), NULL, ERR_BAD_SETTING, LIST("'-1'", "1..16"));
    refused(LIST("--bridges=+1"), NULL, ERR_BAD_SETTING, LIST("'+1'"));
    refused(LIST("--bridges", ""), NULL, ERR_BAD_SETTING, LIST("bridges"));
    refused(LIST("--bridges", "99999999999999999999"), NULL, ERR_BAD_SETTING, LIST("bridges"));
    refused(NULL, LIST("QUEUE_TYPE=lazy"), ERR_BAD_SETTING,
            LIST("queue_type", "'lazy'", "environment QUEUE_TYPE", "quorum|classic"));
    refused(NULL, LIST("EXCHANGE_NAME="), ERR_BAD_SETTING,
            LIST("exchange_name", "environment EXCHANGE_NAME", "1..200 bytes"));
    char long_name[256] = "APPLICATION_ID=";
    memset(long_name + strlen(long_name), 'x', 201);
    refused(NULL, LIST(long_name), ERR_BAD_SETTING, LIST("application_id", "1..200 bytes"));
    refused(NULL, LIST("QUEUE_TYPE="), ERR_BAD_SETTING, LIST("queue_type"));
    refused(NULL, LIST("READ_EVENTS=yes"), ERR_BAD_SETTING, LIST("read_events", "'yes'", "on|off"));
    refused(NULL, LIST("DELIVERY_MODE=1"), ERR_BAD_SETTING,
            LIST("delivery_mode", "'1'", "lose events"));
}

static void flags_that_do_not_exist_are_refused(void **unused)
{
    (void)unused;
    refused(LIST("--colour", "red"), NULL, ERR_USAGE, LIST("--colour"));
    refused(LIST("--http_threads", "1"), NULL, ERR_USAGE, LIST("--http_threads"));
    refused(LIST("--bridges"), NULL, ERR_USAGE, LIST("--bridges", "needs a value"));
    refused(LIST("bridges"), NULL, ERR_USAGE, LIST("'bridges'"));
    refused(LIST("--a-flag-whose-name-is-longer-than-the-name-of-any-setting-that-there-is=1"),
            NULL, ERR_USAGE, LIST("--a-flag-whose", "is not a flag"));
    refused(LIST("--bridges=2", "--config"), NULL, ERR_USAGE, LIST("--config", "needs a value"));
}

static void bad_files_name_file_and_line(void **unused)
{
    (void)unused;
    static const struct {
        const char *content, *word, *line;
    } files[] = {
        {"bridges: 2\ncolour: red\n", "colour", "line 2"},
        {"bridges: 99\n", "'99'", "line 1"},
        {"bridges: 2\nbridges: 3\n", "twice", "line 2"},
        {"bridges: [1]\n", "bridges", "line 1"},
        {"- bridges\n", "mapping", "line 1"},
        {"a: b: c\n", "not YAML", "line 1"},
        {"bridges: \"2\\0\"\n", "one value", "line 1"},
        {"[a]: 1\n", "name of a setting", "line 1"},
        {"handlers: 1\n", "list", "line 1"},
        {"handlers:\n- label: a\n", "needs", "line 2"},
        {"handlers:\n- 7\n", "mapping", "line 2"},
        {"handlers:\n- {label: a, queue: q, event: e, processor: p, more: m}\n", "each once",
         "line 2"},
        {"handlers:\n- {label: a, label: b}\n", "each once", "line 2"},
        {"handlers:\n- {[label]: a}\n", "each once", "line 2"},
        {"handlers:\n- {label: [a]}\n", "each a text", "line 2"},
        {"handlers:\n- {label: '', queue: q, event: e, processor: p}\n", "1..200 bytes", "line 2"},
        {"bridges: 2\n\xff\n", "not YAML", "line"},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const char *path = write_file("bad.yaml", files[i].content);
        refused(LIST("--config", path), NULL, ERR_BAD_SETTING,
                LIST(path, files[i].word, files[i].line));
    }
    refused(LIST("--config", "/nowhere/x.yaml"), NULL, ERR_BAD_SETTING,
            LIST("/nowhere/x.yaml", "No such file"));
}

static void an_empty_file_sets_nothing(void **unused)
{
    (void)unused;
    static const char *const files[] = {"", "# nothing\n"};
    for (size_t i = 0; i < 2; i++) {
        settings_t settings;
        detail_t detail;
        const char *path = write_file("empty.yaml", files[i]);
        assert_int_equal(load(&settings, LIST("--config", path), NULL, &detail), 0);
        assert_int_equal(settings.handler_count, 4);
        settings_fini(&settings);
    }
}

/* As long as it may be, or a byte longer. */
static const char *handler_file(size_t size)
{
    static char content[HANDLER_TEXT_MAX + 128];
    int at = snprintf(content, sizeof(content),
                      "handlers:\n- {queue: q, event: e, processor: p, label: ");
    memset(content + at, 'x', size);
    strcpy(content + at + size, "}\n");
    return write_file("long.yaml", content);
}

static void a_handler_s_text_has_a_bound(void **unused)
{
    (void)unused;
    settings_t settings;
    detail_t detail;
    assert_int_equal(
        load(&settings, LIST("--config", handler_file(HANDLER_TEXT_MAX)), NULL, &detail), 0);
    assert_int_equal(strlen(settings.handlers[0].label), HANDLER_TEXT_MAX);
    settings_fini(&settings);
    refused(LIST("--config", handler_file(HANDLER_TEXT_MAX + 1)), NULL, ERR_BAD_SETTING,
            LIST("1..200 bytes", "line 2"));
}

static void files_that_are_none_or_too_large_are_refused(void **unused)
{
    enum { LARGE = 1 << 20 };
    (void)unused;
    refused(LIST("--config", folder), NULL, ERR_BAD_SETTING, LIST(folder, "cannot be read"));
    char *content = malloc(LARGE + 2);
    assert_non_null(content);
    memset(content, '\n', LARGE + 1);
    content[LARGE + 1] = '\0';
    refused(LIST("--config", write_file("large.yaml", content)), NULL, ERR_BAD_SETTING,
            LIST("larger than 1 MiB"));
    settings_t settings;
    detail_t detail;
    content[LARGE] = '\0';
    assert_int_equal(
        load(&settings, LIST("--config", write_file("large.yaml", content)), NULL, &detail), 0);
    settings_fini(&settings);
    free(content);
}

static void a_file_replaces_the_handler_table(void **unused)
{
    (void)unused;
    settings_t settings;
    detail_t detail;
    const char *path =
        write_file("handlers.yaml", "handlers:\n- label: One\n  queue: user\n"
                                    "  event: user.read\n  processor: register_processor\n");
    assert_int_equal(load(&settings, LIST("--config", path), NULL, &detail), 0);
    assert_int_equal(settings.handler_count, 1);
    assert_string_equal(settings.handlers[0].label, "One");
    settings_fini(&settings);
}

static void too_many_handlers_are_refused(void **unused)
{
    (void)unused;
    static char content[16384] = "handlers:\n";
    for (int i = 0; i <= HANDLERS_MAX; i++)
        strcat(content, "- {label: l, queue: q, event: e, processor: p}\n");
    refused(LIST("--config", write_file("many.yaml", content)), NULL, ERR_BAD_SETTING,
            LIST("64 handlers"));
}

static void secrets_come_from_files_and_are_never_shown(void **unused)
{
    (void)unused;
    settings_t settings;
    detail_t detail;
    char variable[300];
    snprintf(variable, sizeof(variable), "RABBIT_MQ_URL_FILE=%s",
             write_file("url", "amqp://a:b@c/\n"));
    assert_int_equal(load(&settings, NULL, LIST(variable), &detail), 0);
    assert_string_equal(settings.rabbit_mq_url, "amqp://a:b@c/");
    settings_fini(&settings);
    refused(NULL, LIST(variable, "RABBIT_MQ_URL=amqp://x"), ERR_BAD_SETTING, LIST("not both"));
    refused(NULL, LIST("RABBIT_MQ_URL_FILE=/nowhere"), ERR_BAD_SETTING,
            LIST("/nowhere", "RABBIT_MQ_URL_FILE"));
}

static void a_secret_that_is_refused_is_not_shown(void **unused)
{
    enum { LONG = 4096 };
    static char variable[LONG + 64], content[LONG + 1];
    settings_t settings;
    detail_t detail;
    (void)unused;
    int at = snprintf(variable, sizeof(variable), "RABBIT_MQ_URL=");
    memset(variable + at, 'x', LONG + 1);
    refused(NULL, LIST(variable), ERR_BAD_SETTING, LIST("rabbit_mq_url", "(hidden)"));
    memset(content, 'x', LONG);
    snprintf(variable, sizeof(variable), "RABBIT_MQ_URL_FILE=%s", write_file("url", content));
    refused(NULL, LIST(variable), ERR_BAD_SETTING, LIST("more than 4095 bytes"));
    content[LONG - 1] = '\0';
    write_file("url", content);
    assert_int_equal(load(&settings, NULL, LIST(variable), &detail), 0);
    assert_int_equal(strlen(settings.rabbit_mq_url), LONG - 1);
    settings_fini(&settings);
    snprintf(variable, sizeof(variable), "RABBIT_MQ_URL_FILE=%s", folder);
    refused(NULL, LIST(variable), ERR_BAD_SETTING, LIST(folder, "cannot be read"));
}

/* The name is not one of ours, so nothing says that its value is a secret. */
static void a_misspelt_secret_is_not_shown(void **unused)
{
    (void)unused;
    static const struct {
        const char *content, *key;
    } files[] = {
        {"rabbitmq_url: amqp://a:hunter2@c/\n", "rabbitmq_url"},
        {"RABBIT_MQ_URL: hunter2\n", "RABBIT_MQ_URL"},
        {"broker_password: hunter2\n", "broker_password"},
        {"api_keys: hunter2\n", "api_keys"},
        {"Token: hunter2\n", "Token"},
        {"webhook_secret: hunter2\n", "webhook_secret"},
        {"rabbit_mq: amqp://a:hunter2@c/\n", "rabbit_mq"},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        settings_t settings;
        detail_t detail;
        const char *path = write_file("misspelt.yaml", files[i].content);
        refused(LIST("--config", path), NULL, ERR_BAD_SETTING,
                LIST(files[i].key, "(hidden)", "line 1"));
        assert_int_equal(load(&settings, LIST("--config", path), NULL, &detail), ERR_BAD_SETTING);
        assert_null(strstr(detail.text, "hunter2"));
        settings_fini(&settings);
    }
    refused(LIST("--config", write_file("misspelt.yaml", "bridge: 3\n")), NULL, ERR_BAD_SETTING,
            LIST("bridge", "'3'"));
}

static int make_folder(void **unused)
{
    (void)unused;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **unused)
{
    (void)unused;
    char command[300];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(every_default_passes_its_own_check),
        cmocka_unit_test(the_stronger_source_wins),
        cmocka_unit_test(bad_values_name_key_value_and_source),
        cmocka_unit_test(flags_that_do_not_exist_are_refused),
        cmocka_unit_test(bad_files_name_file_and_line),
        cmocka_unit_test(an_empty_file_sets_nothing),
        cmocka_unit_test(a_handler_s_text_has_a_bound),
        cmocka_unit_test(files_that_are_none_or_too_large_are_refused),
        cmocka_unit_test(a_file_replaces_the_handler_table),
        cmocka_unit_test(too_many_handlers_are_refused),
        cmocka_unit_test(secrets_come_from_files_and_are_never_shown),
        cmocka_unit_test(a_secret_that_is_refused_is_not_shown),
        cmocka_unit_test(a_misspelt_secret_is_not_shown),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
