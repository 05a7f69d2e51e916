"""TextGrids as praat writes them, in each of its text forms."""

FORMS = ("long", "short", "chronological")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1")
INTERVALS, POINTS = "IntervalTier", "TextTier"


def praat_text(tiers, form, duration):
    """A TextGrid of tiers ``(kind, name, entries)``; entries are times, and a label."""
    write = {"long": _long, "short": _short, "chronological": _chronological}[form]
    return write(tiers, duration)


def praat_bytes(text, encoding):
    """A text as praat saves it: UTF-16 has its mark."""
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    return (mark + text).encode(encoding)


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def _long(tiers, duration):
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 "]
    lines += [f"xmax = {duration} ", "tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (kind, name, entries) in enumerate(tiers, 1):
        what, *keys = {
            INTERVALS: ("intervals", "xmin", "xmax", "text"),
            POINTS: ("points", "number", "mark"),
        }[kind]
        lines += [f"    item [{number}]:", f"        class = {quoted(kind)} "]
        lines += [f"        name = {quoted(name)} ", "        xmin = 0 "]
        lines += [f"        xmax = {duration} ", f"        {what}: size = {len(entries)} "]
        for k, (*times, label) in enumerate(entries, 1):
            lines.append(f"        {what} [{k}]:")
            values = [*map(repr, times), quoted(label)]
            pairs = zip(keys, values, strict=True)
            lines += [f"            {key} = {value} " for key, value in pairs]
    return "\n".join(lines) + "\n"


def _short(tiers, duration):
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", repr(duration)]
    lines += ["<exists>", str(len(tiers))]
    for kind, name, entries in tiers:
        lines += [quoted(kind), quoted(name), "0", repr(duration), str(len(entries))]
        for *times, label in entries:
            lines += [*map(repr, times), quoted(label)]
    return "\n".join(lines) + "\n"


def _chronological(tiers, duration):
    lines = [quoted("Praat chronological TextGrid text file")]
    lines += [f"0 {duration}   ! Time domain.", f"{len(tiers)}   ! Number of tiers."]
    lines += [f"{quoted(kind)} {quoted(name)} 0 {duration}" for kind, name, _ in tiers]
    rows = [
        (times[0], number, k, times, label)
        for number, (_, _, entries) in enumerate(tiers, 1)
        for k, (*times, label) in enumerate(entries)
    ]
    for _, number, _, times, label in sorted(rows):
        lines += ["", f"! {number}:", " ".join(map(repr, (number, *times))), quoted(label)]
    return "\n".join(lines)
