"""System checks of the URLs: whether requests for agents reach the app, and nothing else."""

from collections.abc import Iterator

from django.conf import settings as django_settings
from django.core import checks
from django.urls import (
    LocalePrefixPattern,
    NoReverseMatch,
    Resolver404,
    URLResolver,
    get_resolver,
    get_script_prefix,
    reverse,
)

from a2a_app.agents import registry
from a2a_app.bindings.api import api
from a2a_app.checks.project import TAG, Finding

INCLUDE = 'path("", include("a2a_app.urls"))'
SITE_CARD = "/.well-known/agent-card.json"
# A path of each form that a catch-all may take: with and without a last slash, a file, and a colon.
_OF_SITE = ("site_card", "catalogue")
_OF_AGENT = ("jsonrpc", "jsonrpc_without_slash", "agent_card", "SendMessage", "ListTasks")


@checks.register(TAG)
def check_urls(**_: object) -> list[Finding]:
    """Find URLs of the app that another view has (a2a.E024), or a language prefix (a2a.E025).

    And that they are not there (a2a.W031), or not where clients look for the site's card
    (a2a.W032).
    """
    if not getattr(django_settings, "ROOT_URLCONF", ""):
        return []
    try:
        ways = list(_ways(get_resolver()))
    except Exception:  # Django's own checks report whatever the project's URLs raise
        return []
    if not ways:
        text = "ROOT_URLCONF does not include the app's URLs, so nobody reaches the agents."
        return [checks.Warning(text, hint=f"Add {INCLUDE} to its urlpatterns.", id="a2a.W031")]
    if any(isinstance(step.pattern, LocalePrefixPattern) for step in ways[0]):
        text = "The app's URLs are in i18n_patterns, so a POST to an agent may be redirected."
        hint = f"Put {INCLUDE} into a list of urlpatterns outside of i18n_patterns."
        return [checks.Error(text, hint=hint, id="a2a.E025")]
    try:
        paths = list(_paths())
    except NoReverseMatch:  # the project's prefix has fields, such as a customer
        return []
    return [*_taken(paths), *_misplaced(paths[0])]


def _ways(resolver: URLResolver) -> Iterator[list[URLResolver]]:
    """Yield for each place where the app's URLs are included the resolvers that lead there."""
    for pattern in resolver.url_patterns:
        if not isinstance(pattern, URLResolver):
            continue
        if pattern.namespace == api.urls_namespace:
            yield [pattern]
        else:
            yield from ([pattern, *way] for way in _ways(pattern))


def _paths() -> Iterator[str]:
    slug = next(iter(registry.slugs()), "agent")
    named = [*((name, []) for name in _OF_SITE), *((name, [slug]) for name in _OF_AGENT)]
    for name, args in named:
        url = reverse(f"{api.urls_namespace}:{name}", args=args)
        # What a server takes off before it asks for a view.
        yield "/" + url.removeprefix(get_script_prefix())


def _taken(paths: list[str]) -> Iterator[Finding]:
    """Find paths for which Django calls a view of the project."""
    takers: dict[tuple[str, str], list[str]] = {}
    for path in paths:
        try:
            match = get_resolver().resolve(path)
        except Resolver404:  # a converter of the project's, which knows other values
            continue
        if match.namespaces[-1:] != [api.urls_namespace]:
            takers.setdefault((match._func_path, match.route), []).append(path)
    for (view, route), taken in takers.items():
        yield checks.Error(
            f"Requests for {' and '.join(taken[:2])} do not reach the app: the pattern {route!r}, "
            f"of {view}, comes first.",
            hint=f"Put {INCLUDE} above that pattern.",
            id="a2a.E024",
        )


def _misplaced(site_card: str) -> Iterator[Finding]:
    if site_card != SITE_CARD:
        yield checks.Warning(
            f"The card of the site's agent is at {site_card}, and clients look at {SITE_CARD}.",
            hint=f"Include the app's URLs at the root, by {INCLUDE}. Silence this where clients "
            "are given the URLs of the agents' own cards.",
            id="a2a.W032",
        )
