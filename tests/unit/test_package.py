# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as a user gets it: built, installed from the tarball, and used from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def run(*command, **options):
    """Run a command and return what it answered, whatever the exit status."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def tarball(tmp_path_factory, checkout):
    """Return the path of a tarball built from the checkout."""
    place = tmp_path_factory.mktemp("built")
    done = run(BIN / "ansible-galaxy", "collection", "build", "--output-path", place, cwd=checkout)
    assert done.returncode == 0, done.stderr
    (path,) = place.glob("linux_memory-oom-*.tar.gz")
    return path


@pytest.fixture(scope="module")
def installed(tarball, tmp_path_factory):
    """Return an environment in which only the installed collection can be found."""
    place = tmp_path_factory.mktemp("installed")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(place),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path_factory.mktemp("controller")),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
    }
    done = run(
        BIN / "ansible-galaxy", "collection", "install", "--offline", tarball, "-p", place, env=environment, cwd=place
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return environment


def test_the_tarball_holds_what_users_need_and_no_tests(tarball):
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert "plugins/modules/memory_facts.py" in names
    assert "playbooks/diagnose.yml" in names
    assert "LICENSES/GPL-3.0-or-later.txt" in names
    unwanted = ("tests", "build", ".venv", ".git", "molecule", "reports", "Makefile")
    assert not [name for name in names if name.split("/")[0] in unwanted or "__pycache__" in name]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("module", "memory_facts"), ("filter", "diagnose")],
)
def test_the_installed_collection_documents_itself(installed, kind, name):
    done = run(BIN / "ansible-doc", "-t", kind, f"linux_memory.oom.{name}", "--json", env=installed, cwd="/")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[f"linux_memory.oom.{name}"]["doc"]["description"]


def facts_of(done):
    """Return the facts in the output of the ad-hoc command."""
    assert done.returncode == 0, done.stdout + done.stderr
    _status, _arrow, answer = done.stdout.partition("=> ")
    return json.loads(answer)["ansible_facts"]["linux_memory"]


def ad_hoc(installed, *extra, become=()):
    """Run memory_facts on this host from the installed collection."""
    command = (BIN / "ansible", "localhost", "-m", "linux_memory.oom.memory_facts", *extra)
    return run(*become, *command, env=installed, cwd="/")


def test_the_installed_module_reads_this_host(installed):
    facts = facts_of(ad_hoc(installed))
    assert facts["meminfo"]["mem_total"] > 0
    assert facts["processes"]["top"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_installed_module_reads_this_host_as_nobody(installed, tmp_path):
    # The module runs as nobody, as it does on a host where the login user is not root.
    tmp_path.chmod(0o755)
    arguments = ("-e", "ansible_python_interpreter=/usr/bin/python3", "--become", "--become-user", "nobody")
    environment = {**installed, "ANSIBLE_BECOME_METHOD": "ansible.builtin.su", "ANSIBLE_PIPELINING": "True"}
    done = run(
        BIN / "ansible",
        "localhost",
        "-m",
        "linux_memory.oom.memory_facts",
        *arguments,
        "-e",
        "ansible_become_flags='-s /bin/sh'",
        env=environment,
        cwd="/",
    )
    facts = facts_of(done)
    assert facts["meminfo"]["mem_total"] > 0
    own = [process for process in facts["processes"]["top"] if process["uid"] != 65534]
    assert own


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("gather_subset=memory", "gather_subset: memory is not a subset"),
        ("sample_seconds=-1", "sample_seconds: -1.0 is not allowed"),
        ("root=/does/not/exist", "root: /does/not/exist does not exist"),
        ("top=0", "top: 0 is not allowed"),
    ],
)
def test_bad_arguments_reach_the_user_as_one_sentence(installed, arguments, words):
    done = ad_hoc(installed, "-a", arguments)
    assert done.returncode != 0
    assert words in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
