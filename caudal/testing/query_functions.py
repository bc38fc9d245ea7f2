"""Functions of Trino, by the chapters of its documentation, and what they answer in Athena: more of `query_answers`.

Asked over the same table. Approximate ones and those of chance are asked for what is sure about them.
"""

from datetime import date
from decimal import Decimal
from math import inf
from typing import Any

from caudal.testing.query_answers import at

NUMBERS: list[tuple[str, Any]] = [
    ("round(cbrt(27e0), 5)", 3.0), ("ceil(2.1e0)", 3.0), ("ceiling(-2.1e0)", -2.0), ("degrees(pi())", 180.0), ("round(e(), 5)", 2.71828), ("exp(0)", 1.0),
    ("floor(-2.5e0)", -3.0), ("ln(e())", 1.0), ("log(2, 8)", 3.0), ("log2(8)", 3.0), ("log10(1000)", 3.0), ("mod(-7, 4)", -3), ("mod(7.5, 2)", Decimal("1.5")),
    ("round(pi(), 4)", 3.1416), ("pow(2, 3)", 8.0), ("power(2, 0.5) > 1.41", True), ("radians(180e0) = pi()", True), ("round(1234, -2)", 1200),
    ("round(15.5e0, -1)", 20.0), ("round(2.345, 2)", Decimal("2.350")), ("round(-1.5e0)", -2.0), ("sign(-2.5e0)", -1.0), ("sign(0)", 0), ("sqrt(16)", 4.0),
    ("truncate(-2.7e0)", -2.0), ("truncate(12.345, 1)", Decimal("12.300")), ("width_bucket(3.5e0, 0e0, 10e0, 5)", 2), ("width_bucket(-1e0, 0e0, 10e0, 5)", 0),
    ("width_bucket(11e0, 0e0, 10e0, 5)", 6), ("width_bucket(3e0, array[1e0, 2e0, 4e0])", 2), ("acos(1e0)", 0.0), ("asin(0e0)", 0.0), ("atan(0e0)", 0.0),
    ("atan2(0e0, 1e0)", 0.0), ("cos(0e0)", 1.0), ("cosh(0e0)", 1.0), ("sin(0e0)", 0.0), ("sinh(0e0)", 0.0), ("tan(0e0)", 0.0), ("tanh(0e0)", 0.0),
    ("infinity()", inf), ("is_finite(infinity())", False), ("is_infinite(-infinity())", True), ("is_nan(0e0 / 0e0)", True),
    ("to_base(255, 2)", "11111111"), ("abs(-1.5)", Decimal("1.5")), ("greatest(1, 2, 3)", 3), ("greatest('a', 'b')", "b"),
    ("least(date '2026-01-01', date '2025-01-01')", date(2025, 1, 1)), ("least(1, null)", None), ("rand() < 1", True), ("random() >= 0", True),
    ("random(10) between 0 and 9", True), ("random(5, 6)", 5), ("bitwise_or(5, 2)", 7), ("bitwise_xor(6, 3)", 5), ("bitwise_not(5)", -6),
    ("bitwise_left_shift(1, 3)", 8), ("bitwise_right_shift(8, 2)", 2), ("bit_count(9, 64)", 2), ("bitwise_right_shift_arithmetic(-8, 1)", -4),
    ("1e0 / 3 > 0.33", True), ("2 * 3 - 4", 2), ("n between 1 and 7", True),
    ("5 / 2 * 2", 4), ("cast(5 as double) / 2", 2.5), ("5 / 2e0", 2.5), ("-5 % 3", -2), ("1.0 / 3", Decimal("0.3")), ("decimal '10.00' * 2", Decimal("20.00")),

]

