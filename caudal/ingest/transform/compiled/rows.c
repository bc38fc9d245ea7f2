/* JSON records to columns: one pass over each record, guided by the members that a contract has.

A record that is anything but plain is left to the exact reader in Python, which decides and gives the reason: it is marked
`odd`, and what stands in its columns means nothing. So nothing here has to explain, and what is taken is taken exactly. Not
plain is: what is no JSON, a known name twice or written with an escape, a number or a time in one of its rarer spellings, a
value of another type.

No memory is allocated, and nothing is read or written outside of what the caller passes. */

#include "json.h"
#include "times.h"

enum kind { OBJECT, TEXT, INTEGER, DECIMAL, FLOAT, BOOLEAN, DATE, TIME, NESTED, BYTES };

enum flag {
    QUOTED = 1, /* its number stands in a string */
    FILLED = 2, /* an object in which at least one member has a value */
    CLOSED = 4, /* an object that has known members only */
    NOTED = 8,  /* an object whose unknown members are reported */
};

typedef struct {
    const char *name;
    int32_t length; /* of the name, in bytes */
    int32_t kind;
    int32_t flags;
    int32_t precision, scale; /* of a decimal: at most 38 digits */
    int32_t first, count;     /* its own members: `count` of them, from the one at `first` on */
    int64_t seen;   /* the record that had it last; -1 at first */
    int64_t bytes;  /* of its texts, with their escapes */
    void *values;   /* one a record: an integer of 8 bytes, or 4 of a date, 16 of a decimal, 1 of a boolean; a span of others */
    uint8_t *valid; /* a bit a record */
} member;

_Static_assert(sizeof(member) == 72, "compiled/__init__.py lays it out too");

typedef struct {
    text in;
    member *members;
    int64_t record;
    bool unknown;
} reader;

static void put_span(const reader *r, member *m, span found) {
    ((span *)m->values)[r->record] = found;
    m->bytes += found.length;
}

static bool put_number(reader *r, member *m) {
    bool in_string = *r->in.at == '"';
    if (m->kind != DECIMAL && in_string != ((m->flags & QUOTED) != 0)) return false;
    text inner = r->in;
    if (in_string) {
        span quoted;
        if (!string(&r->in, &quoted) || quoted.escaped) return false;
        inner.at = r->in.base + quoted.start;
        inner.end = inner.at + quoted.length;
    }
    const uint8_t *start = inner.at;
    number found;
    if (!numeral(&inner, &found) || (in_string && inner.at != inner.end)) return false;
    if (!in_string) r->in.at = inner.at;
    if (in_string && found.digits > 38) return false;
    if (m->kind == FLOAT) {
        if ((found.negative && !found.mantissa) || found.exponent > 4) return false; /* -0, and what is nowhere near a double */
        put_span(r, m, (span){start - inner.base, inner.at - start, false});
        return true;
    }
    if (!found.plain) return false;
    if (m->kind == INTEGER) {
        if (found.decimals || found.mantissa > (uint64_t)INT64_MAX + found.negative) return false;
        uint64_t value = (uint64_t)found.mantissa;
        ((uint64_t *)m->values)[r->record] = found.negative ? 0 - value : value;
        return true;
    }
    if (found.decimals > m->scale || found.digits - found.decimals > m->precision - m->scale) return false;
    unsigned __int128 value = found.mantissa;
    for (int32_t i = found.decimals; i < m->scale; i++) value *= 10;
    if (found.negative) value = 0 - value;
    memcpy((uint8_t *)m->values + 16 * r->record, &value, 16);
    return true;
}

static bool put_string(reader *r, member *m) {
    span found;
    if (!string(&r->in, &found)) return false;
    const uint8_t *start = r->in.base + found.start;
    if (m->kind == DATE) return found.length == 10 && day(start, (int32_t *)m->values + r->record);
    if (m->kind == TIME) return moment(start, found.length, (int64_t *)m->values + r->record);
    if (m->kind == BYTES && found.escaped) return false;
    put_span(r, m, found);
    return true;
}

static bool object(reader *r, member *m);

/* Reads the value of a member; `*there` becomes true unless it is null. */
static bool value(reader *r, member *m, bool *there) {
    skip_space(&r->in);
    const uint8_t *start = r->in.at;
    if (start == r->in.end) return false;
    if (*start == 'n') return word(&r->in, "null", 4);
    bool fits;
    switch (m->kind) {
    case OBJECT:
        fits = object(r, m);
        break;
    case BOOLEAN:
        ((uint8_t *)m->values)[r->record] = *start == 't';
        fits = word(&r->in, "true", 4) || word(&r->in, "false", 5);
        break;
    case INTEGER: case DECIMAL: case FLOAT:
        fits = put_number(r, m);
        break;
    case NESTED:
        fits = (*start == '{' || *start == '[') && skip(&r->in);
        put_span(r, m, (span){start - r->in.base, r->in.at - start, false});
        break;
    default:
        fits = put_string(r, m);
    }
    if (!fits) return false;
    m->valid[r->record >> 3] |= (uint8_t)(1 << (r->record & 7));
    return *there = true;
}

