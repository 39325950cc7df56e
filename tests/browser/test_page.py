# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page as a browser shows it: nothing of a host runs, nothing is loaded, and it is readable on every screen."""

from __future__ import annotations

import base64
import json

import pytest
import report_samples as samples
from ansible_collections.linux_memory.oom.plugins.plugin_utils import page, report

DESKTOP, PHONE, SMALL_PHONE = (1280, 900), (400, 800), (360, 740)

# Every text of the page with the colours that it is drawn in: the nearest background above it that is not transparent.
COLOURS = """
const found = [];
document.querySelectorAll('details').forEach((one) => { one.open = true; });
for (const element of document.querySelectorAll('body *')) {
  const own = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.data.trim());
  const drawn = own && !element.closest('svg') && element.checkVisibility({contentVisibilityAuto: false});
  if (!drawn) continue;
  let below = element;
  while (below && getComputedStyle(below).backgroundColor === 'rgba(0, 0, 0, 0)') below = below.parentElement;
  const ground = getComputedStyle(below || document.body).backgroundColor;
  found.push([element.className + ' ' + element.tagName, getComputedStyle(element).color, ground]);
}
for (const text of document.querySelectorAll('.bar text:not(.unaccounted)')) {
  const part = Array.from(text.classList).pop();
  const rect = document.querySelector('rect.' + part);
  found.push(['bar ' + part, getComputedStyle(text).fill, getComputedStyle(rect).fill]);
}
return found;
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the pages."""
    folder = tmp_path_factory.mktemp("report")
    pages = {
        "fleet": samples.fleet(),
        "hostile": samples.hostile(),
        "one": [samples.fleet()[2]],
        "killed": [samples.killed(), samples.killed("db1.example.org", [samples.node_report()]), *samples.fleet()],
        "sharing": samples.sharing(),
        "log": report.records_of_log(samples.log([samples.cgroup_report(host=None, path="/logs/kern.log")])),
    }
    for name, records in pages.items():
        (folder / f"{name}.html").write_text(page.render(records, samples.TIME), encoding="utf-8")
    return folder