TEXTS: list[tuple[str, Any]] = [
    ("chr(65)", "A"), ("codepoint('é')", 233), ("concat('a', 'b', 'c')", "abc"), ("concat_ws(',', 'a', null, 'b')", "a,b"), ("format('%s-%03d', 'x', 7)", "x-007"),
    ("format('%.3f', 1.5e0)", "1.500"), ("format('%x', 255)", "ff"), ("format('%5s|', 'ab')", "   ab|"), ("format('%-5s|', 'ab')", "ab   |"), ("format('%%')", "%"),
    ("hamming_distance('abc', 'abd')", 1), ("length('héllo')", 5), ("levenshtein_distance('kitten', 'sitting')", 3), ("lower('ÄB')", "äb"),
    ("lpad('abc', 5)", "  abc"), ("lpad('abc', 2, 'x')", "ab"), ("rpad('abc', 5, 'xy')", "abcxy"), ("ltrim('  a ')", "a "), ("rtrim(' a  ')", " a"),
    ("ltrim('xxa', 'x')", "a"), ("trim(leading 'x' from 'xxax')", "ax"), ("trim(both 'x' from 'xax')", "a"), ("position('b' in 'abc')", 2), ("replace('abcabc', 'b')", "acac"),
    ("reverse('ab')", "ba"), ("split('a,b,c', ',', 2)", ["a", "b,c"]), ("split_to_map('a=1;b=2', ';', '=')", [("a", "1"), ("b", "2")]),
    ("starts_with('abc', 'ab')", True), ("strpos('abcabc', 'c')", 3), ("strpos('abcabc', 'c', 2)", 6), ("strpos('abc', 'x')", 0), ("substr('hello', 2, 3)", "ell"),
    ("substring('hello', -3, 2)", "ll"), ("translate('abcba', 'ab', 'x')", "xcx"), ("upper('aé')", "AÉ"),
    ("from_utf8(to_utf8('é'))", "é"), ("to_utf8('a')", b"a"),
    ("'a' < 'b'", True), ("'10' < '9'", True), ("'abc' like '_b%'", True), ("'a%c' like 'a!%c' escape '!'", True), ("'ABC' like 'abc'", False), ("name not like 'x%'", True),
    ("regexp_count('1a 2b 14m', '\\s*[a-z]+\\s*')", 3), ("regexp_extract('1a 2b 14m', '\\d+')", "1"), ("regexp_extract('1a 2b 14m', '(\\d+)([a-z]+)', 2)", "a"),
    ("regexp_extract_all('1a 2b 14m', '\\d+')", ["1", "2", "14"]), ("regexp_extract_all('1a 2b 14m', '(\\d+)([a-z]+)', 2)", ["a", "b", "m"]),
    ("regexp_like('1a 2b', '\\d+b')", True), ("regexp_position('I have 23 apples', '\\b\\d+\\b')", 8), ("regexp_replace('1a 2b 14m', '\\d+[ab] ')", "14m"),
    ("regexp_replace('1a 2b 14m', '(\\d+)([ab]) ', '3c$2 ')", "3ca 3cb 14m"), ("regexp_replace('aa', 'a', 'b')", "bb"),
    ("regexp_split('1a 2b 14m', '\\s*[a-z]+\\s*')", ["1", "2", "14", ""]),
    ("regexp_extract('2026-01-02', '(?<y>\\d+)-(\\d+)', 1)", "2026"), ("regexp_like('ABC', '(?i)b')", True),
    ("url_extract_host('http://a.example/x')", "a.example"), ("url_extract_protocol('https://a.example/x')", "https"), ("url_extract_port('http://a.example:8080/x')", 8080),
    ("url_extract_port('http://a.example/x')", None), ("url_extract_query('http://a.example/x?a=1&b=2')", "a=1&b=2"), ("url_extract_fragment('http://a.example/x#top')", "top"),
    ("url_extract_parameter('http://a.example/x?a=1&b=%20z', 'b')", " z"), ("url_extract_parameter('http://a.example/x?a=1', 'c')", None),
    ("url_encode('a b&c=é')", "a+b%26c%3D%C3%A9"), ("url_decode('a+b%26c%3D%C3%A9')", "a b&c=é"), ("url_encode('a-b_c.d*e~')", "a-b_c.d*e%7E"),
    ("to_base64(to_utf8('a'))", "YQ=="), ("from_base64('YQ==')", b"a"), ("to_base64url(to_utf8('a?>'))", "YT8-"), ("from_base64url('YT8-')", b"a?>"),
    ("to_hex(to_utf8('a'))", "61"), ("from_hex('61')", b"a"), ("to_hex(sha1(to_utf8('a')))", "86F7E437FAA5A7FCE15D1DDCB9EAEAEA377667B8"),
    ("to_hex(sha256(to_utf8('a')))", "CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB"), ("length(to_utf8('é'))", 2),
    ("to_hex(substr(to_utf8('abc'), 2))", "6263"), ("concat(to_utf8('a'), to_utf8('b'))", b"ab"), ("X'61'", b"a"),
    ("length(cast(uuid() as varchar))", 36),
    ("typeof(uuid())", "uuid"), ("length('')", 0), ("coalesce(note, 'none')", "none"), ("nullif(1, 1)", None), ("if(false, 1, 2)", 2), ("if(null, 1)", None),
    ("try(cast('x' as integer))", None), ("try_cast('7' as bigint)", 7), ("case n when 7 then 'a' else 'b' end", "a"), ("note is distinct from null", False),
    ("n is not distinct from 7", True),
]

