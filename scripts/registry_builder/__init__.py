"""Builds `providers.json` from the catalogues and the overlay under `registry/`.

`sources` reads the catalogues and `overlay` what people write. `offers` decides for one
model whether it is listed and describes it, `registry` assembles the document, `checks`
refuses a faulty one, `layout` writes it, and `changes` compares two.
"""
