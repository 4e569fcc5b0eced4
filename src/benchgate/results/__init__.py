"""Results: records and the JSON files that hold them. The names that the rest of benchgate uses."""

from benchgate.results.record import (
    OUTCOMES,
    PASSED,
    SCHEMA,
    Record,
    ResultsError,
    Shared,
    parse_record,
    read_document,
    read_records,
    records_of,
    write_records,
)

__all__ = [
    "OUTCOMES",
    "PASSED",
    "SCHEMA",
    "Record",
    "ResultsError",
    "Shared",
    "parse_record",
    "read_document",
    "read_records",
    "records_of",
    "write_records",
]
