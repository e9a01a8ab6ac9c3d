"""From a photo to a decision: who is it, is it the same person, may it be enrolled."""
