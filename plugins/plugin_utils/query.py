# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions over the facts of many hosts: JMESPath in, rows out, as table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json

from ansible_collections.linux_memory.oom.plugins.plugin_utils import human
from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain

try:
    import jmespath
    from jmespath import exceptions, functions
except ImportError:
    jmespath = None

OUTPUTS = ("table", "json", "csv")

# Longer cells would push the columns behind them out of the terminal.
WIDEST_CELL = 80


class QueryError(ValueError):
    """An expression that cannot be used; the message is one sentence."""


if jmespath:

    class Functions(functions.Functions):
        """The functions of JMESPath, and one that it cannot express: it has no arithmetic."""

        @functions.signature({"types": ["number", "null"]})
        def _func_human_bytes(self, value):
            """human_bytes(number): the size in words, such as "1.9 GiB"; null stays null."""
            return None if value is None else human.size(value)


def _options():
    return jmespath.Options(custom_functions=Functions())


def compiled(expression, option="query"):
    """Return the compiled expression. Raises QueryError that names the option, the expression and the place."""
    if jmespath is None:
        raise QueryError(f"{option}: this needs the Python library jmespath on the controller")
    if not isinstance(expression, str) or not expression.strip():
        raise QueryError(f"{option}: a JMESPath expression is wanted, and this one is empty")
    try:
        return jmespath.compile(expression)
    except exceptions.JMESPathError as error:
        raise QueryError(
            f'{option}: "{expression}" is not a JMESPath expression: {_place(error, expression)}'
        ) from None


def _place(error, expression):
    """Return what the parser objected to and where."""
    position = getattr(error, "lexer_position", None)
    if position is None:
        position = getattr(error, "lex_position", None)
    if isinstance(error, exceptions.IncompleteExpressionError) or position is None or position >= len(expression):
        return f"it ends too early, after column {len(expression)}"
    return f"unexpected {expression[position : position + 12]!r} at column {position + 1}"


def search(data, expression, option="query"):
    """Return the answer of a JMESPath expression on plain data. Raises QueryError with one sentence."""
    query = compiled(expression, option)
    try:
        return query.search(plain(data), options=_options())
    except exceptions.UnknownFunctionError as error:
        raise QueryError(f'{option}: "{expression}" uses an {str(error)[:1].lower()}{str(error)[1:]}') from None
    except exceptions.ArityError as error:
        raise QueryError(
            f'{option}: "{expression}" calls {error.function_name}() with {error.actual_arity} instead of '
            f"{error.expected_arity} arguments"
        ) from None
    except exceptions.JMESPathTypeError as error:
        raise QueryError(
            f'{option}: "{expression}" gives {error.function_name}() a value of type {error.actual_type}, and it wants '
            f"{' or '.join(error.expected_types)}"
        ) from None
    except (exceptions.JMESPathError, TypeError, ValueError) as error:
        raise QueryError(f'{option}: "{expression}" cannot be answered: {human.shorten(error, 200)}') from None


def rows(answer):
    """Return (column names or None, list of rows) of any answer. What is no object and no list is a row of its own."""
    items = answer if isinstance(answer, list) else [] if answer is None else [answer]
    if items and all(isinstance(item, dict) for item in items):
        columns = list(dict.fromkeys(key for item in items for key in item))
        return columns, [[item.get(column) for column in columns] for item in items]
    if items and all(isinstance(item, list) for item in items):
        width = max(len(item) for item in items)
        return None, [item + [None] * (width - len(item)) for item in items]
    return None, [[item] for item in items]


def cell(value):
    """Return one value of a table: numbers and text as they are, anything nested as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(round(value, 3))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_table(answer):
    """Return the answer as aligned columns; numbers stand to the right."""
    columns, lines = rows(answer)
    if not lines:
        return "(no host matches)"
    texts = [[human.shorten(human.printable(cell(value)), WIDEST_CELL) for value in line] for line in lines]
    right = [
        all(line[index] is None or human.number(line[index]) is not None for line in lines)
        for index in range(len(lines[0]))
    ]
    if columns:
        texts.insert(0, [human.printable(column) for column in columns])
    widths = [max(len(line[index]) for line in texts) for index in range(len(right))]
    out = []
    for line in texts:
        padded = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        out.append("  ".join(padded).rstrip())
    return "\n".join(out)


def _csv_line(values):
    """Return one line of CSV. The writer quotes a carriage return in a value only if its own line ends hold one."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(
        [value if human.number(value) is not None else cell(value) for value in values]
    )
    return out.getvalue().removesuffix("\r\n")


def as_csv(answer):
    """Return the answer as CSV (RFC 4180, with line feeds), the names of the columns first where there are names."""
    columns, lines = rows(answer)
    return "\n".join(_csv_line(line) for line in ([columns] if columns else []) + lines)


def as_json(answer):
    """Return the answer as JSON."""
    return json.dumps(answer, indent=2, ensure_ascii=False)


def render(answer, output):
    """Return the answer as text. Raises QueryError for an output that is none of OUTPUTS."""
    if output not in OUTPUTS:
        raise QueryError(f"output: {output} is not allowed; it has to be one of {', '.join(OUTPUTS)}")
    return {"table": as_table, "json": as_json, "csv": as_csv}[output](answer)
