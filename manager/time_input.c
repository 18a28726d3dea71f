/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/time_input.h"

#include <stddef.h>

#define SECOND_US    INT64_C(1000000)
#define AGE_MAX_S    (INT64_C(100) * 366 * 86400)
#define AGE_MAX_SIZE 10 /* digits */

/* --- what is left to read --------------------------------------------------------------------- */

static bool take_char(text_t *rest, char wanted)
{
    if (rest->size == 0 || rest->data[0] != wanted)
        return false;
    rest->data++;
    rest->size--;
    return true;
}

static bool next_digit(const text_t *rest)
{
    return rest->size > 0 && rest->data[0] >= '0' && rest->data[0] <= '9';
}

/* Exactly so many digits, as a number of lo..hi. */
static bool take_number(text_t *rest, int digits, int lo, int hi, int *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++) {
        if (!next_digit(rest))
            return false;
        *out = *out * 10 + (rest->data[0] - '0');
        (void)take_char(rest, rest->data[0]);
    }
    return *out >= lo && *out <= hi;
}

/* --- points in time --------------------------------------------------------------------------- */

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* Of the proleptic Gregorian calendar, since 1970-01-01. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = y / 400, year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static bool take_date(text_t *rest, int64_t *seconds)
{
    int year, month, day;
    if (!take_number(rest, 4, 1970, 9999, &year) || !take_char(rest, '-') ||
        !take_number(rest, 2, 1, 12, &month) || !take_char(rest, '-') ||
        !take_number(rest, 2, 1, days_of_month(year, month), &day))
        return false;
    *seconds = days_since_1970(year, month, day) * 86400;
    return true;
}

static bool take_fraction(text_t *rest, int64_t *us)
{
    if (!take_char(rest, '.'))
        return true;
    if (!next_digit(rest))
        return false;
    for (int64_t unit = SECOND_US / 10; next_digit(rest); unit /= 10) {
        *us += unit * (rest->data[0] - '0');
        (void)take_char(rest, rest->data[0]);
    }
    return true;
}

static bool take_time_of_day(text_t *rest, int64_t *seconds, int64_t *us)
{
    int hour, minute, second = 0;
    if (!take_number(rest, 2, 0, 23, &hour) || !take_char(rest, ':') ||
        !take_number(rest, 2, 0, 59, &minute))
        return false;
    if (take_char(rest, ':') && (!take_number(rest, 2, 0, 60, &second) || !take_fraction(rest, us)))
        return false;
    *seconds += hour * 3600 + minute * 60 + second;
    return true;
}

static bool take_zone(text_t *rest, int64_t *seconds)
{
    int hour, minute;
    if (rest->size == 0 || take_char(rest, 'Z') || take_char(rest, 'z'))
        return true;
    int sign = take_char(rest, '+') ? 1 : take_char(rest, '-') ? -1 : 0;
    if (sign == 0 || !take_number(rest, 2, 0, 23, &hour) || !take_char(rest, ':') ||
        !take_number(rest, 2, 0, 59, &minute))
        return false;
    *seconds -= sign * (hour * 3600 + minute * 60);
    return true;
}

bool time_input_parse(int64_t *us, text_t text)
{
    int64_t seconds = 0, fraction_us = 0;
    if (!take_date(&text, &seconds))
        return false;
    bool has_time = take_char(&text, 'T') || take_char(&text, 't') || take_char(&text, ' ');
    if (has_time &&
        (!take_time_of_day(&text, &seconds, &fraction_us) || !take_zone(&text, &seconds)))
        return false;
    if (text.size > 0 || seconds < 0)
        return false;
    *us = seconds * SECOND_US + fraction_us;
    return true;
}

/* --- ages ------------------------------------------------------------------------------------- */

bool age_input_parse(int64_t *us, text_t text)
{
    static const struct {
        char name;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t number = 0, unit_s = 1;
    if (!next_digit(&text) || text.size > AGE_MAX_SIZE)
        return false;
    while (next_digit(&text)) {
        number = number * 10 + (text.data[0] - '0');
        (void)take_char(&text, text.data[0]);
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (take_char(&text, units[i].name)) {
            unit_s = units[i].seconds;
            break;
        }
    if (text.size > 0 || number > AGE_MAX_S / unit_s)
        return false;
    *us = number * unit_s * SECOND_US;
    return true;
}
