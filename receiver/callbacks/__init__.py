"""How a callback comes in: framed, found, admitted, read, answered."""
