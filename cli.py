"""Command line of facenet: ``python cli.py --help``."""

from facenet.cli import run

if __name__ == "__main__":
    run()
