"""Made-up profile names and usernames."""

# ruff: noqa: SIM905 - lists of words read better as text

import numpy as np

FIRST = (
    "Maria José Ana João Antônio Francisco Carlos Paulo Pedro Lucas Luiz Marcos Luis Gabriel "
    "Rafael Daniel Marcelo Bruno Eduardo Felipe Juliana Fernanda Patrícia Aline Sandra Camila "
    "Amanda Bruna Jéssica Letícia Guadalupe Juan Miguel Alejandro Ricardo Fernando Jorge Sofía "
    "Valentina Isabella Camilo Ximena Martina Catalina Benjamín Mateo Santiago Diego Emily "
    "James Mary John Linda Robert Susan Michael Karen David Nancy William Betty Richard Helen "
    "Joseph Sarah Thomas Laura Anna Lukas Finn Jonas Paul Emma Mia Hannah Leon Marie Jürgen "
    "Stefan Aarav Vivaan Aditya Vihaan Arjun Sai Ananya Diya Priya Rahul Amit Neha Pooja Ravi "
    "Sunita Deepak Anita Vijay Lakshmi Kavya Rohan Meera"
).split()
LAST = (
    " Silva Santos Souza Oliveira Pereira Lima Costa Ferreira Rodrigues Almeida Nascimento "
    "Alves Carvalho Araújo Ribeiro García Hernández Martínez López González Pérez Sánchez "
    "Ramírez Torres Flores Gómez Díaz Fernández Smith Johnson Williams Brown Jones Davis "
    "Müller Schmidt Schneider Fischer Weber Meyer Sharma Kumar Singh Patel Gupta Reddy Nair "
    "O'Neil Da\xa0Luz"
).split(" ")
# What the rules call no name: nothing in it is a letter or a digit.
UNUSABLE = ("", " ", ".", "✨", "🌻🌻", "-")

_PLAIN = str.maketrans("áãâàéêíóôõúüçñ", "aaaaeeiooouucn")


def vocabulary(size: int) -> list[str]:
    """`size` distinct names, the commonest first: first names alone come before full ones."""
    found = [f"{first} {last}".strip() for last in LAST for first in FIRST]
    extra = [f"{name} {i}" for i in range(2, 2 + size // len(found)) for name in found]
    return (found + extra)[:size]


def other_last(name: np.ndarray, drops: np.ndarray, pick: np.ndarray, size: int) -> np.ndarray:
    """Names with the same first name: a last name is added, or else dropped or changed.

    `name` are indexes into a vocabulary of `size`, `drops` and `pick` uniform in [0, 1).
    """
    last, first = np.divmod(name, len(FIRST))
    lasts = size // len(FIRST) - 1  # names with every first name, without the empty one
    step = np.where(last > 0, 1 + (pick * (lasts - 1)).astype(np.int64), (pick * lasts).astype(int))
    added = (last + step - np.minimum(last, 1)) % lasts + 1
    return np.where((last > 0) & (drops < 0.5), 0, added) * len(FIRST) + first


def username(stem: int, number: int) -> str:
    """A valid handle, unique by `number`: letters, a dot, and a number in base 36."""
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
        if not number:
            return f"{FIRST[stem].lower().translate(_PLAIN)}.{digits}"
