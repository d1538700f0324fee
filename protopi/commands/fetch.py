# SPDX-License-Identifier: MIT
"""Bring everything that an image is built from into the store, so that `--offline` can build it later."""

from __future__ import annotations

import argparse

from protopi.api import Session
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "download what an image (or every image) is built from"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("images", metavar="IMAGE", nargs="*", help="default: all of the project's images")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Fetch the packages of every step, whether or not it would run now."""
    session = Session(project, ui)
    packages = {}
    for word in arguments.images or project.images():
        for step in session.plan(word).steps:
            packages.update({package.sha256: package for package in step.packages})
    for sha256 in packages:
        session.store.take_file(sha256)  # hashes what is there; what was altered is fetched again
    with session.builder() as builder:
        builder.fetch(list(packages.values()))
    ui.say(f"{len(packages)} packages are in {session.store.root}")
    return 0
