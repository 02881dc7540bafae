"""The evidence report as an answer of POST /detect."""

import re

from flask import Response

from deepfake_client import DetectionOutput
from deepfake_client.analysis.closer_look import Look
from deepfake_client.evidence.builder import build_evidence
from deepfake_client.evidence.document import Case
from deepfake_client.evidence.html import evidence_html, evidence_policy

LOOKS_OF_REPORT: frozenset[Look] = frozenset({"stability", "further_frames"})
"""What every report holds, here and on the command line."""

RELEASE_ID_HEADER = "X-Release-ID"


def report_response(output: DetectionOutput, file_name: str, case: Case) -> Response:
    """The report, to be saved as a file.

    Args:
        output: With its frames kept.
        file_name: What the caller calls the file, a bare name.
        case: What the report belongs to.
    """
    evidence = build_evidence(output, file_name, case=case)
    response = Response(evidence_html(evidence), mimetype="text/html")
    response.headers["Content-Security-Policy"] = f"{evidence_policy(evidence)}; frame-ancestors 'none'"
    response.headers["Cache-Control"] = "no-store"
    response.headers[RELEASE_ID_HEADER] = output.model.release_id
    plain_name = re.sub(r"[^A-Za-z0-9._-]+", "_", file_name).lstrip(".")[:100]
    response.headers.set("Content-Disposition", "attachment", filename=f"{plain_name}.report.html")
    return response
