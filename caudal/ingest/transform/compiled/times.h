/* Dates and times of ISO 8601, as `caudal.ingest.transform.values` takes them. */

#include <stdbool.h>
#include <stdint.h>

/* The number of `count` digits at `at`, or -1. */
static int32_t digits_at(const uint8_t *at, int count) {
    int32_t made = 0;
    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9') return -1;
        made = made * 10 + at[i] - '0';
    }
    return made;
}

/* Days since 1970 of the date in the ten bytes at `at`; false if there is no such day. */
static bool day(const uint8_t *at, int32_t *days) {
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t year = digits_at(at, 4), month = digits_at(at + 5, 2), of_month = digits_at(at + 8, 2);
    if (at[4] != '-' || at[7] != '-' || year < 1 || month < 1 || month > 12 || of_month < 1) return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (of_month > lengths[month - 1] + (leap && month == 2)) return false;
    int32_t since_march = month > 2 ? month - 3 : month + 9, years = month > 2 ? year : year - 1;
    *days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * since_march + 2) / 5 + of_month - 719469;
    return true;
}

/* Steps over two digits, and the byte `before` them, which number no more than `most`. */
static bool pair(const uint8_t **at, const uint8_t *end, uint8_t before, int32_t most, int32_t *found) {
    if (end - *at < 3 || **at != before) return false;
    *found = digits_at(*at + 1, 2);
    *at += 3;
    return *found >= 0 && *found <= most;
}

/* Microseconds since 1970, UTC, of `2026-01-31T12:00:00.123456Z`, of which all but the date may be missing, from the end on.

A fraction of more than microseconds is not taken. */
static bool moment(const uint8_t *at, int64_t length, int64_t *micros) {
    const uint8_t *end = at + length;
    int32_t days, hour = 0, minute = 0, second = 0, places = 0;
    int64_t fraction = 0, offset = 0;
    if (length < 10 || !day(at, &days)) return false;
    at += 10;
    if (at < end) {
        if (!pair(&at, end, *at == ' ' ? ' ' : 'T', 23, &hour)) return false;
        if (at < end && *at == ':') {
            if (!pair(&at, end, ':', 59, &minute)) return false;
            if (at < end && *at == ':') {
                if (!pair(&at, end, ':', 59, &second)) return false;
                if (at < end && *at == '.') {
                    for (at++; at < end && *at >= '0' && *at <= '9'; at++, places++) {
                        if (places < 6) fraction = fraction * 10 + (*at - '0');
                        else if (*at != '0') return false;
                    }
                    if (places < 1 || places > 9) return false;
                }
            }
        }
        if (at < end && *at == 'Z') at++;
        else if (at < end) {
            int32_t hours, minutes = 0;
            bool west = *at == '-';
            if (!pair(&at, end, west ? '-' : '+', 23, &hours)) return false;
            if (at < end && !pair(&at, end, ':', 59, &minutes)) return false;
            offset = (west ? -60 : 60) * (int64_t)(60 * hours + minutes);
        }
        if (at != end) return false;
    }
    for (; places < 6; places++) fraction *= 10;
    *micros = ((int64_t)days * 86400 + hour * 3600 + minute * 60 + second - offset) * 1000000 + fraction;
    return *micros >= -62135596800000000 && *micros < 253402300800000000;
}
