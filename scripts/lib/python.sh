# Sourced by scripts/setup: the interpreter, .venv and what is in it.

_python_is_good() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

_venv_works() { [[ -x $VENV/bin/python ]] && _python_is_good "$VENV/bin/python" && "$VENV/bin/python" -c "import pip" 2>/dev/null; }

# Prints the interpreter to use: that of .venv where there is one, else PYTHON, or the first python3 that is 3.10 or later.
find_python() {
  local candidate
  _venv_works && { printf '%s\n' "$VENV/bin/python"; return 0; }
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
    if command -v "$candidate" >/dev/null && _python_is_good "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

_python_has_headers() {
  "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))'
}

# python_packages PYTHON: prints the system packages that PYTHON lacks for making .venv and for compiling an extension.
python_packages() {
  _venv_works || "$1" -c 'import ensurepip, venv' 2>/dev/null || "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
  _python_has_headers "$1" || "$1" -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])'
}

# make_venv PYTHON: makes .venv where there is none that works.
make_venv() {
  _venv_works || step venv "Making .venv with $("$1" --version)" "$1" -m venv --clear "$VENV"
  export PATH=$VENV/bin:$PATH
}

# pip_install STAMP LABEL REQUIREMENT...: installs into .venv unless exactly these requirements were installed before.
pip_install() {
  local stamp=$VENV/.flyweight-$1 label=$2
  shift 2
  [[ -f $stamp && $(<"$stamp") == "$*" ]] && return 0
  step "pip-${stamp##*-}" "$label" "$VENV/bin/python" -m pip install --upgrade-strategy only-if-needed "$@"
  printf '%s\n' "$*" >"$stamp"
}

# requirements WHICH...: prints what pyproject.toml declares, a line each: build, run, or the name of an extra.
requirements() {
  local which
  for which in "$@"; do
    "$VENV/bin/python" "$ROOT/scripts/lib/requirements.py" "$which" || return 1
  done
}

# cmake and ninja: the system's where they are new enough, else those of PyPI.
find_build_tools() {
  local wanted=() version
  version=$(cmake --version 2>/dev/null | sed -n 's/^cmake version \([0-9.]*\).*/\1/p') || true
  version_at_least "${version:-0}" 3.25 || wanted+=(cmake)
  ninja --version >/dev/null 2>&1 || wanted+=(ninja)
  [[ ${#wanted[@]} -eq 0 ]] || pip_install tools "Installing ${wanted[*]} into .venv" "${wanted[@]}"
}
