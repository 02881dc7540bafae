#!/usr/bin/env bash
# Installs one lock (local, bench or dev) and this project into .venv; does nothing when that is already done.
# Uses $PYTHON, or the first of python3.11, python3.12, python3 that fits.
set -euo pipefail
cd "$(dirname "$0")/.."
component=${1:?usage: deploy/install.sh local|bench|dev}
lock=requirements/$component.lock
stamp=.venv/.installed-$component
venv_python=.venv/bin/python

fail() {
  echo "install: $*" >&2
  exit 1
}

fits() { # Python 3.11 or 3.12 with a shared libpython, which Triton's Python backend loads
  "$1" - <<'PY' >/dev/null 2>&1
import pathlib, sys, sysconfig
name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
folders = [sysconfig.get_config_var("LIBDIR") or "", sys.base_prefix + "/lib", "/usr/lib/x86_64-linux-gnu"]
sys.exit(not (sys.version_info[:2] in ((3, 11), (3, 12)) and any((pathlib.Path(f) / name).exists() for f in folders)))
PY
}

find_python() {
  if [[ -n ${PYTHON:-} ]]; then
    fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11 or 3.12 with a shared libpython"
    echo "$PYTHON"
    return
  fi
  local candidate
  for candidate in python3.11 python3.12 python3; do
    if fits "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or 3.12 with a shared libpython (Debian, Ubuntu: apt install python3.11-venv libpython3.11); set PYTHON=/path/to/python"
}

install_packages() { # from apt as root, else names the command; WHAT: packages
  local what=$1
  shift
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "install: apt-get install $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
      fail "apt-get could not install $*"
  else
    fail "$what missing: $*. Run: sudo apt-get install --no-install-recommends $*"
  fi
}

install_libraries() { # what mediapipe and cv2 load
  local missing=() entry libraries
  libraries=$(/sbin/ldconfig -p) # whole: a pipe that grep closes early would count as a failure
  for entry in libEGL.so.1:libegl1 libGLESv2.so.2:libgles2 libGL.so.1:libgl1 libglib-2.0.so.0:libglib2.0-0; do
    grep -q "${entry%%:*}" <<<"$libraries" || missing+=("${entry##*:}")
  done
  ((${#missing[@]})) || return 0
  install_packages "these system libraries are" "${missing[@]}"
}

install_browser() { # what the tests of the page drive
  [[ $component == dev ]] || return 0
  local browser=${CHROMIUM:-/usr/bin/chromium} driver=${CHROMEDRIVER:-/usr/bin/chromedriver}
  [[ -x $browser && -x $driver ]] && return 0
  [[ -z ${CHROMIUM:-}${CHROMEDRIVER:-} ]] || fail "CHROMIUM=$browser or CHROMEDRIVER=$driver is no program"
  install_packages "the browser of the tests is" chromium chromium-driver
  [[ -x $browser && -x $driver ]] ||
    fail "there is no $browser and $driver even so; install Chromium with its driver and set CHROMIUM and CHROMEDRIVER"
}

unpack_programs() { # what the tests of deploy/ run: programs out of Debian's packages, without their services
  [[ $component == dev ]] || return 0
  unpack prometheus usr/bin/prometheus usr/bin/promtool
  unpack nginx usr/sbin/nginx
}

unpack() { # PACKAGE PROGRAM...: into .venv/PACKAGE, unless the programs are installed
  local package=$1 folder=$PWD/.venv/$1 program work missing=()
  shift
  for program; do
    [[ -x /$program || -x $folder/$program ]] || command -v "${program##*/}" >/dev/null || missing+=("$program")
  done
  ((${#missing[@]})) || return 0
  echo "install: $package into .venv/$package"
  [[ $(id -u) != 0 ]] || apt-get update -qq
  work=$(mktemp -d)
  (cd "$work" && apt-get download -qq "$package" && dpkg-deb -x "$package"_*.deb "$folder") >/dev/null 2>&1 ||
    fail "the tests need $package. Run: sudo apt-get install --no-install-recommends $package"
  rm -r "$work"
}

[[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || fail "Linux on x86-64 is needed, this is $(uname -s) $(uname -m): use Docker there"
install_libraries
install_browser
wanted=$(cat "$lock" client/pyproject.toml pyproject.toml | sha256sum)
if [[ -x $venv_python && -f $stamp && $(cat "$stamp") == "$wanted" ]] && fits $venv_python; then
  unpack_programs
  exit 0
fi
if [[ ! -x $venv_python ]] || ! fits $venv_python; then
  python=$(find_python)
  echo "install: making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv || fail "$python cannot make a virtual environment (Debian, Ubuntu: apt install python3-venv)"
fi
echo "install: $lock into .venv (some minutes the first time)"
quiet=--quiet
[[ -t 1 ]] && quiet= # on a terminal pip shows its progress
$venv_python -m pip install $quiet --disable-pip-version-check -r "$lock" ||
  fail "pip could not install $lock: is the package index reachable?"
PYTHONWARNINGS=ignore $venv_python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable ./client --editable .
echo "$wanted" >"$stamp"
unpack_programs
