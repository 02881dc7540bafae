#!/bin/sh
# Starts nginx before the gateway, in the foreground. Everything that it writes is in WORK_DIR.
#
#   GATEWAY                   host:port of the gateway (gateway:5000)
#   LISTEN                    port, or address:port, that callers use (8080)
#   TLS_CERT_FILE             PEM certificate chain; with TLS_KEY_FILE callers use https, else http
#   TLS_KEY_FILE              PEM private key
#   DEEPFAKE_MAX_BODY_BYTES   largest body (209715200, the gateway's own limit)
#   RATE_LIMIT_PER_MINUTE     detections that one address may ask for (6000)
#   MAX_IN_FLIGHT_PER_CLIENT  requests of one address at a time, slow uploads included (256)
#   WORK_DIR                  folder for nginx's files (/tmp/nginx)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${WORK_DIR:-/tmp/nginx}
listen=${LISTEN:-8080}
mkdir -p "$work"
cp "$here/nginx.conf" "$work/nginx.conf"

# A container that is started anew has another address, so names are looked up again. nginx takes no resolv.conf.
resolver=$(awk '$1 == "nameserver" { print ($2 ~ /:/) ? "[" $2 "]" : $2; exit }' /etc/resolv.conf)
{
  [ -z "$resolver" ] || echo "resolver $resolver valid=5s;"
  echo "map \$host \$gateway { default http://${GATEWAY:-gateway:5000}; }"
  echo "client_max_body_size ${DEEPFAKE_MAX_BODY_BYTES:-209715200};"
  echo "limit_req_zone \$binary_remote_addr zone=detections:10m rate=${RATE_LIMIT_PER_MINUTE:-6000}r/m;"
} >"$work/settings.conf"
{
  echo "limit_conn connections ${MAX_IN_FLIGHT_PER_CLIENT:-256};"
  if [ -n "${TLS_CERT_FILE:-}" ]; then
    echo "listen $listen ssl;"
    echo "ssl_certificate ${TLS_CERT_FILE};"
    echo "ssl_certificate_key ${TLS_KEY_FILE:?is needed with TLS_CERT_FILE};"
    echo "ssl_protocols TLSv1.2 TLSv1.3;"
    echo "ssl_session_cache shared:tls:10m;"
    echo 'add_header Strict-Transport-Security "max-age=31536000" always;'
  else
    echo "listen $listen;"
  fi
} >"$work/listen.conf"
exec "${NGINX:-nginx}" -p "$work/" -e stderr -c "$work/nginx.conf" -g 'daemon off;'
