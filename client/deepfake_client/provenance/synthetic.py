"""What says that a model made a picture, or a part of it."""

import re

SYNTHETIC_SOURCE_TYPES = frozenset({"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"})
"""Of IPTC's digital source types."""

_NAMES = re.compile(
    r"\b(stable[ -]?diffusion|midjourney|dall[^\w]?e|comfyui|invokeai|novelai|fooocus|adobe firefly|"
    r"made with google ai|ideogram ai|leonardo\.ai|gpt-image)\b",
    re.IGNORECASE,
)
_KEYS = frozenset({"sd-metadata", "invokeai_metadata", "invokeai_graph", "dream", "fooocus_scheme", "generation_data"})
_STEPS = re.compile(r"\bSteps: \d")  # with the next one: AUTOMATIC1111 and its descendants
_SETTINGS = re.compile(r"\b(Sampler|CFG scale|Seed): ")
_GRAPH = re.compile(r'"(class_type|last_node_id)"\s{0,9}:')  # of ComfyUI
_NAMED_IN = frozenset({"Software", "software", "CreatorTool", "Credit", "AISystemUsed", "encoder", "Source"})


def source_type_name(uri: str) -> str:
    """The name of a digital source type: the last part of its URI."""
    return uri.strip().rstrip("/").rpartition("/")[2]


def is_of_generator(name: str, text: str) -> bool:
    """Whether a text of this name is a generator's settings, or its name where a program leaves its own."""
    if name.lower() in _KEYS or _GRAPH.search(text):
        return True
    if _STEPS.search(text) and _SETTINGS.search(text):
        return True
    return name in _NAMED_IN and _NAMES.search(text) is not None
