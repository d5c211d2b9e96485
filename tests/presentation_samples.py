"""Presentation states over an image, for the tests of rendering and the gallery."""

from collections.abc import Sequence
from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, GrayscaleSoftcopyPresentationStateStorage


def make_state(
    image: Dataset,
    sop: str,
    *,
    sop_class: str = GrayscaleSoftcopyPresentationStateStorage,
    frames: Sequence[int] = (),
    window: tuple[float, float] | None = None,
    **attributes: object,
) -> bytes:
    """Return a state about `image` as a Part 10 file, in a series of its own.

    Args:
        image: the header of what it is about; its modality transformation is taken over.
        sop: SOP Instance UID of the state.
        sop_class: of the state.
        frames: of the image; none: all.
        window: center and width of its Softcopy VOI LUT.
        attributes: by keyword, over the defaults.
    """
    state = Dataset()
    state.SpecificCharacterSet = "ISO_IR 192"
    state.SOPClassUID = sop_class
    state.SOPInstanceUID = sop
    state.StudyInstanceUID = image.StudyInstanceUID
    state.SeriesInstanceUID = f"{sop}.9"
    for keyword in ("PatientName", "PatientID", "StudyDate", "StudyTime"):
        setattr(state, keyword, image.get(keyword, ""))
    state.Modality = "PR"
    state.InstanceNumber = 1
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if keyword in image:
            setattr(state, keyword, image[keyword].value)
    referenced = reference(image, frames)
    series = Dataset()
    series.SeriesInstanceUID = image.SeriesInstanceUID
    series.ReferencedImageSequence = [referenced]
    state.ReferencedSeriesSequence = [series]
    if window is not None:
        view = Dataset()
        view.WindowCenter, view.WindowWidth = window
        state.SoftcopyVOILUTSequence = [view]
    state.PresentationLUTShape = "IDENTITY"
    for keyword, value in attributes.items():
        setattr(state, keyword, value)
    state.file_meta = FileMetaDataset()
    state.file_meta.MediaStorageSOPClassUID = sop_class
    state.file_meta.MediaStorageSOPInstanceUID = sop
    state.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    state.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def reference(image: Dataset, frames: Sequence[int] = ()) -> Dataset:
    """Return an item of a Referenced Image Sequence."""
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    if frames:
        item.ReferencedFrameNumber = list(frames)
    return item


def area(
    first: tuple[int, int], last: tuple[int, int], mode: str = "SCALE TO FIT", **more: object
) -> Dataset:
    """Return an item of a Displayed Area Selection Sequence; corners count from 1."""
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner = list(first)
    item.DisplayedAreaBottomRightHandCorner = list(last)
    item.PresentationSizeMode = mode
    item.PresentationPixelAspectRatio = [1, 1]
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def layer(
    name: str = "L", order: int = 1, *, shade: int | None = None, lab: Sequence[int] = ()
) -> Dataset:
    """Return an item of a Graphic Layer Sequence."""
    item = Dataset()
    item.GraphicLayer = name
    item.GraphicLayerOrder = order
    if shade is not None:
        item.GraphicLayerRecommendedDisplayGrayscaleValue = shade
    if lab:
        item.GraphicLayerRecommendedDisplayCIELabValue = list(lab)
    return item


def annotation(
    graphics: Sequence[Dataset] = (), texts: Sequence[Dataset] = (), name: str = "L"
) -> Dataset:
    """Return an item of a Graphic Annotation Sequence."""
    item = Dataset()
    item.GraphicLayer = name
    if graphics:
        item.GraphicObjectSequence = list(graphics)
    if texts:
        item.TextObjectSequence = list(texts)
    return item


def graphic(
    kind: str, data: Sequence[float], *, units: str = "PIXEL", filled: bool = False
) -> Dataset:
    """Return a graphic object."""
    item = Dataset()
    item.GraphicAnnotationUnits = units
    item.GraphicDimensions = 2
    item.NumberOfGraphicPoints = len(data) // 2
    item.GraphicData = list(data)
    item.GraphicType = kind
    item.GraphicFilled = "Y" if filled else "N"
    return item


def label(text: str, anchor: tuple[float, float]) -> Dataset:
    """Return a text object at an anchor in pixels of the image."""
    item = Dataset()
    item.UnformattedTextValue = text
    item.AnchorPointAnnotationUnits = "PIXEL"
    item.AnchorPoint = list(anchor)
    item.AnchorPointVisibility = "N"
    return item


def boxed_label(text: str, first: tuple[float, float], last: tuple[float, float]) -> Dataset:
    """Return a text object in a box in shares of the displayed area."""
    item = Dataset()
    item.UnformattedTextValue = text
    item.BoundingBoxAnnotationUnits = "DISPLAY"
    item.BoundingBoxTopLeftHandCorner = list(first)
    item.BoundingBoxBottomRightHandCorner = list(last)
    item.BoundingBoxTextHorizontalJustification = "LEFT"
    return item
