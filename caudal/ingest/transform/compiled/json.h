/* JSON: strings, numbers, and what is stepped over. Each function reads from `at` on and says whether it could. */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "strings are searched eight bytes at a time, the first byte lowest"
#endif

typedef struct {
    int64_t start, length; /* bytes between the quotes, or of a nested value */
    int64_t escaped;       /* whether there are escapes in them */
} span;

typedef struct {
    const uint8_t *base, *at, *end;
} text;

enum { DEPTH = 256 };

static const uint64_t ONES = 0x0101010101010101u, HIGH = 0x8080808080808080u;

static uint64_t zeros(uint64_t word) { return (word - ONES) & ~word & HIGH; }

static inline void skip_space(text *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r')) in->at++;
}

/* Steps over one byte, and the space before it. */
static inline bool step(text *in, uint8_t byte) {
    skip_space(in);
    if (in->at == in->end || *in->at != byte) return false;
    in->at++;
    return true;
}

static inline bool word(text *in, const char *letters, size_t length) {
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, letters, length) != 0) return false;
    in->at += length;
    return true;
}

static int hex(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The number of the four hexadecimal digits at `at`, or -1. */
static int32_t unit(const uint8_t *at, const uint8_t *end) {
    if (end - at < 4) return -1;
    int32_t made = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex(at[i]);
        if (digit < 0) return -1;
        made = made << 4 | digit;
    }
    return made;
}

/* The length of the escape at `at`, where a backslash is: 0 if it is none, or half a surrogate pair. */
static int escape(const uint8_t *at, const uint8_t *end) {
    if (end - at < 2) return 0;
    if (at[1] != 'u') return strchr("\"\\/bfnrt", at[1]) != NULL && at[1] ? 2 : 0;
    int32_t first = unit(at + 2, end);
    if (first < 0 || (first & 0xFC00) == 0xDC00) return 0;
    if ((first & 0xFC00) != 0xD800) return 6;
    if (end - at < 12 || at[6] != '\\' || at[7] != 'u') return 0;
    int32_t second = unit(at + 8, end);
    return second >= 0 && (second & 0xFC00) == 0xDC00 ? 12 : 0;
}

/* Reads a string, from its first quote on. */
static bool string(text *in, span *found) {
    if (in->at == in->end || *in->at != '"') return false;
    const uint8_t *at = in->at + 1, *start = at;
    found->escaped = false;
    for (;;) {
        while (in->end - at >= 8) {
            uint64_t eight;
            memcpy(&eight, at, 8);
            uint64_t stops = zeros(eight ^ ONES * '"') | zeros(eight ^ ONES * '\\') | ((eight - ONES * 0x20) & ~eight & HIGH);
            if (stops) {
                at += __builtin_ctzll(stops) >> 3;
                break;
            }
            at += 8;
        }
        while (at < in->end && *at != '"' && *at != '\\' && *at >= 0x20) at++;
        if (at == in->end || *at < 0x20) return false;
        if (*at == '"') break;
        int length = escape(at, in->end);
        if (!length) return false;
        found->escaped = true;
        at += length;
    }
    found->start = start - in->base;
    found->length = at - start;
    in->at = at + 1;
    return true;
}

static inline bool is_digit(const uint8_t *at, const uint8_t *end) { return at < end && *at >= '0' && *at <= '9'; }

typedef struct {
    bool negative, plain; /* plain: no exponent, and the digits fit */
    int32_t digits, decimals;
    int64_t exponent; /* how many digits it has */
    unsigned __int128 mantissa;
} number;

/* Reads a number as JSON has it. */
static bool numeral(text *in, number *found) {
    const uint8_t *at = in->at, *end = in->end;
    uint64_t low = 0;
    unsigned __int128 all = 0;
    int32_t digits = 0, decimals = 0;
    bool plain = true;
    found->exponent = 0;
    found->negative = at < end && *at == '-';
    at += found->negative;
    if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end))) return false;
    for (; is_digit(at, end); at++) {
        if (digits < 18) low = low * 10 + (*at - '0');
        else if (digits < 38) all = (digits == 18 ? low : all) * 10 + (*at - '0');
        digits += digits || *at != '0'; /* zeros at the start count for nothing */
    }
    if (at < end && *at == '.') {
        const uint8_t *last = ++at;
        if (!is_digit(at, end)) return false;
        for (const uint8_t *next = at; is_digit(next, end); next++)
            if (*next != '0') last = next + 1;
        for (; at < last; at++) { /* zeros at the end change nothing */
            if (digits < 18) low = low * 10 + (*at - '0');
            else if (digits < 38) all = (digits == 18 ? low : all) * 10 + (*at - '0');
            digits += digits || *at != '0';
            decimals++;
        }
        while (is_digit(at, end)) at++;
    }
    if (at < end && (*at | 0x20) == 'e') {
        plain = false;
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        if (!is_digit(at, end)) return false;
        const uint8_t *first = at;
        while (is_digit(at, end)) at++;
        found->exponent = at - first;
    }
    found->mantissa = digits > 18 ? all : low;
    found->digits = digits;
    found->decimals = decimals;
    found->plain = plain && digits <= 38;
    in->at = at;
    return true;
}

