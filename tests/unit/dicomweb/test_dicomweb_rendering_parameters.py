"""What the query parameters of rendered resources mean, and what is refused (PS3.18 8.3.5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from pacs_cloud.dicom.render.grey_shades import VoiFunction, Window
from pacs_cloud.dicom.render.viewport import Viewport
from pacs_cloud.dicomweb.rendering_parameters import rendering_parameters, thumbnail_viewport
from pacs_cloud.errors import InvalidRequest


def test_all_are_optional() -> None:
    parameters = rendering_parameters(QueryParams(""))
    assert parameters.quality == 90
    assert parameters.window is parameters.viewport is None
    assert not parameters.annotation
    assert thumbnail_viewport(QueryParams("")) is None


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("40,400,linear", Window(40, 400, VoiFunction.LINEAR)),
        ("-600.5,1500,linear-exact", Window(-600.5, 1500, VoiFunction.LINEAR_EXACT)),
        ("+.5,1e-2,sigmoid", Window(0.5, 0.01, VoiFunction.SIGMOID)),
    ],
)
def test_windows(text: str, window: Window) -> None:
    assert rendering_parameters(QueryParams({"window": text})).window == window


@pytest.mark.parametrize(
    ("text", "viewport"),
    [
        ("512,256", Viewport(512, 256)),
        ("512,512,,,512,512", Viewport(512, 512, 0, 0, 512, 512)),
        ("10,20,1.5,2.5", Viewport(10, 20, 1.5, 2.5)),
        ("10,20,-3,-4,-5,6", Viewport(10, 20, 3, 4, 5, 6, flips_horizontally=True)),
        ("10,20,,,5,-6", Viewport(10, 20, 0, 0, 5, 6, flips_vertically=True)),
        ("10,20,1,,3", Viewport(10, 20, 1, 0, 3)),
    ],
)
def test_viewports(text: str, viewport: Viewport) -> None:
    assert rendering_parameters(QueryParams({"viewport": text})).viewport == viewport


@pytest.mark.parametrize(
    "query",
    [
        "window=40,400",
        "window=40,400,LINEAR",
        "window=40,400,cubic",
        "window=40,0.5,linear",
        "window=40,0,sigmoid",
        "window=40,-1,linear-exact",
        "window=a,400,linear",
        "window=nan,400,linear",
        "window=1e999,400,linear",
        "window=,,",
        "window=",
        "window=40,400,linear,1",
        "window=40,400,linear&window=50,400,linear",
        "viewport=512",
        "viewport=0,512",
        "viewport=-512,512",
        "viewport=512.5,512",
        "viewport=100000,100000",
        "viewport=8193,1",
        "viewport=512,512,0,0,0,10",
        "viewport=512,512,a",
        "viewport=512,512,1,1,1,1,1",
        "viewport=",
        "quality=0",
        "quality=101",
        "quality=-1",
        "quality=9.5",
        "quality=high",
        "quality=",
        "annotation=",
        "annotation=patient,",
        "annotation=<b>",
        "iccprofile=cmyk",
        "iccprofile=",
    ],
)
def test_what_the_standard_does_not_allow_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        rendering_parameters(QueryParams(query))


@pytest.mark.parametrize("text", ["1,1,1", "512,512,0,0", "512", "0,1", "9000,1", "a,b", ""])
def test_a_thumbnails_viewport_is_a_width_and_a_height(text: str) -> None:
    with pytest.raises(InvalidRequest):
        thumbnail_viewport(QueryParams({"viewport": text}))


def test_unknown_annotations_are_told() -> None:
    parameters = rendering_parameters(QueryParams("annotation=patient,weather"))
    assert parameters.annotation == {"patient"}
    assert parameters.unsupported == ("weather",)


@given(st.sampled_from(["window", "viewport", "quality", "annotation", "iccprofile"]), st.text())
def test_no_text_makes_it_fail_otherwise(name: str, text: str) -> None:
    try:
        rendering_parameters(QueryParams([(name, text)]))
    except InvalidRequest:
        return
