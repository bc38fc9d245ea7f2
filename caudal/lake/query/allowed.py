"""What a query may be made of: every piece of syntax and every function that is not listed here is refused.

A list of what is allowed, for a list of what is dangerous is never complete. Names are those of sqlglot's syntax tree;
`NAMED` are functions that it has no class for, by their Athena name.
"""

SYNTAX = frozenset(
    """
    Alias Aliases All And Any Between Boolean Bracket CTE Case Cast Column ColumnDef Cube DPipe DataType
    DataTypeParam Distinct Div Dot EQ Escape Except Exists Fetch Filter From GT GTE Group GroupingSets Having HexString
    Identifier If IgnoreNulls In Intersect Interval Is Join LT LTE Lambda Lateral Like Limit LimitOptions Literal Mod Mul
    NEQ Neg Not Null NullSafeEQ NullSafeNEQ Offset Or Order Ordered Paren PropertyEQ Qualify RespectNulls Rollup Select
    Slice Star Sub Add Subquery Table TableAlias TableSample Tuple Union Unnest Values Var Version Where Window WindowSpec With
    WithinGroup
    """.split()
)

FUNCTIONS = frozenset(
    """
    Abs Acos Asin Atan Atan2 Cbrt Ceil Cos Cosh Degrees Exp Floor IsNan Ln Log Pi Pow Radians Rand Round Sign Sin Sqrt
    Sinh Tan Tanh Trunc WidthBucket Typeof BitwiseXorAgg RegrCount StrToMap JSONArrayContains BitwiseAnd BitwiseOr BitwiseXor BitwiseNot
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
    approx_most_frequent approx_set array_last array_first bing_tile checksum classify combinations contains_sequence cosine_similarity crc32
    current_catalog current_schema current_user date_parse_custom empty_approx_set entropy evaluate_classifier_predictions features
    format_number from_base from_big_endian_32 from_big_endian_64 from_geojson_geometry from_ieee754_32 from_ieee754_64
    geometry_to_bing_tiles hmac_md5 hmac_sha1 hmac_sha256 hmac_sha512 human_readable_seconds inverse_beta_cdf inverse_normal_cdf beta_cdf
    normal_cdf json_exists json_query json_value json_table jaccard_index luhn_check make_set_digest merge merge_set_digest murmur3
    ngrams normalize numeric_histogram parse_data_size parse_duration parse_presto_data_size qdigest_agg reduce_agg regress
    render sha512 shuffle simplify_geometry soundex spooky_hash_v2_32 spooky_hash_v2_64 st_area st_contains st_distance st_point
    tdigest_agg timezone_hour timezone_minute to_big_endian_32 to_big_endian_64 to_char to_date to_geometry to_ieee754_32
    to_ieee754_64 to_timestamp value_at_quantile wilson_interval_lower wilson_interval_upper word_stem xxhash64
    """.split()
)
"""Functions of Athena that do not run here: their refusal says so, for they are no mistake."""
