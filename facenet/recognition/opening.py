"""Opening or making a gallery together with the model its embeddings come from."""

from __future__ import annotations

from facenet.errors import UsageError
from facenet.evaluation.embedder import Embedder, ModelSource, open_embedder, reopen_embedder, require_fingerprint
from facenet.gallery.backend import gallery_exists
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Fusion, Header, IndexKind


def open_gallery(
    location: str,
    embedder: Embedder | None,
    *,
    create: bool,
    fusion: Fusion | None,
    index: IndexKind | None,
    device: str,
    precision: str,
    offline: bool,
) -> tuple[Gallery, Embedder]:
    """What :meth:`facenet.recognition.recognizer.Recognizer.open` opens; arguments and errors as there."""
    if create and not gallery_exists(location):
        if embedder is None:
            embedder = open_embedder(device=device, precision=precision, offline=offline)
        return Gallery.create(location, header_for(embedder, fusion=fusion, index=index)), embedder
    gallery = Gallery.open(location)
    try:
        header = gallery.header
        _require_options(header, fusion, index)
        if embedder is None:
            source = ModelSource.from_dict(header.model)
            embedder = reopen_embedder(source, header.fingerprint, device=device, precision=precision, offline=offline)
        require_fingerprint(embedder.fingerprint, header.fingerprint)
    except BaseException:
        gallery.close()
        raise
    return gallery, embedder


def header_for(embedder: Embedder, *, fusion: Fusion | None = None, index: IndexKind | None = None) -> Header:
    """The header of a new gallery for embeddings of this model."""
    return Header(
        fingerprint=embedder.fingerprint,
        preprocessing=embedder.preprocessing,
        embedding_size=embedder.embedding_size,
        model=embedder.source.to_dict(),
        fusion=Header.fusion if fusion is None else fusion,
        index=Header.index if index is None else index,
    )


def _require_options(header: Header, fusion: Fusion | None, index: IndexKind | None) -> None:
    for what, wanted, present in (("fusion", fusion, header.fusion), ("index", index, header.index)):
        if wanted is not None and wanted != present:
            raise UsageError(f"this gallery's {what} is {present.value}, not {wanted.value}: leave it out")
