# ruff: noqa: E501 - markup of one element stays on one line
"""Each behaviour of pages in a real browser, by keyboard alone, in both languages, under the security policy:
combobox, dialogs, toasts, menus, columns, charts, period picker.
"""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.browsing import browser, check_page
from tests.web.components import open_component

__all__ = ["browser"]
pytestmark = pytest.mark.browser

LANGUAGES = pytest.mark.parametrize("language", ["en", "nl"])
DIVISION = """<form method="get"><p><label for="division">Division</label>
<select id="division" name="division" data-combobox><option value="">–</option><option value="1">Noord</option>
<option value="2">Zuid</option><option value="3">Ørsted</option></select></p></form>"""


def value_of(page: Page, selector: str) -> Any:
    return page.eval_on_selector(selector, "select => [...select.selectedOptions].map(each => each.value)")


@LANGUAGES
def test_an_option_is_found_without_its_accents_and_chosen_by_keyboard(
    browser: Browser, language: str
) -> None:
    page, complaints, _posted = open_component(browser, DIVISION, language)
    page.wait_for_selector(".ts-control")
    field = page.get_by_role("combobox", name="Division")
    field.focus()
    page.keyboard.type("orst")
    expect(page.get_by_role("option")).to_have_count(1)
    check_page(page, f"combobox-{language}")
    page.keyboard.press("Enter")
    assert value_of(page, "#division") == ["3"]
    field.focus()
    page.keyboard.type("nothing so called")
    expect(page.locator(".no-results")).to_have_text({"en": "No results", "nl": "Geen resultaten"}[language])
    page.keyboard.press("Escape")
    assert value_of(page, "#division") == ["3"]
    page.context.close()
    assert complaints == []


def test_several_are_chosen_and_removed_by_keyboard(browser: Browser) -> None:
    options = "".join(f'<option value="{number}">Person {number}</option>' for number in range(1, 400))
    body = f'<label for="people">People</label><select id="people" multiple data-combobox>{options}</select>'
    page, complaints, _posted = open_component(browser, body)
    page.wait_for_selector(".ts-control")
    page.get_by_role("combobox", name="People").focus()
    for name in ("Person 7", "Person 399"):
        page.keyboard.type(name)
        page.keyboard.press("Enter")
    assert value_of(page, "#people") == ["7", "399"]
    check_page(page, "combobox-multiple")
    page.keyboard.press("Backspace")
    assert value_of(page, "#people") == ["7"]
    page.context.close()
    assert complaints == []


def test_options_of_a_remote_source_come_as_one_types(browser: Browser) -> None:
    options = [{"value": str(number), "text": f"Bakkerij {number}", "detail": "NL"} for number in range(3)]
    body = '<select id="one" data-combobox data-source="/options" aria-label="Administration"></select>'
    page, complaints, _posted = open_component(browser, body, answers={"/options": {"options": options}})
    page.wait_for_selector(".ts-control")
    page.get_by_role("combobox", name="Administration").focus()
    page.keyboard.type("bakk")
    expect(page.get_by_role("option")).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert value_of(page, "#one") == ["1"]
    page.context.close()
    assert complaints == []


def test_a_select_works_without_scripts(browser: Browser) -> None:
    page, _complaints, _posted = open_component(browser, DIVISION, java_script_enabled=False)
    page.select_option("#division", "2")
    assert page.is_visible("#division")
    page.context.close()


CONFIRMED = """<form method="post" action="/erase" data-confirm="Erase 12 administrations?" data-confirm-danger
data-confirm-detail="Their books cannot be restored." data-confirm-button="Erase 12" data-confirm-typed="12">
<button id="erase" name="action" value="erase">Erase</button></form>"""


@LANGUAGES
def test_a_destructive_act_waits_for_the_typed_word(browser: Browser, language: str) -> None:
    page, complaints, posted = open_component(browser, CONFIRMED, language)
    page.focus("#erase")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("alertdialog", name="Erase 12 administrations?")
    expect(dialog).to_be_visible()
    check_page(page, f"confirm-{language}")
    expect(page.get_by_role("button", name="Erase 12")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("#erase")).to_be_focused()
    assert posted == []
    page.keyboard.press("Enter")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    page.wait_for_url("**/erase")
    page.context.close()
    assert (posted, complaints) == (["/erase action=erase"], [])


def test_a_dialog_closes_by_its_button_and_returns_the_focus(browser: Browser) -> None:
    body = """<button id="open" type="button" data-dialog="about">About</button>
    <dialog id="about" class="dialog" aria-labelledby="about-title"><h2 id="about-title">About</h2>
    <button type="button" data-dialog-close>Close</button></dialog>"""
    page, complaints, _posted = open_component(browser, body)
    page.focus("#open")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="About")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#open")).to_be_focused()
    page.context.close()
    assert complaints == []


