# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that change a host have in common.

Each has its work in a file of module_utils with two names:

OPTIONS      its options, as AnsibleModule's argument_spec wants them.
run(module)  looks, refuses, and acts unless module.check_mode; returns the result, with `changed` and `diff`. Of the
             module it uses params, check_mode, tmpdir, warn(), run_command(), get_bin_path() and atomic_move().

So that a module can be run by itself, and as a part of linux_memory.oom.together.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import traceback

from ansible_collections.linux_memory.oom.plugins.module_utils.commands import runner


class Refused(Exception):
    """What was asked for is not done; the text is one sentence for the user."""


def only_predicts(module):
    """Return whether this look is all, so that what has to be there before a change may still be missing."""
    return getattr(module, "whole", module).check_mode


def leave(module, run):
    """Run a module's work and leave with what it returns, or with the one sentence of what went wrong."""
    try:
        result = run(module)
    except Refused as refusal:
        module.fail_json(msg=str(refusal))
    except EnvironmentError as error:
        module.fail_json(msg=told(error), exception=traceback.format_exc())
    module.exit_json(differs=result["changed"], **result)


def carry_out(module, change):
    """Let a change look at the host and act, unless the module only predicts, and warn of what it could not do."""
    change.look()
    if not module.check_mode:
        change.apply()
    for warning in change.warnings + change.refusals():
        module.warn(warning)


def command(module, words):
    """Run a command, whose complaints are to be in English, and return (status, output, errors)."""
    words = [module.get_bin_path(words[0], required=True)] + words[1:]
    return runner(module)(words, environ_update={"LC_ALL": "C", "LANGUAGE": "C"})


def must(module, words):
    """Run a command and return its output; raise Refused with what it said where it fails."""
    status, out, errors = command(module, words)
    if status:
        said = (errors or out).strip().rstrip(".").replace("\n", "; ")
        raise Refused("`%s` failed: %s." % (" ".join(words), said))
    return out


def told(error):
    """Return the sentence for an error of the operating system."""
    return "%s: %s" % (error.filename or "the host", error.strerror or error)
