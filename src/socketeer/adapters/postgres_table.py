"""The table of attachments in PostgreSQL, as ``@socket.io/postgres-adapter`` has it: made, filled, read and cleaned."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Final

from socketeer.adapters.postgres_line import Line, breaks
from socketeer.checks import positive
from socketeer.errors import OptionError

log = logging.getLogger("socketeer")

TABLE: Final = "socket_io_attachments"

#: https://socket.io/docs/v4/postgres-adapter/#usage
_COLUMNS: Final = "id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea"

#: Old rows that are removed at once, at most.
_SWEEP: Final = 1000

_PART: Final = r'(?:[^\W\d][\w$]*|"(?:[^"\0]|"")+")'
_NAME: Final = re.compile(rf"{_PART}(?:\.{_PART})?")


class Attachments:
    """What is too large for a notification, or binary.

    Args:
        table: its name as in a statement: with a schema, or in quotes, where it needs them.
        keep: seconds that a row is kept.

    Raises:
        OptionError: these are not.
    """

    def __init__(self, table: str, keep: float) -> None:
        positive("cleanup_interval", keep)
        if not isinstance(table, str) or not _NAME.fullmatch(table):
            raise OptionError(f"table_name: expected a table's name such as {TABLE}, got {table!r}")
        self._table = table
        self._keep = keep
        self._make = f"CREATE TABLE IF NOT EXISTS {table} ({_COLUMNS})"
        self._store = (
            f"WITH stored AS (INSERT INTO {table} (payload) VALUES ($3) RETURNING id) "  # noqa: S608 - checked above
            """SELECT pg_notify($1, $2::text || id::text || '"}') FROM stored"""
        )
        # Only so many bytes at once, in the order of the question, and none of what is too large.
        self._read = (
            "SELECT id, size, CASE WHEN size <= $2::bigint AND total - size < $3::bigint THEN payload END "  # noqa: S608 - checked above
            "FROM (SELECT id, size, payload, sum(size) FILTER (WHERE size <= $2::bigint) OVER (ORDER BY place) AS total "
            "FROM (SELECT id, place, coalesce(payload, '') AS payload, coalesce(octet_length(payload), 0) AS size "
            f"FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, place) JOIN {table} USING (id)) AS there) AS summed"
        )
        # Nodes do not wait for each other: each takes what is left.
        self._clean = (
            f"WITH gone AS (DELETE FROM {table} WHERE id IN (SELECT id FROM {table} "  # noqa: S608 - checked above
            f"WHERE created_at < now() - make_interval(secs => $1) LIMIT {_SWEEP} FOR UPDATE SKIP LOCKED) "
            "RETURNING 1) SELECT count(*) FROM gone"
        )

    async def make(self, line: Line) -> None:
        """Make the table if it is missing.

        Raises:
            PermissionError: it is, and cannot be made.
        """
        question = "SELECT to_regclass($1) IS NOT NULL"
        if (await line.fetch(question, self._table))[0][0]:
            return
        try:
            await line.fetch(self._make)
        except Exception as error:
            if breaks(error):
                raise
            # Another node may have been quicker.
            if not (await line.fetch(question, self._table))[0][0]:
                raise PermissionError(f"there is no table {self._table}: {error}; {self._make}") from error

    async def store(self, line: Line, rows: Sequence[tuple[str, str, bytes]]) -> None:
        """Keep attachments and notify of them: the channel, what to notify of up to the id, and the attachment."""
        await line.run_each(self._store, rows)

    async def read(
        self, line: Line, numbers: Sequence[int], limit: int, about: int
    ) -> tuple[dict[int, bytes | None], dict[int, str]]:
        """Some of these attachments, the first among them.

        Args:
            line: to ask on.
            numbers: their ids.
            limit: bytes that one may have.
            about: bytes that are read at once.

        Returns:
            Attachments by their ids, None for those that are not to be had, and the reasons for these.
        """
        found: dict[int, bytes | None] = dict.fromkeys(numbers)
        try:
            rows = await line.fetch(self._read, numbers, limit, about)
        except Exception as error:
            if breaks(error):
                raise
            return found, dict.fromkeys(numbers, str(error))
        reasons = dict.fromkeys(numbers, "there is none, or no more")
        for number, size, payload in rows:
            if payload is not None:
                found[number] = payload
            elif size > limit:
                reasons[number] = f"{size} bytes, far above max_message_size"
            else:
                del found[number]
        return found, reasons

    async def clean(self, line: Line) -> None:
        """Remove what is old."""
        try:
            while (await line.fetch(self._clean, self._keep))[0][0] == _SWEEP:
                pass
        except Exception as error:
            if breaks(error):
                raise
            log.warning("old rows of table %s cannot be removed: %.300s", self._table, error)
