"""Whole jobs, from a folder of pictures to files in a run folder: what a command (or a notebook) calls.

They join layers that must not know each other, such as training and evaluation.
"""
