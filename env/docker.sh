# Way 2: a Docker engine; the image is the Dockerfile's first stage, without any checkout in it.

docker_answers() {
  reason='no Docker engine answers'
  have docker && within 30 docker info >/dev/null 2>&1
}

docker_image() { printf 'fesurrogate-environment:%s-%s' "$suite" "$(key "$root/Dockerfile")"; }

docker_prepare() {
  image=$(docker_image)
  docker image inspect "$image" >/dev/null 2>&1 && return
  say "building the Docker image $image (a few minutes, about 4 GB)"
  docker build --target environment --build-arg "DEBIAN_SUITE=$suite" -t "$image" "$root" >&2 ||
    die "docker build failed; see above"
}

# The checkout is mounted at its own path; the home that is kept holds compiled forms.
docker_enter() {
  local home=$cache/home-docker-${image##*:} line arguments=()
  mkdir -p "$home"
  while read -r line; do arguments+=(-e "$line"); done < <(settings; passed)
  [ -t 0 ] && [ -t 1 ] && arguments+=(-t)
  case "$PWD/" in "$root"/*) ;; *) arguments+=(-v "$PWD:$PWD") ;; esac
  exec docker run --rm -i --init --shm-size 1g --user "$(id -u):$(id -g)" "${arguments[@]}" \
    -e HOME=/home/fesurrogate -v "$home:/home/fesurrogate" \
    -e FESURROGATE_PYTHON=/usr/local/lib/fesurrogate/bin/python3 -e PYTHONPATH="$root" \
    -e PATH="$root/env/bin:/usr/local/lib/fesurrogate/bin:/usr/local/bin:/usr/bin:/bin" \
    -v "$root:$root" -w "$PWD" "$image" "$@"
}
