"""The reStructuredText roles of the docstrings as Markdown, for the API reference."""

import re

from griffe import Extension, NameResolutionError, Object

ROLE = re.compile(r':(?P<role>class|func|meth|attr|data|mod|exc|math):`~?(?P<text>[^`]+)`')
DIRECTIVE = re.compile(r'^(?P<indent> *)\.\. math:: ?(?P<text>.*(?:\n(?P=indent) +.*)*)$', re.M)


def as_markdown(text: str, place: Object) -> str:
    """Replace the roles of a docstring: names become links, formulas become code."""

    def replace(found: re.Match) -> str:
        name = found['text']
        if found['role'] == 'math':
            return f'`{name}`'
        try:
            target = place.resolve(name.split('.')[0]) + name[len(name.split('.')[0]):]
        except NameResolutionError:
            target = name
        return f'<autoref identifier="{target}" optional><code>{name}</code></autoref>'

    text = DIRECTIVE.sub(r'\g<indent>    \g<text>', text)
    return ROLE.sub(replace, text)


class Roles(Extension):
    """Convert the roles in all docstrings of a package."""

    def on_object(self, *, obj: Object, **kwargs) -> None:
        """Convert the docstring of an object."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value, obj)
