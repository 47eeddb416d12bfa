# Way 1: a Python on this machine that imports DOLFINx, PETSc (real), mpi4py and torch.

native_answers() {
  local candidate tried=
  reason='no Python found'
  for candidate in ${PYTHON:-python3 python /usr/bin/python3}; do
    candidate=$(command -v "$candidate") || continue
    case " $tried " in *" $candidate "*) continue ;; esac
    tried="$tried $candidate"
    if reason=$(within 120 "$candidate" "$root/env/probe.py" 2>/dev/null | tail -1); then
      python=$candidate
      return 0
    fi
    reason="$candidate: ${reason:-does not run}"
  done
  return 1
}

# Where small packages that PyPI has are missing, add them beside, not into, the user's Python.
# A virtual environment cannot be renamed, so a mark says that it is whole.
native_prepare() {
  local lacks venv
  host=$python
  lacks=$("$python" "$root/env/probe.py" --missing ${tools:+--tools}) || die "$python fails"
  [ -n "$lacks" ] || return 0
  venv=$cache/native-$(printf '%s %s' "$python" "$lacks" | cksum | cut -d' ' -f1)-$(key)
  lock native
  if [ ! -e "$venv/whole" ]; then
    say "$python lacks" $lacks "-- adding them in $venv"
    discard "$venv"
    printf '%s\n' "$lacks" >"$venv.txt"
    "$python" -m venv --system-site-packages "$venv" &&
      "$venv/bin/python3" -m pip install --quiet -r "$venv.txt" && touch "$venv/whole" ||
      die "pip cannot fetch what $python lacks; install by hand:" $lacks
  fi
  unlock
  python=$venv/bin/python3
}

native_enter() {
  local line
  while read -r line; do export "${line?}"; done < <(settings)
  export FESURROGATE_PYTHON=$python
  export PATH="$root/env/bin:$(dirname "$python"):$(dirname "$host"):$PATH"
  export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
  exec "$@"
}
