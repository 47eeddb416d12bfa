# Way 3: a Debian root filesystem made by mmdebstrap and entered with bubblewrap; no engine needed.

rootfs=$cache/rootfs-$suite-$(uname -m)-$(key "$root/env/rootfs.sh")
venv=/usr/local/lib/fesurrogate

rootfs_answers() {
  reason="root and apt-get are needed to build it"
  [ -d "$rootfs" ] && have bwrap || { [ "$(id -u)" = 0 ] && have apt-get; }
}

rootfs_prepare() {
  if ! have bwrap || { [ ! -d "$rootfs" ] && ! have mmdebstrap; }; then
    say "installing mmdebstrap and bubblewrap with apt-get"
    {
      apt-get update &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
          mmdebstrap bubblewrap debian-archive-keyring
    } >&2 || die "apt-get cannot install mmdebstrap and bubblewrap; see above"
  fi
  [ -d "$rootfs" ] && return
  lock "rootfs-$suite"
  [ -d "$rootfs" ] || rootfs_build "$rootfs.partial"
  unlock
}

# Build under a temporary name; what an interrupted build left is never used.
rootfs_build() {
  local part=$1 log=$cache/rootfs-$suite.log include
  say "building $rootfs (a few minutes, about 4 GB; log in $log)"
  discard "$part"
  include=$(entries "$debian_list" | tr '\n' ',')
  env -u TMPDIR PATH="$PATH:/usr/sbin:/sbin" mmdebstrap --variant=minbase --include="${include%,}" \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    "$suite" "$part" >"$log" 2>&1 ||
    die "mmdebstrap failed: $(tail -3 "$log") (log: $log)"
  touch "$part/etc/resolv.conf"
  rootfs_pip "$part" >>"$log" 2>&1 ||
    die "pip failed in the new root filesystem: $(tail -3 "$log") (log: $log)"
  mv "$part" "$rootfs"
}

# Add the pinned list, through this machine's index, proxy and certificates where it has its own.
rootfs_pip() {
  local line arguments=()
  while read -r line; do
    arguments+=("$line")
  done < <(env | grep -iE '^(https?_proxy|no_proxy|PIP_INDEX_URL|PIP_TRUSTED_HOST|PIP_RETRIES)=')
  line=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
  env -i PATH=/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 PIP_DEFAULT_TIMEOUT=180 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt "${arguments[@]}" ${line:+PIP_INDEX_URL="$line"} \
    "$(command -v bwrap)" --bind "$1" / --dev /dev --proc /proc --tmpfs /tmp \
    --ro-bind-try /etc/resolv.conf /etc/resolv.conf --ro-bind-try /etc/hosts /etc/hosts \
    --ro-bind-try /etc/ssl/certs /etc/ssl/certs --ro-bind "$pip_list" /tmp/pip-packages.txt \
    --die-with-parent sh -ec "python3 -m venv --system-site-packages $venv
      $venv/bin/python3 -m pip install --no-cache-dir -r /tmp/pip-packages.txt"
}

# Read-only, except the checkout, the current folder, /tmp and a home that holds compiled forms.
rootfs_enter() {
  local home=$cache/home-${rootfs##*/rootfs-} line variables=() places=()
  mkdir -p "$home"
  while read -r line; do variables+=("$line"); done < <(settings; passed)
  case "$PWD/" in
    "$root"/* | /tmp/*) ;;
    / | /usr/* | /etc/* | /bin/* | /lib*/* | /sbin/* | /dev/* | /proc/* | /sys/*)
      die "run this from a folder of your own, not from $PWD" ;;
    *) places+=(--bind "$PWD" "$PWD") ;;
  esac
  # a process has the same number in each of these: what mpirun names by it must not be shared
  exec env -i HOME=/home/fesurrogate USER="$(id -un)" LANG=C.UTF-8 "${variables[@]}" \
    PRTE_MCA_prte_tmpdir_base=/run OMPI_MCA_btl_sm_backing_directory=/run \
    FESURROGATE_PYTHON=$venv/bin/python3 PYTHONPATH="$root" \
    PATH="$root/env/bin:$venv/bin:/usr/local/bin:/usr/bin:/bin" \
    "$(command -v bwrap)" --tmpfs / --ro-bind "$rootfs/usr" /usr --ro-bind "$rootfs/etc" /etc \
    --symlink usr/bin /bin --symlink usr/sbin /sbin --symlink usr/lib /lib \
    --symlink usr/lib64 /lib64 --dir /var/tmp --dir /run --proc /proc --dev-bind /dev /dev \
    --ro-bind /sys /sys --bind /tmp /tmp --bind "$home" /home/fesurrogate \
    "${places[@]}" --bind "$root" "$root" --chdir "$PWD" \
    --unshare-pid --die-with-parent -- "$@"
}
