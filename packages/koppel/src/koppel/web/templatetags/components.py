"""Components of pages: templates in `web/components/` with named attributes and slots.

    {% component "card" title=_("Issues") count=page.total %}
      {% slot "actions" %}<a class="button" href="…">{% translate "Show all" %}</a>{% endslot %}
      …
    {% endcomponent %}

    {% insert "kpi" label=_("Fresh") value="96 %" %}

A component's template declares its attributes, `{% attributes "title" count="" %}`: a name alone is required,
one with a value has that default. A name that it does not declare is refused, unless it has a hyphen
(`data-copy`, `hx-get`): those are written by `{{ more }}`. It sees nothing else of the page but the request.
`{{ content }}` is what stands between the tags, `{{ slots.actions }}` a slot.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django import template
from django.forms import BoundField
from django.template.base import FilterExpression, Node, NodeList, Parser, Template, Token
from django.template.context import Context
from django.template.exceptions import TemplateSyntaxError
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()
FOLDER = "web/components"


@dataclass
class AttributesNode(Node):
    """The attributes of a component: required names, and defaults of the others."""

    required: tuple[str, ...]
    defaults: dict[str, FilterExpression]
    child_nodelists = ()

    def render(self, context: Context) -> SafeString:
        return SafeString("")


@dataclass
class SlotNode(Node):
    """Content for a place of its own in the component around it."""

    name: str
    nodelist: NodeList

    def render(self, context: Context) -> SafeString:
        return SafeString("")


@dataclass
class ComponentNode(Node):
    """A use of a component."""

    name: FilterExpression
    values: dict[str, FilterExpression]
    nodelist: NodeList = field(default_factory=NodeList)

    def render(self, context: Context) -> SafeString:
        source = _template_of(context, str(self.name.resolve(context)))
        values = {name: value.resolve(context) for name, value in self.values.items()}
        slots = {
            node.name: node.nodelist.render(context) for node in self.nodelist if isinstance(node, SlotNode)
        }
        inner = context.new(
            {
                **_check_attributes(source, context, values),
                "more": _html_attributes(values),
                "content": SafeString(self.nodelist.render(context).strip()),
                "slots": slots,
                "request": context.get("request"),
                "csrf_token": context.get("csrf_token"),
            }
        )
        return source.render(inner)


def _template_of(context: Context, name: str) -> Template:
    if context.template is None:
        raise TemplateSyntaxError("A component is part of a template.")
    return context.template.engine.get_template(f"{FOLDER}/{name}.html")


def _check_attributes(source: Template, context: Context, values: dict[str, Any]) -> dict[str, Any]:
    """Return the declared attributes with their values. Raises `TemplateSyntaxError` for others, and when a
    required one is not given.
    """
    declared = next((node for node in source.nodelist if isinstance(node, AttributesNode)), None)
    required, defaults = (declared.required, declared.defaults) if declared else ((), {})
    passed = {name for name in values if "-" not in name}
    if unknown := passed - {*required, *defaults}:
        raise TemplateSyntaxError(f"{source.name} has no attribute {', '.join(sorted(unknown))}")
    if missing := set(required) - passed:
        raise TemplateSyntaxError(f"{source.name} needs {', '.join(sorted(missing))}")
    defaulted = {name: default.resolve(context) for name, default in defaults.items() if name not in passed}
    return defaulted | {name: values[name] for name in passed}


def _html_attributes(values: dict[str, Any]) -> SafeString:
    """Return attributes with a hyphen as HTML; none for None and False, the name alone for True."""
    pairs = [(name, value) for name, value in values.items() if "-" in name and value not in (None, False)]
    return format_html_join(
        "", " {}{}", ((name, "" if value is True else format_html('="{}"', value)) for name, value in pairs)
    )


@register.tag
def component(parser: Parser, token: Token) -> ComponentNode:
    name, values = _name_and_values(parser, token)
    nodelist = parser.parse(("endcomponent",))
    parser.delete_first_token()
    return ComponentNode(name=name, values=values, nodelist=nodelist)


@register.tag
def insert(parser: Parser, token: Token) -> ComponentNode:
    """Insert a component that has no content."""
    return ComponentNode(*_name_and_values(parser, token))


@register.tag
def slot(parser: Parser, token: Token) -> SlotNode:
    _tag, name = token.split_contents()
    nodelist = parser.parse(("endslot",))
    parser.delete_first_token()
    return SlotNode(name.strip("\"'"), nodelist)


@register.tag
def attributes(parser: Parser, token: Token) -> AttributesNode:
    """Declare a component's attributes, at the head of its template."""
    required, defaults = [], {}
    for name, value in _parts(token.split_contents()[1:]):
        if value is None:
            required.append(name.strip("\"'"))
        else:
            defaults[name] = parser.compile_filter(value)
    return AttributesNode(tuple(required), defaults)


def _name_and_values(parser: Parser, token: Token) -> tuple[FilterExpression, dict[str, FilterExpression]]:
    _tag, name, *rest = token.split_contents()
    values = {}
    for key, value in _parts(rest):
        if value is None:
            raise TemplateSyntaxError(f"{key}: an attribute of a component is name=value")
        values[key] = parser.compile_filter(value)
    return parser.compile_filter(name), values


def _parts(bits: list[str]) -> Iterator[tuple[str, str | None]]:
    """Yield (name, value); None for a name alone."""
    for bit in bits:
        name, separator, value = bit.partition("=")
        yield name, value if separator else None


@register.simple_tag
def icon(name: str, label: str = "", size: int = 16) -> SafeString:
    """Draw an icon of the vendored set: decoration, unless it has a label."""
    described = (
        format_html('role="img" aria-label="{}"', label) if label else SafeString('aria-hidden="true"')
    )
    return format_html(
        '<svg class="icon" width="{0}" height="{0}" {1}><use href="{2}#{3}"/></svg>',
        str(size),
        described,
        static("vendor/lucide/icons.svg"),
        name,
    )


@register.simple_tag
def control(bound: BoundField, described_by: str = "", **attributes: str) -> SafeString:
    """Render a form field's control with what a screen reader needs to know about it."""
    names: dict[str, str | bool] = {name.replace("_", "-"): value for name, value in attributes.items()}
    if described_by:
        names["aria-describedby"] = described_by
    if bound.errors:
        names["aria-invalid"] = "true"
    return bound.as_widget(attrs=names)


LEGAL_FORMS = frozenset(
    ("ab", "aps", "as", "asa", "bv", "cv", "gmbh", "hb", "kb", "nv", "oy", "oyj", "vof", "bvba", "srl")
)


@register.filter
def initials(name: str) -> str:
    """Return the first letters of the first and last word, without the legal form of a company."""
    all_words = [word for word in str(name).split() if word[0].isalnum()]
    words = [word for word in all_words if word.replace(".", "").lower() not in LEGAL_FORMS] or all_words
    return "".join(word[0] for word in (words if len(words) < 3 else [words[0], words[-1]]))[:2].upper()


@register.filter
def sparkline(values: list[float]) -> str:
    """Return the points of a line of 100 by 24 through the values, lowest at the bottom."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1
    step = 100 / (len(values) - 1)
    return " ".join(
        f"{index * step:.1f},{22 - 20 * (value - low) / span:.1f}" for index, value in enumerate(values)
    )


@register.filter
def pressed(value: str, choice: str) -> str:
    """Return `aria-pressed` of the button of a choice."""
    return "true" if value == choice else "false"
