"""What is wrong with a version itself, so that another attempt would end as this one did."""


class ArtifactFaultError(RuntimeError):
    """The artifact is at fault, not the machine it is loaded on."""
