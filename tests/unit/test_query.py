# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JMESPath over the facts of hosts, and what is said of a broken expression."""

from __future__ import annotations

import csv
import io
import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.linux_memory.oom.plugins.filter.query import FilterModule
from ansible_collections.linux_memory.oom.plugins.plugin_utils import query
from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain
from hypothesis import given
from hypothesis import strategies as st

HOSTS = [
    {"host": "web1", "meminfo": {"mem_total": 2067288064, "mem_available": 900}, "swap": {"used": 0}},
    {"host": "web2", "meminfo": {"mem_total": 4134576128, "mem_available": 2000}, "swap": None},
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
ANSWERS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def test_an_expression_is_answered():
    assert query.search(HOSTS, "[?meminfo.mem_available < `1000`].host") == ["web1"]


def test_bytes_can_be_written_in_words():
    assert query.search(HOSTS, "[].human_bytes(meminfo.mem_total)") == ["1.9 GiB", "3.9 GiB"]
    assert query.search(HOSTS, "[].human_bytes(swap.used)") == ["0 B"]
    assert query.search(HOSTS, "[].{u: human_bytes(swap.used)}") == [{"u": "0 B"}, {"u": None}]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("[?a", 'query: "[?a" is not a JMESPath expression: it ends too early, after column 3'),
        ("a b", "query: \"a b\" is not a JMESPath expression: unexpected 'b' at column 3"),
        ("a[?b=1]", "query: \"a[?b=1]\" is not a JMESPath expression: unexpected '=1]' at column 5"),
        ("#", "query: \"#\" is not a JMESPath expression: unexpected '#' at column 1"),
        ("nope(@)", 'query: "nope(@)" uses an unknown function: nope()'),
        ("max_by(@)", 'query: "max_by(@)" calls max_by() with 1 instead of 2 arguments'),
        (
            "length(`1`)",
            'query: "length(`1`)" gives length() a value of type number, and it wants string or array or object',
        ),
        ("[::0]", 'query: "[::0]" cannot be answered: slice step cannot be zero'),
        (" ", "query: a JMESPath expression is wanted, and this one is empty"),
    ],
)
def test_a_broken_expression_gets_one_sentence(expression, said):
    with pytest.raises(query.QueryError) as caught:
        query.search(HOSTS, expression)
    assert str(caught.value) == said


@given(st.text(alphabet="ab.[]{}()?*@&|`'\"=<>!:,0 \\", max_size=12))
def test_any_expression_is_answered_or_refused_in_one_line(expression):
    try:
        query.search(HOSTS, expression)
    except query.QueryError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("query: ")


def test_without_the_library_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr(query, "jmespath", None)
    with pytest.raises(query.QueryError, match="^query: this needs the Python library jmespath on the controller$"):
        query.search(HOSTS, "@")


def test_the_filter_has_the_same_errors():
    ask = FilterModule().filters()["query"]
    assert ask(HOSTS, "[0].host") == "web1"
    with pytest.raises(AnsibleFilterError, match="it ends too early"):
        ask(HOSTS, "[?a")


def test_a_table_aligns_numbers_to_the_right():
    answer = [{"host": "a", "n": 5, "x": None}, {"host": "long", "n": 12345.6789, "x": {"k": [1]}}]
    assert query.render(answer, "table").splitlines() == [
        "host          n  x",
        "a             5",
        'long  12345.679  {"k": [1]}',
    ]


def test_a_table_shows_no_control_characters():
    assert "\x1b" not in query.render([{"comm": "\x1b[2J"}], "table")


def test_an_empty_answer_says_so():
    assert query.render([], "table") == "(no host matches)"
    assert query.render(None, "csv") == ""
    assert query.render([], "json") == "[]"


def test_columns_are_those_of_all_rows():
    assert query.rows([{"a": 1}, {"b": 2}]) == (["a", "b"], [[1, None], [None, 2]])
    assert query.rows([[1], [2, 3]]) == (None, [[1, None], [2, 3]])
    assert query.rows("x") == (None, [["x"]])


def test_an_unknown_output_gets_one_sentence():
    with pytest.raises(query.QueryError, match="^output: xml is not allowed; it has to be one of table, json, csv$"):
        query.render([], "xml")


@given(ANSWERS)
def test_any_answer_can_be_written_in_any_form(answer):
    for output in query.OUTPUTS:
        assert isinstance(query.render(answer, output), str)
    assert json.loads(query.render(answer, "json")) == answer


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_csv_is_read_back_as_it_was(pairs):
    text = query.as_csv([{"a": first, "b": second} for first, second in pairs]) + "\n"
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found == [["a", "b"], *map(list, pairs)]


@given(
    st.recursive(
        SCALARS | st.floats() | st.text(alphabet=st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet=st.characters()), inner),
        max_leaves=20,
    )
)
def test_plain_data_always_makes_json(value):
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert plain(json.loads(text)) == plain(value)


def test_plain_data_takes_foreign_kinds():
    class Text(str):
        __slots__ = ()

    made = plain({Text("a"): (Text("b"), {3}, float("inf"), object)})
    assert not isinstance(next(iter(made)), Text)
    assert not isinstance(made["a"][0], Text)
    assert made["a"][1:3] == [[3], None]


def test_plain_data_ends_where_nobody_would_look():
    value = []
    value.append(value)
    assert "null" in json.dumps(plain(value))