TIMES: list[tuple[str, Any]] = [
    ("date_format(timestamp '2026-01-02 15:04:05.678', '%a %b %c %d %e')", "Fri Jan 1 02 2"), ("date_format(timestamp '2026-01-02 15:04:05.678', '%f %H %h %I %i')", "678000 15 03 03 04"),
    ("date_format(timestamp '2026-01-02 15:04:05.678', '%j %k %l %M %m')", "002 15 3 January 01"), ("date_format(timestamp '2026-01-02 15:04:05.678', '%p %r %S %s %T')", "PM 03:04:05 PM 05 05 15:04:05"),
    ("date_format(timestamp '2026-01-04 15:04:05', '%v %W %x %Y %y %%')", "01 Sunday 2026 2026 26 %"), ("date_format(date '2026-01-31', '%Y%m%d')", "20260131"),
    ("date_format(timestamp '2026-01-02 03:04:05', '%Y-%m-%dT%H:%i:%sZ')", "2026-01-02T03:04:05Z"),
    ("date_parse('2026-01-02 15:04:05', '%Y-%m-%d %H:%i:%s')", at(2026, 1, 2, 15, 4, 5)), ("date_parse('02/Jan/2026', '%d/%b/%Y')", at(2026, 1, 2)),
    ("date_parse('2026-01-02 03:04:05 PM', '%Y-%m-%d %h:%i:%s %p')", at(2026, 1, 2, 15, 4, 5)), ("date_parse('2026-01-02 15:04:05.25', '%Y-%m-%d %T.%f')", at(2026, 1, 2, 15, 4, 5, 250000)),
    ("date_parse('20260102', '%Y%m%d')", at(2026, 1, 2)), ("date_parse('January 2, 26', '%M %e, %y')", at(2026, 1, 2)),
    ("date_trunc('millisecond', at)", at(2026, 3, 29, 1, 30, 0, 123000)), ("date_trunc('second', at)", at(2026, 3, 29, 1, 30)), ("date_trunc('minute', at)", at(2026, 3, 29, 1, 30)),
    ("date_trunc('day', at)", at(2026, 3, 29)), ("date_trunc('week', at)", at(2026, 3, 23)), ("date_trunc('quarter', at)", at(2026, 1, 1)), ("date_trunc('year', at)", at(2026, 1, 1)),
    ("date_trunc('month', date '2026-05-17')", date(2026, 5, 1)), ("date_add('millisecond', 5, at)", at(2026, 3, 29, 1, 30, 0, 128456)), ("date_add('second', -1, timestamp '2026-01-01 00:00:00')", at(2025, 12, 31, 23, 59, 59)),
    ("date_add('minute', 90, timestamp '2026-01-01 00:00:00')", at(2026, 1, 1, 1, 30)), ("date_add('hour', 25, timestamp '2026-01-01 00:00:00')", at(2026, 1, 2, 1)), ("date_add('day', n, day)", date(2026, 2, 7)),
    ("date_add('week', 2, day)", date(2026, 2, 14)), ("date_add('quarter', 1, day)", date(2026, 4, 30)), ("date_add('year', -1, date '2024-02-29')", date(2023, 2, 28)),
    ("date_diff('millisecond', timestamp '2026-01-01 00:00:00', timestamp '2026-01-01 00:00:01.5')", 1500), ("date_diff('second', timestamp '2026-01-01 00:00:00', timestamp '2026-01-01 00:01:00')", 60),
    ("date_diff('minute', timestamp '2026-01-01 00:00:30', timestamp '2026-01-01 00:02:00')", 1), ("date_diff('hour', timestamp '2026-01-02 00:00:00', timestamp '2026-01-01 00:00:00')", -24),
    ("date_diff('week', date '2026-01-01', date '2026-01-15')", 2), ("date_diff('quarter', date '2026-01-01', date '2026-12-31')", 3),
    ("from_iso8601_timestamp('2026-01-02T03:04:05+02:00')", at(2026, 1, 2, 1, 4, 5)), ("from_iso8601_timestamp('2026-01-02')", at(2026, 1, 2)), ("from_iso8601_date('2026-01-02')", date(2026, 1, 2)),
    ("from_unixtime(0)", at(1970, 1, 1)), ("from_unixtime(1767225600)", at(2026, 1, 1)), ("to_unixtime(timestamp '1970-01-01 00:00:01.5')", 1.5), ("from_unixtime_nanos(1500000000)", at(1970, 1, 1, 0, 0, 1, 500000)),
    ("at_timezone(timestamp '2026-01-01 12:00:00 UTC', 'Asia/Tokyo') = timestamp '2026-01-01 12:00:00 UTC'", True), ("hour(timestamp '2026-01-01 12:00:00 UTC' at time zone 'Asia/Tokyo')", 21),
    ("date(timestamp '2026-01-01 23:00:00')", date(2026, 1, 1)), ("date('2026-01-31')", date(2026, 1, 31)), ("year(at)", 2026), ("quarter(at)", 1), ("month(at)", 3), ("week_of_year(at)", 13), ("day(at)", 29),
    ("day_of_month(at)", 29), ("day_of_week(at)", 7), ("dow(at)", 7), ("day_of_year(at)", 88), ("doy(at)", 88), ("year_of_week(date '2027-01-01')", 2026), ("yow(date '2027-01-01')", 2026), ("minute(at)", 30),
    ("second(at)", 0), ("extract(year from at)", 2026), ("extract(month from day)", 1), ("extract(day from day)", 31), ("extract(hour from at)", 1), ("extract(week from day)", 5), ("extract(quarter from day)", 1),
    ("extract(doy from day)", 31), ("date '2026-01-01' + interval '1' month", date(2026, 2, 1)), ("timestamp '2026-01-01 00:00:00' - interval '2' hour", at(2025, 12, 31, 22)),
    ("interval '2' day + interval '3' hour", "2 03:00:00.000"), ("interval '1' year + interval '2' month", "1-2"), ("date '2026-03-01' - date '2026-02-01'", "28 00:00:00.000"), ("date '2026-01-01' < date '2026-01-02'", True),
    ("current_date = date(now())", True), ("current_timestamp = now()", True), ("to_milliseconds(interval '1' second)", 1000),
    ("format_datetime(timestamp '2026-01-02 15:04:05', 'yyyy-MM-dd HH:mm:ss')", "2026-01-02 15:04:05"), ("format_datetime(at, 'EEE, d MMM yyyy')", "Sun, 29 Mar 2026"),
    ("parse_datetime('2026-01-02 15:04', 'yyyy-MM-dd HH:mm')", at(2026, 1, 2, 15, 4)), ("to_iso8601(date '2026-01-02')", "2026-01-02"), ("last_day_of_month(date '2024-02-05')", date(2024, 2, 29)),
    ("cast('2026-01-02 03:04:05.678' as timestamp)", at(2026, 1, 2, 3, 4, 5, 678000)),
    ("cast(date '2026-01-02' as timestamp)", at(2026, 1, 2)), ("date_trunc('day', timestamp '2026-03-29 01:30:00 UTC')", at(2026, 3, 29)), ("timestamp '2026-01-01' = date '2026-01-01'", True),
]

