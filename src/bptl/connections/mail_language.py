"""What mail templates may say, and nothing else: Django finds this module by its name (see mail_templates).

Neither tags that load, include, extend or look into BPTL, nor filters that turn escaping off.
"""

from __future__ import annotations

from django.template import Library, defaultfilters, defaulttags

TAGS = ("if", "comment")
FILTERS = ("capfirst", "default", "linebreaks", "linebreaksbr", "lower", "truncatechars", "upper", "urlencode", "yesno")

register = Library()
register.tags = {name: defaulttags.register.tags[name] for name in TAGS}
register.filters = {name: defaultfilters.register.filters[name] for name in FILTERS}
