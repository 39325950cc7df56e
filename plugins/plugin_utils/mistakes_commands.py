# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sysctls a command line sets: by sysctl(8), or by writing into /proc/sys. What is only said is not set."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

_BETWEEN = {";", "&", "&&", "||", "|", "(", ")", ";;", "|&"}
# Words that stand before a command and are none themselves.
_BEFORE = {"sudo", "then", "do", "else", "if", "while", "!", "time", "{", "exec"}
_VARIABLE = re.compile(r"[A-Za-z_]\w*=")
_ASSIGNMENT = re.compile(r"([a-z]+[./][A-Za-z0-9_./-]+)=(.*)$", re.DOTALL)
_PROC = re.compile(r"/proc/sys/((?:vm|kernel)/[A-Za-z0-9_/-]+)$")


def of_shell(text: str) -> Iterator[tuple[str, str, int]]:
    """Give (name, value, line) for each sysctl that a shell script sets; the first line is 0."""
    for number, line in enumerate(text.split("\n")):
        try:
            words = list(_lexer(line))
        except ValueError:
            continue  # a quotation over several lines
        for name, value in _of_words(words):
            yield name, value, number


def of_arguments(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give (name, value) for each sysctl that one command sets; words: the command and its arguments."""
    words = _bare(words)
    if words and words[0].rpartition("/")[2] == "sysctl":
        for word in words[1:]:
            match = _ASSIGNMENT.match(word)
            if match:
                yield match[1], match[2]


def _bare(words: Sequence[str]) -> list[str]:
    """Return a command without the words and the variables that stand before it."""
    words = list(words)
    while words and (words[0] in _BEFORE or _VARIABLE.match(words[0])):
        words.pop(0)
    return words


def _lexer(line: str) -> shlex.shlex:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return lexer


def _of_words(words: list[str]) -> Iterator[tuple[str, str]]:
    commands = _commands(words)
    for number, command in enumerate(commands):
        yield from of_arguments(command)
        if command[:1] != ["echo"] or len(command) < 2:
            continue
        value, then = command[1], commands[number + 1] if number + 1 < len(commands) else []
        for target in _targets(command, then):
            match = _PROC.match(target)
            if match:
                yield match[1], value


def _commands(words: list[str]) -> list[list[str]]:
    """Return the commands of a line, without what stands before each."""
    commands = [[]]
    for word in words:
        if word in _BETWEEN:
            commands.append([])
        else:
            commands[-1].append(word)
    return [_bare(command) for command in commands]


def _targets(command: list[str], then: list[str]) -> list[str]:
    """Return where the output of an echo goes: into the file after a sign, or through tee."""
    signs = [place for place, word in enumerate(command[:-1]) if word in (">", ">>", ">|")]
    return [command[place + 1] for place in signs] + (then[1:] if then[:1] == ["tee"] else [])
