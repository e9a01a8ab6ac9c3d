"""Figures of studies: what is drawn, and the numbers behind it."""
