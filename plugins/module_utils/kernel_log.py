# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands around a kernel message in a log: the prefix of a line, and the time that it tells.

A kernel message reaches a file through many hands (printk, klogd, syslog, the journal, dmesg, a container
runtime, a mail), and each puts something before it. Line takes all of that off, whatever the order, and keeps
what it says: the time, the seconds since boot, the task or CPU that printed (printk's caller id), the sender.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import calendar
import json
import re
import time

# Abbreviated month names as dmesg -T prints them, in the languages whose names are told apart by their first
# letters (glibc's locales; strftime(3) %b). Longest names first where one starts another.
_MONTHS = {
    "jan": 1,
    "ene": 1,
    "gen": 1,
    "janv": 1,
    "sty": 1,
    "led": 1,
    "янв": 1,
    "feb": 2,
    "fév": 2,
    "fev": 2,
    "lut": 2,
    "úno": 2,
    "фев": 2,
    "févr": 2,
    "mar": 3,
    "mär": 3,
    "mrt": 3,
    "bře": 3,
    "мар": 3,
    "mars": 3,
    "márc": 3,
    "apr": 4,
    "avr": 4,
    "abr": 4,
    "kwi": 4,
    "dub": 4,
    "апр": 4,
    "may": 5,
    "mai": 5,
    "mei": 5,
    "mag": 5,
    "maj": 5,
    "kvě": 5,
    "май": 5,
    "мая": 5,
    "jun": 6,
    "juin": 6,
    "giu": 6,
    "cze": 6,
    "čen": 6,
    "июн": 6,
    "jul": 7,
    "juil": 7,
    "lug": 7,
    "lip": 7,
    "čec": 7,
    "июл": 7,
    "aug": 8,
    "aoû": 8,
    "aou": 8,
    "ago": 8,
    "sie": 8,
    "srp": 8,
    "авг": 8,
    "sep": 9,
    "set": 9,
    "wrz": 9,
    "zář": 9,
    "сен": 9,
    "sept": 9,
    "oct": 10,
    "okt": 10,
    "ott": 10,
    "out": 10,
    "paź": 10,
    "říj": 10,
    "окт": 10,
    "nov": 11,
    "noi": 11,
    "ноя": 11,
    "dec": 12,
    "dez": 12,
    "déc": 12,
    "dic": 12,
    "gru": 12,
    "pro": 12,
    "дек": 12,
}

_DATE = r"\d{4}[-/]\d\d[-/]\d\d"
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
_ZONE = r"(?: ?Z| ?[+-]\d\d:?\d\d)?"

# The two commonest shapes in one match: "Mon dd hh:mm:ss host kernel: [seconds][ caller] text" and dmesg.
_COMMON = re.compile(
    r"(?:([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (\S+) kernel: )?(?:<\d+>)?"
    r"(?:\[ *(\d+\.\d+)\](?:\[ *([TC]\d+)\])?(?: |$))?"
)

# Each of these takes one thing off the start; the loop in Line repeats them, so that any order is understood.
_TASK = re.compile(r"\[ *\d+\] ")
_KMSG = re.compile(r"\d{1,4},\d+,(\d+),[^,;\s]*(?:,[^;\s]*)?;")
_CALLER_FIELD = re.compile(r"caller=([TC]\d+)")
_LEVEL = re.compile(r"<\d{1,3}>(?:1 (?=\d{4}-|- ))?")
_SECONDS = re.compile(r"\[ *(\d+\.\d+)(?: +<[^>]*>|@\d+)?\] ?")
_CALLER = re.compile(r"\[ *([TC]\d+)\] ?")
# Android: the CPU and the task, as MediaTek, Samsung and Qualcomm print them.
_CPU_TASK = re.compile(r"\(\d+\)\[\d+:[^\]]{1,15}\] ?")
_CPU_NAME_TASK = re.compile(r"\[\d{1,2}: *[^\]]{1,16}: *\d+\] ?")
_CPU_AND_TASK = re.compile(r"c\d{1,2} +\d+ ")
_RELATIVE = re.compile(r"\[(?: *\+ *\d+\.\d+|[A-Z][a-z]{2}[ \d]\d \d\d:\d\d)\] ?")
_BRACKET_DATE = re.compile(r"\[(" + _DATE + "[T ]" + _CLOCK + _ZONE + r")\] ?")
_CTIME = re.compile(r"\[([^\[\]=]{0,40}?\d\d:\d\d:\d\d[^\[\]=]{0,24})\] ?")
_POD = re.compile(r"\[(?:pod|container|job)/[^\]\s]{1,200}\] ")
_ISO = re.compile("(" + _DATE + "[T ]" + _CLOCK + _ZONE + r")\s+")
_SHORT_FULL = re.compile(r"\w{2,4}\.? (" + _DATE + " " + _CLOCK + r" [A-Za-z0-9+:-]{1,6})\s+")
_SYSLOG = re.compile(r"(?:\d{4} |[A-Z][a-z]{2} (?=[A-Z]))?([A-Z][a-z]{2} [ \d]?\d " + _CLOCK + r"(?: \d{4})?)[: ]\s*")
_UNIX = re.compile(r"(\d{9,10}\.\d{3,6})[: ]\s*(?=\S+ \S+: )")
# Android's logcat; a clock without a date, as consoles add it; a field of journalctl -o verbose.
_LOGCAT = re.compile(r"\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\s+(?:\S+\s+)?\d+\s+\d+ [VDIWEF] [^:]{0,40}: ?")
_BARE_CLOCK = re.compile(r"\d\d:\d\d:\d\d(?:[.,]\d+)?:?\s+(?=\[|<\d|\S* ?kernel:)")
_VERBOSE = re.compile(r"\s*(_{0,2}[A-Z][A-Z_0-9]{2,})=(.*)", re.S)
_CRI = re.compile(r"(?:stdout|stderr) [FP] ")
_FACILITY = re.compile(r"(?:kern|user|daemon|syslog) *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: ?")
# "host kernel:", "host kernel[0]:", "kernel:", and RFC 5424's "host kernel - - -" (structured data may follow).
_SENDER = re.compile(r"(?![\[<])(\S+) (?=[A-Za-z_(/])([^\s:\[\]=]{1,80})(?:\[\d+\])?: ")
_SENDER_5424 = re.compile(r"(\S+) (\S+) (\S+) (\S+) (-|\[[^\]]*\](?:\[[^\]]*\])*) ?(?:\xef\xbb\xbf|\ufeff)?")
_KERNEL = re.compile(r"(?:(?!kern\.)(\S+) )?(?:kern\.\w+ )?(?:kernel|vmunix)(?:\[\d+\])?: ?")
_KERNEL_TABS = re.compile(r"(\S+)\t(?:kernel|vmunix)\t")
_RELAYED = re.compile(r"(?:\S+ )?[A-Z][a-z]{2} [ \d]\d " + _CLOCK + r" (?=\S+ (?:kernel|vmunix))")
_QUOTE = re.compile(r"(?:>[ \t]?|\|(?:[ \t]|$|(?=[|>])))+")
_GREP = re.compile(r"[^\s:\[\]<>=]{1,200}\.?(?:log|messages|syslog|dmesg)[^\s:\[\]]{0,40}:(?:\d+:)?(?=\S)")
# Colours: as a terminal gets them, and as a pager or cat -v shows them.
_ANSI = re.compile(r"(?:\x1b|\^\[|ESC)\[[0-9;?]*[A-Za-z]")
_ANSI_SIGNS = ("\x1b", "^[[", "ESC[")
_PRETTY_FIELD = re.compile(r'\s*"([A-Za-z_0-9@]+)" ?: *(.*?),?\s*$')
# What the source of a web page has for a character, and what ends a line there or in a log of rsyslog.
_ENTITY = re.compile(r"&(lt|gt|amp|quot|apos|nbsp|#0?39|#x27|#34|#160);")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "#34": '"', "nbsp": " ", "#160": " "}
_LINE_END = re.compile(r"(?:\s|#015|<br ?/?>)+$")

