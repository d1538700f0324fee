# SPDX-License-Identifier: MIT
"""mcp-bench judges its own rows (mcp/bench/jobs.c): which run is invalid, what is repeated, and three orders.

The file is compiled for the build machine, with a program of ours around it that plays the rows: a row is a fresh
process of the same program, and here it only tells the sample that its name asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import InTools

PROJECT = Path(__file__).parent.parent
FLAGS = ("-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-I/host/project/mcp/bench")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: Words are rows, NAME:HOPS:DEPTH:SWITCHES,...:INSTRUCTIONS; each try of a row takes the next number, and the last one
#: again. The order in which rows are run is appended to ./order.
HARNESS = """
#include "jobs.c"

static int play(const char *row)
{
	char numbers[200], *number, *next = numbers;
	unsigned int tried = 0;
	struct sample sample = { 0 };
	char line[256];
	FILE *order = fopen("order", "a+");

	while (fgets(line, sizeof(line), order))
		tried += !strncmp(line, row, strlen(row)) && line[strlen(row)] == '\\n';
	fprintf(order, "%s\\n", row);
	fclose(order);
	if (sscanf(row, "%*[^:]:%*u:%*u:%199[^:]:%lf", numbers,
			&sample.instructions) != 2)
		return 3;
	for (number = strsep(&next, ","); next && tried; tried--)
		number = strsep(&next, ",");
	sample.switches = atof(number);
	return fwrite(&sample, sizeof(sample), 1, stdout) == 1 ? 0 : 4;
}

int main(int count, char **words)
{
	static struct path paths[64];
	static struct job jobs[64];

	if (!strcmp(words[1], "--row"))
		return play(words[2]);
	for (int i = 0; i < count - 1; i++) {
		paths[i].name = words[i + 1];
		sscanf(words[i + 1], "%*[^:]:%u:%u", &paths[i].hops, &jobs[i].depth);
		jobs[i].path = &paths[i];
		jobs[i].name = words[i + 1];
	}
	run_jobs(jobs, count - 1);
	for (int i = 0; i < count - 1; i++)
		printf("%s %u %u %s\\n", jobs[i].name, jobs[i].tries, jobs[i].bad_runs,
			job_valid(&jobs[i]) ? "valid" : "invalid");
	return 0;
}
"""
#: Rows by name, each with its tries, the runs that stayed invalid, and the word on it; and the names in the order run.
Run = Callable[..., "tuple[dict[str, tuple[int, int, str]], list[str]]"]

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, in_tools: InTools) -> Run:
    folder = tmp_path_factory.mktemp("bench")
    (folder / "harness.c").write_text(HARNESS)
    built = in_tools(["gcc", *FLAGS, *SANITIZE, "-o", "harness", "harness.c"], folder, check=False)
    assert built.returncode == 0, built.stderr

    def run(*rows: str) -> tuple[dict[str, tuple[int, int, str]], list[str]]:
        (folder / "order").unlink(missing_ok=True)
        done = in_tools(["./harness", *rows], folder, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        said = {}
        for line in done.stdout.splitlines():
            row, tries, bad, word = line.split()
            said[row.split(":")[0]] = (int(tries), int(bad), word)
        return said, [line.split(":")[0] for line in (folder / "order").read_text().splitlines()]

    return run


def test_a_row_with_a_switch_too_many_is_invalid(compiled: Run) -> None:
    """2.05 a round trip, 4.1 through a broker; each of its three runs is tried three times before that."""
    said, _ = compiled("good:2:1:2.04:0", "bad:2:1:2.06:0", "broker:4:1:4.09:0", "slow_broker:4:1:4.11:0")
    assert said == {
        "good": (3, 0, "valid"),
        "bad": (9, 3, "invalid"),
        "broker": (3, 0, "valid"),
        "slow_broker": (9, 3, "invalid"),
    }


def test_a_run_with_a_switch_too_many_is_repeated_and_told(compiled: Run) -> None:
    said, order = compiled("once:2:1:2.5,2.0:0", "twice:2:1:2.5,2.5,2.0:0", "late:2:1:2,2.5,2.5,2.5,2:0")
    assert said == {"once": (4, 0, "valid"), "twice": (5, 0, "valid"), "late": (5, 1, "invalid")}
    assert order[:6] == ["once", "once", "twice", "twice", "twice", "late"]


def test_only_a_long_round_trip_may_be_disturbed(compiled: Run) -> None:
    """docs/bench.md: a thread of the kernel may take the CPU once in 10 ms. Several in flight have no limit."""
    said, _ = compiled("short:2:1:2.06:10000", "long:2:1:2.06:200000", "too_often:2:1:2.08:200000", "deep:2:8:9:0")
    assert {name: word for name, (_, _, word) in said.items()} == {
        "short": "invalid",
        "long": "valid",
        "too_often": "invalid",
        "deep": "valid",
    }
    words = (PROJECT / "docs/bench.md").read_text()
    assert "more than 2.05" in words
    assert "once in 10 ms" in words
    header = (PROJECT / "mcp/bench/bench.h").read_text()
    assert re.search(r"#define OTHERS_TURN\s+1e7$", header, re.MULTILINE), "10 ms"


@pytest.mark.parametrize("count", [3, 4, 5, 8, 12, 30])
def test_each_row_runs_three_times_in_three_orders(compiled: Run, count: int) -> None:
    names = [f"r{i}" for i in range(count)]
    said, order = compiled(*(f"{name}:2:1:2:0" for name in names))
    assert all(result == (3, 0, "valid") for result in said.values())
    runs = [order[i : i + count] for i in range(0, len(order), count)]
    assert len(runs) == 3
    assert all(sorted(run) == sorted(names) for run in runs), "each of them meets every row once"
    assert len({tuple(run) for run in runs}) == 3
    first, second, third = runs
    assert second == first[::-1]
    # What ran before a row can change what it costs: in the third order most have another row before them.
    after = {(a, b) for run in (first, second) for a, b in pairwise(run)}
    again = sum(pair in after for pair in pairwise(third))
    assert count < 5 or again <= count // 4, third
