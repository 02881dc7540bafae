#!/usr/bin/env bash
# Builds and runs docker-compose.yml with podman, as root, where there is no Docker engine and perhaps no image registry.
#
#   try_with_podman.sh base     make the base image from Debian packages and a Python of this machine
#   try_with_podman.sh build    build the three images
#   try_with_podman.sh up       export, then Triton, then the gateway, each when the one before is done or healthy
#   try_with_podman.sh down     stop and remove the containers (volumes stay)
#
# Environment, beside the settings of deploy/docker/README.md:
#   DEBIAN_MIRROR      base: the mirror for debootstrap
#   PYTHON_PREFIX      base: a Python 3.11 built with --enable-shared, which becomes /usr/local
#   PODMAN_BUILD_ARGS  build: more arguments, such as --network=host --volume=/certificates:/etc/ssl/certs:ro
#   PODMAN_RUN_ARGS    up: more arguments, such as --ulimit nofile=1024:1024
#   PODMAN_COMPOSE     the podman-compose to use
#
# What podman does not do as Docker does: without systemd no health check runs by itself, so `up` runs Triton's. With
# depends_on, podman-compose makes containers that podman refuses to restart when the finished export is not running,
# so `up` orders the services itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
base_image=localhost/python:3.11-slim-bookworm # podman prefers it to a registry
start_timeout_s=180

make_base() {
  : "${DEBIAN_MIRROR:?}" "${PYTHON_PREFIX:?}"
  local root
  root=$(mktemp -d)
  trap "rm -rf '$root'" EXIT
  debootstrap --variant=minbase \
    --include=ca-certificates,netbase,tzdata,libbz2-1.0,libffi8,liblzma5,libncursesw6,libreadline8,libsqlite3-0,libssl3,zlib1g \
    bookworm "$root" "$DEBIAN_MIRROR"
  (cd "$PYTHON_PREFIX" && tar --exclude=site-packages --exclude=test --exclude=__pycache__ -c bin/python3.11 lib/libpython3* lib/python3.11) |
    tar -C "$root/usr/local" -x --no-same-owner
  # The Python must name /usr/local as its home, as that of the real image does.
  sed -i "s#$(realpath "$PYTHON_PREFIX")#/usr/local#g" "$root"/usr/local/lib/python3.11/_sysconfigdata*.py
  ln -s python3.11 "$root/usr/local/bin/python3"
  ln -s python3.11 "$root/usr/local/bin/python"
  chroot "$root" /sbin/ldconfig
  chroot "$root" /usr/local/bin/python -m ensurepip
  ln -s pip3 "$root/usr/local/bin/pip"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  tar -C "$root" -c . | podman import --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - $base_image
}

build_images() {
  local service image
  for service in export triton gateway; do
    image=$(sed -n "s#^ *image: \(deepfake-serving/$service.*\)#localhost/\1#p" docker-compose.yml)
    # shellcheck disable=SC2086
    podman build --isolation=chroot --file "deploy/docker/$service.Dockerfile" --tag "$image" \
      ${PIP_INDEX_URL:+--build-arg PIP_INDEX_URL} ${PIP_EXTRA_INDEX_URL:+--build-arg PIP_EXTRA_INDEX_URL} \
      ${PODMAN_BUILD_ARGS:-} .
  done
}

compose() { # Docker, unlike podman, gives a read-only container no writable /run and /var/tmp
  ${PODMAN_COMPOSE:-podman-compose} --podman-run-args "--read-only-tmpfs=false ${PODMAN_RUN_ARGS:-}" "$@"
}

await_triton() {
  local deadline=$((SECONDS + start_timeout_s))
  until compose exec -T triton python -m deploy.triton_container check 2>/dev/null; do
    ((SECONDS < deadline)) || {
      compose logs triton >&2
      echo "Triton did not become healthy" >&2
      exit 1
    }
    sleep 1
  done
}

case ${1:-} in
  base) make_base ;;
  build) build_images ;;
  up)
    compose run --rm -T --no-deps export
    compose up --detach --no-build --no-deps triton
    await_triton
    compose up --detach --no-build --no-deps gateway
    ;;
  down) compose down ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
    ;;
esac
