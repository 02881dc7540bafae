"""Prints components/monitoring/prometheus-rule.yaml: the rules of deploy/monitoring/alerts.yml, for the operator.

`python -m tests.deploy.kubernetes.prometheus_rule > deploy/kubernetes/components/monitoring/prometheus-rule.yaml`
"""

import yaml

from tests.service import ROOT

ALERTS = ROOT / "deploy" / "monitoring" / "alerts.yml"
_HEAD = """\
# Made by `python -m tests.deploy.kubernetes.prometheus_rule` from deploy/monitoring/alerts.yml; change that one.
"""


class _Readable(yaml.SafeDumper):
    """Writes text of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def prometheus_rule(alerts: str) -> str:
    """The PrometheusRule of a Prometheus rule file, as YAML."""
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "deepfake-serving", "labels": {"app.kubernetes.io/name": "deepfake-serving"}},
        "spec": {"groups": yaml.safe_load(alerts)["groups"]},
    }
    return _HEAD + str(yaml.dump(resource, Dumper=_Readable, sort_keys=False, width=120))


def main() -> None:
    """Prints it."""
    print(prometheus_rule(ALERTS.read_text("utf-8")), end="")


if __name__ == "__main__":
    main()
