"""Bytes to lines, however they are cut into chunks."""

import pytest

from boxkeeper.airflow.commands.lines import LINE_BYTES_MAX, LineAssembler


def lines(data, size, keep=100):
    assembler = LineAssembler(keep)
    shown = [line for start in range(0, len(data), size) for line in assembler.feed(data[start:start + size])]
    return [*shown, *assembler.finish()], assembler.last_line


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_do_not_matter(size):
    assert lines("eins\r\n\nzwölf\n  \nende".encode(), size) == (["eins", "", "zwölf", "  ", "ende"], b"ende")
    assert lines(b"x\n\n \n", size) == (["x", "", " "], b"x")
    assert lines(b"", size) == ([], b"")


@pytest.mark.parametrize("size", [999, LINE_BYTES_MAX, 10**6])
def test_a_long_line_is_shown_in_several_and_no_character_is_cut(size):
    text = "a" + "ä" * LINE_BYTES_MAX
    shown, last = lines(text.encode() + b"\nnext\n", size)
    assert "".join(shown[:-1]) == text and all(len(line.encode()) <= LINE_BYTES_MAX for line in shown) and shown[-1] == "next"
    assert last == b"next"


def test_bytes_that_are_no_text_are_cut_all_the_same():
    shown, _ = lines(b"\x80" * (2 * LINE_BYTES_MAX + 5), 4096)
    assert [len(line) for line in shown] == [LINE_BYTES_MAX, LINE_BYTES_MAX, 5]


def test_the_last_line_is_kept_up_to_a_bound():
    assert lines(b"x" * 100 + b"\n", 7)[1] == b"x" * 100
    assert len(lines(b"x" * 5000 + b"\n", 7)[1]) == 101, "a byte more says that it was cut"


def test_a_gap_is_shown_where_it_is():
    assembler = LineAssembler(100)
    shown = [*assembler.feed(b"one\ntw"), *assembler.gap(17), *assembler.feed(b"ee\n"), *assembler.finish()]
    assert shown == ["one", "tw", "[boxkeeper: dropped 17 bytes]", "ee"]