_KERNEL_SENDERS = frozenset(["kernel", "vmunix", "klogd", "dmesg", "kern"])

# Names under which log shippers and container runtimes keep the text and the time of a line in JSON.
_JSON_TEXT = ("MESSAGE", "log", "message", "msg", "line", "text", "textPayload")
# The objects inside of which some of them keep the text.
_JSON_INNER = ("jsonPayload", "_source", "fields", "log", "data")
_JSON_TIME = ("time", "@timestamp", "timestamp", "ts")


class Line:
    """One line of a log without what stands before the kernel's own text.

    text: the message. bare: nothing but blanks and quote marks stood before it (a wrapped or continued line).
    cleaned: colours, escapes or line ends of something else than the kernel were taken out of it.
    stamp: the time as written, or None. epoch: seconds since 1970 where the log says so without a zone to guess.
    uptime: the kernel's seconds since boot. caller: "T<task>" or "C<cpu>". sender: syslog's program, "kernel" for
    kernel messages, None where the log names none. host, boot: as the journal or syslog name them.
    """

    __slots__ = ("text", "bare", "cleaned", "stamp", "epoch", "uptime", "caller", "sender", "host", "boot")

    def __init__(self, text=""):
        self.text = text
        self.bare = True
        self.cleaned = False
        self.stamp = None
        self.epoch = None
        self.uptime = None
        self.caller = None
        self.sender = None
        self.host = None
        self.boot = None

    @property
    def kernel(self):
        """True unless the log names another program than the kernel as the sender."""
        return self.sender is None or self.sender in _KERNEL_SENDERS

    @property
    def key(self):
        """What two lines that belong together have in common: the printing task or CPU, or None."""
        return self.caller


