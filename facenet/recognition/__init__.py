"""From a photo to a decision: who is it, is it the same person, may it be enrolled."""

from __future__ import annotations

from facenet.recognition.outcomes import Outcome, Status
from facenet.recognition.recognizer import Recognizer

__all__ = ["Outcome", "Recognizer", "Status"]
