#!/bin/sh
# Asks the service of `make serve` about the photo and the clip.
set -eu
curl -fsS http://127.0.0.1:5000/health
curl -fsS -F file=@examples/astronaut.png http://127.0.0.1:5000/detect
curl -fsS -F file=@examples/astronaut.mp4 -F include=scores http://127.0.0.1:5000/detect
