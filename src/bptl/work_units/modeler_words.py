"""What an element template says around the words of a unit, by language."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "task": "External task",
        "inputs": "Inputs",
        "optional": "Optional inputs",
        "topic": "Topic",
        "retries": "Retry plan",
        "retries_help": "For instance R3/PT5M or PT30S,PT5M,PT1H. Empty: {plan}. A plan of the mapping goes first.",
        "default_plan": "the default plan of BPTL",
        "application": "The application for which the work is done; its credentials are used.",
        "from_variable": "the process variable {name}",
        "true": "yes",
        "false": "no",
        "empty": "(empty)",
        "type": "Type: {type}.",
        "fields": "Fields: {names}.",
        "default": "Without it: {default}.",
        "not_always": "Null when the unit does not set it.",
        "pattern": "{type}, or an expression such as ${{name}}",
        "errors": "BPMN errors: {codes}.",
        "open": "It also sets the variables that the inputs name.",
    },
    "nl": {
        "task": "Externe taak",
        "inputs": "Invoer",
        "optional": "Optionele invoer",
        "topic": "Topic",
        "retries": "Herhaalplan",
        "retries_help": "Bijvoorbeeld R3/PT5M of PT30S,PT5M,PT1H. Leeg: {plan}. Een plan van de koppeling gaat voor.",
        "default_plan": "het standaardplan van BPTL",
        "application": "De applicatie waarvoor het werk gedaan wordt; met haar credentials.",
        "from_variable": "de procesvariabele {name}",
        "true": "ja",
        "false": "nee",
        "empty": "(leeg)",
        "type": "Type: {type}.",
        "fields": "Velden: {names}.",
        "default": "Anders: {default}.",
        "not_always": "Null als de work unit haar niet zet.",
        "pattern": "{type}, of een expressie zoals ${{naam}}",
        "errors": "BPMN-fouten: {codes}.",
        "open": "Zet ook de variabelen die in de invoer genoemd worden.",
    },
}
"""The words around what a unit says of itself, which has its types and descriptions of variables in English."""