NESTED: list[tuple[str, Any]] = [
    ("json_extract(data, '$.a')", '{"b":1}'), ("json_extract_scalar(data, '$.c')", "s"), ("json_extract_scalar(data, '$[\"c\"]')", "s"), ("json_extract_scalar('{\"x y\": 1}', '$[\"x y\"]')", "1"),
    ("json_extract_scalar('[true, null]', '$[0]')", "true"), ("json_extract_scalar('[true, null]', '$[1]')", None), ("json_array_get('[1, 2]', 1)", "2"), ("json_array_contains('[1, 2]', 2)", True), ("json_array_length('{}')", None),
    ("json_size(data, '$.a')", 1), ("json_format(json_parse('{\"a\": 1}'))", '{"a":1}'), ("json_format(cast(array[1, 2] as json))", "[1,2]"), ("cast(json_parse('[1, 2]') as array(integer))", [1, 2]),
    ("cast(json_parse('{\"a\": 1}') as map(varchar, integer))", [("a", 1)]), ("cast(json_extract(data, '$.a.b') as integer)", 1), ("json_format(cast(map(array['k'], array[1]) as json))", '{"k":1}'), ("json_format(cast('x' as json))", '"x"'),
    ("json_format(cast(5 as json))", "5"), ("is_json_scalar('1')", True), ("is_json_scalar('[1]')", False), ("json_format(json '[1]')", "[1]"), ("cast(cast(row(1, 'a') as row(x bigint, y varchar)) as json)", '{"x":1,"y":"a"}'),
    ("all_match(array[1, 2], x -> x > 0)", True), ("none_match(array[1, 2], x -> x > 2)", True), ("array_distinct(array[1, 1, 2])", [1, 2]), ("array_except(array[1, 2], array[2])", [1]), ("array_intersect(array[1, 2], array[2, 3])", [2]),
    ("array_join(array[1, null, 3], '-', 'x')", "1-x-3"), ("array_max(array[1, 3, 2])", 3), ("array_min(array[1, 3, 2])", 1), ("array_max(array[1, null])", None), ("array_remove(array[1, 2, 1], 1)", [2]), ("array_position(array['a', 'b'], 'b')", 2),
    ("array_sort(array[3, 1, 2], (a, b) -> if(a < b, 1, if(a = b, 0, -1)))", [3, 2, 1]), ("arrays_overlap(array[1, 2], array[2])", True), ("cardinality(array[])", 0),
    ("contains(array['a'], 'b')", False), ("concat(array[1], array[2])", [1, 2]), ("array[1] || array[2]", [1, 2]), ("array[1] || 2", [1, 2]), ("0 || array[1]", [0, 1]),
    ("filter(array[5, null, 7], x -> x is not null)", [5, 7]), ("find_first(array[1, 3, 4], x -> x > 2)", 3), ("flatten(array[array[1], array[2, 3]])", [1, 2, 3]),
    ("reduce(array[1, 2, 3], 0, (s, x) -> s + x, s -> s * 10)", 60), ("reduce(array[5, 20], cast(row(0.0, 0) as row(sum double, count integer)), (s, x) -> cast(row(x + s.sum, s.count + 1) as row(sum double, count integer)), s -> s.sum / s.count)", 12.5),
    ("repeat(1, 3)", [1, 1, 1]), ("reverse(array[1, 2])", [2, 1]), ("sequence(1, 7, 3)", [1, 4, 7]), ("sequence(date '2026-01-01', date '2026-03-01', interval '1' month)", [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]),
    ("slice(array[1, 2, 3], -2, 2)", [2, 3]), ("trim_array(array[1, 2, 3], 1)", [1, 2]), ("transform(array['a'], x -> upper(x))", ["A"]),
    ("zip_with(array[1, 2], array[3, 4], (a, b) -> a * b)", [3, 8]), ("zip(array[1, 2], array['a', 'b'])[1][2]", "a"), ("array_histogram(array['a', 'a'])", [("a", 2)]), ("array[1, 2] = array[1, 2]", True),
    ("cardinality(map())", 0), ("map(array['a', 'b'], array[1, 2])['b']", 2), ("map_from_entries(array[(1, 'x')])", [(1, "x")]), ("map_entries(map(array[1], array['x']))[1][2]", "x"), ("map_keys(map(array['a'], array[1]))", ["a"]),
    ("map_values(map(array['a'], array[1]))", [1]), ("map_concat(map(array['a'], array[1]), map(array['a', 'b'], array[2, 3]))", [("a", 2), ("b", 3)]), ("map_filter(map(array['a', 'b'], array[1, 2]), (k, v) -> v > 1)", [("b", 2)]),
    ("transform_values(map(array['a'], array[1]), (k, v) -> v * 10)", [("a", 10)]), ("transform_keys(map(array['a'], array[1]), (k, v) -> k || 'x')", [("ax", 1)]), ("map_zip_with(map(array['a'], array[1]), map(array['a'], array[2]), (k, x, y) -> x + y)", [("a", 3)]),
    ("multimap_from_entries(array[('a', 1), ('a', 2)])", [("a", [1, 2])]), ("split_to_multimap('a=1&a=2', '&', '=')", [("a", ["1", "2"])]), ("element_at(map(array['a'], array[1]), 'a')", 1),
    ("row(1, 'a')[2]", "a"), ("cast(row(1, 'a') as row(x bigint, y varchar)).y", "a"), ("cast(row(1, 2.5) as row(x varchar, y double)).x", "1"), ("row(1, 2) = row(1, 2)", True), ("(1, 'a') in ((1, 'a'), (2, 'b'))", True),
    ("typeof(1)", "integer"), ("typeof(n)", "bigint"), ("typeof(1.5)", "decimal(2,1)"), ("typeof(1e0)", "double"), ("typeof('cat')", "varchar(3)"), ("typeof(name)", "varchar"), ("typeof(true)", "boolean"), ("typeof(day)", "date"), ("typeof(at)", "timestamp(3)"),
    ("typeof(array[1])", "array(integer)"), ("typeof(price)", "decimal(12,2)"), ("typeof(cos(2) + 1.5)", "double"), ("typeof(json_parse('1'))", "json"), ("typeof(null)", "unknown"),
    ("typeof(to_utf8('a'))", "varbinary"), ("typeof(cast(1 as smallint))", "smallint"), ("typeof(date_trunc('day', day))", "date"), ("typeof(count(*))", "bigint"), ("typeof(interval '1' day)", "interval day to second"),
]

