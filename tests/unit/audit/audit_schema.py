"""The schema of DICOM audit messages (PS3.15 A.5.1.1), in RELAX NG's XML syntax."""

from lxml import etree


def _attribute(name: str, inner: str = "<data type='token'/>", *, optional: bool = False) -> str:
    made = f"<attribute name='{name}'>{inner}</attribute>"
    return f"<optional>{made}</optional>" if optional else made


def _choice(*values: str) -> str:
    return "<choice>" + "".join(f"<value>{value}</value>" for value in values) + "</choice>"


def _numbers(last: int) -> str:
    return _choice(*(str(number) for number in range(1, last + 1)))


def _element(name: str, inner: str, occurs: str = "") -> str:
    made = f"<element name='{name}'>{inner}</element>"
    return f"<{occurs}>{made}</{occurs}>" if occurs else made


CODED = (
    _attribute("csd-code")
    + _attribute("codeSystemName")
    + _attribute("displayName", optional=True)
    + _attribute("originalText")
)
TEXT = "<text/>"
BOOLEAN = "<data type='boolean'/>"
BASE64 = "<data type='base64Binary'/>"

EVENT = (
    _element("EventID", CODED)
    + _element("EventTypeCode", CODED, "zeroOrMore")
    + _attribute("EventActionCode", _choice(*"CRUDE"), optional=True)
    + _attribute("EventDateTime", "<data type='dateTime'/>")
    + _attribute("EventOutcomeIndicator", _choice("0", "4", "8", "12"))
    + _element("EventOutcomeDescription", TEXT, "optional")
)
SOURCE = (
    _attribute("AuditEnterpriseSiteID", optional=True)
    + _attribute("AuditSourceID")
    + _element(
        "AuditSourceTypeCode",
        _attribute("csd-code")
        + "<optional>"
        + _attribute("codeSystemName")
        + _attribute("displayName", optional=True)
        + _attribute("originalText")
        + "</optional>",
        "zeroOrMore",
    )
)
PARTICIPANT = (
    _element("RoleIDCode", CODED, "zeroOrMore")
    + _element("MediaIdentifier", _element("MediaType", CODED), "optional")
    + _attribute("UserID", TEXT)
    + _attribute("AlternativeUserID", TEXT, optional=True)
    + _attribute("UserName", TEXT, optional=True)
    + _attribute("UserIsRequestor", BOOLEAN)
    + _attribute("NetworkAccessPointID", optional=True)
    + _attribute("NetworkAccessPointTypeCode", _numbers(5), optional=True)
)
DESCRIPTION = (
    _element("MPPS", _attribute("UID"), "zeroOrMore")
    + _element("Accession", _attribute("Number"), "zeroOrMore")
    + _element(
        "SOPClass",
        _element("Instance", _attribute("UID"), "zeroOrMore")
        + _attribute("UID", optional=True)
        + _attribute("NumberOfInstances", "<data type='integer'/>"),
        "zeroOrMore",
    )
    + _element(
        "ParticipantObjectContainsStudy",
        _element("StudyIDs", _attribute("UID"), "zeroOrMore"),
        "optional",
    )
    + _element("Encrypted", BOOLEAN, "optional")
    + _element("Anonymized", BOOLEAN, "optional")
)
OBJECT = (
    _element("ParticipantObjectIDTypeCode", CODED)
    + "<choice>"
    + _element("ParticipantObjectName", "<data type='token'/>")
    + _element("ParticipantObjectQuery", BASE64)
    + "</choice>"
    + _element(
        "ParticipantObjectDetail",
        _attribute("type") + _attribute("value", BASE64),
        "zeroOrMore",
    )
    + _element("ParticipantObjectDescription", DESCRIPTION, "zeroOrMore")
    + _attribute("ParticipantObjectID")
    + _attribute("ParticipantObjectTypeCode", _numbers(4), optional=True)
    + _attribute("ParticipantObjectTypeCodeRole", _numbers(26), optional=True)
    + _attribute("ParticipantObjectDataLifeCycle", _numbers(15), optional=True)
    + _attribute("ParticipantObjectSensitivity", optional=True)
)
MESSAGE = _element(
    "AuditMessage",
    _element("EventIdentification", EVENT)
    + _element("ActiveParticipant", PARTICIPANT, "oneOrMore")
    + _element("AuditSourceIdentification", SOURCE)
    + _element("ParticipantObjectIdentification", OBJECT, "zeroOrMore"),
)
SCHEMA = etree.RelaxNG(
    etree.fromstring(
        "<grammar xmlns='http://relaxng.org/ns/structure/1.0'"
        " datatypeLibrary='http://www.w3.org/2001/XMLSchema-datatypes'>"
        f"<start>{MESSAGE}</start></grammar>"
    )
)


def read(message: bytes) -> etree._Element:
    """Return a message, which the schema allows."""
    root = etree.fromstring(message, etree.XMLParser(resolve_entities=False))
    SCHEMA.assertValid(root)
    return root
