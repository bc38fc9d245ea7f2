"""Queries that DuckDB runs by converting, or because they are its own, and Athena refuses."""

MISMATCHES: list[tuple[str, str, str]] = [
    ("'a' || 1", "concatenate", "integer"), ("concat(name, n)", "concatenate", "bigint"), ("upper(1)", "upper", "integer"), ("lower(day)", "varchar", "date"),
    ("length(5)", "length", "integer"), ("coalesce(NULL, 1, 'a')", "integer", "varchar(1)"), ("date_add('day', 1, '2026-01-01')", "date_add", "varchar(10)"),
    ("date_trunc('day', '2026-01-01')", "date_trunc", "varchar(10)"), ("date_diff('day', name, day)", "date_diff", "varchar"), ("date_diff('day', day, name)", "date_diff", "varchar"),
    ("date_format('2026-01-01', '%Y')", "date_format", "varchar(10)"), ("year('2026-01-01')", "year", "varchar(10)"), ("name = 1", "varchar", "integer"),
    ("name > n", "varchar", "bigint"), ("max(name) > 1", "varchar", "integer"), ("day = '2026-01-01'", "date", "varchar(10)"), ("at > '2026-01-01'", "timestamp(3)", "varchar(10)"),
    ("cast(n as varchar) = 7", "varchar", "integer"), ("true = 1", "boolean", "integer"), ("n between '1' and '2'", "bigint", "varchar(1)"), ("n in (1, 'a')", "bigint", "varchar(1)"),
    ("n in (select name from one)", "bigint", "varchar"), ("nullif(n, 'a')", "bigint", "varchar(1)"), ("if(n, 1, 2)", "boolean", "bigint"), ("n and true", "boolean", "bigint"),
    ("not n", "boolean", "bigint"), ("case when n then 1 end", "boolean", "bigint"), ("case when true then 1 else 'a' end", "integer", "varchar(1)"), ("case n when 'a' then 1 end", "bigint", "varchar(1)"),
    ("count(*) filter (where n)", "boolean", "bigint"), ("greatest(1, 'a')", "integer", "varchar(1)"), ("array[1, 'a']", "integer", "varchar(1)"), ("sum('1')", "sum", "varchar(1)"),
    ("avg(name)", "avg", "varchar"), ("bool_and(n)", "bool_and", "bigint"), ("name + 1", "varchar", "integer"), ("day + 1", "date", "integer"), ("true + 1", "boolean", "integer"),
    ("abs(name)", "abs", "varchar"), ("round('1.5')", "round", "varchar(3)"), ("n like '7'", "like", "bigint"), ("regexp_like(n, '7')", "regexp_like", "bigint"), ("md5('a')", "varbinary", "varchar(1)"),
    ("from_unixtime(name)", "from_unixtime", "varchar"), ("cardinality(name)", "cardinality", "varchar"), ("json_extract(data, '$.a') = 1", "json", "integer"), ("listagg(n, ',') within group (order by n)", "listagg", "bigint"),
    ("filter(array['a'], i -> i > 1)", "varchar", "integer"), ("transform(array[1], i -> i || 'a')", "concatenate", "integer"), ("lag(name) over (order by n) = 1", "varchar", "integer"), ("(select name) = 1", "varchar", "integer"),
    ("x'61' || 'a'", "varbinary", "varchar"), ("at_timezone('2026-01-01', 'UTC')", "at_timezone", "varchar(10)"), ("1 FROM one UNION SELECT 'a'", "integer", "varchar"), ("1 FROM one UNION ALL SELECT 1, 2", "1 columns", "2"),
    ("1 FROM shop_order WHERE quantity", "boolean", "bigint"), ("1 FROM shop_order a JOIN shop_order b ON a.quantity", "boolean", "bigint"), ("id FROM shop_order GROUP BY id HAVING count(*)", "boolean", "bigint"),
    ("x FROM (VALUES (1), ('a')) AS t(x)", "integer", "varchar(1)"), ("1 FROM (SELECT id AS k FROM shop_order) WHERE k = 1", "varchar", "integer"), ("infinity(1)", "infinity", "1 arguments"),
]
"""What is selected, and what the refusal names."""

NOT_ATHENAS: list[tuple[str, str]] = [
    ("SELECT ifnull(note, '') FROM shop_order", "coalesce"), ("SELECT len(note) FROM shop_order", "length"), ("SELECT group_concat(note) FROM shop_order", "listagg"), ("SELECT instr(note, 'a') FROM shop_order", "strpos"),
    ("SELECT left(note, 1) FROM shop_order", "did you mean"), ("SELECT datediff('day', current_date, current_date)", "date_diff"), ("SELECT quantity::varchar FROM shop_order", "CAST"),
    ("SELECT 1 == 1", "write ="), ("SELECT [1, 2]", "ARRAY"), ("SELECT {'a': 1}", "ROW"), ("SELECT current_date + INTERVAL 1 DAY", "INTERVAL '1'"), ("SELECT 6 & 3", "bitwise_and"), ("SELECT 2 ^ 3", "power"),
    ("SELECT note RLIKE 'a' FROM shop_order", "regexp_like"), ("SELECT id FROM shop_order LIMIT 1 OFFSET 1", "OFFSET before"), ("SELECT id, FROM shop_order", "last comma"), ("SELECT id, count(*) FROM shop_order GROUP BY ALL", "name the columns"),
    ("SELECT DISTINCT ON (id) id FROM shop_order", "row_number"), ("SELECT a.id FROM shop_order a SEMI JOIN shop_order b ON a.id = b.id", "EXISTS"), ("SELECT DISTINCT id FROM shop_order ORDER BY quantity", "select it too"),
    ("SELECT count(*) AS c FROM shop_order HAVING c > 0", "there is"), ("SELECT id AS x, count(*) FROM shop_order GROUP BY x", "there is"), ("SELECT a || b FROM (SELECT 1 AS a, 2 AS b)", "varchar"),
]
"""Whole queries, and what the hint says."""
