# Sourced by the scripts one folder up: where things are, and one line a step with the details in a log that is shown when the step fails.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
VENV=$ROOT/.venv
LOGS=$ROOT/build/logs
mkdir -p "$LOGS"

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONHOME PYTHONPATH

die() {
  printf '\n%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# step NAME LABEL COMMAND...: runs COMMAND with its output in build/logs/NAME.log, telling LABEL and the seconds it took.
step() {
  local log=$LOGS/$1.log label=$2 start=$SECONDS
  shift 2
  printf '  %-64s' "$label"
  # Not `if "$@"`: inside a condition bash would go on after a failing line of COMMAND.
  set +e
  (set -e; "$@") >"$log" 2>&1 </dev/null
  local status=$?
  set -e
  if [[ $status -ne 0 ]]; then
    printf 'failed\n\n' >&2
    tail -n 60 "$log" >&2
    die "this step failed: $label (the whole log is ${log#"$ROOT"/})"
  fi
  printf '%4d s\n' $((SECONDS - start))
}

# version_at_least HAVE WANT: compares dotted versions.
version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }
