"""Nodes that join while a study runs: each is asked what it is, beside the study, before it gets a trial."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from study.cluster.allowed import Member, Nodes
from study.cluster.differences import differences
from study.cluster.nodes import cannot, first_line, notices
from study.cluster.probing import Probed
from study.plan.plan import SlicePlan
from trainables.node import NodeFacts


@dataclass(frozen=True)
class Found:
    """All nodes that were asked so far: their facts, in what they differ, and why some get no trial, by address."""

    facts: tuple[NodeFacts, ...]
    differ: tuple[str, ...]
    left_out: dict[str, str]


class Joining:
    """Lets in what joins, where it can run trials and is like the nodes that are there.

    A newcomer gets no trial before it has answered. It is asked in a thread of its own, so that it does not keep the
    study waiting.

    Parameters
    ----------
    nodes
        Those that may be used; newcomers that pass are admitted to it.
    wanted
        A trial's slice; a node that cannot hold it is not asked.
    ask
        Asks one node; may take minutes.
    facts
        Of the nodes that the study began with.
    allow_mixed
        Whether a node that differs is let in too.
    say
        Told in a line.
    note
        Given what is known of all nodes whenever that grows.
    """

    def __init__(
        self,
        nodes: Nodes,
        wanted: SlicePlan,
        ask: Callable[[Member], Probed],
        *,
        facts: Sequence[NodeFacts],
        allow_mixed: bool,
        say: Callable[[str], None],
        note: Callable[[Found], None],
    ) -> None:
        self._nodes = nodes
        self._wanted = wanted
        self._ask = ask
        self._facts = {each.address: each for each in facts}
        self._allow_mixed = allow_mixed
        self._say = say
        self._note = note
        self._asked: set[str] = set()  # Ray's ids: a machine that comes again has another, and is asked again
        self._left_out: dict[str, str] = {}  # why, by address
        self._answers: SimpleQueue[tuple[Member, Probed]] = SimpleQueue()

    def look(self) -> None:
        """To be called again and again, by the thread that runs the study."""
        for node in self._nodes.strangers():
            if node.id not in self._asked and node.slots(self._wanted):
                self._asked.add(node.id)
                threading.Thread(target=self._put_answer, args=(node,), daemon=True).start()
        while True:
            try:
                node, answer = self._answers.get_nowait()
            except Empty:
                return
            self._judge(node, answer)

    def _put_answer(self, node: Member) -> None:
        try:
            answer = self._ask(node)
        except Exception as error:  # a thread's own end would be a node that nobody ever hears of
            lacks = (f"it could not be asked ({first_line(error)})",)
            answer = Probed((NodeFacts(node.address, lacks, node.host),), ())
        self._answers.put((node, answer))

    def _judge(self, node: Member, answer: Probed) -> None:
        for facts in answer.facts:  # none where it is gone again
            others = [each for address, each in self._facts.items() if address != facts.address and not each.lacks]
            before = set(map(str, differences(others)))
            differ = [line for line in map(str, differences([*others, facts])) if line not in before]
            self._facts[facts.address] = facts
            self._left_out.pop(facts.address, None)
            if facts.lacks:
                self._leave_out(facts, "; ".join(facts.lacks), f"{cannot(facts)}; it is left out")
            elif differ and not self._allow_mixed:
                why = f"it differs from the others ({'. '.join(differ)})"
                line = f"node {facts.address} is left out: {why}; `resume` with --allow-mixed takes it in"
                self._leave_out(facts, why, line)
            else:
                self._nodes.admit([node])
                for notice in (*(f"the nodes differ ({each})" for each in differ), *notices([facts])):
                    self._say(notice)
                self._say(f"node {facts.address} takes part from now on")
            admitted = [each for each in self._facts.values() if each.address not in self._left_out]
            found = tuple(self._facts.values()), tuple(map(str, differences(admitted)))
            self._note(Found(*found, {**self._nodes.excluded, **self._left_out}))

    def _leave_out(self, facts: NodeFacts, why: str, line: str) -> None:
        self._left_out[facts.address] = why
        self._say(line)
