"""From a stream of bytes to lines of a log."""

from __future__ import annotations

from collections.abc import Iterator

LINE_BYTES_MAX = 16 * 1024  # a longer line is shown in several


class LineAssembler:
    """Cuts one stream into lines. Keeps the last line that is not blank, up to `keep_bytes`. Used by one thread."""

    def __init__(self, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._rest = b""      # the line that has no end yet, as far as it was not shown
        self._line = b""      # all of that line, up to keep_bytes + 1
        self.last_line = b""  # without its end; longer than keep_bytes by a byte if it was cut

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that `data` completes."""
        pieces = data.split(b"\n")
        for piece in pieces[:-1]:
            yield from self._grow(piece)
            yield self._end_line()
        yield from self._grow(pieces[-1])

    def gap(self, dropped_bytes: int) -> Iterator[str]:
        """The daemon's limit dropped bytes here."""
        yield from self.finish()
        yield f"[boxkeeper: dropped {dropped_bytes} bytes]"

    def finish(self) -> Iterator[str]:
        """The last line, if the stream ended without an end of line."""
        if self._line:
            yield self._end_line()

    def _grow(self, piece: bytes) -> Iterator[str]:
        self._line += piece[:max(0, self._keep_bytes + 1 - len(self._line))]
        self._rest += piece
        while len(self._rest) > LINE_BYTES_MAX:
            cut = _before_character(self._rest, LINE_BYTES_MAX)
            yield _text(self._rest[:cut])
            self._rest = self._rest[cut:]

    def _end_line(self) -> str:
        if self._line.strip():
            self.last_line = self._line.rstrip(b"\r")
        text = _text(self._rest.rstrip(b"\r"))
        self._rest = self._line = b""
        return text


def _before_character(data: bytes, at: int) -> int:
    """`at`, or up to 3 less, so that no character of UTF-8 is cut there."""
    for cut in range(at, at - 4, -1):
        if data[cut] & 0xC0 != 0x80:
            return cut
    return at  # no UTF-8


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