_OF = "(select {} from (values (1, 2e0, 'a'), (2, 4e0, 'b'), (3, 6e0, null), (null, null, 'b')) as v(i, d, s))"
_WINDOW = "(select array_agg(w order by i) from (select i, {} as w from (values (1, 10), (2, null), (3, 30)) as v(i, x)) as t)"

AGGREGATES: list[tuple[str, Any]] = [(_OF.format(sql), answer) for sql, answer in [
    ("any_value(1)", 1), ("arbitrary(7)", 7), ("array_agg(i order by i desc)", [3, 2, 1, None]), ("array_agg(distinct s order by s)", ["a", "b", None]), ("array_agg(i) filter (where i > 2)", [3]), ("avg(i)", 2.0), ("avg(d)", 4.0),
    ("bool_and(i > 0)", True), ("bool_or(i > 2)", True), ("every(i > 1)", False), ("count(*)", 4), ("count(i)", 3), ("count(distinct s)", 2), ("count_if(i > 1)", 2), ("max(s)", "b"), ("min(d)", 2.0), ("sum(i)", 6), ("sum(d)", 12.0), ("sum(distinct i)", 6),
    ("max(i, 2)", [3, 2]), ("min(i, 2)", [1, 2]), ("max_by(s, i)", None), ("max_by(s, d)", None), ("min_by(s, i)", "a"), ("max_by(i, d, 2)", [3, 2]), ("min_by(i, d, 2)", [1, 2]), ("geometric_mean(power(i, 2) * 0 + 4)", 4.0),
    ("approx_distinct(i)", 3), ("approx_percentile(i, 0.5)", 2), ("approx_percentile(d, array[0.5])", [4.0]), ("corr(i, d)", 1.0), ("covar_pop(d, i) > 1.33", True), ("covar_samp(d, i)", 2.0), ("stddev(i)", 1.0), ("stddev_samp(i)", 1.0),
    ("round(stddev_pop(i), 3)", 0.816), ("variance(i)", 1.0), ("var_samp(i)", 1.0), ("round(var_pop(i), 3)", 0.667), ("regr_slope(d, i)", 2.0), ("regr_intercept(d, i)", 0.0), ("skewness(i)", 0.0), ("kurtosis(i) is null", True),
    ("bitwise_and_agg(i)", 0), ("bitwise_or_agg(i)", 3), ("bitwise_xor_agg(i)", 0), ("histogram(s)", [("a", 1), ("b", 2)]), ("map_agg(s, i)", [("a", 1), ("b", 2)]), ("multimap_agg(s, i)", [("a", [1]), ("b", [2, None])]),
    ("map_union(map(array[coalesce(s, 'z')], array[i]))['a']", 1), ("listagg(s, '+') within group (order by i)", "a+b+b"),
    ("sum(i) filter (where s = 'a')", 1),
    ("array_join(array_sort(array_agg(distinct coalesce(s, '-'))), '')", "-ab"),
]] + [(_WINDOW.format(sql), answer) for sql, answer in [
    ("row_number() over (order by i)", [1, 2, 3]), ("rank() over (order by i > 1)", [1, 2, 2]), ("dense_rank() over (order by i > 1)", [1, 2, 2]), ("percent_rank() over (order by i)", [0.0, 0.5, 1.0]), ("ntile(2) over (order by i)", [1, 1, 2]),
    ("cume_dist() over (order by i) = 1", [False, False, True]), ("lag(x) over (order by i)", [None, 10, None]), ("lag(x, 1, 0) over (order by i)", [0, 10, None]), ("lead(x) ignore nulls over (order by i)", [30, 30, None]),
    ("lag(x) ignore nulls over (order by i)", [None, 10, 10]), ("first_value(x) over (order by i)", [10, 10, 10]), ("last_value(x) over (order by i rows between unbounded preceding and unbounded following)", [30, 30, 30]),
    ("nth_value(x, 3) over (order by i rows between unbounded preceding and unbounded following)", [30, 30, 30]), ("sum(x) over (order by i)", [10, 10, 40]), ("sum(x) over (order by i rows between 1 preceding and current row)", [10, 10, 30]),
    ("sum(i) over (order by i range between 1 preceding and 1 following)", [3, 6, 5]), ("last_value(x) ignore nulls over (order by i)", [10, 10, 30]), ("count(*) over (partition by i > 1)", [1, 2, 2]), ("max(x) over ()", [30, 30, 30]),
]] + [
    ("(select array_agg(o order by o) from unnest(array['a', 'b']) with ordinality as u(v, o))", [1, 2]), ("(select sum(a * b) from unnest(array[1, 2], array[3, 4]) as u(a, b))", 11), ("(select max(v) from unnest(map(array['a'], array[5])) as u(k, v))", 5),
    ("(select count(*) from (values 1, 2) as v(x) cross join unnest(sequence(1, x)) as u(y))", 3), ("(select max(x) from (values (1, 'a'), (2, 'b')) as v(x, y))", 2), ("exists(select 1 from (values 1) as v(x) where x = 1)", True),
    ("(select array_agg(c order by s nulls last) from (select s, count(*) as c from (values 'a', 'b', 'b') as v(s) group by rollup (s)) as t)", [1, 2, 3]), ("n in (select x from (values 7, 8) as v(x))", True), ("n = any (select 7)", True), ("(select sum(g) from (select grouping(s) as g from (values 'a') as v(s) group by rollup (s)) as t)", 1),
    ("(select x from (values 1, 2, 3) as v(x) order by x desc offset 1 limit 1)", 2), ("(select x from (values 1, 2, 3) as v(x) order by x fetch first 1 rows only)", 1), ("(select count(*) from (select 1 union all select 1 intersect select 1) as t)", 2),
]

FUNCTIONS = [*NUMBERS, *TEXTS, *TIMES, *NESTED, *AGGREGATES]

REFUSED = [
    "from_base('ff', 16)", "normal_cdf(0, 1, 0)", "soundex('robert')", "word_stem('running')", "normalize('x')", "crc32(to_utf8('a'))",
    "combinations(array[1, 2], 2)", "ngrams(array['a'], 1)", "checksum(n)", "entropy(n)", "numeric_histogram(1, n)", "parse_duration('1m')",
    "reduce_agg(n, 0, (a, b) -> a + b, (a, b) -> a + b)", "regexp_replace('a', '(a)', x -> upper(x[1]))", "sha512(to_utf8('a'))", "xxhash64(to_utf8('a'))",
]
"""Functions of Athena that are refused by name."""
