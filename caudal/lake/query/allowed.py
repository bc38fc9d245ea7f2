"""What a query may be made of: every piece of syntax and every function that is not listed here is refused.

A list of what is allowed, for a list of what is dangerous is never complete. Names are those of sqlglot's syntax tree;
`NAMED` are functions that it has no class for, by their Athena name.
"""

SYNTAX = frozenset(
    """
    Alias Aliases All And Any Between Boolean Bracket CTE Case Cast Column ColumnDef Cube DPipe DataType
    DataTypeParam Distinct Div Dot EQ Escape Except Exists Fetch Filter From GT GTE Group GroupingSets Having HexString
    Identifier If IgnoreNulls In Intersect Interval Is Join LT LTE Lambda Lateral Like Limit LimitOptions Literal Mod Mul
    NEQ Neg Not Null NullSafeEQ NullSafeNEQ Offset Or Order Ordered Paren PropertyEQ RespectNulls Rollup Select
    Slice Star Sub Add Subquery Table TableAlias TableSample Tuple Union Unnest Values Var Version Where Window WindowSpec With
    WithinGroup
    """.split()
)

FUNCTIONS = frozenset(
    """
    Abs Acos Asin Atan Atan2 Cbrt Ceil Cos Cosh Degrees Exp Floor IsNan Ln Log Pi Pow Radians Rand Round Sign Sin Sqrt
    Sinh Tan Tanh Trunc WidthBucket Typeof BitwiseXorAgg RegrCount StrToMap JSONArrayContains BitwiseAnd BitwiseOr BitwiseXor
    BitwiseNot
    Chr Concat ConcatWs EndsWith Format Length Levenshtein Lower Pad Trim Replace Reverse Split SplitPart StartsWith
    StrPosition Substring Translate Upper Encode Decode
    RegexpLike RegexpExtract RegexpExtractAll RegexpReplace RegexpSplit RegexpCount
    JSONExtract JSONExtractScalar JSONPath JSONPathRoot JSONPathKey JSONPathSubscript JSONPathWildcard ParseJSON
    JSONFormat
    Date DateAdd DateDiff DateTrunc TimestampTrunc TimeToStr StrToTime ParseDatetime UnixToTime TimeToUnix
    FromISO8601Timestamp FromISO8601Date AtTimeZone CurrentTimestamp CurrentDate Localtimestamp Year Month Day Hour
    Minute Second WeekOfYear DayOfMonth DayOfWeekIso DayOfYear Quarter YearOfWeek LastDay Extract
    ArrayAgg AnyValue Avg LogicalAnd LogicalOr Count CountIf Max ArgMax Min ArgMin Sum GroupConcat ApproxDistinct
    ApproxQuantile Corr CovarPop CovarSamp Kurtosis RegrSlope RegrIntercept Skewness Stddev StddevPop StddevSamp Variance
    VariancePop ArrayUniqueAgg BitwiseAndAgg BitwiseOrAgg Grouping
    RowNumber Rank DenseRank PercentRank CumeDist Ntile Lag Lead FirstValue LastValue NthValue
    Array ArrayDistinct ArrayExcept ArrayIntersect ArrayToString ArrayMax ArrayMin ArrayPosition ArrayRemove ArraySort
    ArraySize ArrayContains ArrayFilter Transform Reduce Flatten Repeat GenerateSeries ArraySlice
    Map MapKeys MapFromEntries Struct Coalesce Nullif Try TryCast Greatest Least Uuid
    MD5Digest SHA SHA2Digest Hex Unhex ToBase64 FromBase64
    """.split()
)

NAMED = frozenset(
    """
    e infinity nan is_finite is_infinite codepoint to_base hamming_distance every geometric_mean histogram
    bit_count bitwise_left_shift bitwise_right_shift bitwise_right_shift_arithmetic regexp_position
    map_agg multimap_agg map_union json_array_length json_array_get json_size is_json_scalar
    format_datetime to_iso8601 at_timezone with_timezone millisecond yow to_milliseconds from_unixtime_nanos
    array_union array_histogram arrays_overlap none_match any_match all_match find_first trim_array zip zip_with
    map_values map_entries map_concat map_filter map_zip_with transform_keys transform_values
    multimap_from_entries split_to_multimap to_base64url from_base64url
    url_extract_host url_extract_path url_extract_query url_extract_protocol url_extract_port url_extract_fragment
    url_extract_parameter url_encode url_decode
    """.split()
)

