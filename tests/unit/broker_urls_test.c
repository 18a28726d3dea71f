/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/broker_urls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static detail_t detail;

static void lists_are_cut_at_plain_commas(void **state)
{
    static const struct {
        const char *list;
        size_t count;
        const char *first, *last;
    } cases[] = {
        {"amqp://a", 1, "amqp://a", "amqp://a"},
        {"amqp://a,amqp://b", 2, "amqp://a", "amqp://b"},
        {" amqp://a ,\tamqp://b\n, amqp://c ", 3, "amqp://a", "amqp://c"},
        {"amqp://u:p%2Cw@a/v%2c,amqp://b", 2, "amqp://u:p%2Cw@a/v%2c", "amqp://b"},
        {"", 1, "", ""}, /* which is no URL, but that is not for the cutting to say */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        broker_urls_t urls;
        assert_true(broker_urls_split(&urls, cases[i].list, &detail));
        assert_int_equal(urls.count, cases[i].count);
        assert_string_equal(urls.texts[0], cases[i].first);
        assert_string_equal(urls.texts[urls.count - 1], cases[i].last);
        broker_urls_fini(&urls);
    }
}

static void gaps_and_too_many_are_refused(void **state)
{
    static const struct {
        const char *list, *place;
    } gaps[] = {
        {",amqp://a", "place 1"}, {"amqp://a,,amqp://b", "place 2"}, {"amqp://a, ", "place 2"}};
    char list[BROKERS_MAX * 16 + 16] = "amqp://h";
    broker_urls_t urls;
    (void)state;
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        assert_false(broker_urls_split(&urls, gaps[i].list, &detail));
        assert_non_null(strstr(detail.text, gaps[i].place));
        broker_urls_fini(&urls);
    }
    for (int i = 1; i < BROKERS_MAX; i++)
        strcat(list, ",amqp://h");
    assert_true(broker_url_check(list, &detail));
    strcat(list, ",amqp://h");
    assert_false(broker_url_check(list, &detail));
    assert_non_null(strstr(detail.text, "more than 16"));
}

static void a_place_is_read_and_decoded(void **state)
{
    broker_place_t place;
    (void)state;
    assert_true(broker_place_parse(&place, "amqp://us%40er:p%2Cw@host:1234/%2Fvhost"));
    assert_string_equal(place.host, "host");
    assert_int_equal(place.port, 1234);
    assert_string_equal(place.user, "us@er");
    assert_string_equal(place.password, "p,w");
    assert_string_equal(place.vhost, "/vhost");
    assert_false(place.tls);
    broker_place_fini(&place);
    assert_true(broker_place_parse(&place, "amqp://host/"));
    assert_string_equal(place.vhost, "/");
    assert_int_equal(place.port, 5672);
    broker_place_fini(&place);
}

static void the_check_says_which_one_and_no_password(void **state)
{
    static const struct {
        const char *list;
        bool good;
        const char *says;
    } cases[] = {
        {"amqp://guest:guest@localhost:5672/", true, ""},
        {"amqp://localhost", true, ""},
        {"amqp://user:p%40ss@host:1/%2Fvhost", true, ""},
        {"amqp://user:secret@host:1/,amqp://user:secret@host:2/", true, ""},
        {"http://localhost", false, "RABBIT_MQ_URL cannot be read"},
        {"amqp://user:secret@host:notaport/", false, "cannot be read"},
        {"amqp://user:secret@host:70000/", false, "cannot be read"},
        {"amqp://user:secret@host:0/", false, "cannot be read"},
        {"amqp://user:secret@host:65535/", true, ""},
        {"amqp://user:secret@[]:1/", false, "cannot be read"},
        {"amqp://user:secret@[::1]:1/", true, ""},
        {"amqp://", true, ""}, /* the default one, which is this machine's */
        {"amqps://user:secret@host/", false, "TLS"},
        {"", false, "cannot be read"},
        {"amqp://a,amqp://user:secret@host:x/,amqp://c", false, "broker 2 of 3, cannot be read"},
        {"amqp://a,amqps://user:secret@c", false, "broker 2 of 2, asks for TLS"},
        {"amqp://user:sec,secret@host", false, "broker 1 of 2"}, /* a comma that was meant as %2C */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        detail = (detail_t){{0}};
        assert_int_equal(broker_url_check(cases[i].list, &detail), cases[i].good);
        assert_non_null(strstr(detail.text, cases[i].says));
        assert_null(strstr(detail.text, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_cut_at_plain_commas),
        cmocka_unit_test(gaps_and_too_many_are_refused),
        cmocka_unit_test(a_place_is_read_and_decoded),
        cmocka_unit_test(the_check_says_which_one_and_no_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
