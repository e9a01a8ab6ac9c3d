"""facenet: from folders of face pictures to a recogniser one can trust.

Importing this package is cheap: nothing heavy (torch, faiss, ...) is imported before it is used.
"""

from facenet._version import __version__

__all__ = ["__version__"]
