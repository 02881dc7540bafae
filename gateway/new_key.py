"""`python -m gateway.new_key NAME`: makes an API key. It is shown once; only its hash is kept."""

from typing import Annotated

import typer

from deepfake_client.command_line.exits import USAGE, require_packages, run
from deepfake_client.command_line.help import new_app, styled

PROGRAM = "python -m gateway.new_key"

EXIT_CODES = {0: "made", **USAGE}
EXAMPLES = ("python -m gateway.new_key my-client",)

app = new_app(PROGRAM)


@app.command(cls=styled(EXIT_CODES, EXAMPLES))
def make_key(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Client that gets the key: 1 to 64 letters, digits, dots, - or _.")
    ],
) -> None:
    """Makes an API key.

    It prints the key, which is shown only now, and its line for DEEPFAKE_API_KEYS_FILE.
    """
    require_packages(PROGRAM, {"flask": "gateway"})
    from gateway.access.api_keys import NAME, key_line, new_key

    if not NAME.fullmatch(name):
        raise typer.BadParameter("a name has 1 to 64 letters, digits, dots, dashes or underscores")
    key = new_key()
    print(f"The key of {name}, shown only now:\n  {key}")
    print(f"The line for DEEPFAKE_API_KEYS_FILE, which takes effect at once:\n  {key_line(name, key)}")


if __name__ == "__main__":
    run(app, PROGRAM)
