"""GET /model-card: the text that describes the model which answers now."""

from deepfake_client.release import CARD_ROUTE
from deepfake_client.scorer import Deadline, FrameScorer
from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from gateway.errors import ApiError
from gateway.routes.document import OPERATION, SERVICE_CODES, failures

MARKDOWN = "text/markdown"


def model_card_route(scorer: FrameScorer, timeout_s: float) -> APIBlueprint:
    """The route.

    Args:
        scorer: Says which model answers.
        timeout_s: How long that may take.
    """
    model_card = APIBlueprint("model_card", __name__, abp_tags=[OPERATION])
    card_as_text = {"description": "The card.", "content": {MARKDOWN: {"schema": {"type": "string"}}}}

    @model_card.get(
        CARD_ROUTE,
        operation_id="showModelCard",
        responses={200: card_as_text, **failures("NO_MODEL_CARD", *SERVICE_CODES)},
    )
    def show_model_card() -> Response:
        """Read the card of the model that answers now.

        The text that came with the model's checkpoint, in Markdown: what it is for, what it was trained on, where it
        fails. The `model_card` of results and of /health names its SHA-256.
        """
        card = scorer.info(Deadline(timeout_s)).model_card
        if card is None or not card.text:
            where = f" It stands at {card.url}" if card and card.url else ""
            raise ApiError("NO_MODEL_CARD", f"The model has no card that is served here.{where}")
        response = Response(card.text, mimetype=MARKDOWN)  # Flask says charset=utf-8 of every text/*
        response.set_etag(card.sha256)
        return response

    return model_card
