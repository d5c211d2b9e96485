"""The patients: names of many scripts, in the character sets that devices there send them in."""

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "DEMO-"
"""Begins the patient ID of everybody who is made up."""
UTF8: Final = ("ISO_IR 192",)


@dataclass(frozen=True, slots=True)
class Patient:
    """Somebody who never lived.

    Attributes:
        number: 1 for the first.
        name: in up to three writings (PS3.5 6.2.1).
        sex: F, M or O.
        born: YYYYMMDD.
        charset: in which their names are written (0008,0005).
    """

    number: int
    name: str
    sex: str
    born: str
    charset: tuple[str, ...]

    @property
    def patient_id(self) -> str:
        """How the hospital calls them."""
        return f"{PREFIX}{self.number:04}"


_LATIN: Final = ("ISO_IR 100",)
_NAMES: Final[tuple[tuple[str, str, str, tuple[str, ...]], ...]] = (
    ("Lindqvist^Maja", "F", "19580312", _LATIN),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "M", "19490701", ("", "ISO 2022 IR 87")),
    ("Okafor^Chidi", "M", "19720924", _LATIN),
    ("قباني^لينا", "F", "19850210", ("ISO_IR 127",)),
    ("Wang^XiaoDong=王^小东", "M", "19661130", ("GB18030",)),
    ("שרון^דבורה", "F", "19530505", ("ISO_IR 138",)),
    ("Соколова^Нина", "F", "19770818", UTF8),
    ("Kim^Minji=김^민지", "F", "19910403", UTF8),
    ("García Núñez^Lucía^María", "F", "20010617", _LATIN),
    ("Διονυσίου^Νίκος", "M", "19440129", ("ISO_IR 126",)),
    ("Schröder^Jürgen^^Dr.", "M", "19390908", _LATIN),
    ("Nguyễn^Thị Hoa", "F", "19880222", UTF8),
    ("Suzuki^Hanako=鈴木^花子=すずき^はなこ", "F", "19690514", ("", "ISO 2022 IR 87")),
    ("Иванов^Сергей^Петрович", "M", "19610303", ("ISO_IR 144",)),
    ("O'Brien^Siobhán", "F", "19941011", _LATIN),
    ("الأحمد^يوسف", "M", "19481225", UTF8),
    ("Chen^MeiLing=陳^美玲", "F", "19820731", UTF8),
    ("Kowalczyk^Zbigniew", "M", "19560119", ("ISO_IR 101",)),
    ("शर्मा^अनिता", "F", "19790606", UTF8),
    ("Haddad^Karim", "M", "20100428", _LATIN),
    ("כהן^אברהם", "M", "19360915", UTF8),
    ("สมบูรณ์^มานี", "F", "19750101", ("ISO_IR 166",)),
    ("Park^Jiho=박^지호", "M", "20050813", UTF8),
    ("Çelik^Ayşe", "F", "19681217", ("ISO_IR 148",)),
    ("Petrović^Milica", "F", "19930309", ("ISO_IR 101",)),
    ("Sato^Ken=佐藤^健=さとう^けん", "M", "19890527", UTF8),
    ("Αλεξίου^Ελένη", "F", "19710416", UTF8),
    ("Mbeki^Thandiwe", "F", "19521002", _LATIN),
    ("Li^Wei=李^伟", "M", "19970720", ("GB18030",)),
    ("Шевченко^Оксана", "F", "19830825", UTF8),
    ("da Silva^João^Pedro", "M", "19640211", _LATIN),
    ("حسن^فاطمة", "F", "19901109", UTF8),
    ("Virtanen^Aino", "F", "19470630", _LATIN),
    ("Tanaka^Yuki=田中^雪=たなか^ゆき", "F", "20140218", UTF8),
    ("Müller^Baby", "O", "20230601", _LATIN),
    ("გელაშვილი^ნინო", "F", "19730923", UTF8),
    ("Smith^John^Q^^III", "M", "19591104", _LATIN),
    ("לוי^נועה", "F", "19990707", UTF8),
    ("Rossi^Giulia", "F", "19810514", _LATIN),
    ("Tran^Van=陳^文", "M", "19420316", UTF8),
)


def patient(number: int) -> Patient:
    """Return the patient of a number, 1 and up; behind the last name the first comes again."""
    name, sex, born, charset = _NAMES[(number - 1) % len(_NAMES)]
    return Patient(number, name, sex, born, charset)
