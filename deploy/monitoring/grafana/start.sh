#!/bin/sh
# Grafana's start in the compose file: the administrator's password is PASSWORD_FILE's, or one made up at the first start
# and kept beside Grafana's data. Grafana's own default, "admin", is never used. It takes the password at its very first start only.
set -eu
data=${GF_PATHS_DATA:-/var/lib/grafana}
file=${PASSWORD_FILE:?}
if [ ! -s "$file" ]; then
  file=$data/admin-password
  if [ ! -s "$file" ]; then
    umask 077
    head -c 24 /dev/urandom | base64 >"$file.new"
    mv "$file.new" "$file"
  fi
  echo "start: user admin; the password is in $file"
fi
GF_SECURITY_ADMIN_PASSWORD=$(cat "$file")
[ -n "$GF_SECURITY_ADMIN_PASSWORD" ] || {
  echo "start: $file holds no password" >&2
  exit 1
}
export GF_SECURITY_ADMIN_PASSWORD
exec "${GRAFANA_RUN:-/run.sh}" "$@"