/* Reads the name of a member and the colon behind it. `*found` is which it is; NULL if none that is known.

The one at `guess` is tried first, for records tend to keep an order. */
static bool named(reader *r, const member *m, int32_t guess, member **found) {
    text *in = &r->in;
    skip_space(in);
    if (guess < m->count) {
        member *next = r->members + m->first + guess;
        const uint8_t *at = in->at;
        if (in->end - at > next->length + 2 && at[0] == '"' && at[next->length + 1] == '"'
            && memcmp(at + 1, next->name, (size_t)next->length) == 0) {
            *found = next;
            in->at += next->length + 2;
            return step(in, ':');
        }
    }
    span name;
    if (!string(in, &name) || name.escaped) return false;
    *found = NULL;
    for (int32_t i = 0; i < m->count && *found == NULL; i++) {
        member *next = r->members + m->first + i;
        if (next->length == name.length && memcmp(next->name, in->base + name.start, (size_t)name.length) == 0) *found = next;
    }
    return step(in, ':');
}

static bool object(reader *r, member *m) {
    text *in = &r->in;
    bool filled = false;
    int32_t guess = 0;
    if (!step(in, '{')) return false;
    if (!step(in, '}')) {
        do {
            member *found;
            if (!named(r, m, guess, &found)) return false;
            if (found == NULL) {
                if (m->flags & CLOSED || !skip(in)) return false;
                r->unknown |= (m->flags & NOTED) != 0;
                continue;
            }
            if (found->seen == r->record) return false;
            found->seen = r->record;
            guess = (int32_t)(found - r->members) - m->first + 1;
            if (!value(r, found, &filled)) return false;
        } while (step(in, ','));
        if (!step(in, '}')) return false;
    }
    return filled || !(m->flags & FILLED);
}

/* Reads `count` records, from `starts[i]` to `stops[i]` in `data`, each one object with the members of `members[0]`, of which
there are `all` with those inside of them.

`odd[i]` becomes 1 where the exact reader must look, `unknown[i]` where an object had members that are not known. */
void caudal_read(const uint8_t *data, const int64_t *starts, const int64_t *stops, int64_t count, member *members, int64_t all,
                 uint8_t *odd, uint8_t *unknown) {
    for (int64_t i = 0; i < count; i++) {
        reader r = {{data, data + starts[i], data + stops[i]}, members, i, false};
        bool fits = is_utf8(r.in.at, r.in.end) && object(&r, members);
        skip_space(&r.in);
        odd[i] = !fits || r.in.at != r.in.end;
        unknown[i] = r.unknown;
        if (odd[i])
            for (int64_t j = 0; j < all; j++) members[j].valid[i >> 3] &= (uint8_t)~(1 << (i & 7));
    }
}

/* Copies a member's texts, one behind the other, to `out`, which has room for all their bytes, and where each starts and the
last one ends to `offsets`. Only valid ones are copied. */
void caudal_texts(const uint8_t *data, const span *texts, const uint8_t *valid, int64_t count, uint8_t *out, int32_t *offsets) {
    uint8_t *at = out;
    for (int64_t i = 0; i < count; i++) {
        offsets[i] = (int32_t)(at - out);
        if (!(valid[i >> 3] >> (i & 7) & 1)) continue;
        const uint8_t *start = data + texts[i].start;
        if (texts[i].escaped) at = unescaped(at, start, start + texts[i].length);
        else {
            memcpy(at, start, (size_t)texts[i].length);
            at += texts[i].length;
        }
    }
    offsets[count] = (int32_t)(at - out);
}

/* The value of a byte of base64, 64 if it is none. */
static uint8_t six_bits(uint8_t byte) {
    if (byte >= 'A' && byte <= 'Z') return byte - 'A';
    if (byte >= 'a' && byte <= 'z') return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9') return byte - '0' + 52;
    return byte == '+' ? 62 : byte == '/' ? 63 : 64;
}

/* As `caudal_texts`, of base64. Where it is not whole groups of four, the record becomes odd. */
void caudal_bytes(const uint8_t *data, const span *texts, const uint8_t *valid, int64_t count, uint8_t *out, int32_t *offsets,
                  uint8_t *odd) {
    uint8_t *at = out;
    for (int64_t i = 0; i < count; i++) {
        uint8_t *whole = at;
        offsets[i] = (int32_t)(at - out);
        if (!(valid[i >> 3] >> (i & 7) & 1)) continue;
        const uint8_t *from = data + texts[i].start, *end = from + texts[i].length;
        bool fits = texts[i].length % 4 == 0;
        for (; fits && from < end; from += 4) {
            int pads = end - from > 4 ? 0 : from[3] != '=' ? 0 : from[2] != '=' ? 1 : 2;
            uint32_t group = 0;
            for (int j = 0; j < 4; j++) {
                uint8_t bits = j >= 4 - pads ? 0 : six_bits(from[j]);
                fits &= bits < 64;
                group = group << 6 | (bits & 63);
            }
            fits &= (group & ((1u << 8 * pads) - 1)) == 0; /* no bits that are lost */
            for (int j = 0; j < 3 - pads; j++) *at++ = (uint8_t)(group >> (16 - 8 * j));
        }
        if (!fits) {
            odd[i] = 1;
            at = whole;
        }
    }
    offsets[count] = (int32_t)(at - out);
}