def parse_line(text):
    """Return the Line for one line of text (without its newline). Never raises."""
    line = Line(text)
    match = _COMMON.match(text)
    if match.end() and (match.group(1) or match.group(3)):
        line.bare = False
        stamp, line.host, uptime, line.caller = match.groups()
        if stamp:
            line.stamp = stamp
            line.sender = "kernel"
        if uptime:
            line.uptime = float(uptime)
        line.text = text = text[match.end() :]
        first = text[:1]
        # What else may follow is another prefix in brackets, never "[<task>]", which is the kernel's own, or the
        # sender, which journalctl writes after the seconds.
        plain = first not in ("<", "[", "(", "c") and (uptime or not first.isdigit()) and text[:2] != " ["
        if plain and (stamp or text.find("kernel:", 0, 72) < 0) or first == "[" and _TASK.match(text):
            return line
    _peel(line)
    return line


def _peel(line):
    """Take prefixes off line.text until none is left."""
    text = line.text
    for _round in range(12):
        rest = _peel_one(line, text)
        if rest is None:
            break
        text = rest
    line.text = text


def _peel_one(line, text):
    """Return text without its first prefix, or None where it starts with no prefix."""
    first = text[:1]
    if first in (" ", "\t"):
        # Blanks before a prefix are a margin; before anything else they are the message's own.
        stripped = text.lstrip()
        return stripped if stripped[:1] in ("[", "<", ">") or (line.bare and stripped) else None
    if first in (">", "|"):
        match = _QUOTE.match(text) if line.bare else None
        return text[match.end() :] if match else None
    if first == "<":
        return _after(line, _LEVEL.match(text), text)
    if first == "[":
        return _peel_bracket(line, text)
    if first == "(":
        return _after(line, _CPU_TASK.match(text), text) if not line.bare else None
    if first.isdigit():
        return _peel_digits(line, text)
    return _peel_word(line, text)


def _after(line, match, text):
    if not match:
        return None
    line.bare = False
    return text[match.end() :]


def _peel_bracket(line, text):
    match = _SECONDS.match(text)
    if match:
        if line.uptime is None:
            line.uptime = float(match.group(1))
        return _after(line, match, text)
    match = _CALLER.match(text)
    if match:
        line.caller = match.group(1)
        return _after(line, match, text)
    match = _CPU_NAME_TASK.match(text) if line.uptime is not None else None
    if match:
        return _after(line, match, text)
    match = _BRACKET_DATE.match(text) or _CTIME.match(text)
    if match and line.stamp is None:
        line.stamp = match.group(1)
        return _after(line, match, text)
    return _after(line, _RELATIVE.match(text) or _POD.match(text), text)


