"""Why an exported classifier cannot be run here."""


class ClassifierLoadError(Exception):
    """The classifier's folder is damaged, or needs what is not installed."""


class UnsupportedPrecisionError(ClassifierLoadError):
    """This processor does not compute in the numeric format of the export."""