/* Steps over any value. */
static bool skip(text *in) {
    uint8_t closers[DEPTH];
    int depth = 0;
    span ignored;
    number number_ignored;
    for (;;) {
        skip_space(in);
        if (in->at == in->end) return false;
        uint8_t byte = *in->at;
        bool opened = false;
        if (byte == '{' || byte == '[') {
            if (depth == DEPTH) return false;
            closers[depth++] = byte == '{' ? '}' : ']';
            in->at++;
            opened = true;
        } else if (byte == '"') {
            if (!string(in, &ignored)) return false;
        } else if (byte == 't') {
            if (!word(in, "true", 4)) return false;
        } else if (byte == 'f') {
            if (!word(in, "false", 5)) return false;
        } else if (byte == 'n') {
            if (!word(in, "null", 4)) return false;
        } else if (!numeral(in, &number_ignored)) return false;
        for (;;) { /* behind a value, or within what was just opened */
            if (!depth) return true;
            skip_space(in);
            if (in->at == in->end) return false;
            if (*in->at == closers[depth - 1]) {
                in->at++;
                depth--;
                opened = false;
                continue;
            }
            if (!opened && !step(in, ',')) return false;
            if (closers[depth - 1] == '}') {
                skip_space(in);
                if (!string(in, &ignored) || !step(in, ':')) return false;
            }
            break;
        }
    }
}

/* Whether bytes are UTF-8. */
static bool is_utf8(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        while (end - at >= 8) {
            uint64_t eight;
            memcpy(&eight, at, 8);
            if (eight & HIGH) break;
            at += 8;
        }
        if (at == end) return true;
        uint8_t first = *at++;
        if (first < 0x80) continue;
        int more = first >= 0xC2 && first <= 0xDF ? 1 : (first & 0xF0) == 0xE0 ? 2 : first >= 0xF0 && first <= 0xF4 ? 3 : 0;
        if (!more || end - at < more) return false;
        if (first == 0xE0 && *at < 0xA0) return false; /* longer than it must be */
        if (first == 0xED && *at > 0x9F) return false; /* half a surrogate pair */
        if (first == 0xF0 && *at < 0x90) return false;
        if (first == 0xF4 && *at > 0x8F) return false; /* above U+10FFFF */
        for (; more; more--, at++)
            if ((*at & 0xC0) != 0x80) return false;
    }
    return true;
}

static uint8_t *put_utf8(uint8_t *out, uint32_t code) {
    if (code < 0x80) *out++ = (uint8_t)code;
    else if (code < 0x800) {
        *out++ = (uint8_t)(0xC0 | code >> 6);
        *out++ = (uint8_t)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (uint8_t)(0xE0 | code >> 12);
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code & 0x3F));
    } else {
        *out++ = (uint8_t)(0xF0 | code >> 18);
        *out++ = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code & 0x3F));
    }
    return out;
}

/* Writes a string that `string` has read, without its escapes; never more bytes than it had. */
static uint8_t *unescaped(uint8_t *out, const uint8_t *at, const uint8_t *end) {
    static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    while (at < end) {
        if (*at != '\\') *out++ = *at++;
        else if (at[1] != 'u') {
            const char *found = strchr(names, at[1]);
            *out++ = found ? (uint8_t)bytes[found - names] : at[1];
            at += 2;
        } else {
            uint32_t code = (uint32_t)unit(at + 2, end);
            at += 6;
            if ((code & 0xFC00) == 0xD800) {
                code = 0x10000 + ((code & 0x3FF) << 10 | ((uint32_t)unit(at + 2, end) & 0x3FF));
                at += 6;
            }
            out = put_utf8(out, code);
        }
    }
    return out;
}
