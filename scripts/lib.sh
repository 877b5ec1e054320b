# Sourced by the scripts here: where things are, and how an environment is made.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

find_python() { # python3 where it is new enough, else the newest there is; PYTHON names another
  local candidate candidates=(python3 python3.14 python3.13 python3.12 python3.11 python3.10)
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "Python 3.10 or newer is needed${PYTHON:+ and $PYTHON is none}: sudo apt install python3 python3-venv"
}

find_tflite_python() { # one that tflite-runtime 2.14 has wheels for; also where pyenv keeps them
  local candidate
  for candidate in python3.11 python3.10 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[01].*/bin/python3; do
    if "$candidate" -c 'import sys, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 12))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# make_tflite_env PYTHON DIR: what the project's tests need, with tflite-runtime instead of LiteRT.
# The project itself is not installed, since pip would bring LiteRT: run in the checkout.
make_tflite_env() {
  local python=$1 dir=$2 requirements
  mapfile -t requirements < <("$python" scripts/tflite_requirements.py)
  [ ${#requirements[@]} -gt 0 ] || fail "the requirements of tflite-runtime cannot be read from pyproject.toml"
  PYTHON=$python make_env "$dir" "${requirements[@]}"
}

# make_env DIR REQUIREMENT...: a virtual environment with these, made again when they changed.
make_env() {
  local dir=$1 python stamp
  shift
  python=$(find_python)
  stamp=$( { "$python" --version; printf '%s\n' "$@"; cat pyproject.toml; } | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$dir/.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
  say "making the environment $dir ($("$python" --version))"
  rm -rf "$dir"
  "$python" -m venv "$dir" || fail "python3-venv is missing: sudo apt install python3-venv"
  pip_install "$dir" --upgrade pip
  pip_install "$dir" "$@"
  printf '%s' "$stamp" >"$dir/.stamp"
}

# pip_install ENV ARGUMENT...: with one moving line in a terminal; pip's own words only when it fails.
pip_install() {
  local env=$1 log=$1/pip.log bar=off
  shift
  # Debian 12's pip knows no raw bar yet.
  "$env/bin/python" -m pip install --progress-bar raw --help >/dev/null 2>&1 && bar=raw
  if "$env/bin/python" -m pip install --disable-pip-version-check --progress-bar "$bar" "$@" 2>&1 |
    tee "$log" | show_downloads; then return; fi
  grep -vE '^(Progress|WARNING: Location)' "$log" | tail -20 >&2
  fail "pip could not install $*: see above; is there a network?"
}

show_downloads() { # in bash: Debian's awk waits for a full block of a pipe before it reads a line
  local line name="" filled full=######################## empty=........................
  if [ ! -t 2 ]; then cat >/dev/null; return; fi
  while read -r line; do
    if [[ $line =~ ^(Collecting|Downloading|Using\ cached)\ ([^ ]+) ]]; then
      name=${BASH_REMATCH[2]##*/}
      printf '\r\033[K  finding %.60s' "$name"
    elif [[ $line =~ ^Progress\ ([0-9]+)\ of\ ([1-9][0-9]*)$ ]]; then
      filled=$((24 * BASH_REMATCH[1] / BASH_REMATCH[2]))
      printf '\r\033[K  %s%s %.50s' "${full:0:filled}" "${empty:filled}" "$name"
    elif [[ $line == Installing\ collected* ]]; then
      printf '\r\033[K  unpacking'
    fi
  done >&2
  printf '\r\033[K' >&2
}

have_mosquitto() { PATH="$PATH:/usr/sbin" command -v mosquitto >/dev/null; }

# apt_install PACKAGE...: with root or passwordless sudo; false where neither is to be had.
apt_install() {
  local sudo=() had_mosquitto=
  have_mosquitto && had_mosquitto=yes
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    sudo=(sudo -n)
  fi
  say "installing $* with apt"
  local install=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@")
  if ! "${install[@]}" >/dev/null 2>&1; then
    "${sudo[@]}" apt-get update -q >/dev/null 2>&1 || true # another source may be broken
    "${install[@]}" >/dev/null 2>&1 || return 1
  fi
  # The package starts a service on port 1883, where a node's broker listens.
  [ -n "$had_mosquitto" ] || "${sudo[@]}" systemctl disable --now --quiet mosquitto 2>/dev/null || true
}
