"""Sample people: face-like portraits drawn from numbers, so that data can be shipped without showing anyone real.

:class:`Person` holds what stays the same about somebody, :class:`Picture` what changes from one picture to the next;
:func:`draw_face` draws one in the other, and :func:`with_expression` puts one of :data:`EXPRESSIONS` on the face.
Equal seeds give equal pixels.
"""

from __future__ import annotations

from facenet.data.synthetic.expression_set import write_expressions
from facenet.data.synthetic.expressions import EXPRESSIONS, with_expression
from facenet.data.synthetic.movements import Movements
from facenet.data.synthetic.people import draw_face, draw_people, write_people
from facenet.data.synthetic.person import Brows, Eyes, Head, Mouth, Nose, Person
from facenet.data.synthetic.picture import Picture
from facenet.data.synthetic.styles import Beard, Glasses, Hair

__all__ = [
    "EXPRESSIONS",
    "Beard",
    "Brows",
    "Eyes",
    "Glasses",
    "Hair",
    "Head",
    "Mouth",
    "Movements",
    "Nose",
    "Person",
    "Picture",
    "draw_face",
    "draw_people",
    "with_expression",
    "write_expressions",
    "write_people",
]
