"""Texts from anywhere, such as an exception's, as every database stores them."""


def storable(text: str) -> str:
    r"""Give a text with what no database or no encoding takes written as an escape.

    That is the character NUL, and the halves of surrogate pairs, by which Python stands for bytes
    that are no text.
    """
    return text.encode(errors="backslashreplace").decode().replace("\x00", r"\x00")
