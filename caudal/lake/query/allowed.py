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
    Tan Tanh Trunc BitwiseAnd BitwiseOr BitwiseXor BitwiseNot
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
    e infinity nan is_finite is_infinite codepoint hamming_distance every geometric_mean map_agg histogram
    json_array_length format_datetime to_iso8601 at_timezone with_timezone millisecond yow
    array_union arrays_overlap none_match any_match all_match zip map_values map_entries map_concat
    url_extract_host url_extract_path url_extract_query url_extract_protocol url_encode url_decode
    """.split()
)
