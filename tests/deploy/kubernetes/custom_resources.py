"""What we use of the Prometheus Operator's resources, as JSON schemas: Kubernetes' own do not hold them.

Nothing else is allowed, so that a slip of the pen is found. What stands here was compared once with the operator's own
schemas (npm's @kubernetes-models/prometheus-operator 6.0.0).
"""

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_DURATION = {"type": "string", "pattern": r"^([0-9]+[smh])+$"}
_LABELS = {"type": "object", "additionalProperties": _TEXT}


def _record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _resource(api_version: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _record({"name": _TEXT, "namespace": _TEXT, "labels": _LABELS}, annotations=_LABELS)
    return _record({"apiVersion": {"const": api_version}, "kind": _TEXT, "metadata": metadata, "spec": spec})


_EXPRESSION = _record({"key": _TEXT, "operator": {"const": "In"}, "values": {"type": "array", "items": _TEXT}})
_RELABELING = _record({"action": {"const": "replace"}, "targetLabel": _TEXT, "replacement": _TEXT})
_ENDPOINT = _record(
    {"port": _TEXT, "interval": _DURATION, "scrapeTimeout": _DURATION},
    relabelings={"type": "array", "items": _RELABELING},
)
_RULE = {
    "oneOf": [
        _record({"record": _TEXT, "expr": _TEXT}),
        _record({"alert": _TEXT, "expr": _TEXT, "labels": _LABELS, "annotations": _LABELS}, **{"for": _DURATION}),
    ]
}
_GROUP = _record({"name": _TEXT, "rules": {"type": "array", "items": _RULE, "minItems": 1}})

SCHEMAS: dict[str, dict[str, Any]] = {
    "ServiceMonitor": _resource(
        "monitoring.coreos.com/v1",
        _record(
            {
                "selector": _record({"matchLabels": _LABELS}, matchExpressions={"type": "array", "items": _EXPRESSION}),
                "endpoints": {"type": "array", "items": _ENDPOINT, "minItems": 1},
            },
            podTargetLabels={"type": "array", "items": _TEXT},
        ),
    ),
    "PrometheusRule": _resource("monitoring.coreos.com/v1", _record({"groups": {"type": "array", "items": _GROUP}})),
}
"""By kind."""
