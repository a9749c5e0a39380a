#!/usr/bin/env python3
"""lab.py expressions|noise ADDRESS - what the boards, the rules and the Alertmanager's routes make of a Drover that serves there.

Says "ready" once they look at it, and goes on until its input ends. `expressions`: each of the boards' queries has returned
data, here or from the demo, or is listed in empty.yml. `noise`: people were told at most thrice."""

import sys
import time

import people
import project
import servers
from asking import EMPTY, RULES, data, queries, scrapes


def until_told():
    """Waits for the end of the input; when that began, and when it came."""
    began = time.time()
    print("ready", flush=True)
    sys.stdin.read()
    return began, time.time()


def expressions(address):
    with servers.prometheus(scrapes(address), RULES) as url:
        began, end = until_told()
        here = {where for where, expr in queries() if data(url, expr, "drover-.+", began, end)}
    demo = {
        where
        for where, expr in queries()
        if where not in EMPTY["expressions"] and not project.names(expr) & set(EMPTY["families"])
    }
    everywhere = dict(queries())
    print(f"{len(here)} of {len(everywhere)} returned data here, {len(demo)} from the demo")
    nothing = {where: everywhere[where] for where in everywhere if where not in here | demo | set(EMPTY["lab"])}
    for where, expr in nothing.items():
        print(f"nothing, and no reason why: {where}: {expr}")
    needless = set(EMPTY["lab"]) - (set(everywhere) - here - demo)
    for where in sorted(needless):
        print(f"listed as empty, and was not this time: {where}")
    return not nothing


def noise(address):
    with people.listening() as manager, servers.prometheus(scrapes(address), RULES, manager.manager) as url:
        began, end = until_told()
        told, groups, fired = manager.told(url, int(end - began))
    asked = sum(path == "/api/v1/alerts" for path, _, _ in manager.posts)
    print(f"{len(told)} messages to people, {len(groups)} groups, {asked} to Drover, {len(fired)} alerts fired")
    return told and len(told) <= 3 and len(groups) <= 3


sys.exit(0 if {"expressions": expressions, "noise": noise}[sys.argv[1]](sys.argv[2]) else 1)
