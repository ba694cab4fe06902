"""The organisation's logo and colour: what is taken from an upload, who sees it, and what can be read."""

import base64
import re
import struct
import zlib
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Logo, Organisation
from koppel.organisations.organisation_settings.colours import contrast, is_legible, stylesheet
from koppel.organisations.organisation_settings.images import NotAnImage, read_image
from koppel.organisations.roles import Actor
from tests.fixtures.people import signed_in

SETTINGS = "/organisation/settings/"
BRANDING = f"{SETTINGS}branding"
# 40 by 24 red pixels, as a canvas of Chromium writes them.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6j"
    "q62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk"
    "pKSkpKSkpKT/wAARCAAYACgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAX/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QA"
    "FgEBAQEAAAAAAAAAAAAAAAAAAAMF/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AngINYAAAAAAAAAB//9k="
)
WEBP_FRAME = base64.b64decode("8AIAnQEqKAAYAD8RhrtXLCkmI6VoAYAiCWcAAClDbfAA/ueL/73LRSK//hz7Y/eyTF1AAAAA")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int = 32, height: int = 32, *, extra: bytes = b"", rows: int | None = None) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = (b"\0" + b"\xb9\x1c\x1c" * width) * (height if rows is None else rows)
    data = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def webp(*chunks: tuple[bytes, bytes], flags: int = 0x0C) -> bytes:
    """A WebP of 40 by 24 pixels, with these chunks behind the picture."""
    size = struct.pack("<I", 39)[:3] + struct.pack("<I", 23)[:3]
    parts = [(b"VP8X", bytes([flags, 0, 0, 0]) + size), (b"VP8 ", WEBP_FRAME), *chunks]
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in parts
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_comment(jpeg: bytes, text: bytes) -> bytes:
    """The JPEG with an Exif part and a comment that hold the text."""
    exif = b"\xff\xe1" + struct.pack(">H", len(text) + 2) + text
    comment = b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text
    return jpeg[:2] + exif + comment + jpeg[2:]


SECRET = b"<script>52.09,5.12</script>"
UPLOADS = {
    "png": (png(extra=chunk(b"tEXt", SECRET)) + SECRET, "image/png", (32, 32)),
    "jpeg": (with_comment(JPEG, SECRET) + SECRET, "image/jpeg", (40, 24)),
    "webp": (webp((b"EXIF", SECRET)) + SECRET, "image/webp", (40, 24)),
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_only_what_draws_a_picture_is_kept(kind: str) -> None:
    data, media_type, size = UPLOADS[kind]
    image = read_image(data)
    assert (image.media_type, (image.width, image.height)) == (media_type, size)
    assert SECRET in data
    assert b"script" not in image.content
    assert read_image(image.content) == image, "what is kept is a picture again"


@pytest.mark.parametrize("kind", UPLOADS)
def test_no_part_of_a_picture_is_a_picture(kind: str) -> None:
    whole = read_image(UPLOADS[kind][0]).content
    for length in range(len(whole)):
        with pytest.raises(NotAnImage):
            read_image(whole[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        b"GIF89a" + b"\0" * 40,
        png(rows=3),
        png(extra=chunk(b"IHDR", b"\0" * 13)),
        png(extra=chunk(b"EVIL", b"")),
        png().replace(b"IDAT", b"IDAX"),
        webp(flags=0x02),
        b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        b"\xff\xd8\xff\xd9",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_complete_picture_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage):
        read_image(data)


def upload(data: bytes, name: str = "logo.png", content_type: str = "image/png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, content_type=content_type)


def logo_url(client: Client) -> str:
    """The address of the logo in the frame of a page; '' without one."""
    match = re.search(r'class="organisation-logo" src="([^"]+)"', client.get("/").content.decode())
    return match[1] if match else ""


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator", name="Ada Beheer")  # type: ignore[no-any-return]


def colleague(actor: Any, admin: Actor) -> Client:
    with organisation_scope(admin.organisation_id):
        return signed_in(actor("reader", organisation=Organisation.objects.get(), name="Rosa"))


def test_members_see_the_logo_and_nobody_else(admin: Actor, actor: Any) -> None:
    ada, rosa, stranger = signed_in(admin), colleague(actor, admin), signed_in(actor("administrator"))
    assert logo_url(rosa) == ""
    answer = ada.post(BRANDING, {"colour": "#0f766e", "logo": upload(png(), "x.svg", "image/svg+xml")})
    assert answer.headers["Location"] == SETTINGS
    url = logo_url(rosa)
    picture = rosa.get(url)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
    assert picture.content == png()
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert picture.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert picture.headers["Cache-Control"].startswith("private")
    assert stranger.get(url).status_code == 404
    assert Client().get(url).status_code == 302
    assert logo_url(stranger) == ""


def test_another_logo_replaces_the_first_and_has_an_address_of_its_own(admin: Actor) -> None:
    ada = signed_in(admin)
    ada.post(BRANDING, {"logo": upload(png())})
    first = logo_url(ada)
    ada.post(BRANDING, {"logo": upload(JPEG)})
    assert logo_url(ada) not in ("", first)
    assert ada.get(first).status_code == 404
    ada.post(f"{BRANDING}/remove-logo")
    assert logo_url(ada) == ""
    with organisation_scope(admin.organisation_id):
        assert not Logo.objects.exists()
        changes = AuditEntry.objects.filter(action="organisation.branding_changed")
        assert changes.count() == 3


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"<svg/>", "not a complete picture"),
        (png(8, 8), "8 by 8 pixels"),
        (png(2049, 16), "2049 by 16 pixels"),
        (b"x" * (512 * 1024 + 1), "larger than 512 kB"),
    ],
    ids=["svg", "small", "wide", "large"],
)
def test_a_logo_that_does_not_do_is_refused_at_its_field(admin: Actor, data: bytes, sentence: str) -> None:
    page = signed_in(admin).post(BRANDING, {"colour": "#b91c1c", "logo": upload(data)})
    text = page.content.decode()
    assert (page.status_code, sentence in text, 'id="logo-error"' in text) == (200, True, True)
    with organisation_scope(admin.organisation_id):
        assert (Organisation.objects.get().brand_colour, Logo.objects.exists()) == ("", False)


