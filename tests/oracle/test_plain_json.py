"""JSON from untrusted sources, nested to any depth."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.runtime.plain_json import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_was_written_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 5000, "[" * 5000 + "]" * 5000])
def test_what_nests_without_end_is_refused_whatever_the_limit(text: str) -> None:
    """In a process of its own, which crashed with a library's recursion limit."""
    code = (
        "import sys\nfrom oracle.runtime.plain_json import parse_json\n"
        "sys.setrecursionlimit(10**7)\n"
        "try:\n    parse_json(sys.stdin.read())\nexcept ValueError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (
        0,
        "nested too deeply; expected at most 100 levels",
    )


def test_brackets_in_strings_do_not_count() -> None:
    value = ["[" * 300, {"{": '\\"' * 200 + "]"}]
    assert parse_json(json.dumps(value)) == value


def test_what_is_no_json_is_told_by_its_place() -> None:
    with pytest.raises(json.JSONDecodeError, match="column 9"):
        parse_json('{"a": 1 "b": 2}')
