"""Expressions of Athena and what Athena answers, for every engine to agree with.

They are asked over `one`, a table of one row: n = 7 (bigint), x = 2.5 (double), price = 1.50 (decimal(12,2)),
day = 2026-01-31, at = 2026-03-29 01:30:00.123456 UTC, note = NULL (varchar), name = 'tea' and
data = '{"a": {"b": 1}, "c": "s", "l": [1, 2]}' (JSON text).
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf
from typing import Any

import pyarrow as pa

from caudal.contract import TIMESTAMP


def at(*parts: int) -> datetime:
    """A time in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


ONE = pa.table({
    "n": pa.array([7], pa.int64()), "x": [2.5], "price": pa.array([Decimal("1.50")], pa.decimal128(12, 2)),
    "day": [date(2026, 1, 31)], "at": pa.array([datetime(2026, 3, 29, 1, 30, 0, 123456)], TIMESTAMP),
    "note": pa.array([None], pa.string()), "name": ["tea"], "data": ['{"a": {"b": 1}, "c": "s", "l": [1, 2]}'],
})

ANSWERS: list[tuple[str, Any]] = [
    # numbers
    ("7 / 2", 3), ("-7 / 2", -3), ("n / 2", 3), ("n % 4", 3), ("mod(n, 4)", 3), ("-7 % 4", -3), ("n / 2e0", 3.5), ("x / 0", inf),
    ("try(1 / 0)", None), ("try(n / (n - 7))", None), ("try(sum(n) / count(note))", None), ("1 / nullif(n - 7, 0)", None),
    ("price / 7", Decimal("0.21")), ("price / n", Decimal("0.21")), ("2.01 / 2", Decimal("1.01")), ("-2.01 / 2", Decimal("-1.01")),
    ("price * n", Decimal("10.50")), ("price + 1", Decimal("2.50")), ("avg(price)", Decimal("1.50")), ("sum(n) / count(*)", 7),
    ("sum(price)", Decimal("1.50")), ("sum(n)", 7), ("round(x)", 3.0), ("round(-2.5e0)", -3.0), ("floor(price)", Decimal(1)),
    ("power(2, 10)", 1024.0), ("greatest(1, null)", None), ("least(3, 2)", 2), ("bitwise_and(6, 3)", 2), ("is_nan(nan())", True),
    ("abs(-n)", 7), ("sign(-3)", -1), ("truncate(2.7e0)", 2.0), ("log10(100)", 2.0), ("100 * n / 9", 77),
    # casts
    ("cast(2.5e0 as integer)", 3), ("cast('12' as integer)", 12), ("try_cast('1.5' as integer)", None), ("try_cast('x' as date)", None),
    ("cast('hello' as varchar(3))", "hel"), ("cast('ab' as char(4))", "ab  "), ("cast(at as varchar)", "2026-03-29 01:30:00.123"),
    ("cast(price as varchar)", "1.50"), ("cast(day as varchar)", "2026-01-31"), ("cast(true as varchar)", "true"),
    ("cast('2026-01-02' as date)", date(2026, 1, 2)), ("cast('2026-01-02 03:04:05' as timestamp)", at(2026, 1, 2, 3, 4, 5)),
    ("cast(n as double) / 2", 3.5), ("cast(1 as decimal(5,2))", Decimal("1.00")), ("decimal '1.50'", Decimal("1.50")),
    ("cast(json_extract(data, '$.c') as varchar)", "s"), ("cast(at as date)", date(2026, 3, 29)),
    # text
    ("concat('a', name, 'b')", "ateab"), ("concat('a', note)", None), ("'a' || note", None), ("split_part('a,b', ',', 2)", "b"),
    ("split_part('a,b', ',', 3)", None), ("strpos(name, 'e')", 2), ("substr(name, 2)", "ea"), ("length('é€')", 2), ("upper(name)", "TEA"),
    ("lpad('7', 3, '0')", "007"), ("trim('  a ')", "a"), ("replace('aXb', 'X', '-')", "a-b"), ("reverse('abc')", "cba"),
    ("regexp_like(name, '^t')", True), ("regexp_extract(name, 'x(.)', 1)", None), ("regexp_extract('a1b', '([0-9])', 1)", "1"),
    ("regexp_replace('abc', '(b)', '<$1>')", "a<b>c"), ("format('%d', 5)", "5"), ("format('%s: %.2f', name, price)", "tea: 1.50"),
    ("format('%,d', 1234567)", "1,234,567"), ("format('%05d', 42)", "00042"), ("url_extract_host('https://u@a.example:8/p?q=1')", "a.example"),
    ("url_extract_path('https://a.example/p/q?x=1')", "/p/q"), ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
    ("coalesce(note, name)", "tea"), ("if(n > 5, 'many')", "many"), ("if(n > 9, 'many')", None), ("nullif(name, 'tea')", None),
    ("case when n = 7 then 'seven' else 'other' end", "seven"), ("name like 't%'", True), ("note is null", True), ("codepoint('a')", 97),
    # times
    ("date_trunc('month', day)", date(2026, 1, 1)), ("date_trunc('hour', at)", at(2026, 3, 29, 1)), ("date_trunc('week', day)", date(2026, 1, 26)),
    ("date_format(at, '%Y-%m-%d %H:%i:%s')", "2026-03-29 01:30:00"), ("format_datetime(at, 'yyyy/MM/dd HH:mm')", "2026/03/29 01:30"),
    ("date_add('month', 1, day)", date(2026, 2, 28)), ("day + interval '1' day", date(2026, 2, 1)), ("at + interval '30' minute", at(2026, 3, 29, 2, 0, 0, 123456)),
    ("date_diff('day', timestamp '2026-01-01 23:00:00', timestamp '2026-01-02 01:00:00')", 0), ("date_diff('day', day, date '2026-02-02')", 2),
    ("date_diff('month', date '2026-01-15', date '2026-03-14')", 1), ("from_unixtime(1.5)", at(1970, 1, 1, 0, 0, 1, 500000)),
    ("to_unixtime(timestamp '1970-01-01 00:01:00')", 60.0), ("date_parse('2026-01-02', '%Y-%m-%d')", at(2026, 1, 2)),
    ("from_iso8601_timestamp('2026-01-02T03:04:05Z')", at(2026, 1, 2, 3, 4, 5)), ("to_iso8601(timestamp '2026-01-02 03:04:05')", "2026-01-02T03:04:05.000Z"),
    ("year(day)", 2026), ("day_of_week(date '2026-02-01')", 7), ("extract(dow from date '2026-02-01')", 7), ("week(day)", 5), ("hour(at)", 1),
    ("millisecond(at)", 123), ("last_day_of_month(day)", date(2026, 1, 31)), ("date(at)", date(2026, 3, 29)),
    ("hour(at at time zone 'Europe/Berlin')", 3), ("hour(at_timezone(at, 'America/New_York'))", 21),
    ("date(at_timezone(at, 'America/New_York'))", date(2026, 3, 28)), ("at at time zone 'Europe/Berlin' = at", True),
    ("with_timezone(timestamp '2026-03-29 00:00:00', 'Europe/Berlin')", at(2026, 3, 28, 23)),
    ("timestamp '2026-03-29 00:00:00 Europe/Berlin'", at(2026, 3, 28, 23)), ("at > timestamp '2026-03-29 01:30:00'", True),
    # JSON
    ("json_extract_scalar(data, '$.a.b')", "1"), ("json_extract_scalar(data, '$.a')", None), ("json_extract_scalar('bad', '$.a')", None),
    ("json_extract_scalar(data, '$.l[1]')", "2"), ("json_array_length('[1, 2, 3]')", 3),
    # arrays and maps
    ("cardinality(array[1, 2])", 2), ("cardinality(map(array['a'], array[1]))", 1), ("element_at(array[1, 2], 3)", None), ("array[1, 2][2]", 2),
    ("at - timestamp '2026-03-28 00:30:00'", "1 01:00:00.123"), ("timestamp '2026-01-01' - timestamp '2026-01-02 00:00:01'", "-1 00:00:01.000"),
    ("array[10, 20][n - 6]", 10), ("array[5, 6, 7, 8, 9, 10, 11][n]", 11), ("array[1, 2][cast('2' as integer)]", 2),
    ("array[1, 2][1 + 1]", 2), ("array[array[1, 2], array[3]][1][2]", 2), ("array[1][cast(null as integer)]", None),
    ("transform(array[1, 2], i -> array['x', 'y'][i])", ["x", "y"]), ("split('a,b', ',')[2]", "b"), ("map(array[7], array['q'])[n]", "q"),
    ("try(array[1, 2][3])", None), ("element_at(array[1, 2], -1)", 2), ("element_at(array[1, 2], n - 6)", 1),
    ("substr('hello', 2)", "ello"), ("substr('hello', 0)", ""), ("substr('hello', 0, 2)", ""), ("substring('hello' from 0)", ""),
    ("substr('hello', -2)", "lo"), ("substr('hello', -2, 1)", "l"), ("substr('abc', -5)", ""), ("substr('abc', 2, -1)", ""),
    ("substr(name, n - 6, 2)", "te"), ("substr(note, 0)", None),
    ("element_at(map(array['a'], array[1]), 'b')", None), ("contains(array[1, 2], 2)", True), ("array_position(array[1], 5)", 0),
    ("array_join(array['a', null, 'c'], ',')", "a,c"), ("slice(array[1, 2, 3], 2, 2)", [2, 3]), ("sequence(1, 3)", [1, 2, 3]),
    ("sequence(3, 1)", [3, 2, 1]), ("sequence(date '2026-01-01', date '2026-01-02')", [date(2026, 1, 1), date(2026, 1, 2)]),
    ("transform(array[1, 2], i -> i * 2)", [2, 4]), ("filter(array[1, 2], i -> i > 1)", [2]),
    ("reduce(array[1, 2], 0, (s, i) -> s + i, s -> s)", 3), ("any_match(array[1, 2], i -> i > 1)", True), ("repeat('a', 2)", ["a", "a"]),
    ("array_sort(array[3, null, 1])", [1, 3, None]), ("array_union(array[1], array[1])", [1]), ("split('a,b', ',')", ["a", "b"]),
    # aggregates and windows
    ("max_by(note, n)", None), ("min_by(name, n)", "tea"), ("arbitrary(n)", 7), ("array_agg(note)", [None]), ("count(note)", 0),
    ("map_agg(name, n)", [("tea", 7)]), ("count_if(n > 5)", 1), ("approx_distinct(n)", 1), ("approx_percentile(n, 0.5)", 7),
    ("bool_and(n > 5)", True), ("every(n > 9)", False), ("listagg(name, ',') within group (order by name)", "tea"),
    ("row_number() over (order by n)", 1), ("sum(n) over ()", 7), ("lag(n) over (order by n)", None), ("sum(n) filter (where n > 9)", None),
]
