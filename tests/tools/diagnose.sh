#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# `make diagnose`: read this host, the hosts of an inventory, or log files, and say how their memory stands.
set -euo pipefail
bin=$1 inventory=$2 log=$3
shift 3

if [ -n "$inventory" ] && [ ! -e "$inventory" ]; then
  echo "INVENTORY: $inventory does not exist; it has to be an inventory file or directory" >&2
  exit 2
fi
if [ -n "$inventory" ] && [ -n "$log" ]; then
  echo "LOG: a log is read without hosts; give either LOG or INVENTORY" >&2
  exit 2
fi
if [ -n "$inventory" ]; then
  hosts=(--inventory "$inventory")
else
  hosts=(--inventory "localhost," --connection local --extra-vars "ansible_python_interpreter=$(command -v python3)")
fi
if [ -n "$log" ]; then
  # One name, which may hold blanks, or several.
  names=("$log")
  [ -e "$log" ] || read -r -a names <<<"$log"
  for name in "${names[@]}"; do
    case $name in
      *[*?[]* | "~"*) ;; # a pattern or a home: the playbook looks
      *)
        if [ ! -e "$name" ]; then
          echo "LOG: $name does not exist; it has to be a log file, a directory or a pattern" >&2
          exit 2
        fi
        ;;
    esac
  done
  set -- --extra-vars "$("$bin/python" -c 'import json, sys; print(json.dumps({"log": sys.argv[1:]}))' "${names[@]}")" "$@"
fi
# Only the verdict is wanted here, not the tasks that led to it.
export ANSIBLE_DISPLAY_OK_HOSTS=False ANSIBLE_DISPLAY_SKIPPED_HOSTS=False
exec "$bin/ansible-playbook" "${hosts[@]}" linux_memory.oom.diagnose "$@"
