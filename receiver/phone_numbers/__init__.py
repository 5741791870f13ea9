"""Phone numbers: `notation`, their text; `numbers`, national and international forms."""
