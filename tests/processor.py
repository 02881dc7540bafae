"""What this machine's processor can do, which decides what an export can be tried with here."""

from runtime.openvino_classifier import computes_in

LOW_PRECISIONS = ("bf16", "int8") if computes_in("bf16") else ("int8",)
"""What the Python backend serves here beside fp32."""

BF16_OR_FP32 = "bf16" if computes_in("bf16") else "fp32"
"""What `auto` tries beside int8."""
