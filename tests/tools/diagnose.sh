#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# `make diagnose`: read this host, or the hosts of an inventory, and say how their memory stands.
set -euo pipefail
bin=$1 inventory=$2
shift 2

if [ -n "$inventory" ] && [ ! -e "$inventory" ]; then
  echo "INVENTORY: $inventory does not exist; it has to be an inventory file or directory" >&2
  exit 2
fi
if [ -n "$inventory" ]; then
  hosts=(--inventory "$inventory")
else
  hosts=(--inventory "localhost," --connection local --extra-vars "ansible_python_interpreter=$(command -v python3)")
fi
# Only the verdict is wanted here, not the tasks that led to it.
export ANSIBLE_DISPLAY_OK_HOSTS=False ANSIBLE_DISPLAY_SKIPPED_HOSTS=False
exec "$bin/ansible-playbook" "${hosts[@]}" linux_memory.oom.diagnose "$@"
