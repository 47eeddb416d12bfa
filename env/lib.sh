# What the three ways to an environment share. Sourced by env/run; bash 3.2 or newer.

suite=${DEBIAN_SUITE:-trixie}
cache=${FESURROGATE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/fesurrogate}
debian_list=$root/env/debian-packages.txt
pip_list=$root/env/pip-packages.txt

say() { printf 'fesurrogate: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# Run a command for at most $1 seconds, where the tool for it exists.
within() {
  if have timeout; then timeout "$@"; else
    shift
    "$@"
  fi
}

# Print a list without its comments.
entries() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$1"; }

# Print 12 digits that change with the two lists, and with the recipes given as arguments.
key() {
  {
    entries "$debian_list"
    entries "$pip_list"
    [ $# -eq 0 ] || cat "$@"
  } | if have sha256sum; then sha256sum; else shasum -a 256; fi | cut -c1-12
}

# Hold a lock until this process and all that it started have ended: two builds never collide, and
# a build waits for the orphans of one that was killed.
lock() {
  mkdir -p "$cache" || die "cannot write to the cache $cache; set FESURROGATE_CACHE to a folder"
  have flock || return 0
  exec 9>"$cache/$1.lock"
  flock --nonblock 9 || {
    say "another build holds $cache/$1.lock; waiting for it"
    flock 9
  }
}

# Let go of the lock, so that the command which follows does not hold it.
unlock() { exec 9>&-; }

# Remove what an interrupted build left, without crossing into anything mounted there.
discard() { rm -rf --one-file-system "$1" 2>/dev/null || rm -rf "$1"; }

# The settings of every run: one thread a rank, and an Open MPI that runs as root, through shared
# memory, with more ranks than cores (said for its versions 4, 6 and 5). Other MPIs ignore these.
settings() {
  printf '%s\n' \
    OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" \
    OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-${OMP_NUM_THREADS:-1}}" \
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    OMPI_MCA_btl="${OMPI_MCA_btl:-self,sm}" \
    OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_mapby=:oversubscribe \
    PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
}

# The caller's variables that mean something inside; nothing of the host's Python leaks in.
passed() {
  env | grep -E "^($(printf '%s|' \
    TERM COLUMNS CI NO_COLOR FORCE_COLOR TZ PETSC_OPTIONS PYTEST_ADDOPTS SOURCE_DATE_EPOCH \
    'OMP_[A-Z_]+' 'OPENBLAS_[A-Z0-9_]+' 'OMPI_MCA_[a-z_]+' 'PRTE_MCA_[a-z_]+')FESURROGATE_[A-Z_]+)=" |
    grep -vE '^FESURROGATE_(ENV|CACHE|PYTHON)=' || true
}
