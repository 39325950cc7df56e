# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rule for ansible-lint: mistakes with memory settings, in any playbook, unit file or sysctl file (docs/lint.md).

ansible-lint -R -r ~/.ansible/collections/ansible_collections/linux_memory/oom/extensions/lint
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.linux_memory.oom.plugins.plugin_utils import mistakes, mistakes_files
from ansiblelint.rules import AnsibleLintRule

if TYPE_CHECKING:
    from ansiblelint.errors import MatchError
    from ansiblelint.file_utils import Lintable

KINDS = ("playbook", "tasks", "handlers", "vars", "inventory")


class LinuxMemory(AnsibleLintRule):
    """Memory settings that cannot do what they are there for."""

    id = "linux-memory"
    description = "Finds settings with which the OOM killer, or a remedy for it, does harm: docs/lint.md."
    severity = "HIGH"
    tags = ["linux_memory"]
    version_changed = "26.0.0"
    _ids = {f"linux-memory[{tag}]": told for tag, told in mistakes.TAGS.items()}

    def getmatches(self, file: Lintable) -> list[MatchError]:
        """Return what is wrong in a file, of whatever kind. A role is a directory; its files come by themselves."""
        if file.path.is_dir():
            return []
        lines = file.content.splitlines()
        return [
            self.create_matcherror(one.message, lineno=one.line, tag=f"linux-memory[{one.tag}]", filename=file)
            for one in mistakes_files.of_file(file.path, file.content, is_yaml=file.kind in KINDS)
            if not _is_excused(lines[one.line - 1] if one.line <= len(lines) else "", one.tag)
        ]


def _is_excused(line: str, tag: str) -> bool:
    """Return whether a line says that it is meant so, as `# noqa: linux-memory` or with the tag."""
    _before, _sign, said = line.partition("noqa:")
    words = said.replace(",", " ").split()
    return "linux-memory" in words or f"linux-memory[{tag}]" in words
