from deepfake_client.command_line.packages import missing_packages


def test_what_is_missing_is_named_with_one_command() -> None:
    assert missing_packages({"sys": "export", "typer": "train"}) == ""
    said = missing_packages({"no_such_a": "export", "sys": "x", "no_such_b": "train", "no_such_c": "export"})
    assert said == (
        "packages are missing (no_such_a, no_such_b, no_such_c): pip install ./client '.[export,train]' in the checkout"
    )
