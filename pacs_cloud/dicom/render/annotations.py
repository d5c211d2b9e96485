"""The lines that the `annotation` parameter burns into a picture (PS3.18 8.3.5.1.1)."""

from pacs_cloud.dicom.element_values import number, numbers, text, values
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.person_name import PersonName


def patient_lines(header: Elements) -> tuple[str, ...]:
    """Return who it is: name, identifier, birth date and sex."""
    names = [PersonName.from_json(value) for value in values(header, "00100010")[:1]]
    name = " ".join(filter(None, names[0].groups[:2])) if names else ""
    born, sex = _date(text(header, "00100030")), text(header, "00100040")
    return _filled(name.replace("^", " "), text(header, "00100020"), f"{born} {sex}".strip())


def technique_lines(header: Elements, frame: int) -> tuple[str, ...]:
    """Return what it is: procedure, series, image and frame, place, and exposure.

    Args:
        header: of the instance.
        frame: 1 for the first.
    """
    place = numbers(header, "00200032")
    frames = number(header, "00280008") or 1
    number_of = text(header, "00200013")
    return _filled(
        " ".join(_filled(_date(text(header, "00080020")), _time(text(header, "00080030")))),
        text(header, "00081030"),
        " ".join(
            _filled(text(header, "00080060"), text(header, "00200011"), text(header, "0008103E"))
        ),
        " ".join(
            _filled(
                f"Image {number_of}" if number_of else "",
                f"Frame {frame}/{frames:.0f}" if frames > 1 else "",
            )
        ),
        f"Pos {place[0]:.1f} {place[1]:.1f} {place[2]:.1f}" if len(place) == 3 else "",
        _measured(header, "00180050", "Thickness", "mm"),
        _measured(header, "00180060", "", "kV"),
        _measured(header, "00180080", "TR", "ms"),
        _measured(header, "00180081", "TE", "ms"),
    )


def _filled(*lines: str) -> tuple[str, ...]:
    return tuple(line for line in lines if line)


def _measured(header: Elements, tag: str, name: str, unit: str) -> str:
    value = number(header, tag)
    return "" if value is None else f"{name} {value:g} {unit}".strip()


def _date(value: str) -> str:
    is_date = len(value) == 8 and value.isdigit()
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if is_date else value


def _time(value: str) -> str:
    return f"{value[:2]}:{value[2:4]}" if value[:4].isdigit() and len(value) >= 4 else ""
