# Completion of flyweight for bash.

_flyweight() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb= word
  local verbs="compress decompress apply extract list info stat verify scan bench diff rebase serve-plan prune migrate repair convert help"
  local common="--force --quiet --verbose --json --threads --help --version"
  local levels="--fast --balanced --high --max --best --inference --storage"
  local compressing="--output --stdout --recursive --split --rm --resume --recovery --ecc --strip --lossy --lossy-delta --base --auto-base --base-dir --sequence --key-every --no-verify
    --dry-run --keep $levels"
  local decompressing="--output --stdout --recursive --max-output --max-memory --salvage --base --base-dir --dry-run --keep"

  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      compress | decompress | apply | extract | list | ls | info | peek | stat | verify | test | scan | bench | diff | rebase | serve-plan | prune | \
        migrate | repair | convert | help) verb=$word && break ;;
      -d | --decompress) verb=decompress && break ;;
      -t | --test) verb=verify && break ;;
      -l | --list) verb=list && break ;;
    esac
  done
  compopt -o filenames 2>/dev/null

  case $previous in
    -T | --threads | -s | --split | --recovery | --sample | --max-output | --max-memory | --tensor | --key-every | --keep-last) return ;;
    --lossy) COMPREPLY=($(compgen -W "fp16 bf16 int8 int4" -- "$current")) && return ;;
    --lossy-delta) COMPREPLY=($(compgen -W "error=0.05 strategy=int4 strategy=sparse strategy=one_bit" -- "$current")) && return ;;
    -x | --strip) COMPREPLY=($(compgen -W "optimizer adam" -- "$current")) && return ;;
    --levels) COMPREPLY=($(compgen -W "fast balanced high max" -- "$current")) && return ;;
    help) COMPREPLY=($(compgen -W "$verbs" -- "$current")) && return ;;
  esac

  if [[ $current == -* ]]; then
    local options
    case $verb in
      compress | convert | "") options="$compressing --decompress --test --list" ;;
      decompress) options=$decompressing ;;
      extract) options="--output --stdout --max-output --max-memory --salvage --base --base-dir" ;;
      apply) options="--output --stdout --max-output --max-memory --base-dir --dry-run" ;;
      list | ls | stat) options="--recursive --tensor --lineage" ;;
      info | peek) options="--recursive --lineage" ;;
      diff) options="--tensor --patch" ;;
      rebase) options="--output --onto --base-dir $levels" ;;
      prune) options="--keep --keep-last --base-dir --dry-run $levels" ;;
      verify | test) options="--recursive --fast --sample --strict --base --base-dir" ;;
      repair) options="--output --from" ;;
      migrate) options="--recursive --keep --recovery --dry-run $levels" ;;
      bench) options="--recursive --levels" ;;
      *) options="--recursive" ;;
    esac
    COMPREPLY=($(compgen -W "$options $common" -- "$current"))
    return
  fi

  local IFS=$'\n'
  case $verb in
    decompress | extract | list | ls | info | peek | stat | verify | test | migrate | repair)
      COMPREPLY=($(compgen -f -X '!*.@(fly|[0-9][0-9][0-9])' -- "$current") $(compgen -d -- "$current")) ;;
    *) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
  if [[ -z $verb && $COMP_CWORD == 1 ]]; then
    COMPREPLY+=($(IFS=' ' compgen -W "$verbs" -- "$current"))
  fi
}
shopt -s extglob
complete -F _flyweight flyweight
