"""Programs that try to break the service, and say how it fared: hostile media, overload, faults, long runs."""