def test_the_colour_is_a_stylesheet_of_the_frame(admin: Actor, actor: Any) -> None:
    ada, rosa = signed_in(admin), colleague(actor, admin)
    assert "/organisation/colour/" not in rosa.get("/").content.decode()
    ada.post(BRANDING, {"colour": "#B91C1C"})
    assert 'href="/organisation/colour/b91c1c"' in rosa.get("/").content.decode()
    sheet = rosa.get("/organisation/colour/b91c1c")
    assert sheet.headers["Content-Type"] == "text/css"
    assert "--brand: #b91c1c;" in sheet.content.decode()
    ada.post(BRANDING, {"colour": "#b91c1c", "default_colour": "1"})
    assert "/organisation/colour/" not in rosa.get("/").content.decode()
    assert rosa.get("/organisation/colour/red").status_code == 404


@pytest.mark.parametrize(
    ("colour", "sentence"),
    [("#ffe000", "cannot be read on white"), ("#fff", "Enter a colour"), ("red;}", "Enter a colour")],
)
def test_a_colour_that_cannot_be_read_is_refused_with_one_that_can(
    admin: Actor, colour: str, sentence: str
) -> None:
    text = signed_in(admin).post(BRANDING, {"colour": colour}).content.decode()
    assert (sentence in text, 'id="colour-error"' in text) == (True, True)
    with organisation_scope(admin.organisation_id):
        assert Organisation.objects.get().brand_colour == ""
    if suggestion := re.search(r"white\. (#[0-9a-f]{6}),", text):
        assert is_legible(suggestion[1])


@pytest.mark.parametrize("colour", ["#000000", "#b91c1c", "#1d4ed8", "#6b21a8", "#166534"])
def test_texts_in_the_colour_can_be_read_in_light_and_dark(colour: str) -> None:
    values = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", stylesheet(colour)))
    assert contrast(values["brand"], values["on-brand"]) >= 4.5
    assert contrast(values["brand-dark"], values["on-brand-dark"]) >= 4.5
    assert contrast(values["brand-dark"], "#232120") >= 4.5


def test_only_administrators_choose_them(admin: Actor, actor: Any) -> None:
    rosa = colleague(actor, admin)
    for path in (BRANDING, f"{BRANDING}/remove-logo"):
        assert rosa.post(path, {"colour": "#b91c1c"}).status_code == 403
