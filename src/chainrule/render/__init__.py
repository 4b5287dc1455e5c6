"""Documents drawn: on the terminal, as a page, as pictures."""