def view(browser, path, size=DESKTOP, dark=False, opened=True):
    """Open a page on a screen of the given size, all its details open."""
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get_log("browser")
    width, height = size
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    # Without smooth scrolling an element is where it will stay.
    motion = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, motion]})
    browser.get(path.as_uri())
    if opened:
        browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def requests(browser):
    """Return the addresses that were asked for since the page was opened."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    # The browser's own controls and its empty start page have pictures inside of it; they are no requests of the page.
    return [url for url in asked if not url.startswith(("chrome://", "data:"))]


def contrast(ink, ground):
    """Return the contrast ratio of two CSS colours (WCAG 2, relative luminance)."""

    def luminance(colour):
        channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["fleet", "hostile", "one", "killed", "log"])
def test_nothing_runs_and_nothing_is_loaded(browser, folder, name):
    view(browser, folder / f"{name}.html")
    with pytest.raises(Exception, match="no such alert"):
        browser.switch_to.alert.dismiss()
    assert browser.title == "Memory report"
    assert browser.get_log("browser") == []
    assert requests(browser) == [(folder / f"{name}.html").as_uri()]
    assert browser.execute_script("return document.scripts.length") == 1
    assert browser.execute_script("return document.querySelectorAll('img, iframe, object, embed, base').length") == 0


def test_the_policy_stops_a_script_that_came_into_the_page(browser, folder):
    text = (folder / "fleet.html").read_text("utf-8").replace("<main>", "<main><script>document.title='owned'</script>")
    (folder / "injected.html").write_text(text, encoding="utf-8")
    view(browser, folder / "injected.html")
    assert browser.title == "Memory report"
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_hostile_names_are_shown_as_they_are(browser, folder):
    view(browser, folder / "hostile.html")
    shown = browser.execute_script("return Array.from(document.querySelectorAll('.fleet a'), (one) => one.textContent)")
    for name in ("<script>alert(1)</script>", "&amp;&lt;b&gt;", "{{ 7 * 7 }}{% for x in y %}", "../../../etc/passwd"):
        assert name in shown
    links = browser.execute_script(
        "return Array.from(document.querySelectorAll('a'), (one) => one.getAttribute('href'))"
    )
    assert all(link.startswith(("#host-", "hosts/")) and ".." not in link for link in links)


def test_the_parts_of_a_bar_fill_it_without_gap_or_overlap(browser, folder):
    view(browser, folder / "fleet.html")
    bars = browser.execute_script("""
        return Array.from(document.querySelectorAll('svg.bar'), (bar) => [bar.getBoundingClientRect().width,
          Array.from(bar.querySelectorAll('rect'), (part) =>
            [part.x.baseVal.value, part.width.baseVal.value, part.width.baseVal.valueAsString])]);
    """)
    assert len(bars) == 4
    for whole, parts in bars:
        assert sum(float(text.rstrip("%")) for _left, _width, text in parts) == pytest.approx(100, abs=1e-6)
        assert sum(width for _left, width, _text in parts) == pytest.approx(whole, abs=0.1)
        for (left, width, _text), (following, _width, _other) in zip(parts, parts[1:], strict=False):
            assert left + width == pytest.approx(following, abs=0.05)
    named = browser.execute_script("return document.querySelector('svg.bar').getAttribute('aria-label')")
    assert named.startswith("Memory of db1.example.org: Anonymous (programs) 45 %, File cache, clean ")


@pytest.mark.parametrize("size", [PHONE, SMALL_PHONE, DESKTOP], ids=lambda size: str(size[0]))
@pytest.mark.parametrize("name", ["fleet", "hostile", "killed", "log", "sharing"])
def test_nothing_sticks_out_of_the_screen(browser, folder, name, size):
    view(browser, folder / f"{name}.html", size)
    wide = browser.execute_script("""
        const wide = [];
        if (document.documentElement.scrollWidth > innerWidth) wide.push('the page');
        for (const one of document.querySelectorAll('body *:not(.defs *)')) {
          const spills = one.clientWidth && getComputedStyle(one).display !== 'inline' && !one.closest('svg, input')
            && one.scrollWidth > one.clientWidth + 1;
          if (spills || one.getBoundingClientRect().right > innerWidth + .5) wide.push(one.outerHTML.slice(0, 120));
        }
        return wide;
    """)
    assert wide == []


@pytest.mark.parametrize("name", ["fleet", "killed", "sharing"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(browser, folder, name, dark):
    view(browser, folder / f"{name}.html", dark=dark)
    found = browser.execute_script(COLOURS)
    assert len(found) > 200
    weak = {(name, ink, ground) for name, ink, ground in found if contrast(ink, ground) < 4.5}
    assert weak == set()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_bars_of_the_timeline_are_seen_in_any_colour_vision(browser, folder, dark):
    """Each against its ground as WCAG asks of graphics, and against the others where only lightness is left."""
    view(browser, folder / "killed.html", dark=dark)
    found = browser.execute_script("""
        const ground = getComputedStyle(document.querySelector('section.timeline')).backgroundColor;
        const bars = document.querySelectorAll('.track rect');
        return [ground, Array.from(bars, (bar) => [bar.classList[1], getComputedStyle(bar).fill])];
    """)
    ground, colours = found[0], dict(found[1])
    assert set(colours) == {"global", "cgroup", "node"}
    assert all(contrast(colour, ground) >= 3 for colour in colours.values())
    assert contrast(colours["global"], colours["cgroup"]) >= 1.5
    assert contrast(colours["global"], colours["node"]) >= 1.5
    # Orange and pink differ in the blue of which most of the colour-blind see all.
    assert contrast(colours["cgroup"], colours["node"]) >= 1.15


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=lambda size: str(size[0]))
def test_each_host_has_a_lane_with_its_kills_inside(browser, folder, size):
    view(browser, folder / "killed.html", size, opened=False)
    lanes = browser.execute_script("""
        return Array.from(document.querySelectorAll('.lane:not(.axis)'), (lane) => {
          const box = lane.querySelector('svg').getBoundingClientRect();
          const bars = Array.from(lane.querySelectorAll('rect'), (bar) => bar.getBoundingClientRect());
          const label = lane.querySelector('svg').getAttribute('aria-label');
          return [lane.querySelector('.who').textContent, label, bars.length,
            box.width > 300, bars.every((bar) => bar.left >= box.left && bar.right <= box.right + 1
              && bar.top >= box.top - 1 && bar.bottom <= box.bottom + 1 && bar.width >= 4 && bar.height >= 6)];
        });
    """)
    assert [(name, inside, wide) for name, _label, _bars, wide, inside in lanes] == [
        ("All hosts", True, True),
        ("app1.example.org", True, True),
        ("db1.example.org", True, True),
    ]
    assert lanes[1][1] == "app1.example.org: 13 OOM reports between 2025-11-20 05:00 UTC and 2025-11-23 04:00 UTC"
    browser.find_element("link text", "db1.example.org").click()
    assert browser.execute_script("return document.querySelector('details.host.problem[open] .oom') !== null")


def test_dark_mode_is_dark(browser, folder):
    grounds = []
    for dark in (False, True):
        view(browser, folder / "fleet.html", dark=dark)
        grounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert contrast(grounds[0], "rgb(255, 255, 255)") < 1.2
    assert contrast(grounds[1], "rgb(0, 0, 0)") < 1.3


def test_the_filter_hides_rows_and_sections(browser, folder):
    view(browser, folder / "fleet.html", opened=False)
    state = """
        return [Array.from(document.querySelectorAll('.fleet tbody tr:not([hidden]) a'), (one) => one.textContent),
          document.querySelectorAll('details.host:not([hidden])').length, document.getElementById('shown').value];
    """
    assert len(browser.execute_script(state)[0]) == 6
    browser.find_element("id", "filter").send_keys("WEB healthy")
    assert browser.execute_script(state) == [["web1.example.org", "web2.example.org"], 2, "2 of 6 shown"]
    browser.find_element("css selector", "input[value=healthy]").click()
    assert browser.execute_script(state) == [[], 0, "0 of 6 shown"]


def test_a_link_opens_its_host(browser, folder):
    view(browser, folder / "fleet.html", opened=False)
    browser.find_element("link text", "web2.example.org").click()
    opened = "return document.querySelector('details.host[data-host=host-6]').open"
    assert browser.execute_script(opened)
    view(browser, folder / "fleet.html", opened=False)
    assert not browser.execute_script(opened)


def test_the_page_is_complete_without_scripts(browser, folder):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        view(browser, folder / "fleet.html", opened=False)
        assert not browser.find_element("id", "filter").is_displayed()
        assert len(browser.find_elements("css selector", ".fleet tbody tr")) == 6
        browser.find_element("css selector", "details.host:last-of-type > summary").click()
        assert browser.find_element("css selector", "details.host:last-of-type svg.bar").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_print_shows_every_host(browser, folder):
    view(browser, folder / "fleet.html", opened=False)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("name", "size", "dark"),
    [
        ("fleet", DESKTOP, False),
        ("killed", DESKTOP, True),
        ("killed", SMALL_PHONE, False),
        ("log", DESKTOP, False),
        ("hostile", PHONE, True),
    ],
)
def test_pictures_for_people(browser, folder, checkout, name, size, dark):
    """Leaves pictures in build/page: what looks professional is for a person to say."""
    view(browser, folder / f"{name}.html", size, dark, opened=False)
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    target = checkout / "build" / "page" / f"{name}-{size[0]}-{'dark' if dark else 'light'}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(base64.b64decode(shot["data"]))
    assert target.stat().st_size > 10000
