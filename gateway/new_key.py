"""`python -m gateway.new_key NAME`: makes an API key. It is shown once; only its hash is kept."""

import argparse

from gateway.access.api_keys import NAME, key_line, new_key


def main() -> None:
    """Prints the key and the line for the file. Exit codes: 0, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m gateway.new_key", description=__doc__)
    parser.add_argument("name", help="client that gets the key: letters, digits, dot, dash, underscore")
    name = parser.parse_args().name
    if not NAME.fullmatch(name):
        parser.error("a name has 1 to 64 letters, digits, dots, dashes or underscores")
    key = new_key()
    print(f"The key of {name}, shown only now:\n  {key}")
    print(f"The line for API_KEYS_FILE, which takes effect at once:\n  {key_line(name, key)}")


if __name__ == "__main__":
    main()
