"""Finding faces in photos, and cutting them out as a network wants them."""
