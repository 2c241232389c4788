"""The files of the documentation site: the Markdown pages of the whole repository, in its own layout.

Pages keep their paths, so that the same links work in the repository and on the site. A link to a package leads to its
page of the API reference, a link to another source file or folder leads to a page that shows it, and a notebook
becomes a page with its stored outputs.
"""

import re
from pathlib import Path, PurePosixPath

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]
PAGES = ('*.md', 'configs/*/README.md', 'projects/*/README.md')
LINK = re.compile(r'\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)')
CODE = re.compile(r'^( *)```.*?^\1```', re.M | re.S)


def source_page(path: PurePosixPath) -> str:
    """Return the Markdown that shows a source file, or all files of a folder."""
    place = ROOT / path
    files = sorted(place.glob('*.py')) if place.is_dir() else [place]
    parts = ['---\nsearch: {exclude: true}\n---\n', f'# `{path}`\n']
    for file in files:
        title = f'## `{file.name}`\n' if place.is_dir() else ''
        language = {'.py': 'python', '.sh': 'bash', '.yml': 'yaml', '.cff': 'yaml'}.get(file.suffix, 'text')
        parts.append(f'{title}\n````{language}\n{file.read_text(encoding="utf-8").rstrip()}\n````\n')
    return '\n'.join(parts)


def api_page(path: PurePosixPath) -> str:
    """Return the Markdown of the API reference of a package."""
    name = '.'.join(path.parts)
    return f'# {name}\n\n::: {name}\n'


def page_of(path: PurePosixPath) -> str:
    """Return the page or file of the site to which a link to a path of the repository leads."""
    if path.suffix in ('.md', '.jpg', '.png', '.css'):
        return str(path)
    return str(path.with_suffix('.md')) if path.suffix == '.ipynb' else f'{path}.md'


def linked_paths(text: str, page: PurePosixPath) -> dict[str, PurePosixPath]:
    """Return the paths below the repository that a page links to, by their spelling in the page."""
    found = {}
    for target, _ in LINK.findall(CODE.sub('', text)):
        place = (ROOT / page.parent / target).resolve()
        if place.exists() and place.is_relative_to(ROOT):
            found[target] = PurePosixPath(place.relative_to(ROOT).as_posix())
    return found


class Collector:
    """Collect the files of the site, each once."""

    def __init__(self, files: Files, config: MkDocsConfig) -> None:
        self.files = files
        self.config = config

    def add(self, uri: str, **source) -> None:
        """Add a file by its path or its content."""
        if self.files.get_file_from_path(uri) is None:
            self.files.append(File.generated(self.config, uri, **source))

    def add_notebook(self, path: PurePosixPath) -> None:
        """Add a notebook as a page, and the pictures of its outputs."""
        notebook = nbformat.read(ROOT / path, as_version=4)
        text, resources = MarkdownExporter().from_notebook_node(notebook, {'unique_key': path.stem})
        for name, data in resources['outputs'].items():
            self.add(str(path.parent / name), content=data)
        self.add(page_of(path), content=text)

    def add_path(self, path: PurePosixPath) -> None:
        """Add what a link to a path of the repository leads to."""
        if path.suffix == '.ipynb':
            self.add_notebook(path)
        elif (ROOT / path / '__init__.py').is_file():
            self.add(page_of(path), content=api_page(path))
        elif page_of(path) == str(path):
            self.add(str(path), abs_src_path=str(ROOT / path))
        else:
            self.add(page_of(path), content=source_page(path))


def nav_paths(nav) -> list[str]:
    """Return all paths of a navigation."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [path for part in parts for path in nav_paths(part)]


def nav_pages(nav):
    """Return a navigation in which every path of the repository is replaced by its page."""
    if isinstance(nav, str):
        return page_of(PurePosixPath(nav))
    if isinstance(nav, dict):
        return {title: nav_pages(part) for title, part in nav.items()}
    return [nav_pages(part) for part in nav]


@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Collect the pages, what they link to, and what the navigation names."""
    collector = Collector(files, config)
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
            if not file.inclusion.is_excluded():  # exclude_docs in mkdocs.yml
                collector.add_path(PurePosixPath('docs', file.src_uri))
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            collector.add_path(PurePosixPath(path.relative_to(ROOT).as_posix()))
    for path in nav_paths(config.nav):
        collector.add_path(PurePosixPath(path))
    for file in list(files.documentation_pages()):
        page = PurePosixPath(file.src_uri)
        if (ROOT / page).is_file():
            for path in linked_paths(file.content_string, page).values():
                collector.add_path(path)
    config.nav = nav_pages(config.nav)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links of a page lead to the pages of the site."""
    here = PurePosixPath(page.file.src_uri)
    paths = linked_paths(markdown, here)

    def replace(found: re.Match) -> str:
        target, anchor = found.group(1), found.group(2) or ''
        if target not in paths:
            return found.group()
        up = '../' * len(here.parent.parts)
        return f']({up}{page_of(paths[target])}{anchor})'

    return LINK.sub(replace, markdown)
