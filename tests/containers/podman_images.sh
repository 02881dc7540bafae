#!/usr/bin/env bash
# Images that podman cannot pull where no registry is to be reached, imitated from Debian packages.
#
#   podman_images.sh base         python:3.11-slim-bookworm, from debootstrap and a Python of this machine; needs root
#   podman_images.sh prometheus   prom/prometheus, with Debian's Prometheus, an older one
#   podman_images.sh nginx        nginx, with Debian's, an older one
#
# Environment:
#   DEBIAN_MIRROR      base: the mirror for debootstrap
#   PYTHON_PREFIX      base: a Python 3.11 built with --enable-shared, which becomes /usr/local
#   PODMAN_BUILD_ARGS  prometheus, nginx: more arguments
set -euo pipefail
cd "$(dirname "$0")/../.."
base_image=localhost/python:3.11-slim-bookworm # podman prefers it to a registry

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

make_prometheus() {
  make_of_debian prom/prometheus "prometheus wget" 65534 /prometheus '["/usr/bin/prometheus"]'
}

make_nginx() {
  make_of_debian nginx "nginx netcat-openbsd" 101 /var/cache/nginx '["nginx"]'
}

make_of_debian() { # IMAGE PACKAGES USER FOLDER PROGRAM
  local image
  image=$(sed -n "s#^ *image: \($1:.*\)#localhost/\1#p" docker-compose.yml)
  # shellcheck disable=SC2086
  podman build --isolation=chroot --format=docker --tag "$image" ${PODMAN_BUILD_ARGS:-} --file - . <<EOF
FROM python:3.11-slim-bookworm
RUN apt-get update \\
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $2 \\
    && rm -rf /var/lib/apt/lists/* \\
    && install --directory --owner $3 --group $3 $4
USER $3:$3
ENTRYPOINT $5
EOF
}

case ${1:-} in
  base) make_base ;;
  prometheus) make_prometheus ;;
  nginx) make_nginx ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
    ;;
esac