TOASTS = """<input type="hidden" name="csrfmiddlewaretoken" value="t"><div data-toasts class="toasts"
role="status"><div class="toast" data-toast><span></span><span>Assigned to 28.</span>
<form method="post" action="/undo"><button>Undo</button></form>
<button type="button" data-toast-close hidden aria-label="Close">×</button></div></div>"""


def test_a_toast_stays_while_it_has_the_focus_and_its_undo_is_a_post(browser: Browser) -> None:
    page, complaints, posted = open_component(browser, TOASTS)
    toast = page.locator("[data-toast]")
    expect(toast).to_be_visible()
    check_page(page, "toast")
    page.evaluate("document.body.className = 'framed'")
    box = toast.bounding_box()
    assert box is not None
    assert (box["x"] < 300, box["y"] > 700) == (True, True), "beside the sidebar, at the bottom"
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/undo")
    page.context.close()
    assert (posted, complaints) == (["/undo "], [])


def test_a_toast_goes_by_itself_but_not_from_under_the_focus(browser: Browser) -> None:
    page, complaints, _posted = open_component(browser, TOASTS, has_clock=True)
    toast = page.locator("[data-toast]")
    page.get_by_role("button", name="Undo").focus()
    page.clock.fast_forward(60_000)
    expect(toast).to_be_visible()
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur()")
    page.clock.fast_forward(60_000)
    expect(toast).to_have_count(0)
    page.context.close()
    assert complaints == []


FILTER = """<form method="get" action="/list"><div class="toolbar" id="bar">{space}
<button id="more" type="button" popovertarget="menu" class="button">Freshness</button></div>
<div popover id="menu" class="menu-body" data-menu="filter" role="group" aria-label="Freshness">
<input type="search" data-filter-options aria-label="Search">{options}<button class="button">Apply</button></div></form>"""


@LANGUAGES
@pytest.mark.parametrize("width", [1280, 1366, 1440])
def test_a_menu_stays_inside_the_window_wherever_its_button_is(
    browser: Browser, language: str, width: int
) -> None:
    label = (
        "Not synced for more than a week" if language == "en" else "Langer dan een week niet gesynchroniseerd"
    )
    options = "".join(
        f'<label class="field-inline"><input type="checkbox" name="f" value="{number}"> {label}</label>'
        for number in range(40)
    )
    body = FILTER.format(space="", options=options)
    page, complaints, _posted = open_component(browser, body, language, width=width)
    for side in ("left", "right"):
        page.evaluate(
            "side => { const button = document.getElementById('more');"
            " Object.assign(button.style, { position: 'fixed', top: '300px', left: '', right: '' });"
            " button.style[side] = '4px'; }",
            side,
        )
        page.focus("#more")
        page.keyboard.press("Enter")
        expect(page.locator("#menu")).to_be_visible()
        box = page.eval_on_selector(
            "#menu",
            "menu => { const box = menu.getBoundingClientRect(); return [box.left, innerWidth - box.right, box.top, innerHeight - box.bottom]; }",
        )
        assert min(box) >= 0, (side, width, box)
        page.keyboard.press("Escape")
        expect(page.locator("#more")).to_be_focused()
    page.context.close()
    assert complaints == []


def test_a_filter_menu_is_walked_with_arrows_and_sent_when_it_closes_changed(browser: Browser) -> None:
    options = "".join(
        f'<label><input type="checkbox" name="f" value="{name}"> {name}</label>' for name in ("fresh", "old")
    )
    page, complaints, _posted = open_component(browser, FILTER.format(space="", options=options))
    page.focus("#more")
    page.keyboard.press("Enter")
    expect(page.locator("#more")).to_have_attribute("aria-expanded", "true")
    expect(page.locator("[data-filter-options]")).to_be_focused()
    check_page(page, "menu")
    page.keyboard.press("Escape")
    assert page.url.endswith("/")
    page.keyboard.press("Enter")
    expect(page.locator("[data-filter-options]")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.wait_for_url("**/list?f=old")
    page.context.close()
    assert complaints == []


COLUMNS = """<input type="hidden" name="csrfmiddlewaretoken" value="t">
<table class="table" data-columns="clients" data-preferences-url="/preferences"><colgroup><col data-column="name">
<col data-column="status"></colgroup><thead><tr><th scope="col" data-column="name">Name</th>
<th scope="col" data-column="status">Status</th></tr></thead><tbody><tr><td>Bakkerij</td><td>Active</td></tr></tbody>
</table>"""


@LANGUAGES
def test_a_column_is_resized_by_keyboard_and_by_pointer_and_remembered(
    browser: Browser, language: str
) -> None:
    page, complaints, posted = open_component(browser, COLUMNS, language)
    name = {"en": "Width of the column: Name", "nl": "Breedte van de kolom: Name"}[language]
    handle = page.get_by_role("separator", name=name)
    handle.focus()
    with page.expect_response("**/preferences"):
        page.keyboard.press("ArrowRight")
    check_page(page, f"columns-{language}")
    box = handle.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + 104, box["y"] + 4)
    with page.expect_response("**/preferences"):
        page.mouse.up()
    widths = [int(text.rpartition("%3A")[2]) for text in posted]
    assert widths[1] - widths[0] == pytest.approx(100, abs=10)
    page.context.close()
    assert complaints == []


