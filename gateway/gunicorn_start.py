"""`python -P -m gateway.gunicorn_start`: gunicorn, which here imports nothing from the working directory."""

import sys

from gunicorn.app.wsgiapp import run
from gunicorn.util import getcwd

if __name__ == "__main__":
    # Gunicorn puts the working directory in front of all other places unless it is among them already.
    sys.path.append(getcwd())
    run()
