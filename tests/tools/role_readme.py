# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write each role's README from its meta/argument_specs.yml, the only place where an option is described.

role_readme.py          writes what is missing or old
role_readme.py --check  writes nothing, and fails where a README or a default does not agree with the specification
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml
from antsibull_docs_parser import dom
from antsibull_docs_parser.parser import Context, parse

ROOT = Path(__file__).resolve().parent.parent.parent
NAMESPACE = "linux_memory.oom"
LICENCE = """\
<!--
Copyright (c) 2026, linux_memory.oom contributors
GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
Made from meta/argument_specs.yml by `make docs`. Change it there.
-->"""


def as_list(text) -> list[str]:
    """Return a description as the list of its paragraphs."""
    return [text] if isinstance(text, str) else list(text or [])


def code(text: str) -> str:
    """Return text as code in Markdown, with a fence that the text does not hold."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def part(one) -> str:
    """Return one piece of Ansible's markup as Markdown, to be read as plain text as well."""
    if isinstance(one, dom.TextPart):
        return one.text.replace("<", "&lt;").replace("*", "\\*")
    if isinstance(one, (dom.OptionNamePart, dom.ReturnValuePart)):
        return code(one.name if one.value is None else f"{one.name}={one.value}")
    if isinstance(one, dom.LinkPart):
        return f"[{one.text}]({one.url})"
    if isinstance(one, dom.URLPart):
        return f"<{one.url}>"
    if isinstance(one, dom.ModulePart):
        return code(one.fqcn)
    if isinstance(one, dom.PluginPart):
        return code(one.plugin.fqcn)
    if isinstance(one, dom.OptionValuePart):
        return code(one.value)
    if isinstance(one, (dom.CodePart, dom.EnvVariablePart)):
        return code(one.text if isinstance(one, dom.CodePart) else one.name)
    if isinstance(one, (dom.BoldPart, dom.ItalicPart)):
        return f"**{one.text}**" if isinstance(one, dom.BoldPart) else f"*{one.text}*"
    raise ValueError(f"this markup is not understood: {one}")


def markdown(text: str) -> str:
    """Return Ansible's markup as Markdown. Raises ValueError for markup that is broken."""
    return "".join(part(one) for paragraph in parse([text], Context()) for one in paragraph)


def value(data) -> str:
    """Return a value as it is written in a playbook."""
    text = yaml.safe_dump(data, default_flow_style=True, allow_unicode=True, width=1000).removesuffix("\n...\n").strip()
    return f"`{text}`"


def kind(option: dict) -> str:
    """Return the type of an option, such as "list of str"."""
    name = option.get("type", "str")
    return f"{name} of {option['elements']}" if "elements" in option else name


def option_lines(name: str, option: dict, depth: int = 0) -> list[str]:
    """Return the lines of an option and of the options within it."""
    facts = [kind(option)]
    if option.get("required"):
        facts.append("required")
    if "default" in option:
        facts.append(f"default {value(option['default'])}")
    if option.get("choices"):
        facts.append("one of " + ", ".join(value(choice) for choice in option["choices"]))
    indent = "  " * depth
    lines = [f"{indent}- **`{name}`** ({', '.join(facts)})  "]
    lines += [f"{indent}  {markdown(text)}  " for text in as_list(option.get("description"))]
    lines[-1] = lines[-1].rstrip()
    for inner, nested in (option.get("options") or {}).items():
        lines += option_lines(inner, nested, depth + 1)
    return lines


def readme(role: str, specification: dict) -> str:
    """Return the README of a role."""
    entry = specification["argument_specs"]["main"]
    lines = [LICENCE, "", f"# {NAMESPACE}.{role}", "", entry["short_description"] + ".", ""]
    for text in as_list(entry.get("description")):
        lines += [markdown(text), ""]
    if entry.get("options"):
        lines += ["## Variables", ""]
        for name, option in entry["options"].items():
            lines += option_lines(name, option)
        lines.append("")
    if entry.get("examples"):
        lines += ["## Example", "", "```yaml", entry["examples"].strip(), "```", ""]
    return "\n".join(lines)


def defaults_that_differ(folder: Path, specification: dict) -> list[str]:
    """Return a sentence for each default that the role sets and its specification does not name, and the reverse."""
    path = folder / "defaults" / "main.yml"
    actual = (yaml.safe_load(path.read_text("utf-8")) if path.exists() else None) or {}
    options = specification["argument_specs"]["main"].get("options") or {}
    named = {name: option["default"] for name, option in options.items() if "default" in option}
    return [
        f"roles/{folder.name}: the default of {name} differs between defaults/main.yml and meta/argument_specs.yml"
        for name in sorted(actual.keys() | named.keys())
        if name not in actual or name not in named or actual[name] != named[name]
    ]


def main() -> int:
    """Write or check the README of every role that has a specification."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail where something does not agree")
    check = parser.parse_args().check
    wrong = []
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        folder = path.parent.parent
        specification = yaml.safe_load(path.read_text("utf-8"))
        wrong += defaults_that_differ(folder, specification)
        target, text = folder / "README.md", readme(folder.name, specification)
        if target.exists() and target.read_text("utf-8") == text:
            continue
        if check:
            wrong.append(f"roles/{folder.name}/README.md is old: `make docs` writes it")
        else:
            target.write_text(text, encoding="utf-8")
            print(f"roles/{folder.name}/README.md written")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