def _peel_digits(line, text):
    match = _KMSG.match(text)
    if match:
        line.uptime = int(match.group(1)) / 1e6
        caller = _CALLER_FIELD.search(match.group(0))
        line.caller = caller.group(1) if caller else line.caller
        return _after(line, match, text)
    match = _ISO.match(text)
    if match:
        line.stamp = line.stamp or match.group(1)
        line.bare = False
        # dmesg writes a comma before the fraction, and names no sender after it.
        return text[match.end() :] if "," in match.group(1) else _sender(line, text[match.end() :])
    match = _UNIX.match(text)
    if match and line.stamp is None:
        line.epoch = float(match.group(1))
        line.stamp = match.group(1)
        line.bare = False
        return _sender(line, text[match.end() :])
    if line.stamp is None:
        match = _SYSLOG.match(text)
        if match:
            line.stamp = match.group(1)
            line.bare = False
            return _sender(line, text[match.end() :])
    return _after(line, _LOGCAT.match(text) or _BARE_CLOCK.match(text), text)


def _peel_word(line, text):
    if line.stamp is None:
        match = _SYSLOG.match(text) or _SHORT_FULL.match(text)
        if match:
            line.stamp = match.group(1)
            line.bare = False
            return _sender(line, text[match.end() :])
    match = _FACILITY.match(text)
    if match:
        return _after(line, match, text)
    match = _VERBOSE.match(text) if line.bare else None
    if match:
        # The message is the kernel's, the other fields are the journal's.
        line.bare = False
        line.sender = "kernel" if match.group(1) == "MESSAGE" else "journal"
        return match.group(2)
    if line.uptime is not None and text[:1] == "c":
        match = _CPU_AND_TASK.match(text)
        if match:
            return _after(line, match, text)
    if line.sender is None:
        match = _KERNEL.match(text)
        if match:
            line.host = line.host or match.group(1)
            line.sender = "kernel"
            return _after(line, match, text)
    if line.bare:
        return _after(line, _GREP.match(text), text)
    return None


def _sender(line, text):
    """Take "host program[pid]:" off text, as it follows a syslog time stamp."""
    match = _CRI.match(text)
    if match:
        return text[match.end() :]
    match = _KERNEL.match(text) or _KERNEL_TABS.match(text)
    if match:
        line.host = match.group(1)
        line.sender = "kernel"
        return text[match.end() :]
    match = _RELAYED.match(text)
    if match:
        # The first time is that of who passed the line on; it may have the year and the zone that the second lacks.
        return _sender(line, text[match.end() :])
    match = _SENDER.match(text)
    if match and not text.startswith("["):
        line.host = match.group(1)
        line.sender = match.group(2).rsplit("/", 1)[-1]
        return text[match.end() :]
    match = _SENDER_5424.match(text)
    if match and match.group(3) in ("-", "0") or match and match.group(2) in _KERNEL_SENDERS:
        line.host, line.sender = match.group(1), match.group(2)
        return text[match.end() :]
    match = re.match(r"(\S+) (?=\[ *\d+\.\d+\])", text)
    if match:
        line.host = match.group(1)
        return text[match.end() :]
    return text


def decode(raw):
    """Return the Line for one raw line of a file (bytes): text, or a JSON object of a journal or a container."""
    if raw[-1:] == b"\r":
        raw = raw[:-1]
    text = raw.decode("utf-8", "replace")
    start = raw[:1]
    if start in (b"{", b"\x1e", b"d") or raw[:3] == b"- {":
        entry = _json_entry(text)
        if entry is not None:
            return from_fields(entry)
    elif start in (b"\t", b" ") and raw.lstrip()[:1] == b'"':
        line = _pretty(text)
        if line is not None:
            return line
    plain = _cleaned(text)
    line = parse_line(plain)
    line.cleaned = plain != text
    return line


def _cleaned(text):
    """Return text without what terminals, web pages and their copies put into it."""
    if "\x1b" in text or "[" in text and any(sign in text for sign in _ANSI_SIGNS):
        text = _ANSI.sub("", text)
    if "&" in text:
        text = _ENTITY.sub(lambda match: _ENTITIES.get(match.group(1), "'"), text)
    if "\xa0" in text or "\ufeff" in text:
        text = text.replace("\xa0", " ").replace("\ufeff", "")
    if text[-1:] in ("5", ">", "\r"):
        text = _LINE_END.sub("", text)
    return text


