"""Property tests run on busy little machines: an example may take its time."""

from hypothesis import settings

settings.register_profile("mesh", deadline=None)
settings.load_profile("mesh")
