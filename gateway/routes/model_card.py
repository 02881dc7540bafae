"""GET /model-card: the text that describes the model which answers now."""

from deepfake_client.release import CARD_ROUTE
from deepfake_client.scorer import Deadline
from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from gateway.errors import NoModelCardError
from gateway.request_context import services

MARKDOWN = "text/markdown"

model_card = APIBlueprint("model_card", __name__)


@model_card.get(CARD_ROUTE, responses={200: {"content": {MARKDOWN: {"schema": {"type": "string"}}}}})
def show_model_card() -> Response:
    """Give the model's card."""
    shared = services()
    card = shared.detector.scorer.info(Deadline(shared.settings.canary_timeout_s)).model_card
    if card is None or not card.text:
        where = f" It stands at {card.url}" if card and card.url else ""
        raise NoModelCardError(f"The model has no card that is served here.{where}", "NO_MODEL_CARD")
    response = Response(card.text, mimetype=MARKDOWN)  # Flask says charset=utf-8 of every text/*
    response.set_etag(card.sha256)
    return response