def test_an_order_is_chosen_by_keyboard_and_by_dragging(browser: Browser) -> None:
    items = "".join(
        f"<li{' data-fixed' if name == 'Name' else ''}>{name} "
        f'<button type="button" data-sort-handle aria-label="Move {name}">::</button></li>'
        for name in ("Name", "Status", "Number", "Issues")
    )
    page, complaints, _posted = open_component(browser, f'<ul class="sortable" data-sortable>{items}</ul>')
    order = lambda: [text.split()[0] for text in page.locator("li").all_inner_texts()]  # noqa: E731
    page.get_by_role("button", name="Move Issues").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert order() == ["Name", "Issues", "Status", "Number"]
    expect(page.get_by_role("button", name="Move Issues")).to_be_focused()
    expect(page.locator("[aria-live=assertive]")).to_have_text("Moved to position 2 of 4")
    check_page(page, "sortable")
    page.get_by_role("button", name="Move Issues").hover()
    page.mouse.down()
    target = page.locator("li", has_text="Number").bounding_box()
    assert target is not None
    page.mouse.move(target["x"] + 20, target["y"] + target["height"] - 2, steps=5)
    page.mouse.up()
    assert order() == ["Name", "Status", "Number", "Issues"]
    page.context.close()
    assert complaints == []


CHART = """<figure data-chart="columns" data-chart-library="/static/vendor/uplot/uPlot.iife.min.js">
<details><summary>As a table</summary><table class="table"><thead><tr><th scope="col">Period</th>
<th scope="col">Income</th><th scope="col">Cost</th></tr></thead><tbody>
<tr><td data-label="01">2026-01</td><td data-value="1200.50">1.200,50</td><td data-value="-300">−300,00</td></tr>
<tr><td data-label="02">2026-02</td><td data-value="90000">90.000,00</td><td data-value="41000">41.000,00</td></tr>
</tbody></table></details></figure>
<p><span data-sparkline="3,4,9,2" role="img" aria-label="Fresh, 30 days: 3 to 9"></span></p>"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_has_axes_amounts_and_its_table(browser: Browser, scheme: Any) -> None:
    page, complaints, _posted = open_component(browser, CHART, color_scheme=scheme)
    canvas = page.locator(".chart-canvas canvas")
    expect(canvas).to_have_count(1)
    check_page(page, f"chart-{scheme}")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 100)
    expect(page.locator(".u-legend")).to_contain_text("90.000,00")
    expect(page.get_by_role("img", name="Fresh, 30 days: 3 to 9").locator("polyline")).to_have_count(1)
    page.get_by_text("As a table").click()
    expect(page.get_by_role("cell", name="41.000,00")).to_be_visible()
    page.context.close()
    assert complaints == []


PERIOD = """<form method="get" action="/books"><fieldset data-period-picker><legend>Period</legend>
<label>From <select name="from" data-period-from><option>202601</option><option>202602</option><option>202603</option></select></label>
<label>Until <select name="until" data-period-until><option>202601</option><option>202602</option><option>202603</option></select></label>
<button type="button" data-period-preset data-from="202601" data-until="202603" hidden>First quarter</button>
</fieldset></form>"""


def test_a_period_is_never_upside_down_and_a_preset_is_one_press(browser: Browser) -> None:
    page, complaints, _posted = open_component(browser, PERIOD)
    page.select_option("[name=from]", "202603")
    assert page.input_value("[name=until]") == "202603"
    page.select_option("[name=until]", "202602")
    assert page.input_value("[name=from]") == "202602"
    check_page(page, "period-picker")
    page.get_by_role("button", name="First quarter").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/books?from=202601&until=202603")
    page.context.close()
    assert complaints == []
