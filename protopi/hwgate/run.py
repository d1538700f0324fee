# SPDX-License-Identifier: MIT
"""A run: N cold boots with their retries, the verdict over all of them, and the comparison with an earlier run."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from protopi.boardfile_checks import memory_of
from protopi.hwgate import clocks, statistics
from protopi.hwgate.attempt import Attempt, Patience, Wanted, cold_boot
from protopi.hwgate.verdict import QUARANTINE, QUARANTINE_OF, Verdict, quarantined, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from protopi.hwgate.bench import Bench, Facts
    from protopi.hwgate.history import Entry
    from protopi.hwgate.statistics import Comparison

#: How often a boot is tried again after INFRA.
RETRIES = 2


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that is gated: its name, and its disk id (None: any image may answer)."""

    name: str
    disk_id: str | None


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison with an earlier run. `differs` names what is not alike (EEPROM, card ...): then it alarms no one."""

    earlier: str
    result: Comparison | None
    differs: tuple[str, ...] = ()

    @property
    def alarms(self) -> tuple[str, ...]:
        """What the gate fails for."""
        return () if self.differs or self.result is None else self.result.alarms

    def to_json(self) -> dict[str, Any]:
        """The document's field `comparison`."""
        made = self.result.to_json() if self.result else {"finding": "too few boots to compare"}
        return {"earlier": self.earlier, "differs": list(self.differs), "judged": not self.differs, **made}


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that was done and found; protopi.hwgate.report turns it into JSON, JUnit, a table and HTML."""

    facts: Facts
    subject: Subject
    wanted: Wanted
    boots: int
    started: str
    attempts: tuple[Attempt, ...]
    compared: Compared | None = None
    accepted: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def final(self) -> tuple[Attempt, ...]:
        """The last attempt of each boot: the ones that count."""
        return tuple({attempt.boot: attempt for attempt in self.attempts}.values())

    @property
    def times(self) -> list[float]:
        """The gated phase of each boot that has one, in seconds."""
        return self.phase(clocks.GATED)

    def phase(self, name: str) -> list[float]:
        """One phase of each boot that has it, in seconds."""
        return [value for attempt in self.final if (value := attempt.phases.get(name)) is not None]

    @property
    def verdict(self) -> Verdict:
        """Over all boots: all of them under the limit, and no slower than before."""
        if any(attempt.other_image for attempt in self.final):
            return Verdict.INVALID
        found = [attempt.verdict for attempt in self.final]
        if len(found) < self.boots and Verdict.PASS is worst(found):
            return Verdict.INVALID  # it was cut short, by nothing that has a verdict of its own
        if self.regression:
            found.append(Verdict.FAIL)
        return worst(found)

    @property
    def regression(self) -> tuple[str, ...]:
        """What the comparison objects to, unless it was accepted."""
        return self.compared.alarms if self.compared and not self.accepted else ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not PASS, each reason once with the boots that it is about."""
        named: dict[str, list[int]] = {}
        for attempt in self.final:
            if attempt.verdict is not Verdict.PASS:
                named.setdefault(f"{attempt.verdict.value}: {attempt.reason}", []).append(attempt.boot)
        rows = [f"boot {', '.join(map(str, boots))}: {reason}" for reason, boots in named.items()]
        if not self.attempts:
            rows.append("nothing was booted")
        elif not rows and len(self.final) < self.boots:
            rows.append(f"only {len(self.final)} of {self.boots} boots were made")
        earlier = self.compared.earlier if self.compared else ""
        return (*rows, *(f"against the run of {earlier}: {alarm}" for alarm in self.regression))


def measure(
    bench: Bench,
    boots: int,
    wanted: Wanted,
    patience: Patience,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Attempt]:
    """Boot until there are N, or until there is no sense in going on. All attempts are kept, in their order.

    A boot that was too slow does not end the run: the distribution is wanted. One that never came to ready does, and so
    does a bench that fails three times: what follows would end the same way, a minute each.
    """
    attempts: list[Attempt] = []
    for boot in range(1, boots + 1):
        for attempt in range(1, RETRIES + 2):
            progress(f"boot {boot} of {boots}" + (f", attempt {attempt}" if attempt > 1 else ""))
            works = any(made.marker is not None for made in attempts)
            attempts.append(cold_boot(bench, boot, attempt, wanted, patience, line_works=works))
            if attempts[-1].verdict is not Verdict.INFRA:
                break
        last = attempts[-1]
        if last.verdict is Verdict.INFRA or last.other_image or (last.verdict is Verdict.FAIL and not last.phases):
            break
    return attempts


