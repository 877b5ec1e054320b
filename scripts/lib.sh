# Sourced by the scripts here: where things are, and how an environment is made.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

find_python() { # the newest Python from 3.10 on; PYTHON names another
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "Python 3.10 or newer is needed: apt install python3 python3-venv"
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
  "$python" -m venv "$dir" || fail "python3-venv is missing: apt install python3-venv"
  pip_install "$dir" --upgrade pip
  pip_install "$dir" "$@"
  printf '%s' "$stamp" >"$dir/.stamp"
}

# pip_install ENV ARGUMENT...: with a bar in a terminal; pip's own words only when it fails.
pip_install() {
  local env=$1 log=$1/pip.log bar=off
  shift
  "$env/bin/python" -m pip install --help | grep -q 'on, off, raw' && bar=raw
  if "$env/bin/python" -m pip install --disable-pip-version-check --progress-bar "$bar" "$@" 2>&1 |
    tee "$log" | show_downloads; then return; fi
  grep -vE '^(Progress|WARNING: Location)' "$log" | tail -20 >&2
  fail "pip could not install $*: see above; is there a network?"
}

show_downloads() {
  if [ ! -t 2 ]; then cat >/dev/null; return; fi
  awk '
    function bar(share,  i, text) {
      for (i = 0; i < 24; i++) text = text (i < share * 24 ? "#" : ".")
      return text
    }
    /^ *(Downloading|Using cached)/ { name = $0; sub(/^ *(Downloading|Using cached) /, "", name); sub(/ .*/, "", name) }
    /^Progress/ { printf "\r\033[K  %s %3d%% %.50s", bar($2 / $4), 100 * $2 / $4, name; fflush() }
    /^Installing collected/ { printf "\r\033[K  unpacking"; fflush() }
    END { printf "\r\033[K" }' >&2
}

have_mosquitto() { PATH="$PATH:/usr/sbin" command -v mosquitto >/dev/null; }

# apt_install PACKAGE...: with root or passwordless sudo; false where neither is to be had.
apt_install() {
  local sudo=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    sudo=(sudo -n)
  fi
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null 2>&1 && return
  "${sudo[@]}" apt-get update -q >/dev/null 2>&1
  # The package's own service would open port 1883 for a broker that the mesh does not use.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null 2>&1
}
