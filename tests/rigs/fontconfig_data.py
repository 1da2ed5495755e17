"""Makes ocibuild/ecosystem/apt/configure/fontconfig/data/ from the sources of fontconfig and FreeType.

    python tests/rigs/fontconfig_data.py FONTCONFIG_SOURCE FREETYPE_SOURCE

The folders are unpacked source packages (``apt-get source fontconfig freetype``) of the newest release that the data
should cover; data/README.md names the ones that were used. What is taken are facts: which characters a language needs
(fc-lang/*.orth), in which order fontconfig numbers the languages (fc-lang/Makefile.am), which language a number in
a font's ``name`` table means (src/fcfreetype.c, whose constants FreeType's ttnameid.h defines), and which character a glyph's name stands
for (the Adobe Glyph List in FreeType's src/tools/glnames.py).
"""

import re
import sys
from pathlib import Path

DATA = Path(__file__).parents[2] / "ocibuild/ecosystem/apt/configure/fontconfig/data"


def characters_of(folder: Path, name: str) -> set[int]:
    """The characters of one orthography: hexadecimal numbers and ranges, ``-`` takes away, ``include`` adds a file."""
    characters: set[int] = set()
    for line in (folder / name).read_text().splitlines():
        if line.startswith("include "):
            characters |= characters_of(folder, line.removeprefix("include ").strip())
            continue
        text = line.split("#")[0].strip().split("\t")[0].strip()
        if not text:
            continue
        first, _, last = text.lstrip("-").replace("..", "-").partition("-")
        numbers = set(range(int(first, 16), int(last or first, 16) + 1))
        characters = characters - numbers if text.startswith("-") else characters | numbers
    return characters


def as_ranges(characters: set[int]) -> str:
    """Sorted ranges, each as the distance from the end of the one before and, where it is longer than 1, ``+rest``."""
    ranges: list[list[int]] = []
    for number in sorted(characters):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    end, words = 0, []
    for first, last in ranges:
        words.append(f"{first - end:x}" + (f"+{last - first:x}" if last > first else ""))
        end = last
    return " ".join(words)


def orthographies(fontconfig: Path) -> str:
    """One line a language, in fontconfig's own order: the language, a colon, its characters."""
    makefile = (fontconfig / "fc-lang/Makefile.am").read_text().partition("ORTH =")[2]
    listed = re.match(r"(?:[^\n]*\\\n)*[^\n]*", makefile)
    assert listed is not None
    lines = []
    for name in re.findall(r"(\w+)\.orth", listed.group()):
        language = name.replace("_", "-").lower()
        lines.append(f"{language}: {as_ranges(characters_of(fontconfig / 'fc-lang', f'{name}.orth'))}\n")
    return "".join(lines)


def name_languages(fontconfig: Path, freetype: Path) -> str:
    """One line a number: platform, language number (hexadecimal) and language."""
    header = re.sub(r"/\*.*?\*/", "", (freetype / "include/freetype/ttnameid.h").read_text(), flags=re.DOTALL)
    header = header.replace("\\\n", " ")
    defined = dict(re.findall(r"^#define\s+(TT_\w+)\s+(\w+)\s*$", header, re.MULTILINE))
    source = re.sub(r"#if 0.*?#endif", "", (fontconfig / "src/fcfreetype.c").read_text(), flags=re.DOTALL)
    found: dict[tuple[str, int], str] = {}
    for platform, constant, language in re.findall(
        r'\{\s*TT_PLATFORM_(\w+),\s*(TT_\w+_LANGID_\w+),\s*"(\w.*?)"', source
    ):
        value = constant
        while value in defined:
            value = defined[value]
        number = int(value.rstrip("U"), 0)
        found.setdefault(({"MACINTOSH": "1", "MICROSOFT": "3"}[platform], number), language)
    return "".join(f"{platform} {number:x} {language}\n" for (platform, number), language in sorted(found.items()))


def glyph_names(freetype: Path) -> str:
    """One line a name of the Adobe Glyph List that stands for one character: the name and the character."""
    source = (freetype / "src/tools/glnames.py").read_text()
    listed = source.partition('adobe_glyph_list = """\\\n')[2].partition('"""')[0]
    pairs = (line.split(";") for line in listed.splitlines() if line)
    return "".join(f"{name} {number.lower().lstrip('0')}\n" for name, number in pairs if " " not in number)


def main() -> None:
    fontconfig, freetype = Path(sys.argv[1]), Path(sys.argv[2])
    (DATA / "orthographies.txt").write_text(orthographies(fontconfig))
    (DATA / "glyph_names.txt").write_text(glyph_names(freetype))
    (DATA / "name_languages.txt").write_text(name_languages(fontconfig, freetype))


if __name__ == "__main__":
    main()
