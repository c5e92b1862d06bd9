"""The states of tasks as people read them: in words, with a colour."""

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from a2a_app.protocol import TaskState

WORDS = {
    TaskState.UNSPECIFIED: _("unspecified"),
    TaskState.SUBMITTED: _("submitted"),
    TaskState.WORKING: _("working"),
    TaskState.INPUT_REQUIRED: _("input required"),
    TaskState.AUTH_REQUIRED: _("auth required"),
    TaskState.COMPLETED: _("completed"),
    TaskState.FAILED: _("failed"),
    TaskState.CANCELED: _("canceled"),
    TaskState.REJECTED: _("rejected"),
}
# What a state means to people, by which the style sheet has a colour. All others are neutral.
TONES = {
    TaskState.WORKING: "busy",
    TaskState.INPUT_REQUIRED: "asks",
    TaskState.AUTH_REQUIRED: "asks",
    TaskState.COMPLETED: "good",
    TaskState.FAILED: "bad",
    TaskState.REJECTED: "bad",
}


def words(state: str) -> str:
    """Return a state in words, in the language of the request."""
    return str(WORDS[TaskState(state)])


def tone_of(state: str) -> str:
    """Return what a state means to people, by which the style sheet has a colour."""
    return TONES.get(TaskState(state), "neutral")


def badge(state: str) -> SafeString:
    """Return a state in words, as HTML with its colour. It needs the style sheet `a2a.css`."""
    return toned(tone_of(state), words(state))


def toned(tone: str, text: str) -> SafeString:
    """Return a state in other words as a badge with the colour of a tone."""
    return format_html('<span class="a2a-badge" data-tone="{}">{}</span>', tone, text)


def verbatim(text: str) -> SafeString:
    """Return a text as it was written, whose lines end where the page does."""
    return format_html('<pre class="a2a-verbatim">{}</pre>', text)
