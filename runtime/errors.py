"""Why an exported classifier cannot be run here."""


class ClassifierLoadError(Exception):
    """The classifier's folder is damaged, was made for another machine, or needs what is not here."""


class ClassifierRunError(Exception):
    """A GPU, or onnxruntime, failed while a classifier ran."""
