"""Components of templates: attributes, slots, escaping, and the style guide that shows them all."""

from typing import Any

import pytest
from django.template import engines
from django.template.exceptions import TemplateSyntaxError
from django.test import Client, override_settings

from koppel.organisations.models import User
from koppel.web.build.built import SOURCE
from koppel.web.templatetags.components import initials

COMPONENTS = SOURCE / "web" / "templates" / "web" / "components"


def rendered(source: str, **values: Any) -> str:
    return engines["django"].from_string(source).render(values)


def test_content_and_slots_have_their_places() -> None:
    html = rendered(
        '{% component "card" title="Team" %}{% slot "actions" %}<a>Edit</a>{% endslot %}'
        "<p>{{ who }}</p>{% endcomponent %}",
        who="Ada",
    )
    assert html.index("Team") < html.index("<a>Edit</a>") < html.index("<p>Ada</p>")
    assert html.count("Edit") == 1


def test_values_are_escaped_once() -> None:
    html = rendered('{% insert "pill" label=name data-name=name %}', name='"A" & <b>')
    assert html.count("&quot;A&quot; &amp; &lt;b&gt;") == 2


@pytest.mark.parametrize(
    ("value", "written"), [(True, " data-x>"), (False, '"status status-ok">'), ("1", ' data-x="1">')]
)
def test_an_attribute_with_a_hyphen_goes_to_the_element(value: Any, written: str) -> None:
    assert written in rendered('{% insert "pill" label="Active" data-x=value %}', value=value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('{% insert "pill" label="Active" colour="red" %}', "no attribute colour"),
        ('{% insert "pill" %}', "needs label"),
        ('{% insert "pill" label %}', "name=value"),
    ],
)
def test_what_a_component_does_not_declare_is_refused(source: str, reason: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=reason):
        rendered(source)


def test_a_component_sees_nothing_else_of_the_page() -> None:
    assert "hidden-word" not in rendered('{% insert "card" %}', title="hidden-word")


@pytest.fixture
def guide(actor: Any) -> str:
    person = actor("administrator")
    client = Client()
    client.force_login(User.objects.get(pk=person.user_id))
    with override_settings(STYLEGUIDE=True):
        return client.get("/styleguide/").content.decode()


def test_the_style_guide_is_for_demos(actor: Any) -> None:
    client = Client()
    client.force_login(User.objects.get(pk=actor("administrator").user_id))
    assert client.get("/styleguide/").status_code == 404


def test_the_style_guide_shows_every_component(guide: str) -> None:
    source = (COMPONENTS.parent / "styleguide.html").read_text() + (
        COMPONENTS.parent / "parts/sidebar.html"
    ).read_text()
    assert [path.stem for path in COMPONENTS.glob("*.html") if f'"{path.stem}"' not in source] == []
    assert "Style guide" in guide


def test_initials_leave_out_the_legal_form() -> None:
    names = ("Bakkerij Vermeulen B.V.", "Furuli AS", "Ada Beheer", "B.V.")
    assert [initials(name) for name in names] == ["BV", "F", "AB", "B"]