UNSERVED = frozenset(
    """
    approx_most_frequent approx_set array_last array_first bing_tile checksum classify combinations contains_sequence
    cosine_similarity crc32 current_catalog current_schema current_user empty_approx_set entropy
    evaluate_classifier_predictions features format_number from_base from_big_endian_32 from_big_endian_64
    from_geojson_geometry from_ieee754_32 from_ieee754_64 geometry_to_bing_tiles hmac_md5 hmac_sha1 hmac_sha256
    hmac_sha512 human_readable_seconds inverse_beta_cdf inverse_normal_cdf beta_cdf normal_cdf json_exists json_query
    json_value json_table jaccard_index luhn_check make_set_digest merge merge_set_digest murmur3 ngrams normalize
    numeric_histogram parse_data_size parse_duration parse_presto_data_size qdigest_agg reduce_agg regress render sha512
    shuffle simplify_geometry soundex spooky_hash_v2_32 spooky_hash_v2_64 st_area st_contains st_distance st_point
    tdigest_agg timezone_hour timezone_minute to_big_endian_32 to_big_endian_64 to_char to_date to_geometry to_ieee754_32
    to_ieee754_64 to_timestamp value_at_quantile wilson_interval_lower wilson_interval_upper word_stem xxhash64
    """.split()
)
"""Functions of Athena that do not run here: their refusal says so, for they are no mistake."""

FUNCTIONS_WRITTEN = frozenset(
    """
    abs acos all_match any_match any_value approx_distinct approx_percentile arbitrary array_agg array_distinct
    array_except array_histogram array_intersect array_join array_max array_min array_position array_remove array_sort
    array_union arrays_overlap asin at_timezone atan atan2 avg bit_count bitwise_and bitwise_and_agg bitwise_left_shift
    bitwise_not bitwise_or bitwise_or_agg bitwise_right_shift bitwise_right_shift_arithmetic bitwise_xor bitwise_xor_agg
    bool_and bool_or cardinality cast cbrt ceil ceiling chr coalesce codepoint concat concat_ws contains corr cos cosh
    count count_if covar_pop covar_samp cume_dist date date_add date_diff date_format date_parse date_trunc day
    day_of_month day_of_week day_of_year degrees dense_rank dow doy e element_at every exp extract filter find_first
    first_value flatten floor format format_datetime from_base64 from_base64url from_hex from_iso8601_date
    from_iso8601_timestamp from_unixtime from_unixtime_nanos from_utf8 geometric_mean greatest grouping hamming_distance
    histogram hour if infinity is_finite is_infinite is_json_scalar is_nan json_array_contains json_array_get
    json_array_length json_extract json_extract_scalar json_format json_parse json_size kurtosis lag last_day_of_month
    last_value lead least length levenshtein_distance listagg ln log log10 log2 lower lpad ltrim map map_agg map_concat
    map_entries map_filter map_from_entries map_keys map_union map_values map_zip_with max max_by md5 millisecond min
    min_by minute mod month multimap_agg multimap_from_entries nan none_match now nth_value ntile nullif parse_datetime
    percent_rank pi position pow power quarter radians rand random rank reduce regexp_count regexp_extract
    regexp_extract_all regexp_like regexp_position regexp_replace regexp_split regr_intercept regr_slope repeat replace
    reverse round row row_number rpad rtrim second sequence sha1 sha256 sign sin sinh skewness slice split split_part
    split_to_map split_to_multimap sqrt starts_with stddev stddev_pop stddev_samp strpos substr substring sum tan tanh
    to_base to_base64 to_base64url to_hex to_iso8601 to_milliseconds to_unixtime to_utf8 transform transform_keys
    transform_values translate trim trim_array truncate try try_cast typeof upper url_decode url_encode
    url_extract_fragment url_extract_host url_extract_parameter url_extract_path url_extract_port url_extract_protocol
    url_extract_query uuid var_pop var_samp variance week week_of_year width_bucket with_timezone year year_of_week yow
    zip zip_with
    """.split()
)
"""The names that these functions have in Athena: the parser knows other engines' names as well. Each has an answer in
`caudal.testing`."""