def settled(facts: Facts, attempts: Sequence[Attempt]) -> tuple[Facts, list[str]]:
    """The facts with the board's own word in them, and where that contradicts the board file.

    The board file's word on revision and memory stands (they do not change, and are compared by it); what it leaves out
    is filled in. Of EEPROM and card the board knows better: they change without anybody editing a file.
    """
    said = {key: value for attempt in attempts for key, value in attempt.told.items() if value is not None}
    code, eeprom, card = said.get("revision"), said.get("eeprom"), said.get("card")
    notes = _contradictions(facts, said)
    if facts.eeprom and eeprom and facts.eeprom != eeprom:
        notes.append(f"the board file says EEPROM {facts.eeprom}, the board: {eeprom}")
    cards = sorted({str(attempt.told["card"]) for attempt in attempts if attempt.told.get("card")})
    if len(cards) > 1:
        notes.append(f"the card was changed during the run: {', '.join(cards)}")
    memory = facts.memory_mb or (memory_of(code) if code else None)
    made = replace(
        facts,
        revision=facts.revision or code,
        memory_mb=memory,
        eeprom=eeprom or facts.eeprom,
        card=card or facts.card,
    )
    return made, notes


def concluded(
    facts: Facts,
    subject: Subject,
    wanted: Wanted,
    boots: int,
    attempts: Sequence[Attempt],
    earlier: Entry | None,
    recent: Sequence[Verdict],
    *,
    started: str = "",
    accepted: str = "",
    remarks: Sequence[str] = (),
) -> Run:
    """The run with its comparison and its notes; `recent` are the verdicts of the attempts before this run.

    `facts` and `remarks` come from `settled`.
    """
    final = {attempt.boot: attempt for attempt in attempts}.values()
    times = [v for attempt in final if (v := attempt.phases.get(clocks.GATED)) is not None]
    compared = None
    if earlier is not None and times:
        differs = tuple(f"{what}: {old}, now {new}" for what, old, new in earlier.differences(facts))
        compared = Compared(earlier.title, statistics.compare(earlier.times, times), differs)
    return Run(
        facts=facts,
        subject=subject,
        wanted=wanted,
        boots=boots,
        started=started or now(),
        attempts=tuple(attempts),
        compared=compared,
        accepted=accepted,
        notes=(*remarks, *_notes(facts, subject, attempts, earlier, compared, recent, accepted)),
    )


def now() -> str:
    """The time as it stands in documents."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _notes(
    facts: Facts,
    subject: Subject,
    attempts: Sequence[Attempt],
    earlier: Entry | None,
    compared: Compared | None,
    recent: Sequence[Verdict],
    accepted: str,
) -> list[str]:
    notes = []
    if not facts.real:
        notes.append(f"measured on a {facts.where}: no figure here is a Pi 4's")
    if facts.powered and all(attempt.phases.get("power_to_ready") is None for attempt in attempts):
        notes.append("power-on -> ready is the host's alone: the board gave no system timer (its driver is not loaded)")
    if subject.disk_id is None:
        notes.append("which image answered was not checked")
    if earlier is None:
        notes.append("no earlier run to compare with")
    if compared and compared.differs:
        notes.append(f"compared, but not judged, because not alike: {'; '.join(compared.differs)}")
    elif compared and accepted and compared.alarms:
        notes.append(f"slower, and accepted ({accepted}): {'; '.join(compared.alarms)}")
    errors = {line for attempt in attempts for line in attempt.told.get("kernel_errors", ())}
    if errors:
        notes.append(f"lines of level error in the kernel logs: {len(errors)} (they are in the JSON)")
    infra = [attempt for attempt in attempts if attempt.verdict is Verdict.INFRA]
    if infra:
        notes.append(f"{len(infra)} of {len(attempts)} attempts were INFRA and tried again, or ended the run")
    if quarantined([*recent, *(attempt.verdict for attempt in attempts)]):
        notes.append(
            f"WARNING: at least {QUARANTINE} of the last {QUARANTINE_OF} attempts on this board were INFRA: "
            "look at its power, cable and card before you trust it"
        )
    return notes


def _contradictions(facts: Facts, said: Mapping[str, Any]) -> list[str]:
    """Where the board file and the board do not agree on what the board is."""
    notes = []
    model, memory = said.get("model", ""), said.get("memory_mb")
    printed = bool(re.fullmatch(r"\d\.\d", facts.revision or ""))
    if not printed and facts.revision and said.get("revision", facts.revision) != facts.revision:
        notes.append(f"the board file says revision {facts.revision}, the board: {said['revision']}")
    if printed and "Rev " in model and not model.endswith(f"Rev {facts.revision}"):
        notes.append(f"the board file says revision {facts.revision}, the board: {model}")
    # The firmware keeps a part for itself.
    if facts.memory_mb and memory and not 0.85 * facts.memory_mb <= memory <= facts.memory_mb:
        notes.append(f"the board file says {facts.memory_mb} MiB of memory, and the board has {memory}")
    return notes


def summaries(run: Run) -> Mapping[str, statistics.Summary]:
    """Phase -> its figures over the boots that count."""
    return {name: statistics.summarise(rows) for name in clocks.PHASES if (rows := run.phase(name))}
