#!/bin/sh
# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# ansible-lint with its own rules and linux-memory. COLLECTIONS is where ansible-galaxy has installed the collections.
set -eu
cd "$(dirname "$0")"
COLLECTIONS=${COLLECTIONS:-$HOME/.ansible/collections}
exec ansible-lint --offline -R -r "$COLLECTIONS/ansible_collections/linux_memory/oom/extensions/lint" "$@"
