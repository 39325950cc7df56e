#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Install what the tests need from the distribution: containers, virtual machines, a browser. Does nothing where all
# of it is there; without root it names what is missing.
set -euo pipefail

# command:package, as Debian and Ubuntu name them
wanted=(
  podman:podman
  runc:runc
  mmdebstrap:mmdebstrap
  qemu-system-x86_64:qemu-system-x86
  qemu-img:qemu-utils
  mke2fs:e2fsprogs
  mkfs.btrfs:btrfs-progs
  mkfs.xfs:xfsprogs
  chromium:chromium
  chromedriver:chromium-driver
  shellcheck:shellcheck
  ssh:openssh-client
  strace:strace
  zstd:zstd
)
missing=()
for pair in "${wanted[@]}"; do
  command -v "${pair%%:*}" >/dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing+=("${pair#*:}")
done
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "The tests need these Debian packages, and only root can install them: ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Installing ${missing[*]}"
if ! { apt-get -q update && apt-get -qy install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  exit 1
fi
