#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything that can be said about the files without running them. Each check runs, the last line tells.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
bin=$PWD/.venv/bin
export PATH="$bin:$PATH"
# The scenarios use containers.podman, which the linter has to know.
fetched=$(python tests/tools/collection_cache.py) || exit 1
export ANSIBLE_COLLECTIONS_PATH="$PWD/build/collections:$fetched"
failed=()

check() {
  local name=$1
  shift
  printf -- '-- %s\n' "$name"
  "$@" || failed+=("$name")
}

mapfile -t shell < <(git ls-files -co --exclude-standard -- '*.sh' .ci/run)

# RHEL 8 runs modules with Python 3.6: no syntax and no library call that is newer.
python_floor() {
  vermin --quiet --no-tips --violations --eval-annotations --target=3.6- --no-parse-comments \
    plugins/modules plugins/module_utils
}

# A role's README is made from its argument_specs.
role_readmes() {
  ! compgen -G 'roles/*/meta/argument_specs.yml' >/dev/null || python tests/tools/role_readme.py --check
}

check ruff ruff check .
check "ruff format" ruff format --check --quiet .
check "Python 3.6 floor" python_floor
check shellcheck shellcheck "${shell[@]}"
check yamllint yamllint --strict .
check ansible-lint ansible-lint --offline --strict -q -R -r extensions/lint
check antsibull-docs antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self --disallow-unknown-collection-refs .
check changelog antsibull-changelog lint
check REUSE reuse --suppress-deprecation lint --quiet
check "role READMEs" role_readmes

if [ "${#failed[@]}" -gt 0 ]; then
  printf 'lint failed: %s\n' "$(IFS=,; echo "${failed[*]}")"
  exit 1
fi
echo "lint passed"
