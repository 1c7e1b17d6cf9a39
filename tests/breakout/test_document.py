"""docs/breakout.md says what the suite demands."""

import os

from tests.breakout import expected
from tests.harness.stubs import ROOT


def test_the_document_has_the_table_of_the_suite():
    with open(os.path.join(ROOT, "docs", "breakout.md"), encoding="utf-8") as file:
        text = file.read()
    table = text.split("<!-- attempts:begin -->\n")[1].split("<!-- attempts:end -->")[0]
    assert table == expected.document(), "replace it by the output of /usr/bin/python3 -m tests.breakout.expected"
