"""What a release of several models has more: the model `fusion`, and `classifier` as an ensemble over it.

The outer ensemble, and a client that asks for pixels and scores apart, need not know how many classifiers there are.
"""

import shutil
from pathlib import Path

from export.release import read_config
from export.repository import TEMPLATES, start_ensemble, start_entry, write_labels
from runtime import OUTPUTS, FusionSpec
from runtime.classifier import MEMBERS_OUTPUT, pixels_name

FUSED_LABELS = ("Fake", "Real")
"""Of the fused PROBABILITIES."""

_OF_MEMBERS = ("FAKE_PROBABILITY", "EXPORT_ID")


def write_fusion(folder: Path, spec: FusionSpec) -> None:
    """Writes the entry `fusion`: its glue and formula."""
    config = read_config(TEMPLATES / "fusion" / "config.pbtxt")
    types = {tensor.name: tensor.data_type for tensor in config.output}
    for tensor in config.output:
        if tensor.name == MEMBERS_OUTPUT:
            tensor.dims[:] = [len(spec.weights)]
    for number in range(1, len(spec.weights) + 1):
        for name in _OF_MEMBERS:
            config.input.add(name=f"{name}_{number}", data_type=types[name], dims=[1])
    version = start_entry(folder, config)
    shutil.copyfile(TEMPLATES / "fusion" / "1" / "model.py", version / "model.py")
    spec.save(version)
    write_labels(folder, FUSED_LABELS)


def write_fused_classifier(folder: Path, spec: FusionSpec) -> None:
    """Writes the entry `classifier` of a repository that has `classifier_1`, ... and `fusion` already."""
    repository = folder.parent
    fusion = read_config(repository / "fusion" / "config.pbtxt")
    config = type(fusion)(platform="ensemble", max_batch_size=fusion.max_batch_size)
    config.output.extend(fusion.output)
    steps = config.ensemble_scheduling.step
    for number, view in enumerate(spec.views, 1):
        member = read_config(repository / f"classifier_{number}" / "config.pbtxt")
        inputs = {"PIXELS": pixels_name(view), "STATUS": "STATUS"}
        for tensor in member.input:
            if inputs[tensor.name] not in [given.name for given in config.input]:
                config.input.add(name=inputs[tensor.name], data_type=tensor.data_type, dims=tensor.dims)
        steps.add(
            model_name=member.name,
            model_version=-1,
            input_map=inputs,
            output_map={name: f"{name}_{number}" for name in _OF_MEMBERS},
        )
    names = [tensor.name for tensor in fusion.input]
    outputs = [*OUTPUTS, MEMBERS_OUTPUT]
    steps.add(
        model_name=fusion.name,
        model_version=-1,
        input_map=dict(zip(names, names, strict=True)),
        output_map=dict(zip(outputs, outputs, strict=True)),
    )
    start_ensemble(folder, config, FUSED_LABELS)
