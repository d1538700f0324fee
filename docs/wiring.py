# SPDX-License-Identifier: MIT
"""Draws docs/wiring.svg: which cable goes on which pin of a Raspberry Pi 4. After a change: python docs/wiring.py

Pins: Raspberry Pi documentation, "GPIO and the 40-pin header". With the header at the upper edge and the card to the
left, even pins are in the outer row; 1 and 2 are at the left end.
"""

from __future__ import annotations

import html
from pathlib import Path

WIDTH, HEIGHT = 900, 560
PITCH, FIRST = 25, 96
OUTER, INNER = 262, 290
#: What each of the first pins is, for the eye: class of the style sheet.
KINDS = {1: "v3", 17: "v3", 2: "v5", 4: "v5", 6: "gnd", 8: "tx", 10: "rx"} | dict.fromkeys(
    (9, 14, 20, 25, 30, 34, 39), "ground"
)
#: Pin -> place of the adapter's pin, its name there, and what the wire carries.
WIRES = {
    6: (150, "GND", "ground"),
    8: (330, "RXD", "the board sends"),
    10: (510, "TXD", "the board receives"),
}
NAMES = {6: "pin 6: GND", 8: "pin 8: GPIO14 (TXD)", 10: "pin 10: GPIO15 (RXD)"}
STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 12px; fill: #59636e; }
.number { font-size: 10px; text-anchor: middle; fill: #1f2328; }
.on { fill: #fff; }
.bold { font-weight: 600; }
.mid { text-anchor: middle; }
.board { fill: #dff0e3; stroke: #2d7d46; stroke-width: 2; }
.part { fill: #eef0f2; stroke: #8b949e; stroke-width: 1.5; }
.pin { fill: #fff; stroke: #8b949e; stroke-width: 1.2; }
.v5, .v3 { fill: #f8d7d4; stroke: #b3261e; }
.ground { fill: #d6d9dd; stroke: #59636e; }
.gnd { fill: #24292f; stroke: #8b949e; }
.tx { fill: #b35900; stroke: #b35900; }
.rx { fill: #0a58ca; stroke: #0a58ca; }
.wire { fill: none; stroke-width: 4; stroke-linecap: round; }
.wire.gnd { stroke: #57606a; fill: none; }
.wire.tx, .wire.rx { fill: none; }
.warn { fill: #b3261e; }
.cross { stroke: #b3261e; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9da7b1; } .number { fill: #1f2328; } .on { fill: #fff; }
  .board { fill: #14301f; stroke: #3fb950; } .part { fill: #21262d; stroke: #8b949e; }
  .warn { fill: #ff7b72; } .cross { stroke: #ff7b72; } .wire.gnd { stroke: #b1bac4; }
}
"""


def pin_at(number: int) -> tuple[int, int]:
    """Where a pin of the header is."""
    return FIRST + (number - 1) // 2 * PITCH, INNER if number % 2 else OUTER


def text(x: int, y: int, words: str, kind: str = "") -> str:
    """A line of text."""
    return f'<text x="{x}" y="{y}"' + (f' class="{kind}"' if kind else "") + f">{html.escape(words)}</text>"


def box(x: int, y: int, width: int, height: int, kind: str = "part", round_: int = 4) -> str:
    """A rectangle."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{round_}" class="{kind}"/>'


def header() -> list[str]:
    """The 40 pins; those that are used, or must not be, are coloured."""
    made = [box(FIRST - 16, OUTER - 16, 19 * PITCH + 32, INNER - OUTER + 32)]
    for number in range(1, 41):
        x, y = pin_at(number)
        kind = KINDS.get(number, "")
        made.append(f'<circle cx="{x}" cy="{y}" r="10" class="pin {kind}"/>')
        made.append(text(x, y + 4, str(number), "number on" if number in WIRES else "number"))
    return made


def adapter() -> list[str]:
    """The adapter with its four pins, and the wires down to the board."""
    made = [box(90, 20, 620, 78, round_=8), text(110, 48, "USB serial adapter, 3.3 V", "bold")]
    made.append(text(320, 48, "5 V on these pins destroys the board", "warn"))
    made += [box(710, 40, 60, 36), text(780, 62, "to your computer", "small")]
    for number, (x, name, carries) in WIRES.items():
        to, y = pin_at(number)
        kind = KINDS[number]
        made.append(f'<path d="M{x} 98 C{x} 180 {to} 150 {to} {y - 12}" class="wire {kind}"/>')
        made += [f'<circle cx="{x}" cy="86" r="9" class="pin {kind}"/>', text(x + 16, 91, name, "bold")]
        made.append(text(x + 14, 122, carries, "small"))
    made += ['<circle cx="660" cy="86" r="9" class="pin v5"/>', text(600, 91, "VCC", "bold")]
    made += ['<path d="M650 106 l20 20 m0 -20 l-20 20" class="cross"/>', text(680, 122, "leave it open", "small")]
    return made


def board() -> list[str]:
    """The board around the header: what tells its ends apart."""
    made = [box(50, 230, 800, 300, "board", 16), *header()]
    made += [box(36, 350, 56, 78), text(104, 394, "card (underneath)", "small")]
    made += [box(110, 500, 66, 38), text(86, 488, "USB-C: power", "small")]
    made += [box(230, 508, 46, 30), box(320, 508, 46, 30), text(262, 496, "HDMI", "small")]
    made += [box(780, 250, 84, 76), box(780, 342, 84, 76), box(780, 434, 84, 80)]
    made += [text(690, 292, "Ethernet", "small"), text(724, 384, "USB", "small"), text(724, 478, "USB", "small")]
    made.append(text(330, 340, "The outer row, from the left: skip two (5 V!), then"))
    for line, number in enumerate(NAMES):
        made.append(f'<circle cx="342" cy="{363 + 26 * line}" r="8" class="pin {KINDS[number]}"/>')
        made.append(text(360, 368 + 26 * line, NAMES[number], "bold"))
    made.append(text(300, 452, "Pins 2 and 4 carry 5 V, 1 and 17 carry 3.3 V: nothing goes there.", "warn"))
    return made


def draw() -> str:
    """The whole picture."""
    title = "A serial adapter on a Raspberry Pi 4: GND to pin 6, RXD to pin 8, TXD to pin 10"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
    return (
        "\n".join([head, f"<title>{title}</title>", f"<style>{STYLE}</style>", *board(), *adapter(), "</svg>"]) + "\n"
    )


if __name__ == "__main__":
    Path(__file__).with_name("wiring.svg").write_text(draw(), encoding="utf-8")
