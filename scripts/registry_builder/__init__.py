"""Makes `providers.json` from the catalogues and the overlay under `registry/`.

`sources` reads catalogues, `overlay` what people wrote, `offers` judges and
describes one model, `assemble` makes the document, `checks` refuses a wrong one,
`layout` writes it, `changes` compares two.
"""
