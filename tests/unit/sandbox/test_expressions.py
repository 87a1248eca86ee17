"""The subset of expressions: what it gives, and that a model cannot reach anything with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bptl.sandbox.expressions import METHODS, ExpressionFailed, ExpressionRefused, compiled

VARIABLES: dict[str, Any] = {
    "n": 3,
    "half": 0.5,
    "text": "één",
    "yes": True,
    "nothing": None,
    "list": [1, 2, {"a": "b"}],
    "map": {"key": {"inner": 7}, "items": []},
    "when": datetime(2024, 2, 29, tzinfo=UTC),
}


def value(text: str) -> Any:
    return compiled(text).value(VARIABLES.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no expression", "no expression"),
        ("", ""),
        ("${n}", 3),
        ("#{n}", 3),
        ("case ${n + 1} of ${text}", "case 4 of één"),
        ("${nothing}-${yes}", "-true"),
        ("${'}'}", "}"),
        ("${'it\\'s'}", "it's"),
        ('${"a"}', "a"),
        ("${1 + 2 * 3 - -1}", 8),
        ("${7 / 2}", 3.5),
        ("${7 % 4}", 3),
        ("${-7 mod 4}", -3),
        ("${7 % -4}", 3),
        ("${9007199254740993 % 2}", 1),
        ("${n % 2.5}", 0.5),
        ("${'2' + 1}", 3),
        ("${n == 3.0}", True),
        ("${n eq '3'}", True),
        ("${text ne 'x'}", True),
        ("${nothing == null and not (n lt 2)}", True),
        ("${n > 2 && half <= 0.5 || false}", True),
        ("${!yes}", False),
        ("${empty nothing and empty map.items and not empty list}", True),
        ("${n > 5 ? 'big' : n > 2 ? 'middle' : 'small'}", "middle"),
        ("${map.key.inner}", 7),
        ("${map['key'].inner}", 7),
        ("${list[2].a}", "b"),
        ("${list[9]}", None),
        ("${map.absent}", None),
        ("${nothing.whatever}", None),
        ("${'b' > 'a'}", True),
        ("${nothing < 1}", False),
        ("${text.length() == 3 and text.startsWith('é')}", True),
        ("${text.substring(1, 2).toUpperCase()}", "É"),
        ("${list.size() + map.size()}", 5),
        ("${list.contains(2)}", True),
        ("${map.prop('key').hasProp('inner')}", True),
        ("${yes and text == 'één' ? list.get(0) : 0}", 1),
        ("${when}", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_expression_has_the_value_that_camunda_gives_it(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "${__import__('os').system('id')}",
        "${execution.getVariable('n')}",
        "${execution}",
        "${execution.getVariableTyped('n')}",
        "${execution.getVariableTyped('n', true)}",
        "${execution.getVariableTyped('n', false) == 3}",
        "a ${execution.getVariableTyped('n', false)}",
        "${bean.work(n)}",
        "${text.getClass().forName('x')}",
        "${text.format(n)}",
        "${text.__class__.mro()}",
        "${open('/etc/passwd')}",
        "${now()}",
        "${S('<a/>')}",
        "${n = 4}",
        "${lambda: 1}",
        "${[1, 2]}",
        "${n; n}",
        "${n",
        "${}",
        "${n +}",
        "${'open}",
        "${n ? 1}",
        "${" + "(" * 1500 + "}",
        "${" + "!" * 1500 + "yes}",
        "${" + "-" * 300 + "1}",
        "${" + "1+" * 900 + "1}",
        "${" + "yes?" * 400 + "1}",
        "${n" + ".a" * 900 + "}",
        "${'" + "x" * 3000 + "'}",
    ],
)
def test_what_is_not_in_the_subset_is_refused_before_it_is_evaluated(text: str) -> None:
    with pytest.raises(ExpressionRefused):
        compiled(text)


@pytest.mark.parametrize(
    "text",
    [
        "${absent}",
        "${text.__class__}",
        "${n.__class__}",
        "${list.__len__}",
        "${when.year}",
        "${text * 9}",
        "${text + text}",
        "${n / 0}",
        "${0%0}",
        "${n % 0}",
        "${half % 0}",
        "${n % 0.0}",
        "${9223372036854775807 * 9223372036854775807}",
        "${n > text}",
        "${yes + 1}",
        "${n and yes}",
        "${text.length(1)}",
        "${n.length()}",
        "${list.get('a')}",
        "${map.prop('absent')}",
        "${text.contains(n)}",
    ],
)
def test_what_has_no_value_fails_and_names_the_expression(text: str) -> None:
    with pytest.raises(ExpressionFailed) as failed:
        value(text)
    assert text in str(failed.value)


def test_a_single_variable_is_recognised_so_that_its_type_can_be_kept() -> None:
    assert compiled("${ n }").name == "n"
    assert compiled("${n}!").name is compiled("${n + 0}").name is compiled("n").name is None


def test_no_method_has_an_effect() -> None:
    allowed = {
        "length", "size", "isEmpty", "startsWith", "endsWith", "contains", "equals", "equalsIgnoreCase", "toLowerCase",
        "toUpperCase", "trim", "indexOf", "substring", "toString", "get", "containsKey", "hasProp", "prop", "elements",
        "value", "stringValue", "numberValue", "boolValue",
    }  # fmt: skip
    assert set(METHODS) == allowed


@example("0%0")
@given(st.text(alphabet="ntex'\"(){}[]<>=!&|?:.,+-*/% $#0123456789_", max_size=80))
def test_every_text_is_refused_fails_or_has_a_value(text: str) -> None:
    try:
        value("${" + text + "}")
    except (ExpressionRefused, ExpressionFailed):
        return
    assert compiled("${" + text + "}").parts