def _json_entry(text):
    """Return the object that a line of JSON holds (journalctl -o json, json-sse, json-seq, Docker, YAML), or None."""
    text = text.lstrip("\x1e")
    if text.startswith(("data: {", "- {")):
        text = text[text.index("{") :]
    if not text.lstrip().startswith("{"):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _pretty(text):
    """Return the Line for a field of JSON on many lines (journalctl -o json-pretty, dmesg --json, logs of clouds).

    The message, or an empty line for another field; None where it is none.
    """
    match = _PRETTY_FIELD.match(text)
    if not match:
        return None
    line = Line("")
    line.bare = False
    if match.group(1) in _JSON_TEXT:
        try:
            message = json.loads(match.group(2))
        except (ValueError, RecursionError):
            return line
        line = parse_line(_message(message).rstrip("\n"))
        line.bare = False
        if match.group(1) == "MESSAGE":
            line.sender = "kernel"
    return line


def _message(value):
    """Return a journal field as text: a string, or a list of byte values where it was no UTF-8."""
    if isinstance(value, list):
        try:
            return bytes(bytearray(value)).decode("utf-8", "replace")
        except (TypeError, ValueError):
            return ""
    return value if isinstance(value, str) else ""


def from_fields(entry):
    """Return the Line for a journal entry or another JSON object: {field: text}. See systemd.journal-fields(7)."""
    for name in _JSON_INNER:
        inner = entry.get(name)
        if isinstance(inner, dict) and any(isinstance(inner.get(name), str) for name in _JSON_TEXT):
            entry = dict(entry, **inner)
    text = ""
    for name in _JSON_TEXT:
        if name in entry and not isinstance(entry[name], dict):
            text = _message(entry[name])
            break
    line = parse_line(text.rstrip("\n"))
    line.bare = False
    if "MESSAGE" in entry or "__REALTIME_TIMESTAMP" in entry:
        _journal_fields(line, entry)
    elif line.stamp is None:
        for name in _JSON_TIME:
            if isinstance(entry.get(name), str):
                line.stamp = entry[name]
                break
    return line


def _journal_fields(line, entry):
    uptime = _microseconds(entry.get("_SOURCE_MONOTONIC_TIMESTAMP"))
    if uptime is not None:
        line.uptime = uptime
    epoch = _microseconds(entry.get("_SOURCE_REALTIME_TIMESTAMP"))
    if epoch is None:
        epoch = _microseconds(entry.get("__REALTIME_TIMESTAMP"))
    if epoch is not None:
        line.epoch = epoch
        line.stamp = entry.get("__REALTIME_TIMESTAMP") if line.stamp is None else line.stamp
    line.host = _message(entry.get("_HOSTNAME")) or line.host
    line.boot = _message(entry.get("_BOOT_ID")) or None
    line.sender = (
        "kernel"
        if entry.get("_TRANSPORT") == "kernel"
        else (_message(entry.get("SYSLOG_IDENTIFIER")) or _message(entry.get("_COMM")) or line.sender)
    )


def _microseconds(value):
    try:
        return int(value) / 1e6
    except (TypeError, ValueError):
        return None


def export_entry(data, start):
    """Return ({field: text}, end) of the entry of journalctl -o export at data[start:], or None where it is cut.

    A field is NAME=value, or NAME, a newline, the length in 64 bits (least byte first), the value; an empty line
    ends the entry (systemd: Journal Export Format).
    """
    fields = {}
    position = start
    while True:
        end = data.find(b"\n", position)
        if end < 0:
            return None
        if end == position:
            return fields, end + 1
        head = data[position:end]
        name, equals, value = head.partition(b"=")
        if equals:
            position = end + 1
        else:
            size = data[end + 1 : end + 9]
            if len(size) < 8:
                return None
            length = int.from_bytes(size, "little")
            value = data[end + 9 : end + 9 + length]
            position = end + 9 + length + 1
            if length > 16 * 1024 * 1024:
                # No kernel message is that long: the framing is lost, so go on at the next entry.
                return fields, end + 1
            if position > len(data):
                return None
        fields[name.decode("ascii", "replace")] = value.decode("utf-8", "replace")


# The time of a line


def wall_clock(line, reference=None):
    """Return (ISO 8601 text or None, epoch seconds or None, assumed) for the time that a line tells.

    reference is an epoch time that the log does not reach beyond (the file's modification time): a syslog line
    has no year, so the last year is taken that keeps it before reference + 1 day, and assumed is True. A time
    without a zone is read as this machine's local time for the epoch, and is given without a zone.
    """
    if line.epoch is not None:
        return iso_utc(line.epoch), line.epoch, False
    if not line.stamp:
        return None, None, False
    parts = _iso_parts(line.stamp) or _named_parts(line.stamp)
    if parts is None:
        return None, None, False
    year, month, day, clock, fraction, zone = parts
    assumed = year is None
    if assumed:
        year = _year(month, day, clock, reference)
        if year is None:
            return None, None, False
    return _render(year, month, day, clock, fraction, zone, assumed)


