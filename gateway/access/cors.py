"""Lets pages of other origins call the API from a browser, where CORS_ORIGINS names them; off otherwise."""

from flask import Flask
from flask_cors import CORS


def allow_origins(app: Flask, origins: str) -> None:
    """Answers browsers that ask for these origins.

    No cookies are involved: a page has to send the API key itself, so credentials stay off.

    Args:
        app: The application.
        origins: Separated by commas; without `*` and other marks that the library would read as a pattern.
    """
    if origins:
        CORS(
            app,
            origins=origins.split(","),
            methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "WWW-Authenticate", "X-Request-ID"],
            max_age=600,
        )