def _render(year, month, day, clock, fraction, zone, assumed):
    try:
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
            return None, None, False
        if hours > 23 or minutes > 59 or seconds > 60:
            return None, None, False
        plain = (year, month, day, hours, minutes, seconds, 0, 0, -1)
        epoch = time.mktime(plain) if zone is None else calendar.timegm(plain) - zone
    except (ValueError, OverflowError, IndexError):
        return None, None, False
    text = "%04d-%02d-%02dT%s%s" % (year, month, day, clock, "." + fraction if fraction else "")
    if zone is not None:
        text += _offset(zone)
    return text, epoch + (float("0." + fraction) if fraction else 0.0), assumed


def _offset(zone):
    if zone == 0:
        return "Z"
    sign = "-" if zone < 0 else "+"
    return "%s%02d:%02d" % (sign, abs(zone) // 3600, abs(zone) % 3600 // 60)


_ISO_PARTS = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))? ?(Z|UTC|GMT|[+-]\d\d:?\d\d)?")


def _iso_parts(stamp):
    match = _ISO_PARTS.match(stamp)
    if not match:
        return None
    year, month, day, clock, fraction, zone = match.groups()
    offset = None
    if zone in ("Z", "UTC", "GMT"):
        offset = 0
    elif zone:
        digits = zone[1:].replace(":", "")
        offset = (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1 if zone[0] == "-" else 1)
    return int(year), int(month), int(day), clock, fraction, offset


_CLOCK_PARTS = re.compile(r"(\d\d:\d\d:\d\d)(?:[.,](\d+))?")


def _named_parts(stamp):
    """Take apart "Jun 20 12:47:02", "Tue Aug 12 03:54:03 2025", "ven. nov. 28 10:11:12 2025", "28 nov. …"."""
    clock = _CLOCK_PARTS.search(stamp)
    if not clock:
        return None
    words = (stamp[: clock.start()] + " " + stamp[clock.end() :]).replace(",", " ").split()
    month = day = year = None
    for word in reversed(words):
        number = re.match(r"(\d+)(月|日|年|\.)?$", word)
        if number:
            value, unit = int(number.group(1)), number.group(2)
            if value > 1900:
                year = value
            elif unit == "月":
                month = value
            elif 1 <= value <= 31 and day is None:
                day = value
        elif month is None:
            month = _month(word)
    if month is None or day is None:
        return None
    return year, month, day, clock.group(1), clock.group(2), None


def _month(word):
    name = word.strip(".").lower()
    for size in (4, 3):
        if name[:size] in _MONTHS:
            return _MONTHS[name[:size]]
    return None


def _year(month, day, clock, reference):
    """Return the last year in which this day is not after reference (epoch seconds) + 1 day, or None."""
    if reference is None:
        return None
    limit = time.localtime(reference + 86400)
    wanted = (month, day, clock)
    latest = (limit.tm_mon, limit.tm_mday, "%02d:%02d:%02d" % (limit.tm_hour, limit.tm_min, limit.tm_sec))
    year = limit.tm_year if wanted <= latest else limit.tm_year - 1
    if month == 2 and day == 29:
        while not calendar.isleap(year):
            year -= 1
    return year


def iso_utc(epoch):
    """Return epoch seconds as ISO 8601 in UTC with microseconds ("2026-01-02T03:04:05.678901Z"), or None."""
    try:
        whole = int(epoch // 1)
        micro = int(round((epoch - whole) * 1e6))
        if micro == 1000000:
            whole, micro = whole + 1, 0
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + ".%06dZ" % micro
    except (ValueError, OverflowError, OSError):
        return None


def unescape(text):
    """Return text with the newlines that kmsg (\\x0a), rsyslog (#012) and shippers (\\n) had escaped."""
    if "\\x0a" in text:
        text = text.replace("\\x0a", "\n")
    if "#012" in text:
        text = text.replace("#012", "\n")
    if "\\n" in text:
        text = text.replace("\\n", "\n")
    return text
